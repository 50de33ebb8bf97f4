"""What a run made -> the Plan that takes it back. Pure: made without touching anything.

The order within a thing: its permissions go first, so that nothing half undone may still act; then the certificate is
turned off, detached and, once the thing is gone, deleted; its bundle leaves `devices/` last, for it is what says that
something is left to do. Each step may be repeated, and what is gone already is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from iotctl import text
from iotctl.errors import Usage
from iotctl.onboard.plan import ADOPTED, CLAIM
from iotctl.plan import Either, Expect, Join, Plan, Ref, Step, Use, run_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.plan import Row
    from iotctl.target import Target

ROTATION: Final = "onboard certs rotate"
_THING: Final = {"thingName": Ref("row.thingName")}
_THINGS_OF_TYPE: Final = Use("iot:ListThings", "things", {"maxResults": 1})
_NAMED: Final = {
    "iot:CreateThingType": ("thingTypeName", "thingtype/"),
    "iot:CreateThingGroup": ("thingGroupName", "thinggroup/"),
    "iot:CreateBillingGroup": ("billingGroupName", "billinggroup/"),
    "iot:CreatePolicy": ("policyName", "policy/"),
    "iot:RegisterCACertificate": ("certificateId", "cacert/"),
}


class Made(Protocol):
    """The things that are left of a run."""

    digest: str
    rotated: bool

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


def name_and_arn(shared: Mapping[str, Any], target: Target) -> tuple[str, str]:
    """The name and the ARN of what a shared step made."""
    key, kind = _NAMED[shared["op"]]
    return shared[key], target.arn(f"{kind}{shared[key]}")


def refuse_rotation(command: str, run_id: str) -> None:
    """Refuse to take a rotation back: the keys that it replaced may be gone from their devices.

    Raises:
        Usage: it is one.

    """
    if command == ROTATION:
        raise Usage(
            f"run {run_id} gave things new certificates, and that is not taken back: the old keys may be gone",
            code="Rotation",
            hint="undo of the run that made the things takes them away, with every certificate that they had",
        )


def undoing(
    run_id: str,
    made: Made,
    shared: Sequence[Mapping[str, Any]],
    target: Target,
    directory: str,
    *,
    settles: float,
    warnings: Sequence[str] = (),
) -> Plan:
    """Take back what is left of a run.

    Args:
        run_id: the run.
        made: its things, as their bundles tell them.
        shared: what it made for all of them and nobody else uses, in the order in which it was made.
        target: the account that they are in.
        directory: of the bundles.
        settles: seconds that AWS may take until a detachment lets something be deleted.
        warnings: what stays, and why.

    """
    kinds = [text.count(len(made), "thing")] if len(made) else []
    kinds += [f"{len(shared)} shared resource{'s' if len(shared) > 1 else ''}"] if shared else []
    inputs = {"command": "onboard undo", "run": run_id, "left": made.digest, "target": target.to_json()}
    return Plan(
        command="onboard undo",
        run_id=run_identity(inputs),
        target=target,
        summary=f"take back {' and '.join(kinds) or 'nothing more'} of run {run_id}; their keys become useless",
        shared=tuple(_closed(shared)),
        each=tuple(_each(target, directory, settles, rotated=made.rotated)),
        rows=made,
        directory=directory,
        after=tuple(_after(shared, target, settles)),
        forgets=run_id,
        report="undone.csv",
        shows={"certificateId": Ref("row.certificateId")},
        warnings=tuple(warnings),
    )


def _closed(shared: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    """No device may come back by itself while its thing is taken away."""
    for one in shared:
        if one["op"] == "iot:RegisterCACertificate":
            off = {"certificateId": one["certificateId"], "newAutoRegistrationStatus": "DISABLE"}
            yield Step("iot:UpdateCACertificate", off, absent_is_done=True)


def _each(target: Target, directory: str, settles: float, *, rotated: bool) -> Iterator[Step]:
    certificate_id, arn = Ref("row.certificateId"), Join((target.arn("cert/"), Ref("row.certificateId")))
    # One that is about to be had may be claimed already.
    claims = (certificate_id, Ref("row.coming")) if rotated else (certificate_id,)
    ours = Expect(f"thing.attributes.{CLAIM}", _either(claims))
    adopted = Expect(f"thing.attributes.{CLAIM}", _either(tuple(Join((ADOPTED, one)) for one in claims)))
    yield from _of_rotations(target, settles) if rotated else ()
    yield Step("iot:ListAttachedPolicies", {"target": arn}, name="attached", absent_is_done=True)
    yield Step(
        "iot:DetachPolicy",
        {"policyName": Ref("item.policyName"), "target": arn},
        for_each=Ref("attached.policies"),
        absent_is_done=True,
    )
    yield Step("iot:UpdateCertificate", {"certificateId": certificate_id, "newStatus": "INACTIVE"}, absent_is_done=True)
    yield Step("iot:DetachThingPrincipal", {**_THING, "principal": arn}, absent_is_done=True)
    # Only a thing that claims the certificate of this bundle is this run's; another one of its name is someone else's.
    yield Step("iot:DescribeThing", _THING, name="thing", absent_is_done=True)
    yield Step("iot-data:DeleteThingShadow", _THING, when=ours, absent_is_done=True)
    yield Step("iot-data:ListNamedShadowsForThing", {**_THING, "pageSize": 100}, when=ours, name="shadows")
    yield Step(
        "iot-data:DeleteThingShadow",
        {**_THING, "shadowName": Ref("item")},
        for_each=Ref("shadows.results"),
        when=ours,
        absent_is_done=True,
    )
    yield Step(
        "iot:DeleteThing",
        {**_THING, "expectedVersion": Ref("thing.version")},
        when=ours,
        absent_is_done=True,
        settles=settles,
    )
    yield Step(
        "iot:UpdateThing",
        {
            **_THING,
            # An empty value takes an attribute away.
            "attributePayload": {"attributes": {CLAIM: ""}, "merge": True},
            "expectedVersion": Ref("thing.version"),
        },
        when=adopted,
    )
    yield Step("iot:DeleteCertificate", {"certificateId": certificate_id}, absent_is_done=True, settles=settles)
    yield Step("file:RevokeBundle", {"directory": directory, **_THING, "certificateId": certificate_id}, name="revoked")


def _either(options: tuple[Ref | Join, ...]) -> Ref | Join | Either:
    return options[0] if len(options) == 1 else Either(options)


def _of_rotations(target: Target, settles: float) -> Iterator[Step]:
    """The certificates that a thing had before the one that it has, or was about to have; with their policies."""
    others, arn = Ref("row.others"), Join((target.arn("cert/"), Ref("item")))
    off = {"certificateId": Ref("item"), "newStatus": "INACTIVE"}
    yield Step("iot:UpdateCertificate", off, for_each=others, absent_is_done=True)
    yield Step("iot:DetachThingPrincipal", {**_THING, "principal": arn}, for_each=others, absent_is_done=True)
    gone = {"certificateId": Ref("item"), "forceDelete": True}
    yield Step("iot:DeleteCertificate", gone, for_each=others, absent_is_done=True, settles=settles)


def _after(shared: Sequence[Mapping[str, Any]], target: Target, settles: float) -> Iterator[Step]:
    """What was made for all things goes in the opposite order; where another came to use it meanwhile, it stays."""
    for one in shared:
        if one["op"] == "iot:CreateThingType":
            # Five minutes must pass until it may be deleted: they pass while the others go.
            name = {"thingTypeName": one["thingTypeName"]}
            yield Step(
                "iot:DeprecateThingType", name, unless_used=(_THINGS_OF_TYPE,), absent_is_done=True, settles=settles
            )
    used: tuple[Use, ...]
    for one in reversed(shared):
        match one["op"]:
            case "iot:AttachPolicy":
                where = {"policyName": one["policyName"], "target": one["target"]}
                yield Step("iot:DetachPolicy", where, absent_is_done=True)
            case "iot:RegisterCACertificate":
                name = {"certificateId": one["certificateId"]}
                used = (Use("iot:ListCertificatesByCA", "certificates", {"caCertificateId": one["certificateId"]}),)
                off = {"newStatus": "INACTIVE", "newAutoRegistrationStatus": "DISABLE"}
                yield Step("iot:UpdateCACertificate", {**name, **off}, unless_used=used, absent_is_done=True)
                yield Step("iot:DeleteCACertificate", name, unless_used=used, absent_is_done=True, settles=settles)
            case "iot:CreateThingGroup":
                name = {"thingGroupName": one["thingGroupName"]}
                used = (
                    Use("iot:ListThingsInThingGroup", "things", {"maxResults": 1}),
                    Use("iot:ListThingGroups", "thingGroups", {"parentGroup": one["thingGroupName"], "maxResults": 1}),
                    Use("iot:ListAttachedPolicies", "policies", {"target": name_and_arn(one, target)[1]}),
                )
                yield Step("iot:DeleteThingGroup", name, unless_used=used, absent_is_done=True, settles=settles)
            case "iot:CreateBillingGroup":
                name = {"billingGroupName": one["billingGroupName"]}
                used = (Use("iot:ListThingsInBillingGroup", "things", {"maxResults": 1}),)
                yield Step("iot:DeleteBillingGroup", name, unless_used=used, absent_is_done=True, settles=settles)
            case "iot:CreatePolicy":
                name = {"policyName": one["policyName"]}
                used = (Use("iot:ListTargetsForPolicy", "targets", {"pageSize": 1}),)
                yield Step("iot:DeletePolicy", name, unless_used=used, absent_is_done=True, settles=settles)
    for one in shared:
        if one["op"] == "iot:CreateThingType":
            name = {"thingTypeName": one["thingTypeName"]}
            yield Step(
                "iot:DeleteThingType",
                name,
                unless_used=(_THINGS_OF_TYPE,),
                absent_is_done=True,
                settles=settles,
                hint="AWS deletes a thing type five minutes after it was deprecated: run the same command again then",
            )
