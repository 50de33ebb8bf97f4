"""Checksums: computed as AWS's own library does, verified, and given back."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import checksums as crt
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.services.s3 import checksums
from tests.local.conftest import Raw, refused
from tests.local.s3.conftest import code

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = b"an artifact"
SHA256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
OTHER = base64.b64encode(hashlib.sha256(b"another").digest()).decode()


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_crcs_are_awscrts(blocks: list[bytes]) -> None:
    """However the bytes are cut, the CRCs are those of AWS's own library."""
    expected = {"CRC32": (crt.crc32, 4), "CRC32C": (crt.crc32c, 4), "CRC64NVME": (crt.crc64nvme, 8)}
    for algorithm, (function, size) in expected.items():
        checksum = checksums.new(algorithm)
        for block in blocks:
            checksum.update(block)
        assert function(b"".join(blocks)).to_bytes(size, "big") == checksum.digest()


def test_composite() -> None:
    """The checksum of the parts' checksums, and how many."""
    parts = [zlib.crc32(part).to_bytes(4, "big") for part in (b"a", b"b")]
    expected = base64.b64encode(zlib.crc32(b"".join(parts)).to_bytes(4, "big")).decode() + "-2"
    assert expected == checksums.composite("CRC32", [base64.b64encode(part).decode() for part in parts])


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", "CRC32C", "CRC64NVME"])
def test_given_back(s3: Any, bucket: str, algorithm: str) -> None:
    """The checksum that boto3 sent behind the body is verified, kept, and answered when it is asked for."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    member = f"Checksum{algorithm}"
    checksum = checksums.new(algorithm)
    checksum.update(DATA)
    assert [checksums.text(checksum.digest())] * 2 == [put[member], head[member]]
    assert "FULL_OBJECT" == head["ChecksumType"]
    assert DATA == s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read()
    assert member not in s3.head_object(Bucket=bucket, Key="k")
    assert member not in s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1", ChecksumMode="ENABLED")


def test_wrong_checksum(s3: Any, bucket: str) -> None:
    """A body that is not what its checksum says is BadDigest and leaves nothing."""
    found = refused(s3.put_object, Bucket=bucket, Key="k", Body=DATA, ChecksumSHA256=OTHER)
    assert ("BadDigest", 400) == (found.code, found.status)
    assert "The SHA256 you specified did not match the calculated checksum." == found.message
    assert 404 == refused(s3.head_object, Bucket=bucket, Key="k").status


def chunked(trailer: str, data: bytes = DATA, signature: str = "") -> bytes:
    """A body in aws-chunked framing, in two chunks."""
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(part), signature.encode(), part) for part in (data[:3], data[3:], b""))
    return chunks[:-2] + trailer.encode() + b"\r\n\r\n"


def framed(**more: str) -> dict[str, str]:
    """The headers of such a body."""
    return {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(DATA)),
        "x-amz-trailer": "x-amz-checksum-sha256",
        **more,
    }


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"x-amz-checksum-sha256": SHA256}, DATA, ""),
        ({"x-amz-checksum-sha256": "bad"}, DATA, "InvalidRequest"),
        ({"x-amz-checksum-sha256": SHA256, "x-amz-checksum-crc32": "AAAAAA=="}, DATA, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "SHA256"}, DATA, "InvalidRequest"),
        ({"x-amz-checksum-xxhash64": "AAAAAA=="}, DATA, "NotImplemented"),
        ({"Content-MD5": base64.b64encode(hashlib.md5(DATA).digest()).decode()}, DATA, ""),
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"").digest()).decode()}, DATA, "BadDigest"),
        ({"Content-MD5": "AAAA"}, DATA, "InvalidDigest"),
        ({"x-amz-content-sha256": hashlib.sha256(DATA).hexdigest()}, DATA, ""),
        ({"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}, DATA, "XAmzContentSHA256Mismatch"),
        (framed(), chunked(f"x-amz-checksum-sha256:{SHA256}"), ""),
        (framed(), chunked(f"x-amz-checksum-sha256:{SHA256}", signature=";chunk-signature=0"), ""),
        (framed(), chunked(f"x-amz-checksum-sha256:{OTHER}"), "BadDigest"),
        (framed(), chunked("x-amz-checksum-crc32:AAAAAA=="), "MalformedTrailerError"),
        (framed(), chunked(f"x-amz-checksum-sha256:{SHA256}", DATA + b"x"), "IncompleteBody"),
        (framed(), chunked(f"x-amz-checksum-sha256:{SHA256}", DATA[:-1]), "IncompleteBody"),
        (framed(), b"nonsense\r\n", "IncompleteBody"),
        (framed(), b"-5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (framed(), b"f" * 200_000, "IncompleteBody"),
        (framed(**{"x-amz-decoded-content-length": "many"}), DATA, "MissingContentLength"),
        (framed(**{"x-amz-decoded-content-length": str(6 * 1024**3)}), DATA, "EntityTooLarge"),
    ],
)
def test_on_the_wire(raw: Callable[..., Raw], bucket: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """What is right is kept as it was before it was framed; what is not is refused by name and leaves nothing."""
    answer = raw("PUT", f"/{bucket}/k", body, service="s3", headers=headers)
    assert expected == code(answer)
    kept = raw("GET", f"/{bucket}/k", service="s3")
    assert (404 if expected else 200) == kept.status
    if not expected:
        assert (DATA, None) == (kept.body, kept.headers.get("content-encoding"))


def test_no_length(raw: Callable[..., Raw], bucket: str) -> None:
    """A body of unknown length is refused, as S3 refuses it."""
    answer = raw("PUT", f"/{bucket}/k", iter([DATA]), service="s3")
    assert (411, "MissingContentLength") == (answer.status, code(answer))
