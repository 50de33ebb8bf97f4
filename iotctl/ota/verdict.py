"""How a phase of a rollout stands: what its job's counts say, against what was asked for. Pure.

Devices that never came are told apart from those that failed: a canceled or a late rollout leaves many of the first.
Sources: API reference, JobProcessDetails and Job; developer guide, iot-jobs-lifecycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from iotctl.ota.rollout import Goal, Labels

_COUNTS: Final = {
    "succeeded": "numberOfSucceededThings",
    "failed": "numberOfFailedThings",
    "rejected": "numberOfRejectedThings",
    "timed_out": "numberOfTimedOutThings",
    "in_progress": "numberOfInProgressThings",
    "queued": "numberOfQueuedThings",
    "canceled": "numberOfCanceledThings",
    "removed": "numberOfRemovedThings",
}


class State(StrEnum):
    """How a phase stands."""

    RUNNING = "running"
    PASSED = "passed"
    """Enough things have succeeded; those that come later get it too, as long as the job is there."""
    FAILED = "failed"


class Why(StrEnum):
    """Why a phase has failed."""

    CANCELED = "CANCELED"
    """The job was canceled: by its abort criteria, or by someone."""
    DELETED = "DELETED"
    TOO_FEW = "TOO_FEW"
    """It is over, and fewer things have succeeded than was asked for."""
    DEADLINE = "DEADLINE"
    """The time is over, and too few things have succeeded."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many things of a job are in each status, by `jobProcessDetails`."""

    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    timed_out: int = 0
    in_progress: int = 0
    queued: int = 0
    canceled: int = 0
    removed: int = 0

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Counts:
        """The counts of a job, as DescribeJob describes it."""
        details = job.get("jobProcessDetails", {})
        return cls(**{key: int(details.get(name) or 0) for key, name in _COUNTS.items()})

    @property
    def broken(self) -> int:
        """Things that tried, or refused, or did not end in time."""
        return self.failed + self.rejected + self.timed_out

    def total(self, expected: int) -> int:
        """How many things it is for: those that were counted, or more where more have come; none that has left."""
        known = self.succeeded + self.broken + self.in_progress + self.queued + self.canceled
        return max(expected - self.removed, known)

    def never_reached(self, expected: int) -> int:
        """Things that have not begun: queued, not yet notified, or canceled before they came."""
        return self.total(expected) - self.succeeded - self.broken - self.in_progress


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a phase stands.

    Attributes:
        state: in a word.
        counts: of its job.
        total: how many things it is for.
        why: where it has failed.
        due: when its deadline is; None: it has none.

    """

    state: State
    counts: Counts
    total: int
    why: Why | None = None
    due: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The verdict with its figures."""
        figures = {_camel(key): getattr(self.counts, key) for key in _COUNTS}
        reached = {"neverReached": self.counts.never_reached(self.total)}
        return {"state": self.state.value, "why": self.why.value if self.why else None, "total": self.total} | (
            figures | reached
        )


def judge(job: Mapping[str, Any], labels: Labels, now: datetime) -> Verdict:
    """How a phase stands now.

    Args:
        job: as DescribeJob describes it.
        labels: of its tags.
        now: the time.

    """
    counts = Counts.of(job)
    total = counts.total(labels.things)
    due = deadline(job, labels.goal)

    def verdict(state: State, why: Why | None = None) -> Verdict:
        return Verdict(state, counts, total, why, due)

    enough = is_enough(counts.succeeded, total, labels.goal)
    status = job.get("status")
    if status == "DELETION_IN_PROGRESS":
        return verdict(State.FAILED, Why.DELETED)
    if status == "CANCELED":
        return verdict(State.FAILED, Why.CANCELED)
    if enough:
        return verdict(State.PASSED)
    if status == "COMPLETED":
        return verdict(State.FAILED, Why.TOO_FEW)
    if due is not None and now >= due:
        return verdict(State.FAILED, Why.DEADLINE)
    return verdict(State.RUNNING)


def is_enough(things: int, total: int, goal: Goal) -> bool:
    """Whether so many things of all are what was asked for."""
    return total > 0 and Decimal(things) * 100 >= goal.passing * total


def deadline(job: Mapping[str, Any], goal: Goal) -> datetime | None:
    """When a phase is judged as it is then: counted from its scheduled start, or from when it was made."""
    if not goal.deadline:
        return None
    start: datetime = schedule(job.get("schedulingConfig")).start or job["createdAt"]
    return start + timedelta(seconds=goal.deadline)


def passed_at(ended: Iterable[datetime], total: int, goal: Goal) -> datetime | None:
    """When a phase had gone well: when the last of the things that were needed for it succeeded.

    Args:
        ended: when each thing that succeeded did so.
        total: how many things it is for.
        goal: what was asked for.

    """
    for number, moment in enumerate(sorted(ended), 1):
        if is_enough(number, total, goal):
            return moment
    return None


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.title() for word in rest)
