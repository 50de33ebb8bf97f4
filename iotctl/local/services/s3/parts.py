"""The parts of multipart uploads: uploaded, copied, listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import checksums, conditions, content, copies, uploads
from iotctl.local.services.s3.content import Content, Slice, Source, source

if TYPE_CHECKING:
    from iotctl.local.store import Store

_MOST_PARTS: Final = 10_000
_PAGE: Final = 1000


@source("s3:UploadPart")
def _before_part(store: Store, *, Bucket: str, Key: str, UploadId: str, PartNumber: int) -> Source:
    _check_part(PartNumber)
    uploads.find(store, Bucket, Key, UploadId)
    return Source()


@operation("s3:UploadPart")
def upload_part(
    store: Store, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: Content
) -> dict[str, Any]:
    """Keep a part of an upload, in place of an earlier one of its number."""
    upload = uploads.find(store, Bucket, Key, UploadId)
    given = next(iter(Body.checksums), "null")
    expected = upload["checksum_algorithm"]
    if expected and given != expected and (given != "null" or upload["checksum_type"] == checksums.COMPOSITE):
        message = f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, "
        raise AwsError("InvalidRequest", f"{message}actual checksum Type: {given.lower()}")
    _keep(store, UploadId, PartNumber, Body)
    return {"ETag": f'"{Body.md5}"', **checksums.members(Body.checksums)}


@source("s3:UploadPartCopy")
def _before_part_copy(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    UploadId: str,
    PartNumber: int,
    CopySource: str,
    CopySourceRange: str | None = None,
) -> Source:
    _check_part(PartNumber)
    upload = uploads.find(store, Bucket, Key, UploadId)
    row = copies.named(store, CopySource)
    start, length = conditions.span(CopySourceRange, row["size"]) or (0, row["size"])
    wanted = (upload["checksum_algorithm"],) if upload["checksum_algorithm"] else ()
    return Source((Slice(content.path(store, row["file"]), start, length),), wanted)


@operation("s3:UploadPartCopy")
def upload_part_copy(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    UploadId: str,
    PartNumber: int,
    Body: Content,
    CopySource: str,  # noqa: ARG001  heeded before the copy was made
    CopySourceRange: str | None = None,  # noqa: ARG001  heeded before the copy was made
) -> dict[str, Any]:
    """Keep a part that is a copy of an object, or of some of its bytes."""
    uploads.find(store, Bucket, Key, UploadId)
    modified = _keep(store, UploadId, PartNumber, Body)
    sums = checksums.members(Body.checksums)
    return {"CopyPartResult": {"ETag": f'"{Body.md5}"', "LastModified": modified, **sums}}


@operation("s3:ListParts")
def list_parts(
    store: Store, *, Bucket: str, Key: str, UploadId: str, MaxParts: int = _PAGE, PartNumberMarker: int = 0
) -> dict[str, Any]:
    """The parts of an upload by number."""
    upload = uploads.find(store, Bucket, Key, UploadId)
    limit = min(max(MaxParts, 0), _PAGE)
    sql = "SELECT * FROM s3_part WHERE upload = ? AND number > ? ORDER BY number LIMIT ?"
    rows = store.rows(sql, UploadId, min(PartNumberMarker, _MOST_PARTS), limit + 1)
    shown = rows[:limit]
    return {
        "Bucket": Bucket,
        "Key": Key,
        "UploadId": UploadId,
        "PartNumberMarker": PartNumberMarker,
        "NextPartNumberMarker": shown[-1]["number"] if shown else None,
        "MaxParts": limit,
        "IsTruncated": len(rows) > limit,
        "StorageClass": "STANDARD",
        "ChecksumAlgorithm": upload["checksum_algorithm"] or None,
        "ChecksumType": upload["checksum_type"] or None,
        "Parts": [
            {
                "PartNumber": row["number"],
                "LastModified": row["modified"],
                "ETag": f'"{row["etag"]}"',
                "Size": row["size"],
                **checksums.members(content.decoded(row["checksums"])),
            }
            for row in shown
        ],
    }


def _check_part(number: int) -> None:
    if not 1 <= number <= _MOST_PARTS:
        message = f"Part number must be an integer between 1 and {_MOST_PARTS}, inclusive"
        raise AwsError("InvalidArgument", message)


def _keep(store: Store, upload: str, number: int, body: Content) -> float:
    before = store.row("SELECT file FROM s3_part WHERE upload = ? AND number = ?", upload, number)
    if before:
        content.forget(store, before["file"])
    now = store.now()
    store.execute(
        "INSERT OR REPLACE INTO s3_part VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(upload, number, body.file, body.size, body.md5, json.dumps(dict(body.checksums)), now),
    )
    return now
