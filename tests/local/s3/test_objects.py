"""Buckets and objects through boto3."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.local.conftest import Raw, Refusal, refused
from tests.local.s3.conftest import code

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Name


def status_of(found: Refusal) -> tuple[str, int]:
    """The name and the status of an error."""
    return found.code, found.status


def test_buckets(s3: Any, name: Name) -> None:
    """Created, created again, found, listed, refused to go while something is in it, deleted."""
    bucket = name("b")
    assert f"/{bucket}" == s3.create_bucket(Bucket=bucket)["Location"]
    s3.create_bucket(Bucket=bucket)
    assert "us-east-1" == s3.head_bucket(Bucket=bucket)["BucketRegion"]
    assert [bucket] == [one["Name"] for one in s3.list_buckets(Prefix=bucket)["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    s3.create_multipart_upload(Bucket=bucket, Key="u")
    assert ("BucketNotEmpty", 409) == status_of(refused(s3.delete_bucket, Bucket=bucket))
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert 404 == refused(s3.head_bucket, Bucket=bucket).status
    assert "NoSuchBucket" == refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x" * 100_000).code
    assert "NoSuchBucket" == refused(s3.list_objects_v2, Bucket=bucket).code


def test_pages_of_buckets(s3: Any, name: Name) -> None:
    """A page continues where the one before ended."""
    buckets = sorted(name(f"page{number}") for number in range(3))
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
    first = s3.list_buckets(Prefix="page", MaxBuckets=1)
    rest = s3.list_buckets(Prefix="page", ContinuationToken=first["ContinuationToken"])
    found = [one["Name"] for one in first["Buckets"] + rest["Buckets"]]
    assert buckets == [one for one in found if one in buckets]


def test_location(s3: Any, name: Name) -> None:
    """A bucket is of this platform's region, and of no other."""
    elsewhere = {"LocationConstraint": "eu-west-1"}
    found = refused(s3.create_bucket, Bucket=name("b"), CreateBucketConfiguration=elsewhere)
    assert ("IllegalLocationConstraintException", 400) == status_of(found)


def test_put_and_get(s3: Any, bucket: str) -> None:
    """What was put is what is got, with what was said of it."""
    said = {
        "ContentType": "application/json",
        "ContentEncoding": "gzip",
        "CacheControl": "no-store",
        "ContentDisposition": "attachment",
        "ContentLanguage": "en",
        "Metadata": {"sha256": "abc", "name": "a model"},
    }
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **said)["ETag"]
    got, head = s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")
    assert (f'"{hashlib.md5(b"hello").hexdigest()}"', b"hello") == (etag, got["Body"].read())
    assert [said, said] == [{name: found[name] for name in said} for found in (got, head)]
    assert [(5, etag, "bytes")] * 2 == [(one["ContentLength"], one["ETag"], one["AcceptRanges"]) for one in (got, head)]
    assert got["LastModified"] == head["LastModified"]
    instead = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/plain")
    assert "text/plain" == instead["ContentType"]


def test_defaults_and_overwriting(s3: Any, bucket: str) -> None:
    """An object that is put again is another, also while it is read."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"a" * 3_000_000)
    reading = s3.get_object(Bucket=bucket, Key="k")["Body"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert b"a" * 3_000_000 == reading.read()
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (0, "binary/octet-stream", {}) == (head["ContentLength"], head["ContentType"], head["Metadata"])


@pytest.mark.parametrize(
    ("asked", "body", "content_range"),
    [("bytes=1-3", b"ell", "bytes 1-3/5"), ("bytes=-2", b"lo", "bytes 3-4/5"), ("bytes=1-", b"ello", "bytes 1-4/5")],
)
def test_ranges(s3: Any, bucket: str, asked: str, body: bytes, content_range: str) -> None:
    """A part of an object is 206, and says which; one that is not there is 416."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert (206, body, content_range) == (
        got["ResponseMetadata"]["HTTPStatusCode"],
        got["Body"].read(),
        got["ContentRange"],
    )
    assert (len(body), 206) == (
        (head := s3.head_object(Bucket=bucket, Key="k", Range=asked))["ContentLength"],
        head["ResponseMetadata"]["HTTPStatusCode"],
    )
    found = refused(s3.get_object, Bucket=bucket, Key="k", Range="bytes=5-")
    assert ("InvalidRange", 416) == (found.code, found.status)


def test_conditions(s3: Any, bucket: str) -> None:
    """304 and 412 of a read, 412 and 404 of a write."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", IfNoneMatch="*")["ETag"]
    calls = [
        refused(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag),
        refused(s3.head_object, Bucket=bucket, Key="k", IfNoneMatch=etag),
        refused(s3.get_object, Bucket=bucket, Key="k", IfMatch='"x"'),
        refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x" * 200_000, IfNoneMatch="*"),
        refused(s3.put_object, Bucket=bucket, Key="k", Body=b"other", IfMatch='"x"'),
        refused(s3.put_object, Bucket=bucket, Key="none", Body=b"other", IfMatch='"x"'),
    ]
    assert [304, 304, 412, 412, 412, 404] == [one.status for one in calls]
    assert b"hello" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    s3.put_object(Bucket=bucket, Key="k", Body=b"other", IfMatch=etag)
    assert b"other" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_one_of_many_writers(s3: Any, bucket: str) -> None:
    """Of those that write at once where nothing may be, one succeeds and the others are 412."""

    def put(number: int) -> int:
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=bytes([number]) * 100_000, IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(put, range(8)))
    assert [200, *[412] * 7] == sorted(statuses)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert bytes([statuses.index(200)]) * 100_000 == body


def test_delete(s3: Any, bucket: str) -> None:
    """What is deleted is gone; deleting it again succeeds; many go at once."""
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="a")
    assert ("NoSuchKey", 404) == status_of(refused(s3.get_object, Bucket=bucket, Key="a"))
    objects = [{"Key": "b"}, {"Key": "none"}, {"Key": "c", "VersionId": "v"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [{"Key": "b"}, {"Key": "none"}] == answer["Deleted"]
    assert [("c", "InvalidArgument")] == [(one["Key"], one["Code"]) for one in answer["Errors"]]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert 0 == s3.list_objects_v2(Bucket=bucket)["KeyCount"]


def test_copy(s3: Any, bucket: str) -> None:
    """A copy has the content, and what was said of it unless something else is."""
    s3.put_object(Bucket=bucket, Key="a b/ä", Body=b"hello", Metadata={"x": "1"}, ChecksumAlgorithm="SHA256")
    source = {"Bucket": bucket, "Key": "a b/ä"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"y": "2"})
    heads = [s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED") for key in ("copy", "other")]
    assert [{"x": "1"}, {"y": "2"}] == [head["Metadata"] for head in heads]
    assert 2 == len([head["ChecksumSHA256"] for head in heads])
    assert b"hello" == s3.get_object(Bucket=bucket, Key="copy")["Body"].read()
    assert "InvalidRequest" == refused(s3.copy_object, Bucket=bucket, Key="a b/ä", CopySource=source).code
    source["Key"] = "none"
    assert "NoSuchKey" == refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source).code


@pytest.mark.parametrize(
    ("operation", "parameters", "words"),
    [
        ("get_bucket_acl", {}, "s3:GetBucketAcl is not built"),
        ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": []}}, "LifecycleConfiguration"),
        ("list_objects", {}, "s3:ListObjects is not built"),
        ("get_object_tagging", {"Key": "k"}, "s3:GetObjectTagging is not built"),
        ("put_object", {"Key": "k", "Tagging": "a=b"}, "Tagging of PutObject is not built"),
        ("put_object", {"Key": "k", "ServerSideEncryption": "aws:kms"}, "ServerSideEncryption of PutObject"),
        ("get_object", {"Key": "k", "PartNumber": 1}, "PartNumber of GetObject is not built"),
    ],
)
def test_not_built(s3: Any, bucket: str, operation: str, parameters: dict[str, Any], words: str) -> None:
    """What is not built is a 400 that names it, and never silently left out."""
    found = refused(getattr(s3, operation), Bucket=bucket, **parameters)
    assert ("NotImplemented", 400, True) == (found.code, found.status, words in found.message)


def test_harmless_options(s3: Any, bucket: str) -> None:
    """What is true here anyway may be asked for."""
    options = {"ACL": "private", "StorageClass": "STANDARD", "ServerSideEncryption": "AES256"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **options)
    assert "InvalidArgument" == refused(s3.get_object, Bucket=bucket, Key="k", VersionId="1").code
    assert 403 == refused(s3.head_object, Bucket=bucket, Key="k", ExpectedBucketOwner="111111111111").status


def test_too_much_metadata(s3: Any, bucket: str) -> None:
    """User metadata has 2 KB."""
    s3.put_object(Bucket=bucket, Key="k", Metadata={"x": "y" * 2047})
    assert "MetadataTooLarge" == refused(s3.put_object, Bucket=bucket, Key="k", Metadata={"x": "y" * 2048}).code


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "expected"),
    [
        ("PUT", "/Bad_Bucket", {}, 400, "InvalidBucketName"),
        ("PUT", "/..", {}, 400, "InvalidBucketName"),
        ("PUT", "/{bucket}/" + "k" * 1025, {}, 400, "KeyTooLongError"),
        ("PUT", "/{bucket}/%ff", {}, 400, "InvalidURI"),
        ("POST", "/{bucket}", {"Content-Type": "multipart/form-data; boundary=x"}, 405, "MethodNotAllowed"),
        ("POST", "/{bucket}?delete", {}, 400, "InvalidRequest"),
        ("GET", "/{bucket}?list-type=2&max-keys=many", {}, 400, "InvalidArgument"),
        ("GET", "/{bucket}?list-type=2&continuation-token=%21", {}, 400, "InvalidArgument"),
        ("GET", "/{bucket}/k?response-content-type=a%0d%0aEvil:%201", {}, 400, "InvalidArgument"),
        ("PUT", "/{bucket}/k?partNumber=1&uploadId=..%2f..%2fx", {}, 404, "NoSuchUpload"),
        ("PUT", "/{bucket}/k", {"x-amz-copy-source": "../../etc/passwd"}, 404, "NoSuchBucket"),
        ("PUT", "/{bucket}/k", {"x-amz-copy-source": "nothing"}, 400, "InvalidArgument"),
    ],
)
def test_hostile_requests(
    raw: Callable[..., Raw], bucket: str, method: str, path: str, headers: dict[str, str], status: int, expected: str
) -> None:
    """Each is refused by name."""
    answer = raw(method, path.format(bucket=bucket), b"x", service="s3", headers=headers)
    assert (status, expected) == (answer.status, code(answer))


@pytest.mark.parametrize("body", [b"<Delete", b'<!DOCTYPE a [<!ENTITY b "c">]><Delete/>', b"\xff", b"<Delete/>", b""])
def test_hostile_documents(raw: Callable[..., Raw], bucket: str, body: bytes) -> None:
    """A document that is none, or that declares entities, is refused."""
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = raw("POST", f"/{bucket}?delete", body, service="s3", headers={"content-md5": digest})
    assert (400, "MalformedXML" if body else "MissingRequestBodyError") == (answer.status, code(answer))


HOSTILE = ["../../etc/passwd", "..", ".", "/abs", "a//b", "a\\b", "ä ö+%&?#=", "\U0001f600", "\x01\n", "a/", "'; --"]


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys(s3: Any, raw: Callable[..., Raw], bucket: str, key: str) -> None:
    """A key is a text and no path: it is kept, listed and found as it is."""
    path = f"/{bucket}/{quote(key, safe='')}"
    assert 200 == raw("PUT", path, key.encode(), service="s3").status
    assert key.encode() == raw("GET", path, service="s3").body
    assert [key] == [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert 204 == raw("DELETE", path, service="s3").status
