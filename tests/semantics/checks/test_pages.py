"""Every page of the developer guide about a check: its reason codes, each with a case for it and one against."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from iotctl.semantics.checks import Rules, judge, load
from iotctl.semantics.checks.fleet import (
    CaCertificate,
    Certificate,
    Fleet,
    IdentityPool,
    Policy,
    RevocationList,
    Role,
    RoleAlias,
    Session,
    Sharing,
    Takeover,
)
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ARN = "arn:aws:iot:us-east-1:123456789012:"
LIST = (RevocationList("CN=Root", frozenset({"05"})),)
ROCA = pow(65537, 3)


def document(*statements: tuple[str, str, str]) -> str:
    """A policy: (effect, action, resource) of each statement."""
    rows = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": rows})


def alias(action: str, resource: str = f"{ARN}thing/one", used: tuple[str, ...] = ("iot",)) -> dict[str, Any]:
    """A role alias whose role has one statement."""
    role = Role("arn:aws:iam::123456789012:role/r", (document(("Allow", action, resource)),), frozenset(used))
    return {"role_aliases": [RoleAlias("alias", role)]}


def pool(action: str, resource: str = f"{ARN}thing/one", *, signed_in: bool = True) -> dict[str, Any]:
    """An identity pool, likewise."""
    role = Role("arn:aws:iam::123456789012:role/r", (document(("Allow", action, resource)),))
    return {"identity_pools": [IdentityPool("pool", authenticated=signed_in, role=role)]}


def certificate(**members: Any) -> dict[str, Any]:
    """A device certificate that is active."""
    return {"certificates": [Certificate("c", **members)]}


def authority(**members: Any) -> dict[str, Any]:
    """A CA certificate that is active."""
    return {"ca_certificates": [CaCertificate("c", **members)]}


def policy(*statements: tuple[str, str, str]) -> dict[str, Any]:
    """An IoT policy."""
    return {"policies": [Policy("p", "1", document(*statements))]}


def ending(days: float) -> datetime:
    """So many days from now."""
    return NOW + timedelta(days=days)


ROOM = ("topicfilter/building/*", "topicfilter/building/control_room", "topic/building/*")


def room(wildcard: str, *more: tuple[str, str, str]) -> dict[str, Any]:
    """The policy of audit-chk-iot-misconfigured-policies, with the wildcard of its Deny."""
    every, denied, received = (ARN + one for one in ROOM)
    deny = ("Deny", "iot:Subscribe", f"{denied}/{wildcard}")
    return policy(("Allow", "iot:Subscribe", every), deny, ("Allow", "iot:Receive", received), *more)


def intermediate(serial: str) -> dict[str, Any]:
    """A device of a line whose CA has a serial number."""
    line = CaCertificate("line", subject="CN=Line", issuer="CN=Root", serial=serial)
    return {**certificate(issuer="CN=Line"), "ca_certificates": [line], "crls": LIST}


DENY_RECEIVE = ("Deny", "iot:Receive", f"{ARN}topic/building/control_room/*")
TWICE = (Session("press", "a" * 64), Session("press", "b" * 64))
# The page; its check; its severity; and for each of its reason codes a fleet that has it, and one without.
PAGES = [
    (
        "audit-chk-active-intermediary-device-revoked-CA",
        "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
        "CRITICAL",
        {"INTERMEDIATE_CA_REVOKED_BY_ISSUER": (intermediate("05"), intermediate("06"))},
    ),
    (
        "audit-chk-revoked-ca-cert",
        "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK",
        "CRITICAL",
        {
            "CERTIFICATE_REVOKED_BY_ISSUER": (
                {**authority(issuer="CN=Root", serial="05"), "crls": LIST},
                {**authority(issuer="CN=Root", serial="05", status="INACTIVE"), "crls": LIST},
            )
        },
    ),
    (
        "audit-chk-device-cert-shared",
        "DEVICE_CERTIFICATE_SHARED_CHECK",
        "CRITICAL",
        {"CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES": ({"sharings": [Sharing("c", TWICE, NOW)]}, {})},
    ),
    (
        "audit-chk-device-cert-key-quality",
        "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK",
        "CRITICAL",
        {"CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361": (certificate(modulus=ROCA), certificate(modulus=ROCA + 2))},
    ),
    (
        "audit-chk-ca-cert-key-quality",
        "CA_CERTIFICATE_KEY_QUALITY_CHECK",
        "CRITICAL",
        {"CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361": (authority(modulus=ROCA), authority(modulus=ROCA + 2))},
    ),
    (
        "audit-chk-unauth-cognito-role-permissive",
        "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
        "CRITICAL",
        {
            "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS": (
                pool("iot:DescribeThing", signed_in=False),
                pool("iot:UpdateThingShadow", signed_in=False),
            ),
            "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS": (
                pool("iot:UpdateThingShadow", f"{ARN}thing/*", signed_in=False),
                pool("iot:UpdateThingShadow", signed_in=False),
            ),
        },
    ),
    (
        "audit-chk-auth-cognito-role-permissive",
        "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK",
        "CRITICAL",
        {
            "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS": (
                pool("iot:ListThingPrincipals", f"{ARN}thing/*"),
                pool("iot:ListThingPrincipals"),
            ),
            "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS": (pool("iot:CreatePolicy"), pool("iot:DescribeThing")),
            "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS": (pool("iot:UpdateThing"), pool("iot:DescribeThing")),
        },
    ),
    (
        "audit-chk-iot-policy-permissive",
        "IOT_POLICY_OVERLY_PERMISSIVE_CHECK",
        "CRITICAL",
        {
            "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS": (
                policy(("Allow", "iot:Publish", f"{ARN}topic/$aws/things/*")),
                policy(("Allow", "iot:Receive", f"{ARN}topic/$aws/things/*")),
            )
        },
    ),
    (
        "audit-chk-iot-misconfigured-policies",
        "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK",
        "MEDIUM",
        {
            "POLICY_CONTAINS_MQTT_WILDCARDS_IN_DENY_STATEMENT": (room("#"), room("*", DENY_RECEIVE)),
            "TOPIC_FILTERS_INTENDED_TO_DENY_ALLOWED_USING_WILDCARDS": (room("*"), room("*", DENY_RECEIVE)),
        },
    ),
    (
        "audit-chk-iot-role-alias-permissive",
        "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK",
        "CRITICAL",
        {
            "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES": (
                alias("dynamodb:*", "*", ("dynamodb",)),
                alias("dynamodb:PutItem", "*", ("dynamodb",)),
            ),
            "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES": (
                alias("guardduty:ListFindings", "*"),
                alias("s3:Get*", "*"),
            ),
            "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS": (
                alias("iot:DescribeThing", f"{ARN}thing/*"),
                alias("iot:DescribeThing"),
            ),
            "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS": (alias("iot:CreateJob"), alias("iot:Publish")),
            "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS": (alias("iot:DeleteThing"), alias("iot:Publish")),
            "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS": (
                alias("iot:GetThingShadow", f"{ARN}thing/*"),
                alias("iot:GetThingShadow"),
            ),
        },
    ),
    (
        "audit-chk-role-alias-unused-svcs",
        "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK",
        "MEDIUM",
        {"ALLOWS_ACCESS_TO_UNUSED_SERVICES": (alias("iam:getRole", "*"), alias("iot:Publish"))},
    ),
    (
        "audit-chk-ca-cert-approaching-expiration",
        "CA_CERTIFICATE_EXPIRING_CHECK",
        "MEDIUM",
        {
            "CERTIFICATE_APPROACHING_EXPIRATION": (
                authority(not_after=ending(30)),
                authority(not_after=ending(31)),
            ),
            "CERTIFICATE_PAST_EXPIRATION": (authority(not_after=ending(-1)), authority(not_after=ending(1))),
        },
    ),
    (
        "audit-chk-conflicting-client-ids",
        "CONFLICTING_CLIENT_IDS_CHECK",
        "HIGH",
        {"DUPLICATE_CLIENT_ID_ACROSS_CONNECTIONS": ({"takeovers": [Takeover("press", TWICE, NOW)]}, {})},
    ),
    (
        "audit-chk-device-cert-approaching-expiration",
        "DEVICE_CERTIFICATE_EXPIRING_CHECK",
        "MEDIUM",
        {
            "CERTIFICATE_APPROACHING_EXPIRATION": (
                certificate(not_after=ending(30)),
                certificate(not_after=ending(31)),
            ),
            "CERTIFICATE_PAST_EXPIRATION": (certificate(not_after=ending(-1)), certificate(not_after=ending(1))),
        },
    ),
    (
        "device-certificate-age-check",
        "DEVICE_CERTIFICATE_AGE_CHECK",
        "LOW",
        {
            "CERTIFICATE_PAST_AGE_THRESHOLD": (
                certificate(created=ending(-365), status="PENDING_TRANSFER"),
                certificate(created=ending(-364)),
            )
        },
    ),
    (
        "audit-chk-revoked-device-cert",
        "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK",
        "MEDIUM",
        {
            "CERTIFICATE_REVOKED_BY_ISSUER": (
                {**certificate(issuer="CN=Root", serial="05", status="PENDING_TRANSFER"), "crls": LIST},
                {**certificate(issuer="CN=Root", serial="05", status="REVOKED"), "crls": LIST},
            )
        },
    ),
    ("audit-chk-logging-disabled", "LOGGING_DISABLED_CHECK", "LOW", {"LOGGING_DISABLED": ({"logging": False}, {})}),
]
NOT_COMPUTED = "CERTIFICATE_KEY_VULNERABILITY_CVE-2008-0166"
"""The one reason code of these pages that no check here yields: the list of those keys is in no package; it is told."""


@vectors.rows(("page", "check", "severity", "codes"), PAGES)
def test_every_page(page: str, check: str, severity: str, codes: dict[str, tuple[dict[str, Any], ...]]) -> None:
    """Its identifier, its severity, its reason codes: each where it belongs, none where the page says compliant."""

    def reasons(fleet: dict[str, Any]) -> set[str]:
        findings, _ = judge(Fleet(NOW, **fleet), Rules(), [load()[check]])
        return {one.flaw.reason for one in findings}

    assert severity == load()[check].severity, page
    for code, (bad, good) in codes.items():
        assert code in reasons(bad), (page, code)
        assert code not in reasons(good), (page, code)


def test_the_pages_are_all_there_are() -> None:
    """A page for each of the seventeen checks, and none twice."""
    checks = [check for _, check, _, _ in PAGES]
    assert sorted(name for name, one in load().items() if not one.ours) == sorted(checks)
    assert NOT_COMPUTED.rpartition("_")[2] in load()["DEVICE_CERTIFICATE_KEY_QUALITY_CHECK"].help
