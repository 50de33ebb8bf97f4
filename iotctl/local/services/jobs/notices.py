"""What devices and monitors hear: notify, notify-next, and events of jobs and of executions.

Source: AWS IoT developer guide, jobs-comm-notifications and events-jobs; times are in seconds, those of a job in its
events in milliseconds, as the guide's samples have them.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import events
from iotctl.local.services.jobs import tables
from iotctl.local.services.jobs.document import document_of
from iotctl.local.services.things import arn as thing_arn
from iotctl.semantics import topics
from iotctl.semantics.rollout import PENDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.services.jobs.tables import Execution, Job
    from iotctl.local.store import Store

_MOST_LISTED: Final = 10
_MOST_LISTED_WITH_WINDOWS: Final = 15
_COUNTED: Final = {
    "numberOfCanceledThings": "CANCELED",
    "numberOfSucceededThings": "SUCCEEDED",
    "numberOfFailedThings": "FAILED",
    "numberOfRejectedThings": "REJECTED",
    "numberOfQueuedThings": "QUEUED",
    "numberOfInProgressThings": "IN_PROGRESS",
    "numberOfRemovedThings": "REMOVED",
    "numberOfTimedOutThings": "TIMED_OUT",
}


@contextlib.contextmanager
def telling(store: Store, thing_name: str, namespace: str) -> Iterator[None]:
    """Tell a device what the block changes: notify if its list did, notify-next if the first of the list did.

    An execution that only changes its status stays in the list; one that is queued again is a new one.
    """
    before = tables.queue_of(store, thing_name, namespace)
    yield
    after = tables.queue_of(store, thing_name, namespace)
    spoken = namespace or None
    if set(before) != set(after):
        topic = topics.jobs(thing_name, "notify", None, spoken)
        if store.heard(topic):
            store.publish(topic, _listed(store, tables.pending(store, thing_name, namespace)))
    if before[:1] != after[:1]:
        topic = topics.jobs(thing_name, "notify-next", None, spoken)
        if store.heard(topic):
            store.publish(topic, _following(store, tables.pending(store, thing_name, namespace)))


def summary(execution: Execution) -> dict[str, Any]:
    """A JobExecutionSummary, as devices get it."""
    found: dict[str, Any] = {
        "jobId": execution.job_id,
        "queuedAt": int(execution.queued),
        "startedAt": int(execution.started) if execution.started is not None else None,
        "lastUpdatedAt": int(execution.updated),
        "executionNumber": execution.execution_number,
        "versionNumber": execution.version,
    }
    return {key: value for key, value in found.items() if value is not None}


def described(store: Store, execution: Execution, *, document: bool) -> dict[str, Any]:
    """A JobExecution, as devices get it over MQTT: the document is an object."""
    found = {**summary(execution), "status": execution.status}
    if execution.details:
        found["statusDetails"] = dict(execution.details)
    if execution.due is not None:
        found["approximateSecondsBeforeTimedOut"] = max(0, int(execution.due - store.now()))
    if document:
        found["jobDocument"] = document_of(store, tables.known(store, execution.job_id))
    return found


def job_event(store: Store, job: Job, operation: str, status: str) -> None:
    """Publish an event of a job if they are switched on: completed, canceled, deleted, cancellation_in_progress."""
    if not events.enabled(store, "JOB"):
        return
    facts: dict[str, Any] = {
        **_head(store, "JOB", operation),
        "jobId": job.id,
        "status": status,
        "targetSelection": job.target_selection,
        "targets": tables.targets(store, job.id),
        "description": job.configuration.get("description"),
        "completedAt": _milliseconds(job.completed),
        "createdAt": _milliseconds(job.created),
        "lastUpdatedAt": _milliseconds(job.updated),
        "comment": job.comment,
    }
    if operation == "completed":
        facts["jobProcessDetails"] = counts(store, job.id)
    store.publish(
        topics.job_event(job.id, operation), {key: value for key, value in facts.items() if value is not None}
    )


def execution_event(store: Store, execution: Execution, operation: str) -> None:
    """Publish an event of an execution that has ended or was deleted, if they are switched on."""
    if not events.enabled(store, "JOB_EXECUTION"):
        return
    facts = {
        **_head(store, "JOB_EXECUTION", operation),
        "jobId": execution.job_id,
        "thingArn": thing_arn(store, execution.thing_name),
        "status": execution.status,
        "statusDetails": dict(execution.details),
    }
    store.publish(topics.job_execution_event(execution.job_id, operation), facts)


def counts(store: Store, job_id: str) -> dict[str, int]:
    """The numbers of JobProcessDetails."""
    things = tables.things_by_status(store, job_id)
    return {name: things.get(status, 0) for name, status in _COUNTED.items()}


def _listed(store: Store, pending: list[Execution]) -> dict[str, Any]:
    """The payload of notify."""
    listed: dict[str, list[dict[str, Any]]] = {}
    for one in pending[: _most_listed(store, pending)]:
        listed.setdefault(one.status, []).append(summary(one))
    return {"timestamp": int(store.now()), "jobs": {key: listed[key] for key in PENDING if key in listed}}


def _following(store: Store, pending: list[Execution]) -> dict[str, Any]:
    """The payload of notify-next."""
    found: dict[str, Any] = {"timestamp": int(store.now())}
    if pending:
        found["execution"] = described(store, pending[0], document=True)
    return found


def _most_listed(store: Store, pending: list[Execution]) -> int:
    """How many executions a notify holds: more where a job among them has maintenance windows (job-limits page)."""
    if len(pending) <= _MOST_LISTED:
        return _MOST_LISTED
    schedules = (tables.known(store, one.job_id).configuration.get("schedulingConfig", {}) for one in pending)
    return _MOST_LISTED_WITH_WINDOWS if any("maintenanceWindows" in one for one in schedules) else _MOST_LISTED


def _head(store: Store, kind: str, operation: str) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventId": str(uuid.uuid4()),
        "timestamp": int(store.now()),
        "operation": operation,
    }


def _milliseconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment * 1000)
