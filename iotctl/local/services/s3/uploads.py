"""Multipart uploads: begun, completed, aborted, listed."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import buckets, checksums, content, names, objects
from iotctl.local.services.s3.content import Content, Slice, Source, source

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS s3_upload (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES s3_bucket, key TEXT NOT NULL, initiated REAL NOT NULL,
    description TEXT NOT NULL, checksum_algorithm TEXT NOT NULL, checksum_type TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS s3_upload_key ON s3_upload (bucket, key);
CREATE TABLE IF NOT EXISTS s3_part (
    upload TEXT NOT NULL REFERENCES s3_upload ON DELETE CASCADE, number INTEGER NOT NULL, file TEXT NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, checksums TEXT NOT NULL, modified REAL NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS s3_part_file ON s3_part (file)
"""

SMALLEST_PART: Final = 5 * 1024 * 1024
_PAGE: Final = 1000
_ONLY_WHOLE: Final = frozenset({"CRC64NVME"})
_ONLY_COMPOSITE: Final = frozenset({"SHA1", "SHA256", "SHA512", "MD5"})


@operation("s3:CreateMultipartUpload")
def create_multipart_upload(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    ChecksumAlgorithm: str | None = None,
    ChecksumType: str | None = None,
    **described: Any,  # noqa: ANN401  texts, and Metadata
) -> dict[str, Any]:
    """Begin an upload."""
    objects.check(store, Bucket, Key, None, None)
    objects.check_description(described)
    kind = ""
    if ChecksumAlgorithm:
        checksums.check_algorithm(ChecksumAlgorithm)
        kind = ChecksumType or (checksums.FULL_OBJECT if ChecksumAlgorithm in _ONLY_WHOLE else checksums.COMPOSITE)
        impossible = _ONLY_WHOLE if kind == checksums.COMPOSITE else _ONLY_COMPOSITE
        if kind not in {checksums.COMPOSITE, checksums.FULL_OBJECT} or ChecksumAlgorithm in impossible:
            message = f"The {kind} checksum type cannot be used with the {ChecksumAlgorithm} checksum algorithm."
            raise AwsError("InvalidRequest", message)
    upload = secrets.token_hex(32)
    store.execute(
        "INSERT INTO s3_upload VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(upload, Bucket, Key, store.now(), json.dumps(described), ChecksumAlgorithm or "", kind),
    )
    return {
        "Bucket": Bucket,
        "Key": Key,
        "UploadId": upload,
        "ChecksumAlgorithm": ChecksumAlgorithm,
        "ChecksumType": kind or None,
    }


@source("s3:CompleteMultipartUpload")
def _before_complete(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    UploadId: str,
    MultipartUpload: dict[str, Any] | None = None,
    MpuObjectSize: int | None = None,
    ChecksumType: str | None = None,
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **expected: str,  # noqa: ARG001  the checksum is compared when there is one
) -> Source:
    if _completed(store, Bucket, Key, UploadId):
        return Source(())
    upload = find(store, Bucket, Key, UploadId)
    objects.check(store, Bucket, Key, IfMatch, IfNoneMatch)
    parts = _chosen(store, upload, MultipartUpload or {})
    if ChecksumType not in {None, upload["checksum_type"]}:
        message = f"The upload was created with the checksum type {upload['checksum_type'] or 'null'}."
        raise AwsError("InvalidRequest", message)
    size = sum(part["size"] for part in parts)
    if MpuObjectSize not in {None, size}:
        raise AwsError("InvalidRequest", f"The object has {size} bytes, not {MpuObjectSize}.")
    whole = upload["checksum_type"] == checksums.FULL_OBJECT
    slices = tuple(Slice(content.path(store, part["file"]), 0, part["size"]) for part in parts)
    return Source(slices, (upload["checksum_algorithm"],) if whole else ())


@operation("s3:CompleteMultipartUpload")
def complete_multipart_upload(
    store: Store,
    *,
    Bucket: str,
    Key: str,
    UploadId: str,
    Body: Content,
    MultipartUpload: dict[str, Any] | None = None,
    MpuObjectSize: int | None = None,  # noqa: ARG001  compared before the parts were joined
    ChecksumType: str | None = None,  # noqa: ARG001  compared before the parts were joined
    IfMatch: str | None = None,
    IfNoneMatch: str | None = None,
    **expected: str,
) -> dict[str, Any]:
    """Make an upload's parts, joined in Body, the object of its key; asked again, it answers the same."""
    done = _completed(store, Bucket, Key, UploadId)
    if done is None:
        upload = find(store, Bucket, Key, UploadId)
        objects.check(store, Bucket, Key, IfMatch, IfNoneMatch, during=True)
        parts = _chosen(store, upload, MultipartUpload or {})
        if sum(part["size"] for part in parts) != Body.size:
            raise AwsError("OperationAborted", "A part was replaced while the upload was completed. Try again.")
        sums = _sums(upload, parts, Body)
        for member, value in expected.items():
            found = sums.get(member.removeprefix("Checksum"))
            if found is not None and value.partition("-")[0] != found.partition("-")[0]:
                algorithm = member.removeprefix("Checksum")
                message = f"The {algorithm} you specified did not match the calculated checksum."
                raise AwsError("BadDigest", message)
        digests = b"".join(bytes.fromhex(part["etag"]) for part in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        described = content.decoded(upload["description"])
        objects.keep(store, Bucket, Key, Body, etag, described, sums, upload["checksum_type"] if sums else "", UploadId)
        _drop(store, UploadId)
        done = objects.find(store, Bucket, Key)
    return {
        "Location": f"/{Bucket}/{Key}",
        "Bucket": Bucket,
        "Key": Key,
        "ETag": f'"{done["etag"]}"',
        "ChecksumType": done["checksum_type"] or None,
        **checksums.members(content.decoded(done["checksums"])),
    }


@operation("s3:AbortMultipartUpload")
def abort_multipart_upload(store: Store, *, Bucket: str, Key: str, UploadId: str) -> None:
    """Give up an upload and what was uploaded."""
    find(store, Bucket, Key, UploadId)
    _drop(store, UploadId)


@operation("s3:ListMultipartUploads")
def list_multipart_uploads(
    store: Store,
    *,
    Bucket: str,
    Prefix: str = "",
    KeyMarker: str = "",
    UploadIdMarker: str = "",
    MaxUploads: int = _PAGE,
    EncodingType: str | None = None,
) -> dict[str, Any]:
    """The uploads of a bucket that are not completed, by key and id."""
    buckets.check(store, Bucket)
    limit = min(max(MaxUploads, 0), _PAGE)
    # Without an id every upload of the marker's key comes before the page (API reference, "key-marker").
    marker = UploadIdMarker or "\U0010ffff"
    end = names.successor(Prefix)
    rows = store.rows(
        "SELECT * FROM s3_upload WHERE bucket = ? AND key >= ? AND (? IS NULL OR key < ?) AND (key, id) > (?, ?)"
        " ORDER BY key, id LIMIT ?",
        *(Bucket, Prefix, end, end, KeyMarker, marker if KeyMarker else "", limit + 1),
    )
    shown = rows[:limit]
    more = len(rows) > limit and bool(shown)
    return {
        "Bucket": Bucket,
        "Prefix": Prefix,
        "KeyMarker": KeyMarker,
        "UploadIdMarker": UploadIdMarker,
        "NextKeyMarker": shown[-1]["key"] if more else None,
        "NextUploadIdMarker": shown[-1]["id"] if more else None,
        "MaxUploads": limit,
        "IsTruncated": more,
        "EncodingType": EncodingType,
        "Uploads": [
            {
                "Key": row["key"],
                "UploadId": row["id"],
                "Initiated": row["initiated"],
                "StorageClass": "STANDARD",
                "ChecksumAlgorithm": row["checksum_algorithm"] or None,
                "ChecksumType": row["checksum_type"] or None,
            }
            for row in shown
        ],
    }


def find(store: Store, bucket: str, key: str, upload: str) -> sqlite3.Row:
    """The row of an upload.

    Raises:
        AwsError: NoSuchBucket, NoSuchUpload.

    """
    row = store.row("SELECT * FROM s3_upload WHERE id = ? AND bucket = ? AND key = ?", upload, bucket, key)
    if row is None:
        buckets.check(store, bucket)
        message = "The specified upload does not exist. The upload ID may be invalid, or it was aborted or completed."
        raise AwsError("NoSuchUpload", message, UploadId=upload)
    return row


def _completed(store: Store, bucket: str, key: str, upload: str) -> sqlite3.Row | None:
    """The object that an upload has become already."""
    sql = "SELECT * FROM s3_object WHERE bucket = ? AND key = ? AND upload = ?"
    return store.row(sql, bucket, key, upload) if upload else None


def _chosen(store: Store, upload: sqlite3.Row, asked: dict[str, Any]) -> list[sqlite3.Row]:
    """The parts that a completion lists, each as it was uploaded."""
    listed = asked.get("Parts", [])
    if not listed:
        raise AwsError("MalformedXML", "The XML you provided lists no parts")
    numbers = [one.get("PartNumber", 0) for one in listed]
    if any(after <= before for before, after in itertools.pairwise(numbers)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise AwsError("InvalidPartOrder", message)
    found = {row["number"]: row for row in store.rows("SELECT * FROM s3_part WHERE upload = ?", upload["id"])}
    for place, one in enumerate(listed, 1):
        row = found.get(one.get("PartNumber", 0))
        sums = content.decoded(row["checksums"]) if row else {}
        given = {name.removeprefix("Checksum"): value for name, value in one.items() if name.startswith("Checksum")}
        same = all(sums.get(algorithm) == value for algorithm, value in given.items())
        if row is None or one.get("ETag", "").strip('"') != row["etag"] or not same:
            message = "One or more of the specified parts could not be found, or its ETag or checksum is another."
            raise AwsError("InvalidPart", message, PartNumber=str(one.get("PartNumber", "")))
        if row["size"] < SMALLEST_PART and place < len(listed):
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise AwsError("EntityTooSmall", message, ProposedSize=str(row["size"]), MinSizeAllowed=str(SMALLEST_PART))
        if upload["checksum_type"] == checksums.COMPOSITE and upload["checksum_algorithm"] not in given:
            message = (
                f"The upload was created using a {upload['checksum_algorithm'].lower()} checksum. The complete request "
                f"must include the checksum for each part. It was missing for part {row['number']} in the request."
            )
            raise AwsError("InvalidRequest", message)
    return [found[number] for number in numbers]


def _sums(upload: sqlite3.Row, parts: list[sqlite3.Row], body: Content) -> dict[str, str]:
    algorithm = upload["checksum_algorithm"]
    if upload["checksum_type"] == checksums.COMPOSITE:
        each = [content.decoded(part["checksums"])[algorithm] for part in parts]
        return {algorithm: checksums.composite(algorithm, each)}
    return dict(body.checksums)


def _drop(store: Store, upload: str) -> None:
    for row in store.rows("SELECT file FROM s3_part WHERE upload = ?", upload):
        content.forget(store, row["file"])
    store.execute("DELETE FROM s3_upload WHERE id = ?", upload)
