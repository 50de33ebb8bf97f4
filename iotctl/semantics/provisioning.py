"""Provisioning templates: read and checked; `registration` evaluates them. Pure.

Sources: AWS IoT developer guide, provision-template, jit-provisioning and fleet-provision-api. Where they are silent
this is as strict as a service can be: what is not one of the documented words is refused, not ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.semantics.intrinsics import TemplateError, is_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CERTIFICATE_ID: Final = "AWS::IoT::Certificate::Id"
CERTIFICATE_PARAMETERS: Final = (
    "AWS::IoT::Certificate::Country",
    "AWS::IoT::Certificate::Organization",
    "AWS::IoT::Certificate::OrganizationalUnit",
    "AWS::IoT::Certificate::DistinguishedNameQualifier",
    "AWS::IoT::Certificate::StateName",
    "AWS::IoT::Certificate::CommonName",
    "AWS::IoT::Certificate::SerialNumber",
    CERTIFICATE_ID,
)
"""What just-in-time provisioning takes from a certificate."""

THING, CERTIFICATE, POLICY = "AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy"
_PROPERTIES: Final = {
    THING: frozenset(("ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup")),
    # ThingPrincipalType is not in the guide; AWS's own samples have it (Greengrass fleet provisioning, 2025).
    CERTIFICATE: frozenset(
        (
            *("CertificateSigningRequest", "CertificateId", "CertificatePem", "CACertificatePem"),
            *("Status", "ThingPrincipalType"),
        )
    ),
    POLICY: frozenset(("PolicyName", "PolicyDocument")),
}
_IDENTITIES: Final = ("CertificateSigningRequest", "CertificateId", "CertificatePem")
_SECTIONS: Final = frozenset(("Parameters", "Resources"))
_FLEET_SECTIONS: Final = _SECTIONS | {"Mappings", "DeviceConfiguration"}


class Kind(Enum):
    """Whose template it is, which decides what it may hold."""

    REGISTRATION = "RegisterThing, one or in bulk"
    FLEET = "FLEET_PROVISIONING"
    JUST_IN_TIME = "JITP"


class Override(Enum):
    """What becomes of a property that is there already."""

    DO_NOTHING = "DO_NOTHING"
    REPLACE = "REPLACE"
    FAIL = "FAIL"
    MERGE = "MERGE"


_ALL: Final = frozenset(Override)
_OVERRIDES: Final[Mapping[str, Mapping[str, frozenset[Override]]]] = {
    THING: {"AttributePayload": _ALL, "ThingTypeName": _ALL - {Override.MERGE}, "ThingGroups": _ALL},
    CERTIFICATE: {"Status": _ALL - {Override.MERGE}},
    POLICY: {},
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a template, not evaluated."""

    kind: str
    properties: Mapping[str, Any]
    overrides: Mapping[str, Override]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read.

    Attributes:
        parameters: their defaults by name; None: it has none.
        resources: by logical name.

    """

    kind: Kind
    parameters: Mapping[str, str | None]
    mappings: Mapping[str, Any]
    resources: Mapping[str, Resource]
    device_configuration: Mapping[str, Any]


def parse(body: str, kind: Kind = Kind.REGISTRATION) -> Template:
    """Read a template.

    Raises:
        TemplateError: in AWS's words where they are known.

    """
    try:
        content = text.loads(body, name="the template")
    except Usage as error:
        raise TemplateError(f"Template format error: JSON not well-formed: {error.message}") from error
    if not isinstance(content, dict):
        raise TemplateError("Template format error: it is not an object")
    sections = _FLEET_SECTIONS if kind is Kind.FLEET else _SECTIONS
    if unknown := sorted(content.keys() - sections):
        raise TemplateError(f"{unknown[0]} is not a section of a template for {kind.value}")
    for name in sections:
        if not isinstance(content.get(name, {}), dict):
            raise TemplateError(f"{name} is not an object")
    resources = {name: _resource(name, one) for name, one in content.get("Resources", {}).items()}
    if not resources:
        raise TemplateError("Resources has no resource")
    for type_name in (THING, CERTIFICATE):
        if sum(one.kind == type_name for one in resources.values()) > 1:
            raise TemplateError(f"Resources has more than one {type_name}")
    parameters = {name: _default(name, one) for name, one in content.get("Parameters", {}).items()}
    if kind is not Kind.REGISTRATION:
        _by_id_only(resources)
    if kind is Kind.JUST_IN_TIME and (unknown := sorted(parameters.keys() - set(CERTIFICATE_PARAMETERS))):
        raise TemplateError(f"{unknown[0]} is not a parameter that just-in-time provisioning finds in a certificate")
    mappings = content.get("Mappings", {})
    _check_mappings(mappings)
    return Template(kind, parameters, mappings, resources, content.get("DeviceConfiguration", {}))


def _resource(name: str, content: object) -> Resource:
    if not isinstance(content, dict) or not content.keys() <= {"Type", "Properties", "OverrideSettings"}:
        raise TemplateError(f"the resource {name} has other members than Type, Properties and OverrideSettings")
    kind, properties = content.get("Type"), content.get("Properties", {})
    if not isinstance(kind, str) or kind not in _PROPERTIES:
        raise TemplateError(f"the resource {name} is not of the type {', '.join(_PROPERTIES)}")
    if not isinstance(properties, dict):
        raise TemplateError(f"the Properties of {name} are not an object")
    if unknown := sorted(properties.keys() - _PROPERTIES[kind]):
        raise TemplateError(f"{unknown[0]} is not a property of {kind}")
    _CHECKS[kind](name, properties)
    return Resource(kind, properties, _overrides(name, kind, content.get("OverrideSettings", {})))


def _check_thing(name: str, properties: Mapping[str, Any]) -> None:
    if "ThingName" not in properties:
        raise TemplateError(f"the thing {name} has no ThingName")


def _check_certificate(name: str, properties: Mapping[str, Any]) -> None:
    if sum(one in properties for one in _IDENTITIES) != 1:
        raise TemplateError(f"the certificate {name} must have exactly one of {', '.join(_IDENTITIES)}")
    if "CACertificatePem" in properties and "CertificatePem" not in properties:
        raise TemplateError(f"the certificate {name} has a CACertificatePem and no CertificatePem")


def _check_policy(name: str, properties: Mapping[str, Any]) -> None:
    if not properties:
        raise TemplateError("Neither policyName nor policyDocument is present in the Template.")
    if len(properties) > 1:
        raise TemplateError(f"the policy {name} has both PolicyName and PolicyDocument")


_CHECKS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], None]]] = {
    THING: _check_thing,
    CERTIFICATE: _check_certificate,
    POLICY: _check_policy,
}


def _overrides(name: str, kind: str, content: object) -> dict[str, Override]:
    if not isinstance(content, dict):
        raise TemplateError(f"the OverrideSettings of {name} are not an object")
    found: dict[str, Override] = {}
    for key, value in content.items():
        allowed = _OVERRIDES[kind].get(key)
        if allowed is None:
            raise TemplateError(f"OverrideSettings of {kind} has no {key}")
        choice = next((one for one in allowed if one.value == value), None)
        if choice is None:
            raise TemplateError(f"OverrideSettings of {name}: {key} cannot be {value}")
        found[key] = choice
    return found


def _default(name: str, content: object) -> str | None:
    if not isinstance(content, dict) or not content.keys() <= {"Type", "Default"}:
        raise TemplateError(f"the parameter {name} has other members than Type and Default")
    if content.get("Type") != "String":
        raise TemplateError(f"the parameter {name} is not of the type String")
    default = content.get("Default")
    if default is not None and not isinstance(default, str):
        raise TemplateError(f"the default of the parameter {name} is not a string")
    return default


def _by_id_only(resources: Mapping[str, Resource]) -> None:
    """Refuse a certificate that the service does not know by its id: it made it, or it saw it at the door."""
    for name, one in resources.items():
        if one.kind == CERTIFICATE and "CertificateId" not in one.properties:
            raise TemplateError(f"the certificate {name} must be specified by its CertificateId")


def _check_mappings(mappings: Mapping[str, Any]) -> None:
    for name, first in mappings.items():
        levels = first.values() if isinstance(first, dict) else [first]
        if not isinstance(first, dict) or not all(isinstance(one, dict) for one in levels):
            raise TemplateError(f"the map {name} is not of two levels")
        if any(is_function(value) for one in levels for value in one.values()):
            raise TemplateError(f"the map {name} calls a function")
