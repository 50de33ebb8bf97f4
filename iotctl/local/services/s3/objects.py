"""Objects: put, read, deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import buckets, checksums, conditions, content, names
from iotctl.local.services.s3.content import Content, Slice, Source, source

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS s3_object (
    bucket TEXT NOT NULL REFERENCES s3_bucket, key TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, description TEXT NOT NULL, checksums TEXT NOT NULL,
    checksum_type TEXT NOT NULL, upload TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS s3_object_file ON s3_object (file)
"""

SEVERAL: Final = {
    "described": (
        "CacheControl",
        "ContentDisposition",
        "ContentEncoding",
        "ContentLanguage",
        "ContentType",
        "Expires",
        "Metadata",
    ),
    "instead": (
        "ResponseCacheControl",
        "ResponseContentDisposition",
        "ResponseContentEncoding",
        "ResponseContentLanguage",
        "ResponseContentType",
        "ResponseExpires",
    ),
    "expected": tuple(checksums.members(dict.fromkeys(checksums.ALGORITHMS, ""))),
}
"""The members that `**described` and its like stand for: what is said of an object, what a reader hears in its place,
and the checksum that a whole must have."""

_METADATA: Final = 2048
_DELETED_AT_ONCE: Final = 1000
_RESPONSE: Final = "Response"


@source("s3:PutObject")
def _before_put(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **described: Any,  # noqa: ANN401  texts, and Metadata
) -> Source:
    check(store, Bucket, Key, IfMatch, IfNoneMatch)
    check_description(described)
    return Source()


@operation("s3:PutObject")
def put_object(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    Body: Content,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **described: Any,  # noqa: ANN401  texts, and Metadata
) -> dict[str, Any]:
    """Make what was uploaded the object of a key."""
    check(store, Bucket, Key, IfMatch, IfNoneMatch, during=True)
    kind = checksums.FULL_OBJECT if Body.checksums else ""
    keep(store, Bucket, Key, Body, Body.md5, described, Body.checksums, kind)
    return {"ETag": f'"{Body.md5}"', "ChecksumType": kind or None, **checksums.members(Body.checksums)}


@operation("s3:GetObject")
def get_object(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    Range: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    IfModifiedSince: str | None = None,
    IfUnmodifiedSince: str | None = None,
    ChecksumMode: str | None = None,
    VersionId: str | None = None,
    **instead: str,
) -> dict[str, Any]:
    """An object; its Body is the slice of the file that was asked for.

    Args:
        store: where.
        Bucket: which.
        Key: which.
        Range: of bytes; with it no checksum is given, for there is none of a part.
        IfMatch: RFC 7232.
        IfNoneMatch: RFC 7232.
        IfModifiedSince: RFC 7232.
        IfUnmodifiedSince: RFC 7232.
        ChecksumMode: ENABLED: with the checksum.
        VersionId: "null" is the only one.
        instead: ResponseContentType and the like: what to say in place of what the object has.

    """
    check_version(VersionId)
    row = find(store, Bucket, Key)
    conditions.check_read(
        row["etag"],
        row["modified"],
        if_match=IfMatch,
        if_none_match=IfNoneMatch,
        if_modified_since=IfModifiedSince,
        if_unmodified_since=IfUnmodifiedSince,
    )
    span = conditions.span(Range, row["size"])
    start, length = span or (0, row["size"])
    with_checksum = ChecksumMode == "ENABLED" and span is None and row["checksum_type"]
    return {
        "Body": Slice(content.path(store, row["file"]), start, length),
        "AcceptRanges": "bytes",
        "LastModified": row["modified"],
        "ContentLength": length,
        "ContentRange": f"bytes {start}-{start + length - 1}/{row['size']}" if span else None,
        "ETag": f'"{row["etag"]}"',
        **(_checksums(row) if with_checksum else {}),
        **content.decoded(row["description"]),
        **{name.removeprefix(_RESPONSE): value for name, value in instead.items()},
    }


@operation("s3:HeadObject")
def head_object(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    Range: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    IfModifiedSince: str | None = None,
    IfUnmodifiedSince: str | None = None,
    ChecksumMode: str | None = None,
    VersionId: str | None = None,
    **instead: str,
) -> dict[str, Any]:
    """What GetObject says of an object, without what it holds."""
    found = get_object(
        store,
        Bucket=Bucket,
        Key=Key,
        Range=Range,
        IfMatch=IfMatch,
        IfNoneMatch=IfNoneMatch,
        IfModifiedSince=IfModifiedSince,
        IfUnmodifiedSince=IfUnmodifiedSince,
        ChecksumMode=ChecksumMode,
        VersionId=VersionId,
        **instead,
    )
    del found["Body"]
    return found


@operation("s3:DeleteObject")
def delete_object(store: Store, *, Bucket: str, Key: str, VersionId: str | None = None) -> None:
    """Delete an object; one that is not there is deleted too."""
    check_version(VersionId)
    buckets.check(store, Bucket)
    _delete(store, Bucket, Key)


@operation("s3:DeleteObjects")
def delete_objects(store: Store, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
    """Delete up to 1000 objects."""
    buckets.check(store, Bucket)
    asked = Delete.get("Objects", [])
    if not 1 <= len(asked) <= _DELETED_AT_ONCE or any(not one.get("Key") for one in asked):
        raise AwsError("MalformedXML", "The XML you provided was not well-formed or did not validate")
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for one in asked:
        try:
            check_version(one.get("VersionId"))
            _delete(store, Bucket, one["Key"])
            deleted.append({"Key": one["Key"]})
        except AwsError as error:
            errors.append({"Key": one["Key"], "Code": error.code, "Message": error.message})
    return {"Deleted": [] if Delete.get("Quiet") else deleted, "Errors": errors}


def find(store: Store, bucket: str, key: str) -> sqlite3.Row:
    """The row of an object.

    Raises:
        AwsError: NoSuchBucket, NoSuchKey.

    """
    row = store.row("SELECT * FROM s3_object WHERE bucket = ? AND key = ?", bucket, key)
    if row is None:
        buckets.check(store, bucket)
        raise AwsError("NoSuchKey", "The specified key does not exist.", Key=key)
    return row


def check(
    store: Store, bucket: str, key: str, if_match: str | None, if_none_match: str | None, *, during: bool = False
) -> None:
    """Refuse to write an object where it cannot be.

    Args:
        store: where.
        bucket: which.
        key: which.
        if_match: see `conditions.check_write`.
        if_none_match: see `conditions.check_write`.
        during: the condition held when the upload began.

    Raises:
        AwsError: NoSuchBucket, KeyTooLongError, PreconditionFailed, NoSuchKey; ConditionalRequestConflict when a
            delete came during the upload.

    """
    buckets.check(store, bucket)
    names.check_key(key)
    row = store.row("SELECT etag FROM s3_object WHERE bucket = ? AND key = ?", bucket, key)
    if during and if_match is not None and row is None:
        message = "The conditional request cannot succeed due to a conflicting operation against this resource."
        raise AwsError("ConditionalRequestConflict", message, Key=key)
    conditions.check_write(row["etag"] if row else None, if_match, if_none_match)


def check_description(described: dict[str, Any]) -> None:
    """Refuse more user metadata than S3 keeps.

    Raises:
        AwsError: MetadataTooLarge.

    """
    size = sum(len(name.encode()) + len(value.encode()) for name, value in described.get("Metadata", {}).items())
    if size > _METADATA:
        message = "Your metadata headers exceed the maximum allowed metadata size"
        raise AwsError("MetadataTooLarge", message, Size=str(size), MaxSizeAllowed=str(_METADATA))


def check_version(version: str | None) -> None:
    """Refuse to name a version: no bucket here has any.

    Raises:
        AwsError: InvalidArgument.

    """
    if version not in {None, "null"}:
        raise AwsError("InvalidArgument", "Invalid version id specified: buckets of this platform have no versions")


def keep(
    store: Store,
    bucket: str,
    key: str,
    body: Content,
    etag: str,
    described: dict[str, Any],
    sums: Any,  # noqa: ANN401  any mapping of texts
    kind: str,
    upload: str = "",
) -> float:
    """Make a file the object of a key, in place of what it was; when that is."""
    before = store.row("SELECT file FROM s3_object WHERE bucket = ? AND key = ?", bucket, key)
    if before:
        content.forget(store, before["file"])
    now = store.now()
    given = {"ContentType": "binary/octet-stream", **described}
    store.execute(
        "INSERT OR REPLACE INTO s3_object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(bucket, key, body.file, body.size, etag, now, json.dumps(given), json.dumps(dict(sums)), kind, upload),
    )
    return now


def _delete(store: Store, bucket: str, key: str) -> None:
    row = store.row("SELECT file FROM s3_object WHERE bucket = ? AND key = ?", bucket, key)
    if row:
        content.forget(store, row["file"])
        store.execute("DELETE FROM s3_object WHERE bucket = ? AND key = ?", bucket, key)


def _checksums(row: sqlite3.Row) -> dict[str, Any]:
    return {"ChecksumType": row["checksum_type"], **checksums.members(content.decoded(row["checksums"]))}
