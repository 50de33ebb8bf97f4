"""Device certificates: registered, issued, described, activated, deleted. The id is the SHA-256 of the DER."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl import errors, pki
from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.authority import authority
from iotctl.local.services.paging import page
from iotctl.pki import certificates as x509

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS certificate (
    id TEXT PRIMARY KEY, pem TEXT NOT NULL, status TEXT NOT NULL, mode TEXT NOT NULL, ca_id TEXT,
    not_before REAL NOT NULL, not_after REAL NOT NULL, generation TEXT NOT NULL, customer_version INTEGER NOT NULL,
    created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS certificate_by_creation ON certificate (created, id)
"""

PENDING: Final = "PENDING_ACTIVATION"
_SETTABLE: Final = frozenset({"ACTIVE", "INACTIVE", "REVOKED"})
_COGNITO: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COMMON_NAME: Final = "AWS IoT Certificate"


def new_keys(store: Store) -> pki.Issued:
    """An RSA key of 2048 bits and its certificate; it takes long, and touches no table."""
    return authority(store.directory).issue(COMMON_NAME, key_type="rsa-2048")


@operation("iot:RegisterCertificateWithoutCA")
def register_certificate_without_ca(store: Store, certificatePem: str, status: str = "INACTIVE") -> dict[str, Any]:
    """Register a certificate whose issuer nobody registered; it is not active unless `status` says so."""
    return identified(store, add(store, readable(certificatePem), settable(status), mode="SNI_ONLY"))


@operation("iot:CreateCertificateFromCsr")
def create_certificate_from_csr(
    store: Store, certificateSigningRequest: str, setAsActive: bool = False
) -> dict[str, Any]:
    """Issue a certificate for the key of a CSR; the same CSR again is another certificate."""
    return _created(store, signed(store, certificateSigningRequest), active=setAsActive)


@operation("iot:CreateKeysAndCertificate", prepare=new_keys)
def create_keys_and_certificate(
    store: Store, setAsActive: bool = False, prepared: pki.Issued | None = None
) -> dict[str, Any]:
    """Make an RSA key of 2048 bits and its certificate; the private key is in this answer and nowhere else."""
    issued = prepared or new_keys(store)
    public_key = x509.read(issued.certificate_pem).public_key_pem
    pair = {"PublicKey": public_key, "PrivateKey": issued.private_key_pem.decode()}
    return {**_created(store, issued, active=setAsActive), "keyPair": pair}


@operation("iot:DescribeCertificate")
def describe_certificate(store: Store, certificateId: str) -> dict[str, Any]:
    """What is known of a certificate, its PEM included."""
    row = known(store, certificateId)
    description = {
        **listed(store, row),
        "caCertificateId": row["ca_id"],
        "certificatePem": row["pem"],
        "ownedBy": store.account_id,
        "lastModifiedDate": row["modified"],
        "customerVersion": row["customer_version"],
        "generationId": row["generation"],
        "transferData": {},
        "validity": {"notBefore": row["not_before"], "notAfter": row["not_after"]},
    }
    return {"certificateDescription": description}


@operation("iot:UpdateCertificate")
def update_certificate(store: Store, certificateId: str, newStatus: str) -> None:
    """Activate, deactivate or revoke a certificate; again is no error."""
    row = known(store, certificateId)
    if settable(newStatus) == row["status"]:
        return
    store.execute(
        "UPDATE certificate SET status = ?, modified = ?, customer_version = customer_version + 1 WHERE id = ?",
        newStatus,
        store.now(),
        row["id"],
    )
    changed(store, row["id"], newStatus, row["pem"])


@operation("iot:DeleteCertificate")
def delete_certificate(store: Store, certificateId: str, forceDelete: bool = False) -> None:
    """Delete a certificate that is not active and that nothing is attached to; forced, its policies are detached."""
    row = known(store, certificateId)
    arn = arn_of(store, row["id"])
    if row["status"] == "ACTIVE":
        message = f"Certificate must be deactivated (not ACTIVE) before deletion. (id={row['id']})"
        raise AwsError("CertificateStateException", message)
    if store.row("SELECT 1 FROM thing_principal WHERE principal = ?", arn):
        raise AwsError("DeleteConflictException", f"Things must be detached before deletion (arn={arn})")
    if not forceDelete and store.row("SELECT 1 FROM policy_attachment WHERE target = ?", arn):
        message = f"Certificate policies must be detached before deletion (arn={arn})"
        raise AwsError("DeleteConflictException", message)
    store.execute("DELETE FROM policy_attachment WHERE target = ?", arn)
    store.execute("DELETE FROM certificate WHERE id = ?", row["id"])
    changed(store, row["id"], "DELETED", row["pem"])


@operation("iot:ListCertificates")
def list_certificates(
    store: Store, pageSize: int | None = None, marker: str | None = None, ascendingOrder: bool = False
) -> dict[str, Any]:
    """Certificates by creation, the newest first unless asked otherwise."""
    rows, token = page(
        store,
        "SELECT id, status, mode, created FROM certificate",
        [],
        by=("created", "id"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"certificates": [listed(store, row) for row in rows], "nextMarker": token}


def add(store: Store, certificate: x509.Certificate, status: str, *, mode: str, ca_id: str | None = None) -> str:
    """Register a certificate; its id.

    Raises:
        AwsError: ResourceAlreadyExistsException.

    """
    identity = certificate.certificate_id
    if store.row("SELECT 1 FROM certificate WHERE id = ?", identity):
        raise AwsError(
            "ResourceAlreadyExistsException",
            "The certificate is already provisioned or registered",
            resourceId=identity,
            resourceArn=arn_of(store, identity),
        )
    now = store.now()
    store.execute(
        "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
        identity,
        certificate.pem,
        status,
        mode,
        ca_id,
        certificate.not_before.timestamp(),
        certificate.not_after.timestamp(),
        str(uuid.uuid4()),
        now,
        now,
    )
    changed(store, identity, status, certificate.pem)
    return identity


def signed(store: Store, csr: str) -> pki.Issued:
    """A certificate for the key of a CSR, not registered yet.

    Raises:
        AwsError: InvalidRequestException.

    """
    try:
        return authority(store.directory).sign(csr, common_name=COMMON_NAME)
    except errors.Usage as error:
        raise invalid(f"CSR is not valid: {error.message}") from error


def arn_of(store: Store, certificate_id: str) -> str:
    """The ARN of a certificate, which is its name as a principal."""
    return store.arn(f"cert/{certificate_id}")


def find(store: Store, certificate_id: str) -> sqlite3.Row | None:
    """The row of a certificate, if it is registered."""
    return store.row("SELECT * FROM certificate WHERE id = ?", certificate_id.lower())


def known(store: Store, certificate_id: str) -> sqlite3.Row:
    """The row of a certificate.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = find(store, certificate_id)
    if row is None:
        raise not_found(f"The certificate given in the request does not exist (id={certificate_id})")
    return row


def of_pem(store: Store, pem: str) -> sqlite3.Row | None:
    """The row of a certificate that is given as PEM, if it is registered.

    Raises:
        AwsError: CertificateValidationException.

    """
    return find(store, readable(pem).certificate_id)


def certificate_active(store: Store, certificate_id: str) -> bool:
    """Whether a certificate is registered here and ACTIVE."""
    return store.row("SELECT 1 FROM certificate WHERE id = ? AND status = 'ACTIVE'", certificate_id) is not None


def pending(store: Store, issued: pki.Issued) -> str:
    """Register a new certificate that waits for its registration to be activated; its id."""
    return add(store, x509.read(issued.certificate_pem), PENDING, mode="DEFAULT")


def changed(store: Store, identity: str, status: str, pem: str) -> None:
    """Tell the platform of the status that a certificate has now; DELETED: it is gone."""
    store.publish(f"$local/certificate/{identity}", {"status": status, "certificatePem": pem})


def principal(store: Store, name: str) -> None:
    """Refuse a principal that is neither a registered certificate's ARN nor a Cognito identity.

    Raises:
        AwsError: it is none, or the certificate does not exist.

    """
    prefix = arn_of(store, "")
    if name.startswith(prefix):
        identity = name.removeprefix(prefix)
        if not store.row("SELECT 1 FROM certificate WHERE id = ?", identity):
            raise not_found(f"The certificate given in the principal does not exist. Principal: {name}")
    elif not _COGNITO.fullmatch(name):
        raise invalid(
            f"Invalid principal: {name} is neither a certificate ARN of this account and region nor a Cognito identity"
        )


def readable(pem: str) -> x509.Certificate:
    """A certificate that is given as PEM.

    Raises:
        AwsError: CertificateValidationException.

    """
    try:
        return x509.read(pem)
    except errors.Usage as error:
        raise AwsError("CertificateValidationException", "The certificate is not valid: it cannot be parsed") from error


def settable(status: str) -> str:
    """The status, if a client may set it.

    Raises:
        AwsError: InvalidRequestException.

    """
    if status not in _SETTABLE:
        raise invalid(f"The status {status} cannot be set; it is one of {', '.join(sorted(_SETTABLE))}")
    return status


def _created(store: Store, issued: pki.Issued, *, active: bool) -> dict[str, Any]:
    status = "ACTIVE" if active else "INACTIVE"
    identity = add(store, x509.read(issued.certificate_pem), status, mode="DEFAULT")
    return {**identified(store, identity), "certificatePem": issued.certificate_pem}


def identified(store: Store, identity: str) -> dict[str, Any]:
    """A certificate as registering it answers."""
    return {"certificateArn": arn_of(store, identity), "certificateId": identity}


def listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    """A certificate as the listings show it."""
    return {
        "certificateArn": arn_of(store, row["id"]),
        "certificateId": row["id"],
        "status": row["status"],
        "certificateMode": row["mode"],
        "creationDate": row["created"],
    }
