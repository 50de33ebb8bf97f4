"""Keys, certificates and CAs, made: with the files beside this one, the one door to cryptography.

The certificate id of AWS IoT is the SHA-256 of the certificate's DER, so it is known here before AWS is asked.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iotctl import clock
from iotctl.errors import Integrity, Usage
from iotctl.semantics.names import COMMON_NAME_LENGTH

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

KEY_TYPES: Final = ("ec-p256", "ec-p384", "rsa-2048", "rsa-4096")
LEAF_DAYS: Final = 3650
CA_DAYS: Final = 7300
BACKDATED: Final = timedelta(minutes=5)
"""A new certificate is valid from a little before now, for devices whose clock runs behind."""

_CURVES: Final[dict[str, ec.EllipticCurve]] = {"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1()}
_ACCEPTED_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")
_RSA_LEAST_BITS: Final = 2048
_PKCS8: Final = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate; the key is empty where it stayed with whoever made the CSR."""

    certificate_id: str
    certificate_pem: str
    private_key_pem: bytes = field(repr=False)


class Authority:
    """A CA that signs device and server certificates.

    Attributes:
        certificate_pem: its own certificate.

    """

    def __init__(self, key: PrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self._digest = (
            hashes.SHA384()
            if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
            else hashes.SHA256()
        )
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        # What all of its leaves say: a builder is copied for each thing that it is told.
        self._leaf = (
            x509.CertificateBuilder()
            .issuer_name(certificate.subject)
            .add_extension(_NOT_A_CA, critical=True)
            .add_extension(_SIGNS_DATA, critical=True)
            .add_extension(_identifier(certificate), critical=False)
        )

    @classmethod
    def create(cls, common_name: str, *, days: int = CA_DAYS, key_type: str = "ec-p256") -> Authority:
        """A new self-signed CA that may sign leaves only (path length 0)."""
        key = new_key(key_type)
        name = _name(common_name)
        start = clock.real_now() - BACKDATED
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def load(cls, key_pem: bytes, certificate_pem: bytes) -> Authority:
        """The CA of a stored key and certificate.

        Raises:
            Integrity: one is damaged, or the key is not the certificate's.

        """
        try:
            key = serialization.load_pem_private_key(key_pem, None)
            certificate = x509.load_pem_x509_certificate(certificate_pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Integrity("the CA's key or certificate is damaged") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise Integrity("the CA's key is of a kind that AWS IoT does not accept (RSA or NIST EC)")
        if _spki(key.public_key()) != _spki(_checked(certificate.public_key())):
            raise Integrity("the CA's key is not the key of its certificate")
        return cls(key, certificate)

    def key_pem(self) -> bytes:
        """The private key, PKCS#8, unencrypted: for a private file only."""
        return self._key.private_bytes(*_PKCS8)

    def issue(
        self, common_name: str, *, key_type: str = "ec-p256", days: float = LEAF_DAYS, passphrase: bytes = b""
    ) -> Issued:
        """A new device key, encrypted where there is a passphrase, and its certificate (for clients, not a CA)."""
        key = new_key(key_type)
        certificate = self._sign(common_name, key.public_key(), days, ExtendedKeyUsageOID.CLIENT_AUTH)
        encoding, form, plain = _PKCS8
        hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else plain
        return _issued(certificate, key.private_bytes(encoding, form, hidden))

    def issue_server(self, common_name: str, *, dns: tuple[str, ...], addresses: tuple[str, ...], days: int) -> Issued:
        """A new server key and its certificate for these names and IP addresses."""
        key = new_key("ec-p256")
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        alternative = x509.SubjectAlternativeName(names)
        certificate = self._sign(common_name, key.public_key(), days, ExtendedKeyUsageOID.SERVER_AUTH, alternative)
        return _issued(certificate, key.private_bytes(*_PKCS8))

    def sign(self, csr_pem: str, *, common_name: str = "", days: int = LEAF_DAYS) -> Issued:
        """A certificate for the key of a CSR; the key stays where it is.

        Args:
            csr_pem: PEM; its signature is verified, its key must be one that AWS IoT accepts.
            common_name: in place of the CSR's own subject.
            days: how long it is valid.

        Raises:
            Usage: the CSR is damaged, not signed by its own key, or its key is of a kind AWS IoT refuses.

        """
        request = _request(csr_pem)
        subject = None if common_name else request.subject
        key = _checked(request.public_key())
        return _issued(self._sign(common_name, key, days, ExtendedKeyUsageOID.CLIENT_AUTH, subject=subject), b"")

    def _sign(
        self,
        common_name: str,
        key: PublicKey,
        days: float,
        purpose: x509.ObjectIdentifier,
        alternative: x509.SubjectAlternativeName | None = None,
        subject: x509.Name | None = None,
    ) -> x509.Certificate:
        start = clock.real_now() - BACKDATED
        end = min(start + timedelta(days=days), self._certificate.not_valid_after_utc)
        builder = (
            self._leaf.subject_name(subject if subject is not None else _name(common_name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, self._digest)


def new_key(key_type: str) -> PrivateKey:
    """A new private key.

    Raises:
        Usage: the type is not one of KEY_TYPES.

    """
    if curve := _CURVES.get(key_type):
        return ec.generate_private_key(curve)
    if key_type in KEY_TYPES:
        return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa-")))
    raise Usage(f"unknown key type {key_type!r}", hint=f"one of {', '.join(KEY_TYPES)}")


def csr_matches(csr_pem: str, certificate_pem: str) -> bool:
    """Whether a certificate was made for the key of this CSR.

    Raises:
        Usage: the CSR is damaged or its key is of a kind AWS IoT refuses.

    """
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return _spki(_checked(_request(csr_pem).public_key())) == _spki(_checked(certificate.public_key()))


def check_csr(csr_pem: str) -> None:
    """Refuse a CSR that could not be signed.

    Raises:
        Usage: why.

    """
    _request(csr_pem)


def _request(csr_pem: str) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Usage("this is not a PEM certificate signing request that can be read", code="CsrUnreadable") from error
    if not signed:
        raise Usage("the certificate signing request is not signed by its own key", code="CsrSignature")
    try:
        _checked(key)
    except ValueError as error:
        raise Usage(f"the certificate signing request's key is refused: {error}", code="CsrKey") from error
    return request


def _checked(key: object) -> PublicKey:
    """The key, if it is of a kind that AWS IoT accepts: RSA of at least 2048 bits, NIST P-256, P-384, P-521."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_LEAST_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _ACCEPTED_CURVES:
        return key
    raise ValueError("AWS IoT accepts RSA of at least 2048 bits and the NIST curves P-256, P-384 and P-521")


def _name(common_name: str) -> x509.Name:
    # A thing name may be twice as long as a common name: its head and a hash of all of it stand for it then.
    if len(common_name) > COMMON_NAME_LENGTH:
        digest = hashlib.sha256(common_name.encode()).hexdigest()[:12]
        common_name = f"{common_name[: COMMON_NAME_LENGTH - 13]}-{digest}"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


_NOT_A_CA: Final = x509.BasicConstraints(ca=False, path_length=None)
_SIGNS_DATA: Final = _usage(signs_certificates=False)


def _identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What its leaves say of their issuer: its own identifier, however that was made; OpenSSL compares them."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(_checked(issuer.public_key()))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _issued(certificate: x509.Certificate, private_key_pem: bytes) -> Issued:
    return Issued(
        certificate.fingerprint(hashes.SHA256()).hex(),
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key_pem,
    )


def _spki(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
