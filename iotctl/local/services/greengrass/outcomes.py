"""What became of deployments: each on a core, and as a whole; read from jobs, shadows and reports when it is asked for.

A group's deployment stays ACTIVE, as its job is continuous; where the job was aborted by its own criteria it FAILED. A
thing's deployment is COMPLETED or FAILED as soon as the thing says so.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import operation, shadows
from iotctl.local.services.greengrass import documents, health, names, records
from iotctl.local.services.jobs import tables as jobs
from iotctl.local.services.tags import held_tags

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.services.greengrass.records import Deployment
    from iotctl.local.store import Store

_OF_THING: Final = {"SUCCEEDED": "COMPLETED"}
# What a core may say in its shadow: EffectiveDeploymentExecutionStatus, but COMPLETED, which is AWS's word for it.
_SAID: Final = ("QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED")
_EXECUTION: Final = {"REMOVED": "CANCELED"}  # EffectiveDeploymentExecutionStatus has no word for it
_CAUSES: Final = ("deployment-failure-cause", "failureCause", "detailed-deployment-status", "detailedStatus")
_STACKS: Final = ("deployment-error-stack", "errorStack")
_TYPES: Final = ("deployment-error-types", "errorTypes")
_LONGEST: Final = 255


@operation("greengrassv2:GetDeployment")
def get_deployment(store: Store, deploymentId: str) -> dict[str, Any]:
    """What is known of a deployment."""
    found = records.known(store, deploymentId)
    job = {"iotJobId": found.job_id, "iotJobArn": jobs.arn(store, found.job_id)} if found.job_id else {}
    return {
        **_listed(store, found),
        **job,
        "components": found.components,
        "deploymentPolicies": found.policies,
        "iotJobConfiguration": found.job_configuration,
        "tags": held_tags(store, records.arn_of(store, deploymentId)),
    }


@operation("greengrassv2:ListDeployments")
def list_deployments(
    store: Store,
    *,
    targetArn: str | None = None,
    historyFilter: str = "LATEST_ONLY",
    parentTargetArn: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """Deployments, the newest first: the latest revision of each target, or all."""
    select, parameters = "SELECT * FROM greengrass_deployment WHERE true", list[Any]()
    for column, value in {"target": targetArn, "parent": parentTargetArn}.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    if historyFilter == "LATEST_ONLY":
        select += " AND latest"
    rows, token = names.page(
        store, select, parameters, by=("number",), size=maxResults, token=nextToken, ascending=False
    )
    return {"deployments": [_listed(store, records.read(store, row)) for row in rows], "nextToken": token}


@operation("greengrassv2:ListEffectiveDeployments")
def list_effective_deployments(
    store: Store, coreDeviceThingName: str, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """What was deployed to a core, the newest first, and what became of it there."""
    select = """
        SELECT * FROM greengrass_deployment
        WHERE job_id IN (SELECT job_id FROM job_execution WHERE thing_name = ? AND namespace = ?) OR target = ?
    """
    of_core = [coreDeviceThingName, names.NAMESPACE, store.arn(f"thing/{coreDeviceThingName}")]
    if not health.is_core(store, coreDeviceThingName):
        raise names.not_found("CoreDevice", coreDeviceThingName)
    rows, token = names.page(store, select, of_core, by=("number",), size=maxResults, token=nextToken, ascending=False)
    return {"effectiveDeployments": [_effective(store, row, coreDeviceThingName) for row in rows], "nextToken": token}


def status_of(store: Store, deployment: Deployment) -> str:
    """A deployment's status as a whole."""
    if deployment.status != "ACTIVE":
        return deployment.status
    if deployment.job_id is None:
        outcome = reported(store, deployment)
        status = outcome["status"] if outcome else ""
        return {"SUCCEEDED": "COMPLETED", "FAILED": "FAILED", "REJECTED": "FAILED"}.get(status, "ACTIVE")
    job = jobs.find(store, deployment.job_id)
    if job is None:
        return "CANCELED"
    return "FAILED" if job.status == "CANCELED" else "ACTIVE"


def reported(store: Store, deployment: Deployment) -> dict[str, Any] | None:
    """What a thing has reported of a deployment to it: `status`, `details`, `modified`; None: nothing yet."""
    if deployment.outcome is not None or not deployment.latest:
        return dict(deployment.outcome) if deployment.outcome else None
    found = shadows.find(store, deployment.target.name, names.SHADOW)
    state: Mapping[str, Any] = (found.reported if found else None) or {}
    status, details = state.get("status"), state.get("statusDetails")
    if state.get("fleetConfigurationArnForStatus") != _configuration(store, deployment) or status not in _SAID:
        return None
    return {
        "status": status,
        "details": details if isinstance(details, dict) else {},
        "modified": found.timestamp if found else 0,
    }


def _listed(store: Store, deployment: Deployment) -> dict[str, Any]:
    return {
        "targetArn": deployment.target.arn,
        "revisionId": str(deployment.revision),
        "deploymentId": deployment.id,
        "deploymentName": deployment.name or None,
        "creationTimestamp": deployment.created,
        "deploymentStatus": status_of(store, deployment),
        "isLatestForTarget": deployment.latest,
        "parentTargetArn": deployment.parent,
    }


def _effective(store: Store, row: sqlite3.Row, core: str) -> dict[str, Any]:
    found = records.read(store, row)
    status, modified, details = "QUEUED", found.created, dict[str, Any]()
    if found.job_id:
        execution = jobs.execution(store, core, found.job_id)
        assert execution is not None, "the row was found by it"
        status, modified = _EXECUTION.get(execution.status, execution.status), execution.updated
        details = dict(execution.details)
    elif found.status == "CANCELED":
        status = "CANCELED"
    elif outcome := reported(store, found):
        status, modified = _OF_THING.get(outcome["status"], outcome["status"]), outcome["modified"]
        details = outcome["details"]
    elif found.status == "INACTIVE":
        status = "CANCELED"
    said = health.said_of(store, core, _configuration(store, found))
    return {
        "deploymentId": found.id,
        "deploymentName": found.name,
        "iotJobId": found.job_id,
        "iotJobArn": jobs.arn(store, found.job_id) if found.job_id else None,
        "targetArn": found.target.arn,
        "coreDeviceExecutionStatus": status,
        "creationTimestamp": found.created,
        "modifiedTimestamp": modified,
        **_reason({**said, **details}),
    }


def _reason(details: Mapping[str, Any]) -> dict[str, Any]:
    """Why, as the details of a job execution, of a shadow or of a report have it."""
    cause = next((str(details[key]) for key in _CAUSES if details.get(key)), None)
    stack, types = (_list(details, keys) for keys in (_STACKS, _TYPES))
    return {"reason": cause, "statusDetails": {"errorStack": stack, "errorTypes": types} if stack or types else None}


def _list(details: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """A list that is a list in a shadow, and JSON in the details of a job execution."""
    value: Any = next((details[key] for key in keys if details.get(key)), [])
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    return [str(one)[:_LONGEST] for one in value] if isinstance(value, list) else []


def _configuration(store: Store, deployment: Deployment) -> str:
    return documents.configuration_arn(store, deployment.target, deployment.revision)
