"""What a target has, and what it gets: everything that is there is taken along."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotctl.infer.deployed import RESET, Deployed, bringing, parameters, part_of, same

THING = "arn:aws:iot:eu-west-1:123456789012:thing/core-1"
GROUP = "arn:aws:iot:eu-west-1:123456789012:thinggroup/line-3"
CANARY = "arn:aws:iot:eu-west-1:123456789012:thinggroup/first"
MODEL = "iotctl.model.digits"
OURS = {"componentVersion": "1.0.0", "configurationUpdate": {"reset": list(RESET)}}
LOGS = {
    "componentVersion": "2.3.0",
    "configurationUpdate": {"merge": '{"level":"INFO"}', "reset": ["/old"]},
    "runWith": {"posixUser": "ggc_user:ggc_group"},
}


def test_everything_else_is_kept() -> None:
    """Components with their configurations and users, policies, job configuration, name and tags, but AWS's own."""
    now = Deployed(
        GROUP,
        "d-1",
        "line three",
        "7",
        "ACTIVE",
        {"aws.greengrass.LogManager": LOGS, MODEL: OURS},
        {"failureHandlingPolicy": "DO_NOTHING"},
        {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}},
        {"owner": "a", "aws:cloudformation:stack-name": "b"},
    )
    assert {
        "targetArn": GROUP,
        "deploymentName": "line three",
        "components": {"aws.greengrass.LogManager": LOGS, MODEL: {**OURS, "componentVersion": "1.1.0"}},
        "deploymentPolicies": {"failureHandlingPolicy": "DO_NOTHING"},
        "iotJobConfiguration": {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}},
        "tags": {"owner": "a"},
    } == bringing(now, MODEL, "1.1.0")


def test_the_first_deployment_has_only_the_model() -> None:
    """And a name that tells whose it is."""
    assert {"targetArn": THING, "deploymentName": "iotctl-core-1", "components": {MODEL: OURS}} == bringing(
        Deployed(THING), MODEL, "1.0.0"
    )


def test_what_an_operator_has_set_on_the_model_itself_stays() -> None:
    """Its recipe's settings are reset, or the core would keep the old digest; then the operator's are merged again."""
    set_by_hand = {"componentVersion": "1.0.0", "configurationUpdate": {"merge": '{"inference":{"interval":5}}'}}
    made = bringing(Deployed(THING, components={MODEL: set_by_hand}), MODEL, "1.1.0")["components"][MODEL]
    assert {"merge": '{"inference":{"interval":5}}', "reset": ["/accessControl", "/inference"]} == made[
        "configurationUpdate"
    ]
    compared = bringing(Deployed(THING, components={MODEL: set_by_hand}), MODEL, "1.1.0", compare=True)
    merge = json.loads(compared["components"][MODEL]["configurationUpdate"]["merge"])
    assert {"inference": {"interval": 5, "compare": True}} == merge


def test_a_canary_gets_all_that_its_parent_brings() -> None:
    """A sub-deployment replaces the parent's components on its cores: what it leaves out would be uninstalled there."""
    parent = Deployed(GROUP, "d-1", "three", components={"a": LOGS, MODEL: OURS}, tags={"x": "y"}, policies={"p": 1})
    first = part_of(Deployed(CANARY), parent)
    assert (CANARY, GROUP, "three-canary", parent.components, {"x": "y"}, {"p": 1}) == (
        first.arn,
        first.parent,
        first.name,
        first.components,
        first.tags,
        first.policies,
    )
    before = Deployed(CANARY, "d-2", "mine", components={MODEL: OURS}, tags={"z": "z"}, parent=GROUP)
    again = part_of(before, parent)
    assert ("mine", parent.components, {"z": "z"}, {}) == (again.name, again.components, again.tags, again.policies)
    assert GROUP == parameters(again)["parentTargetArn"]


def test_the_same_is_the_same_however_it_is_written() -> None:
    """Merges are compared as JSON; what is empty is as what is absent."""
    one = {
        "a": {"componentVersion": "1.0.0", "configurationUpdate": {"merge": '{"x": 1, "y": 2}', "reset": ["/b", "/a"]}}
    }
    other = {
        "a": {
            "componentVersion": "1.0.0",
            "configurationUpdate": {"merge": '{"y":2,"x":1}', "reset": ["/a", "/b"]},
            "runWith": {},
        }
    }
    assert same(one, other)
    assert not same(one, {"a": {**one["a"], "componentVersion": "1.0.1"}})
    assert not same(one, {**one, "b": {"componentVersion": "1.0.0"}})


COMPONENTS = st.dictionaries(
    st.sampled_from(["a", "b.c", MODEL]),
    st.fixed_dictionaries(
        {"componentVersion": st.sampled_from(["1.0.0", "2.0.0"])},
        optional={
            "configurationUpdate": st.fixed_dictionaries(
                {}, optional={"merge": st.sampled_from(["{}", '{"k": 1}']), "reset": st.just(["/k"])}
            ),
            "runWith": st.just({"posixUser": "u"}),
        },
    ),
)


@given(COMPONENTS, st.booleans())
def test_no_neighbour_ever_changes(components: dict[str, Any], compare: bool) -> None:
    """Whatever is there; and to bring the same again changes nothing."""
    now = Deployed(GROUP, "d", components=components)
    made = bringing(now, MODEL, "3.0.0", compare=compare)["components"]
    assert {key: value for key, value in components.items() if key != MODEL} == {
        key: value for key, value in made.items() if key != MODEL
    }
    assert same(made, bringing(Deployed(GROUP, "d", components=made), MODEL, "3.0.0", compare=compare)["components"])
