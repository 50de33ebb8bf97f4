"""Checks of certificates: the cases of Device Defender's pages, and our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iotctl.semantics.checks import Finding, Rules, judge, load
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, RevocationList
from iotctl.semantics.checks.keys import is_roca

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def found(check: str, rules: Rules | None = None, **fleet: Any) -> list[Finding]:
    """What one check finds."""
    findings, _ = judge(Fleet(NOW, **fleet), rules or Rules(), [load()[check]])
    return findings


def reasons(check: str, rules: Rules | None = None, **fleet: Any) -> list[tuple[str, str]]:
    """The resource and reason of each of a check's findings."""
    return [(finding.resource, finding.flaw.reason) for finding in found(check, rules, **fleet)]


@pytest.mark.parametrize("status", ["ACTIVE", "PENDING_TRANSFER", "INACTIVE", "REVOKED"])
@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (-1, "CERTIFICATE_PAST_EXPIRATION"),
        (0, "CERTIFICATE_PAST_EXPIRATION"),
        (1, "CERTIFICATE_APPROACHING_EXPIRATION"),
        (30, "CERTIFICATE_APPROACHING_EXPIRATION"),
        (31, None),
    ],
)
def test_certificates_that_end(status: str, days: int, reason: str | None) -> None:
    """Within 30 days or past, of those that are ACTIVE or PENDING_TRANSFER, devices' and CAs' alike."""
    end = NOW + timedelta(days=days)
    wanted = [("c1", reason)] if reason and status in {"ACTIVE", "PENDING_TRANSFER"} else []

    assert wanted == reasons(
        "DEVICE_CERTIFICATE_EXPIRING_CHECK", certificates=[Certificate("c1", status, not_after=end)]
    )
    assert wanted == reasons(
        "CA_CERTIFICATE_EXPIRING_CHECK", ca_certificates=[CaCertificate("c1", status, not_after=end)]
    )


def test_the_threshold_of_expiry_is_a_rule() -> None:
    """CERT_EXPIRATION_THRESHOLD_IN_DAYS of the account's audit configuration."""
    ending = Certificate("c1", not_after=NOW + timedelta(days=50))

    assert [] == reasons("DEVICE_CERTIFICATE_EXPIRING_CHECK", certificates=[ending])
    assert 1 == len(reasons("DEVICE_CERTIFICATE_EXPIRING_CHECK", Rules(expiring_days=60), certificates=[ending]))


def test_a_finding_names_the_thing_and_the_command() -> None:
    """What ends the use of the old certificate."""
    ending = Certificate("c1", not_after=NOW, things=("press-7",))

    (finding,) = found("DEVICE_CERTIFICATE_EXPIRING_CHECK", certificates=[ending])

    mend = "aws iot update-certificate --certificate-id c1 --new-status INACTIVE"
    assert (mend, ("press-7",)) == (finding.flaw.mend, finding.flaw.things)


@pytest.mark.parametrize(("days", "old"), [(364, False), (365, True), (400, True)])
def test_certificates_of_an_age(days: int, old: bool) -> None:
    """Active for as long as the threshold, 365 days by default."""
    certificate = Certificate("c1", created=NOW - timedelta(days=days))

    assert old == bool(reasons("DEVICE_CERTIFICATE_AGE_CHECK", certificates=[certificate]))


def test_roca_keys_are_told_from_others() -> None:
    """A modulus whose primes are of Infineon's form is found; products of other primes are not."""
    import random

    product = 1
    for prime in [2, *[n for n in range(3, 168) if all(n % d for d in range(2, int(n**0.5) + 1))]]:
        product *= prime
    chance = random.Random(7)  # the form alone matters: that the factors be prime does not
    infineon = [chance.getrandbits(60) * product + pow(65537, chance.getrandbits(40), product) for _ in range(2)]
    other = [chance.getrandbits(1024) | 1 for _ in range(2)]

    assert is_roca(infineon[0] * infineon[1])
    assert not is_roca(other[0] * other[1])


def test_a_weak_key_is_critical_on_devices_and_cas() -> None:
    """The reason code names the CVE."""
    modulus = pow(65537, 3)

    assert [("c1", "CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361")] == reasons(
        "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", certificates=[Certificate("c1", key="rsa-2048", modulus=modulus)]
    )
    assert [("ca", "CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361")] == reasons(
        "CA_CERTIFICATE_KEY_QUALITY_CHECK", ca_certificates=[CaCertificate("ca", key="rsa-2048", modulus=modulus)]
    )


def test_revoked_certificates_that_are_still_active() -> None:
    """By the issuer's list: its name and the serial number both count."""
    crls = (RevocationList("CN=Factory", frozenset({"0a"})),)
    mine = [
        Certificate("revoked", issuer="CN=Factory", serial="0a"),
        Certificate("other-serial", issuer="CN=Factory", serial="0b"),
        Certificate("other-issuer", issuer="CN=Else", serial="0a"),
        Certificate("inactive", "INACTIVE", issuer="CN=Factory", serial="0a"),
    ]
    cas = [CaCertificate("ca", issuer="CN=Factory", subject="CN=Line", serial="0a")]

    assert [("revoked", "CERTIFICATE_REVOKED_BY_ISSUER")] == reasons(
        "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", certificates=mine, crls=crls
    )
    assert [("ca", "CERTIFICATE_REVOKED_BY_ISSUER")] == reasons(
        "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", ca_certificates=cas, crls=crls
    )


def test_devices_of_a_revoked_intermediate_ca() -> None:
    """An active device certificate whose issuer was revoked by its own issuer is found, by that issuer's name."""
    crls = (RevocationList("CN=Root", frozenset({"05"})),)
    cas = [
        CaCertificate("line", subject="CN=Line", issuer="CN=Root", serial="05"),
        CaCertificate("root", subject="CN=Root", issuer="CN=Root", serial="01"),
    ]
    devices = [Certificate("d1", issuer="CN=Line"), Certificate("d2", issuer="CN=Root")]

    (finding,) = found(
        "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
        certificates=devices,
        ca_certificates=cas,
        crls=crls,
    )

    assert ("CN=Line", "INTERMEDIATE_CA_REVOKED_BY_ISSUER", "ISSUER_CERTIFICATE") == (
        finding.resource,
        finding.flaw.reason,
        finding.check.resource_type,
    )
    assert (("DEVICE_CERTIFICATE", "deviceCertificateId", ("d1",)),) == finding.flaw.related


def test_keys_weaker_than_declared() -> None:
    """Only where a baseline lists the kinds that are strong enough."""
    certificates = [Certificate("rsa", key="rsa-2048"), Certificate("ec", key="ec-secp256r1"), Certificate("unread")]

    assert [] == reasons("WEAK_KEY_CHECK", certificates=certificates)
    assert [("rsa", "KEY_WEAKER_THAN_BASELINE")] == reasons(
        "WEAK_KEY_CHECK", Rules(keys=("ec-secp256r1", "ec-secp384r1")), certificates=certificates
    )


def test_certificates_of_no_thing_and_of_several() -> None:
    """An active one on nothing is an orphan; one on two things tells nobody apart."""
    certificates = [
        Certificate("orphan"),
        Certificate("off", "INACTIVE"),
        Certificate("one", things=("a",)),
        Certificate("two", things=("b", "a")),
    ]

    assert ["orphan"] == [f.resource for f in found("ORPHAN_CERTIFICATE_CHECK", certificates=certificates)]
    (shared,) = found("CERTIFICATE_ON_SEVERAL_THINGS_CHECK", certificates=certificates)
    assert ("two", ("a", "b")) == (shared.resource, shared.flaw.things)
