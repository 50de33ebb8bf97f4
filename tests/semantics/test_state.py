"""The algebra of shadow states: the properties S1 to S9 of merge, diff and delta."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.state import ABSENT, delta, diff, differences, merge, pointed, pointer, same
from tests import vectors

KEYS = st.one_of(st.sampled_from(["a", "b", "c", "", "a/b", "~", "~1", "timestamp"]), st.text(max_size=4))
SCALARS = st.one_of(
    st.booleans(),
    st.sampled_from([0, 1, 0.0, -0.0, 1.0, "", "1"]),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
STATES = st.dictionaries(KEYS, VALUES, max_size=4)
PATCHES = st.recursive(
    st.dictionaries(KEYS, st.one_of(st.none(), VALUES), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(st.none(), VALUES, inner), max_size=3),
    max_leaves=6,
)


def text_of(value: Any) -> str:
    """The JSON text that decides what is the same."""
    return json.dumps(value, sort_keys=True)


@given(STATES, STATES)
def test_merging_a_diff_gives_the_other_state(before: dict[str, Any], after: dict[str, Any]) -> None:
    """S1: merge(a, diff(a, b)) is b."""
    assert text_of(after) == text_of(merge(before, diff(before, after)))


@given(STATES)
def test_a_state_does_not_differ_from_itself(state: dict[str, Any]) -> None:
    """S2: diff(a, a) is empty."""
    assert diff(state, copy.deepcopy(state)) == {}


@given(STATES, PATCHES)
def test_a_patch_may_be_repeated(state: dict[str, Any], patch: dict[str, Any]) -> None:
    """S3: an update without a version is idempotent."""
    once = merge(state, patch)
    assert text_of(once) == text_of(merge(once, patch))


@given(STATES, STATES)
def test_a_device_that_reports_its_delta_converges(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    """S4: delta(d, merge(r, delta(d, r))) is empty."""
    assert delta(desired, merge(reported, delta(desired, reported))) == {}


@given(STATES, PATCHES)
def test_merge_shares_nothing_with_what_it_is_given(state: dict[str, Any], patch: dict[str, Any]) -> None:
    """S5: no aliasing: spoiling the result leaves both inputs as they were."""
    inputs = copy.deepcopy((state, patch))
    _spoil(merge(state, patch))
    assert inputs == (state, patch)


@pytest.mark.xfail(reason="S6: patches do not combine, so they are never coalesced", strict=True)
def test_patches_do_not_combine() -> None:
    """S6: merge(merge(a, p), q) is not merge(a, merge(p, q))."""
    state, first, second = {"a": {"x": 1}}, {"a": {"y": 1}}, {"a": None}
    assert merge(merge(state, first), second) == merge(state, merge(first, second))


@pytest.mark.xfail(reason="S6: patches do not commute: the last writer wins", strict=True)
def test_patches_do_not_commute() -> None:
    """S6: the order of two updates of one key counts."""
    assert merge(merge({}, {"a": 1}), {"a": 2}) == merge(merge({}, {"a": 2}), {"a": 1})


@given(VALUES, VALUES)
def test_sameness_is_that_of_the_json_text(one: Any, other: Any) -> None:
    """S7: two values are the same when their sorted JSON text is."""
    assert (text_of(one) == text_of(other)) == same(one, other)
    assert same(one, copy.deepcopy(one))


@vectors.rows(("one", "other"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), ([1], [1.0]), ({}, [])])
def test_values_that_python_or_javascript_confuse_are_not_the_same(one: Any, other: Any) -> None:
    """S7: 1, 1.0 and true are three values."""
    assert not same(one, other)


@given(st.lists(st.text(max_size=5), max_size=5).map(tuple))
def test_a_pointer_reads_back(path: tuple[str, ...]) -> None:
    """S8: JSON Pointer escapes ~ and /."""
    assert path == pointed(pointer(path))


@vectors.rows(
    ("path", "expected"), [((), ""), (("",), "/"), (("a/b",), "/a~1b"), (("m~n", "c"), "/m~0n/c"), (("~1",), "/~01")]
)
def test_pointers_are_those_of_rfc_6901(path: tuple[str, ...], expected: str) -> None:
    """S8: the RFC's own examples."""
    assert expected == pointer(path)


def test_a_pointer_begins_with_a_slash() -> None:
    """S8: `a/b` is no pointer."""
    with pytest.raises(ValueError, match="begins with /"):
        pointed("a/b")


@given(STATES, STATES)
def test_a_delta_holds_only_what_is_desired(desired: dict[str, Any], reported: dict[str, Any]) -> None:
    """S9: every path of the delta is a path of desired, with its value."""
    for difference in differences(delta(desired, reported), desired):
        assert difference.left is ABSENT


@given(STATES, STATES)
def test_differences_are_what_the_states_do_not_share(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Each difference names a place whose two sides are as it says, and no difference means the same state."""
    found = list(differences(left, right))
    assert same(left, right) == (not found)
    for difference in found:
        assert same(difference.left, _at(left, difference.path))
        assert same(difference.right, _at(right, difference.path))
        assert difference.path == pointed(difference.pointer)


def test_differences_come_in_the_order_of_the_left_state() -> None:
    """What only the right side has comes last; arrays are compared whole."""
    left = {"z": 1, "n": {"same": 0, "x": [1, 2]}, "gone": 1}
    right = {"new": None, "n": {"x": [2, 1], "same": 0}, "z": True}
    expected = [("/z", 1, True), ("/n/x", [1, 2], [2, 1]), ("/gone", 1, ABSENT), ("/new", ABSENT, None)]
    assert expected == [(d.pointer, d.left, d.right) for d in differences(left, right)]


def _at(state: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = state
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def _spoil(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value.clear()
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.clear()
