"""The functions of provisioning templates."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.intrinsics import Scope, TemplateError, resolve
from tests import vectors

SCOPE = Scope({"Serial": "00-11", "Place": "Seattle"}, {"Places": {"Seattle": {"Url": "https://example.aws"}}})


@vectors.rows(
    ("value", "expected"),
    [
        ({"Ref": "Serial"}, "00-11"),
        ({"Fn::Join": ["", ["Pump_", {"Ref": "Serial"}]]}, "Pump_00-11"),
        ({"Fn::Join": ["/", {"Fn::Split": ["-", {"Ref": "Serial"}]}]}, "00/11"),
        ({"Fn::Select": [1, {"Fn::Split": ["-", {"Ref": "Serial"}]}]}, "11"),
        ({"Fn::Select": ["0", ["a", "b"]]}, "a"),
        ({"Fn::FindInMap": ["Places", {"Ref": "Place"}, "Url"]}, "https://example.aws"),
        ({"Fn::Sub": "topic/${Place}/${!iot:ClientId}"}, "topic/Seattle/${iot:ClientId}"),
        ({"Fn::Sub": ["${Place}-${n}", {"n": {"Ref": "Serial"}}]}, "Seattle-00-11"),
        ({"Fn::Sub": "no variables"}, "no variables"),
        ({"a": [{"Ref": "Place"}, 1, None, True], "b": {}}, {"a": ["Seattle", 1, None, True], "b": {}}),
        ("${Place}", "${Place}"),
    ],
)
def test_what_a_function_stands_for(value: Any, expected: Any) -> None:
    """Each function, alone and inside another; text outside Fn::Sub holds no variables."""
    assert expected == resolve(value, SCOPE)


@vectors.rows(
    ("value", "reason"),
    [
        ({"Ref": "AWS::Region"}, "Cannot resolve reference value: AWS::Region"),
        ({"Ref": {"Ref": "Serial"}}, "Cannot resolve reference value"),
        ({"Fn::Sub": "${Nowhere}"}, "Cannot resolve reference value: Nowhere"),
        ({"Fn::Sub": ["${n}", {"n": 1}]}, "Fn::Sub substitutes strings"),
        ({"Fn::Sub": 1}, "Fn::Sub takes"),
        ({"Fn::Select": [2, ["a", "b"]]}, "Fn::Select finds nothing at 2"),
        ({"Fn::Select": [-1, ["a", "b"]]}, "Fn::Select finds nothing at -1"),
        ({"Fn::Select": [0, [None]]}, "Fn::Select finds nothing at 0"),
        ({"Fn::Select": [True, ["a", "b"]]}, "Fn::Select takes"),
        ({"Fn::Join": ["", ["a", 1]]}, "Fn::Join takes"),
        ({"Fn::Split": ["", "a"]}, "Fn::Split takes"),
        ({"Fn::FindInMap": ["Places", "Oslo", "Url"]}, "Fn::FindInMap finds nothing at Places, Oslo, Url"),
        ({"Fn::FindInMap": "Places"}, "Fn::FindInMap takes"),
        ({"Fn::GetAtt": ["thing", "Arn"]}, "Fn::GetAtt is not a function"),
        ({"Ref": "Serial", "Fn::Join": []}, "does not stand alone"),
    ],
)
def test_what_has_no_value_is_refused(value: Any, reason: str) -> None:
    """An error names the function or the reference; nothing is left unreplaced in silence."""
    with pytest.raises(TemplateError) as caught:
        resolve(value, SCOPE)
    assert reason in str(caught.value)


def test_depth_is_bounded() -> None:
    """A template of functions within functions ends in an error, not in the interpreter's limit."""
    value: Any = "x"
    for _ in range(100):
        value = {"Fn::Join": ["", [value]]}
    with pytest.raises(TemplateError):
        resolve(value, SCOPE)


@given(parts=st.lists(st.text(st.characters(exclude_characters="|"))), place=st.integers(0, 10))
def test_split_join_and_select_agree(parts: list[str], place: int) -> None:
    """Join after Split is the text itself, and Select finds what Split gave."""
    text = "|".join(parts)
    split = {"Fn::Split": ["|", text]}
    assert text == resolve({"Fn::Join": ["|", split]}, SCOPE)
    if place < len(parts):
        assert parts[place] == resolve({"Fn::Select": [place, split]}, SCOPE)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Ref", "Fn::Sub", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "a"]),
                inner,
                max_size=2,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_resolves_or_is_refused(value: Any) -> None:
    """Of any JSON at all comes JSON again, or TemplateError and nothing else."""
    with contextlib.suppress(TemplateError):
        json.dumps(resolve(value, SCOPE))
