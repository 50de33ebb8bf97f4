"""How fast and how many at a time: calls spaced by quota, threads by what a call waits for. Pure: told the time.

An operation whose quota is known is called at that rate. Of any other the rate is found: it grows until AWS refuses a
call, and then follows what AWS lets through, measured; so that few calls are refused, and none of the quota is wasted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_WORKERS: Final = 64
"""Four operations of a hundred a second, each answered in 0.12 s, and a third on top."""

NEAR: Final = 0.005
"""Seconds: an endpoint that keeps a call waiting for less is on this machine or next to it."""

CREDIT: Final = 0.3
"""Seconds of slots that may be caught up with, when the calls came late: a burst that every quota allows."""

FULL_CREDIT: Final = 0.8
"""The same where the quota is known, until a call is refused: what a bucket holds that nobody took from meanwhile. AWS
IoT does not say how deep its buckets are; of the services that do (EC2, ECS), none holds less than a second's."""

_KNOWN: Final = 0.995  # of a quota: the clocks of two machines differ
_SLOW_START: Final = 3.0  # times the rate, each second until the first refusal
_FULL: Final = 0.5  # seconds of the rate that came out of a bucket that was full, or did not
_HELD: Final = 1.0  # seconds: a rate that holds calls back holds one in that time
_ONE_STEP: Final = 0.6  # seconds: all refusals of this time are one
_STEP: Final = 0.92
_THROUGH: Final = 0.97  # of what came through
_QUIET: Final = 3.0  # seconds without a refusal, until it is tried faster
_GROWTH: Final = 1.04  # a second
_LONG_QUIET: Final = 10.0
_FIRST_QUIET: Final = 1.0  # after the first refusal: what is known of the quota then is rough
_FAST_GROWTH: Final = 1.2
_SLOWEST: Final = 2.0  # no quota of AWS IoT on the operations of a fleet is lower


class Meter:
    """How many a second, over the last two seconds at most."""

    _WIDTH: Final = 0.25
    _SLOTS: Final = 8

    def __init__(self) -> None:
        self._counts = [0] * self._SLOTS
        self._slot = 0
        self._first = math.inf

    def add(self, now: float) -> None:
        """Count one."""
        self._first = min(self._first, now)
        self._turn(now)
        self._counts[self._slot % self._SLOTS] += 1

    def restart(self, now: float) -> None:
        """Forget what was; what comes from now on counts."""
        self._counts = [0] * self._SLOTS
        self._first = now

    def rate(self, now: float, above: float = 0.0) -> float:
        """The rate; what has just begun is not taken for half a second's worth.

        Args:
            now: the time.
            above: seconds of it that came out of a bucket that was full.

        """
        self._turn(now)
        return sum(self._counts) / (max(self.span(now), 0.5) + above)

    def span(self, now: float) -> float:
        """Of how many seconds it knows."""
        return max(0.0, min(now - self._first, (self._SLOTS - 1) * self._WIDTH + now % self._WIDTH))

    def _turn(self, now: float) -> None:
        slot = int(now / self._WIDTH)
        for passed in range(max(self._slot + 1, slot - self._SLOTS + 1), slot + 1):
            self._counts[passed % self._SLOTS] = 0
        self._slot = max(self._slot, slot)


class Pacer:
    """Spaces the calls of one operation.

    Args:
        rate: calls a second; `math.inf` is unpaced, until the first refusal.
        known: the rate is the quota; else it is where the search for the quota begins.

    """

    def __init__(self, rate: float = math.inf, *, known: bool = False) -> None:
        self.rate = rate * _KNOWN
        self._most = self.rate if known else math.inf
        self._found = 2 if known else 0  # how well the quota is known: not, roughly, well
        self._credit = FULL_CREDIT if known else CREDIT
        self._next = -math.inf
        self._grown = self._refused = -math.inf
        self._held = -math.inf  # when a call last had to wait for its slot
        self.meter = Meter()

    def due(self) -> float:
        """When the next slot comes; in the past where one is free."""
        return self._next

    def take(self, now: float) -> None:
        """Take a slot."""
        if self.rate == math.inf:
            return
        if now - self._next < 1 / self.rate:
            self._held = now
        self._next = max(self._next, now - self._credit) + 1 / self.rate

    def admitted(self, now: float) -> None:
        """A call came through."""
        self.meter.add(now)
        if self.rate >= self._most or now - self._grown < 0.1:
            return
        since, self._grown = min(now - self._grown, 1.0), now
        # A rate that holds no call back says nothing of the quota.
        if self._most < math.inf or self._holds(now):
            self.rate = min(self._most, self.rate * self._growth(now - self._refused) ** since)

    def refused(self, now: float) -> None:
        """AWS throttled a call: everyone was too fast for the last moment."""
        if now - self._refused > _ONE_STEP:
            self.rate = max(_SLOWEST, min(_STEP * self.rate, self._through(now)))
            self._refused = now
            self._found = min(2, self._found + 1)
            self._credit = CREDIT / 2
            self.meter.restart(now)
        self._next = max(self._next, now + 1 / self.rate)

    def _through(self, now: float) -> float:
        """What AWS lets through, as far as that shows: where the rate just began or held nothing back, it does not."""
        least = self.rate / 2 if self.rate < math.inf else 0.0
        if self.meter.span(now) < _ONE_STEP:
            return math.inf if self._found else max(self.meter.rate(now, above=_FULL), least)
        if not self._found:
            return self.meter.rate(now, above=_FULL)
        return max(_THROUGH * self.meter.rate(now), least) if self._holds(now) else math.inf

    def _holds(self, now: float) -> bool:
        """Whether more calls would be made if the rate let them."""
        return now - self._held < _HELD

    def _growth(self, quiet: float) -> float:
        """Times the rate a second, after so many seconds without a refusal."""
        if self._found == 0:
            return _SLOW_START
        if quiet > (_FIRST_QUIET if self._found == 1 else _LONG_QUIET):
            return _FAST_GROWTH
        return _GROWTH if quiet > _QUIET else 1.0


class Load:
    """What calls cost: how long one waits, how long it works."""

    def __init__(self) -> None:
        self._waiting = 0.0
        self._working = 0.0

    def measured(self, wall: float, working: float) -> None:
        """Count a call, by its seconds in all and those that it had of a processor.

        Slow to rise, quick to fall: the first call of a client takes long, and says nothing of the endpoint.
        """
        waiting = wall - working
        self._working += (working - self._working) * (0.05 if self._working else 1.0)
        self._waiting += (waiting - self._waiting) * (0.1 if waiting > self._waiting else 0.5)

    def workers(self, rates: Iterable[float]) -> int:
        """How many threads the calls need: enough to fill the time that one waits, and the rates that are allowed.

        On a near endpoint that is one: there a thread only takes the interpreter from the others.
        """
        if self._waiting < NEAR:
            return 1
        filling = (self._waiting + self._working) / max(self._working, 1e-4)
        allowed = sum(rates) * (self._waiting + self._working) * 1.5
        return math.ceil(min(MOST_WORKERS, filling, allowed))
