"""One rollout, one job or one device, whole: what it is, how it is configured, where it stands."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, scope, text
from iotctl.errors import NotFound, Usage
from iotctl.ota import table
from iotctl.ota.failures import Failures
from iotctl.ota.standing import standing, verdict
from iotctl.result import Column, Result, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.ota.subject import Subject

_COLUMNS: Final = tuple(column for column in table.COLUMNS if column.key not in table.PACE)
_OF_DEVICE: Final = (
    Column("jobId", "JOB"),
    Column("status", "STATUS"),
    Column("queuedAt", "QUEUED"),
    Column("startedAt", "STARTED"),
    Column("lastUpdatedAt", "LAST CHANGED"),
    Column("executionNumber", "EXECUTION"),
    Column("statusDetails", "DETAILS"),
)
_MOST_SHOWN: Final = 50


def rollout(context: Context, found: Subject, reasons: float) -> Result:
    """A rollout or a job: its phases, what is left of it, its brakes, its document, and why things failed."""
    failures = Failures(context, reasons)
    failures.look(found.phases)
    groups = failures.groups(found)
    judged = verdict(found.phases, found.terms(), context.aws.now().timestamp(), last=True)
    document = context.aws.call("iot:GetJobDocument", jobId=found.main.job.job_id).get("document", "")
    data = {
        ("rolloutId" if found.labels else "jobId"): found.name,
        **_agreed(found),
        "verdict": {"state": judged.state.value, "reason": judged.reason},
        **standing(found.phases).to_json(),
        "phases": [{**table.row(phase), "job": _plain(found.described[phase.job.job_id])} for phase in found.phases],
        "jobDocument": _document(document),
        "failures": [group.to_json() for group in groups],
    }
    notes = [*_about(found), f"{judged.state}: {judged.reason}", *map(str, groups)]
    return Result(data, Table(_COLUMNS, [table.row(phase) for phase in found.phases]), notes=tuple(notes))


def device(context: Context, thing_name: str, found: Subject | None) -> Result:
    """What one device has of a rollout; without one, of its last jobs.

    Raises:
        NotFound: there is no such thing, or it has nothing of this rollout.

    """
    aws = context.aws
    if found is None:
        try:
            listed = list(itertools.islice(_executions(aws, thing_name), _MOST_SHOWN))
        except NotFound as error:
            raise scope.no_thing(thing_name, error) from error
        rows = [_row(job_id, summary) for job_id, summary in listed]
        return Result({"thingName": thing_name, "executions": rows}, Table(_OF_DEVICE[:-1], rows))
    rows = []
    for phase in found.phases:
        job_id = phase.job.job_id
        try:
            execution = aws.call("iot:DescribeJobExecution", jobId=job_id, thingName=thing_name)["execution"]
        except NotFound:
            continue
        details = (execution.get("statusDetails") or {}).get("detailsMap") or {}
        rows.append({**_row(job_id, execution), "statusDetails": details})
    if not rows:
        scope.existing(aws, scope.Scope(thing_name))
        raise NotFound(
            f"{thing_name} has nothing of {found.name}: it is none of its things, or was not notified yet",
            on=thing_name,
            hint=f"iotctl ota show {found.name}",
        )
    table_rows = [{**row, "statusDetails": _words(row["statusDetails"])} for row in rows]
    return Result({"thingName": thing_name, "executions": rows}, Table(_OF_DEVICE, table_rows))


def _executions(aws: Aws, thing_name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for page in aws.pages("iot:ListJobExecutionsForThing", thingName=thing_name, maxResults=_MOST_SHOWN):
        for one in page.get("executionSummaries", ()):
            yield one["jobId"], one["jobExecutionSummary"]


def _row(job_id: str, execution: Mapping[str, Any]) -> dict[str, Any]:
    times = {key: _plain(execution.get(key)) for key in ("queuedAt", "startedAt", "lastUpdatedAt")}
    return {
        "jobId": job_id,
        "status": execution["status"],
        **times,
        "executionNumber": execution.get("executionNumber"),
    }


def _agreed(found: Subject) -> dict[str, Any]:
    """What a rollout of ours was made for: the release, what passes it, and where its record is."""
    labels = found.labels
    if labels is None:
        return {}
    artifact = {"name": labels.name, "release": labels.release}
    return {"artifact": artifact, "goal": labels.goal.to_json(), "record": labels.record}


def _about(found: Subject) -> Iterator[str]:
    """What a person asks first: what is rolled out, under which conditions, how fast, what stops it."""
    if found.labels:
        goal, labels = found.labels.goal, found.labels
        asked = [f"{goal.passing:f} % must succeed"]
        asked += [f"judged after {table.duration(goal.deadline)}"] if goal.deadline else []
        if found.more:
            asked += [f"the canary soaks {table.duration(goal.soak)}"] if goal.soak else []
            asked += [f"the gate is {goal.gate}"] if goal.gate else []
            asked += ["someone must approve"] if goal.approve and not labels.approved else []
        yield f"{labels.name} {labels.release}: {', '.join(asked)}"
    described = found.described[found.main.job.job_id]
    job = found.main.job
    for window in described.get("scheduledJobRollouts") or ():
        yield f"the next maintenance window opens at {_plain(window['startTime'])}"
        break
    if job.starts > clock.epoch():
        yield f"it starts at {_plain(datetime.fromtimestamp(job.starts, clock.now().tzinfo))}"
    criteria = (described.get("abortConfig") or {}).get("criteriaList") or ()
    for criterion in criteria:
        yield (
            f"{criterion['failureType']} of {criterion['thresholdPercentage']:g} % stops it,"
            f" once {criterion['minNumberOfExecutedThings']:,} have ended"
        )
    if not criteria and job.is_active:
        yield "nothing stops it by itself: it has no abort criteria"


def _document(document: str) -> Any:  # noqa: ANN401  JSON is any value
    """The document as JSON where it is; a presigned URL that somebody put there is nobody's to see."""
    redacted = text.redact(document) if "X-Amz-" in document else document
    try:
        return text.loads(redacted, name="the job document")
    except Usage:
        return redacted


def _words(details: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(details.items()))


def _plain(value: Any) -> Any:  # noqa: ANN401  AWS's own shapes
    """JSON of what botocore gives: times in ISO 8601."""
    if isinstance(value, datetime):
        return clock.iso(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
