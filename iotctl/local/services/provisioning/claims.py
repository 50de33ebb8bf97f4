"""What is good for a while: provisioning claims of trusted users, and proofs that a device owns a new certificate.

A claim is a certificate of five minutes that may do nothing but provision by its template; it is in no listing of
certificates. A token proves the ownership of a certificate for an hour; a certificate that was neither activated nor
attached by then is deleted. Source: AWS IoT developer guide, provision-wo-cert and fleet-provision-api.
"""

from __future__ import annotations

import json
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from iotctl import pki
from iotctl.local.services import certificates, operation
from iotctl.local.services.authority import authority
from iotctl.local.services.provisioning import templates
from iotctl.pki import certificates as x509

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS provisioning_claim (
    id TEXT PRIMARY KEY, pem TEXT NOT NULL, template TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS provisioning_claim_by_expiry ON provisioning_claim (expires);
CREATE TABLE IF NOT EXISTS ownership_token (
    digest TEXT PRIMARY KEY, certificate TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ownership_token_by_expiry ON ownership_token (expires)
"""

CLAIM_SECONDS: Final = 300
TOKEN_SECONDS: Final = 3600
_TOKEN_BYTES: Final = 350
"""Tokens of about the length of AWS's, so that a device's buffers are as large as they must be."""
_AT_ONCE: Final = 100
_DAY: Final = 86_400


def _new_claim(store: Store) -> pki.Issued:
    # `issue` backdates: these days begin before now, and end when the claim does.
    days = (CLAIM_SECONDS + pki.BACKDATED.total_seconds()) / _DAY
    return authority(store.directory).issue(certificates.COMMON_NAME, key_type="rsa-2048", days=days)


@operation("iot:CreateProvisioningClaim", prepare=_new_claim)
def create_provisioning_claim(store: Store, templateName: str, prepared: pki.Issued | None = None) -> dict[str, Any]:
    """Make a claim for a template; its private key is in this answer and nowhere else."""
    templates.known(store, templateName)
    issued = prepared or _new_claim(store)
    certificate = x509.read(issued.certificate_pem)
    expires = store.now() + CLAIM_SECONDS
    store.execute(
        "INSERT INTO provisioning_claim VALUES (?, ?, ?, ?)",
        certificate.certificate_id,
        certificate.pem,
        templateName,
        expires,
    )
    certificates.changed(store, certificate.certificate_id, "ACTIVE", certificate.pem)
    wake(store)
    return {
        "certificateId": certificate.certificate_id,
        "certificatePem": issued.certificate_pem,
        "keyPair": {"PublicKey": certificate.public_key_pem, "PrivateKey": issued.private_key_pem.decode()},
        "expiration": expires,
    }


def claim(store: Store, certificate_id: str) -> sqlite3.Row | None:
    """The row of a claim that has not expired."""
    now = store.now()
    return store.row("SELECT * FROM provisioning_claim WHERE id = ? AND expires > ?", certificate_id, now)


def policy_of(store: Store, template: str) -> str:
    """What a claim may do: the guide's policy of a claim certificate, for its own template."""
    made = ("$aws/certificates/create/*", "$aws/certificates/create-from-csr/*")
    topics = (*made, f"$aws/provisioning-templates/{template}/provision/*")
    of = {kind: [store.arn(f"{kind}/{topic}") for topic in topics] for kind in ("topic", "topicfilter")}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
                {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": of["topic"]},
                {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": of["topicfilter"]},
            ],
        }
    )


def new_token(store: Store, certificate_id: str) -> str:
    """A token that proves the ownership of a certificate; what is kept of it is a digest."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    store.execute(
        "INSERT INTO ownership_token VALUES (?, ?, ?)", _digest(token), certificate_id, store.now() + TOKEN_SECONDS
    )
    wake(store)
    return token


def owned(store: Store, token: str) -> str | None:
    """The certificate whose ownership a token proves; None: it proves nothing, or no longer.

    A token is good for more than one request: the answer of the first may have been lost.
    """
    row = store.row(
        "SELECT certificate FROM ownership_token WHERE digest = ? AND expires > ?", _digest(token), store.now()
    )
    return str(row["certificate"]) if row else None


def next_due(store: Store) -> float | None:
    """When the next of them expires."""
    row = store.row(
        "SELECT min(expires) AS due FROM"
        " (SELECT min(expires) AS expires FROM provisioning_claim UNION ALL SELECT min(expires) FROM ownership_token)"
    )
    return row["due"] if row else None


def expire(store: Store) -> None:
    """Forget what has expired, as much of it as may hold up everything else."""
    now = store.now()
    for row in store.rows("SELECT * FROM provisioning_claim WHERE expires <= ? LIMIT ?", now, _AT_ONCE):
        store.execute("DELETE FROM provisioning_claim WHERE id = ?", row["id"])
        certificates.changed(store, row["id"], "DELETED", row["pem"])
    for row in store.rows("SELECT * FROM ownership_token WHERE expires <= ? LIMIT ?", now, _AT_ONCE):
        store.execute("DELETE FROM ownership_token WHERE digest = ?", row["digest"])
        if _is_unused(store, row["certificate"]):
            certificates.delete_certificate(store, row["certificate"])


def wake(store: Store) -> None:
    """Let the timer look again."""
    store.publish("$local/due/provisioning", {})


def _is_unused(store: Store, certificate_id: str) -> bool:
    found = store.row(
        "SELECT 1 FROM certificate WHERE id = ?1 AND status = ?2"
        " AND NOT EXISTS (SELECT 1 FROM policy_attachment WHERE target = ?3)"
        " AND NOT EXISTS (SELECT 1 FROM thing_principal WHERE principal = ?3)",
        certificate_id,
        certificates.PENDING,
        certificates.arn_of(store, certificate_id),
    )
    return found is not None


def _digest(token: str) -> str:
    return sha256(token.encode(errors="surrogatepass")).hexdigest()
