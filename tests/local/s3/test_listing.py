"""ListObjectsV2: prefixes, delimiters, pages."""

from __future__ import annotations

import bisect
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.services.s3 import listing, names
from tests.local.conftest import refused

KEYS = st.lists(st.text("ab/\U0010ffff\x00", min_size=1, max_size=5), unique=True, max_size=12).map(sorted)


def rolled_up(keys: list[str], prefix: str, delimiter: str) -> list[str]:
    """What a listing has, written down plainly."""
    found = []
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = key if at < 0 else key[: at + len(delimiter)]
            if entry not in found:
                found.append(entry)
    return found


@given(KEYS, st.text("ab/", max_size=2), st.sampled_from(["", "/", "a/", "\U0010ffff"]), st.integers(1, 4))
def test_pages(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    """The pages of any size, together, are the listing, each entry once."""
    end = names.successor(prefix)
    within = [key for key in keys if key >= prefix and (end is None or key < end)]

    def fetch(start: str, count: int) -> list[dict[str, str]]:
        at = bisect.bisect_left(within, start)
        return [{"key": key} for key in within[at : at + count]]

    found: list[str] = []
    start: str | None = prefix
    while start is not None:
        entries, start = listing.page(fetch, prefix, delimiter, start, limit)
        assert len(entries) == limit or start is None
        found += [entry if isinstance(entry, str) else entry["key"] for entry in entries]
    assert rolled_up(keys, prefix, delimiter) == found


def test_over_http(s3: Any, bucket: str) -> None:
    """Pages, prefixes and everything a key may hold, through boto3's paginator."""
    keys = sorted(["a", "b/1", "b/2", "b/c/3", "d e+f%/&<>", "é/x", "é/y"])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    paginator = s3.get_paginator("list_objects_v2")

    def entries(**options: Any) -> list[str]:
        pages = paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **options)
        return sorted(
            name
            for page in pages
            for name in [one["Key"] for one in page.get("Contents", [])]
            + [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        )

    assert keys == entries()
    assert ["a", "b/", "d e+f%/", "é/"] == entries(Delimiter="/")
    assert ["b/1", "b/2", "b/c/"] == entries(Delimiter="/", Prefix="b/")
    assert ["b/c/3", "d e+f%/&<>", "é/x", "é/y"] == entries(StartAfter="b/2")
    assert [] == entries(Prefix="none")
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, FetchOwner=True)
    assert (1, True, 1) == (first["KeyCount"], first["IsTruncated"], first["Contents"][0]["Size"])
    assert (0, False) == ((none := s3.list_objects_v2(Bucket=bucket, MaxKeys=0))["KeyCount"], none["IsTruncated"])
    assert "InvalidArgument" == refused(s3.list_objects_v2, Bucket=bucket, MaxKeys=-1).code
