"""Detached signatures: Ed25519 (RFC 8032), or ECDSA on P-256 with SHA-256 (FIPS 186-5, DER as RFC 3279 writes it).

A key's id is the first 16 hex digits of the SHA-256 of its public key (DER, SubjectPublicKeyInfo).
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from iotctl.errors import Integrity, Usage

KEY_TYPES: Final = ("ed25519", "ec-p256")

_Private: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_Public: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class SigningKey:
    """A private key that signs.

    Attributes:
        key_id: 16 hex digits.
        public_pem: its public key.

    """

    def __init__(self, key: _Private) -> None:
        self._key = key
        self.public_pem = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self.key_id = _key_id(key.public_key())

    @classmethod
    def create(cls, key_type: str = "ed25519") -> SigningKey:
        """A new key.

        Raises:
            Usage: the type is not one of KEY_TYPES.

        """
        if key_type not in KEY_TYPES:
            raise Usage(f"unknown key type {key_type!r}", hint=f"one of {', '.join(KEY_TYPES)}")
        if key_type == "ed25519":
            return cls(ed25519.Ed25519PrivateKey.generate())
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, pem: bytes, passphrase: bytes = b"") -> SigningKey:
        """The key of a PEM file.

        Raises:
            Usage: it is no private key, of another kind, or its passphrase is missing or wrong.

        """
        try:
            key = serialization.load_pem_private_key(pem, passphrase or None)
        except TypeError as error:  # a passphrase where none is needed, or the other way round
            wrong = "it is not encrypted, and a passphrase is given" if passphrase else "it is encrypted"
            raise Usage(f"the signing key cannot be read: {wrong}", code="Passphrase") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Usage("the signing key cannot be read: damaged, or another passphrase", code="SigningKey") from error
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise Usage(f"the signing key is of a kind that is not used here: {', '.join(KEY_TYPES)}", code="SigningKey")

    def pem(self, passphrase: bytes = b"") -> bytes:
        """The private key (PKCS#8), encrypted where there is a passphrase: for a private file only."""
        hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes."""
        return (
            self._key.sign(data) if isinstance(self._key, ed25519.Ed25519PrivateKey) else self._key.sign(data, _ECDSA)
        )


def key_id(public_pem: str) -> str:
    """The id of a public key.

    Raises:
        Integrity: it is none that this verifies with.

    """
    return _key_id(_public(public_pem))


def is_signed(public_pem: str, signature: bytes, data: bytes) -> bool:
    """Whether these bytes were signed with the private half of this key.

    Raises:
        Integrity: the public key is damaged.

    """
    key = _public(public_pem)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _public(pem: str) -> _Public:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Integrity("this is not a PEM public key that can be read", code="PublicKey") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise Integrity(f"the public key is of a kind that is not used here: {', '.join(KEY_TYPES)}", code="PublicKey")


def _key_id(key: _Public) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]
