"""A rollout before it exists: how many devices when, and how far a bad release gets before the brakes hold. Pure.

It counts in minutes in which the job may be rolled out, as AWS IoT does: a batch each, as large as the rate allows by
what has succeeded until then. A device ends a while after it is notified: well, or not. Nothing is offline, and nothing
is retried: what is offline only makes a rollout slower, and retries are told apart (see lint.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.rollout import MINUTE, abort_criteria, rollout
from iotctl.semantics.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from iotctl.semantics.schedule import Schedule

_SHARES: Final = (Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal(1))
_LONGEST: Final = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Mark:
    """A minute worth telling.

    Attributes:
        minute: from the start of the job.
        notified: things that have been notified at its end.
        rate: things a minute, from it on.
        what: why it is told.

    """

    minute: int
    notified: int
    rate: int
    what: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a job goes.

    Attributes:
        marks: the minutes worth telling, in order.
        minutes: when the last thing has ended; None: never, the schedule closes before.
        reached: things that were notified.
        aborted: the minute in which the abort criteria cancel it; None: they do not.

    """

    marks: tuple[Mark, ...]
    minutes: int | None
    reached: int
    aborted: int | None = None


def forecast(
    request: Mapping[str, Any], things: int, now: datetime, *, takes: float, failing: Decimal = Decimal(0)
) -> Forecast:
    """How a job goes if each thing takes so long, and so many of them fail.

    Args:
        request: CreateJob's parameters.
        things: how many there are.
        now: when it is created.
        takes: seconds from a thing's notification to its end; a minute at least is counted.
        failing: percent of the things that fail, spread evenly.

    """
    rates = rollout(request.get("jobExecutionsRolloutConfig"))
    criteria = abort_criteria(request.get("abortConfig"))
    lag = max(1, -int(-takes // MINUTE))
    ending: deque[tuple[int, int]] = deque()  # of those under way: the minute in which they end, how many they are
    notified = ended = rate = 0
    marks: list[Mark] = []
    shares = deque(_SHARES)
    for minute in _open_minutes(schedule(request.get("schedulingConfig")), now):
        while ending and ending[0][0] <= minute:
            ended += ending.popleft()[1]
        failed = int(ended * failing / 100)
        if any(criterion.met({"SUCCEEDED": ended - failed, "FAILED": failed}) for criterion in criteria):
            marks.append(Mark(minute, notified, 0, "the abort criteria cancel it"))
            return Forecast(tuple(marks), None, notified, minute)
        if notified == things:
            if not ending:
                marks.append(Mark(minute, notified, 0, "the last device has ended"))
                return Forecast(tuple(marks), minute, notified)
            continue
        before, rate = rate, rates.per_minute(notified, ended - failed)
        batch = min(rate, things - notified)
        notified += batch
        ending.append((minute + lag, batch))
        if rate != before:
            marks.append(Mark(minute, notified, rate, "it starts" if not before else "the rate grows"))
        while shares and notified >= shares[0] * things:
            share = shares.popleft()
            if not shares or notified < shares[0] * things:
                marks.append(Mark(minute, notified, rate, f"{share:.0%} have it"))
    return Forecast(tuple(marks), None, notified)


def _open_minutes(times: Schedule, now: datetime) -> Iterator[int]:
    """The minutes, from the job's start, in which it may be rolled out; none two years from now."""
    start = max(now, times.start) if times.start else now
    moment = start
    while moment - now < _LONGEST:
        change = times.next_change(moment)
        closing = change or now + _LONGEST
        if times.is_open(moment):
            while moment < closing:
                yield int((moment - start).total_seconds()) // MINUTE
                moment += timedelta(minutes=1)
        elif change is None:
            return
        moment = closing
