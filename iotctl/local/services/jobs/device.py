"""The executions of one thing, for the device itself: the same over HTTP (iot-jobs-data) and MQTT.

Over MQTT an answer goes to the client that asked and to nobody else, subscribed or not, and the job document is a JSON
object; over HTTP it is a text. Source: AWS IoT developer guide, jobs-mqtt-api and jobs-api.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, on, operation
from iotctl.local.services import things as registry
from iotctl.local.services.jobs import executions, tables
from iotctl.local.services.jobs.document import document_of
from iotctl.local.services.jobs.notices import described, summary
from iotctl.local.services.jobs.requests import JobsError, read
from iotctl.local.services.jobs.things import bad_details
from iotctl.semantics import topics
from iotctl.semantics.rollout import REPORTABLE, TERMINAL, RolloutError, may_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.services import Message
    from iotctl.local.services.jobs.tables import Execution
    from iotctl.local.store import Store
    from iotctl.semantics.topics import JobsTopic

    Action = Callable[..., dict[str, Any]]

NEXT: Final = "$next"
_HTTP: Final = {
    "InvalidRequest": "InvalidRequestException",
    "ResourceNotFound": "ResourceNotFoundException",
    "InvalidStateTransition": "InvalidStateTransitionException",
    "VersionMismatch": "InvalidStateTransitionException",  # the service model has no error of its own for it
    "TerminalStateReached": "TerminalStateException",
}
_THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_JOB_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAMESPACE: Final = re.compile(r"[a-zA-Z0-9_-]+")


@operation("iot-jobs-data:GetPendingJobExecutions")
def get_pending_job_executions(store: Store, thingName: str) -> dict[str, Any]:
    """What a thing has to do."""
    return _answered(_get, store, thingName, "")


@operation("iot-jobs-data:StartNextPendingJobExecution")
def start_next_pending_job_execution(
    store: Store, thingName: str, statusDetails: dict[str, str] | None = None, stepTimeoutInMinutes: int | None = None
) -> dict[str, Any]:
    """The next execution of a thing, IN_PROGRESS from here on."""
    given = {"statusDetails": statusDetails, "stepTimeoutInMinutes": stepTimeoutInMinutes}
    return _answered(_start_next, store, thingName, "", **given)


@operation("iot-jobs-data:DescribeJobExecution")
def describe_job_execution(
    store: Store, jobId: str, thingName: str, includeJobDocument: bool = True, executionNumber: int | None = None
) -> dict[str, Any]:
    """An execution that has not ended; of the job `$next` the next one."""
    given = {"job_id": jobId, "includeJobDocument": includeJobDocument, "executionNumber": executionNumber}
    return _answered(_describe, store, thingName, "" if jobId == NEXT else None, **given)


@operation("iot-jobs-data:UpdateJobExecution")
def update_job_execution(
    store: Store,
    *,
    jobId: str,
    thingName: str,
    status: str,
    statusDetails: dict[str, str] | None = None,
    stepTimeoutInMinutes: int | None = None,
    expectedVersion: int | None = None,
    includeJobExecutionState: bool = False,
    includeJobDocument: bool = False,
    executionNumber: int | None = None,
) -> dict[str, Any]:
    """Report on an execution."""
    return _answered(
        _update,
        store,
        thingName,
        None,
        job_id=jobId,
        status=status,
        statusDetails=statusDetails,
        stepTimeoutInMinutes=stepTimeoutInMinutes,
        expectedVersion=expectedVersion,
        includeJobExecutionState=includeJobExecutionState,
        includeJobDocument=includeJobDocument,
        executionNumber=executionNumber,
    )


@on("$aws/things/+/jobs/get")
@on("$aws/things/+/jobs/start-next")
@on("$aws/things/+/jobs/+/get")
@on("$aws/things/+/jobs/+/update")
@on("$aws/things/+/jobs/+/+/get")
@on("$aws/things/+/jobs/+/+/update")
def on_request(store: Store, message: Message) -> None:
    """Answer a device that asked over MQTT."""
    asked = topics.parse_jobs(message.topic)
    if asked is None or not message.client_id:
        return
    token: dict[str, Any] = {}
    try:
        given = read(message.payload, token)
        _check(asked)
        named = {"job_id": asked.job_id} if asked.job_id is not None else {}
        answer = _ACTIONS[asked.verb, asked.job_id is not None](
            store, asked.thing_name, asked.namespace or "", **named, **given
        )
        verb = "accepted"
    except JobsError as error:
        answer, verb = error.payload(), "rejected"
    topic = topics.jobs(asked.thing_name, f"{asked.verb}/{verb}", asked.job_id, asked.namespace)
    store.publish(topic, {**answer, "timestamp": int(store.now()), **token}, to=message.client_id)


def _get(store: Store, thing_name: str, namespace: str, **_: object) -> dict[str, Any]:
    _known_thing(store, thing_name)
    pending = tables.pending(store, thing_name, namespace)
    return {
        "inProgressJobs": [summary(one) for one in pending if one.status == "IN_PROGRESS"],
        "queuedJobs": [summary(one) for one in pending if one.status == "QUEUED"],
    }


def _start_next(
    store: Store,
    thing_name: str,
    namespace: str,
    *,
    statusDetails: dict[str, str] | None = None,
    stepTimeoutInMinutes: int | None = None,
    **_: object,
) -> dict[str, Any]:
    _known_thing(store, thing_name)
    _check_details(statusDetails)
    pending = tables.pending(store, thing_name, namespace)
    if not pending:
        return {}
    found = pending[0]
    if found.status == "QUEUED":
        found = _changed(store, found, "IN_PROGRESS", statusDetails, stepTimeoutInMinutes)
    return {"execution": {**described(store, found, document=True), "thingName": thing_name}}


def _describe(
    store: Store,
    thing_name: str,
    namespace: str | None,
    *,
    job_id: str,
    includeJobDocument: bool = True,
    executionNumber: int | None = None,
    **_: object,
) -> dict[str, Any]:
    _known_thing(store, thing_name)
    if job_id == NEXT:
        pending = tables.pending(store, thing_name, namespace or "")
        if not pending:
            return {}
        found = pending[0]
    else:
        found = _known(store, thing_name, job_id, namespace, executionNumber)
        if found.status in TERMINAL:
            raise JobsError("TerminalStateReached", f"The job execution is in the terminal state {found.status}")
    return {"execution": {**described(store, found, document=includeJobDocument), "thingName": thing_name}}


def _update(
    store: Store,
    thing_name: str,
    namespace: str | None,
    *,
    job_id: str,
    status: str = "",
    statusDetails: dict[str, str] | None = None,
    stepTimeoutInMinutes: int | None = None,
    expectedVersion: int | None = None,
    includeJobExecutionState: bool = False,
    includeJobDocument: bool = False,
    executionNumber: int | None = None,
) -> dict[str, Any]:
    if status not in REPORTABLE:
        raise JobsError("InvalidRequest", f"status must be one of {', '.join(sorted(REPORTABLE))}, not '{status}'")
    _check_details(statusDetails)
    found = _known(store, thing_name, job_id, namespace, executionNumber)
    if expectedVersion not in {None, found.version}:
        message = f"The version of the job execution is {found.version}, not {expectedVersion}"
        raise JobsError("VersionMismatch", message, _state(found))
    if not may_report(found.status, status):
        raise JobsError("InvalidStateTransition", f"It is {found.status} and cannot become {status}", _state(found))
    document = document_of(store, tables.known(store, job_id)) if includeJobDocument else None
    changed = _changed(store, found, status, statusDetails, stepTimeoutInMinutes)
    answer: dict[str, Any] = {}
    if includeJobExecutionState:
        answer["executionState"] = _state(changed)
    if includeJobDocument:
        answer["jobDocument"] = document
    return answer


_ACTIONS: Final[dict[tuple[str, bool], Action]] = {
    ("get", False): _get,
    ("start-next", False): _start_next,
    ("get", True): _describe,
    ("update", True): _update,
}
"""By the verb of the topic, and whether it names a job."""


def _answered(act: Action, store: Store, thing_name: str, namespace: str | None, **given: Any) -> dict[str, Any]:  # noqa: ANN401  of the one that acts
    """Act for an HTTP client: documents are texts, errors those of the service model."""
    try:
        answer = act(store, thing_name, namespace, **given)
    except JobsError as error:
        state = {"executionState": error.state} if error.state else {}
        raise AwsError(_HTTP[error.code], error.message, **state) from error
    for holder in (answer, answer.get("execution", {})):
        if "jobDocument" in holder:
            holder["jobDocument"] = json.dumps(holder["jobDocument"], separators=(",", ":"))
    return answer


def _check(asked: JobsTopic) -> None:
    """Refuse a topic whose names AWS does not take."""
    right_job = asked.job_id is None or _JOB_ID.fullmatch(asked.job_id) or (asked.job_id, asked.verb) == (NEXT, "get")
    right_namespace = asked.namespace is None or _NAMESPACE.fullmatch(asked.namespace)
    if not (_THING_NAME.fullmatch(asked.thing_name) and right_job and right_namespace):
        raise JobsError("InvalidTopic", "The topic does not name an operation of AWS IoT Jobs")


def _check_details(details: dict[str, str] | None) -> None:
    problem = bad_details(details or {})
    if problem:
        raise JobsError("InvalidRequest", problem)


def _changed(
    store: Store, execution: Execution, status: str, details: dict[str, str] | None, step: int | None
) -> Execution:
    try:
        return executions.change(store, execution, status, details=details, step_minutes=step)
    except RolloutError as error:
        raise JobsError("InvalidRequest", str(error)) from error


def _known(store: Store, thing_name: str, job_id: str, namespace: str | None, number: int | None) -> Execution:
    found = tables.execution(store, thing_name, job_id, number)
    deleting = found and tables.known(store, job_id).status == "DELETION_IN_PROGRESS"
    if found is None or deleting or namespace not in {None, found.namespace}:
        raise JobsError("ResourceNotFound", f"The job execution of {job_id} on {thing_name} cannot be found")
    return found


def _known_thing(store: Store, thing_name: str) -> None:
    if registry.find(store, thing_name) is None:
        raise JobsError("ResourceNotFound", f"Thing {thing_name} cannot be found")


def _state(execution: Execution) -> dict[str, Any]:
    return {
        "status": execution.status,
        "statusDetails": dict(execution.details),
        "versionNumber": execution.version,
    }
