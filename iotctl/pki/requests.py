"""Certificate signing requests: how a device makes one, and what an operator refuses to sign."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from iotctl.errors import Integrity, Usage
from iotctl.pki import PrivateKey, PublicKey, _checked, _name, _request, _spki, new_key

_RSA_STRENGTHS: Final = ((7680, 192), (3072, 128), (2048, 112))
"""Bits of a modulus, and how many bits of security they are (NIST SP 800-57 part 1, table 2)."""
_OF_KEY_TYPES: Final = {"ec-p256": 128, "ec-p384": 192, "rsa-2048": 112, "rsa-4096": 128}


def create(common_name: str, key_type: str) -> tuple[bytes, str]:
    """A new private key (PEM, unencrypted: for a private file only) and its CSR (PEM).

    Raises:
        Usage: the type is not one of KEY_TYPES.

    """
    key = new_key(key_type)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, of_key(key, common_name)


def of_key(key: PrivateKey, common_name: str) -> str:
    """The CSR (PEM) of a key."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def digest(csr_pem: str) -> str:
    """SHA-256 (hex) of the public key of a CSR.

    Raises:
        Usage: it is damaged, not signed by its own key, or its key is of a kind that AWS IoT refuses.

    """
    return hashlib.sha256(_spki(_checked(_request(csr_pem).public_key()))).hexdigest()


def verify(csr_pem: str, thing_name: str, *, key_type: str, before: str) -> None:
    """Refuse a CSR that is not a new key of this thing's, as strong as is wanted.

    Args:
        csr_pem: as it came.
        thing_name: whose it must be: its common name is the one that our certificates of that thing have.
        key_type: that was asked for; a key that is weaker is refused.
        before: the certificate (PEM) that it replaces; the same key again is refused.

    Raises:
        Integrity: why.

    """
    try:
        request = _request(csr_pem)
        key = _checked(request.public_key())
    except Usage as error:
        raise Integrity(f"its CSR is refused: {error.message}", code=error.code, on=thing_name) from error
    names = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    expected = [str(one.value) for one in _name(thing_name)]
    if names != expected:
        raise Integrity("its CSR is refused: its common name is not the thing's", code="CsrName", on=thing_name)
    if _strength(key) < _OF_KEY_TYPES[key_type]:
        message = f"its CSR is refused: its key ({_kind(key)}) is weaker than {key_type}"
        raise Integrity(message, code="CsrKey", on=thing_name)
    if _spki(key) == _spki(_checked(x509.load_pem_x509_certificate(before.encode()).public_key())):
        message = "its CSR is refused: it is of the key that the thing has already"
        raise Integrity(message, code="CsrSameKey", on=thing_name)


def _strength(key: PublicKey) -> int:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.key_size // 2
    return next(strength for bits, strength in _RSA_STRENGTHS if key.key_size >= bits)


def _kind(key: PublicKey) -> str:
    return f"rsa-{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else f"ec-{key.curve.name}"
