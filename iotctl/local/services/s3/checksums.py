"""The checksums of Amazon S3: named, computed as bytes come, combined over the parts of an upload. Pure.

Source: Amazon S3 user guide, "Checking object integrity in Amazon S3". XXHash is not built.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Final, Protocol

from iotctl.local.services import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"
HEADER: Final = "x-amz-checksum-"


class Checksum(Protocol):
    """A checksum of the bytes so far."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The checksum."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Reflected:
    """A reflected CRC that the standard library lacks, two bytes at a time: about 20 MB a second."""

    def __init__(self, polynomial: int, size: int) -> None:
        self._size = size
        self._bytes, self._pairs = _tables(polynomial)
        self._ones = (1 << 8 * size) - 1
        self._value = self._ones

    def update(self, data: bytes) -> None:
        value, pairs = self._value, self._pairs
        even = len(data) & ~1
        words = array("H")
        words.frombytes(memoryview(data)[:even])
        if sys.byteorder == "big":
            words.byteswap()
        for word in words:
            value = pairs[(value ^ word) & 0xFFFF] ^ (value >> 16)
        for byte in data[even:]:
            value = self._bytes[(value ^ byte) & 0xFF] ^ (value >> 8)
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._ones).to_bytes(self._size, "big")


@functools.cache
def _tables(polynomial: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    single = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)  # noqa: PLW2901  shifted eight times
        single.append(value)
    pairs = []
    for value in range(65536):
        first = single[value & 0xFF]
        pairs.append(single[(first ^ (value >> 8)) & 0xFF] ^ (first >> 8))
    return tuple(single), tuple(pairs)


_MAKERS: Final[dict[str, Callable[[], Checksum]]] = {
    "CRC32": _Crc32,
    "CRC32C": functools.partial(_Reflected, 0x82F63B78, 4),
    "CRC64NVME": functools.partial(_Reflected, 0x9A6C9329AC4BC9B5, 8),
    "SHA1": functools.partial(hashlib.sha1, usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": functools.partial(hashlib.md5, usedforsecurity=False),
}


ALGORITHMS: Final = tuple(_MAKERS)
"""Those that are built."""


def new(algorithm: str) -> Checksum:
    """A checksum of nothing yet.

    Raises:
        AwsError: NotImplemented: the algorithm is not built.

    """
    check_algorithm(algorithm)
    return _MAKERS[algorithm]()


def check_algorithm(algorithm: str) -> None:
    """Refuse an algorithm that is not built.

    Raises:
        AwsError: NotImplemented.

    """
    if algorithm not in _MAKERS:
        built = ", ".join(_MAKERS)
        message = f"The checksum algorithm {algorithm[:32]} is not built in the local platform; those are: {built}"
        raise AwsError("NotImplemented", message)


def text(digest: bytes) -> str:
    """A checksum as S3 writes it: base64."""
    return base64.b64encode(digest).decode()


def read(algorithm: str, value: str) -> bytes:
    """A checksum that a client sent.

    Raises:
        AwsError: InvalidRequest: it is not base64, or not as long as such a checksum is.

    """
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != len(new(algorithm).digest()):
        raise AwsError("InvalidRequest", f"Value for {HEADER}{algorithm.lower()} header is invalid.")
    return digest


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum of the parts' checksums, with the number of parts."""
    whole = new(algorithm)
    whole.update(b"".join(map(base64.b64decode, parts)))
    return f"{text(whole.digest())}-{len(parts)}"


def members(found: Mapping[str, str]) -> dict[str, str]:
    """Checksums by algorithm as members of an answer: `{"ChecksumSHA256": ...}`."""
    return {f"Checksum{algorithm}": value for algorithm, value in found.items()}
