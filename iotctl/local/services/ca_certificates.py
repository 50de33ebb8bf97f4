"""CA certificates, registered in either mode.

Sources: AWS IoT developer guide, register-CA-cert and manage-your-CA-certs; the service model's words.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, certificates, invalid, not_found, operation
from iotctl.local.services.paging import page
from iotctl.local.services.provisioning import just_in_time
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.pki import certificates as x509

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registration_code (
    one INTEGER PRIMARY KEY CHECK (one = 1), code TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ca_certificate (
    id TEXT PRIMARY KEY, pem TEXT NOT NULL, subject TEXT NOT NULL, status TEXT NOT NULL, mode TEXT NOT NULL,
    not_before REAL NOT NULL, not_after REAL NOT NULL, generation TEXT NOT NULL, customer_version INTEGER NOT NULL,
    created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ca_certificate_by_subject ON ca_certificate (subject);
CREATE INDEX IF NOT EXISTS certificate_by_ca ON certificate (ca_id, created, id) WHERE ca_id IS NOT NULL
"""

_MOST_OF_SUBJECT: Final = 10


@operation("iot:GetRegistrationCode")
def get_registration_code(store: Store) -> dict[str, Any]:
    """The account's code, 64 hexadecimal digits; the same until it is deleted."""
    store.execute("INSERT INTO registration_code VALUES (1, ?) ON CONFLICT DO NOTHING", secrets.token_hex(32))
    row = store.row("SELECT code FROM registration_code")
    assert row is not None
    return {"registrationCode": row["code"]}


@operation("iot:DeleteRegistrationCode")
def delete_registration_code(store: Store) -> None:
    """Forget the code; the next one is another."""
    store.execute("DELETE FROM registration_code")


@operation("iot:RegisterCACertificate")
def register_ca_certificate(
    store: Store,
    *,
    caCertificate: str,
    verificationCertificate: str | None = None,
    setAsActive: bool = False,
    allowAutoRegistration: bool = False,
    registrationConfig: dict[str, str] | None = None,
    tags: list[dict[str, str]] | None = None,
    certificateMode: str = "DEFAULT",
) -> dict[str, Any]:
    """Register a CA; in the mode DEFAULT a certificate that it signed for the registration code proves its key."""
    authority = certificates.readable(caCertificate)
    if not authority.is_ca:
        raise AwsError("CertificateValidationException", "The certificate is not that of a CA")
    if certificateMode == "DEFAULT":
        _proven(store, authority, verificationCertificate)
    identity = authority.certificate_id
    if store.row("SELECT 1 FROM ca_certificate WHERE id = ?", identity):
        raise AwsError(
            "ResourceAlreadyExistsException",
            "The certificate is already registered",
            resourceId=identity,
            resourceArn=arn_of(store, identity),
        )
    held = store.row("SELECT count(*) AS n FROM ca_certificate WHERE subject = ?", authority.subject)
    if held and held["n"] >= _MOST_OF_SUBJECT:
        raise AwsError(
            "LimitExceededException", f"There are {_MOST_OF_SUBJECT} CA certificates of this subject already"
        )
    now = store.now()
    store.execute(
        "INSERT INTO ca_certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
        identity,
        authority.pem,
        authority.subject,
        "ACTIVE" if setAsActive else "INACTIVE",
        certificateMode,
        authority.not_before.timestamp(),
        authority.not_after.timestamp(),
        str(uuid.uuid4()),
        now,
        now,
    )
    put_tags(store, arn_of(store, identity), tags)
    just_in_time.configure(store, identity, enabled=allowAutoRegistration, config=registrationConfig)
    just_in_time.announce(store, identity)
    return {"certificateArn": arn_of(store, identity), "certificateId": identity}


@operation("iot:DescribeCACertificate")
def describe_ca_certificate(store: Store, certificateId: str) -> dict[str, Any]:
    """What is known of a CA certificate, its PEM included."""
    row = known(store, certificateId)
    registers, config = just_in_time.described(store, row["id"])
    description = {
        **_listed(store, row),
        "certificatePem": row["pem"],
        "ownedBy": store.account_id,
        "autoRegistrationStatus": "ENABLE" if registers else "DISABLE",
        "lastModifiedDate": row["modified"],
        "customerVersion": row["customer_version"],
        "generationId": row["generation"],
        "validity": {"notBefore": row["not_before"], "notAfter": row["not_after"]},
        "certificateMode": row["mode"],
    }
    return {"certificateDescription": description, "registrationConfig": config}


@operation("iot:ListCACertificates")
def list_ca_certificates(
    store: Store,
    *,
    pageSize: int | None = None,
    marker: str | None = None,
    ascendingOrder: bool = False,
    templateName: str | None = None,
) -> dict[str, Any]:
    """CA certificates by creation, the newest first unless asked otherwise; of a template, if one is named."""
    rows, token = page(
        store,
        "SELECT id, status, created FROM ca_certificate LEFT JOIN ca_registration ON ca_id = id"
        " WHERE ?1 IS NULL OR template = ?1",
        [templateName],
        by=("created", "id"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"certificates": [_listed(store, row) for row in rows], "nextMarker": token}


@operation("iot:UpdateCACertificate")
def update_ca_certificate(
    store: Store,
    *,
    certificateId: str,
    newStatus: str | None = None,
    newAutoRegistrationStatus: str | None = None,
    registrationConfig: dict[str, str] | None = None,
    removeAutoRegistration: bool = False,
) -> None:
    """Activate or deactivate a CA, or change what it registers; what it signed stays as it is."""
    row = known(store, certificateId)
    if removeAutoRegistration and (newAutoRegistrationStatus == "ENABLE" or registrationConfig):
        raise invalid("removeAutoRegistration cannot be specified with what enables it")
    if removeAutoRegistration:
        just_in_time.remove(store, row["id"])
    elif newAutoRegistrationStatus is not None or registrationConfig:
        enabled = None if newAutoRegistrationStatus is None else newAutoRegistrationStatus == "ENABLE"
        just_in_time.configure(store, row["id"], enabled=enabled, config=registrationConfig)
    if newStatus is not None and newStatus != row["status"]:
        store.execute(
            "UPDATE ca_certificate SET status = ?, modified = ?, customer_version = customer_version + 1 WHERE id = ?",
            newStatus,
            store.now(),
            row["id"],
        )
    just_in_time.announce(store, row["id"])


@operation("iot:DeleteCACertificate")
def delete_ca_certificate(store: Store, certificateId: str) -> None:
    """Delete a CA that is not active; the device certificates that it signed stay."""
    row = known(store, certificateId)
    if row["status"] == "ACTIVE":
        message = f"CA certificate must be deactivated (not ACTIVE) before deletion. (id={row['id']})"
        raise AwsError("CertificateStateException", message)
    just_in_time.remove(store, row["id"])
    store.execute("DELETE FROM ca_certificate WHERE id = ?", row["id"])
    forget_tags(store, arn_of(store, row["id"]))


def arn_of(store: Store, certificate_id: str) -> str:
    """The ARN of a CA certificate."""
    return store.arn(f"cacert/{certificate_id}")


def known(store: Store, certificate_id: str) -> sqlite3.Row:
    """The row of a CA certificate.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM ca_certificate WHERE id = ?", certificate_id.lower())
    if row is None:
        raise not_found(f"The CA certificate given in the request does not exist (id={certificate_id})")
    return row


def _proven(store: Store, authority: x509.Certificate, verification: str | None) -> None:
    """Refuse a CA whose key the caller does not prove to have."""
    if verification is None:
        raise invalid("verificationCertificate must be specified where certificateMode is DEFAULT")
    proof = certificates.readable(verification)
    if not x509.is_issued_by(proof.pem, authority.pem):
        raise AwsError("CertificateValidationException", "The CA certificate did not sign the verification certificate")
    if proof.common_name != get_registration_code(store)["registrationCode"]:
        message = "The common name of the verification certificate is not the registration code"
        raise AwsError("RegistrationCodeValidationException", message)


def _listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "certificateArn": arn_of(store, row["id"]),
        "certificateId": row["id"],
        "status": row["status"],
        "creationDate": row["created"],
    }


def _exists(store: Store, identity: str) -> bool:
    return store.row("SELECT 1 FROM ca_certificate WHERE id = ?", identity) is not None


taggable("cacert", _exists)
