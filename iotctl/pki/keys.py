"""The PEM of a private key: whether it is encrypted, and how it is opened."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from iotctl.errors import Integrity, Usage

_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
"""PKCS#8, and the older form of OpenSSL."""

CODE: Final = "Passphrase"
"""The code of an error that is about one."""


def is_encrypted(pem: bytes) -> bool:
    """Whether a passphrase is needed to use this key."""
    return any(mark in pem for mark in _ENCRYPTED)


def opened(pem: bytes, passphrase: bytes) -> bytes:
    """The same key unencrypted (PKCS#8), to be held in memory only.

    Raises:
        Usage: the passphrase is missing or wrong. Integrity: it is no private key.

    """
    if not is_encrypted(pem):
        return pem
    if not passphrase:
        raise Usage("the private key is encrypted", code=CODE)
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except ValueError as error:
        raise Usage("the private key does not open with this passphrase", code=CODE) from error
    except (TypeError, UnsupportedAlgorithm) as error:
        raise Integrity("the private key is damaged") from error
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
