"""What buckets and keys are called, and which bucket a host name stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.services import AwsError
from iotctl.local.services.s3 import names

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.mark.parametrize("name", ["abc", "a.b", "my-bucket-1", "0ab", "a" * 63])
def test_buckets(name: str) -> None:
    """The rules of the user guide allow these."""
    assert names.is_bucket(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Abc", "a_b", "a..b", "-ab", "ab-", "1.2.3.4", "xn--a", "sthree-a", "a--ol-s3", "a/b", "../x", ""],
)
def test_no_buckets(name: str) -> None:
    """The rules of the user guide forbid these."""
    with pytest.raises(AwsError, match="not valid"):
        names.check_bucket(name)


def test_longest_key() -> None:
    """A key has 1024 bytes at most, counted as UTF-8."""
    names.check_key("é" * 512)
    with pytest.raises(AwsError, match="too long"):
        names.check_key("é" * 512 + "a")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("abc.localhost", "abc"),
        ("a.b.localhost", "a.b"),
        ("localhost", None),
        ("127.0.0.1", None),
        ("s3.eu-west-1.amazonaws.com", ""),
        ("abc.s3.eu-west-1.amazonaws.com", "abc"),
        ("abc.s3.us-east-1.amazonaws.com", None),
        ("ABC.s3.eu-west-1.amazonaws.com", None),
        ("abc.s3.eu-west-1.amazonaws.com.evil.example", None),
        ("evil-s3.eu-west-1.amazonaws.com", None),
        ("iot.eu-west-1.amazonaws.com", None),
    ],
)
def test_hosts(host: str, expected: str | None) -> None:
    """Exactly this platform's region's names of S3, and those below localhost."""
    assert expected == names.host_bucket(host, "eu-west-1")


@given(TEXT, TEXT)
def test_successor(prefix: str, rest: str) -> None:
    """It is after every text with the prefix, in the order of UTF-8, and right after."""
    after = names.successor(prefix)
    assert after is None or (prefix + rest).encode() < after.encode()
    assert after is None or not any(prefix < text < after and not text.startswith(prefix) for text in (rest, prefix))
    assert (after is None) == (not prefix.strip("\U0010ffff"))
