"""What a provisioning template says with its parameters: the thing, certificate and policies that it wants. Pure.

Sources: AWS IoT developer guide, provision-template and jit-provisioning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics import names, provisioning
from iotctl.semantics.intrinsics import Scope, TemplateError, resolve
from iotctl.semantics.provisioning import CERTIFICATE_ID, CERTIFICATE_PARAMETERS, Kind, Override, Template

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUSES: Final = ("ACTIVE", "INACTIVE")
_PRINCIPAL_TYPES: Final = ("EXCLUSIVE_THING", "NON_EXCLUSIVE_THING")


@dataclass(frozen=True, slots=True)
class Thing:
    """The thing that is wanted; None: the template does not say."""

    logical_name: str
    name: str
    attributes: Mapping[str, str] | None = None
    type_name: str | None = None
    groups: tuple[str, ...] | None = None
    billing_group: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate that is wanted: exactly one of `csr`, `certificate_id` and `pem` is not empty."""

    logical_name: str
    csr: str = ""
    certificate_id: str = ""
    pem: str = ""
    ca_pem: str = ""
    status: str = "ACTIVE"
    principal_type: str = "NON_EXCLUSIVE_THING"
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is wanted; without a document it must be there."""

    logical_name: str
    name: str
    document: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a template says with its parameters."""

    thing: Thing | None
    certificate: Certificate | None
    policies: tuple[Policy, ...]
    device_configuration: Mapping[str, Any]


def evaluate(template: Template, parameters: Mapping[str, str]) -> Registration:
    """What a template says with these parameters.

    A reference finds a parameter that was given whether the template declares it or not: samples of the guide refer to
    what only the device or its hook names. Just-in-time provisioning needs a value for all that is declared.

    Raises:
        TemplateError: a reference has no value, or a value is not what a property takes.

    """
    given = {name: default for name, default in template.parameters.items() if default is not None} | dict(parameters)
    if template.kind is Kind.JUST_IN_TIME and (missing := [name for name in template.parameters if name not in given]):
        raise TemplateError(f"the certificate has no value for {missing[0]}")
    scope = Scope(given, template.mappings)
    thing: Thing | None = None
    certificate: Certificate | None = None
    policies: list[Policy] = []
    for name, resource in template.resources.items():
        properties = resolve(dict(resource.properties), scope)
        if resource.kind == provisioning.THING:
            thing = _thing(name, properties, resource.overrides)
        elif resource.kind == provisioning.CERTIFICATE:
            certificate = _certificate(name, properties, resource.overrides.get("Status"))
        else:
            policies.append(_policy(name, properties))
    configuration = resolve(dict(template.device_configuration), scope)
    if any(isinstance(value, dict | list) for value in configuration.values()):
        raise TemplateError("DeviceConfiguration holds no nested objects")
    return Registration(thing, certificate, tuple(policies), configuration)


def certificate_parameters(certificate_id: str, subject: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The parameters that just-in-time provisioning takes from a certificate.

    Args:
        certificate_id: of the certificate.
        subject: the first of the values of each attribute counts, by the names of policy variables.

    """
    found = {CERTIFICATE_ID: certificate_id}
    for parameter in CERTIFICATE_PARAMETERS:
        attribute = parameter.rpartition("::")[2]
        values = subject.get({"StateName": "State"}.get(attribute, attribute))
        if values:
            found[parameter] = values[0]
    return found


def policy_name(document: str) -> str:
    """The name of a policy of which a template has the document alone: 40 digits, as the guide's sample shows them."""
    return sha1(document.encode(), usedforsecurity=False).hexdigest().upper()


def _thing(logical: str, properties: Mapping[str, Any], overrides: Mapping[str, Override]) -> Thing:
    return Thing(
        logical,
        _name(properties, "ThingName", names.THING_NAME),
        _attributes(properties.get("AttributePayload")),
        _name(properties, "ThingTypeName", names.THING_TYPE_NAME) or None,
        _groups(properties.get("ThingGroups")),
        _name(properties, "BillingGroup", names.BILLING_GROUP_NAME) or None,
        overrides,
    )


def _attributes(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise TemplateError("AttributePayload is not an object of strings")
    for name, one in value.items():
        _check(names.ATTRIBUTE_NAME, name)
        _check(names.ATTRIBUTE_VALUE, one)
    return value


def _groups(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TemplateError("ThingGroups is not a list of names")
    for name in value:
        _check(names.THING_GROUP_NAME, name)
    return tuple(dict.fromkeys(value))


def _certificate(logical: str, properties: Mapping[str, Any], override: Override | None) -> Certificate:
    return Certificate(
        logical,
        _text(properties, "CertificateSigningRequest"),
        _text(properties, "CertificateId"),
        _text(properties, "CertificatePem"),
        _text(properties, "CACertificatePem"),
        # The guide's samples write it "Active" too.
        _one_of(_text(properties, "Status").upper() or "ACTIVE", "Status", _STATUSES),
        _one_of(_text(properties, "ThingPrincipalType") or _PRINCIPAL_TYPES[1], "ThingPrincipalType", _PRINCIPAL_TYPES),
        override,
    )


def _policy(logical: str, properties: Mapping[str, Any]) -> Policy:
    if "PolicyName" in properties:
        return Policy(logical, _name(properties, "PolicyName", names.POLICY_NAME))
    content = properties["PolicyDocument"]
    if not isinstance(content, str | dict):
        raise TemplateError("PolicyDocument is neither a string nor an object")
    document = content if isinstance(content, str) else json.dumps(content)
    return Policy(logical, policy_name(document), document)


def _name(properties: Mapping[str, Any], key: str, rule: names.Rule) -> str:
    """A property that is a name; empty where it is not there."""
    value = _text(properties, key)
    if value:
        _check(rule, value)
    return value


def _text(properties: Mapping[str, Any], key: str) -> str:
    """A property that is a string; empty where it is not there."""
    value = properties.get(key, "")
    if not isinstance(value, str) or (key in properties and not value):
        raise TemplateError(f"{key} is not a string of at least one character")
    return value


def _check(rule: names.Rule, value: str) -> None:
    if fault := rule.fault(value):
        raise TemplateError(fault)


def _one_of(value: str, key: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise TemplateError(f"{key} is not one of {', '.join(allowed)}")
    return value
