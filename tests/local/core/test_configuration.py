"""A component's configuration: reset, defaults, merge, pointers; and the variables that read it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.devices.core.configuration import at, overlaid, parts, updated
from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.interpolation import Scope, interpolated

DEFAULTS: dict[str, Any] = {"a": 1, "b": {"c": 2, "d": [1, 2]}}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("ab/~", max_size=2), VALUES, max_size=3)


@pytest.mark.parametrize(
    ("current", "reset", "merge", "expected"),
    [
        ({}, (), None, DEFAULTS),
        ({}, (), {"b": {"c": 3}, "e": None}, {"a": 1, "b": {"c": 3, "d": [1, 2]}, "e": None}),
        ({"a": 5}, (), None, {"a": 5, "b": {"c": 2, "d": [1, 2]}}),
        ({"a": 5, "x": 1}, ("/a",), None, {"x": 1, **DEFAULTS}),
        ({"a": 5, "b": {"c": 7}, "x": 1}, ("/b/c", "/nothing/here"), {"a": 6}, {**DEFAULTS, "a": 6, "x": 1}),
        ({"a": 5, "x": 1}, ("",), None, DEFAULTS),
        ({"b": {"d": [9]}}, ("/b/d/0",), None, {"a": 1, "b": {"c": 2, "d": [9]}}),
        ({"a": 5}, (), {"b": 7}, {"a": 5, "b": 7}),
        ({"b": 7}, (), {"b": {"c": 1}}, {"a": 1, "b": {"c": 1}}),
    ],
)
def test_reset_then_defaults_then_merge(
    current: dict[str, Any], reset: tuple[str, ...], merge: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    """What is there stays over the defaults; a reset makes room for them; the merge is over all."""
    assert expected == updated(current, DEFAULTS, reset, merge)


def test_an_older_deployment_only_adds() -> None:
    """One that was created before the last change does not undo it."""
    assert {"a": 5, "b": {"c": 2, "d": [1, 2]}, "n": 1} == updated(
        {"a": 5}, DEFAULTS, (), {"a": 9, "n": 1}, newest=False
    )


@given(OBJECTS, OBJECTS)
def test_a_merge_is_there_afterwards_and_again_changes_nothing(current: dict[str, Any], merge: dict[str, Any]) -> None:
    """Whatever is merged holds; merging is idempotent; what is given is not changed."""
    before = overlaid({}, current)
    once = updated(current, {}, (), merge)

    assert (once, before) == (updated(once, {}, (), merge), current)
    assert all(once[key] == value for key, value in merge.items() if not isinstance(value, dict))


@given(OBJECTS, st.text("ab/~", max_size=2))
def test_a_pointer_finds_every_key(inner: dict[str, Any], key: str) -> None:
    """Slashes and tildes in keys are escaped, as RFC 6901 has it."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    assert inner == at({"x": {key: inner}}, f"/x/{escaped}")
    assert {} == updated({key: inner}, {}, (f"/{escaped}",))


def test_pointers_into_arrays_and_to_nothing() -> None:
    """An index is one; what is not there is a KeyError; what is no pointer is refused."""
    assert 2 == at(DEFAULTS, "/b/d/1")
    assert ["", "a/b"] == parts("//a~1b")
    for pointer in ("/b/d/2", "/b/d/-", "/b/d/01", "/a/b", "/zz"):
        with pytest.raises(KeyError):
            at(DEFAULTS, pointer)
    with pytest.raises(Failed, match="not a JSON pointer"):
        updated({}, {}, ("a",))


OWN = Scope(
    {
        "artifacts": {"path": "/root/artifacts", "decompressedPath": "/root/unpacked"},
        "kernel": {"rootPath": "/root"},
        "iot": {"thingName": "cam"},
        "work": {"path": "/root/work"},
    },
    {"port": 8080, "on": True, "name": "x", "list": [1, {"k": "v"}], "trap": "{kernel:rootPath}"},
)
OTHER = Scope({"artifacts": {"path": "/other"}}, {"key": {"deep": "value"}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{artifacts:path}/run.py -p {configuration:/port}", "/root/artifacts/run.py -p 8080"),
        ("{artifacts:decompressedPath} {kernel:rootPath} {work:path}", "/root/unpacked /root /root/work"),
        ("{iot:thingName} {configuration:/on} {configuration:/name}", "cam true x"),
        ("{configuration:/list} {configuration:/list/1/k}", '[1,{"k":"v"}] v'),
        ("{com.example.Other:configuration:/key/deep} {com.example.Other:artifacts:path}", "value /other"),
        ("{configuration:/trap}", "{kernel:rootPath}"),
        (
            "{configuration:/missing} {nothing:path} {com.example.Stranger:configuration:/a} ${HOME} {}",
            "{configuration:/missing} {nothing:path} {com.example.Stranger:configuration:/a} ${HOME} {}",
        ),
    ],
)
def test_variables(text: str, expected: str) -> None:
    """Each stands for its value; what means nothing stays as it is, and what a value holds is not looked through."""
    assert {"Run": [expected, 5]} == interpolated({"Run": [text, 5]}, OWN, {"com.example.Other": OTHER})
