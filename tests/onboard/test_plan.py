"""Rows and what the account already has -> a Plan: values in, values out."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.account.needs import OPERATIONS
from iotctl.aws import service_model
from iotctl.onboard import fleet, observe, row
from iotctl.onboard import plan as planning
from iotctl.onboard.resources import Missing
from iotctl.plan import Either, Plan, resolve
from iotctl.semantics import permissions
from iotctl.target import Target

if TYPE_CHECKING:
    from pathlib import Path

_TARGET = Target("aws", "123456789012", "us-east-1")
_CSV = (
    "thing_name,thing_type,thing_groups,billing_group,attr:site,shadow:on\n"
    "a,press,g1;g2,bill,oslo,true\nb,press,g1,,,\n"
)


@pytest.fixture
def rows(tmp_path: Path) -> fleet.Fleet:
    """Two things of one type, three memberships, one with a billing group and an initial state."""
    return _read(tmp_path, _CSV)


def _read(directory: Path, content: str) -> fleet.Fleet:
    (directory / "fleet.csv").write_text(content)
    return fleet.read(str(directory / "fleet.csv"), row.Reading("thing", observe.policy_name, pki.check_csr))


def _place(**changes: Any) -> planning.Place:
    values = {"target": _TARGET, "directory": "/out", "config": {"accountId": "123456789012"}, "root_ca": "PEM"}
    return planning.Place(**{**values, **changes})


def _plan(rows: fleet.Fleet, **missing: Any) -> Plan:
    return planning.onboarding(rows, Missing(**missing), _place(), planning.Keys())


def test_the_order_within_a_thing(rows: fleet.Fleet) -> None:
    """Bundle on disk, the claim, the certificate, its place; the policy last: no permission until all is in place."""
    assert [
        "file:PublishBundle",
        "iot:CreateThing",
        "iot:RegisterCertificateWithoutCA",
        "iot:AttachThingPrincipal",
        "iot:AddThingToThingGroup",
        "iot:AddThingToBillingGroup",
        "iot-data:UpdateThingShadow",
        "iot:AttachPolicy",
    ] == [step.op for step in _plan(rows).each]


def test_what_the_rows_share_is_made_first_and_tagged(rows: fleet.Fleet) -> None:
    """Only what is missing; each may have been made by another run meanwhile."""
    plan = _plan(
        rows, thing_types=["press"], thing_groups=["g1", "g2"], billing_groups=["bill"], policies={"p": '{"a":1}'}
    )
    tags = [{"Key": "iotctl-run", "Value": plan.run_id}]
    assert [
        ("file:RecordRun", _recorded(plan)),
        ("iot:CreateThingType", {"thingTypeName": "press", "tags": tags}),
        ("iot:CreateThingGroup", {"thingGroupName": "g1", "tags": tags}),
        ("iot:CreateThingGroup", {"thingGroupName": "g2", "tags": tags}),
        ("iot:CreateBillingGroup", {"billingGroupName": "bill", "tags": tags}),
        ("iot:CreatePolicy", {"policyName": "p", "policyDocument": '{"a":1}', "tags": tags}),
    ] == [(step.op, step.params) for step in plan.shared]
    assert all(step.on_exists for step in plan.shared[1:])
    assert ["file:RecordRun"] == [step.op for step in _plan(rows).shared]


def _recorded(plan: Plan) -> dict[str, Any]:
    """What is kept of it before any of it is made: the names, not the documents."""
    return {
        "directory": "/out",
        "runId": plan.run_id,
        "command": "onboard apply",
        "target": _TARGET.to_json(),
        "shared": [
            {"op": "iot:CreateThingType", "thingTypeName": "press"},
            {"op": "iot:CreateThingGroup", "thingGroupName": "g1"},
            {"op": "iot:CreateThingGroup", "thingGroupName": "g2"},
            {"op": "iot:CreateBillingGroup", "billingGroupName": "bill"},
            {"op": "iot:CreatePolicy", "policyName": "p"},
        ],
    }


def test_calls_are_counted_by_what_the_rows_name(rows: fleet.Fleet) -> None:
    """Memberships, billing groups and initial states are not one a row."""
    calls = _plan(rows).operations()
    assert (2, 3, 1, 1) == (
        calls["iot:CreateThing"],
        calls["iot:AddThingToThingGroup"],
        calls["iot:AddThingToBillingGroup"],
        calls["iot-data:UpdateThingShadow"],
    )


def test_parameters_are_those_of_aws(rows: fleet.Fleet) -> None:
    """Resolved for a row, every step's parameters are members of the operation's input, the required ones all there."""
    scope = {
        "row": {**next(iter(rows)), "certificatePolicy": "p"},
        "item": "x",
        "certificate": {"certificateId": "c1", "certificateArn": "arn", "certificatePem": "PEM"},
    }
    for step in _plan(rows, thing_types=["press"], thing_groups=["g"], billing_groups=["b"], policies={"p": "{}"}).each[
        1:
    ]:
        service, _, operation = step.op.partition(":")
        shape = service_model(service).operation_model(operation).input_shape
        given = resolve(step.params, scope)
        assert set() == set(given) - set(shape.members), step.op
        assert set() == set(shape.required_members) - set(given), step.op


def test_a_thing_is_claimed_by_the_id_of_its_certificate(rows: fleet.Fleet) -> None:
    """Create a thing that exists: success only if the claim, its attributes and its type are those of the row."""
    create = _plan(rows).each[1]
    scope = {"row": next(iter(rows)), "certificate": {"certificateId": "c1"}}
    assert {
        "thingName": "a",
        "thingTypeName": "press",
        "attributePayload": {"attributes": {"site": "oslo", "iotctl-cert": "c1"}},
    } == resolve(create.params, scope)
    assert [
        ("attributes.iotctl-cert", Either(("c1", "adopted:c1"))),
        ("attributes", {"site": "oslo"}),
        ("thingTypeName", "press"),
    ] == [(expect.path, resolve(expect.equals, scope)) for expect in create.on_exists]


def test_a_thing_is_adopted_only_when_that_is_asked_for(rows: fleet.Fleet) -> None:
    """It gets the row's attributes and a claim that says that it was there before; its type stays."""
    assert _plan(rows).each[1].adopt is None
    adopt = planning.onboarding(rows, Missing(), _place(), planning.Keys(), planning.Ways(adopt=True)).each[1].adopt
    assert adopt
    scope = {"row": next(iter(rows)), "certificate": {"certificateId": "c1"}, "found": {"version": 7}}
    assert {
        "thingName": "a",
        "attributePayload": {"attributes": {"site": "oslo", "iotctl-cert": "adopted:c1"}, "merge": True},
        "expectedVersion": 7,
    } == resolve(adopt.step.params, scope)
    assert ["thingTypeName"] == [expect.path for expect in adopt.keeps]


def test_without_a_claim_what_was_done_is_read_again(rows: fleet.Fleet) -> None:
    """Nothing keeps a second run from the thing then: that it has one certificate, ours, is looked at afterwards."""
    plan = planning.onboarding(rows, Missing(), _place(), planning.Keys(), planning.Ways(claim=False))
    scope = {"row": next(iter(rows)), "certificate": {"certificateId": "c1", "certificateArn": "arn"}}
    assert {"site": "oslo"} == resolve(plan.each[1].params, scope)["attributePayload"]["attributes"]
    reads = [step for step in plan.each if step.verifies]
    assert ["iot:ListThingPrincipals", "iot:DescribeCertificate", "iot:ListAttachedPolicies"] == [
        step.op for step in reads
    ]
    assert reads[0].expect
    assert ["arn"] == resolve(reads[0].expect.equals, scope)


def test_a_policy_that_a_group_carries_is_not_put_on_the_certificate(tmp_path: Path) -> None:
    """Only for the rows whose own policy one of their groups has; the group gets it after both are made."""
    rows = _read(tmp_path, "thing_name,thing_groups,policy\na,g,\nb,h,\nc,g,Other\n")
    missing = Missing(
        thing_groups=["g"],
        policies={"iotctl-thing": "{}"},
        carriers={"g": "iotctl-thing"},
        attachments=[("g", "iotctl-thing")],
    )
    plan = planning.onboarding(rows, missing, _place(), planning.Keys())
    assert [None, "iotctl-thing", "Other"] == [row["certificatePolicy"] for row in plan.rows]
    assert ("iot:AttachPolicy", "arn:aws:iot:us-east-1:123456789012:thinggroup/g") == (
        plan.shared[-1].op,
        plan.shared[-1].params["target"],
    )
    assert 3 == plan.operations()["iot:AttachPolicy"]


def test_the_initial_state_never_undoes_a_later_one(rows: fleet.Fleet) -> None:
    """It is for a thing that has no shadow yet."""
    (step,) = [step for step in _plan(rows).each if step.op == "iot-data:UpdateThingShadow"]
    assert "iot-data:GetThingShadow" == step.unless_found
    assert {"state": {"desired": {"on": True}}} == json.loads(resolve(step.for_each, {"row": next(iter(rows))}))


def test_the_bundle_says_where_the_thing_belongs(rows: fleet.Fleet) -> None:
    """What is written beside the key."""
    plan = _plan(rows)
    params = resolve(plan.each[0].params, {"row": next(iter(rows))})
    assert {
        "directory": "/out",
        "runId": plan.run_id,
        "thingName": "a",
        "keyType": "ec-p256",
        "days": 3650,
        "rootCa": "PEM",
        "certificateArn": "arn:aws:iot:us-east-1:123456789012:cert/",
        "config": {"accountId": "123456789012"},
        "thingType": "press",
        "thingGroups": ["g1", "g2"],
    } == params


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"content": _CSV.replace("\n", "\r\n")}, True),
        ({"place": _place(directory="/elsewhere")}, True),
        ({"content": _CSV.replace("oslo", "rome")}, False),
        ({"content": f"{_CSV}c,,,,,\n"}, False),
        ({"place": _place(target=Target("aws", "999999999999", "us-east-1"))}, False),
        ({"place": _place(target=Target("aws", "123456789012", "eu-west-1"))}, False),
        ({"place": _place(target=Target("local", "123456789012", "us-east-1"))}, False),
        ({"keys": planning.Keys("rsa-2048")}, False),
        ({"keys": planning.Keys(days=30)}, False),
    ],
)
def test_the_same_inputs_are_the_same_run(
    tmp_path: Path, rows: fleet.Fleet, changed: dict[str, Any], same: bool
) -> None:
    """Running again is the resume; other rows, keys or another account are another run."""
    digest = _read(tmp_path, changed.get("content", _CSV)).digest
    run_id = planning.identity(digest, changed.get("place", _place()), changed.get("keys", planning.Keys()))
    assert same == (run_id == planning.identity(rows.digest, _place(), planning.Keys()))


def test_the_iam_policy_of_the_command_covers_the_plan(rows: fleet.Fleet) -> None:
    """What `account iam onboard apply` prints is enough for every step and every check of any plan."""
    plan = _plan(rows, thing_types=["press"], thing_groups=["g"], billing_groups=["b"], policies={"p": "{}"})
    assert set() == set(plan.iam_actions()) - set(permissions.actions(OPERATIONS["onboard apply"]))


def test_making_a_plan_changes_nothing(rows: fleet.Fleet) -> None:
    """A plan is a value: made twice it is equal, and the rows are only read."""
    before = (list(rows), Counter(rows.thing_groups))
    assert json.dumps(_plan(rows).to_json()) == json.dumps(_plan(rows).to_json())
    assert before == (list(rows), rows.thing_groups)
