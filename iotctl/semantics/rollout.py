"""How a job is rolled out, aborted, timed out and retried: for `ota plan` and for the platform's jobs.

Configurations are JSON objects with AWS's own member names, as CreateJob takes them. Percentages and factors are
decimals: no float is ever compared. Sources: AWS IoT developer guide, jobs-configurations-details, iot-jobs-lifecycle,
job-limits; API reference, JobExecutionsRolloutConfig, AbortCriteria, RetryCriteria, TimeoutConfig.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST_PER_MINUTE: Final = 1000
"""Things that AWS IoT notifies in a minute where nothing slower is configured."""
LONGEST_MINUTES: Final = 10080
"""The longest in-progress or step timer: seven days."""
MOST_RETRIES: Final = 10
"""Of one thing, for every failure type together."""
MINUTE: Final = 60

PENDING: Final = ("IN_PROGRESS", "QUEUED")
"""The statuses of an execution that is to be done, in the order in which devices get them."""
TERMINAL: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"})
REPORTABLE: Final = frozenset({"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"})
"""The statuses that a device may set."""
EXECUTED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED"})
"""The statuses of things that have executed the job, one way or the other."""
FAILURES: Final = ("FAILED", "REJECTED", "TIMED_OUT")

_ALL: Final = "ALL"
_STEP_OFF: Final = -1


class RolloutError(ValueError):
    """A configuration that AWS IoT does not take; the text says why."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How many things are notified of a job in a minute.

    Attributes:
        base: things a minute at first.
        factor: what each increase multiplies the rate by; 1: it never increases.
        notified: notified things for each increase; 0: they do not count.
        succeeded: succeeded things for each increase; 0: they do not count.
        most: the rate that is never exceeded.

    """

    base: int = MOST_PER_MINUTE
    factor: Decimal = Decimal(1)
    notified: int = 0
    succeeded: int = 0
    most: int = MOST_PER_MINUTE

    def per_minute(self, notified: int, succeeded: int) -> int:
        """The rate once so many things are notified and have succeeded; whichever criterion is further ahead counts."""
        steps = max(
            notified // self.notified if self.notified else 0, succeeded // self.succeeded if self.succeeded else 0
        )
        rate = Decimal(self.base)
        while steps and rate < self.most and self.factor > 1:
            rate *= self.factor
            steps -= 1
        return min(int(rate), self.most)

    def allowance(self, notified: int, succeeded: int, last_minute: int) -> int:
        """How many more things may be notified now.

        Args:
            notified: things that were notified so far.
            succeeded: those of them that have succeeded.
            last_minute: those that were notified less than a minute ago.

        """
        return max(0, self.per_minute(notified, succeeded) - last_minute)

    def batches(self, things: int, *, succeeding: bool = True) -> Iterator[int]:
        """How many things are notified in each minute, until all are; nothing waits, and nothing fails.

        Args:
            things: how many there are.
            succeeding: whether every thing has succeeded by the minute after its notification; else none ever does.

        """
        notified = 0
        while notified < things:
            batch = min(self.per_minute(notified, notified if succeeding else 0), things - notified)
            notified += batch
            yield batch


def rollout(configuration: Mapping[str, Any] | None) -> Rollout:
    """The rollout of a `jobExecutionsRolloutConfig`.

    Raises:
        RolloutError: a rate out of bounds, a factor with more than one decimal, no criterion for an increase.

    """
    given = configuration or {}
    most = given.get("maximumPerMinute", MOST_PER_MINUTE)
    _bounded("maximumPerMinute", most, 1, MOST_PER_MINUTE)
    exponential = given.get("exponentialRate")
    if exponential is None:
        return Rollout(base=most, most=most)
    base, factor = exponential["baseRatePerMinute"], _decimal(exponential["incrementFactor"])
    _bounded("baseRatePerMinute", base, 1, MOST_PER_MINUTE)
    if not Decimal("1.1") <= factor <= 5:
        raise RolloutError(f"incrementFactor must be between 1.1 and 5, not {factor}")
    _places("incrementFactor", factor, 1)
    if base > most:
        raise RolloutError(f"baseRatePerMinute {base} is more than maximumPerMinute {most}")
    criteria = exponential["rateIncreaseCriteria"]
    notified, succeeded = criteria.get("numberOfNotifiedThings", 0), criteria.get("numberOfSucceededThings", 0)
    if not notified and not succeeded:
        raise RolloutError("rateIncreaseCriteria needs numberOfNotifiedThings or numberOfSucceededThings")
    return Rollout(base, factor, notified, succeeded, most)


@dataclass(frozen=True, slots=True)
class AbortCriterion:
    """When failures cancel a job.

    Attributes:
        failures: the statuses that count as failures.
        threshold: percent of the executed things that must have failed.
        minimum: things that must have executed the job before anything is decided.

    """

    failures: frozenset[str]
    threshold: Decimal
    minimum: int

    def met(self, things: Mapping[str, int]) -> bool:
        """Whether the job is to be canceled, by the number of things that ended in each status."""
        executed = sum(things.get(status, 0) for status in EXECUTED)
        failed = sum(things.get(status, 0) for status in self.failures)
        return executed >= self.minimum and failed > 0 and failed * 100 >= self.threshold * executed


def abort_criteria(configuration: Mapping[str, Any] | None) -> tuple[AbortCriterion, ...]:
    """The criteria of an `abortConfig`; any one of them cancels the job.

    Raises:
        RolloutError: a percentage out of bounds or with more than two decimals.

    """
    found = []
    for criterion in (configuration or {}).get("criteriaList", ()):
        threshold = _decimal(criterion["thresholdPercentage"])
        if not 0 <= threshold <= 100:
            raise RolloutError(f"thresholdPercentage must be between 0 and 100, not {threshold}")
        _places("thresholdPercentage", threshold, 2)
        _bounded("minNumberOfExecutedThings", criterion["minNumberOfExecutedThings"], 1)
        kind = criterion["failureType"]
        failures = frozenset(FAILURES if kind == _ALL else (kind,))
        found.append(AbortCriterion(failures, threshold, criterion["minNumberOfExecutedThings"]))
    return tuple(found)


def earliest_abort(batches: Iterable[int], criteria: Sequence[AbortCriterion]) -> tuple[int, int] | None:
    """The first minute (from 0) in which a job can be canceled if every thing fails, and the things notified by then.

    None: the job has too few things for any criterion, or no criteria.
    """
    minimum = min((criterion.minimum for criterion in criteria), default=None)
    notified = 0
    for minute, batch in enumerate(batches):
        notified += batch
        if minimum is not None and notified >= minimum:
            return minute, notified
    return None


def retries(configuration: Mapping[str, Any] | None) -> dict[str, int]:
    """How often each failure type is retried, by a `jobExecutionsRetryConfig`; `ALL` counts both together.

    Raises:
        RolloutError: more retries than a thing may have, or a failure type twice.

    """
    found: dict[str, int] = {}
    for criterion in (configuration or {}).get("criteriaList", ()):
        kind = criterion["failureType"]
        if kind in found or (found and _ALL in {kind, *found}):
            raise RolloutError(f"criteriaList has the failure type {kind} beside one that it overlaps")
        found[kind] = criterion["numberOfRetries"]
    if sum(found.values()) > MOST_RETRIES:
        raise RolloutError(f"a thing cannot have more than {MOST_RETRIES} retries for all failure types")
    return found


def retried(allowed: Mapping[str, int], failure: str, attempts: Mapping[str, int]) -> bool:
    """Whether a failed execution is queued again.

    Args:
        allowed: of `retries`.
        failure: the status that it ended in; only FAILED and TIMED_OUT are retried.
        attempts: the retries that there were, by the failure that caused them.

    """
    if failure not in {"FAILED", "TIMED_OUT"}:
        return False
    if _ALL in allowed:
        return sum(attempts.values()) < allowed[_ALL]
    return attempts.get(failure, 0) < allowed.get(failure, 0)


def in_progress_minutes(configuration: Mapping[str, Any] | None) -> int | None:
    """The minutes of a `timeoutConfig`; None: executions may take forever.

    Raises:
        RolloutError: out of bounds.

    """
    minutes: int | None = (configuration or {}).get("inProgressTimeoutInMinutes")
    if minutes is not None:
        _bounded("inProgressTimeoutInMinutes", minutes, 1, LONGEST_MINUTES)
    return minutes


def step_due(minutes: int | None, now: float, before: float | None) -> float | None:
    """When the step timer ends, in seconds since 1970.

    Args:
        minutes: of the request: None leaves the timer as it is, -1 stops it.
        now: the time of the request.
        before: when it would have ended.

    Raises:
        RolloutError: out of bounds.

    """
    if minutes is None:
        return before
    if minutes == _STEP_OFF:
        return None
    _bounded("stepTimeoutInMinutes", minutes, 1, LONGEST_MINUTES)
    return now + minutes * MINUTE


def may_report(current: str, status: str) -> bool:
    """Whether a device may set a status: nothing follows a terminal one."""
    return current in PENDING and status in REPORTABLE


def _decimal(number: float | str | Decimal) -> Decimal:
    return Decimal(str(number))


def _places(name: str, number: Decimal, most: int) -> None:
    if number != number.quantize(Decimal(1).scaleb(-most)):
        raise RolloutError(f"{name} has at most {most} digit{'s' if most > 1 else ''} after the point, not {number}")


def _bounded(name: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        words = f"at least {least}" if most is None else f"between {least} and {most}"
        raise RolloutError(f"{name} must be {words}, not {value}")
