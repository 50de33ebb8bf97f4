"""Rows and what the account already has of what they share -> a Plan. Pure: made without touching anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from iotctl import text
from iotctl.plan import Expect, Merge, Plan, Ref, Row, Step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.target import Target

RUN_TAG: Final = "iotctl-run"
CLAIM: Final = "iotctl-cert"
_NOT_KEPT: Final = frozenset({"tags", "policyDocument"})


class Fleet(Protocol):
    """The rows of a fleet file, and how many name what."""

    digest: str
    warnings: list[str]
    policies: Counter[str]
    thing_types: Counter[str]
    thing_groups: Counter[str]
    billing_groups: Counter[str]
    shadows: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """What the rows share and the account does not have yet."""

    thing_types: Sequence[str] = ()
    thing_groups: Sequence[str] = ()
    billing_groups: Sequence[str] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    """Name -> document, as JSON text."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the things are registered, and what their bundles say of it.

    Attributes:
        directory: of the bundles.
        config: for every config.json: accountId, region, kind, endpoint, ports.
        root_ca: the CA of the endpoint (PEM).

    """

    target: Target
    directory: str
    config: Mapping[str, Any]
    root_ca: str


@dataclass(frozen=True, slots=True)
class Keys:
    """How keys and certificates are made."""

    key_type: str = "ec-p256"
    days: int = 3650


def onboarding(fleet: Fleet, missing: Missing, place: Place, keys: Keys) -> Plan:
    """Register every thing of a fleet, each with its own key and certificate.

    The order within a thing is what makes it safe to stop anywhere: bundle on disk, the thing claimed by the id of its
    certificate, the certificate registered, attached, placed in its groups, and last the policy, so that a certificate
    has no permission until all else is in place.
    """
    run_id = identity(fleet.digest, place, keys)
    shared = tuple(_shared(missing, run_id))
    return Plan(
        command="onboard apply",
        run_id=run_id,
        target=place.target,
        summary=f"register {text.count(len(fleet), 'thing')}, each with its own key and certificate",
        shared=(_record(place, run_id, shared), *shared),
        each=(_bundle(place, keys, run_id), *_registration(), *_placement()),
        rows=fleet,
        directory=place.directory,
        calls={
            "iot:AddThingToThingGroup": sum(fleet.thing_groups.values()),
            "iot:AddThingToBillingGroup": sum(fleet.billing_groups.values()),
            "iot-data:UpdateThingShadow": fleet.shadows,
        },
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=tuple(fleet.warnings),
    )


def identity(digest: str, place: Place, keys: Keys) -> str:
    """The run id: the same input for the same account is the same run, so running it again is the resume."""
    inputs = {
        "command": "onboard",
        "rows": digest,
        "target": place.target.to_json(),
        "keys": [keys.key_type, keys.days],
    }
    return hashlib.sha256(text.canonical(inputs).encode()).hexdigest()[:12]


def _shared(missing: Missing, run_id: str) -> Iterator[Step]:
    tags = [{"Key": RUN_TAG, "Value": run_id}]
    for name in missing.thing_types:
        there = Expect("thingTypeName", name, op="iot:DescribeThingType")
        yield Step("iot:CreateThingType", {"thingTypeName": name, "tags": tags}, on_exists=(there,))
    for name in missing.thing_groups:
        there = Expect("thingGroupName", name, op="iot:DescribeThingGroup")
        yield Step("iot:CreateThingGroup", {"thingGroupName": name, "tags": tags}, on_exists=(there,))
    for name in missing.billing_groups:
        there = Expect("billingGroupName", name, op="iot:DescribeBillingGroup")
        yield Step("iot:CreateBillingGroup", {"billingGroupName": name, "tags": tags}, on_exists=(there,))
    for name, document in missing.policies.items():
        yield Step(
            "iot:CreatePolicy",
            {"policyName": name, "policyDocument": document, "tags": tags},
            on_exists=(Expect("policyDocument", document, op="iot:GetPolicy"),),
        )


def _record(place: Place, run_id: str, shared: Sequence[Step]) -> Step:
    """What is about to be made for all things, kept before it is: a crash must not leave what nobody knows of."""
    kept = [
        {"op": step.op, **{key: step.params[key] for key in step.params if key not in _NOT_KEPT}} for step in shared
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


def _bundle(place: Place, keys: Keys, run_id: str) -> Step:
    return Step(
        "file:PublishBundle",
        {
            "directory": place.directory,
            "thingName": Ref("row.thingName"),
            "csr": Ref("row.csr"),
            "keyType": keys.key_type,
            "days": keys.days,
            "rootCa": place.root_ca,
            "certificateArn": place.target.arn("cert/"),
            "runId": run_id,
            "config": place.config,
            # What a device must know of itself to tell whether an artifact is for it.
            "thingType": Ref("row.thingType"),
            "thingGroups": Ref("row.thingGroups"),
        },
        name="certificate",
    )


def _registration() -> Iterator[Step]:
    certificate_id = Ref("certificate.certificateId")
    yield Step(
        "iot:CreateThing",
        {
            "thingName": Ref("row.thingName"),
            "thingTypeName": Ref("row.thingType"),
            "attributePayload": {"attributes": Merge((Ref("row.attributes"), {CLAIM: certificate_id}))},
        },
        expect=Expect("thingName", Ref("row.thingName")),
        on_exists=(
            Expect(f"attributes.{CLAIM}", certificate_id, op="iot:DescribeThing"),
            Expect("attributes", Ref("row.attributes"), op="iot:DescribeThing"),
            Expect("thingTypeName", Ref("row.thingType"), op="iot:DescribeThing"),
        ),
    )
    yield Step(
        "iot:RegisterCertificateWithoutCA",
        {"certificatePem": Ref("certificate.certificatePem"), "status": "ACTIVE"},
        expect=Expect("certificateId", certificate_id),
        on_exists=(
            Expect(
                "certificateDescription.status",
                "ACTIVE",
                op="iot:DescribeCertificate",
                params={"certificateId": certificate_id},
            ),
        ),
    )
    yield Step(
        "iot:AttachThingPrincipal",
        {
            "thingName": Ref("row.thingName"),
            "principal": Ref("certificate.certificateArn"),
            "thingPrincipalType": "EXCLUSIVE_THING",
        },
    )


def _placement() -> Iterator[Step]:
    thing_name = Ref("row.thingName")
    yield Step(
        "iot:AddThingToThingGroup",
        {"thingName": thing_name, "thingGroupName": Ref("item")},
        for_each=Ref("row.thingGroups"),
    )
    yield Step(
        "iot:AddThingToBillingGroup",
        {"thingName": thing_name, "billingGroupName": Ref("item")},
        for_each=Ref("row.billingGroup"),
    )
    yield Step(
        "iot-data:UpdateThingShadow",
        {"thingName": thing_name, "payload": Ref("item")},
        for_each=Ref("row.shadow"),
        # The initial state is for a thing that has none: a run that goes on must not undo what happened since.
        unless_found="iot-data:GetThingShadow",
    )
    yield Step("iot:AttachPolicy", {"policyName": Ref("row.policyName"), "target": Ref("certificate.certificateArn")})
