"""Rows and what the account already has of what they share -> a Plan. Pure: made without touching anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from iotctl import text
from iotctl.onboard import resources
from iotctl.plan import Adopt, Either, Expect, Join, Merge, Plan, Ref, Row, Step, run_identity

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from iotctl.onboard.resources import Missing
    from iotctl.target import Target

CLAIM: Final = "iotctl-cert"
EXCLUSIVE: Final = "EXCLUSIVE_THING"
ADOPTED: Final = "adopted:"
"""Before the certificate id in the claim of a thing that was there before us: it stays when the run is taken back."""


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
    """How keys and certificates are made.

    Attributes:
        registered_ca: the fleet CA that signs them is registered in the account too.
        encrypted: private keys are written encrypted; the passphrase is no part of any plan.

    """

    key_type: str = "ec-p256"
    days: int = 3650
    registered_ca: bool = False
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Ways:
    """How things are met and left.

    Attributes:
        adopt: a thing that exists and that nobody has claimed becomes ours.
        claim: a thing carries the id of its certificate, so that no other run gives it another one.
        verify: what was done is read again, thing by thing.

    """

    adopt: bool = False
    claim: bool = True
    verify: bool = False


class Placed:
    """The rows of a fleet, each with the policy that goes on its certificate: none where one of its groups has it."""

    def __init__(self, fleet: Fleet, carriers: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._carriers = carriers

    def __len__(self) -> int:
        return len(self._fleet)

    def __iter__(self) -> Iterator[Row]:
        for row in self._fleet:
            carried = any(self._carriers.get(group) == row["policyName"] for group in row["thingGroups"])
            yield {**row, "certificatePolicy": None if carried else row["policyName"]}


def onboarding(fleet: Fleet, missing: Missing, place: Place, keys: Keys, ways: Ways | None = None) -> Plan:
    """Register every thing of a fleet, each with its own key and certificate.

    The order within a thing is what makes it safe to stop anywhere: bundle on disk, the thing claimed by the id of its
    certificate, the certificate registered, attached, placed in its groups, and last the policy, so that a certificate
    has no permission until all else is in place.
    """
    ways = ways or Ways()
    run_id = identity(fleet.digest, place, keys)
    shared = (*resources.shared_steps(missing, run_id, keys), *resources.attachments(missing, place))
    rows = Placed(fleet, missing.carriers)
    # Counted only where it is not one a row: a million rows are read for it.
    attached = sum(1 for row in rows if row["certificatePolicy"]) if missing.carriers else len(fleet)
    return Plan(
        command="onboard apply",
        run_id=run_id,
        target=place.target,
        summary=f"register {text.count(len(fleet), 'thing')}, each with its own key and certificate",
        shared=(*resources.authority(place, keys), resources.recorded(place, run_id, shared), *shared),
        each=(
            bundled(place, keys, run_id),
            *registration(keys, ways),
            *placement(Ref("row.certificatePolicy")),
            *(_verification(ways) if ways.verify or not ways.claim else ()),
        ),
        rows=rows,
        directory=place.directory,
        calls={
            "iot:AddThingToThingGroup": sum(fleet.thing_groups.values()),
            "iot:AddThingToBillingGroup": sum(fleet.billing_groups.values()),
            "iot-data:UpdateThingShadow": fleet.shadows,
            "iot:AttachPolicy": attached,
        },
        shows={"certificateId": Ref("certificate.certificateId")},
        warnings=(*fleet.warnings, *missing.warnings),
    )


def identity(digest: str, place: Place, keys: Keys, engine: str = "") -> str:
    """The run id: the same input for the same account is the same run, so running it again is the resume."""
    inputs = {
        "command": "onboard",
        "rows": digest,
        "target": place.target.to_json(),
        "keys": [
            keys.key_type,
            keys.days,
            *(["registered"] if keys.registered_ca else []),
            *(["encrypted"] if keys.encrypted else []),
            *([engine] if engine else []),
        ],
    }
    return run_identity(inputs)


def bundled(place: Place, keys: Keys, run_id: str, *, chain: bool = False) -> Step:
    """The bundle of a thing: key, certificate (with its CA, where the device has to show it), config."""
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
            "chain": chain or None,
            "encrypted": keys.encrypted or None,
            # What a device must know of itself to tell whether an artifact is for it.
            "thingType": Ref("row.thingType"),
            "thingGroups": Ref("row.thingGroups"),
        },
        name="certificate",
    )


def registration(keys: Keys, ways: Ways | None = None, *, exclusive: bool = True) -> Iterator[Step]:
    """The thing, claimed by its certificate; the certificate; and that the one belongs to the other.

    Args:
        keys: whether the fleet CA is registered.
        ways: whether it is claimed, and adopted where it is there.
        exclusive: whether it belongs to no other; AWS's own engines do not attach it so.

    """
    ways = ways or Ways()
    certificate_id = Ref("certificate.certificateId")
    claimed = Either((certificate_id, Join((ADOPTED, certificate_id))))
    claim = {CLAIM: certificate_id} if ways.claim else {}
    # Which of the two it is, the message says: what the claim is.
    hint = "someone else made it: compare, then rename or delete one"
    hint += "; --adopt takes over a thing that nobody has claimed" if exclusive and not ways.adopt else ""
    declared = (
        Expect("attributes", Ref("row.attributes"), op="iot:DescribeThing"),
        Expect("thingTypeName", Ref("row.thingType"), op="iot:DescribeThing"),
    )
    yield Step(
        "iot:CreateThing",
        {
            "thingName": Ref("row.thingName"),
            "thingTypeName": Ref("row.thingType"),
            "attributePayload": {"attributes": Merge((Ref("row.attributes"), claim))},
        },
        expect=Expect("thingName", Ref("row.thingName")),
        on_exists=(
            *((Expect(f"attributes.{CLAIM}", claimed, op="iot:DescribeThing", hint=hint),) if ways.claim else ()),
            *declared,
        ),
        adopt=_adoption() if ways.adopt else None,
    )
    signer = {"caCertificatePem": Ref("authority.certificatePem")} if keys.registered_ca else {}
    yield Step(
        "iot:RegisterCertificate" if keys.registered_ca else "iot:RegisterCertificateWithoutCA",
        {"certificatePem": Ref("certificate.certificatePem"), **signer, "status": "ACTIVE"},
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
            "thingPrincipalType": EXCLUSIVE if exclusive else None,
        },
        # AWS's own engines attach no certificate exclusively, and AWS does not change how one is attached.
        hint="if another engine registered it: go on with that one (--engine), or take its run back first",
    )


def _adoption() -> Adopt:
    """A thing that was there before: it gets the row's attributes and a claim that says so, and keeps its type."""
    claim = {CLAIM: Join((ADOPTED, Ref("certificate.certificateId")))}
    return Adopt(
        unclaimed=f"attributes.{CLAIM}",
        keeps=(Expect("thingTypeName", Ref("row.thingType")),),
        step=Step(
            "iot:UpdateThing",
            {
                "thingName": Ref("row.thingName"),
                "attributePayload": {"attributes": Merge((Ref("row.attributes"), claim)), "merge": True},
                "expectedVersion": Ref("found.version"),
            },
        ),
    )


def _verification(ways: Ways) -> Iterator[Step]:
    """What was done, read again: the thing's one certificate, its state, its policy."""
    arn = Ref("certificate.certificateArn")
    # A thing that was adopted may have others, which are not ours.
    ours = Expect("principals", arn, within=True) if ways.adopt else Expect("principals", (arn,))
    yield Step("iot:ListThingPrincipals", {"thingName": Ref("row.thingName")}, expect=ours, verifies=True)
    yield Step(
        "iot:DescribeCertificate",
        {"certificateId": Ref("certificate.certificateId")},
        expect=Expect("certificateDescription.status", "ACTIVE"),
        verifies=True,
    )
    yield Step(
        "iot:ListAttachedPolicies",
        {"target": arn},
        for_each=Ref("row.certificatePolicy"),
        expect=Expect("policies", {"policyName": Ref("item")}, within=True),
        verifies=True,
    )


def placement(policy: Ref = Ref("row.policyName")) -> Iterator[Step]:  # noqa: B008  a value that never changes
    """Groups, initial state, and last what it may do."""
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
    yield Step(
        "iot:AttachPolicy",
        {"policyName": Ref("item"), "target": Ref("certificate.certificateArn")},
        for_each=policy,
    )
