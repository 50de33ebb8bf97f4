"""Calls on their way, on threads: as many at a time as their waiting makes sense of (`iotctl.lines` says who is next).

A call that AWS throttles goes back to the head of its line, free of charge. On an endpoint next to this machine the
caller's thread is enough.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Self

from iotctl import clock
from iotctl.errors import Interrupted, Throttled
from iotctl.lines import NOTHING, Ask, Flow, Item, Journey, Lines, Pause, Trip

Call = Callable[..., dict[str, Any]]

_STOPPED: Final = "stopped before its steps were done"


class Traffic(Generic[Item]):
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
        self._turn = threading.Condition()
        self._lines: Lines[Item] = Lines(rates, starts, order)
        self._settled: queue.SimpleQueue[tuple[Item, BaseException | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ended = False
        self._watched = math.inf  # until when a thread sleeps on behalf of all: the others need no clock
        self.pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let what is in flight finish, and leave the rest."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, item: Item, journey: Journey) -> None:
        """Begin a journey; it settles when it ends."""
        self.pending += 1
        self._go_on(Trip(item, journey), lambda: journey.send(None))  # type: ignore[arg-type]  # as it must begin

    def settle(self, most: int, seconds: float) -> list[tuple[Item, BaseException | None]]:
        """Those that have settled, with what went wrong: at least one, at most so many; none after so many seconds."""
        found: list[tuple[Item, BaseException | None]] = []
        ends = clock.monotonic() + seconds
        while self.pending and len(found) < most:
            if self._stop.is_set():
                self._halt()
            while self._alone() and self._settled.empty() and self._attempt_next(ends) and not self._stop.is_set():
                pass
            self._grow(self._lines.wanted())
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

    def flows(self) -> dict[str, Flow]:
        """How each operation fares."""
        with self._turn:
            return self._lines.flows(clock.monotonic())

    def _asked(self, journey: Journey, ask: Ask) -> Callable[[], Ask | Pause]:
        pacer = self._lines.line(ask.op).pacer
        while True:
            with self._turn:
                now = clock.monotonic()
                wait = pacer.due() - now
                pacer.take(max(now, pacer.due()))
            if self._stop.wait(max(0.0, wait)):
                raise Interrupted(_STOPPED)
            outcome = self._made(ask)
            if not isinstance(outcome, Throttled):
                return _resumed(journey, outcome)

    def _alone(self) -> bool:
        """Whether the caller's thread makes the calls: it is enough, as far as is known."""
        return not self._threads and self._lines.wanted() <= 1

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
        self._return(trip, {} if trip.ask is NOTHING else self._made(trip.ask))
        return True

    def _next(self, ends: float) -> Trip[Item] | None:
        """Wait for the next call that is due, and take its slot."""
        with self._turn:
            while not self._ended:
                now = clock.monotonic()
                taken = self._lines.take(now)
                if taken is not None:
                    if self._lines.waiting():
                        self._turn.notify()
                    return taken
                until = self._lines.due(now)
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

    def _made(self, ask: Ask) -> dict[str, Any] | BaseException:
        started, busy = clock.monotonic(), clock.busy()
        try:
            outcome: dict[str, Any] | BaseException = self._call(ask.op, once=True, **ask.params)
        except BaseException as error:  # noqa: BLE001  it is raised where the journey asked
            outcome = error
        now = clock.monotonic()
        with self._turn:
            if isinstance(outcome, Throttled):
                self._lines.refused(ask.op, now)
            else:
                self._lines.answered(ask.op, now, now - started, clock.busy() - busy)
        return outcome

    def _return(self, trip: Trip[Item], outcome: dict[str, Any] | BaseException) -> None:
        """Give a journey the answer to its call; one that was throttled is made again."""
        if not isinstance(outcome, Throttled):
            self._go_on(trip, _resumed(trip.journey, outcome))
            return
        with self._turn:
            if not self._stop.is_set():
                self._lines.back(trip)
                return
        self._settle(trip, Interrupted(_STOPPED))

    def _go_on(self, trip: Trip[Item], send: Callable[[], Ask | Pause]) -> None:
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
                    self._lines.join(trip, asked, clock.monotonic())
                    self._turn.notify()
                    return
            trip.journey.close()
            self._settle(trip, Interrupted(_STOPPED))

    def _halt(self) -> None:
        """End all that wait; what is in flight finishes its call."""
        with self._turn:
            ended = self._lines.clear()
        for trip in ended:
            trip.journey.close()
            self._settle(trip, Interrupted(_STOPPED))

    def _settle(self, trip: Trip[Item], error: BaseException | None) -> None:
        self._settled.put((trip.item, error))


def _resumed(journey: Journey, outcome: dict[str, Any] | BaseException) -> Callable[[], Ask | Pause]:
    """How a journey gets an answer."""
    if isinstance(outcome, BaseException):
        return lambda: journey.throw(outcome)
    return lambda: journey.send(outcome)
