"""Objects that are copies of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import checksums, content, objects
from iotctl.local.services.s3.content import Content, Slice, Source, source

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store


@source("s3:CopyObject")
def _before_copy(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    CopySource: str,
    MetadataDirective: str = "COPY",
    ChecksumAlgorithm: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **described: Any,  # noqa: ANN401  texts, and Metadata
) -> Source:
    objects.check(store, Bucket, Key, IfMatch, IfNoneMatch)
    objects.check_description(described)
    row = named(store, CopySource)
    if MetadataDirective not in {"COPY", "REPLACE"}:
        raise AwsError("InvalidArgument", "Unknown metadata directive.")
    if (row["bucket"], row["key"], MetadataDirective) == (Bucket, Key, "COPY"):
        message = "This copy request is illegal because it is trying to copy an object to itself without changing it."
        raise AwsError("InvalidRequest", message)
    wanted = (ChecksumAlgorithm,) if ChecksumAlgorithm else tuple(content.decoded(row["checksums"]))
    return Source((Slice(content.path(store, row["file"]), 0, row["size"]),), wanted)


@operation("s3:CopyObject")
def copy_object(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    Body: Content,
    CopySource: str,
    MetadataDirective: str = "COPY",
    ChecksumAlgorithm: str | None = None,  # noqa: ARG001  heeded before the copy was made
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **described: Any,  # noqa: ANN401  texts, and Metadata
) -> dict[str, Any]:
    """Make a copy of an object the object of a key; a copy of a multipart object is one of a single part."""
    objects.check(store, Bucket, Key, IfMatch, IfNoneMatch, during=True)
    if MetadataDirective == "COPY":
        described = content.decoded(named(store, CopySource)["description"])
    kind = checksums.FULL_OBJECT if Body.checksums else ""
    modified = objects.keep(store, Bucket, Key, Body, Body.md5, described, Body.checksums, kind)
    return {
        "CopyObjectResult": {
            "ETag": f'"{Body.md5}"',
            "LastModified": modified,
            "ChecksumType": kind or None,
            **checksums.members(Body.checksums),
        }
    }


def named(store: Store, value: str) -> sqlite3.Row:
    """The row of the object that an x-amz-copy-source header names: `bucket/key`, percent-encoded.

    Raises:
        AwsError: InvalidArgument, NoSuchBucket, NoSuchKey.

    """
    place, _, version = value.partition("?versionId=")
    objects.check_version(version or None)
    bucket, _, key = unquote(place).removeprefix("/").partition("/")
    if not bucket or not key:
        raise AwsError("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    return objects.find(store, bucket, key)
