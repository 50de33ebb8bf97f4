"""Who calls next, and when: one line of waiting journeys per operation, each at its own pace. Pure: told the time.

A thing's steps are a generator, a journey: it asks for a call, gets the answer, asks for the next. While it waits in a
line it holds no thread, so the operation whose quota binds is never idle and never behind another. Whoever makes the
calls (`iotctl.traffic`: threads; a simulation: nobody) takes the next one that is due, and tells how it went.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from iotctl.pace import Load, Pacer

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that a journey asks for; it is sent the answer, or has the error raised."""

    op: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds that a journey lets pass, with others going on meanwhile."""

    seconds: float


Journey = Generator[Ask | Pause, dict[str, Any], None]

NOTHING: Final = Ask("", {})
"""What a journey asks for after a pause: to go on."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How one operation fares.

    Attributes:
        done: calls that AWS answered.
        throttled: calls that it refused for coming too fast.
        rate: calls a second that are let go now; infinite where nothing holds them.
        measured: calls a second that came through lately.

    """

    done: int
    throttled: int
    rate: float
    measured: float


@dataclass(slots=True)
class Trip(Generic[Item]):
    """A journey on its way: what it is for, and what it asks for now."""

    item: Item
    journey: Journey
    ask: Ask = NOTHING


@dataclass(slots=True)
class Line(Generic[Item]):
    """Those who wait for one operation."""

    depth: int
    pacer: Pacer
    waiting: deque[Trip[Item]] = field(default_factory=deque)
    done: int = 0
    throttled: int = 0


class Lines(Generic[Item]):
    """All lines of a run; none of its functions waits, and none may be entered by two threads at once.

    Args:
        rates: quotas, by operation.
        starts: where to begin where the quota is not known; an operation of neither is held by its refusals only.
        order: the operations in the order in which a journey asks for them.

    """

    def __init__(self, rates: Mapping[str, float], starts: Mapping[str, float], order: Sequence[str]) -> None:
        self._rates = rates
        self._starts = starts
        self._lines: dict[str, Line[Item]] = {}
        self._later: list[tuple[float, int, Trip[Item]]] = []
        self._number = itertools.count()
        self._load = Load()
        for op in order:
            self.line(op)

    def line(self, op: str) -> Line[Item]:
        """The line of an operation, at the end of all others where it is new."""
        line = self._lines.get(op)
        if line is None:
            known = op in self._rates
            pacer = Pacer(self._rates[op] if known else self._starts.get(op, math.inf), known=known)
            line = self._lines[op] = Line(len(self._lines), pacer)
        return line

    def join(self, trip: Trip[Item], asked: Ask | Pause, now: float) -> None:
        """Let it stand in the line of what it asks for, or come back after its pause."""
        if isinstance(asked, Pause):
            trip.ask = NOTHING
            heapq.heappush(self._later, (now + asked.seconds, next(self._number), trip))
        else:
            trip.ask = asked
            self.line(asked.op).waiting.append(trip)

    def take(self, now: float) -> Trip[Item] | None:
        """The next that is due, with its slot: of several, that of whoever has come farthest. None: none is."""
        self._return(now)
        line = self._first(now)
        if line is None or line.pacer.due() > now:
            return None
        line.pacer.take(now)
        return line.waiting.popleft()

    def due(self, now: float) -> float:
        """When the next one is due; infinite where none waits."""
        line = self._first(now)
        return min(line.pacer.due() if line else math.inf, self._later[0][0] if self._later else math.inf)

    def waiting(self) -> bool:
        """Whether any waits."""
        return bool(self._later) or any(line.waiting for line in self._lines.values())

    def answered(self, op: str, now: float, wall: float, working: float) -> None:
        """AWS answered a call, in so many seconds, of which this machine worked so many."""
        line = self._lines[op]
        line.done += 1
        line.pacer.admitted(now)
        self._load.measured(wall, working)

    def refused(self, op: str, now: float) -> None:
        """AWS throttled a call."""
        line = self._lines[op]
        line.throttled += 1
        line.pacer.refused(now)

    def back(self, trip: Trip[Item]) -> None:
        """Let one whose call was throttled stand at the head of its line again."""
        self._lines[trip.ask.op].waiting.appendleft(trip)

    def wanted(self) -> int:
        """How many calls at a time make sense now."""
        return self._load.workers([line.pacer.rate for line in self._lines.values() if line.waiting or line.done])

    def clear(self) -> list[Trip[Item]]:
        """All that wait; none does after."""
        ended = [trip for line in self._lines.values() for trip in line.waiting]
        ended += [trip for _, _, trip in self._later]
        self._later.clear()
        for line in self._lines.values():
            line.waiting.clear()
        return ended

    def flows(self, now: float) -> dict[str, Flow]:
        """How each operation fares."""
        return {
            op: Flow(line.done, line.throttled, line.pacer.rate, line.pacer.meter.rate(now))
            for op, line in self._lines.items()
            if line.done or line.throttled
        }

    def _return(self, now: float) -> None:
        """Those whose pause is over stand in line again."""
        while self._later and self._later[0][0] <= now:
            trip = heapq.heappop(self._later)[2]
            self.line(trip.ask.op).waiting.append(trip)

    def _first(self, now: float) -> Line[Item] | None:
        waiting = (line for line in self._lines.values() if line.waiting)
        return min(waiting, key=lambda each: (max(each.pacer.due(), now), -each.depth), default=None)
