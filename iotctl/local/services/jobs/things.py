"""The executions of things for operators: listed, described, canceled, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services import things as registry
from iotctl.local.services.jobs import executions, tables
from iotctl.local.services.paging import page
from iotctl.semantics.rollout import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.services.jobs.tables import Execution
    from iotctl.local.store import Store

MOST_DETAILS: Final = 10
LONGEST_DETAIL: Final = 1024


@operation("iot:ListJobExecutionsForJob")
def list_job_executions_for_job(
    store: Store, jobId: str, status: str | None = None, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """The executions of a job, by thing."""
    tables.known(store, jobId)
    select, parameters = "SELECT * FROM job_execution WHERE job_id = ?", [jobId]
    if status is not None:
        select += " AND status = ?"
        parameters.append(status)
    rows, token = page(store, select, parameters, by=("thing_name",), size=maxResults, token=nextToken)
    found = [
        {"thingArn": registry.arn(store, row["thing_name"]), "jobExecutionSummary": _summary(tables.execution_of(row))}
        for row in rows
    ]
    return {"executionSummaries": found, "nextToken": token}


@operation("iot:ListJobExecutionsForThing")
def list_job_executions_for_thing(
    store: Store,
    *,
    thingName: str,
    status: str | None = None,
    namespaceId: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
    jobId: str | None = None,
) -> dict[str, Any]:
    """The executions of a thing, the last queued first."""
    registry.known(store, thingName)
    select, parameters = "SELECT * FROM job_execution WHERE thing_name = ?", [thingName]
    for column, value in {"status": status, "namespace": namespaceId, "job_id": jobId}.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    rows, token = page(
        store, select, parameters, by=("queued", "number"), size=maxResults, token=nextToken, ascending=False
    )
    found = [{"jobId": row["job_id"], "jobExecutionSummary": _summary(tables.execution_of(row))} for row in rows]
    return {"executionSummaries": found, "nextToken": token}


@operation("iot:DescribeJobExecution")
def describe_job_execution(
    store: Store, jobId: str, thingName: str, executionNumber: int | None = None
) -> dict[str, Any]:
    """What is known of an execution."""
    found = tables.known_execution(store, thingName, jobId, executionNumber)
    summary = _summary(found)
    del summary["retryAttempt"]
    described = {
        **summary,
        "jobId": jobId,
        "thingArn": registry.arn(store, thingName),
        "statusDetails": {"detailsMap": dict(found.details)},
        "versionNumber": found.version,
        "forceCanceled": found.forced or None,
        "approximateSecondsBeforeTimedOut": None if found.due is None else max(0, int(found.due - store.now())),
    }
    return {"execution": described}


@operation("iot:CancelJobExecution")
def cancel_job_execution(
    store: Store,
    *,
    jobId: str,
    thingName: str,
    force: bool = False,
    expectedVersion: int | None = None,
    statusDetails: dict[str, str] | None = None,
) -> None:
    """Cancel an execution that is queued; with force one that is in progress too."""
    found = tables.known_execution(store, thingName, jobId)
    if expectedVersion is not None and expectedVersion != found.version:
        message = f"The version of the job execution is {found.version}, not {expectedVersion}"
        raise AwsError("VersionConflictException", message)
    if found.status in TERMINAL or (found.status == "IN_PROGRESS" and not force):
        raise AwsError("InvalidStateTransitionException", f"The job execution is {found.status} and cannot be canceled")
    problem = bad_details(statusDetails or {})
    if problem:
        raise invalid(problem)
    executions.change(store, found, "CANCELED", details=statusDetails, forced=force)


@operation("iot:DeleteJobExecution")
def delete_job_execution(
    store: Store,
    *,
    jobId: str,
    thingName: str,
    executionNumber: int,
    force: bool = False,
    namespaceId: str | None = None,
) -> None:
    """Delete an execution that has ended; with force any."""
    found = tables.known_execution(store, thingName, jobId, executionNumber)
    if namespaceId not in {None, found.namespace}:
        raise invalid(f"The job {jobId} is not in the namespace {namespaceId}")
    if found.status not in TERMINAL and not force:
        raise AwsError("InvalidStateTransitionException", f"The job execution is {found.status}: force must be true")
    executions.delete(store, found)
    executions.settle(store, jobId)


def bad_details(details: Mapping[str, str]) -> str:
    """What is wrong with status details beyond the service model; empty: nothing."""
    if len(details) > MOST_DETAILS:
        return f"statusDetails cannot have more than {MOST_DETAILS} name-value pairs"
    if any(len(value) > LONGEST_DETAIL for value in details.values()):
        return f"A value of statusDetails cannot be longer than {LONGEST_DETAIL} characters"
    return ""


def _summary(execution: Execution) -> dict[str, Any]:
    return {
        "status": execution.status,
        "queuedAt": execution.queued,
        "startedAt": execution.started,
        "lastUpdatedAt": execution.updated,
        "executionNumber": execution.execution_number,
        "retryAttempt": sum(execution.retries.values()),
    }
