"""Follow a rollout until there is a verdict: counts from DescribeJob, hurried by job events where there are any.

Events are never counted, for AWS sends 100 messages a second on a connection and drops the rest: they say when to look,
and why a thing failed. What is asked, and how often, is a tenth of what the account's quotas allow.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, mqtt
from iotctl.errors import Auth, Temporary
from iotctl.inbox import Inbox
from iotctl.ota import ending, subject, table
from iotctl.ota.failures import AT_A_TIME, Failures
from iotctl.ota.progress import Speed
from iotctl.ota.rhythm import LATEST, LATEST_WITH_EVENTS, Rhythm
from iotctl.ota.standing import State, verdict
from iotctl.result import Remark
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from decimal import Decimal

    from iotctl.context import Context
    from iotctl.ota.reasons import Group
    from iotctl.ota.standing import Verdict
    from iotctl.ota.subject import Subject
    from iotctl.result import Result

WAITING: Final = 1000
"""Events that may wait; more say nothing new."""
_TICK: Final = 0.2
_TRIES: Final = 10
_EVENTS: Final = ("JOB", "JOB_EXECUTION")
_OF_EXECUTIONS: Final = "$aws/events/jobExecution/"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a rollout is followed.

    Attributes:
        seconds: how long; 0: until there is a verdict.
        share: percent of its things that must succeed; None: what was asked for when it was made.
        deadline: seconds from its start; None: as it was made.
        reasons: executions that are described at most, for the reasons of failures.
        junit: a file for the report.

    """

    seconds: float = 0.0
    share: Decimal | None = None
    deadline: float | None = None
    reasons: float = 100
    junit: str | None = None


class Following:
    """One rollout being followed; `rows` is its stream, `view` how it looks on a terminal."""

    def __init__(self, context: Context, found: Subject, wanted: Wanted) -> None:
        self._context = context
        self._subject = found
        self._wanted = wanted
        self._failures = Failures(context, wanted.reasons)
        self._speeds: dict[str, Speed] = {}
        self._started = clock.monotonic()
        self._rhythm = Rhythm(self._started)
        self._verdict: Verdict | None = None
        self._ended = self._advised = False
        self._rows: list[dict[str, Any]] = []
        self._groups: list[Group] = []
        self._shown: dict[str, dict[str, Any]] = {}

    def rows(self) -> Generator[Sequence[dict[str, Any] | Remark], None, Result]:
        """Follow it to its end.

        Raises:
            Auth: the credentials ran out. Temporary: no answer, ten times in a row. NotFound: a job was deleted.

        """
        until = self._started + self._wanted.seconds if self._wanted.seconds else None
        interrupted = False
        try:
            with contextlib.ExitStack() as stack:
                inbox, remarks = self._listen(stack)
                yield remarks
                self._measure()
                self._ask_why(AT_A_TIME)
                while True:
                    self._verdict = self._judged(last=False)
                    yield [*self._news(), *self._advice(self._verdict)]
                    if self._verdict.state is not State.RUNNING:
                        break
                    if until is not None and clock.monotonic() >= until:
                        yield self._look()
                        self._verdict = self._judged(last=True)
                        break
                    yield from self._pause(inbox, until)
                    yield self._look()
            self._ended = True
            self._ask_why()
            yield self._news()
        except KeyboardInterrupt:
            interrupted = True
        ended = self._verdict or self._judged(last=True)
        if self._wanted.junit and not interrupted:
            ending.write_junit(self._context.aws, self._wanted.junit, self._subject, self._failures, ended)
        return ending.result(self._subject, self._failures, ended, interrupted=interrupted)

    def view(self, columns: int, lines: int) -> list[str]:
        """The phases and the failures as they were at the last look; at the end the failures are told below."""
        title = f"{self._subject.name}   {table.duration(clock.monotonic() - self._started)}"
        return table.view(title, self._rows, [] if self._ended else self._groups, columns, lines)

    def _judged(self, *, last: bool) -> Verdict:
        terms = self._subject.terms(self._wanted.share, self._wanted.deadline)
        return verdict(self._subject.phases, terms, self._context.aws.now().timestamp(), last=last)

    def _listen(self, stack: contextlib.ExitStack) -> tuple[Inbox[mqtt.Item] | None, list[Remark]]:
        """Listen to job events, if the account has them and these credentials may; polling alone is as true."""
        try:
            found = self._context.aws.call("iot:DescribeEventConfigurations").get("eventConfigurations", {})
            if not all(found.get(kind, {}).get("Enabled") for kind in _EVENTS):
                return None, []
            inbox: Inbox[mqtt.Item] = Inbox(WAITING)
            connection = stack.enter_context(self._context.operator(inbox))
            jobs = [phase.job.job_id for phase in self._subject.phases] + self._subject.expected
            connection.subscribe(
                [topic(job, "+") for job in jobs for topic in (topics.job_event, topics.job_execution_event)]
            )
        except (Auth, Temporary) as error:
            return None, [Remark("no-events", f"not listening to job events ({error.message}); asking instead")]
        self._rhythm.latest = LATEST_WITH_EVENTS
        return inbox, []

    def _pause(
        self, inbox: Inbox[mqtt.Item] | None, until: float | None
    ) -> Generator[Sequence[dict[str, Any] | Remark], None, None]:
        """Wait for the next look; a terminal is drawn meanwhile."""
        while not self._rhythm.is_due(clock.monotonic()):
            left = _TICK if until is None else min(_TICK, until - clock.monotonic())
            if left <= 0:
                return
            if inbox is None:
                clock.sleep(left)
            else:
                self._take(inbox, left)
            yield []

    def _take(self, inbox: Inbox[mqtt.Item], seconds: float) -> None:
        try:
            for item in mqtt.taken(inbox, seconds):
                self._rhythm.hurry()
                if isinstance(item, mqtt.Message) and item.topic.startswith(_OF_EXECUTIONS):
                    self._failures.heard(item)
        except Auth:  # the connection is refused since; whether AWS is too, the next look tells
            self._rhythm.latest = LATEST
            clock.sleep(seconds)

    def _look(self) -> list[dict[str, Any] | Remark]:
        """Ask how it is; what does not answer is asked again later."""
        before = self._subject.phases
        try:
            self._subject = subject.renewed(self._context.aws, self._subject)
            self._failures.look(self._subject.phases, AT_A_TIME)
        except Temporary as error:
            if self._rhythm.failed(clock.monotonic()) >= _TRIES:
                raise
            return [Remark("unreachable", f"{error.message}; trying again", {"code": error.code})]
        self._measure()
        self._rhythm.looked(clock.monotonic(), changed=self._subject.phases != before)
        known = {phase.name for phase in before}
        return [
            Remark(
                "phase",
                f"{phase.name} has begun: job {phase.job.job_id}",
                {"phase": phase.name, "jobId": phase.job.job_id},
            )
            for phase in self._subject.phases
            if phase.name not in known
        ]

    def _advice(self, judged: Verdict) -> list[Remark]:
        """That the canary is done, once: who only watches would wait for ever."""
        advice = ending.next_phase(self._subject)
        if self._advised or judged.state is not State.RUNNING or not advice:
            return []
        self._advised = True
        return [Remark("canary-done", f"the canary is done: {advice}", {"rolloutId": self._subject.name})]

    def _ask_why(self, most: int | None = None) -> None:
        """What is not answered is told as not read; the verdict needs none of it."""
        with contextlib.suppress(Temporary):
            self._failures.look(self._subject.phases, most)

    def _measure(self) -> None:
        for phase in self._subject.phases:
            self._speeds.setdefault(phase.job.job_id, Speed()).feed(clock.monotonic(), phase.job)

    def _news(self) -> list[dict[str, Any] | Remark]:
        """A row for each phase that has changed; what a terminal shows is made here too, once for each look."""
        news: list[dict[str, Any] | Remark] = []
        self._groups = self._failures.groups(self._subject)
        self._rows = [table.row(phase, self._speeds.get(phase.job.job_id)) for phase in self._subject.phases]
        for phase, shown in zip(self._subject.phases, self._rows, strict=True):
            row = table.row(phase)
            row["failures"] = [
                {"status": group.status, "reason": group.reason, "count": group.number}
                for group in self._failures.of_job(phase.job)
            ]
            if self._shown.get(phase.name) != row:
                self._shown[phase.name] = row
                news.append({"time": clock.iso(clock.now()), **row, **{key: shown[key] for key in table.PACE}})
        return news
