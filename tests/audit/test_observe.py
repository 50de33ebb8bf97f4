"""What is told of how a fleet was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from iotctl.audit import observe
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, RevocationList

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_what_the_checks_of_certificates_cannot_see_is_told() -> None:
    """Issuers without a revocation list, lists that are old, and RSA keys, of those certificates that are in use."""
    fleet = Fleet(
        NOW,
        certificates=[
            Certificate("listed", issuer="CN=Factory"),
            Certificate("unlisted", issuer="CN=Else"),
            Certificate("rsa", issuer="CN=Else", modulus=7),
            Certificate("off", "INACTIVE", issuer="CN=Off", modulus=7),
        ],
        ca_certificates=[CaCertificate("ca", subject="CN=Factory", issuer="CN=Root")],
        crls=(RevocationList("CN=Factory", frozenset(), NOW - timedelta(days=1)),),
    )

    assert [
        "no revocation list of CN=Else was given: 2 certificates may be revoked",
        "no revocation list of CN=Root was given: 1 certificate may be revoked",
        "the revocation list of CN=Factory is old: the next one was due 2026-05-31",
        "1 RSA key may be of Debian's broken generator (CVE-2008-0166): only Device Defender knows",
    ] == list(observe.gaps(fleet))
    assert [] == list(observe.gaps(Fleet(NOW, certificates=[Certificate("ec", issuer="CN=Else")])))
