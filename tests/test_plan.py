"""What is about to happen, as data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotctl.plan import Expect, Merge, Plan, Ref, Step, lookup, resolve
from iotctl.target import Target

_AWS = Target("aws", "123456789012", "us-east-1")


def _plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "command": "onboard apply",
        "run_id": "abc",
        "target": _AWS,
        "summary": "register 3 things",
    }
    return Plan(**{**values, "rows": tuple({"thingName": f"t{n}", "line": n} for n in range(3)), **changes})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("row.thingName", "pump-7"),
        ("row.attributes.site.hall", 1),
        ("row.attributes.site.hall.x", None),
        ("row.attributes.none", None),
        ("certificate.certificateId", "c1"),
        ("nobody", None),
        ("row.thingName.x", None),
    ],
)
def test_lookup_finds_dotted_paths_and_dotted_keys(path: str, expected: object) -> None:
    """Attribute names hold dots: the longest key that fits is taken; what is absent is None."""
    scope = {
        "row": {"thingName": "pump-7", "attributes": {"site.hall": 1, "site": {"hall": 2}}},
        "certificate": {"certificateId": "c1"},
    }
    assert expected == lookup(path, scope)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": Ref("row.type"), "b": 1}, {"b": 1}),
        ({"a": {"b": {"c": None}}}, {}),
        ({"a": [Ref("row.name"), "x"]}, {"a": ["pump", "x"]}),
        (Merge((Ref("row.attributes"), {"id": Ref("row.name")}, Ref("row.type"))), {"x": "1", "id": "pump"}),
        ({"flag": False, "empty": "", "none": [], "zero": 0}, {"flag": False, "empty": "", "none": [], "zero": 0}),
    ],
)
def test_resolve_puts_values_in_and_leaves_out_what_is_not_declared(value: object, expected: object) -> None:
    """None and {} are left out of objects; everything else is kept."""
    scope = {"row": {"name": "pump", "type": None, "attributes": {"x": "1"}}}
    assert expected == resolve(value, scope)


def test_operations_count_calls_and_leave_out_effects_on_this_machine() -> None:
    """Shared steps once, row steps once a row or as often as the plan says; what is never called is not listed."""
    plan = _plan(
        shared=(Step("iot:CreateThingType"), Step("iot:CreateThingType")),
        each=(Step("file:PublishBundle"), Step("iot:CreateThing"), Step("iot:AddThingToThingGroup"), Step("s3:X")),
        calls={"iot:AddThingToThingGroup": 7, "s3:X": 0},
    )
    assert {"iot:CreateThingType": 2, "iot:CreateThing": 3, "iot:AddThingToThingGroup": 7} == plan.operations()


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ({}, (0.3, "iot:RegisterCertificateWithoutCA")),
        ({"iot:RegisterCertificateWithoutCA": 1000.0}, (0.03, "iot:CreateThing")),
    ],
)
def test_the_slowest_operation_decides_how_long_it_takes(
    allowed: dict[str, float], expected: tuple[float, str]
) -> None:
    """Calls of different operations overlap, so one quota binds; the account's own quotas come first."""
    each = (Step("iot:CreateThing"), Step("iot:RegisterCertificateWithoutCA"), Step("iot:Unknown"))
    assert expected == _plan(each=each, quotas=allowed).duration()


def test_a_plan_without_quotas_takes_no_time() -> None:
    """An operation of which no quota is published is not guessed at."""
    assert (0.0, "") == _plan(each=(Step("iot:Unknown"),)).duration()


def test_iam_actions_include_those_of_its_checks() -> None:
    """What a step reads to judge a conflict, or to be skipped, must be allowed too."""
    plan = _plan(
        each=(
            Step("iot:CreateThing", on_exists=(Expect("x", 1, op="iot:DescribeThing"),)),
            Step("iot-data:UpdateThingShadow", unless_found="iot-data:GetThingShadow"),
        )
    )
    expected = ("iot:CreateThing", "iot:DescribeThing", "iot:GetThingShadow", "iot:UpdateThingShadow")
    assert expected == plan.iam_actions()


def test_a_plan_is_json() -> None:
    """References, merges and expectations survive as data."""
    step = Step(
        "iot:CreateThing",
        {"thingName": Ref("row.thingName"), "attributes": Merge((Ref("row.attributes"), {"a": "b"}))},
        name="thing",
        for_each=Ref("row.groups"),
        on_exists=(Expect("attributes.a", Ref("row.a"), op="iot:DescribeThing"),),
        unless_found="iot:DescribeThing",
    )
    document = json.loads(json.dumps(_plan(each=(step,)).to_json()))
    assert {
        "op": "iot:CreateThing",
        "params": {
            "thingName": {"$ref": "row.thingName"},
            "attributes": {"$merge": [{"$ref": "row.attributes"}, {"a": "b"}]},
        },
        "name": "thing",
        "forEach": {"$ref": "row.groups"},
        "onExists": [{"op": "iot:DescribeThing", "path": "attributes.a", "equals": {"$ref": "row.a"}}],
        "unlessFound": "iot:DescribeThing",
    } == document["each"][0]
    assert (3, {"iot:CreateThing": 3}, _AWS.to_json()) == (
        document["things"],
        document["operations"],
        document["target"],
    )
