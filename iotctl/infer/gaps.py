"""What is missing and what came twice, from sequence numbers. Pure: the time is given.

Messages may come in another order than they were sent (AWS does not promise it, several connections do not have it), so
a hole is told only once it has been open for a while; what fills it later still is told too. At any moment

    lost = the numbers between the smallest and the largest seen that have not come

and `told gaps - told late arrivals` is the same number once every hole has been told.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, NamedTuple

SETTLE_SECONDS: Final = 2.0
"""How long a hole may be filled before it is told as lost."""
MOST_HOLES: Final = 1000
"""Holes of one stream that are remembered; of older ones the numbers stay lost, and a late arrival counts as double."""


class Gap(NamedTuple):
    """Numbers that did not come."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(slots=True)
class _Hole:
    first: int
    last: int
    since: float
    told: bool = False


class Sequence:
    """The numbers of one stream: one model, from one start of its program on.

    Attributes:
        lost: numbers that have not come.
        duplicates: arrivals of a number that had come already.
        reordered: arrivals after a larger number.

    """

    __slots__ = ("_first", "_holes", "_last", "_untold", "duplicates", "lost", "reordered")

    def __init__(self, seq: int) -> None:
        self._first = self._last = seq
        self._holes: list[_Hole] = []
        self._untold = self.lost = self.duplicates = self.reordered = 0

    def came(self, seq: int, now: float) -> str:
        """Take the next arrival: "" as expected or early; "duplicate"; "late" where it was told as lost."""
        if seq == self._last + 1:
            self._last = seq
            return ""
        if seq > self._last:
            self._open(len(self._holes), _Hole(self._last + 1, seq - 1, now))
            self._last = seq
            return ""
        self.reordered += 1
        if seq < self._first:
            if seq + 1 < self._first:
                self._open(0, _Hole(seq + 1, self._first - 1, now))
            self._first = seq
            return ""
        return self._within(seq)

    def overdue(self, now: float) -> list[Gap]:
        """The holes that have been open for too long and were not told before; they are told now."""
        if not self._untold:
            return []
        found = [hole for hole in self._holes if not hole.told and now - hole.since >= SETTLE_SECONDS]
        for hole in found:
            hole.told = True
        self._untold -= len(found)
        if len(self._holes) > MOST_HOLES:
            old = self._holes[:-MOST_HOLES]
            self._holes[:-MOST_HOLES] = [hole for hole in old if not hole.told]
        return [Gap(hole.first, hole.last) for hole in found]

    def rest(self) -> list[Gap]:
        """The holes that were not told yet, at the end."""
        return self.overdue(float("inf"))

    def _within(self, seq: int) -> str:
        place = bisect_right(self._holes, seq, key=lambda hole: hole.first) - 1
        hole = self._holes[place] if place >= 0 else None
        if hole is None or seq > hole.last:
            self.reordered -= 1
            self.duplicates += 1
            return "duplicate"
        after = _Hole(seq + 1, hole.last, hole.since, hole.told)
        before = _Hole(hole.first, seq - 1, hole.since, hole.told)
        left = [part for part in (before, after) if part.first <= part.last]
        self._holes[place : place + 1] = left
        self._untold += 0 if hole.told else len(left) - 1
        self.lost -= 1
        return "late" if hole.told else ""

    def _open(self, place: int, hole: _Hole) -> None:
        self.lost += hole.last - hole.first + 1
        self._untold += 1
        self._holes.insert(place, hole)
