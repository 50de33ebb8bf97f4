"""Device certificates of registered CAs: registered by their owner, and listed by their CA.

Source: AWS IoT developer guide, manual-cert-registration; the service model's words on each operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl.local.services import AwsError, certificates, operation
from iotctl.local.services.paging import page
from iotctl.pki import certificates as x509

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store


@operation("iot:RegisterCertificate")
def register_certificate(
    store: Store,
    certificatePem: str,
    caCertificatePem: str | None = None,
    setAsActive: bool = False,
    status: str | None = None,
) -> dict[str, Any]:
    """Register a device certificate that a registered, active CA signed; its mode is that of the CA."""
    certificate = certificates.readable(certificatePem)
    found = signers(store, certificate)
    if caCertificatePem is not None:
        wanted = certificates.readable(caCertificatePem).certificate_id
        found = [row for row in found if row["id"] == wanted]
    if not found:
        raise AwsError(
            "CertificateValidationException", "The certificate was not signed by a registered CA certificate"
        )
    if len(found) > 1:
        message = "Several registered CA certificates have this subject and key: specify caCertificatePem"
        raise AwsError("CertificateConflictException", message)
    (signer,) = found
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


def signers(store: Store, certificate: x509.Certificate) -> list[sqlite3.Row]:
    """The registered CAs that signed a certificate: more than one where several have the same subject and key."""
    return [
        row
        for row in store.rows("SELECT * FROM ca_certificate WHERE subject = ?", certificate.issuer)
        if x509.is_issued_by(certificate.pem, row["pem"])
    ]
