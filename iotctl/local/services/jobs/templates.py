"""Job templates of one's own: CreateJobTemplate, DescribeJobTemplate, ListJobTemplates, DeleteJobTemplate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.jobs import managed, tables
from iotctl.local.services.jobs.configuration import Draft, draft
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

_TEMPLATES: Final = Named("job_template", "jobtemplate", "Job template {} cannot be found", column="id")


@operation("iot:CreateJobTemplate")
def create_job_template(
    store: Store,
    *,
    jobTemplateId: str,
    description: str,
    jobArn: str | None = None,
    documentSource: str | None = None,
    document: str | None = None,
    presignedUrlConfig: dict[str, Any] | None = None,
    jobExecutionsRolloutConfig: dict[str, Any] | None = None,
    abortConfig: dict[str, Any] | None = None,
    timeoutConfig: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
    jobExecutionsRetryConfig: dict[str, Any] | None = None,
    maintenanceWindows: list[dict[str, Any]] | None = None,
    destinationPackageVersions: list[str] | None = None,
) -> dict[str, Any]:
    """Create a template of a job, or of its own document and configuration."""
    given = dict(locals())
    if _TEMPLATES.find(store, jobTemplateId):
        raise AwsError("ConflictException", f"Job template {jobTemplateId} already exists", resourceId=jobTemplateId)
    windows = {"schedulingConfig": {"maintenanceWindows": maintenanceWindows}} if maintenanceWindows else {}
    made = draft(store, {**given, **windows}, _of_job(store, jobArn) if jobArn else None)
    kept = {key: value for key, value in made.configuration.items() if key != "description"}
    store.execute(
        "INSERT INTO job_template VALUES (?, ?, ?, ?, ?)",
        jobTemplateId,
        description,
        made.document,
        json.dumps(kept),
        store.now(),
    )
    put_tags(store, _TEMPLATES.arn(store, jobTemplateId), tags)
    return {"jobTemplateArn": _TEMPLATES.arn(store, jobTemplateId), "jobTemplateId": jobTemplateId}


@operation("iot:DescribeJobTemplate")
def describe_job_template(store: Store, jobTemplateId: str) -> dict[str, Any]:
    """What a template holds."""
    row = _TEMPLATES.known(store, jobTemplateId)
    kept = json.loads(row["configuration"])
    windows = kept.pop("schedulingConfig", {}).get("maintenanceWindows")
    return {**kept, **_summary(store, row), "document": row["document"], "maintenanceWindows": windows}


@operation("iot:ListJobTemplates")
def list_job_templates(store: Store, maxResults: int | None = None, nextToken: str | None = None) -> dict[str, Any]:
    """Templates by their id."""
    rows, token = page(store, "SELECT * FROM job_template", [], by=("id",), size=maxResults, token=nextToken)
    return {"jobTemplates": [_summary(store, row) for row in rows], "nextToken": token}


@operation("iot:DeleteJobTemplate")
def delete_job_template(store: Store, jobTemplateId: str) -> None:
    """Delete a template; the jobs that were made of it stay."""
    _TEMPLATES.known(store, jobTemplateId)
    forget_tags(store, _TEMPLATES.arn(store, jobTemplateId))
    store.execute("DELETE FROM job_template WHERE id = ?", jobTemplateId)


def basis_of(store: Store, arn: str, parameters: Mapping[str, str] | None = None) -> Draft:
    """What a job of a template, one's own or AWS's, begins with.

    Raises:
        AwsError: there is no such template, or the parameters are not what it takes.

    """
    if managed.is_managed(arn):
        document, description = managed.open_document(store, arn)
        return Draft(managed.filled(arn, document, parameters or {}), {"description": description})
    if parameters:
        raise invalid("documentParameters can only be used with a template that AWS manages")
    prefix = _TEMPLATES.arn(store, "")
    row = _TEMPLATES.find(store, arn.removeprefix(prefix)) if arn.startswith(prefix) else None
    if row is None:
        raise not_found(f"Job template {arn} cannot be found")
    return Draft(row["document"], {**json.loads(row["configuration"]), "description": row["description"]})


def _of_job(store: Store, arn: str) -> Draft:
    prefix = tables.arn(store, "")
    if not arn.startswith(prefix):
        raise invalid(f"{arn} is not the ARN of a job of this account and region")
    job = tables.known(store, arn.removeprefix(prefix))
    dropped = {"jobTemplateArn", "documentParameters", "schedulingConfig"}
    return Draft(job.document, {key: value for key, value in job.configuration.items() if key not in dropped})


def _summary(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "jobTemplateArn": _TEMPLATES.arn(store, row["id"]),
        "jobTemplateId": row["id"],
        "description": row["description"],
        "createdAt": row["created"],
    }


taggable("jobtemplate", _TEMPLATES.exists)
