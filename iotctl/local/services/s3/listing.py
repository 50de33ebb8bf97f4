"""ListObjectsV2: keys in the order of their UTF-8, those with a common prefix rolled up."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.s3 import buckets, content, names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotctl.local.store import Store

_PAGE: Final = 1000
_FETCHED: Final = 200


@operation("s3:ListObjectsV2")
def list_objects_v2(
    store: Store,
    *,
    Bucket: str,
    Prefix: str = "",
    Delimiter: str = "",
    MaxKeys: int = _PAGE,
    StartAfter: str = "",
    ContinuationToken: str | None = None,
    EncodingType: str | None = None,
    FetchOwner: bool = False,
) -> dict[str, Any]:
    """A page of a bucket's objects."""
    buckets.check(store, Bucket)
    if MaxKeys < 0:
        raise AwsError("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647")
    if EncodingType not in {None, "url"}:
        raise AwsError("InvalidArgument", "Invalid Encoding Method specified in Request")
    end = names.successor(Prefix)

    def fetch(start: str, count: int) -> Sequence[Any]:
        sql = "SELECT * FROM s3_object WHERE bucket = ? AND key >= ? AND (? IS NULL OR key < ?) ORDER BY key LIMIT ?"
        return store.rows(sql, Bucket, start, end, end, count)

    start = _opened(ContinuationToken) if ContinuationToken is not None else _after(StartAfter)
    limit = min(MaxKeys, _PAGE)
    entries, following = page(fetch, Prefix, Delimiter, max(start, Prefix), limit)
    owner = {"Owner": {"ID": store.account_id}} if FetchOwner else {}
    return {
        "Name": Bucket,
        "Prefix": Prefix,
        "Delimiter": Delimiter or None,
        "MaxKeys": limit,
        "KeyCount": len(entries),
        "StartAfter": StartAfter or None,
        "EncodingType": EncodingType,
        "ContinuationToken": ContinuationToken,
        "IsTruncated": following is not None,
        "NextContinuationToken": base64.b64encode(following.encode()).decode() if following is not None else None,
        "Contents": [
            {
                "Key": one["key"],
                "LastModified": one["modified"],
                "ETag": f'"{one["etag"]}"',
                "Size": one["size"],
                "StorageClass": "STANDARD",
                "ChecksumAlgorithm": list(content.decoded(one["checksums"])),
                "ChecksumType": one["checksum_type"] or None,
                **owner,
            }
            for one in entries
            if not isinstance(one, str)
        ],
        "CommonPrefixes": [{"Prefix": one} for one in entries if isinstance(one, str)],
    }


def page(
    fetch: Callable[[str, int], Sequence[Any]], prefix: str, delimiter: str, start: str, limit: int
) -> tuple[list[Any], str | None]:
    """A page of a listing: rows, and common prefixes as texts; and where the next page starts, if there is one. Pure.

    Args:
        fetch: (from this key on, how many) -> rows with a `key`, in order, all of them with the prefix.
        prefix: of all keys.
        delimiter: keys with it after the prefix are rolled up to there; empty: none is.
        start: the first key that may be in the page.
        limit: how many entries.

    """
    entries: list[Any] = []
    position: str | None = start
    while position is not None and limit:
        rows = fetch(position, _FETCHED)
        position, exhausted = None, len(rows) < _FETCHED
        for row in rows:
            if len(entries) == limit:
                return entries, row["key"]
            at = row["key"].find(delimiter, len(prefix)) if delimiter else -1
            if at < 0:
                entries.append(row)
                continue
            rolled = row["key"][: at + len(delimiter)]
            entries.append(rolled)
            # Whatever else begins with it is skipped by the index, however much that is.
            position = names.successor(rolled)
            break
        else:
            position = None if exhausted else _after(rows[-1]["key"])
    return entries, None


def _after(key: str) -> str:
    """The smallest text after a key."""
    return f"{key}\0" if key else ""


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise AwsError("InvalidArgument", "The continuation token provided is incorrect") from error
