"""Conditions of RFC 7232 and ranges of RFC 7233."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.services import AwsError
from iotctl.local.services.s3 import conditions

MODIFIED = 1_700_000_000.5
SAME, BEFORE = "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT"


def read(**given: str) -> str:
    """The name of the refusal to read an object with the ETag `e`; empty: it is read."""
    names = ("if_match", "if_none_match", "if_modified_since", "if_unmodified_since")
    try:
        conditions.check_read("e", MODIFIED, **{name: given.get(name) for name in names})
    except AwsError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"if_match": '"e"'}, ""),
        ({"if_match": '"x", "e"'}, ""),
        ({"if_match": "*"}, ""),
        ({"if_match": '"x"'}, "PreconditionFailed"),
        ({"if_unmodified_since": SAME}, ""),
        ({"if_unmodified_since": BEFORE}, "PreconditionFailed"),
        ({"if_match": '"e"', "if_unmodified_since": BEFORE}, ""),
        ({"if_none_match": 'W/"e"'}, "NotModified"),
        ({"if_none_match": '"x"'}, ""),
        ({"if_modified_since": SAME}, "NotModified"),
        ({"if_modified_since": BEFORE}, ""),
        ({"if_modified_since": "never"}, ""),
        ({"if_none_match": '"x"', "if_modified_since": SAME}, ""),
    ],
)
def test_reading(given: dict[str, str], expected: str) -> None:
    """Each condition alone, and which of two counts."""
    assert expected == read(**given)


@pytest.mark.parametrize(
    ("etag", "if_match", "if_none_match", "expected"),
    [
        (None, None, "*", ""),
        ("e", None, "*", "PreconditionFailed"),
        ("e", None, '"x"', "NotImplemented"),
        ("e", '"e"', None, ""),
        ("e", '"x"', None, "PreconditionFailed"),
        (None, '"e"', None, "NoSuchKey"),
    ],
)
def test_writing(etag: str | None, if_match: str | None, if_none_match: str | None, expected: str) -> None:
    """What may be written where something is, or nothing."""
    found = ""
    try:
        conditions.check_write(etag, if_match, if_none_match)
    except AwsError as error:
        found = error.code
    assert expected == found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 8)),
        ("bytes=2-99", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=-99", (0, 10)),
        ("bytes=3-2", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=10-", "InvalidRange"),
        ("bytes=-0", "InvalidRange"),
    ],
)
def test_ranges(asked: str | None, expected: object) -> None:
    """Of ten bytes; a range that is none, or several, is the whole."""
    try:
        found: object = conditions.span(asked, 10)
    except AwsError as error:
        found = error.code
    assert expected == found


@given(st.text(max_size=20), st.integers(0, 5))
def test_any_range(asked: str, size: int) -> None:
    """Whatever is asked, the answer lies within the object, or it is refused."""
    with contextlib.suppress(AwsError):
        start, length = conditions.span(f"bytes={asked}", size) or (0, size)
        assert 0 <= start <= start + length <= size
