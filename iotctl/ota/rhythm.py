"""When to look again: soon after a change, seldom while nothing happens, never too often. Pure but for its memory."""

from __future__ import annotations

from typing import Final

SOONEST: Final = 1.0
"""Seconds between two looks, at least: DescribeJob has 10 a second for the whole account."""
LATEST: Final = 5.0
LATEST_WITH_EVENTS: Final = 15.0
_GROWTH: Final = 1.5


class Rhythm:
    """The looks of one watcher.

    Args:
        now: in seconds of a clock that only grows, as everywhere here.

    Attributes:
        latest: seconds between two looks while nothing happens.

    """

    def __init__(self, now: float) -> None:
        self.latest = LATEST
        self._wait = SOONEST
        self._looked = now
        self._hurried = False
        self._failures = 0

    def is_due(self, now: float) -> bool:
        """Whether it is time."""
        return now - self._looked >= (SOONEST if self._hurried else self._wait)

    def hurry(self) -> None:
        """Something has happened."""
        self._hurried = True

    def looked(self, now: float, *, changed: bool) -> None:
        """It was looked, and something had changed or not."""
        self._looked, self._hurried, self._failures = now, False, 0
        self._wait = SOONEST if changed else min(self.latest, self._wait * _GROWTH)

    def failed(self, now: float) -> int:
        """It could not be looked; how often in a row."""
        self._looked, self._hurried = now, False
        self._wait = min(LATEST_WITH_EVENTS, self._wait * 2)
        self._failures += 1
        return self._failures
