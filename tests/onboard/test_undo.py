"""What a run made -> the plan that takes it back: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotctl.account.needs import OPERATIONS
from iotctl.aws import service_model
from iotctl.onboard import undo
from iotctl.plan import Plan, Step, resolve
from iotctl.semantics import permissions
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_TARGET = Target("aws", "123456789012", "us-east-1")
_GROUP = "arn:aws:iot:us-east-1:123456789012:thinggroup/g"
_SHARED = (
    {"op": "iot:CreateThingType", "thingTypeName": "press"},
    {"op": "iot:CreateThingGroup", "thingGroupName": "g"},
    {"op": "iot:CreateThingGroup", "thingGroupName": "child", "parentGroupName": "g"},
    {"op": "iot:CreateBillingGroup", "billingGroupName": "bill"},
    {"op": "iot:CreatePolicy", "policyName": "p"},
    {"op": "iot:AttachPolicy", "policyName": "p", "target": _GROUP},
)


@dataclass(frozen=True)
class _Made:
    digest: str = "d1"
    rotated: bool = False

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield {"thingName": "a", "certificateId": "c1", "line": 1}


def _plan(**changes: Any) -> Plan:
    values = {"made": _Made(), "shared": _SHARED, "target": _TARGET, "directory": "/out", "settles": 5.0}
    return undo.undoing("r1", **{**values, **changes})


def _scope(claim: str) -> dict[str, Any]:
    thing = {"version": 3, "attributes": {"iotctl-cert": claim}}
    row = next(iter(_Made()))
    return {"row": row, "item": "x", "thing": thing, "attached": {}, "shadows": {}}


def test_permissions_go_first_and_the_bundle_last() -> None:
    """Policy, certificate off, detached, the thing, the certificate; what says that work is left goes at the end."""
    assert [
        "iot:ListAttachedPolicies",
        "iot:DetachPolicy",
        "iot:UpdateCertificate",
        "iot:DetachThingPrincipal",
        "iot:DescribeThing",
        "iot-data:DeleteThingShadow",
        "iot-data:ListNamedShadowsForThing",
        "iot-data:DeleteThingShadow",
        "iot:DeleteThing",
        "iot:UpdateThing",
        "iot:DeleteCertificate",
        "file:RevokeBundle",
    ] == [step.op for step in _plan().each]


def test_what_was_made_for_all_goes_in_the_opposite_order() -> None:
    """Children before parents, a policy from its group before both go; a type waits its five minutes meanwhile."""
    assert [
        ("iot:DeprecateThingType", {"thingTypeName": "press"}),
        ("iot:DetachPolicy", {"policyName": "p", "target": _GROUP}),
        ("iot:DeletePolicy", {"policyName": "p"}),
        ("iot:DeleteBillingGroup", {"billingGroupName": "bill"}),
        ("iot:DeleteThingGroup", {"thingGroupName": "child"}),
        ("iot:DeleteThingGroup", {"thingGroupName": "g"}),
        ("iot:DeleteThingType", {"thingTypeName": "press"}),
    ] == [(step.op, step.params) for step in _plan().after]
    assert all(step.absent_is_done for step in _plan().after)


def _happens(step: Step, claim: str) -> bool:
    assert step.when
    wanted, found = resolve(step.when.equals, _scope(claim)), resolve(undo.Ref(step.when.path), _scope(claim))
    return bool(wanted == found)


def test_what_rotations_left_goes_first() -> None:
    """Every other certificate off, detached, deleted with its policies; the claim may name the one that was coming."""
    plan = _plan(made=_Made(rotated=True))
    row = {"thingName": "a", "certificateId": "c2", "others": ["c1", "c3"], "coming": "c3"}
    first = plan.each[:3]
    assert [
        ("iot:UpdateCertificate", {"certificateId": "c1", "newStatus": "INACTIVE"}),
        ("iot:DetachThingPrincipal", {"thingName": "a", "principal": _TARGET.arn("cert/c1")}),
        ("iot:DeleteCertificate", {"certificateId": "c1", "forceDelete": True}),
    ] == [(step.op, resolve(step.params, {"row": row, "item": "c1"})) for step in first]
    assert [["c1", "c3"]] * 3 == [resolve(step.for_each, {"row": row}) for step in first]
    (deletes,) = [step for step in plan.each if step.op == "iot:DeleteThing"]
    assert deletes.when
    assert ("c2", "c3") == resolve(deletes.when.equals, {"row": row}).options
    assert [step.op for step in _plan().each] == [step.op for step in plan.each[3:]]


def test_only_a_thing_that_claims_the_certificate_is_deleted() -> None:
    """One that was adopted stays and loses the claim; one of somebody else is left alone."""
    conditional = {step.op: step for step in _plan().each if step.when}
    for claim, deleted, updated in (("c1", True, False), ("adopted:c1", False, True), ("c2", False, False)):
        assert deleted == _happens(conditional["iot:DeleteThing"], claim)
        assert deleted == _happens(conditional["iot-data:DeleteThingShadow"], claim)
        assert updated == _happens(conditional["iot:UpdateThing"], claim)


def test_parameters_are_those_of_aws() -> None:
    """Resolved, those of every step and read are members of the operation's input, the required ones all there."""
    plan = _plan()
    for step in (*plan.each[:-1], *plan.after):
        given = resolve(step.params, _scope("c1"))
        scoped = [(step.op, given)]
        for use in step.unless_used:
            members = service_model("iot").operation_model(use.op.partition(":")[2]).input_shape.members
            scoped.append((use.op, {**{key: given[key] for key in given if key in members}, **use.params}))
        for op, params in scoped:
            service, _, operation = op.partition(":")
            shape = service_model(service).operation_model(operation).input_shape
            # An item is the operation's own answer; here it is a text.
            required = set(shape.required_members) - set(params) - ({"policyName"} if step.for_each else set())
            assert (op, set(), set()) == (op, set(params) - set(shape.members), required)


def test_what_is_left_is_another_run() -> None:
    """The journal of one that was cut short does not speak for what a later onboarding made."""
    assert _plan().run_id == _plan(settles=9.0).run_id
    assert 4 == len(
        {
            _plan().run_id,
            _plan(made=_Made("d2")).run_id,
            _plan(target=Target("aws", "1", "us-east-1")).run_id,
            undo.undoing("r2", _Made(), (), _TARGET, "/out", settles=0).run_id,
        }
    )
    assert "r1" == _plan().forgets


def test_the_iam_policy_of_the_command_covers_the_plan() -> None:
    """What `account iam onboard undo` prints is enough for every step and every read of any plan."""
    assert set() == set(_plan().iam_actions()) - set(permissions.actions(OPERATIONS["onboard undo"]))
