"""What a certificate or a revocation list says: read here, made elsewhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from iotctl.errors import Usage
from iotctl.pki import _checked, _spki

if TYPE_CHECKING:
    from datetime import datetime

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself.

    Attributes:
        certificate_id: SHA-256 of its DER, hex: AWS IoT's certificate id.
        key: e.g. "ec-secp256r1", "rsa-2048".
        modulus: of an RSA key; 0 of any other.
        is_ca: whether it may sign others.

    """

    certificate_id: str
    pem: str
    der: bytes = field(repr=False)
    subject: str
    issuer: str
    common_name: str
    serial: str
    not_before: datetime
    not_after: datetime
    key: str
    modulus: int
    is_ca: bool
    public_key_pem: str


@dataclass(frozen=True, slots=True)
class Names:
    """The attributes of a certificate's subject and issuer, alternative names included, by AWS IoT's names of them."""

    subject: dict[str, tuple[str, ...]]
    issuer: dict[str, tuple[str, ...]]


def read(pem: str | bytes) -> Certificate:
    """What a PEM certificate says.

    Raises:
        Usage: it is not a certificate.

    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)
        key = _checked(certificate.public_key())
        constraints = extension(certificate, x509.BasicConstraints)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Usage("this is not a PEM certificate that can be read", code="CertificateUnreadable") from error
    der = certificate.public_bytes(serialization.Encoding.DER)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        certificate_id=hashlib.sha256(der).hexdigest(),
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        der=der,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=str(names[0].value) if names else "",
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key=f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else f"ec-{key.curve.name}",
        modulus=key.public_numbers().n if isinstance(key, rsa.RSAPublicKey) else 0,
        is_ca=constraints.ca if constraints else False,
        public_key_pem=key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode(),
    )


def pem(der: bytes) -> str:
    """A certificate's DER as PEM; nothing of it is checked."""
    text = base64.b64encode(der).decode()
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def revocations(data: bytes) -> tuple[str, frozenset[str], datetime | None]:
    """What a CRL (PEM or DER) says: its issuer (RFC 4514), the serials that it revokes (hex), when the next one comes.

    Raises:
        Usage: it is not a CRL.

    """
    try:
        load = x509.load_pem_x509_crl if data.lstrip().startswith(b"-----BEGIN") else x509.load_der_x509_crl
        crl = load(data)
        serials = frozenset(f"{revoked.serial_number:x}" for revoked in crl)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Usage("this is not a certificate revocation list that can be read", code="CrlUnreadable") from error
    return crl.issuer.rfc4514_string(), serials, crl.next_update_utc


def names(pem: str) -> Names:
    """Who a PEM certificate names: `CommonName`, `Organization`, `AlternativeName.DNSName`, ...

    The names are those of the developer guide's cert-policy-variables page.

    Raises:
        Usage: it is not a certificate.

    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        subject = _alternative_names(certificate, x509.SubjectAlternativeName)
        issuer = _alternative_names(certificate, x509.IssuerAlternativeName)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Usage("this is not a PEM certificate that can be read", code="CertificateUnreadable") from error
    return Names(_attributes(certificate.subject) | subject, _attributes(certificate.issuer) | issuer)


def key_matches(private_key_pem: bytes, certificate_pem: bytes) -> bool:
    """Whether a private key is the key of a certificate; False where either is damaged."""
    try:
        key = serialization.load_pem_private_key(private_key_pem, None)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        return _spki(_checked(key.public_key())) == _spki(_checked(certificate.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def is_issued_by(certificate_pem: str, issuer_pem: str) -> bool:
    """Whether the key of one certificate signed the other, and is named in it as the issuer."""
    certificate, issuer = (x509.load_pem_x509_certificate(pem.encode()) for pem in (certificate_pem, issuer_pem))
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


_ATTRIBUTES: Final = {
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
    "Title": NameOID.TITLE,
    "Surname": NameOID.SURNAME,
    "GivenName": NameOID.GIVEN_NAME,
    "Initials": x509.ObjectIdentifier("2.5.4.43"),
    "Pseudonym": NameOID.PSEUDONYM,
    "GenerationQualifier": NameOID.GENERATION_QUALIFIER,
}
_ALTERNATIVES: Final[dict[str, type[x509.GeneralName]]] = {
    "RFC822Name": x509.RFC822Name,
    "DNSName": x509.DNSName,
    "DirectoryName": x509.DirectoryName,
    "UniformResourceIdentifier": x509.UniformResourceIdentifier,
    "IPAddress": x509.IPAddress,
}


def _attributes(name: x509.Name) -> dict[str, tuple[str, ...]]:
    found = {key: tuple(str(one.value) for one in name.get_attributes_for_oid(oid)) for key, oid in _ATTRIBUTES.items()}
    return {key: values for key, values in found.items() if values}


def _alternative_names(
    certificate: x509.Certificate, kind: type[x509.SubjectAlternativeName | x509.IssuerAlternativeName]
) -> dict[str, tuple[str, ...]]:
    try:
        given = list(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return {}
    found = {
        key: tuple(_written(one) for one in given if isinstance(one, shape)) for key, shape in _ALTERNATIVES.items()
    }
    return {f"AlternativeName.{key}": values for key, values in found.items() if values}


def _written(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """An extension of a certificate; None where it has none of this kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
