"""What was named: a rollout with its jobs, or a job that is no rollout of ours. It is read, never changed."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Auth, NotFound, Usage
from iotctl.ota import rollout
from iotctl.ota.executions import JOB, Job, Phase
from iotctl.ota.junit import Ended
from iotctl.ota.rollout import CANARY, FLEET, RETRY, Labels
from iotctl.ota.standing import ALL, Terms
from iotctl.semantics.rollout import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from iotctl.aws import Aws

PAGE: Final = 250
_MOST_PAGES: Final = 100
_LONGEST_KEPT: Final = 44


@dataclass(frozen=True, slots=True)
class Subject:
    """A rollout or a job, as it is now.

    Attributes:
        name: the rollout's id; of a job that is none its own.
        phases: its jobs, in the order in which they were made.
        described: each job as DescribeJob describes it, by its id.
        labels: what the tags of its main job say; None: it is no rollout of ours.

    """

    name: str
    phases: tuple[Phase, ...]
    described: Mapping[str, Mapping[str, Any]]
    labels: Labels | None = None

    def __str__(self) -> str:
        """What it is, for a person."""
        return f"the {'rollout' if self.labels else 'job'} {self.name}"

    @property
    def main(self) -> Phase:
        """The phase whose things are all that there are: the fleet; the canary while there is no more."""
        return next(phase for phase in reversed(self.phases) if not phase.is_retry)

    @property
    def more(self) -> bool:
        """Whether the fleet is still to follow."""
        return self.main.name == CANARY

    @property
    def expected(self) -> list[str]:
        """The ids of the jobs that are still to come."""
        return [rollout.job_id(self.name, FLEET)] if self.more else []

    @property
    def counting(self) -> list[Phase]:
        """The phases that decide: the main one, and those that tried its failed things again."""
        return [self.main, *(phase for phase in self.phases if phase.is_retry)]

    @property
    def again(self) -> dict[str, frozenset[str]]:
        """By job id, the things of a job that a later one has again."""
        found: dict[str, frozenset[str]] = {}
        later: frozenset[str] = frozenset()
        for phase in reversed(self.counting):
            found[phase.job.job_id] = later
            if phase.is_retry:
                targets = self.described[phase.job.job_id].get("targets") or ()
                later |= {target.rpartition("/")[2] for target in targets}
        return found

    def retry(self, number: int) -> tuple[str, str]:
        """The phase and the job id of a retry, from 1 on."""
        phase = RETRY if number == 1 else f"{RETRY}-{number}"
        if self.labels is None and len(self.name) > _LONGEST_KEPT:
            return phase, f"{self.name[:_LONGEST_KEPT]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}-{phase}"
        return phase, rollout.job_id(self.name, phase)

    def terms(self, share: Decimal | None = None, deadline: float | None = None) -> Terms:
        """What it is judged by: what was asked for when it was made, or what is asked for now.

        Args:
            share: percent; None: the rollout's own.
            deadline: seconds from the start of its main job; None: the rollout's own, 0: for ever.

        """
        goal = self.labels.goal if self.labels else None
        seconds = deadline if deadline is not None else goal.deadline if goal else 0.0
        start = max(self.main.job.created, self.main.job.starts)
        passing = share if share is not None else goal.passing if goal else ALL
        stopped = self.labels.stopped if self.labels and self.more else ""
        return Terms(passing, start + seconds if seconds else None, more=self.more, stopped=stopped)

    @property
    def may_go_on(self) -> bool:
        """Whether the fleet may still follow the canary."""
        return self.more and not (self.labels and self.labels.stopped) and self.main.job.status != "CANCELED"


def find(aws: Aws, typed: str) -> Subject:
    """What a word names: a rollout by its id or by that of one of its jobs, or a job.

    Raises:
        NotFound: there is none. Integrity: the tags of the rollout were changed.

    """
    name = _rollout_named(typed)
    found = _rollout(aws, name) if name else None
    if found is None:
        described = _described(aws, typed)
        if described is None:
            raise NotFound(f"there is no rollout and no job {typed}", hint="iotctl ota list", on=typed)
        found = Subject(typed, (Phase(JOB, Job.of(described)),), {typed: described})
    return _with_retries(aws, found)


def renewed(aws: Aws, subject: Subject) -> Subject:
    """The same as it is now: what has ended does not change any more, and is not asked for again.

    Raises:
        NotFound: one of its jobs was deleted.

    """
    phases, described = list[Phase](), dict(subject.described)
    for phase in subject.phases:
        if phase.job.is_over:
            phases.append(phase)
            continue
        job_id = phase.job.job_id
        answer = _described(aws, job_id)
        if answer is None:
            raise NotFound(f"the job {job_id} was deleted", hint="iotctl ota list", on=job_id)
        described[job_id] = answer
        phases.append(Phase(phase.name, Job.of(answer, phase.job.things)))
    now = replace(subject, phases=tuple(phases), described=described)
    if now.more and (grown := _rollout(aws, subject.name)) is not None and not grown.more:
        return grown
    return now


def sized(aws: Aws, subject: Subject) -> Subject:
    """The same with the number of things that its main job is for, where that has to be counted in groups.

    Those that are not notified yet are in no count of AWS's. Where there are too many to count, or the groups may not
    be read, it stays unknown, and nothing is judged before the last of them is notified.
    """
    main = subject.main
    if main.job.things is not None or not main.job.rolling:
        return subject
    try:
        things = _members(aws, subject.described[main.job.job_id].get("targets") or ())
    except (Auth, NotFound):
        return subject
    counted = Phase(main.name, replace(main.job, things=things))
    return replace(subject, phases=tuple(counted if phase is main else phase for phase in subject.phases))


def executions(aws: Aws, job_id: str, status: str | None = None) -> Iterator[Ended]:
    """The executions of a job, by thing."""
    asked = {"status": status} if status else {}
    for page in aws.pages("iot:ListJobExecutionsForJob", jobId=job_id, maxResults=PAGE, **asked):
        for one in page.get("executionSummaries", ()):
            summary = one["jobExecutionSummary"]
            yield Ended(
                one["thingArn"].rpartition("/")[2],
                summary["status"],
                (summary["lastUpdatedAt"] - summary["queuedAt"]).total_seconds(),
            )


def failed(aws: Aws, found: Subject) -> list[str]:
    """The things that failed and are in no later job, sorted; a retry that was canceled left its things failed."""
    again = found.again
    return sorted(
        {
            one.thing_name
            for phase in found.counting
            for status in (*FAILURES, *(("CANCELED",) if phase.is_retry else ()))
            if phase.job.counts.by_status()[status]
            for one in executions(aws, phase.job.job_id, status)
            if one.thing_name not in again[phase.job.job_id]
        }
    )


def _rollout_named(typed: str) -> str:
    """The rollout that a word may be the id of; nothing where its form says that it is none."""
    try:
        return rollout.named(typed)
    except Usage:
        return ""


def _rollout(aws: Aws, name: str) -> Subject | None:
    """A rollout with those of its phases that there are; None: there are none, or they are somebody else's jobs."""
    phases: list[Phase] = []
    described: dict[str, Mapping[str, Any]] = {}
    labels = None
    for phase in (CANARY, FLEET):
        job_id = rollout.job_id(name, phase)
        answer = _described(aws, job_id)
        if answer is None:
            continue
        found = labels_of(aws, answer)
        if found is None or found.rollout_id != name:
            return None
        labels = found
        described[job_id] = answer
        phases.append(Phase(phase, Job.of(answer, found.things)))
    return Subject(name, tuple(phases), described, labels) if phases else None


def labels_of(aws: Aws, described: Mapping[str, Any]) -> Labels | None:
    """What the tags of a job say; None: it is no rollout of ours.

    Raises:
        Integrity: they were changed.

    """
    tags: Sequence[Mapping[str, str]] = [
        tag
        for page in aws.pages("iot:ListTagsForResource", resourceArn=described["jobArn"])
        for tag in page.get("tags", ())
    ]
    return Labels.parse(tags)


def _members(aws: Aws, targets: Sequence[str]) -> int | None:
    """How many things these things and groups are, each counted once, those of groups below too; None: too many."""
    things: set[str] = set()
    pages = 0
    for target in targets:
        kind, _, name = target.rpartition(":")[2].partition("/")
        if kind == "thing":
            things.add(name)
            continue
        op = "iot:ListThingsInThingGroup"
        for page in aws.pages(op, thingGroupName=name, recursive=True, maxResults=PAGE):
            things.update(page.get("things", ()))
            pages += 1
            if pages >= _MOST_PAGES:
                return None
    return len(things)


def _with_retries(aws: Aws, subject: Subject) -> Subject:
    phases, described = list(subject.phases), dict(subject.described)
    for number in itertools.count(1):
        phase, job_id = subject.retry(number)
        answer = _described(aws, job_id)
        if answer is None:
            return replace(subject, phases=tuple(phases), described=described)
        described[job_id] = answer
        phases.append(Phase(phase, Job.of(answer)))
    raise AssertionError(subject.name)  # pragma: no cover  there is always a number that was not used


def _described(aws: Aws, job_id: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = aws.call("iot:DescribeJob", jobId=job_id)["job"]
    except NotFound:
        return None
    return found
