"""Why things failed, as far as anybody was asked: from events for nothing, from AWS within a budget."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from iotctl import engine, text
from iotctl.errors import Error, Usage
from iotctl.ota import subject
from iotctl.ota.reasons import Failed, groups
from iotctl.plan import Ref, Step
from iotctl.semantics.rollout import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from iotctl.context import Context
    from iotctl.mqtt import Message
    from iotctl.ota.executions import Job, Phase
    from iotctl.ota.reasons import Group
    from iotctl.ota.subject import Subject

AT_A_TIME: Final = 5
"""Executions that are described between two looks at the counts: half a second at AWS's 10 a second."""
MOST_LISTED: Final = 500
"""Failures, two pages of them: beyond, their names wait for the end, or for events."""


class Failures:
    """What is known of the things that failed; every one of them once for each job.

    Args:
        context: of the command.
        budget: executions that may be described in all; infinite: all of them.

    """

    def __init__(self, context: Context, budget: float) -> None:
        self._context = context
        self._left = budget
        self.known: dict[tuple[str, str], Failed] = {}

    def heard(self, message: Message) -> None:
        """Take what an event of an execution says; a thing that is retried and makes it is no failure any more."""
        try:
            event = text.loads(message.payload)
            thing_name, job_id = event["thingArn"].rpartition("/")[2], event["jobId"]
            status, details = event["status"], event.get("statusDetails") or {}
        except (Usage, KeyError, TypeError, AttributeError):
            return
        self._keep(thing_name, job_id, status, details)

    def look(self, phases: Iterable[Phase], most: int | None = None) -> None:
        """Ask for the names and the reasons of failures that are counted and not known.

        Args:
            phases: of the rollout.
            most: executions to describe now, and nothing at all where there are too many to list each time; None: it
                is the last look, and all are listed, and as many described as the budget has.

        """
        for phase in phases:
            counts = phase.job.counts.by_status()
            for status in FAILURES:
                self._look(phase.job.job_id, status, counts[status], most)

    def of_job(self, job: Job) -> list[Group]:
        """The failures of one job by reason."""
        return self._groups([job], {})

    def groups(self, found: Subject) -> list[Group]:
        """The failures of a rollout by reason: a thing that a retry has again is counted there only."""
        return self._groups([phase.job for phase in found.counting], found.again)

    def _groups(self, jobs: Sequence[Job], again: Mapping[str, frozenset[str]]) -> list[Group]:
        ids = {job.job_id for job in jobs}
        known, past = list[Failed](), Counter[str]()
        for (job_id, name), failed in self.known.items():
            if job_id in ids and name in again.get(job_id, ()):
                past[failed.status] += 1
            elif job_id in ids:
                known.append(failed)
        counted = {status: sum(job.counts.by_status()[status] for job in jobs) - past[status] for status in FAILURES}
        return groups(known, counted)

    def _look(self, job_id: str, status: str, number: int, most: int | None) -> None:
        known = {name for (job, name), failed in self.known.items() if job == job_id and failed.status == status}
        if most is not None and number > MOST_LISTED:
            return
        if len(known) < number or (most is None and len(known) != number):
            now = {one.thing_name for one in subject.executions(self._context.aws, job_id, status)}
            for name in known - now:
                del self.known[job_id, name]
            for name in now - known:
                self._keep(name, job_id, status, None)
        unread = [
            key
            for key, failed in self.known.items()
            if key[0] == job_id and failed.details is None and failed.status == status
        ]
        wanted = int(min(self._left, len(unread) if most is None else most))
        for execution in self._described(itertools.islice(unread, wanted)):
            self._left -= 1
            details = (execution.get("statusDetails") or {}).get("detailsMap") or {}
            self._keep(execution["thingArn"].rpartition("/")[2], job_id, execution["status"], details)

    def _described(self, keys: Iterable[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
        step = Step("iot:DescribeJobExecution", {"jobId": Ref("row.jobId"), "thingName": Ref("row.thingName")})
        rows = ({"jobId": job_id, "thingName": name, "line": 0} for job_id, name in keys)
        for _, answer in engine.answers(step, rows, self._context.world()):
            if not isinstance(answer, Error):
                yield answer["execution"]

    def _keep(self, thing_name: str, job_id: str, status: str, details: Mapping[str, str] | None) -> None:
        if status in FAILURES:
            self.known[job_id, thing_name] = Failed(thing_name, job_id, status, details)
        else:
            self.known.pop((job_id, thing_name), None)
