"""Read-only: what a run made for all its things, and who else uses it by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import NotFound
from iotctl.onboard.resources import RUN_TAG
from iotctl.onboard.undo import name_and_arn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotctl.aws import Aws
    from iotctl.made import Made, Record

_PAGE: Final = 250


@dataclass(slots=True)
class Leftovers:
    """What goes with a run that is taken back.

    Attributes:
        shared: the shared resources of its record that it made, that are still there, and that nobody else uses.
        kept: for each that stays, why.

    """

    shared: list[Mapping[str, Any]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def leftovers(aws: Aws, record: Record, made: Made) -> Leftovers:
    """Which shared resources of a run may go: by the tag that it gave them, and by who uses them."""
    found = Leftovers()
    groups: set[str] = set()
    by_kind: dict[str, Callable[[Mapping[str, Any]], str]] = {
        # Children before the groups that they are in, groups before the policies that they have.
        "iot:CreateThingGroup": lambda one: _other_use_of_group(aws, one, record, made, groups),
        "iot:CreateBillingGroup": lambda one: _first(
            aws, "iot:ListThingsInBillingGroup", "things", made.things, billingGroupName=one["billingGroupName"]
        ),
        "iot:CreateThingType": lambda one: _other_thing_of_type(aws, one, made),
        "iot:CreatePolicy": lambda one: _other_target(aws, one, made, groups),
        "iot:RegisterCACertificate": lambda one: _other_of_authority(aws, one, made),
    }
    going: list[Mapping[str, Any]] = []
    for op, user_of in by_kind.items():
        for one in reversed([each for each in record.shared if each["op"] == op]):
            _, arn = name_and_arn(one, aws.target)
            tag = _run_tag(aws, arn)
            if tag is None:
                continue
            if tag != record.run_id:
                found.kept.append(f"{arn} stays: it is not tagged as this run's")
            elif user := user_of(one):
                found.kept.append(f"{arn} stays: {user} uses it, which this run did not make")
            else:
                going.append(one)
                groups |= {arn} if op == "iot:CreateThingGroup" else set()
    found.shared = [
        one for one in record.shared if one in going or (one["op"] == "iot:AttachPolicy" and one["target"] in groups)
    ]
    return found


def _run_tag(aws: Aws, arn: str) -> str | None:
    """The run that a resource is tagged with; empty where it has no such tag, None where the resource is not there."""
    try:
        tags = [tag for page in aws.pages("iot:ListTagsForResource", resourceArn=arn) for tag in page.get("tags", [])]
    except NotFound:
        return None
    return next((tag.get("Value", "") for tag in tags if tag["Key"] == RUN_TAG), "")


def _other_use_of_group(aws: Aws, one: Mapping[str, Any], record: Record, made: Made, going: set[str]) -> str:
    name, arn = name_and_arn(one, aws.target)
    if thing := _first(aws, "iot:ListThingsInThingGroup", "things", made.things, thingGroupName=name):
        return thing
    for page in aws.pages("iot:ListThingGroups", parentGroup=name, recursive=False):
        for child in page.get("thingGroups", []):
            if child["groupArn"] not in going:
                return f"its child {child['groupName']}"
    ours = [each["policyName"] for each in record.shared if each["op"] == "iot:AttachPolicy" and each["target"] == arn]
    for page in aws.pages("iot:ListAttachedPolicies", target=arn):
        for policy in page.get("policies", []):
            if policy["policyName"] not in ours:
                return f"the policy {policy['policyName']}"
    return ""


def _other_thing_of_type(aws: Aws, one: Mapping[str, Any], made: Made) -> str:
    return _first(
        aws,
        "iot:ListThings",
        "things",
        made.things,
        name=lambda thing: thing["thingName"],
        thingTypeName=one["thingTypeName"],
    )


def _other_target(aws: Aws, one: Mapping[str, Any], made: Made, groups: set[str]) -> str:
    for page in aws.pages("iot:ListTargetsForPolicy", policyName=one["policyName"], pageSize=_PAGE):
        targets = [target for target in page.get("targets", []) if target not in groups]
        ids = {target: target.rpartition("/")[2] for target in targets}
        ours = made.certificates(list(ids.values()))
        if other := next((target for target in targets if ids[target] not in ours), None):
            return str(other)
    return ""


def _other_of_authority(aws: Aws, one: Mapping[str, Any], made: Made) -> str:
    for page in aws.pages("iot:ListCertificatesByCA", caCertificateId=one["certificateId"], pageSize=_PAGE):
        ids = [certificate["certificateId"] for certificate in page.get("certificates", [])]
        if other := set(ids) - made.certificates(ids):
            return f"the certificate {min(other)}"
    return ""


def _first(
    aws: Aws,
    op: str,
    key: str,
    ours: Callable[[Sequence[str]], frozenset[str]],
    name: Callable[[Any], str] = str,
    **params: Any,  # noqa: ANN401  AWS's own shapes
) -> str:
    """The first name of a listing that is not one of ours; empty where all are."""
    for names in _names(aws, op, key, name, params):
        if other := set(names) - ours(names):
            return min(other)
    return ""


def _names(aws: Aws, op: str, key: str, name: Callable[[Any], str], params: Mapping[str, Any]) -> Iterator[list[str]]:
    for page in aws.pages(op, **params, maxResults=_PAGE):
        yield [name(one) for one in page.get(key, [])]
