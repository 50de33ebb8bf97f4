"""An onboarding in a time of its own: the real engine, lines and pacers, against buckets of tokens; no wait is real.

What it tells depends on no machine, and on nothing else that runs on it: where the time of a run goes can be seen, and
a thousand seconds pass in one.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from iotctl import engine
from iotctl.errors import Throttled
from iotctl.lines import NOTHING, Trip
from iotctl.plan import Plan, Ref, Step
from iotctl.target import Target
from iotctl.traffic import Traffic
from iotctl.world import World

OPERATIONS: Final = (
    "iot:CreateThing",
    "iot:RegisterCertificateWithoutCA",
    "iot:AttachThingPrincipal",
    "iot:AttachPolicy",
)
WORKING: Final = 0.0009
"""Seconds of the interpreter that a call takes on the client (reference/performance.md, 3a)."""

MAKING: Final = 0.00025
"""Seconds that a device's durable bundle takes, made on the caller's thread (2d)."""

_Answer = dict[str, Any]


@dataclass(slots=True)
class Bucket:
    """So many tokens a second, and at most `depth` at once."""

    rate: float
    depth: float
    tokens: float = field(init=False)
    filled: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.depth

    def take(self, now: float) -> bool:
        """Whether a token was there."""
        self.tokens = min(self.depth, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Account:
    """What answers, after its latency, as its buckets let it.

    Attributes:
        buckets: by operation.
        latency: seconds until an answer, half of them until the bucket is asked; each varies by a fifth.
        changes: at so many seconds, each operation's rate becomes another.

    """

    buckets: Mapping[str, Bucket]
    latency: float
    changes: list[tuple[float, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def ask(self, op: str, now: float) -> tuple[float, bool]:
        """When the answer to a call that is sent now arrives, and whether it was let through."""
        while self.changes and self.changes[0][0] <= now:
            _, rate = self.changes.pop(0)
            for bucket in self.buckets.values():
                bucket.rate = rate
        latency = self.latency * self.random.uniform(0.8, 1.2)
        through = self.buckets[op].take(now + latency / 2)
        (self.counts if through else self.throttled)[op] += 1
        return now + latency, through


class Time:
    """The time of a simulation, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0


class SimulatedTraffic(Traffic[_Answer]):
    """Traffic whose hands are none: their calls are events in a simulated time.

    Each hand makes one call at a time; the interpreter's work for it keeps all others waiting.
    """

    def __init__(self, account: Account, time: Time, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._account = account
        self._time = time
        self._hands = 1
        self._flying: list[tuple[float, int, Trip[_Answer], bool, float]] = []
        self._free = 0.0
        self._event = itertools.count()
        self._done: list[tuple[_Answer, BaseException | None]] = []

    def settle(self, most: int, seconds: float) -> list[tuple[_Answer, BaseException | None]]:
        """As it is there."""
        ends = self._time.now + seconds
        while self.pending and not self._done and self._time.now < ends:
            self._hands = max(self._hands, self._lines.wanted())
            self._happen(ends)
        found, self._done = self._done[:most], self._done[most:]
        self.pending -= len(found)
        return found

    def busy(self, seconds: float) -> None:
        """The caller's thread works; the other hands, once there are any, go on."""
        ends = self._time.now + seconds
        while self._time.now < ends:
            if self._hands > 1:
                self._happen(ends)
            else:
                self._time.now = ends

    def _happen(self, ends: float) -> None:
        """Let the next thing happen, or the time pass until `ends`."""
        now = self._time.now
        free = len(self._flying) < self._hands
        begins = max(self._lines.due(now), self._free, now) if free else math.inf
        if min(begins, self._flying[0][0] if self._flying else math.inf) > ends:
            self._time.now = ends
        elif self._flying and self._flying[0][0] <= begins:
            self._time.now, _, trip, through, began = heapq.heappop(self._flying)
            if through:
                self._lines.answered(trip.ask.op, self._time.now, self._time.now - began, WORKING)
            else:
                self._lines.refused(trip.ask.op, self._time.now)
            self._return(trip, {} if through else Throttled("slow down"))
        else:
            self._time.now = begins
            taken = self._lines.take(begins)
            assert taken is not None
            if taken.ask is NOTHING:
                self._return(taken, {})
                return
            self._free = begins + WORKING
            answered, through = self._account.ask(taken.ask.op, self._free)
            heapq.heappush(self._flying, (answered, next(self._event), taken, through, begins))

    def _settle(self, trip: Trip[_Answer], error: BaseException | None) -> None:
        self._done.append((trip.item, error))


@dataclass(frozen=True, slots=True)
class Onboarding:
    """How a simulated run went.

    Attributes:
        seconds: from its first effect to its last answer.
        ideal: what the tightest quota alone allows, begun with a full bucket, and one latency for each operation.
        throttled: the share of calls that were refused.
        failed: devices that did not settle well.

    """

    seconds: float
    ideal: float
    throttled: float
    failed: int

    @property
    def ratio(self) -> float:
        """Times the ideal."""
        return self.seconds / self.ideal


def onboard(
    devices: int,
    *,
    rates: Mapping[str, float] | float,
    known: bool,
    start: float | None = None,
    latency: float = 0.04,
    depth: float = 1.0,
    changes: Sequence[tuple[float, float]] = (),
    watch: Callable[[float, Mapping[str, Any]], None] | None = None,
    turn: Callable[[Callable[[], float]], None],
) -> Onboarding:
    """Onboard so many devices, four calls each.

    Args:
        devices: how many.
        rates: the quotas, one for all operations or by operation.
        known: the engine is told of them; else it begins at `start`, or at the quota itself.
        latency: seconds.
        depth: seconds that a full bucket is good for.
        changes: (at seconds, rate), of all operations.
        watch: told the time and the flows, a few times a second.
        turn: makes this time that of `iotctl.clock`: `clock.monotonic` is to be what it is given.

    """
    quotas = dict.fromkeys(OPERATIONS, rates) if isinstance(rates, (int, float)) else dict(rates)
    time = Time()
    turn(lambda: time.now)
    buckets = {op: Bucket(rate, max(1.0, rate * depth)) for op, rate in quotas.items()}
    account = Account(buckets, latency, list(changes))
    made: list[SimulatedTraffic] = []

    def traffic(*args: Any, **options: Any) -> SimulatedTraffic:
        made.append(SimulatedTraffic(account, time, *args, **options))
        return made[-1]

    def publish(batch: Sequence[Mapping[str, Any]]) -> list[_Answer]:
        made[-1].busy(len(batch) * MAKING)
        return [{"id": one["thingName"]} for one in batch]

    rows = tuple({"thingName": f"t{number}", "line": number + 2} for number in range(devices))
    name = {"thingName": Ref("row.thingName")}
    each = (Step("file:PublishBundle", name, name="bundle"), *(Step(op, name) for op in OPERATIONS))
    plan = Plan("onboard apply", "r", Target("aws", "1", "us-east-1"), "", each=each, rows=rows)
    starts = {op: start or rate for op, rate in quotas.items()}
    world = World(
        call=lambda *_: {},
        members=lambda _: frozenset(),
        effects={"file:PublishBundle": publish},  # type: ignore[dict-item]  # it never fails
        rates=quotas if known else {},
        starts={} if known else starts,
        stop=threading.Event(),
        traffic=traffic,
        watch=(lambda flows: watch(time.now, flows())) if watch else lambda _: None,
    )
    failed = sum(outcome.state != "done" for outcome in engine.run(plan, world))
    refused, calls = account.throttled.total(), account.counts.total()
    ideal = max(_filled(devices - rate * depth, rate, changes) for rate in quotas.values()) + len(OPERATIONS) * latency
    return Onboarding(time.now, ideal, refused / (calls + refused), failed)


def _filled(calls: float, rate: float, changes: Sequence[tuple[float, float]]) -> float:
    """Seconds until so many calls are allowed, at a rate that changes."""
    began = 0.0
    for at, other in changes:
        if began + calls / rate <= at:
            break
        calls, began, rate = calls - (at - began) * rate, at, other
    return began + calls / rate
