"""A release + what a target runs -> the steps, and what is shown before they are done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from iotctl.errors import Usage
from iotctl.infer import plan
from iotctl.infer.deployed import RESET, Deployed
from iotctl.plan import Ref
from iotctl.target import Target

TARGET = Target("aws", "123456789012", "eu-west-1")
CORE = TARGET.arn("thing/core-1")
LINE = TARGET.arn("thinggroup/line-3")
FIRST = TARGET.arn("thinggroup/first")
MODEL = "iotctl.model.digits"
RELEASE = plan.Release(
    "digits",
    MODEL,
    "1.1.0",
    "ab" * 32,
    TARGET.arn(f"components:{MODEL}:versions:1.1.0", "greengrass"),
    {"ComponentName": MODEL},
    "bucket-1",
    (plan.File("/m/model.onnx", 10, "ab" * 32, "models/ab/model.onnx"),),
    ("grants: it may publish to a/b",),
)
RUNS = {
    "com.acme.App": {"componentVersion": "2.0.0"},
    MODEL: {"componentVersion": "1.0.0", "configurationUpdate": {"reset": list(RESET)}},
}
ON_LINE = Deployed(LINE, "d-1", "line", "4", "ACTIVE", RUNS, {"failureHandlingPolicy": "ROLLBACK"})
HAS = Deployed(CORE, "d-9", "c", "1", "COMPLETED", {MODEL: {**RUNS[MODEL], "componentVersion": "1.1.0"}})


def ops(made: Any) -> list[str]:
    """The steps by name."""
    return [step.op for step in (*made.shared, *made.each)]


def test_a_push_uploads_creates_and_deploys() -> None:
    """In this order; a retried request is the same request."""
    made = plan.putting(RELEASE, Deployed(CORE), TARGET, plan.Options("infer push"))
    assert [
        "s3:Upload",
        "greengrassv2:CreateComponentVersion",
        "infer:Deployable",
        "greengrassv2:CreateDeployment",
    ] == ops(made)
    upload, create, _, deploy = made.shared
    assert {
        "path": "/m/model.onnx",
        "size": 10,
        "sha256": "ab" * 32,
        "bucket": "bucket-1",
        "key": "models/ab/model.onnx",
    } == upload.params
    assert {"ComponentName": MODEL} == json.loads(create.params["inlineRecipe"])
    assert (made.run_id, made.run_id) == (create.params["clientToken"], deploy.params["clientToken"])
    assert (1, False, {"deploymentId": Ref("deployment.deploymentId")}) == (
        len(made.rows),
        made.bulk,
        {key: value for key, value in made.shows.items() if key == "deploymentId"},
    )


def test_what_is_there_is_not_made_again() -> None:
    """Neither the component version nor the deployment; with --wait it is only waited for."""
    there = replace(RELEASE, recipe=None)
    assert [] == ops(plan.putting(there, HAS, TARGET, plan.Options("infer push")))
    waits = plan.putting(there, HAS, TARGET, plan.Options("infer push", wait=True, seconds=5))
    assert ["infer:Listen", "infer:Await"] == ops(waits)
    assert ("d-9", 5) == (waits.each[0].params["deploymentId"], waits.each[0].params["seconds"])
    failed = plan.putting(there, replace(HAS, status="FAILED"), TARGET, plan.Options("infer push"))
    assert ["greengrassv2:CreateDeployment"] == ops(failed)


def test_predictions_are_listened_to_before_there_can_be_any() -> None:
    """The one of the sample comes once."""
    made = plan.putting(RELEASE, Deployed(CORE), TARGET, plan.Options("infer push", wait=True))
    assert ["infer:Listen", "greengrassv2:CreateDeployment", "infer:Await"] == ops(made)[-3:]


def test_a_canary_comes_first_and_the_way_back_with_it() -> None:
    """A sub-deployment that compares; the verdict; then the target. Where the verdict is no, the canary goes back."""
    canary = plan.Canary(Deployed(FIRST), "agreement > 0.9", 30.0, 20)
    made = plan.putting(replace(RELEASE, recipe=None), ON_LINE, TARGET, plan.Options("infer push", seconds=60), canary)
    assert ["infer:Listen", "greengrassv2:CreateDeployment", "infer:Judge", "greengrassv2:CreateDeployment"] == ops(
        made
    )
    _, first, judge, then = made.shared
    assert (FIRST, LINE) == (first.params["targetArn"], first.params["parentTargetArn"])
    assert {"com.acme.App", MODEL} == set(first.params["components"])
    merge = json.loads(first.params["components"][MODEL]["configurationUpdate"]["merge"])
    assert {"inference": {"compare": True}} == merge
    assert (Ref("canary.deploymentId"), "agreement > 0.9", 20, 30.0, 60) == tuple(
        judge.params[key] for key in ("deploymentId", "promoteIf", "least", "soakSeconds", "seconds")
    )
    (back,) = judge.otherwise
    assert (FIRST, LINE, "1.0.0") == (
        back.params["targetArn"],
        back.params["parentTargetArn"],
        back.params["components"][MODEL]["componentVersion"],
    )
    assert "merge" not in back.params["components"][MODEL]["configurationUpdate"]
    assert (LINE, "1.1.0") == (then.params["targetArn"], then.params["components"][MODEL]["componentVersion"])
    tokens = [step.params["clientToken"] for step in (first, back, then)]
    assert 3 == len(set(tokens))


def test_a_canary_that_has_it_already_is_judged_again() -> None:
    """A push that was interrupted goes on where it was."""
    canary = plan.Canary(Deployed(FIRST), "agreement > 0.9", 30.0, 20)
    made = plan.putting(RELEASE, ON_LINE, TARGET, plan.Options("infer push"), canary)
    sub = next(step for step in made.shared if step.op == "greengrassv2:CreateDeployment")
    held = Deployed(FIRST, "d-2", status="ACTIVE", components=sub.params["components"], parent=LINE)
    again = plan.putting(
        replace(RELEASE, recipe=None), ON_LINE, TARGET, plan.Options("infer push"), replace(canary, now=held)
    )
    assert ["infer:Listen", "infer:Judge", "greengrassv2:CreateDeployment"] == ops(again)
    assert "d-2" == again.shared[1].params["deploymentId"]


@pytest.mark.parametrize(
    ("canary", "now", "reason"),
    [
        (Deployed(FIRST), Deployed(CORE, "d"), "thing groups only"),
        (Deployed(LINE, "d"), ON_LINE, "its own canary"),
        (Deployed(FIRST), Deployed(LINE), "nothing is deployed to line-3 yet"),
        (Deployed(FIRST, "d", components={}), ON_LINE, "has a deployment of its own"),
    ],
)
def test_a_canary_that_greengrass_would_refuse_is_told(canary: Deployed, now: Deployed, reason: str) -> None:
    """Before anything is done, with its reason."""
    with pytest.raises(Usage, match=reason):
        plan.check(plan.Canary(canary, "errorRate < 1", 1.0, 1), now)


def test_what_becomes_of_everything_is_shown() -> None:
    """A line each: what comes, what changes, what stays."""
    canary = plan.Canary(Deployed(FIRST), "agreement > 0.9", 30.0, 20)
    made = plan.putting(RELEASE, ON_LINE, TARGET, plan.Options("infer push"), canary)
    assert (
        "line-3: revision 4 and the next",
        "= com.acme.App         2.0.0, with its configuration",
        "~ iotctl.model.digits  1.0.0 -> 1.1.0",
        "= policies",
        (
            "first on first, a sub-deployment; promoted if agreement > 0.9 (at least 20 predictions, 30 s),"
            " else it gets 1.0.0 back"
        ),
        "grants: it may publish to a/b",
    ) == made.changes
    assert (
        "+ iotctl.model.digits  1.1.0"
        in plan.putting(RELEASE, Deployed(CORE), TARGET, plan.Options("infer push")).changes
    )


def test_a_new_group_is_made_before_it_is_deployed_to() -> None:
    """Its things are added, each once."""
    made = plan.putting(RELEASE, Deployed(LINE), TARGET, plan.Options("infer push", create=("a", "b")))
    group, add = made.shared[3:5]
    assert ("iot:CreateThingGroup", "iot:DescribeThingGroup") == (group.op, group.unless_found)
    assert ("iot:AddThingToThingGroup", ("a", "b"), 2) == (
        add.op,
        add.for_each,
        made.operations()["iot:AddThingToThingGroup"],
    )


def test_the_plan_is_json_and_knows_its_permissions() -> None:
    """As --dry-run prints it; Greengrass V2 is allowed as `greengrass`."""
    canary = plan.Canary(Deployed(FIRST), "agreement > 0.9", 30.0, 20)
    made = plan.putting(RELEASE, ON_LINE, TARGET, plan.Options("infer push", wait=True), canary)
    value = json.loads(json.dumps(made.to_json()))
    assert list(made.changes) == value["changes"]
    assert {"greengrass:CreateDeployment", "iot:CreateJob", "s3:PutObject", "iot:Subscribe"} <= set(value["iamActions"])
    assert [] == [action for action in value["iamActions"] if action.startswith(("infer:", "greengrassv2:"))]
