"""How many at a time: by what a call waits for, and what is allowed."""

from __future__ import annotations

import math
import threading

import pytest

from iotctl.pace import MOST_WORKERS, Load, Workers


@pytest.mark.parametrize(
    ("wall", "working", "rates", "expected"),
    [
        (0.0012, 0.0008, [math.inf], 1),  # on this machine: threads would only be in each other's way
        (0.0040, 0.0008, [math.inf], 1),
        (0.0200, 0.0008, [math.inf], 25),  # as many as fill the wait
        (0.0800, 0.0008, [math.inf], MOST_WORKERS),
        (0.0800, 0.0008, [10.0], 2),  # as many as ten calls a second need
        (0.0800, 0.0008, [10.0, 100.0, 15.0], 15),
    ],
)
def test_workers(wall: float, working: float, rates: list[float], expected: int) -> None:
    """One on a near endpoint; on a far one as many as fill the wait, within what the quotas let through."""
    load = Load()
    for _ in range(200):
        load.measured(wall, working)

    assert expected == load.workers(rates)


def test_a_slow_first_call_says_nothing() -> None:
    """The first call makes a client; that it took long is forgotten within a few calls."""
    load = Load()
    load.measured(0.3, 0.15)
    for _ in range(20):
        load.measured(0.001, 0.0008)

    assert 1 == load.workers([math.inf])


@pytest.mark.parametrize("wanted", [1, 2, 7])
def test_every_item_settles_once(wanted: int) -> None:
    """Whatever the number of threads, each item comes back once, with its own fault; one thread is the caller's."""
    seen: set[str] = set()

    def attempt(item: int) -> BaseException | None:
        seen.add(threading.current_thread().name)
        return ValueError(str(item)) if item % 3 == 0 else None

    with Workers(attempt, lambda: wanted) as workers:
        settled = [*workers.carry_out(range(1, 50)), *workers.carry_out(range(50, 60))]

    assert list(range(1, 60)) == sorted(item for item, _ in settled)
    assert all((fault is not None) == (item % 3 == 0) for item, fault in settled)
    assert (seen == {threading.current_thread().name}) == (wanted == 1)
