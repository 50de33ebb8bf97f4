"""A simulated thing's jobs, message by message: it starts the next one, lets it be installed, and reports how it ended.

What it remembers ends with it, as with a device that loses power: asked for the next job once more, AWS gives the one
that was begun, and an installation that was made already is found made. Source: the developer guide's jobs-workflow-
device-online, jobs-mqtt-api and jobs-comm-notifications pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.devices.roles import OBEDIENT
from iotctl.local.devices.thing import Publish, Told
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.devices.installer import Outcome
    from iotctl.local.devices.roles import Role

REBOOT_SECONDS: Final = 1.0
"""How long a thing that reboots is away, at least."""
RENEWALS: Final = 3
"""So often a job document is asked for again because its URL has run out."""

_THROTTLED_SECONDS = 5.0
_REBOOTING = "rebooting"
_VERBS = ("start-next/accepted", "start-next/rejected")
_JOB_VERBS = ("get/accepted", "get/rejected", "update/accepted", "update/rejected")


@dataclass(frozen=True, slots=True)
class Install:
    """Install what this job document says, and call `installed` with the outcome."""

    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """Call `resume` in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reboot:
    """Cut the connection, forget the agent, and connect again after so many seconds at least."""

    seconds: float


Action: TypeAlias = Publish | Told | Install | Pause | Reboot


@dataclass(frozen=True, slots=True)
class _Job:
    """The execution at hand, as AWS last told of it."""

    job_id: str
    number: int
    version: int
    document: Mapping[str, Any]
    renewals: int = 0


class Agent:
    """What a thing does about its jobs. No I/O, no clock: messages in, actions out."""

    __slots__ = ("_asking", "_awaited", "_busy", "_job", "_more", "_outcome", "_reporting", "_tokens", "name", "role")

    def __init__(self, name: str, role: Role = OBEDIENT) -> None:
        self.name = name
        self.role = role
        self._job: _Job | None = None
        self._outcome: Outcome | None = None
        self._busy = False  # it is being installed, or waits for that
        self._asking = False  # for the next job
        self._reporting = False
        self._more = False  # another job has come to the head of the queue
        self._tokens = 0

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to: the next job, and the answers to its own requests."""
        alone = (topics.jobs(self.name, verb) for verb in ("notify-next", *_VERBS))
        return (*alone, *(topics.jobs(self.name, verb, "+") for verb in _JOB_VERBS))

    def connected(self) -> list[Action]:
        """It is connected and subscribed: it asks for what came while it was away, and for what it had begun."""
        self._asking = self._reporting = False
        return self._start_next()

    def received(self, topic: str, payload: bytes) -> list[Action]:
        """What it does about a message."""
        about = topics.parse_jobs(topic)
        if about is None or about.thing_name != self.name or about.namespace is not None:
            return []
        try:
            message = text.loads(payload)
            match about.verb, about.answer:
                case "notify-next", None:
                    return self._notified(message.get("execution"))
                case "start-next", "accepted":
                    self._asking = False
                    return self._given(message.get("execution"))
                case "get", "accepted":
                    return self._renewed(message["execution"])
                case "update", "accepted" if about.job_id == self._job_id:
                    return self._accepted()
                case _, "rejected":
                    return self._rejected(about.verb, str(message["code"]), str(message["message"]))
        except (Usage, AttributeError, KeyError, TypeError):
            return [Told("unreadable", None, text.shown(payload, 160))]
        return []

    def resume(self) -> list[Action]:
        """A pause is over."""
        if self._job is None:
            return self._start_next()
        if self._outcome is not None:
            return self._report(self._job, self._outcome)
        return [Install(self._job.document)]

    def installed(self, outcome: Outcome) -> list[Action]:
        """The installation has ended."""
        self._busy = False
        job = self._job
        if job is None:
            return self._start_next()
        if outcome.stale_url and job.renewals < RENEWALS:
            self._job = replace(job, renewals=job.renewals + 1)
            self._busy = True
            return [self._ask("get", {"includeJobDocument": True}, job.job_id)]
        if self.role.reboots and outcome.switched:
            details = {**outcome.details, "step": _REBOOTING}
            return [self._update(job, "IN_PROGRESS", details), Reboot(REBOOT_SECONDS)]
        self._outcome = outcome
        return self._report(job, outcome)

    @property
    def _job_id(self) -> str | None:
        return self._job.job_id if self._job else None

    def _start_next(self) -> list[Action]:
        if self._asking:
            return []
        self._asking, self._more = True, False
        return [self._ask("start-next", {"statusDetails": {"step": "started"}})]

    def _notified(self, execution: Mapping[str, Any] | None) -> list[Action]:
        if execution is None or execution["jobId"] == self._job_id:
            return []
        if self._job is None:
            return self._start_next()
        self._more = True
        return []

    def _given(self, execution: Mapping[str, Any] | None) -> list[Action]:
        """What is to be done now, as AWS sees it."""
        before = self._job
        if execution is None:
            self._job = self._outcome = None
            return self._lost(before, "it is not pending any more")
        job = _Job(
            str(execution["jobId"]),
            int(execution["executionNumber"]),
            int(execution["versionNumber"]),
            dict(execution["jobDocument"]),
        )
        if before is not None and (before.job_id, before.number) == (job.job_id, job.number):
            self._job = replace(job, renewals=before.renewals)
            return self._report(job, self._outcome) if self._outcome else []
        lost = self._lost(before, "another job is next")
        if self._busy:  # with one that is gone: this one's turn comes when that has ended
            self._job = self._outcome = None
            return lost
        self._job, self._outcome, self._busy = job, None, True
        again = execution.get("statusDetails", {}).get("step") == _REBOOTING
        told = Told("job-resumed" if again else "job-delivered", None, _operation(job.document), job.job_id)
        delay = 0.0 if again else self.role.delay
        return [*lost, told, Pause(delay) if delay else Install(job.document)]

    def _renewed(self, execution: Mapping[str, Any]) -> list[Action]:
        if self._job is None or execution["jobId"] != self._job_id:
            return []
        self._job = replace(self._job, document=dict(execution["jobDocument"]), version=int(execution["versionNumber"]))
        return [Install(self._job.document)]

    def _report(self, job: _Job, outcome: Outcome) -> list[Action]:
        if self._reporting:
            return []
        self._reporting = True
        return [self._update(job, outcome.status, outcome.details)]

    def _accepted(self) -> list[Action]:
        """A report has arrived: a thing that reboots makes one that is not the last."""
        job, outcome = self._job, self._outcome
        if job is None or outcome is None or not self._reporting:
            return []
        self._job, self._outcome, self._reporting = None, None, False
        details = outcome.details
        named = f"{details['artifact']} {details['release']}" if "release" in details else ""
        why = f"{details['reason']}: {details['detail']}" if "reason" in details else details.get("step", "")
        told = Told(f"job-{outcome.status.lower()}", None, "; ".join(filter(None, (named, why))), job.job_id)
        return [told, *(self._start_next() if self._more else ())]

    def _rejected(self, verb: str, code: str, message: str) -> list[Action]:
        if verb == "start-next":
            self._asking = False
        if verb == "update":
            self._reporting = False
        if code == "RequestThrottled":
            return [Pause(_THROTTLED_SECONDS)]
        if verb == "start-next" or self._job is None:
            return [Told("rejected", None, text.sanitize(f"{code} {message}"))]
        if code == "VersionMismatch":
            return self._start_next()
        lost = self._lost(self._job, f"{code} {message}")
        self._job = self._outcome = None
        self._busy = False
        return [*lost, *self._start_next()]

    def _lost(self, job: _Job | None, why: str) -> list[Action]:
        return [Told("job-lost", None, text.sanitize(why), job.job_id)] if job else []

    def _update(self, job: _Job, status: str, details: Mapping[str, str]) -> Publish:
        body = {"status": status, "statusDetails": dict(details), "expectedVersion": job.version}
        return self._ask("update", body, job.job_id)

    def _ask(self, verb: str, body: dict[str, Any], job_id: str | None = None) -> Publish:
        self._tokens += 1
        token = f"{self.name[:32]}-j{self._tokens}"
        payload = text.canonical({**body, "clientToken": token}).encode()
        return Publish(topics.jobs(self.name, verb, job_id), payload)


def _operation(document: Mapping[str, Any]) -> str:
    """A word for what is asked: our own and most agents' documents name an operation."""
    found = document.get("operation", "a document without an operation")
    return text.shown(str(found).encode("utf-8", "replace"), 64)
