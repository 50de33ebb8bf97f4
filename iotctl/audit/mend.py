"""A finding -> the operations that mend it, and those that take that back. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.semantics.checks.declared import ancestry
from iotctl.semantics.state import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotctl.semantics.checks import Finding, Rules
    from iotctl.semantics.checks.declared import Key, Want
    from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, Policy, Thing
    from iotctl.target import Target

Call = tuple[str, dict[str, Any]]
"""An operation with its parameters."""


@dataclass(frozen=True, slots=True)
class Mend:
    """What is done about one finding.

    Attributes:
        does: in words.
        calls: the operations, in order.
        undo: what takes them back; empty: nothing does.

    """

    finding: Finding
    does: str
    calls: tuple[Call, ...]
    undo: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Known:
    """What is known of what the findings are about.

    Attributes:
        things: by name.
        certificates: device certificates, by id.
        authorities: CA certificates, by id.
        versions: the versions of policies by name, the newest first.

    """

    target: Target
    fleet: Fleet
    rules: Rules
    things: Mapping[str, Thing]
    certificates: Mapping[str, Certificate]
    authorities: Mapping[str, CaCertificate]
    versions: Mapping[str, Sequence[Policy]] = field(default_factory=dict)


def mended(finding: Finding, known: Known) -> Mend:
    """What mends a finding without a choice of anybody's.

    Raises:
        Usage: there is a choice to be made, or nothing that a tool can do.

    """
    make = _MENDS.get(finding.check.name)
    if make is None:
        raise _no_way(finding)
    return make(finding, known)


def deactivated(finding: Finding, known: Known) -> Mend:
    """Switch the certificates off that a finding is about: the device's, or those of its things.

    Raises:
        Usage: it is about no certificate.

    """
    ids = [_certificate_id(finding)] if _certificate_id(finding) else []
    ids = ids or [
        one for name in finding.flaw.things if name in known.things for one in known.things[name].certificates
    ]
    found = [known.certificates[one] for one in ids if one in known.certificates]
    if not found:
        raise Usage(f"{finding.finding_id} is about no certificate ({finding.check.name})", on=finding.finding_id)
    return Mend(
        finding,
        f"deactivate {_of_things(finding, found)}",
        tuple(_status(one.certificate_id, "INACTIVE") for one in found),
        tuple(_status(one.certificate_id, "ACTIVE") for one in found if one.status == "ACTIVE"),
    )


def _of_things(finding: Finding, certificates: Sequence[Certificate]) -> str:
    if not finding.flaw.things:
        return f"certificate {certificates[0].certificate_id[:12]}…, which no thing has"
    return f"{text.count(len(certificates), 'certificate')} of {', '.join(finding.flaw.things[:3])}"


def quarantined(finding: Finding, known: Known, group: str) -> Mend:
    """Put the things that a finding is about into a group, which has the policies that hold them back.

    Raises:
        Usage: it is about no thing.

    """
    if not finding.flaw.things:
        raise Usage(f"{finding.finding_id} is about no thing ({finding.check.name})", on=finding.finding_id)
    new = [name for name in finding.flaw.things if name not in known.things or group not in known.things[name].groups]
    return Mend(
        finding,
        f"add {', '.join(finding.flaw.things[:3])} to {group}",
        tuple(_member("AddThingToThingGroup", group, name) for name in new),
        tuple(_member("RemoveThingFromThingGroup", group, name) for name in new),
    )


def _of_certificate(finding: Finding, known: Known) -> Mend:
    return deactivated(finding, known)


def _of_authority(finding: Finding, known: Known) -> Mend:
    certificate_id = str(finding.flaw.resource["caCertificateId"])
    op = "iot:UpdateCACertificate"
    before = known.authorities[certificate_id].status if certificate_id in known.authorities else ""
    undo = ((op, {"certificateId": certificate_id, "newStatus": "ACTIVE"}),) if before == "ACTIVE" else ()
    return Mend(
        finding,
        f"deactivate the CA {certificate_id[:12]}…; devices with certificates of it still connect",
        ((op, {"certificateId": certificate_id, "newStatus": "INACTIVE"}),),
        undo,
    )


def _of_policy(finding: Finding, known: Known) -> Mend:
    """The declared document, or the newest version without such a flaw."""
    name = finding.resource
    versions = known.versions.get(name, ())
    declared = known.rules.baseline.policies.get(name) if known.rules.baseline else None
    now = next((one.version_id for one in known.fleet.policies if one.name == name), "")
    back: tuple[Call, ...] = (_default(name, now),) if now else ()
    if declared is not None:
        same = next((one for one in versions if text.loads(one.document) == declared), None)
        if same is not None:
            return Mend(
                finding, f"policy {name}: back to version {same.version_id}", (_default(name, same.version_id),), back
            )
        document = {"policyName": name, "policyDocument": text.canonical(declared)}
        if not now:
            undo: tuple[Call, ...] = (("iot:DeletePolicy", {"policyName": name}),)
            return Mend(finding, f"policy {name}: made as declared", (("iot:CreatePolicy", document),), undo)
        call = ("iot:CreatePolicyVersion", {**document, "setAsDefault": True})
        return Mend(finding, f"policy {name}: a new version, as declared", (call,), back)
    good = (one for one in versions if one.version_id != now)
    earlier = next((one for one in good if not any(finding.check.function(one, known.fleet, known.rules))), None)
    if earlier is None:
        raise _no_way(finding, f"no version of {name} is without it, and no baseline declares the policy")
    return Mend(
        finding, f"policy {name}: back to version {earlier.version_id}", (_default(name, earlier.version_id),), back
    )


def _of_thing_policy(finding: Finding, known: Known) -> Mend:
    thing, name = _thing(finding, known), finding.flaw.key.partition(".")[2]
    targets = [known.target.arn(f"cert/{certificate_id}") for certificate_id in thing.certificates]
    if finding.flaw.reason != "POLICY_NOT_ATTACHED" or not targets:
        raise _no_way(finding)
    pairs = [{"policyName": name, "target": target} for target in targets]
    return Mend(
        finding,
        f"attach {name} to the certificate of {thing.name}",
        tuple(("iot:AttachPolicy", pair) for pair in pairs),
        tuple(("iot:DetachPolicy", pair) for pair in pairs),
    )


def _of_type(finding: Finding, known: Known) -> Mend:
    thing, wanted = _thing(finding, known), _only(finding, known, "type")
    name = {"thingName": thing.name}
    back = {"thingTypeName": thing.type_name} if thing.type_name else {"removeThingType": True}
    return Mend(
        finding,
        f"{thing.name}: thing type {wanted}",
        (("iot:UpdateThing", {**name, "thingTypeName": wanted}),),
        (("iot:UpdateThing", {**name, **back}),),
    )


def _of_membership(finding: Finding, known: Known) -> Mend:
    thing, group = _thing(finding, known), finding.flaw.key.partition(".")[2]
    add, remove = (_member(f"{verb}ThingGroup", group, thing.name) for verb in ("AddThingTo", "RemoveThingFrom"))
    if finding.flaw.reason == "NOT_IN_GROUP":
        above = _from_above(finding, thing, group, known.fleet.parents)
        if above is None:
            return Mend(finding, f"add {thing.name} to {group}", (add,), (remove,))
        leave, back = (_member(f"{verb}ThingGroup", above, thing.name) for verb in ("RemoveThingFrom", "AddThingTo"))
        return Mend(finding, f"move {thing.name} from {above} down to {group}", (leave, add), (remove, back))
    if group not in thing.groups:
        raise _no_way(finding, f"{thing.name} is in a group below {group}")
    return Mend(finding, f"remove {thing.name} from {group}", (remove,), (add,))


def _from_above(finding: Finding, thing: Thing, group: str, parents: Mapping[str, str]) -> str | None:
    """The group above, which a thing leaves for one below it: AWS has a thing in one group of a hierarchy at most.

    Raises:
        Usage: it is in another branch, and which of the two is right is nobody's but a person's to say.

    """
    line = ancestry(group, parents)
    for other in thing.groups:
        if other in line:
            return other
        if ancestry(other, parents)[0] == line[0]:
            raise _no_way(finding, f"{thing.name} is in {other}, of the same hierarchy")
    return None


def _of_attribute(finding: Finding, known: Known) -> Mend:
    thing, name = _thing(finding, known), finding.flaw.key.partition(".")[2]
    wanted = _only(finding, known, "attribute", absent="")
    # An empty value takes an attribute away.
    now, back = (
        {"thingName": thing.name, "attributePayload": {"attributes": {name: value}, "merge": True}}
        for value in (str(wanted), thing.attributes.get(name, ""))
    )
    does = f"{thing.name}: {name} = {wanted}" if wanted else f"{thing.name}: without {name}"
    return Mend(finding, does, (("iot:UpdateThing", now),), (("iot:UpdateThing", back),))


def _of_shadow(finding: Finding, known: Known) -> Mend:
    thing, key = _thing(finding, known), _key(finding, known, "shadow")[0]
    _, shadow_name, section, *path = key
    if section != "desired":
        raise _no_way(finding, "it is what the device reports")
    wanted = _only(finding, known, "shadow", absent=None)
    before: Any = thing.shadows.get(shadow_name, {}).get("state", {}).get("desired", {})
    for word in path:
        before = before.get(word, ABSENT) if isinstance(before, dict) else ABSENT
    named = {"shadowName": shadow_name} if shadow_name else {}
    now, back = (
        ("iot-data:UpdateThingShadow", {"thingName": thing.name, **named, "payload": _patch(path, value)})
        for value in (wanted, None if before is ABSENT else before)
    )
    return Mend(finding, f"{thing.name}: desired {'.'.join(path)} = {text.canonical(wanted)}", (now,), (back,))


_MENDS: Final[Mapping[str, Callable[[Finding, Known], Mend]]] = {
    # A certificate that nobody should use any more; those of devices that are at work need a choice.
    "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK": _of_certificate,
    "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK": _of_certificate,
    "ORPHAN_CERTIFICATE_CHECK": _of_certificate,
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK": _of_certificate,
    "CA_CERTIFICATE_EXPIRING_CHECK": _of_authority,
    "CA_CERTIFICATE_KEY_QUALITY_CHECK": _of_authority,
    "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK": _of_authority,
    "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": _of_policy,
    "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK": _of_policy,
    "POLICY_OFF_BASELINE_CHECK": _of_policy,
    "THING_POLICIES_OFF_BASELINE_CHECK": _of_thing_policy,
    "THING_TYPE_OFF_BASELINE_CHECK": _of_type,
    "GROUP_MEMBERSHIP_OFF_BASELINE_CHECK": _of_membership,
    "ATTRIBUTE_OFF_BASELINE_CHECK": _of_attribute,
    "SHADOW_OFF_BASELINE_CHECK": _of_shadow,
}


def _certificate_id(finding: Finding) -> str:
    """The device certificate that a finding is about; empty: none."""
    found = finding.flaw.resource.get("deviceCertificateId")
    of_issuer = "issuerCertificateIdentifier" in finding.flaw.resource
    return str(found) if found else finding.flaw.key if of_issuer else ""


def _thing(finding: Finding, known: Known) -> Thing:
    return known.things[finding.flaw.things[0]]


def _wants(finding: Finding, known: Known, kind: str) -> Iterator[tuple[Key, Want]]:
    if known.rules.baseline:
        for key, want in known.rules.baseline.wants(_thing(finding, known), known.fleet.parents).get(kind, ()):
            if ".".join(filter(None, key)) == finding.flaw.key:
                yield key, want


def _key(finding: Finding, known: Known, kind: str) -> tuple[Key, Want]:
    """What the baseline wants in the place of the finding.

    Raises:
        Usage: groups want different things.

    """
    found = list(_wants(finding, known, kind))
    if len(found) != 1:
        raise _no_way(finding, "two groups declare it")
    return found[0]


def _only(finding: Finding, known: Known, kind: str, *, absent: Any = ABSENT) -> Any:  # noqa: ANN401  JSON is any value
    """The one value that is good.

    Raises:
        Usage: there are several, or a range or a pattern of them.

    """
    want = _key(finding, known, kind)[1]
    if want.absent and absent is not ABSENT:
        return absent
    if len(want.values) != 1:
        raise _no_way(finding, f"more than one value is good: {want}")
    return want.values[0]


def _patch(path: Sequence[str], value: Any) -> str:  # noqa: ANN401  JSON is any value
    for word in reversed(path):
        value = {word: value}
    return text.canonical({"state": {"desired": value}})


def _status(certificate_id: str, status: str) -> Call:
    return "iot:UpdateCertificate", {"certificateId": certificate_id, "newStatus": status}


def _member(operation: str, group: str, thing: str) -> Call:
    return f"iot:{operation}", {"thingGroupName": group, "thingName": thing}


def _default(name: str, version_id: str) -> Call:
    return "iot:SetDefaultPolicyVersion", {"policyName": name, "policyVersionId": version_id}


def _no_way(finding: Finding, why: str = "") -> Usage:
    reason = f" ({why})" if why else ""
    choices = "; or choose --deactivate, --quarantine GROUP or --job FILE" if finding.flaw.things else ""
    return Usage(
        f"{finding.finding_id}: {finding.resource} is not mended without a choice of yours{reason}",
        code="NoMend",
        hint=f"by hand: {finding.flaw.mend}{choices}",
        on=finding.finding_id,
    )
