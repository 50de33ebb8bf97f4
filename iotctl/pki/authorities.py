"""A CA that somebody brings: judged before it signs anything."""

from __future__ import annotations

from typing import Final

from cryptography import x509

from iotctl import clock
from iotctl.errors import Integrity, Usage
from iotctl.pki import Authority
from iotctl.pki.certificates import extension

CODE: Final = "Ca"
"""The code of an error that is about one."""


def given(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """The CA of a certificate and its key, if devices' certificates may be signed with it now.

    Of a file with a whole chain the first certificate counts.

    Args:
        certificate_pem: of the CA.
        key_pem: its private key, not encrypted.

    Raises:
        Usage: it may not sign, or the two do not belong together.

    """
    try:
        authority = Authority.load(key_pem, certificate_pem)
    except (Integrity, ValueError) as error:
        raise Usage(f"no CA that can be used: {error}", code=CODE, hint="both as PEM, RSA or NIST EC") from error
    if fault := _fault(x509.load_pem_x509_certificate(authority.certificate_pem.encode())):
        raise Usage(f"no CA that can be used: {fault}", code=CODE)
    return authority


def _fault(certificate: x509.Certificate) -> str:
    """Why a certificate is not that of a CA which may sign today; empty where it is."""
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        return "the certificate is not that of a CA (basicConstraints CA:TRUE)"
    # RFC 5280, 4.2.1.3: where the extension is, it must allow it; where it is not, nothing is restricted.
    if usage is not None and not usage.key_cert_sign:
        return "its key may not sign certificates (keyUsage keyCertSign)"
    now = clock.real_now()
    if now < certificate.not_valid_before_utc:
        return f"it is valid from {clock.iso(certificate.not_valid_before_utc)} on"
    if now >= certificate.not_valid_after_utc:
        return f"it ended {clock.iso(certificate.not_valid_after_utc)}"
    return ""
