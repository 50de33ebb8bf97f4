"""CA certificates: registered in either mode, and the device certificates that they signed.

Sources: AWS IoT developer guide, register-CA-cert, manage-your-CA-certs and create-device-cert; the service model's
words on each operation. Just-in-time registration is not built: what asks for it is told so.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl import errors, pki
from iotctl.local.services import AwsError, certificates, invalid, not_found, operation
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable

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
CREATE TABLE IF NOT EXISTS ca_registration (
    ca_id TEXT PRIMARY KEY REFERENCES ca_certificate (id) ON DELETE CASCADE, enabled INTEGER NOT NULL,
    body TEXT, role TEXT, template TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS certificate_by_ca ON certificate (ca_id, created, id) WHERE ca_id IS NOT NULL
"""

_MOST_OF_SUBJECT: Final = 10
_UNCHANGED: Final = "DISABLE"


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
    _no_auto_registration(on=allowAutoRegistration or bool(registrationConfig))
    authority = _readable(caCertificate)
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
    return {"certificateArn": arn_of(store, identity), "certificateId": identity}


@operation("iot:DescribeCACertificate")
def describe_ca_certificate(store: Store, certificateId: str) -> dict[str, Any]:
    """What is known of a CA certificate, its PEM included."""
    row = known(store, certificateId)
    description = {
        **_listed(store, row),
        "certificatePem": row["pem"],
        "ownedBy": store.account_id,
        "autoRegistrationStatus": _UNCHANGED,
        "lastModifiedDate": row["modified"],
        "customerVersion": row["customer_version"],
        "generationId": row["generation"],
        "validity": {"notBefore": row["not_before"], "notAfter": row["not_after"]},
        "certificateMode": row["mode"],
    }
    return {"certificateDescription": description}


@operation("iot:ListCACertificates")
def list_ca_certificates(
    store: Store,
    *,
    pageSize: int | None = None,
    marker: str | None = None,
    ascendingOrder: bool = False,
    templateName: str | None = None,
) -> dict[str, Any]:
    """CA certificates by creation, the newest first unless asked otherwise; none has a provisioning template."""
    select = f"SELECT id, status, created FROM ca_certificate WHERE {int(templateName is None)}"  # noqa: S608  0 or 1
    rows, token = page(store, select, [], by=("created", "id"), size=pageSize, token=marker, ascending=ascendingOrder)
    return {"certificates": [_listed(store, row) for row in rows], "nextMarker": token}


@operation("iot:UpdateCACertificate")
def update_ca_certificate(
    store: Store,
    *,
    certificateId: str,
    newStatus: str | None = None,
    newAutoRegistrationStatus: str | None = None,
    registrationConfig: dict[str, str] | None = None,
    removeAutoRegistration: bool = False,  # noqa: ARG001  there is none to be removed
) -> None:
    """Activate or deactivate a CA; what it signed stays as it is."""
    row = known(store, certificateId)
    _no_auto_registration(on=newAutoRegistrationStatus == "ENABLE" or bool(registrationConfig))
    if newStatus is not None and newStatus != row["status"]:
        store.execute(
            "UPDATE ca_certificate SET status = ?, modified = ?, customer_version = customer_version + 1 WHERE id = ?",
            newStatus,
            store.now(),
            row["id"],
        )


@operation("iot:DeleteCACertificate")
def delete_ca_certificate(store: Store, certificateId: str) -> None:
    """Delete a CA that is not active; the device certificates that it signed stay."""
    row = known(store, certificateId)
    if row["status"] == "ACTIVE":
        message = f"CA certificate must be deactivated (not ACTIVE) before deletion. (id={row['id']})"
        raise AwsError("CertificateStateException", message)
    store.execute("DELETE FROM ca_certificate WHERE id = ?", row["id"])
    forget_tags(store, arn_of(store, row["id"]))


@operation("iot:RegisterCertificate")
def register_certificate(
    store: Store,
    certificatePem: str,
    caCertificatePem: str | None = None,
    setAsActive: bool = False,
    status: str | None = None,
) -> dict[str, Any]:
    """Register a device certificate that a registered, active CA signed; its mode is that of the CA."""
    certificate = _readable(certificatePem)
    signers = [
        row
        for row in store.rows("SELECT * FROM ca_certificate WHERE subject = ?", certificate.issuer)
        if pki.is_issued_by(certificate.pem, row["pem"])
    ]
    if caCertificatePem is not None:
        wanted = _readable(caCertificatePem).certificate_id
        signers = [row for row in signers if row["id"] == wanted]
    if not signers:
        raise AwsError(
            "CertificateValidationException", "The certificate was not signed by a registered CA certificate"
        )
    if len(signers) > 1:
        message = "Several registered CA certificates have this subject and key: specify caCertificatePem"
        raise AwsError("CertificateConflictException", message)
    (signer,) = signers
    if signer["status"] != "ACTIVE":
        raise AwsError("CertificateStateException", f"The CA certificate {signer['id']} is not ACTIVE")
    wanted_status = status or ("ACTIVE" if setAsActive else "INACTIVE")
    identity = certificates.add(
        store, certificate, certificates.settable(wanted_status), mode=signer["mode"], ca_id=signer["id"]
    )
    return certificates.identified(store, identity)


@operation("iot:ListCertificatesByCA")
def list_certificates_by_ca(
    store: Store,
    caCertificateId: str,
    pageSize: int | None = None,
    marker: str | None = None,
    ascendingOrder: bool = False,
) -> dict[str, Any]:
    """The device certificates of a CA by creation, the newest first unless asked otherwise."""
    rows, token = page(
        store,
        "SELECT id, status, mode, created FROM certificate WHERE ca_id = ?",
        [caCertificateId.lower()],
        by=("created", "id"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"certificates": [certificates.listed(store, row) for row in rows], "nextMarker": token}


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


def _proven(store: Store, authority: pki.Certificate, verification: str | None) -> None:
    """Refuse a CA whose key the caller does not prove to have."""
    if verification is None:
        raise invalid("verificationCertificate must be specified where certificateMode is DEFAULT")
    proof = _readable(verification)
    if not pki.is_issued_by(proof.pem, authority.pem):
        raise AwsError("CertificateValidationException", "The CA certificate did not sign the verification certificate")
    if proof.common_name != get_registration_code(store)["registrationCode"]:
        message = "The common name of the verification certificate is not the registration code"
        raise AwsError("RegistrationCodeValidationException", message)


def _no_auto_registration(*, on: bool) -> None:
    if on:
        raise AwsError("NotImplementedException", "Just-in-time registration is not built on this platform")


def _readable(pem: str) -> pki.Certificate:
    try:
        return pki.read(pem)
    except errors.Usage as error:
        raise AwsError("CertificateValidationException", "The certificate is not valid: it cannot be parsed") from error


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
