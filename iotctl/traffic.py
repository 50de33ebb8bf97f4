"""Calls on their way: one line per operation, each at its own pace; a thing goes from line to line.

A thing's steps are a generator: it asks for a call, gets the answer, asks for the next. While it waits in a line it
holds no thread, so the operation whose quota binds is never idle and never behind another. A call that AWS throttles
goes back to the head of its line, free of charge. On an endpoint next to this machine the caller's thread is enough.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar

from iotctl import clock
from iotctl.errors import Interrupted, Throttled
from iotctl.pace import Load, Pacer

Call = Callable[..., dict[str, Any]]
_Item = TypeVar("_Item")

_STOPPED: Final = "stopped before its steps were done"


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
class _Trip(Generic[_Item]):
    item: _Item
    journey: Journey
    ask: Ask | None = None


@dataclass(slots=True)
class _Line(Generic[_Item]):
    """Those who wait for one operation."""

    depth: int
    pacer: Pacer
    waiting: deque[_Trip[_Item]] = field(default_factory=deque)
    done: int = 0
    throttled: int = 0


class Traffic(Generic[_Item]):
    """Many journeys at once.

    Args:
        call: `call(op, once=True, **params)`, one attempt.
        stop: set to let what is in flight finish, and end the rest.
        rates: quotas, by operation.
        starts: where to begin where the quota is not known; an operation of neither is held by its refusals only.
        order: the operations in the order in which a journey asks for them.

    """

    def __init__(
        self,
        call: Call,
        stop: threading.Event,
        *,
        rates: Mapping[str, float],
        starts: Mapping[str, float],
        order: Sequence[str],
    ) -> None:
        self._call = call
        self._stop = stop
        self._rates = rates
        self._starts = starts
        self._turn = threading.Condition()
        self._lines: dict[str, _Line[_Item]] = {}
        self._later: list[tuple[float, int, _Trip[_Item]]] = []
        self._number = itertools.count()
        self._settled: queue.SimpleQueue[tuple[_Item, BaseException | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._load = Load()
        self._ended = False
        self._watched = math.inf  # until when a thread sleeps on behalf of all: the others need no clock
        self.pending = 0
        for op in order:
            self._line(op)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let what is in flight finish, and leave the rest."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, item: _Item, journey: Journey) -> None:
        """Begin a journey; it settles when it ends."""
        self.pending += 1
        self._go_on(_Trip(item, journey), lambda: journey.send(None))  # type: ignore[arg-type]  # as it must begin

    def settle(self, most: int, seconds: float) -> list[tuple[_Item, BaseException | None]]:
        """Those that have settled, with what went wrong: at least one, at most so many; none after so many seconds."""
        found: list[tuple[_Item, BaseException | None]] = []
        ends = clock.monotonic() + seconds
        while self.pending and len(found) < most:
            if self._stop.is_set():
                self._halt()
            wanted = self._wanted()
            if wanted <= 1 and not self._threads:
                while self._settled.empty() and self._attempt_next(ends) and not self._stop.is_set():
                    pass
            self._grow(wanted)
            left = 0.0 if found or not self._threads else max(0.0, ends - clock.monotonic())
            try:
                found.append(self._settled.get(timeout=left))
                self.pending -= 1
            except queue.Empty:
                if found or clock.monotonic() >= ends:
                    break
        return found

    def drive(self, journey: Journey) -> None:
        """Make one journey to its end, on this thread.

        Raises:
            BaseException: what ended it.

        """
        send: Callable[[], Ask | Pause] = lambda: journey.send(None)  # type: ignore[arg-type]  # noqa: E731  as it must begin
        with contextlib.suppress(StopIteration):
            while True:
                asked = send()
                if self._stop.is_set():
                    journey.close()
                    raise Interrupted(_STOPPED)
                if isinstance(asked, Pause):
                    self._stop.wait(asked.seconds)
                    send = lambda: journey.send({})  # noqa: E731
                else:
                    send = self._asked(journey, asked)

    def _asked(self, journey: Journey, ask: Ask) -> Callable[[], Ask | Pause]:
        line = self._line(ask.op)
        while True:
            with self._turn:
                now = clock.monotonic()
                wait = line.pacer.due() - now
                line.pacer.take(max(now, line.pacer.due()))
            if self._stop.wait(max(0.0, wait)):
                raise Interrupted(_STOPPED)
            outcome = self._made(line, ask)
            if not isinstance(outcome, Throttled):
                return _resumed(journey, outcome)

    def flows(self) -> dict[str, Flow]:
        """How each operation fares."""
        with self._turn:
            now = clock.monotonic()
            return {
                op: Flow(line.done, line.throttled, line.pacer.rate, line.pacer.meter.rate(now))
                for op, line in self._lines.items()
                if line.done or line.throttled
            }

    def _line(self, op: str) -> _Line[_Item]:
        line = self._lines.get(op)
        if line is None:
            known = op in self._rates
            pacer = Pacer(self._rates[op] if known else self._starts.get(op, math.inf), known=known)
            line = self._lines[op] = _Line(len(self._lines), pacer)
        return line

    def _wanted(self) -> int:
        return self._load.workers([line.pacer.rate for line in self._lines.values() if line.waiting or line.done])

    def _grow(self, wanted: int) -> None:
        while len(self._threads) < wanted and wanted > 1:
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while self._attempt_next(math.inf):
            pass

    def _attempt_next(self, ends: float) -> bool:
        """Make the next call that is due; False where none became due by then."""
        trip = self._next(ends)
        if trip is None:
            return False
        ask = trip.ask
        assert ask is not None
        outcome = self._made(self._lines[ask.op], ask)
        if isinstance(outcome, Throttled):
            with self._turn:
                if not self._stop.is_set():
                    self._lines[ask.op].waiting.appendleft(trip)
                    return True
            self._settle(trip, Interrupted(_STOPPED))
        else:
            self._go_on(trip, _resumed(trip.journey, outcome))
        return True

    def _next(self, ends: float) -> _Trip[_Item] | None:
        """Wait for the next call that is due, and take its slot: of several, that of whoever has come farthest."""
        with self._turn:
            while not self._ended:
                now = clock.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._join(heapq.heappop(self._later)[2])
                waiting = [line for line in self._lines.values() if line.waiting]
                line = min(waiting, key=lambda each: (max(each.pacer.due(), now), -each.depth), default=None)
                if line is not None and line.pacer.due() <= now:
                    line.pacer.take(now)
                    taken = line.waiting.popleft()
                    if self._later or any(each.waiting for each in waiting):
                        self._turn.notify()
                    return taken
                until = min(line.pacer.due() if line else math.inf, self._later[0][0] if self._later else math.inf)
                if now >= ends or (ends < math.inf and until == math.inf):
                    return None
                self._sleep(now, min(until, ends))
        return None

    def _sleep(self, now: float, until: float) -> None:
        """Wait for a change, or until then where no other thread watches the clock that far."""
        if until < self._watched:
            self._watched = until
            self._turn.wait(until - now)
            if self._watched == until:
                self._watched = math.inf
        else:
            self._turn.wait()

    def _join(self, trip: _Trip[_Item]) -> None:
        if trip.ask is None:
            # What paused has nothing to ask yet: it goes on at the next free hand.
            trip.ask = _NOTHING
        self._line(trip.ask.op).waiting.append(trip)

    def _made(self, line: _Line[_Item], ask: Ask) -> dict[str, Any] | BaseException:
        if ask is _NOTHING:
            return {}
        started, busy = clock.monotonic(), clock.busy()
        try:
            outcome: dict[str, Any] | BaseException = self._call(ask.op, once=True, **ask.params)
        except BaseException as error:  # noqa: BLE001  it is raised where the journey asked
            outcome = error
        now = clock.monotonic()
        with self._turn:
            if isinstance(outcome, Throttled):
                line.throttled += 1
                line.pacer.refused(now)
            else:
                line.done += 1
                line.pacer.admitted(now)
                self._load.measured(now - started, clock.busy() - busy)
        return outcome

    def _go_on(self, trip: _Trip[_Item], send: Callable[[], Ask | Pause]) -> None:
        """Let a journey go on until it asks for something, and stand in line for it."""
        try:
            asked = send()
        except StopIteration:
            self._settle(trip, None)
        except BaseException as error:  # noqa: BLE001  it is raised where the journey settles
            self._settle(trip, error)
        else:
            with self._turn:
                if not self._stop.is_set():
                    if isinstance(asked, Pause):
                        trip.ask = None
                        due = clock.monotonic() + asked.seconds
                        heapq.heappush(self._later, (due, next(self._number), trip))
                    else:
                        trip.ask = asked
                        self._join(trip)
                    self._turn.notify()
                    return
            trip.journey.close()
            self._settle(trip, Interrupted(_STOPPED))

    def _halt(self) -> None:
        """End all that wait; what is in flight finishes its call."""
        with self._turn:
            ended = [trip for line in self._lines.values() for trip in line.waiting]
            ended += [trip for _, _, trip in self._later]
            self._later.clear()
            for line in self._lines.values():
                line.waiting.clear()
        for trip in ended:
            trip.journey.close()
            self._settle(trip, Interrupted(_STOPPED))

    def _settle(self, trip: _Trip[_Item], error: BaseException | None) -> None:
        self._settled.put((trip.item, error))


_NOTHING: Final = Ask("", {})


def _resumed(journey: Journey, outcome: dict[str, Any] | BaseException) -> Callable[[], Ask | Pause]:
    """How a journey gets an answer."""
    if isinstance(outcome, BaseException):
        return lambda: journey.throw(outcome)
    return lambda: journey.send(outcome)
