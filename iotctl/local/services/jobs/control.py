"""Jobs for operators: CreateJob, DescribeJob, ListJobs, UpdateJob, CancelJob, DeleteJob and their kin."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.local.services import AwsError, invalid, not_found, operation, thing_groups, things
from iotctl.local.services.jobs import configuration, executions, managed, membership, notices, rolling, tables
from iotctl.local.services.jobs.templates import basis_of
from iotctl.local.services.paging import page
from iotctl.local.services.tags import put_tags, taggable
from iotctl.semantics.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotctl.local.services.jobs.tables import Job
    from iotctl.local.store import Store

_MOST_TARGETS: Final = 100
_MOST_DELETIONS: Final = 10
_OPEN: Final = frozenset({"IN_PROGRESS", "SCHEDULED"})


@operation("iot:CreateJob")
def create_job(
    store: Store,
    *,
    jobId: str,
    targets: list[str],
    documentSource: str | None = None,
    document: str | None = None,
    description: str | None = None,
    presignedUrlConfig: dict[str, Any] | None = None,
    targetSelection: str = "SNAPSHOT",
    jobExecutionsRolloutConfig: dict[str, Any] | None = None,
    abortConfig: dict[str, Any] | None = None,
    timeoutConfig: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
    namespaceId: str = "",
    jobTemplateArn: str | None = None,
    jobExecutionsRetryConfig: dict[str, Any] | None = None,
    documentParameters: dict[str, str] | None = None,
    schedulingConfig: dict[str, Any] | None = None,
    destinationPackageVersions: list[str] | None = None,
) -> dict[str, Any]:
    """Create a job; what may be notified at once is, in the same transaction."""
    given = dict(locals())
    if tables.find(store, jobId):
        message = f"Job {jobId} already exists in account"
        raise AwsError(
            "ResourceAlreadyExistsException", message, resourceId=jobId, resourceArn=tables.arn(store, jobId)
        )
    if documentParameters and not jobTemplateArn:
        raise invalid("documentParameters can only be used with a template that AWS manages")
    basis = basis_of(store, jobTemplateArn, documentParameters) if jobTemplateArn else None
    draft = configuration.draft(store, given, basis)
    configuration.check_times(store, draft.configuration)
    made_of = {"jobTemplateArn": jobTemplateArn, "documentParameters": documentParameters}
    kept = {**draft.configuration, **{key: value for key, value in made_of.items() if value}}
    now = store.now()
    store.execute(
        "INSERT INTO job (id, status, target_selection, namespace, document, configuration, created, updated)"
        " VALUES (?, 'SCHEDULED', ?, ?, ?, ?, ?, ?)",
        jobId,
        targetSelection,
        namespaceId,
        draft.document,
        json.dumps(kept),
        now,
        now,
    )
    for thing_name in _target(store, jobId, targets, groups_only=False):
        store.execute("INSERT OR IGNORE INTO job_waiting (job_id, thing_name) VALUES (?, ?)", jobId, thing_name)
    put_tags(store, tables.arn(store, jobId), tags)
    rolling.advance(store, jobId)
    return _named(store, tables.known(store, jobId))


@operation("iot:AssociateTargetsWithJob")
def associate_targets_with_job(
    store: Store,
    targets: list[str],
    jobId: str,
    comment: str | None = None,
    namespaceId: str | None = None,
) -> dict[str, Any]:
    """Add thing groups to a continuous job that is in progress."""
    job = _known(store, jobId, namespaceId)
    if not job.continuous or job.status != "IN_PROGRESS" or job.ended:
        raise invalid(f"Targets can only be associated with a continuous job in progress, and {jobId} is not one")
    added = _target(store, jobId, targets, groups_only=True)
    _touch(store, jobId, comment=comment)
    for thing_name in added:
        membership.enlist(store, job, thing_name)
    return _named(store, job)


@operation("iot:DescribeJob")
def describe_job(store: Store, jobId: str, beforeSubstitution: bool = False) -> dict[str, Any]:  # noqa: ARG001  it is the document in which they differ
    """What is known of a job."""
    job = tables.known(store, jobId)
    kept = dict(job.configuration)
    source = kept.pop("documentSource", None)
    times = schedule(kept.get("schedulingConfig"))
    rolling_out = tables.waiting(store, jobId)
    goals = tables.targets(store, jobId)
    upcoming = times.upcoming(datetime.fromtimestamp(store.now(), UTC)) if job.active else []
    details = notices.counts(store, jobId)
    return {
        "documentSource": source,
        "job": {
            **kept,
            **_summary(store, job),
            "forceCanceled": job.forced or None,
            "reasonCode": job.reason_code,
            "comment": job.comment,
            "targets": goals,
            "namespaceId": job.namespace or None,
            "jobProcessDetails": {"processingTargets": goals if rolling_out else None, **details},
            "scheduledJobRollouts": [{"startTime": clock.iso(start)} for start in upcoming] or None,
        },
    }


@operation("iot:GetJobDocument")
def get_job_document(store: Store, jobId: str, beforeSubstitution: bool = False) -> dict[str, Any]:
    """A job's document, its placeholders as they are: only devices get presigned URLs."""
    job = tables.known(store, jobId)
    made_of = job.configuration.get("jobTemplateArn", "")
    if beforeSubstitution and managed.is_managed(made_of):
        return {"document": managed.open_document(store, made_of)[0]}
    return {"document": job.document}


@operation("iot:ListJobs")
def list_jobs(
    store: Store,
    *,
    status: str | None = None,
    targetSelection: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
    thingGroupName: str | None = None,
    thingGroupId: str | None = None,
    namespaceId: str | None = None,
) -> dict[str, Any]:
    """Jobs, the newest first."""
    select, parameters = "SELECT id, created FROM job WHERE true", list[Any]()
    asked = {"status": status, "target_selection": targetSelection, "namespace": namespaceId}
    for column, value in asked.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    group = thingGroupName
    if thingGroupId is not None:
        row = store.row("SELECT name FROM thing_group WHERE id = ?", thingGroupId)
        if row is None or group not in {None, row["name"]}:
            raise not_found(f"Thing group {thingGroupId} not found")
        group = row["name"]
    if group is not None:
        select += " AND id IN (SELECT job_id FROM job_target WHERE group_name = ?)"
        parameters.append(group)
    rows, token = page(
        store, select, parameters, by=("created", "id"), size=maxResults, token=nextToken, ascending=False
    )
    return {"jobs": [_summary(store, tables.known(store, row["id"])) for row in rows], "nextToken": token}


@operation("iot:UpdateJob")
def update_job(
    store: Store,
    *,
    jobId: str,
    description: str | None = None,
    presignedUrlConfig: dict[str, Any] | None = None,
    jobExecutionsRolloutConfig: dict[str, Any] | None = None,
    abortConfig: dict[str, Any] | None = None,
    timeoutConfig: dict[str, Any] | None = None,
    namespaceId: str | None = None,
    jobExecutionsRetryConfig: dict[str, Any] | None = None,
) -> None:
    """Change a job that has not ended; timers that run already stay as they are."""
    given = configuration.stated(locals())
    job = _known(store, jobId, namespaceId)
    if job.status not in _OPEN:
        raise invalid(f"Job {jobId} is {job.status} and cannot be updated")
    changed = {**job.configuration, **given}
    configuration.check(changed)
    configuration.check_document(job.document, changed)
    store.execute("UPDATE job SET configuration = ?, updated = ? WHERE id = ?", json.dumps(changed), store.now(), jobId)
    if tables.waiting(store, jobId):
        rolling.advance(store, jobId)


@operation("iot:CancelJob")
def cancel_job(
    store: Store, jobId: str, reasonCode: str | None = None, comment: str | None = None, force: bool = False
) -> dict[str, Any]:
    """Cancel a job: what is queued, and with force what is in progress too, then also after a cancel without force."""
    job = tables.known(store, jobId)
    if job.status not in _OPEN and not (job.status == "CANCELED" and force and not job.forced):
        raise invalid(f"Job {jobId} is {job.status} and cannot be canceled")
    executions.cancel(store, job, forced=force, reason_code=reasonCode, comment=comment)
    return _named(store, job)


@operation("iot:DeleteJob")
def delete_job(store: Store, jobId: str, force: bool = False, namespaceId: str | None = None) -> None:
    """Begin to delete a job and its executions; it is gone when DescribeJob does not find it."""
    job = _known(store, jobId, namespaceId)
    if job.status == "DELETION_IN_PROGRESS":
        raise invalid(f"Job {jobId} is being deleted")
    if job.status in _OPEN and not force:
        raise AwsError("InvalidStateTransitionException", f"Job {jobId} is {job.status}: force must be true")
    deletions = store.row("SELECT count(*) AS jobs FROM job WHERE status = 'DELETION_IN_PROGRESS'")
    if deletions and deletions["jobs"] >= _MOST_DELETIONS:
        raise AwsError("LimitExceededException", f"No more than {_MOST_DELETIONS} jobs can be deleted at the same time")
    store.execute("UPDATE job SET status = 'DELETION_IN_PROGRESS', updated = ? WHERE id = ?", store.now(), jobId)
    store.execute("DELETE FROM job_waiting WHERE job_id = ?", jobId)
    notices.job_event(store, tables.known(store, jobId), "deletion_in_progress", "DELETION_IN_PROGRESS")
    tables.wake(store, jobId, store.now())


def _known(store: Store, job_id: str, namespace: str | None) -> Job:
    job = tables.known(store, job_id)
    if namespace is not None and namespace != job.namespace:
        raise not_found(f"Job {job_id} cannot be found in the namespace {namespace}")
    return job


def _target(store: Store, job_id: str, arns: Iterable[str], *, groups_only: bool) -> list[str]:
    """Keep the targets of a job; the things that they are now, in order."""
    found: dict[str, None] = {}
    held = len(tables.targets(store, job_id))
    for number, target in enumerate(dict.fromkeys(arns), held):
        kind, _, name = target.removeprefix(store.arn("")).partition("/")
        group = name if kind == "thinggroup" else None
        if not target.startswith(store.arn("")) or not name or kind not in {"thing", "thinggroup"}:
            raise invalid(f"{target} is not the ARN of a thing or a thing group of this account and region")
        if groups_only and group is None:
            raise invalid(f"{target} is not the ARN of a thing group")
        if group is None:
            things.known(store, name)
            found[name] = None
        else:
            thing_groups.known(store, name)
            found.update(dict.fromkeys(membership.members(store, name)))
        store.execute("INSERT OR IGNORE INTO job_target VALUES (?, ?, ?, ?)", job_id, target, number, group)
    if len(tables.targets(store, job_id)) > _MOST_TARGETS:
        raise AwsError("LimitExceededException", f"A job cannot have more than {_MOST_TARGETS} targets")
    return list(found)


def _touch(store: Store, job_id: str, *, comment: str | None) -> None:
    store.execute(
        "UPDATE job SET updated = ?, comment = coalesce(?, comment) WHERE id = ?", store.now(), comment, job_id
    )


def _named(store: Store, job: Job) -> dict[str, Any]:
    return {
        "jobArn": tables.arn(store, job.id),
        "jobId": job.id,
        "description": job.configuration.get("description"),
    }


def _summary(store: Store, job: Job) -> dict[str, Any]:
    return {
        "jobArn": tables.arn(store, job.id),
        "jobId": job.id,
        "targetSelection": job.target_selection,
        "status": job.status,
        "createdAt": job.created,
        "lastUpdatedAt": job.updated,
        "completedAt": job.completed,
        "isConcurrent": job.status == "IN_PROGRESS" and tables.waiting(store, job.id),
    }


taggable("job", lambda store, name: tables.find(store, name) is not None)
