"""What AWS's own engines register a fleet by: provisioning templates, and the lines of a bulk registration. Pure.

Sources: AWS IoT developer guide, provision-template, jit-provisioning, bulk-provisioning.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import BadInput, Error, Usage
from iotctl.onboard.plan import CLAIM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iotctl.plan import Row

_NAME: Final = "AWS::IoT::Certificate::CommonName"
_ID: Final = "AWS::IoT::Certificate::Id"
_LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280, appendix A.1): a certificate cannot say more of its thing's name."""
_ALIKE: Final = {
    "thingType": "thing_type",
    "thingGroups": "thing_groups",
    "billingGroup": "billing_group",
    "policyName": "policy",
    "attributes": "attr: columns",
}
_MOST_FAULTS: Final = 20


def just_in_time(rows: Iterable[Row]) -> dict[str, Any]:
    """The template by which each certificate of the fleet's CA makes its own thing when its device first connects.

    Nothing but the certificate says which thing it is, so every thing gets what the rows have in common.

    Raises:
        BadInput: rows differ in more than their name, have an initial shadow, or a name that no certificate holds.

    """
    first: Row | None = None
    faults: list[Error] = []
    for row in rows:
        first = first or row
        wrong = [column for key, column in _ALIKE.items() if row.get(key) != first.get(key)]
        wrong += ["shadow: columns"] if row.get("shadow") else []
        if wrong:
            faults.append(Usage(f"line {row['line']}: {', '.join(wrong)}: not the same for every thing", code="Engine"))
        if len(row["thingName"]) > _LONGEST_NAME:
            name = text.sanitize(row["thingName"])
            message = f"line {row['line']}: {name} is longer than the common name of a certificate ({_LONGEST_NAME})"
            faults.append(Usage(message, code="Engine"))
        if len(faults) >= _MOST_FAULTS:
            break
    if faults:
        raise BadInput(
            "just-in-time provisioning gives every thing the same type, groups, policy and attributes",
            tuple(faults),
            hint="one file for each kind of thing; --engine iotctl knows no such limit",
        )
    assert first is not None, "a fleet file has rows"
    thing = {
        "ThingName": {"Ref": _NAME},
        "AttributePayload": {**first.get("attributes", {}), CLAIM: {"Ref": _ID}},
        **_of_thing(first),
    }
    return {
        "Parameters": {name: {"Type": "String"} for name in (_NAME, _ID)},
        "Resources": _resources(thing, {"CertificateId": {"Ref": _ID}, "Status": "ACTIVE"}, first["policyName"]),
    }


def parameters(row: Mapping[str, Any], certificate: Mapping[str, str], authority: str) -> dict[str, str]:
    """What a line of a bulk registration says of one row.

    Args:
        row: of the fleet file.
        certificate: certificateId, certificatePem.
        authority: the CA that signed it (PEM).

    """
    return {
        "ThingName": row["thingName"],
        "Certificate": certificate["certificatePem"],
        "CaCertificate": authority,
        "Claim": certificate["certificateId"],
        **_described(row),
    }


def requested(row: Mapping[str, Any]) -> dict[str, str]:
    """What a line of a bulk registration says of one row whose certificate AWS signs."""
    return {"ThingName": row["thingName"], "CSR": row["csr"], "Claim": claim(row["csr"]), **_described(row)}


def claim(csr: str) -> str:
    """What a thing carries until the id of the certificate that AWS signs is known: the CSR that it is signed for."""
    return f"csr:{hashlib.sha256(csr.encode()).hexdigest()}"


def _described(row: Mapping[str, Any]) -> dict[str, str]:
    attributes = row.get("attributes") or {}
    return {
        "Policy": row["policyName"],
        **{f"Attribute{number}": attributes[name] for number, name in enumerate(sorted(attributes), 1)},
        **({"ThingType": row["thingType"]} if row.get("thingType") else {}),
        **{f"Group{number}": name for number, name in enumerate(row.get("thingGroups") or (), 1)},
        **({"BillingGroup": row["billingGroup"]} if row.get("billingGroup") else {}),
    }


def in_bulk(attributes: Iterable[str], names: Sequence[str]) -> dict[str, Any]:
    """The template of a bulk registration of rows that have the same parameters.

    A thing that is there already may be another's: it fails, as it is, and is looked at afterwards.

    Args:
        attributes: the names of those that the rows have.
        names: of the parameters of each.

    """
    values = {name: {"Ref": f"Attribute{number}"} for number, name in enumerate(sorted(attributes), 1)}
    groups = [{"Ref": name} for name in names if name.startswith("Group")]
    thing = {
        "ThingName": {"Ref": "ThingName"},
        "AttributePayload": {**values, CLAIM: {"Ref": "Claim"}},
        **({"ThingTypeName": {"Ref": "ThingType"}} if "ThingType" in names else {}),
        **({"ThingGroups": groups} if groups else {}),
        **({"BillingGroup": {"Ref": "BillingGroup"}} if "BillingGroup" in names else {}),
    }
    signed = {"CertificatePem": {"Ref": "Certificate"}, "CACertificatePem": {"Ref": "CaCertificate"}}
    certificate = {"CertificateSigningRequest": {"Ref": "CSR"}} if "CSR" in names else signed
    resources = _resources(thing, {**certificate, "Status": "ACTIVE"}, {"Ref": "Policy"})
    resources["thing"]["OverrideSettings"] = dict.fromkeys(("AttributePayload", "ThingTypeName", "ThingGroups"), "FAIL")
    return {"Parameters": {name: {"Type": "String"} for name in names}, "Resources": resources}


def _of_thing(row: Row) -> dict[str, Any]:
    found = {
        "ThingTypeName": row.get("thingType"),
        "ThingGroups": list(row.get("thingGroups") or ()),
        "BillingGroup": row.get("billingGroup"),
    }
    return {key: value for key, value in found.items() if value}


def _resources(thing: dict[str, Any], certificate: dict[str, Any], policy: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": thing},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": certificate},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}},
    }
