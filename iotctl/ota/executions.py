"""Job executions -> how far a rollout is: what AWS counts, as values. Pure; the verdict on it is in `standing`.

    Counts    the things of a job by their status
    Job       what DescribeJob tells of one, as far as it matters here
    Phase     a job and what it is for: canary, fleet, a retry

A thing that never came is not one that failed: the two are counted apart, everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from iotctl.semantics import rollout, schedule
from iotctl.semantics.rollout import AbortCriterion, Rollout, RolloutError
from iotctl.semantics.schedule import Schedule, ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JOB: Final = "job"
"""The phase of a job that is no rollout of ours."""
RETRY: Final = "retry"

_Value = TypeVar("_Value")
_ACTIVE: Final = frozenset({"SCHEDULED", "IN_PROGRESS"})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many things of a job are in each status: `jobProcessDetails` without its long names."""

    queued: int = 0
    in_progress: int = 0
    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    timed_out: int = 0
    canceled: int = 0
    removed: int = 0

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Counts:
        """The counts of a `jobProcessDetails`; what it does not name is none."""
        return cls(**{name: int(details.get(long) or 0) for name, long in _DETAILS.items()})

    @property
    def failures(self) -> int:
        """Things that got it and did not make it."""
        return self.failed + self.rejected + self.timed_out

    @property
    def held(self) -> int:
        """Things that have an execution; those that left the job's groups, or the registry, are no part of it."""
        return self.queued + self.in_progress + self.succeeded + self.failures + self.canceled

    def by_status(self) -> dict[str, int]:
        """The counts under AWS's own names of the statuses."""
        return {each.name.upper(): getattr(self, each.name) for each in fields(self)}


_DETAILS: Final = {
    each.name: f"numberOf{''.join(word.capitalize() for word in each.name.split('_'))}Things" for each in fields(Counts)
}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now.

    Attributes:
        job_id: its id.
        status: SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED or DELETION_IN_PROGRESS.
        counts: of its executions.
        things: how many it was made for, where that is known: those that were not notified yet have no execution.
        rolling: whether things wait to be notified.
        continuous: whether things that join its groups get it too; such a job never completes.
        abort: the criteria that cancel it.
        rate: how it is rolled out.
        created: in seconds since 1970, as are the others.
        starts: when it is scheduled to begin; 0: at once.
        completed: when it ended, None while it has not.
        comment: why it was canceled, in words.
        forced: whether it was canceled with force.

    """

    job_id: str
    status: str
    counts: Counts = Counts()
    things: int | None = None
    rolling: bool = False
    continuous: bool = False
    abort: tuple[AbortCriterion, ...] = ()
    rate: Rollout = field(default_factory=Rollout)
    created: float = 0.0
    starts: float = 0.0
    completed: float | None = None
    comment: str = ""
    forced: bool = False

    @classmethod
    def of(cls, described: Mapping[str, Any], things: int | None = None) -> Job:
        """The job of a DescribeJob's `job`.

        Args:
            described: with times as botocore gives them.
            things: how many it was made for; None: as many as its targets name, if it names no group.

        """
        details = described.get("jobProcessDetails") or {}
        counts, status = Counts.of(details), str(described["status"])
        named = [target for target in described.get("targets") or () if ":thing/" in target]
        if things is None and named and len(named) == len(described["targets"]):
            things = len(named)
        times = _read(schedule.schedule, described.get("schedulingConfig"), Schedule())
        return cls(
            job_id=str(described["jobId"]),
            status=status,
            counts=counts,
            things=things,
            # AWS clears processingTargets once all are notified; right after CreateJob nothing may be there yet.
            rolling=status in _ACTIVE
            and (bool(details.get("processingTargets")) or not (counts.held + counts.removed)),
            continuous=described.get("targetSelection") == "CONTINUOUS",
            abort=_read(rollout.abort_criteria, described.get("abortConfig"), ()),
            rate=_read(rollout.rollout, described.get("jobExecutionsRolloutConfig"), Rollout()),
            created=_epoch(described.get("createdAt")) or 0.0,
            starts=times.start.timestamp() if times.start else 0.0,
            completed=_epoch(described.get("completedAt")),
            comment=str(described.get("comment") or described.get("reasonCode") or ""),
            forced=bool(described.get("forceCanceled")),
        )

    @property
    def total(self) -> int:
        """The things that it is for, as far as is known."""
        return max((self.things or 0) - self.counts.removed, self.counts.held)

    @property
    def total_is_known(self) -> bool:
        """Whether no more things can turn up than are counted in `total`."""
        return self.things is not None or not self.rolling

    @property
    def waiting(self) -> int:
        """Things that have no execution: not notified yet, or never to be."""
        return self.total - self.counts.held

    @property
    def unreached(self) -> int:
        """Things that have not begun: whether they ever come, nobody knows."""
        return self.waiting + self.counts.queued

    @property
    def coming(self) -> int:
        """Those of them that still may: a job that has ended, or a rollout that has, brings it to nobody else."""
        return (self.counts.queued if self.is_active else 0) + (self.waiting if self.rolling else 0)

    @property
    def is_active(self) -> bool:
        """Whether it is brought to things, or will be."""
        return self.status in _ACTIVE

    @property
    def is_over(self) -> bool:
        """Whether nothing more is going to happen."""
        return not self.is_active and not (self.status == "CANCELED" and self.counts.in_progress)

    @property
    def is_aborted(self) -> bool:
        """Whether its own criteria canceled it."""
        things = self.counts.by_status()
        return self.status == "CANCELED" and any(criterion.met(things) for criterion in self.abort)


@dataclass(frozen=True, slots=True)
class Phase:
    """A job of a rollout, and what it is for: `canary`, `fleet`, `retry`, `retry-2`, …; JOB where it is alone."""

    name: str
    job: Job

    @property
    def is_retry(self) -> bool:
        """Whether it is for what failed in an earlier one."""
        return self.name.startswith(RETRY)


def _epoch(given: object) -> float | None:
    """Seconds since 1970 of a time as botocore gives it, or as a schedule has it in words."""
    if isinstance(given, datetime):
        return given.timestamp()
    if isinstance(given, str) and given:
        return datetime.fromisoformat(given).timestamp()
    return float(given) if isinstance(given, int | float) else None


def _read(parse: Callable[[Any], _Value], given: Any, otherwise: _Value) -> _Value:  # noqa: ANN401  AWS's own shapes
    """A configuration as a value; one that AWS took and we do not know is no reason to show nothing."""
    try:
        return parse(given)
    except (RolloutError, ScheduleError, KeyError):
        return otherwise
