"""What is told of how a fleet was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from iotctl.audit import observe
from iotctl.registry import Registry
from iotctl.semantics.checks.fleet import CaCertificate, Certificate, Fleet, RevocationList
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@vectors.rows(
    ("unread", "certificates", "asked", "gap"),
    [
        ((), 2, "certificates", False),
        ((), 9, "things", False),
        (("things",), 9, "certificates", False),  # else a certificate of a thing that was not listed were an orphan
        (("certificates",), 2, "things", False),  # else a thing whose certificate was not listed had none
        (("things", "certificates"), 2, "certificates", True),
    ],
)
def test_who_has_what_is_asked_of_a_list_that_is_whole(
    unread: tuple[str, ...], certificates: int, asked: str, gap: bool
) -> None:
    """A page that was cut short makes no certificate an orphan, and no thing one without a certificate."""

    class Account(Registry):
        def things_of(self, arns: Any) -> dict[str, list[str]]:
            return {"certificates": []}

        def certificates_of(self, things: Any) -> dict[str, list[str]]:
            return {"things": []}

    reading: Any = SimpleNamespace(unread=dict.fromkeys(unread, "cut short"))
    account = Account(reading, SimpleNamespace(whole=True, things=None, policies=()))
    listed = [{"certificateArn": str(number)} for number in range(certificates)]
    assert [asked] == list(account.owners(dict.fromkeys("abc"), listed))
    assert gap is ("principals" in reading.unread)


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
