"""Deployments: one a target, in revisions; delivered to a group as a continuous job, to a thing in its shadow.

What a source leaves open is chosen here: a deployment that a later revision replaced is INACTIVE; to cancel what is not
ACTIVE is a conflict, and so is to delete what is; a sub-deployment needs a deployment of its parent, stays when the
parent is revised, and is of a group that has no deployment of its own.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation, shadows
from iotctl.local.services.greengrass import documents, names, outcomes, tokens
from iotctl.local.services.greengrass.names import conflict, not_found, put_tags, validation
from iotctl.local.services.greengrass.records import arn_of, known, latest_of
from iotctl.local.services.jobs import control, executions
from iotctl.local.services.jobs import tables as jobs
from iotctl.local.services.tags import forget_tags
from iotctl.semantics.versions import Version, VersionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.services.greengrass.names import Target
    from iotctl.local.services.greengrass.records import Deployment
    from iotctl.local.store import Store

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}")


@operation("greengrassv2:CreateDeployment")
def create_deployment(
    store: Store,
    *,
    targetArn: str,
    deploymentName: str | None = None,
    components: dict[str, Any] | None = None,
    iotJobConfiguration: dict[str, Any] | None = None,
    deploymentPolicies: dict[str, Any] | None = None,
    parentTargetArn: str | None = None,
    tags: dict[str, str] | None = None,
    clientToken: str | None = None,
) -> dict[str, Any]:
    """Deploy to a thing or a thing group, in place of what is deployed to it."""
    given = {key: value for key, value in locals().items() if key not in {"store", "clientToken"}}
    return tokens.once(store, "CreateDeployment", clientToken, given, lambda: _create(store, given))


@operation("greengrassv2:CancelDeployment")
def cancel_deployment(store: Store, deploymentId: str) -> dict[str, Any]:
    """Cancel a deployment for cores that have not received it."""
    found = known(store, deploymentId)
    status = outcomes.status_of(store, found)
    if status != "ACTIVE":
        raise conflict("Deployment", deploymentId, f"Deployment {deploymentId} is {status} and cannot be canceled")
    store.execute("UPDATE greengrass_deployment SET status = 'CANCELED' WHERE id = ?", deploymentId)
    _withdraw(store, found)
    if not found.target.is_group:
        _change_shadow(store, found.target.name, {"desiredStatus": "CANCELED"})
    return {"message": f"Deployment {deploymentId} is canceled"}


@operation("greengrassv2:DeleteDeployment")
def delete_deployment(store: Store, deploymentId: str) -> None:
    """Delete a deployment that is not active; cores go on with what it installed."""
    found = known(store, deploymentId)
    if outcomes.status_of(store, found) == "ACTIVE":
        message = f"Deployment {deploymentId} is ACTIVE: it must be canceled before it is deleted"
        raise conflict("Deployment", deploymentId, message)
    _withdraw(store, found)
    store.execute("DELETE FROM greengrass_deployment WHERE id = ?", deploymentId)
    forget_tags(store, arn_of(store, deploymentId))


def _create(store: Store, given: Mapping[str, Any]) -> dict[str, Any]:
    target = names.target(store, given["targetArn"]).known(store)
    components = given["components"] or {}
    _check(components)
    parent = _parent(store, target, given["parentTargetArn"]) if given["parentTargetArn"] else None
    _retire(store, target, parent)
    revision = _next_revision(store, target)
    policies, identity = documents.policies(given["deploymentPolicies"]), str(uuid.uuid4())
    document = documents.document(
        store,
        target,
        deployment_id=identity,
        revision=revision,
        components=components,
        policies=policies,
        parent=parent,
        root=_root(store, parent) if parent else None,
    )
    job_id = str(uuid.uuid4()) if target.is_group else None
    configuration = given["iotJobConfiguration"]
    store.execute(
        "INSERT INTO greengrass_deployment (id, target, revision, name, parent, job_id, components, policies,"
        " job_configuration, created, status, latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ACTIVE', 1)",
        identity,
        target.arn,
        revision,
        given["deploymentName"] or "",
        parent.arn if parent else None,
        job_id,
        json.dumps(components),
        json.dumps(policies),
        json.dumps(configuration) if configuration else None,
        store.now(),
    )
    put_tags(store, arn_of(store, identity), given["tags"])
    if job_id is None:
        _change_shadow(store, target.name, {"fleetConfig": json.dumps(document), "desiredStatus": "SUCCEEDED"})
        return {"deploymentId": identity}
    _start_job(store, job_id, target, document, configuration or {})
    return {"deploymentId": identity, "iotJobId": job_id, "iotJobArn": jobs.arn(store, job_id)}


def _check(components: Mapping[str, Any]) -> None:
    for name, one in components.items():
        if not _NAME.fullmatch(name):
            raise validation(f"{name} is not the name of a component")
        try:
            Version.parse(one["componentVersion"])
        except VersionError as error:
            raise validation(f"componentVersion of {name}: {error}") from error


def _parent(store: Store, target: Target, arn: str) -> Target:
    """The parent of a new sub-deployment."""
    parent = names.target(store, arn)
    if not target.is_group or not parent.is_group:
        raise validation("A subdeployment is of a thing group, and its parent's target is a thing group")
    if parent == target:
        raise validation("A subdeployment cannot have its own target as its parent")
    if latest_of(store, parent.arn) is None:
        raise not_found("Deployment", arn)
    before = latest_of(store, target.arn)
    if before is not None and before.parent != parent.arn:
        message = f"Thing group {target.name} is the target of deployment {before.id}, which is no subdeployment of it"
        raise conflict("Deployment", before.id, message)
    return parent


def _root(store: Store, parent: Target) -> Target:
    """The group at the top of the parents."""
    found, seen = parent, {parent.arn}
    while (above := latest_of(store, found.arn)) is not None and above.parent and above.parent not in seen:
        seen.add(above.parent)
        found = names.target(store, above.parent)
    return found


def _retire(store: Store, target: Target, parent: Target | None) -> None:
    """Take a target's latest deployment out of the way of the next."""
    before = latest_of(store, target.arn)
    if before is None:
        return
    if before.parent and parent is None:
        message = f"Thing group {target.name} has the subdeployment {before.id}: parentTargetArn must be specified"
        raise conflict("Deployment", before.id, message)
    status = outcomes.status_of(store, before)
    outcome = None if before.target.is_group else outcomes.reported(store, before)
    store.execute(
        "UPDATE greengrass_deployment SET latest = 0, status = ?, outcome = ? WHERE id = ?",
        "INACTIVE" if status == "ACTIVE" else before.status,
        json.dumps(outcome) if outcome else None,
        before.id,
    )
    _withdraw(store, before)


def _next_revision(store: Store, target: Target) -> int:
    """The number of a target's next revision, never used again."""
    store.execute(
        "INSERT INTO greengrass_target VALUES (?, 1) ON CONFLICT DO UPDATE SET revision = revision + 1", target.arn
    )
    row = store.row("SELECT revision FROM greengrass_target WHERE arn = ?", target.arn)
    assert row is not None, "it was written"
    return int(row["revision"])


def _start_job(
    store: Store, job_id: str, target: Target, document: Mapping[str, Any], configuration: Mapping[str, Any]
) -> None:
    try:
        control.create_job(
            store,
            jobId=job_id,
            targets=[target.arn],
            document=json.dumps(document, separators=(",", ":")),
            targetSelection="CONTINUOUS",
            namespaceId=names.NAMESPACE,
            **configuration,
        )
    except AwsError as error:
        raise validation(f"The deployment's job cannot be created: {error.message}") from error


def _withdraw(store: Store, deployment: Deployment) -> None:
    """Cancel a deployment's job for cores that have not received it."""
    job = jobs.find(store, deployment.job_id) if deployment.job_id else None
    if job and job.active:
        executions.cancel(store, job, comment=f"Deployment {deployment.id} was replaced, canceled or deleted")


def _change_shadow(store: Store, thing_name: str, desired: Mapping[str, Any]) -> None:
    payload = json.dumps({"state": {"desired": desired}}).encode()
    shadows.update_thing_shadow(store, thing_name, payload, names.SHADOW)
