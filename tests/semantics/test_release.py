"""The order of releases, by semver.org's own example and by what any order must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.release import precedence
from tests import vectors

identifiers = st.lists(st.from_regex(r"[0-9A-Za-z-]{1,6}", fullmatch=True), max_size=3).map(".".join)
releases = st.builds(
    lambda numbers, before: ".".join(map(str, numbers)) + (f"-{before}" if before else ""),
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    identifiers,
)


def test_the_standards_own_order() -> None:
    """Semver.org, section 11.4.4, and numbers compared as numbers."""
    expected = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    expected += ["1.0.0-rc.1", "1.0.0", "1.2", "1.9.3", "1.10", "2024.11.3"]
    assert expected == sorted(sorted(expected), key=precedence)


@vectors.rows(("one", "other"), [("1.2", "1.2.0"), ("1.0.0+a", "1.0.0+b"), ("1.01", "1.1"), ("0", "0.0.0")])
def test_what_is_of_one_precedence(one: str, other: str) -> None:
    """Missing numbers are 0, build metadata does not count."""
    assert precedence(one) == precedence(other)


@vectors.rows("word", ["", "v1", "1.", ".1", "1..2", "1.0-", "1.0+", "1 ", "1\n", "\u0661", "1-é", "9" * 65])
def test_what_is_no_release(word: str) -> None:
    """It is refused, whole."""
    with pytest.raises(ValueError, match="is not a release"):
        precedence(word)


@given(releases, releases)
def test_any_two_releases_are_ordered(one: str, other: str) -> None:
    """Exactly one of lower, equal, higher."""
    first, second = precedence(one), precedence(other)
    assert 1 == (first < second) + (first == second) + (first > second)
