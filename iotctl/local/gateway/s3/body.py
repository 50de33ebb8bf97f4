"""The body of a request: how it is framed, streamed block by block, and the checksums that it must have.

Sources: Amazon S3 API reference, "Signature calculations: transferring payload in multiple chunks", "... including
trailing headers"; Amazon S3 user guide, "Checking object integrity".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import re
from typing import TYPE_CHECKING, Final

from aiohttp import ClientPayloadError, StreamReader

from iotctl.local.services import AwsError
from iotctl.local.services.s3 import checksums
from iotctl.local.services.s3.checksums import HEADER
from iotctl.local.services.s3.content import BLOCK, Content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

LARGEST: Final = 5 * 1024**3
"""Bytes of one PUT."""

_IDLE_SECONDS: Final = 30
_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,16}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TRAILERS: Final = 16
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_NO_CHECKSUMS: Final = frozenset({"algorithm", "type", "mode"})


@dataclasses.dataclass(slots=True)
class Body:
    """What a request's headers say of its body.

    Attributes:
        size: in bytes, decoded.
        algorithm: of the checksum that comes with it, in a header or behind it; empty: there is none.

    """

    size: int
    algorithm: str
    _sent: str | None
    _trailing: bool
    _chunked: bool
    _md5: bytes | None
    _sha256: str | None
    _trailers: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Body:
        """The body of a request with these headers.

        Raises:
            AwsError: MissingContentLength, EntityTooLarge, InvalidDigest, InvalidRequest, NotImplemented.

        """
        content_sha256 = headers.get("x-amz-content-sha256", "")
        encodings = [one.strip() for one in headers.get("Content-Encoding", "").split(",")]
        chunked = content_sha256.startswith("STREAMING-") or "aws-chunked" in encodings
        length = headers.get("x-amz-decoded-content-length" if chunked else "Content-Length", "")
        if not _LENGTH.fullmatch(length):
            raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.")
        if int(length) > LARGEST:
            message = "Your proposed upload exceeds the maximum allowed size"
            raise AwsError("EntityTooLarge", message, ProposedSize=length, MaxSizeAllowed=str(LARGEST))
        algorithm, sent, trailing = _checksum(headers)
        return cls(
            size=int(length),
            algorithm=algorithm,
            _sent=sent,
            _trailing=trailing,
            _chunked=chunked,
            _md5=_md5(headers.get("Content-MD5")),
            _sha256=content_sha256 if _SHA256.fullmatch(content_sha256) else None,
        )

    @property
    def is_checked(self) -> bool:
        """Whether a checksum of the body comes with it."""
        return bool(self.algorithm) or self._md5 is not None

    @property
    def algorithms(self) -> frozenset[str]:
        """What has to be computed of it."""
        return frozenset({self.algorithm} if self.algorithm else ()) | ({"SHA256"} if self._sha256 else frozenset())

    async def blocks(self, stream: StreamReader) -> AsyncIterator[bytes]:
        """The bytes as they come, without their framing.

        Raises:
            AwsError: IncompleteBody, RequestTimeout, MalformedTrailerError.

        """
        received = 0
        async for data in self._unframed(stream) if self._chunked else _plain(stream):
            received += len(data)
            if received > self.size:
                raise _incomplete()
            yield data
        if received != self.size:
            raise _incomplete()

    def check(self, content: Content) -> Content:
        """The content, if it is what was sent, with the checksum that the client chose.

        Raises:
            AwsError: BadDigest, XAmzContentSHA256Mismatch, MalformedTrailerError, InvalidRequest.

        """
        if self._md5 is not None and self._md5.hex() != content.md5:
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")
        if self._sha256 and self._sha256 != base64.b64decode(content.checksums["SHA256"]).hex():
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise AwsError("XAmzContentSHA256Mismatch", message)
        if not self.algorithm:
            return dataclasses.replace(content, checksums={})
        sent = self._trailers.get(HEADER + self.algorithm.lower()) if self._trailing else self._sent
        if sent is None:
            message = "The request contained trailing data that was not well-formed or did not conform to our schema"
            raise AwsError("MalformedTrailerError", message)
        found = content.checksums[self.algorithm]
        if checksums.text(checksums.read(self.algorithm, sent)) != found:
            message = f"The {self.algorithm} you specified did not match the calculated checksum."
            raise AwsError("BadDigest", message)
        return dataclasses.replace(content, checksums={self.algorithm: found})

    async def _unframed(self, stream: StreamReader) -> AsyncIterator[bytes]:
        """aws-chunked: `SIZE[;chunk-signature=...]`, the bytes, and after a chunk of none the trailing headers."""
        while True:
            found = _SIZE.fullmatch((await _line(stream)).partition(b";")[0].strip())
            if found is None:
                raise _incomplete()
            left = int(found[0], 16)
            if not left:
                break
            while left:
                data = await _read(stream, min(left, BLOCK))
                if not data:
                    raise _incomplete()
                left -= len(data)
                yield data
            if await _line(stream):
                raise _incomplete()
        for _ in range(_TRAILERS):
            line = await _line(stream)
            if not line:
                break
            name, _, value = line.decode("latin-1").partition(":")
            self._trailers[name.strip().lower()] = value.strip()
        if await _read(stream, 1):
            raise _incomplete()


async def _plain(stream: StreamReader) -> AsyncIterator[bytes]:
    while data := await _read(stream, BLOCK):
        yield data


async def _read(stream: StreamReader, most: int) -> bytes:
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            return await stream.read(most)
    except TimeoutError as error:
        raise _idle() from error
    except (ConnectionError, ClientPayloadError) as error:
        raise _incomplete() from error


async def _line(stream: StreamReader) -> bytes:
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            return (await stream.readline()).rstrip(b"\r\n")
    except TimeoutError as error:
        raise _idle() from error
    except (ConnectionError, ClientPayloadError, ValueError) as error:
        raise _incomplete() from error


def _checksum(headers: Mapping[str, str]) -> tuple[str, str | None, bool]:
    """The algorithm of the checksum that comes with a body, its value, and whether that comes behind the body."""
    given = {
        name.lower().removeprefix(HEADER).upper(): value
        for name, value in headers.items()
        if name.lower().startswith(HEADER) and name.lower().removeprefix(HEADER) not in _NO_CHECKSUMS
    }
    trailer = headers.get("x-amz-trailer", "").strip().lower()
    trailing = trailer.startswith(HEADER)
    if len(given) + trailing > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise AwsError("InvalidRequest", message)
    named = headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    algorithm = trailer.removeprefix(HEADER).upper() if trailing else next(iter(given), "")
    if not algorithm:
        if named:
            message = (
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found."
            )
            raise AwsError("InvalidRequest", message)
        return "", None, False
    checksums.check_algorithm(algorithm)
    if named and named != algorithm:
        raise AwsError("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    sent = given.get(algorithm)
    if sent is not None:
        checksums.read(algorithm, sent)
    return algorithm, sent, trailing


def _md5(value: str | None) -> bytes | None:
    if value is None:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


def _incomplete() -> AwsError:
    return AwsError("IncompleteBody", "The request body terminated unexpectedly, or is not framed as it says")


def _idle() -> AwsError:
    message = (
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed."
    )
    return AwsError("RequestTimeout", message)
