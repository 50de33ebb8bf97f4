"""How fast and how many at a time: calls spaced by quota, threads by what a call waits for."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_WORKERS: Final = 32
NEAR: Final = 0.005
"""Seconds: an endpoint that keeps a call waiting for less is on this machine or next to it."""

_Item = TypeVar("_Item")


class Pacer:
    """Spaces the calls of one operation, `rate` slots a second; refusals make it slower, quiet faster."""

    def __init__(self, rate: float) -> None:
        self._lock = threading.Lock()
        self._most = self._rate = rate * 0.995
        self._next = 0.0
        self._slowed = 0.0

    def delay(self) -> float:
        """Take the next slot; the seconds until it comes."""
        with self._lock:
            now = clock.monotonic()
            if self._rate < self._most and now - self._slowed > 3:
                self._rate = min(self._most, self._rate * 1.04)
                self._slowed = now - 2
            slot = max(self._next, now)
            self._next = slot + 1 / self._rate
            return slot - now

    def slower(self) -> None:
        """A throttle: everyone was too fast for the last moment; one step down for all refusals of one round trip."""
        with self._lock:
            now = clock.monotonic()
            if now - self._slowed > 0.6:
                self._rate = max(0.5, self._rate * 0.8)
                self._slowed = now
            self._next = max(self._next, now + 1 / self._rate)


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


class Workers(Generic[_Item]):
    """Threads that take items from one queue; as many as are wanted, and none where one is: the caller's is enough.

    Args:
        attempt: what is done with an item; it returns what went wrong, and raises nothing.
        wanted: how many threads are wanted now.

    """

    def __init__(self, attempt: Callable[[_Item], BaseException | None], wanted: Callable[[], int]) -> None:
        self._attempt = attempt
        self._wanted = wanted
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._settled: queue.SimpleQueue[tuple[_Item, BaseException | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let what is in flight finish, and leave the rest."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for _thread in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def carry_out(self, items: Sequence[_Item]) -> Iterator[tuple[_Item, BaseException | None]]:
        """Attempt each; they come back as they settle."""
        left = iter(items)
        while self._wanted() <= 1 and not self._threads:
            item = next(left, None)
            if item is None:
                return
            yield item, self._attempt(item)
        handed_out = list(left)
        for item in handed_out:
            self._waiting.put(item)
        for _ in handed_out:
            self._grow()
            yield self._settled.get()

    def _grow(self) -> None:
        while len(self._threads) < self._wanted():
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._settled.put((item, self._attempt(item)))
