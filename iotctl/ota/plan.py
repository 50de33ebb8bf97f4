"""A rollout's record -> s3:Upload, the record put, iot:CreateJob; and the step from the canary to the fleet. Pure.

Running either again is safe: what is there is compared, and an id that is taken by the same job is success.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.ota.rollout import FLEET, approval, job_id
from iotctl.plan import Expect, Plan, Ref, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.ota.rollout import Record
    from iotctl.target import Target

_RECORDS: Final = "rollouts"


def record_key(prefix: str, record: Record) -> str:
    """The key of a rollout's record: beside its artifact."""
    return f"{prefix}/{record.sha256}/{_RECORDS}/{record.rollout_id}.json"


def creating(
    record: Record,
    path: str,
    bucket: str,
    key: str,
    target: Target,
    *,
    warnings: Sequence[str] = (),
    follow: Sequence[str] = (),
) -> Plan:
    """The artifact is sent, the record put, the first job made.

    Args:
        record: of the rollout.
        path: the artifact's file.
        bucket: that both go to.
        key: of the record.
        target: the account and region.
        warnings: what the operator should know.
        follow: the command that comes after it.

    """
    phase = record.first
    job = job_id(record.rollout_id, phase)
    artifact = {
        "path": path,
        "size": record.size,
        "sha256": record.sha256,
        "bucket": bucket,
        "key": record.place.removeprefix(f"s3://{bucket}/"),
    }
    agreed = {"bucket": bucket, "key": key, "content": record.content().decode(), "phase": phase}
    asked = {*record.requests[phase], *(("document",) if record.document else ()), "jobId", "tags"}
    create = {name: Ref(f"agreed.request.{name}") for name in sorted(asked)}
    first = "its canary of" if phase != FLEET else ""
    return Plan(
        command="ota create",
        run_id=_run_id("create", record.rollout_id),
        target=target,
        summary=(
            f"roll out {record.name} {record.release} to {record.scope}: {first}"
            f" {text.count(record.things[phase], 'thing')} now, as the job {job}"
        ).replace("  ", " "),
        each=(
            Step("s3:Upload", artifact, name="artifact"),
            Step("ota:AgreeOnRecord", agreed, name="agreed"),
            _create(create, template=not record.document),
        ),
        rows=({"thingName": job, "line": 1},),
        noun="job",
        bulk=False,
        warnings=tuple(warnings),
        follow=tuple(follow),
    )


def advancing(record: Record, request: Mapping[str, Any], canary_arn: str, target: Target, *, approved: str) -> Plan:
    """The canary has gone well: the fleet's job is made.

    Args:
        record: of the rollout.
        request: CreateJob's parameters.
        canary_arn: of the canary's job.
        target: the account and region.
        approved: when someone says yes with this, as ISO 8601; empty: nobody needs to.

    """
    job = job_id(record.rollout_id, FLEET)
    tag = Step("iot:TagResource", {"resourceArn": canary_arn, "tags": approval(approved)})
    return Plan(
        command="ota step",
        run_id=_run_id("step", record.rollout_id),
        target=target,
        summary=(
            f"go on with {record.name} {record.release} from the canary to {record.scope}:"
            f" {text.count(record.things[FLEET], 'thing')}, as the job {job}"
        ),
        each=(*((tag,) if approved else ()), _create(request, template=not record.document)),
        rows=({"thingName": job, "line": 1},),
        noun="job",
        bulk=False,
    )


def _create(request: Mapping[str, Any], *, template: bool) -> Step:
    """Make a job; where its id is taken, it must be this job: the same targets and the same document."""
    same = [Expect("job.targets", request["targets"], op="iot:DescribeJob")]
    if template:
        same.append(Expect("job.jobTemplateArn", request["jobTemplateArn"], op="iot:DescribeJob"))
    else:
        same.append(Expect("document", request["document"], op="iot:GetJobDocument"))
    return Step("iot:CreateJob", request, name="job", on_exists=tuple(same))


def _run_id(what: str, rollout: str) -> str:
    return hashlib.sha256(f"{what} {rollout}".encode()).hexdigest()[:12]
