"""Multipart uploads: begun, filled, completed, aborted, listed."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from typing import TYPE_CHECKING, Any

import boto3.s3.transfer
import pytest

from tests.local.conftest import refused, without_metadata

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1024 * 1024
FIRST, LAST = b"a" * (5 * MEBIBYTE), b"tail"


def upload(s3: Any, bucket: str, *parts: bytes, **options: Any) -> tuple[str, list[dict[str, Any]]]:
    """Begin an upload and send its parts; its id, and what completes it."""
    given = s3.create_multipart_upload(Bucket=bucket, Key="k", **options)["UploadId"]
    algorithm = {"ChecksumAlgorithm": options["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in options else {}
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=bucket, Key="k", UploadId=given, PartNumber=number, Body=part, **algorithm)
        sums = {name: value for name, value in without_metadata(answer).items() if name.startswith("Checksum")}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    return given, done


def complete(s3: Any, bucket: str, given: str, parts: list[dict[str, Any]], **options: Any) -> Any:
    """Complete an upload."""
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=given, MultipartUpload={"Parts": parts}, **options
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_composite(s3: Any, bucket: str, algorithm: str) -> None:
    """The parts are the object; ETag and checksum are those of the parts'; asked again it is the same answer."""
    given, parts = upload(s3, bucket, FIRST, LAST, ChecksumAlgorithm=algorithm, Metadata={"x": "y"})
    first, again = (complete(s3, bucket, given, parts, IfNoneMatch="*") for _ in range(2))
    digests = b"".join(hashlib.md5(part).digest() for part in (FIRST, LAST))
    assert [f'"{hashlib.md5(digests).hexdigest()}-2"'] * 2 == [first["ETag"], again["ETag"]]
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert first[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
    assert ("COMPOSITE", True) == (head["ChecksumType"], head[f"Checksum{algorithm}"].endswith("-2"))
    assert (first["ETag"], {"x": "y"}) == (head["ETag"], head["Metadata"])
    assert FIRST + LAST == s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_full_object(s3: Any, bucket: str) -> None:
    """A checksum of the whole is computed over the joined parts, and compared with the client's."""
    options = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    expected = base64.b64encode(zlib.crc32(FIRST + LAST).to_bytes(4, "big")).decode()
    given, parts = upload(s3, bucket, FIRST, LAST, **options)
    found = refused(complete, s3=s3, bucket=bucket, given=given, parts=parts, ChecksumCRC32="AAAAAA==")
    assert "BadDigest" == found.code
    size = refused(complete, s3=s3, bucket=bucket, given=given, parts=parts, MpuObjectSize=1)
    assert "InvalidRequest" == size.code
    done = complete(s3, bucket, given, parts, ChecksumCRC32=expected, MpuObjectSize=len(FIRST + LAST))
    assert (expected, "FULL_OBJECT") == (done["ChecksumCRC32"], done["ChecksumType"])


def test_refused(s3: Any, bucket: str) -> None:
    """Wrong lists of parts are refused by name and change nothing; the upload can be completed after all."""
    given, parts = upload(s3, bucket, FIRST, LAST, LAST)
    options = {"s3": s3, "bucket": bucket, "given": given}
    other = {**parts[1], "ETag": '"0"'}
    calls = [parts[::-1], [parts[0], other], [{**parts[0], "PartNumber": 9}], parts, []]
    expected = ["InvalidPartOrder", "InvalidPart", "InvalidPart", "EntityTooSmall", "MalformedXML"]
    assert expected == [refused(complete, **options, parts=one).code for one in calls]
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert "PreconditionFailed" == refused(complete, **options, parts=parts[:2], IfNoneMatch="*").code
    complete(s3, bucket, given, parts[:2])
    assert len(FIRST + LAST) == s3.head_object(Bucket=bucket, Key="k")["ContentLength"]


def test_parts_need_the_checksum_of_the_upload(s3: Any, bucket: str) -> None:
    """A part with another algorithm is refused, and a completion without the parts' checksums."""
    given, parts = upload(s3, bucket, LAST, ChecksumAlgorithm="SHA256")
    options = {"Bucket": bucket, "Key": "k", "UploadId": given, "PartNumber": 1, "Body": LAST}
    found = refused(s3.upload_part, **options, ChecksumAlgorithm="SHA1")
    assert "expected checksum Type: sha256, actual checksum Type: sha1" in found.message
    bare = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    found = refused(complete, s3=s3, bucket=bucket, given=given, parts=bare)
    assert "It was missing for part 1 in the request." in found.message
    for number in (0, 10_001):
        assert "InvalidArgument" == refused(s3.upload_part, **{**options, "PartNumber": number}).code


@pytest.mark.parametrize(("algorithm", "kind"), [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "X")])
def test_impossible_checksums(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    """Not every algorithm can be combined, or computed of a whole."""
    options = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    assert "InvalidRequest" == refused(s3.create_multipart_upload, Bucket=bucket, Key="k", **options).code


def test_abort(s3: Any, bucket: str) -> None:
    """An aborted upload is gone, with its parts."""
    given, parts = upload(s3, bucket, LAST)
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=given)
    options = {"Bucket": bucket, "Key": "k", "UploadId": given}
    assert "NoSuchUpload" == refused(s3.list_parts, **options).code
    assert "NoSuchUpload" == refused(s3.abort_multipart_upload, **options).code
    assert "NoSuchUpload" == refused(complete, s3=s3, bucket=bucket, given=given, parts=parts).code
    assert 404 == refused(s3.head_object, Bucket=bucket, Key="k").status


def test_listings(s3: Any, bucket: str) -> None:
    """Parts and uploads come page by page; a part that is sent again replaces the one before."""
    given, _ = upload(s3, bucket, b"1", b"22", b"333")
    s3.upload_part(Bucket=bucket, Key="k", UploadId=given, PartNumber=2, Body=b"other")
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="k", UploadId=given, PaginationConfig={"PageSize": 2}
    )
    assert [(1, 1), (2, 5), (3, 3)] == [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    others = {s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a", "k", "z ä")}
    paginator = s3.get_paginator("list_multipart_uploads")
    for size in (1, 3):
        pages = paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        found = [one for page in pages for one in page["Uploads"]]
        assert (["a", "k", "k", "z ä"], others | {given}) == (
            [one["Key"] for one in found],
            {one["UploadId"] for one in found},
        )
    assert ["a"] == [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket, Prefix="a")["Uploads"]]


def test_part_copy(s3: Any, bucket: str) -> None:
    """A part may be some bytes of an object."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    given = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    options = {"Bucket": bucket, "Key": "k", "UploadId": given, "PartNumber": 1}
    copied = s3.upload_part_copy(**options, CopySource=f"{bucket}/source", CopySourceRange="bytes=2-4")
    checksums = {name: value for name, value in copied["CopyPartResult"].items() if name.startswith("Checksum")}
    part = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"], **checksums}
    complete(s3, bucket, given, [part])
    assert b"234" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_boto3s_own_uploads(s3: Any, bucket: str, tmp_path: Path) -> None:
    """upload_file and download_file in parallel parts, as they come."""
    content = hashlib.shake_256(b"seed").digest(13 * MEBIBYTE)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE)
    s3.upload_fileobj(io.BytesIO(content), bucket, "big", Config=config)
    s3.download_file(bucket, "big", str(tmp_path / "big"), Config=config)
    assert content == (tmp_path / "big").read_bytes()
    assert s3.head_object(Bucket=bucket, Key="big")["ETag"].endswith('-3"')
