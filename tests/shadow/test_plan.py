"""Words to a change, a change to a plan: values in, values out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Usage
from iotctl.scope import Things
from iotctl.semantics.state import merge
from iotctl.shadow import plan
from iotctl.target import Target

TARGET = Target("aws", "123456789012", "eu-west-1")


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        (["a.b=1", "c=null"], None, {"a": {"b": 1}, "c": None}),
        (["name=press", "on=true", 'list=[1, "x"]'], None, {"name": "press", "on": True, "list": [1, "x"]}),
        (["text=1.2.3", "empty="], None, {"text": "1.2.3", "empty": ""}),
        (["a.b=1"], {"a": {"c": 2}, "d": None}, {"a": {"c": 2, "b": 1}, "d": None}),
        (["a=null"], {"a": {"c": 2}}, {"a": None}),
        (["url=http://x?y=z"], None, {"url": "http://x?y=z"}),
        ([], {"a": 1}, {"a": 1}),
    ],
)
def test_change_of(words: list[str], given: Any, expected: Any) -> None:
    """Words and a file make one patch, the words winning."""
    assert expected == plan.change_of(words, given)


@pytest.mark.parametrize(
    ("words", "given", "reason"),
    [
        (["a"], None, "is not path=value"),
        (["=1"], None, "is not path=value"),
        (["a..b=1"], None, "has an empty key in its path"),
        ([], None, "nothing to set"),
        ([], [1], "does not hold a JSON object"),
        (["a=1", "a.b=2"], None, "sets something within a"),
        (["a.b=2", "a=1"], None, "something within it"),
        (["a=[1, null]"], None, "AWS would refuse this change"),
        (["a.b.c.d.e.f.g.h=1"], None, "too many levels"),
        (["a=" + "x" * 9000], None, "bytes"),
    ],
)
def test_a_change_that_cannot_be(words: list[str], given: Any, reason: str) -> None:
    """What AWS would refuse, and what means two things, is refused before anything is called."""
    with pytest.raises(Usage, match=reason):
        plan.change_of(words, given)


JSON = st.recursive(
    st.integers() | st.text(max_size=4), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=6
)
PATCH = st.dictionaries(st.sampled_from("abc"), JSON | st.none(), max_size=3)


@given(first=PATCH, second=PATCH, state=st.dictionaries(st.sampled_from("abc"), JSON))
def test_merged_patches_do_what_both_do(first: dict[str, Any], second: dict[str, Any], state: dict[str, Any]) -> None:
    """One patch of two is one after the other, but for objects that the second one makes out of nothing."""
    merged = plan.merge_patches(first, second)
    one_by_one = merge(merge(state, first), second)

    for path, value in plan.leaves(second):
        if value is not None and not isinstance(value, dict):
            assert value == _at(merge(state, merged), path) == _at(one_by_one, path)


def test_setting_reads_before_it_writes_unless_it_may_create() -> None:
    """Without --create a thing without the shadow is refused by a read of its own; with it there is only the update."""
    change = plan.Change({"a": 1}, shadow_name="config")
    planned = plan.setting(Things(["t-1", "t-2"]), change, TARGET)
    creating = plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 1}, create=True), TARGET)

    assert ["iot-data:GetThingShadow", "iot-data:UpdateThingShadow"] == [step.op for step in planned.each]
    assert ["iot-data:UpdateThingShadow"] == [step.op for step in creating.each]
    assert {"state": {"desired": {"a": 1}}} == json.loads(creating.each[0].params["payload"])
    assert {"iot-data:GetThingShadow": 2, "iot-data:UpdateThingShadow": 2} == planned.operations()


def test_the_run_id_is_of_the_inputs() -> None:
    """The same change for the same things is the same run; anything else is another."""
    base = plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 1}), TARGET).run_id

    assert base == plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 1}), TARGET).run_id
    others = {
        plan.setting(Things(["t-1"]), plan.Change({"a": 1}), TARGET).run_id,
        plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 2}), TARGET).run_id,
        plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 1}, "reported"), TARGET).run_id,
        plan.setting(Things(["t-1", "t-2"]), plan.Change({"a": 1}, shadow_name="x"), TARGET).run_id,
        plan.deleting(Things(["t-1", "t-2"]), None, TARGET).run_id,
        base,
    }
    assert 6 == len(others)


def _at(state: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = state
    for key in path:
        value = value[key]
    return value
