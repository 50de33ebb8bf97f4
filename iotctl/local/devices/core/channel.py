"""A core's deployments, message by message: jobs of its groups, its own shadow. No I/O: messages in, actions out.

Deployments wait for each other in the order in which they came. How one ended is told until the cloud has it, also
after a restart. Sources: the nucleus' IotJobsHelper and ShadowDeploymentListener; the developer guide's pages
jobs-mqtt-api and device-shadow-mqtt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.devices.core import document
from iotctl.local.devices.core.faults import LONGEST, Failed, Status
from iotctl.local.devices.core.place import NUCLEUS_VERSION
from iotctl.local.devices.core.state import Report
from iotctl.local.devices.thing import Publish, Told
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.local.devices.core.document import Deployment

NAMESPACE: Final = "aws-gg-deployment"
SHADOW: Final = "AWSManagedGreengrassV2Deployment"
THROTTLED_SECONDS: Final = 5.0

_NEXT: Final = "$next"


@dataclass(frozen=True, slots=True)
class Deploy:
    """Carry this out, and call `ended`."""

    deployment: Deployment


@dataclass(frozen=True, slots=True)
class Refuse:
    """A deployment that cannot be read ended before it began: keep its report."""

    report: Report


@dataclass(frozen=True, slots=True)
class Cancel:
    """The deployment that is under way is no longer wanted; call `ended` with None if it could be stopped."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The cloud has a report: it need not be kept."""

    key: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Call `connected` again in so many seconds."""

    seconds: float


Action: TypeAlias = Publish | Told | Deploy | Refuse | Cancel | Acknowledged | Pause


class Channel:
    """What a core knows of its deployments.

    Args:
        thing_name: of the core.
        reports: of an earlier run, not yet acknowledged.

    """

    def __init__(self, thing_name: str, reports: Sequence[Report] = ()) -> None:
        self._name = thing_name
        self._reports = {report.key: report for report in reports}
        self._waiting: deque[Deployment] = deque()
        self._current: Deployment | None = None
        self._numbers: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._shadow_version = -1
        self._seen_shadow = ""

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to."""
        return (
            topics.jobs(self._name, "notify-next", None, NAMESPACE),
            topics.jobs(self._name, "get/+", _NEXT, NAMESPACE),
            topics.jobs(self._name, "update/+", "+", NAMESPACE),
            topics.shadow(self._name, "get/+", SHADOW),
            topics.shadow(self._name, "update/accepted", SHADOW),
            topics.shadow(self._name, "update/rejected", SHADOW),
        )

    def connected(self) -> list[Action]:
        """It is connected and subscribed: it tells what it has not told, and asks what there is."""
        told: list[Action] = [self._told(report) for report in self._reports.values()]
        if self._current:
            told.append(self._in_progress(self._current))
        return [*told, *self._asked()]

    def received(self, topic: str, payload: bytes) -> list[Action]:
        """What it does about a message."""
        try:
            if (job := topics.parse_jobs(topic)) and job.thing_name == self._name and job.namespace == NAMESPACE:
                return self._job(job.verb, job.answer, job.job_id, text.loads(payload))
            shadow = topics.parse_shadow(topic)
            if shadow and (shadow.thing_name, shadow.shadow_name) == (self._name, SHADOW):
                return self._shadow(shadow.verb, text.loads(payload))
        except (Usage, AttributeError, KeyError, TypeError, ValueError):
            return [Told("unreadable", None, text.shown(payload, 160))]
        return []

    def ended(self, report: Report | None) -> list[Action]:
        """The deployment that was under way has ended; None: it was cancelled."""
        self._current = None
        told: list[Action] = []
        if report is not None:
            self._reports[report.key] = report
            told.append(self._told(report))
        return [*told, *self._begin(), *([] if report else self._asked())]

    def _asked(self) -> list[Action]:
        asked = {"jobId": _NEXT, "thingName": self._name, "includeJobDocument": True, "clientToken": "next"}
        return [
            Publish(topics.jobs(self._name, "get", _NEXT, NAMESPACE), text.canonical(asked).encode()),
            Publish(topics.shadow(self._name, "get", SHADOW), b"{}"),
        ]

    def _job(self, verb: str, answer: str | None, job_id: str | None, message: Mapping[str, Any]) -> list[Action]:
        if verb == "update":
            return self._updated(str(job_id), answer, message)
        if answer == "rejected":
            return [Told("rejected", None, text.sanitize(f"{verb}: {message['code']} {message['message']}"))]
        execution = message.get("execution")
        if verb == "notify-next":
            return [*self._withdrawn(execution), *(self._given(execution) if execution else ())]
        return self._given(execution) if execution else []

    def _withdrawn(self, execution: Mapping[str, Any] | None) -> list[Action]:
        """The job that is next is not the one that is under way: that one was cancelled."""
        current = self._current
        following = execution["jobId"] if execution else None
        self._waiting = deque(one for one in self._waiting if not one.job_id or one.job_id == following)
        if current is None or not current.job_id or current.job_id == following:
            return []
        return [Cancel()]

    def _given(self, execution: Mapping[str, Any]) -> list[Action]:
        job_id, number = str(execution["jobId"]), int(execution.get("executionNumber", 1))
        if self._done.get(job_id) == number:  # an answer that was long on its way
            return []
        report = self._reports.get(job_id)
        if report is not None and self._numbers.setdefault(job_id, number) == number:
            return [self._told(report)]
        self._numbers[job_id] = number
        self._reports.pop(job_id, None)  # of an earlier execution
        return self._queued(dict(execution["jobDocument"]), job_id)

    def _queued(self, content: Mapping[str, Any], job_id: str = "") -> list[Action]:
        try:
            deployment = document.parse(content, job_id)
        except Failed as error:
            return self._unreadable(content, job_id, error)
        known = {one.key for one in (*self._waiting, *([self._current] if self._current else ()))}
        if deployment.key in known:
            return []
        self._waiting.append(deployment)
        return self._begin()

    def _unreadable(self, content: Mapping[str, Any], job_id: str, error: Failed) -> list[Action]:
        arn, deployment_id = str(content.get("configurationArn", "")), str(content.get("deploymentId", ""))
        if not (job_id or arn):
            return [Told("unreadable", SHADOW, error.message)]
        stack = ["DEPLOYMENT_FAILURE", *(code.value for code in error.codes)]
        status = Status.NO_STATE_CHANGE
        report = Report(job_id, arn, deployment_id, status.word, status.value, error.message, stack, error.types)
        self._reports[report.key] = report
        return [Refuse(report), self._told(report)]

    def _begin(self) -> list[Action]:
        if self._current is not None or not self._waiting:
            return []
        self._current = self._waiting.popleft()
        return [self._in_progress(self._current), Deploy(self._current)]

    def _updated(self, job_id: str, answer: str | None, message: Mapping[str, Any]) -> list[Action]:
        report = self._reports.get(job_id)
        if answer == "accepted":
            if report is None or message.get("clientToken") != report.status:
                return []
            return [self._settled(job_id), *self._asked()[:1]]
        said = Told("rejected", None, text.sanitize(f"{message['code']} {message['message']}"), job_id)
        if message["code"] == "RequestThrottled":
            return [Pause(THROTTLED_SECONDS)]
        if report is not None:  # the job is gone, or was cancelled: there is nobody to tell
            return [said, self._settled(job_id), *self._asked()[:1]]
        return [said]

    def _settled(self, job_id: str) -> Acknowledged:
        del self._reports[job_id]
        self._done[job_id] = self._numbers.pop(job_id, 0)
        return Acknowledged(job_id)

    def _shadow(self, verb: str, message: Mapping[str, Any]) -> list[Action]:
        match verb:
            case "get/accepted":
                return self._seen(message, message["state"])
            case "update/accepted":
                key = str(message.get("clientToken", ""))
                if (report := self._report_of(key)) is not None:
                    del self._reports[report.key]
                    return [Acknowledged(report.key)]
                return self._seen(message, message["state"])
            case "update/rejected" if message["code"] == 429:
                return [Pause(THROTTLED_SECONDS)]
            case "update/rejected" if (report := self._report_of(str(message.get("clientToken", "")))) is not None:
                return self._refused(report, message)
            case "update/rejected":
                return [Told("rejected", SHADOW, text.sanitize(f"{message['code']} {message['message']}"))]
        return []

    def _refused(self, report: Report, message: Mapping[str, Any]) -> list[Action]:
        """A report in the shadow was too large beside what is desired there: it is said without the reason."""
        said = Told("rejected", SHADOW, text.sanitize(f"{message['code']} {message['message']}"))
        if not (report.cause or report.stack):
            del self._reports[report.key]
            return [said, Acknowledged(report.key)]
        shorter = replace(report, cause="", stack=[], types=[])
        self._reports[report.key] = shorter
        return [said, self._told(shorter)]

    def _report_of(self, token: str) -> Report | None:
        return next((one for one in self._reports.values() if not one.job_id and _token(one) == token), None)

    def _seen(self, message: Mapping[str, Any], state: Mapping[str, Any]) -> list[Action]:
        """The shadow, or what was changed of it."""
        version = int(message["version"])
        desired, reported = state.get("desired") or {}, state.get("reported") or {}
        if version < self._shadow_version or not desired:
            return []
        self._shadow_version = version
        if desired.get("desiredStatus") == "CANCELED":
            return self._cancelled()
        if "fleetConfig" not in desired:
            return []
        content = text.loads(desired["fleetConfig"])
        arn = str(content.get("configurationArn", ""))
        if arn in self._reports:
            return [self._told(self._reports[arn])]
        done = reported.get("fleetConfigurationArnForStatus") == arn and reported.get("status") != "IN_PROGRESS"
        if done or arn == self._seen_shadow:
            return []
        self._seen_shadow = arn
        self._waiting = deque(one for one in self._waiting if one.job_id)  # the newer one replaces it
        return self._queued(content)

    def _cancelled(self) -> list[Action]:
        """The thing's own deployment is no longer wanted."""
        self._waiting = deque(one for one in self._waiting if one.job_id)
        return [Cancel()] if self._current and not self._current.job_id else []

    def _in_progress(self, deployment: Deployment) -> Publish:
        if deployment.job_id:
            body: dict[str, Any] = {"status": "IN_PROGRESS", "clientToken": "IN_PROGRESS"}
            return Publish(self._update(deployment.job_id), text.canonical(body).encode())
        return self._reported(deployment.arn, "IN_PROGRESS", {}, "IN_PROGRESS")

    def _told(self, report: Report) -> Publish:
        """How a deployment ended."""
        cause, stack, types = report.cause[:LONGEST], report.stack, report.types
        if report.job_id:
            details = {"detailed-deployment-status": report.detailed}
            if cause:
                details["deployment-failure-cause"] = cause
            if stack:
                details["deployment-error-stack"] = text.canonical(stack)[:LONGEST]
                details["deployment-error-types"] = text.canonical(types)[:LONGEST]
            body = {"status": report.status, "statusDetails": details, "clientToken": report.status}
            return Publish(self._update(report.job_id), text.canonical(body).encode())
        shown = {"detailedStatus": report.detailed, "failureCause": cause, "errorStack": stack, "errorTypes": types}
        return self._reported(report.arn, report.status, shown, _token(report))

    def _reported(self, arn: str, status: str, details: Mapping[str, Any], token: str) -> Publish:
        reported = {
            "fleetConfigurationArnForStatus": arn,
            "status": status,
            "statusDetails": dict(details),
            "ggcVersion": NUCLEUS_VERSION,
        }
        body = {"state": {"reported": reported}, "clientToken": token}
        return Publish(topics.shadow(self._name, "update", SHADOW), text.canonical(body).encode())

    def _update(self, job_id: str) -> str:
        return topics.jobs(self._name, "update", job_id, NAMESPACE)


def _token(report: Report) -> str:
    """What the answer to a report in the shadow is known by: of at most 64 bytes."""
    return f"{report.status}-{report.deployment_id}"[:64]
