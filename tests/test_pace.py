"""How fast, by quota and refusals; how many at a time, by what a call waits for and what is allowed."""

from __future__ import annotations

import math

import pytest

from iotctl.pace import CREDIT, FULL_CREDIT, MOST_WORKERS, Load, Meter, Pacer


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


class _Server:
    """A token bucket such as AWS's, `rate` a second and as many at once, called as a pacer lets it; simulated time."""

    def __init__(self, pacer: Pacer, rate: float) -> None:
        self.pacer, self.rate, self.now = pacer, rate, 0.0
        self._tokens, self._filled = rate, 0.0
        self.done = self.refused = 0

    def serve(self, seconds: float) -> int:
        """Be called for so long; how many calls came through."""
        before, ends = self.done, self.now + seconds
        while self.now < ends:
            due = max(self.pacer.due(), self.now)
            self._tokens = min(self.rate, self._tokens + (due - self._filled) * self.rate)
            self._filled, self.now = due, due + 0.001
            self.pacer.take(due)
            if self._tokens >= 1:
                self._tokens -= 1
                self.done += 1
                self.pacer.admitted(self.now)
            else:
                self.refused += 1
                self.pacer.refused(self.now)
        return self.done - before


def test_a_known_quota_is_used_whole_and_never_exceeded() -> None:
    """Nothing is refused, and nothing is left over."""
    server = _Server(Pacer(50, known=True), 50)
    assert 50 * 60 * 0.99 <= server.serve(60) <= 50 * 60 + 50 * FULL_CREDIT
    assert 0 == server.refused


@pytest.mark.parametrize(("start", "quota"), [(10, 10), (10, 37), (10, 100), (100, 10), (15, 8)])
def test_a_quota_that_is_not_known_is_found(start: float, quota: float) -> None:
    """Within seconds, wherever the search begins; then nearly all of it is used, and few calls are refused."""
    server = _Server(Pacer(start), quota)
    server.serve(12)
    refused = server.refused
    assert quota * 60 * 0.93 <= server.serve(60) <= quota * 61
    assert (server.refused - refused) / server.done <= 0.04


def test_a_quota_that_changes_is_followed() -> None:
    """Others begin to use it, and stop: the rate goes down at once, and comes back."""
    server = _Server(Pacer(20, known=True), 20)
    server.serve(10)
    server.rate = 8
    assert 8 * 30 * 0.9 <= server.serve(30)
    assert 0.12 > server.refused / server.done
    server.rate = 20
    server.serve(20)
    assert 20 * 10 * 0.95 <= server.serve(10)


def test_an_unpaced_operation_is_paced_from_its_first_refusal_on() -> None:
    """As on the local platform, which throttles only when it is told to."""
    server = _Server(Pacer(), 20)
    server.serve(3)
    refused = server.refused
    assert 20 * 30 * 0.93 <= server.serve(30)
    assert (server.refused - refused) / server.done <= 0.04


def test_a_rate_that_nobody_uses_does_not_grow() -> None:
    """Calls that come slowly for reasons of their own say nothing of the quota."""
    pacer = Pacer(10)
    for second in range(60):
        pacer.take(float(second))
        pacer.admitted(float(second))
    assert 11 > pacer.rate


def test_refusals_of_one_moment_are_one_step() -> None:
    """A burst of them does not stop everything; the next slot comes later."""
    pacer = Pacer(10, known=True)
    for number in range(20):
        pacer.admitted(9 + number / 20)
    for _ in range(30):
        pacer.refused(10.0)
    assert pacer.rate == pytest.approx(0.92 * 9.95)
    assert pacer.due() > 10.05


def test_what_came_late_is_caught_up_with_a_little() -> None:
    """A moment's delay costs nothing, a long rest does not become a burst; after a refusal even less is caught up."""
    known, found = Pacer(100, known=True), Pacer(100)
    for pacer, now, seconds in (
        *((known, 1000.0, FULL_CREDIT), (known, 2000.0, FULL_CREDIT)),
        *((found, 1000.0, CREDIT), (found, 2000.0, CREDIT)),
    ):
        assert 100 * seconds + 1 == pytest.approx(_burst(pacer, now), abs=1)
    known.refused(2001.0)
    assert known.rate * CREDIT / 2 + 1 == pytest.approx(_burst(known, 3000.0), abs=1)


def _burst(pacer: Pacer, now: float) -> int:
    """How many calls go at once."""
    burst = 0
    while pacer.due() <= now:
        pacer.take(now)
        burst += 1
    return burst


def test_the_meter_forgets() -> None:
    """It tells the last two seconds."""
    meter = Meter()
    for number in range(200):
        meter.add(100 + number / 100)
    assert meter.rate(102) == pytest.approx(100, rel=0.1)
    assert 0 == meter.rate(105)
