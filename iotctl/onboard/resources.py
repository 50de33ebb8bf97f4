"""What the things of a run share, made once and tagged with the run: types, groups, policies, the fleet CA. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.plan import Expect, Ref, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.onboard.plan import Keys, Place

RUN_TAG: Final = "iotctl-run"
AUTHORITY: Final = "file:FleetAuthority"
_NOT_KEPT: Final = frozenset({"tags", "policyDocument", "caCertificate", "registrationConfig"})


@dataclass(frozen=True, slots=True)
class Missing:
    """What the rows share and the account does not have yet."""

    thing_types: Sequence[str] = ()
    thing_groups: Sequence[str] = ()
    """Each after those that it is below."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Of these thing groups, by name; empty: it is at the top."""
    billing_groups: Sequence[str] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    """Name -> document, as JSON text."""
    carriers: Mapping[str, str] = field(default_factory=dict)
    """Thing group -> the policy that all of its things have through it."""
    attachments: Sequence[tuple[str, str]] = ()
    """(thing group, policy) that are to be attached; the groups are this run's own."""
    warnings: Sequence[str] = ()


def authority(place: Place, keys: Keys) -> Iterator[Step]:
    """The fleet CA, where the account has to know it."""
    if keys.registered_ca:
        yield Step(AUTHORITY, {"directory": place.directory}, name="authority")


def shared_steps(
    missing: Missing, run_id: str, keys: Keys, by_itself: Mapping[str, Any] | None = None
) -> Iterator[Step]:
    """What the things need and the account does not have, in order.

    Args:
        missing: what it is.
        run_id: whose tag they get.
        keys: whether the fleet CA is registered.
        by_itself: the registrationConfig by which its certificates register themselves; None: they do not.

    """
    tags = [{"Key": RUN_TAG, "Value": run_id}]
    if keys.registered_ca:
        yield _registered_ca(tags, by_itself)
    for name in missing.thing_types:
        there = Expect("thingTypeName", name, op="iot:DescribeThingType")
        yield Step("iot:CreateThingType", {"thingTypeName": name, "tags": tags}, on_exists=(there,))
    for name in missing.thing_groups:
        parent = missing.parents.get(name)
        # Its parent is fixed when it is made, and is never changed: one that is elsewhere is another group.
        there = Expect("thingGroupMetadata.parentGroupName", parent or None, op="iot:DescribeThingGroup")
        above = {"parentGroupName": parent} if parent else {}
        yield Step("iot:CreateThingGroup", {"thingGroupName": name, **above, "tags": tags}, on_exists=(there,))
    for name in missing.billing_groups:
        there = Expect("billingGroupName", name, op="iot:DescribeBillingGroup")
        yield Step("iot:CreateBillingGroup", {"billingGroupName": name, "tags": tags}, on_exists=(there,))
    for name, document in missing.policies.items():
        yield Step(
            "iot:CreatePolicy",
            {"policyName": name, "policyDocument": document, "tags": tags},
            on_exists=(Expect("policyDocument", document, op="iot:GetPolicy"),),
        )


def attachments(missing: Missing, place: Place) -> Iterator[Step]:
    """The policies that this run's own groups carry for their things."""
    for group, policy in missing.attachments:
        yield Step("iot:AttachPolicy", {"policyName": policy, "target": place.target.arn(f"thinggroup/{group}")})


def _registered_ca(tags: Sequence[Mapping[str, str]], registration: Mapping[str, Any] | None) -> Step:
    """Register the fleet CA; in the mode SNI_ONLY, which asks for no proof of its key.

    Args:
        tags: of this run.
        registration: the registrationConfig by which its certificates register themselves; None: they do not.

    """
    description, read = "certificateDescription", "iot:DescribeCACertificate"
    which = {"certificateId": Ref("authority.certificateId")}
    expected = [Expect(f"{description}.status", "ACTIVE", read, which)]
    if registration:
        expected += [
            Expect(f"{description}.autoRegistrationStatus", "ENABLE", read, which),
            Expect("registrationConfig.templateBody", registration["templateBody"], read, which),
        ]
    return Step(
        "iot:RegisterCACertificate",
        {
            "caCertificate": Ref("authority.certificatePem"),
            "certificateMode": "SNI_ONLY",
            "setAsActive": True,
            "allowAutoRegistration": bool(registration),
            "registrationConfig": registration,
            "tags": tags,
        },
        expect=Expect("certificateId", Ref("authority.certificateId")),
        on_exists=tuple(expected),
    )


def recorded(place: Place, run_id: str, shared: Sequence[Step]) -> Step:
    """What is about to be made for all things, kept before it is: a crash must not leave what nobody knows of."""
    kept = [
        {"op": step.op, **{key: step.params[key] for key in step.params if key not in _NOT_KEPT}, **_named(step)}
        for step in shared
    ]
    return Step(
        "file:RecordRun",
        {
            "directory": place.directory,
            "runId": run_id,
            "command": "onboard apply",
            "target": place.target.to_json(),
            "shared": kept,
        },
    )


def _named(step: Step) -> Mapping[str, Any]:
    """What names a resource whose own parameters do not."""
    return {"certificateId": Ref("authority.certificateId")} if step.op == "iot:RegisterCACertificate" else {}
