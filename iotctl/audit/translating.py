"""A finding of Device Defender in the words of ours: what should be, and the command that mends it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.checks import Flaw
from iotctl.semantics.checks.connections import last_seen
from iotctl.semantics.checks.policies import new_version

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED: Final = {
    "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": "what the device itself needs",
    "CA_CERTIFICATE_EXPIRING_CHECK": "valid for longer",
    "CA_CERTIFICATE_KEY_QUALITY_CHECK": "a key that is random",
    "CONFLICTING_CLIENT_IDS_CHECK": "one device with this client id",
    "DEVICE_CERTIFICATE_AGE_CHECK": "younger",
    "DEVICE_CERTIFICATE_EXPIRING_CHECK": "valid for longer",
    "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK": "a key that is random",
    "DEVICE_CERTIFICATE_SHARED_CHECK": "one connection with this certificate",
    "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK": "no active certificate of a revoked CA",
    "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": "limited to the device's own thing",
    "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK": "a Deny that nothing escapes",
    "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK": "no more than is used",
    "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK": "what the device itself needs",
    "LOGGING_DISABLED_CHECK": "logging on",
    "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK": "INACTIVE",
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK": "REVOKED",
    "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": "what the device itself needs",
}
"""What should be, which Device Defender does not say, by check; in the words of our own findings."""

_MENDS: Final = {
    "deviceCertificateId": "aws iot update-certificate --certificate-id {} --new-status INACTIVE",
    "caCertificateId": "aws iot update-ca-certificate --certificate-id {} --new-status INACTIVE",
    "account": "aws iot set-v2-logging-options --role-arn ROLE --default-log-level ERROR",
    "roleAliasArn": "narrow the policies of its role",
    "cognitoIdentityPoolId": "narrow the policies of its roles",
    "issuerCertificateIdentifier": "replace the certificates that it issued",
}

_REVOKED: Final = ("DEVICE_CERTIFICATE_SHARED_CHECK", "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK")
"""Where the page says REVOKED."""

_SHOWN: Final = 5


def flaw(listed: Mapping[str, Any], owners: Mapping[str, tuple[str, ...]]) -> Flaw:
    """A finding as ListAuditFindings answers it; `owners`: the things of each certificate id."""
    resource = {
        key: value for key, value in listed["nonCompliantResource"]["resourceIdentifier"].items() if value is not None
    }
    # Some resources come with a second name, after the one that AWS's own filters go by.
    resource.pop("deviceCertificateArn", None)
    name = next(iter(resource), "")
    if name == "policyVersionIdentifier":
        mend = new_version(resource[name]["policyName"])
    elif name == "clientId":
        mend = last_seen(resource[name])
    else:
        mend = _MENDS.get(name, "").format(resource.get(name))
    if listed["checkName"] in _REVOKED:
        mend = mend.replace("INACTIVE", "REVOKED")
    reason = listed["reasonForNonComplianceCode"]
    details = listed["nonCompliantResource"].get("additionalInfo") or {}
    return Flaw(
        reason,
        resource,
        expected=EXPECTED[listed["checkName"]],
        actual=_with_clients(listed.get("reasonForNonCompliance") or reason, listed),
        things=owners.get(str(resource.get("deviceCertificateId")), ()),
        mend=mend,
        since=_since(reason, details, listed),
        details=details,
    )


def _with_clients(words: str, listed: Mapping[str, Any]) -> str:
    """What is, with the client ids that it is so of: Device Defender names them beside its words."""
    related = [one.get("resourceIdentifier", {}).get("clientId") for one in listed.get("relatedResources") or ()]
    missing = [name for name in dict.fromkeys(filter(None, related)) if name not in words]
    return f"{words.removesuffix('.')}: client ids {', '.join(missing[:_SHOWN])}" if missing else words


def _since(reason: str, details: Mapping[str, str], listed: Mapping[str, Any]) -> datetime | None:
    """Since when it is so: since the certificate ended, or since devices last connected so."""
    if reason == "CERTIFICATE_PAST_EXPIRATION":
        times = [details.get("EXPIRATION_TIME")]
    else:
        infos = [one.get("additionalInfo") or {} for one in listed.get("relatedResources") or ()]
        times = [info.get(key) for info in infos for key in ("CONNECTION_TIME", "DISCONNECTION_TIME")]
    known = [int(at) for at in times if at and at.isdecimal()]
    return datetime.fromtimestamp(max(known) / 1000, UTC) if known else None
