"""The one timer: it rings when something is due, not before, and goes on after a failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from iotctl.local import scheduler
from iotctl.local.scheduler import Scheduler

if TYPE_CHECKING:
    from iotctl.local.store import Store


class Diary:
    """What is due, by time; each entry is done once."""

    def __init__(self, *entries: float) -> None:
        self.entries = sorted(entries)
        self.done: list[float] = []
        self.looks = 0
        self.failures = 0
        self.over = asyncio.Event()

    def next_due(self, _: Store) -> float | None:
        self.looks += 1
        return self.entries[0] if self.entries else None

    def run_due(self, store: Store) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("not now")
        self.done.append(store.now())
        self.entries.pop(0)
        if not self.entries:
            self.over.set()


async def finished(diary: Diary) -> None:
    """Wait until nothing is due any more."""
    await asyncio.wait_for(diary.over.wait(), 10)


def test_it_rings_when_due(store: Store) -> None:
    """What is past at once, the rest at its time, with a look for each and not many more."""
    now = store.now()
    diary = Diary(now - 5, now - 4, now + 0.2)

    async def run() -> None:
        ringing = Scheduler(store, diary.next_due, diary.run_due)
        ringing.start()
        await finished(diary)
        ringing.stop()

    asyncio.run(run())
    assert 3 == len(diary.done)
    assert diary.done[-1] >= now + 0.2
    assert diary.looks < 20


def test_what_is_new_is_looked_at(store: Store) -> None:
    """Something that is due sooner moves the timer."""
    diary = Diary(store.now() + 3600)

    async def run() -> None:
        ringing = Scheduler(store, diary.next_due, diary.run_due)
        ringing.start()
        diary.entries[0] = store.now() + 0.05
        ringing.look()
        await finished(diary)
        ringing.stop()

    asyncio.run(run())
    assert 1 == len(diary.done)


def test_a_failure_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays due, and the platform goes on."""
    monkeypatch.setattr(scheduler, "LONGEST_WAIT", 0.05)
    diary = Diary(store.now())
    diary.failures = 2

    async def run() -> None:
        ringing = Scheduler(store, diary.next_due, diary.run_due)
        ringing.start()
        await finished(diary)
        ringing.stop()

    asyncio.run(run())
    assert 1 == len(diary.done)
