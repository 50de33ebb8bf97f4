"""One sync for all who wait: it covers what each wrote, and a failure is everyone's whom it did not cover."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from iotctl.local.devices.syncing import SharedSync
from tests.local.clients import until


class Disk:
    """Counts syncs; each waits until it is let go."""

    def __init__(self) -> None:
        self.syncs = 0
        self.go = threading.Semaphore(0)
        self.fault: OSError | None = None

    def sync(self, _: Path) -> None:
        self.syncs += 1
        assert self.go.acquire(timeout=10)
        if self.fault is not None:
            raise self.fault


def test_who_comes_meanwhile_shares_the_next() -> None:
    """Of ten that come while one is under way, none is covered by that one, and one more is enough for all."""
    disk = Disk()
    sync = SharedSync(disk.sync)
    threads = [threading.Thread(target=sync, args=(Path(),)) for _ in range(11)]
    threads[0].start()
    until(lambda: disk.syncs == 1)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(sync._changed._waiters) == 10)  # type: ignore[attr-defined]  # all of them wait
    assert 1 == disk.syncs
    disk.go.release()
    until(lambda: disk.syncs == 2)
    assert 10 == sum(thread.is_alive() for thread in threads)
    disk.go.release()
    for thread in threads:
        thread.join(10)
    assert (2, 0) == (disk.syncs, sum(thread.is_alive() for thread in threads))


def test_a_failure_is_told_and_the_next_is_a_new_one() -> None:
    """A full disk is not forgotten, and not for ever."""
    disk = Disk()
    sync = SharedSync(disk.sync)
    disk.fault = OSError(28, "No space left on device")
    disk.go.release()
    with pytest.raises(OSError, match="No space left"):
        sync(Path("/x"))
    disk.fault = None
    disk.go.release()
    sync(Path("/x"))
    assert 2 == disk.syncs
