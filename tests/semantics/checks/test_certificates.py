"""Checks of certificates: the cases of Device Defender's pages, and our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from iotctl.semantics.checks import Finding, Related, Rules, judge, load
from iotctl.semantics.checks.fleet import IN_USE, CaCertificate, Certificate, Fleet, RevocationList
from iotctl.semantics.checks.keys import is_roca
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def found(check: str, rules: Rules | None = None, **fleet: Any) -> list[Finding]:
    """What one check finds."""
    findings, _ = judge(Fleet(NOW, **fleet), rules or Rules(), [load()[check]])
    return findings


def reasons(check: str, rules: Rules | None = None, **fleet: Any) -> list[tuple[str, str]]:
    """The resource and reason of each of a check's findings."""
    return [(finding.resource, finding.flaw.reason) for finding in found(check, rules, **fleet)]


@vectors.rows("status", ["ACTIVE", "PENDING_TRANSFER", "INACTIVE", "REVOKED"])
@vectors.rows(
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


@vectors.rows("status", [*IN_USE, "INACTIVE", "REVOKED", "PENDING_ACTIVATION"])
@vectors.rows(("days", "limit", "old"), [(364, 365, False), (365, 365, True), (400, 365, True), (30, 30, True)])
def test_certificates_of_an_age(status: str, days: int, limit: int, old: bool) -> None:
    """device-certificate-age-check: ACTIVE or PENDING_TRANSFER for as long as the threshold, 365 days by default."""
    certificate = Certificate("c1", status, created=NOW - timedelta(days=days))
    wanted = [("c1", "CERTIFICATE_PAST_AGE_THRESHOLD")] if old and status in IN_USE else []

    assert wanted == reasons("DEVICE_CERTIFICATE_AGE_CHECK", Rules(age_days=limit), certificates=[certificate])
    assert 365 == Rules().age_days


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


@vectors.rows("status", [*IN_USE, "INACTIVE", "REVOKED"])
def test_a_weak_key_is_critical_on_devices_and_cas(status: str) -> None:
    """audit-chk-device-cert-key-quality and audit-chk-ca-cert-key-quality: the reason code names the CVE."""
    key: dict[str, Any] = {"status": status, "key": "rsa-2048", "modulus": pow(65537, 3)}
    reason = "CERTIFICATE_KEY_VULNERABILITY_CVE-2017-15361"
    good, weak = (status in IN_USE, [("c1", reason)])

    assert (weak if good else []) == reasons(
        "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK", certificates=[Certificate("c1", **key)]
    )
    assert (weak if good else []) == reasons(
        "CA_CERTIFICATE_KEY_QUALITY_CHECK", ca_certificates=[CaCertificate("c1", **key)]
    )


def test_revoked_certificates_that_are_still_active() -> None:
    """By the issuer's list: its name and the serial number both count."""
    crls = (RevocationList("CN=Factory", frozenset({"0a"})),)
    mine = [
        Certificate("revoked", issuer="CN=Factory", serial="0a"),
        Certificate("other-serial", issuer="CN=Factory", serial="0b"),
        Certificate("other-issuer", issuer="CN=Else", serial="0a"),
        Certificate("inactive", "INACTIVE", issuer="CN=Factory", serial="0a"),
        Certificate("leaving", "PENDING_TRANSFER", issuer="CN=Factory", serial="0a"),
    ]
    cas = [
        CaCertificate(status, status, issuer="CN=Factory", subject="CN=Line", serial="0a")
        for status in (*IN_USE, "INACTIVE")
    ]

    assert [(name, "CERTIFICATE_REVOKED_BY_ISSUER") for name in ("leaving", "revoked")] == reasons(
        "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK", certificates=mine, crls=crls
    )
    assert [(name, "CERTIFICATE_REVOKED_BY_ISSUER") for name in IN_USE] == reasons(
        "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK", ca_certificates=cas, crls=crls
    )


def test_devices_of_a_revoked_intermediate_ca() -> None:
    """An active device certificate whose issuer was revoked by its own issuer is found, by that issuer's name."""
    crls = (RevocationList("CN=Root", frozenset({"05"})),)
    cas = [
        CaCertificate("line", subject="CN=Line", issuer="CN=Root", serial="05"),
        CaCertificate("root", subject="CN=Root", issuer="CN=Root", serial="01"),
    ]
    devices = [
        Certificate("d1", issuer="CN=Line"),
        Certificate("d2", issuer="CN=Root"),
        Certificate("d3", "REVOKED", issuer="CN=Line"),
    ]

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
    assert (Related("DEVICE_CERTIFICATE", {"deviceCertificateId": "d1"}),) == finding.flaw.related


def test_a_revoked_ca_anywhere_in_the_chain() -> None:
    """audit-chk-active-intermediary-device-revoked-CA: "revoked in the CA chain", however far above the device."""
    names = ["CN=Root", "CN=Region", "CN=Plant", "CN=Line"]
    cas = [CaCertificate("root", subject="CN=Root", issuer="CN=Root", serial="01")]
    cas += [CaCertificate(name, subject=name, issuer=above, serial="05") for above, name in pairwise(names)]
    devices = [Certificate("d", issuer="CN=Line"), Certificate("e", issuer="CN=Region"), Certificate("f", issuer="?")]
    # Two CAs that vouch for each other are no chain with an end.
    cas += [CaCertificate(a, subject=a, issuer=b, serial="05") for a, b in (("CN=A", "CN=B"), ("CN=B", "CN=A"))]
    devices.append(Certificate("g", issuer="CN=A"))

    def revoked(*by: str) -> list[tuple[str, str]]:
        lists = tuple(RevocationList(name, frozenset({"05"})) for name in by)
        check = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK"
        flaws = found(check, certificates=devices, ca_certificates=cas, crls=lists)
        return [(one.resource, one.flaw.key) for one in flaws]

    assert [("CN=Region", "d"), ("CN=Region", "e")] == revoked("CN=Root")
    assert [("CN=Plant", "d")] == revoked("CN=Region")
    assert [("CN=Line", "d"), ("CN=Region", "d"), ("CN=Region", "e")] == revoked("CN=Root", "CN=Plant")
    assert [("CN=A", "g"), ("CN=B", "g")] == revoked("CN=A", "CN=B")


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
