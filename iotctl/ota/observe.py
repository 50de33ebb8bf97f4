"""Read-only: what an order means here and now, what is missing for it, and how far a rollout is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import engine, expression, scope, text, trust
from iotctl.errors import BadInput, Conflict, Denied, Error, NotFound, Unsupported, Usage
from iotctl.ota import document, subject
from iotctl.ota.draft import Facts
from iotctl.ota.rollout import job_id
from iotctl.ota.subject import PAGE
from iotctl.pki.signing import SigningKey
from iotctl.plan import Ref, Step, lookup
from iotctl.semantics import assumable
from iotctl.target import JOB_PRESIGN_ROLE
from iotctl.upload import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.ota.document import Template
    from iotctl.ota.order import Order
    from iotctl.ota.rollout import Record
    from iotctl.world import World

_MAKES: Final = "iotctl account template makes it"


def facts(
    aws: Aws, order: Order, key_file: Path | None, passphrase_file: Path | None, *, pretend: bool = False
) -> Facts:
    """What an order means: the file hashed, the scope resolved, the key loaded.

    Args:
        aws: the account.
        order: what was asked for.
        key_file: that signs.
        passphrase_file: of the key.
        pretend: where no key is named, take one that nobody has: for a look at what would be.

    Raises:
        Usage: a file cannot be used. NotFound: the file, the group or the things are not there.

    """
    template = document.template(order.template)
    key = trust.signing_key(key_file, passphrase_file) if key_file else None
    artifact = Artifact.of(order.artifact)
    target = aws.target
    names = sorted(scope.resolve(aws, order.scope).names)
    group = order.scope.thing_group
    return Facts(
        target=target,
        artifact=artifact,
        names=names,
        groups=(group, *_below(aws, group)) if group is not None else (),
        template=template,
        bucket=order.bucket or target.bucket,
        role=target.role(order.role or JOB_PRESIGN_ROLE),
        key=SigningKey.create() if pretend and key is None else key,
        pretended=pretend and key is None,
        now=aws.now(),
    )


def missing(aws: Aws, world: World, order: Order, found: Facts, *, presigned: bool) -> list[Error]:
    """What is not there and must be, each with what makes it; what may not be looked at is not said to be missing."""
    faults = _template(aws, order, found.template)
    faults += _bucket(aws, order, found)
    if presigned:
        faults += _role(aws, found)
    if order.scope.thing_group is None:
        faults += _things(world, found)
    return faults


def require(faults: list[Error]) -> None:
    """Refuse to begin where something is missing, all of it named at once.

    Raises:
        Error: the one, or a BadInput with all of them.

    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise BadInput(f"{len(faults)} things are missing; nothing was begun", tuple(faults))


def succeeded(aws: Aws, jobs: Iterable[str]) -> dict[str, datetime]:
    """The things on which one of some jobs has succeeded, and when it did."""
    return {
        each["thingArn"].rpartition("/")[2]: each["jobExecutionSummary"]["lastUpdatedAt"]
        for job in jobs
        for page in aws.pages("iot:ListJobExecutionsForJob", jobId=job, status="SUCCEEDED", maxResults=PAGE)
        for each in page.get("executionSummaries", ())
    }


def holding(world: World, names: list[str], gate: str) -> int:
    """How many of these things' classic shadows say what a gate asks for; one without a shadow says nothing."""
    wanted = expression.parse(gate, where="--gate")
    step = Step("iot-data:GetThingShadow", {"thingName": Ref("row.thingName")})
    count = 0
    for _, answer in engine.answers(step, scope.Things(names), world):
        if isinstance(answer, NotFound):
            continue
        if isinstance(answer, Error):
            raise answer
        count += wanted.holds(lookup("payload.state", answer) or {})
    return count


def refuse_ended(aws: Aws, record: Record) -> None:
    """Refuse to create again what has been stopped.

    Raises:
        Conflict: its first job was canceled, or is being deleted.

    """
    name = job_id(record.rollout_id, record.first)
    try:
        job = aws.call("iot:DescribeJob", jobId=name)["job"]
    except NotFound:
        return
    labels = subject.labels_of(aws, job)
    stopped = "" if labels is None or not labels.stopped else f"stopped at {labels.stopped}"
    if stopped or job["status"] in {"CANCELED", "DELETION_IN_PROGRESS"}:
        raise Conflict(
            f"the rollout {record.rollout_id} has been stopped: its job {name} is {stopped or job['status']}",
            code="RolloutEnded",
            cause=str(job.get("comment") or ""),
            hint="to do the same once more, as another rollout: --again 1 (or 2, …)",
            on=record.rollout_id,
        )


def rollouts(aws: Aws) -> Iterator[dict[str, Any]]:
    """Every job, the newest first, as ListJobs has it."""
    for page in aws.pages("iot:ListJobs", maxResults=PAGE):
        yield from page.get("jobs", ())


def _below(aws: Aws, group: str) -> list[str]:
    pages = aws.pages("iot:ListThingGroups", parentGroup=group, recursive=True, maxResults=PAGE)
    return [each["groupName"] for page in pages for each in page.get("thingGroups", ())]


def _template(aws: Aws, order: Order, template: Template) -> list[Error]:
    """What a job template of AWS IoT's wants and was not given."""
    if not template.arn:
        return []
    name, _, version = template.arn.rpartition("/")[2].partition(":")
    try:
        if not template.is_managed:
            aws.call("iot:DescribeJobTemplate", jobTemplateId=name)
            return []
        asked: dict[str, Any] = {"templateName": name, **({"templateVersion": version} if version else {})}
        known = aws.call("iot:DescribeManagedJobTemplate", **asked).get("documentParameters", ())
    except NotFound:
        listing = "list-managed-job-templates" if template.is_managed else "list-job-templates"
        return [NotFound(f"there is no job template {template.arn}", hint=f"aws iot {listing} names them")]
    except (Denied, Unsupported):
        return []
    return [
        Usage(
            f"the job template {name} needs {one['key']}: {text.sanitize(one.get('description', ''))}",
            hint=f"--parameter {one['key']}=VALUE; {{url}} in it stands for the artifact's",
        )
        for one in known
        if not one.get("optional") and one["key"] not in order.parameters
    ]


def _bucket(aws: Aws, order: Order, found: Facts) -> list[Error]:
    # Anyone may have taken the name of the account's own bucket; a bucket that was named is whoever's was meant.
    owner: dict[str, Any] = {} if order.bucket else {"ExpectedBucketOwner": found.target.account_id}
    try:
        region = aws.call("s3:HeadBucket", Bucket=found.bucket, **owner).get("BucketRegion", found.target.region)
    except NotFound:
        makes = "make it, or name another" if order.bucket else f"{_MAKES}; or name another"
        return [NotFound(f"there is no bucket {found.bucket}", hint=f"{makes}: --bucket NAME", on=found.bucket)]
    except Denied as error:
        error.message = f"the bucket {found.bucket} may not be used, or is another account's"
        return [error]
    if region != found.target.region:
        # S3 answers a URL that names another region than the bucket's with a redirect, and no device gets past it.
        message = f"the bucket {found.bucket} is in {region}, not in {found.target.region} as the jobs are"
        return [Conflict(message, hint="name one that is there: --bucket NAME", on=found.bucket)]
    return []


def _role(aws: Aws, found: Facts) -> list[Error]:
    name = found.role.rpartition("/")[2]
    try:
        role = aws.call("iam:GetRole", RoleName=name)["Role"]
    except NotFound:
        hint = f"{_MAKES}; or name another: --job-role ARN"
        return [NotFound(f"there is no role {found.role} that AWS IoT presigns with", hint=hint, on=found.role)]
    except (Denied, Unsupported):
        return []
    fault = assumable.fault(role, "iot.amazonaws.com", found.target.account_id)
    # Who else may take it is the account's own affair, and `account check` says so.
    if fault and not fault.by_others_too:
        return [Conflict(f"{found.role}: {fault.words}", hint="--job-role ARN; iotctl account check", on=found.role)]
    return []


def _things(world: World, found: Facts) -> list[Error]:
    step = Step("iot:DescribeThing", {"thingName": Ref("row.thingName")})
    faults: list[Error] = []
    for row, answer in engine.answers(step, scope.Things(list(found.names)), world):
        if isinstance(answer, NotFound):
            faults.append(NotFound(f"there is no thing {row['thingName']}", on=row["thingName"]))
        elif isinstance(answer, Error) and not isinstance(answer, Denied):
            faults.append(answer)
    return faults
