"""Policy lint: the examples of audit-chk-iot-policy-permissive and audit-chk-iot-misconfigured-policies."""

from __future__ import annotations

import json
from typing import Any

from iotctl.semantics.policy import parse
from iotctl.semantics.policy_lint import (
    BROAD_ACCESS,
    DENY_ESCAPED,
    OVERLY_PERMISSIVE,
    POTENTIAL_MISCONFIGURATION,
    WILDCARDS_IN_DENY,
    lint,
)
from tests import vectors

ARN = "arn:aws:iot:us-east-1:123456789012:"
THING = "${iot:Connection.Thing.ThingName}"
SHADOWS_AND_JOBS = [
    *("iot:DeleteThingShadow", "iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DescribeJobExecution"),
    *("iot:GetPendingJobExecutions", "iot:StartNextPendingJobExecution", "iot:UpdateJobExecution"),
]
ATTACHED = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}


def statement(effect: str, action: str | list[str], *resources: str, **more: Any) -> dict[str, Any]:
    """A statement; resources are given without the beginning of their ARN."""
    return {"Effect": effect, "Action": action, "Resource": [r if r == "*" else ARN + r for r in resources], **more}


def found(*statements: dict[str, Any]) -> list[tuple[str, int, str]]:
    """The reason, statement and resource of each flaw of a policy."""
    flaws = lint(parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)})))
    return [(flaw.reason, flaw.statement, flaw.resource.removeprefix(ARN)) for flaw in flaws]


@vectors.rows(
    ("action", "resource"),
    [
        ("iot:Connect", "client/*"),
        ("iot:Connect", "client/${iot:ClientId}"),
        ("iot:Connect", "*"),
        ("iot:*", "*"),
        ("*", "*"),
        ("iot:Publish", "topic/$aws/things/*/shadow/update"),
        ("iot:Publish", "topic/$aws/things/*"),
        ("iot:Publish", "topic/$aws/things/?*/jobs/*"),
        ("iot:Publish", "topic/*"),
        ("iot:Pub*", "topic/$aws/*"),
        ("iot:Subscribe", "topicfilter/$aws/things/*"),
        ("iot:Subscribe", "topicfilter/$aws/things/#"),
        ("iot:Subscribe", "topicfilter/$aws/things/+/shadow/update"),
        ("iot:Subscribe", "topicfilter/$aws/things/+/shadow/*"),
        ("iot:Subscribe", "topicfilter/$aws/things/+/jobs/notify"),
        ("iot:Subscribe", "topicfilter/$aws/things/+/shadow/name/config/update/accepted"),
        ("iot:Publish", "topic/$aws/things/*/shadow/name/config/update"),
        ("iot:Subscribe", "topicfilter/$aws/#"),
        ("iot:Subscribe", "topicfilter/*"),
        ("iot:DeleteThingShadow", "thing/*"),
        ("iot:GetThingShadow", "thing/*"),
        ("iot:UpdateThingShadow", "thing/*/config"),
        ("iot:DescribeJobExecution", "thing/*"),
        ("iot:GetPendingJobExecutions", "thing/*"),
        ("iot:StartNextPendingJobExecution", "thing/*"),
        ("iot:UpdateJobExecution", "thing/*"),
        ("iotjobsdata:UpdateJobExecution", "thing/*"),
    ],
)
def test_broad_access_is_found(action: str, resource: str) -> None:
    """The noncompliant resources of the page, and others as broad."""
    assert [(BROAD_ACCESS, 0, resource)] == found(statement("Allow", action, resource))


@vectors.rows(
    "one",
    [
        statement("Allow", "iot:Connect", f"client/{THING}", Condition=ATTACHED),
        statement("Allow", "iot:Connect", "client/${iot:ClientId}", Condition=ATTACHED),
        statement("Allow", "iot:Connect", "client/sensor-*", "client/client1"),
        statement("Allow", "iot:Publish", f"topic/$aws/things/{THING}/shadow/*"),
        statement("Allow", "iot:Publish", "topic/devices/*", f"topic/{THING}/*", "topic/$aws/rules/*"),
        statement("Allow", "iot:Publish", "topic/$aws/things/sensor-*"),
        statement(
            "Allow", "iot:Subscribe", *(f"topicfilter/$aws/things/{THING}/{what}/*" for what in ("shadow", "jobs"))
        ),
        statement("Allow", "iot:Subscribe", "topicfilter/building/#", "topicfilter/#", "topicfilter/+/a"),
        statement("Allow", "iot:Receive", "topic/$aws/things/*", "*"),
        statement("Allow", SHADOWS_AND_JOBS, "/thing/MyThing1", "/thing/MyThing2"),
        statement("Allow", SHADOWS_AND_JOBS, "thing/MyThing1", "thing/MyThing2"),
        statement("Allow", "iot:UpdateThingShadow", f"thing/{THING}", "thing/sensor-*"),
        statement("Deny", "iot:*", "*"),
    ],
)
def test_access_to_the_devices_own_is_compliant(one: dict[str, Any]) -> None:
    """The compliant policies of the page, and others as narrow."""
    assert found(one) == []


def test_a_deny_narrows_what_an_allow_gives() -> None:
    """What is denied without a condition is not granted; with a condition it may be."""
    allow = statement("Allow", "iot:Publish", "topic/*")
    assert found(allow, statement("Deny", "iot:Publish", "topic/$aws/things/*")) == []
    assert found(allow, statement("Deny", "iot:Publish", "topic/$aws/things/*", Condition=ATTACHED)) == [
        (BROAD_ACCESS, 0, "topic/*")
    ]


def test_everything_but_a_resource_is_broad() -> None:
    """An Allow with NotResource is named by what it leaves out."""
    one = {"Effect": "Allow", "Action": "iot:GetThingShadow", "NotResource": f"{ARN}thing/secret"}
    assert [(BROAD_ACCESS, 0, f"everything but {ARN}thing/secret")] == found(one)


SUBSCRIBE = statement("Allow", "iot:Subscribe", "topicfilter/building/*")
RECEIVE = statement("Allow", "iot:Receive", "topic/building/*")
DENY = statement("Deny", "iot:Subscribe", "topicfilter/building/control_room/*")


def test_mqtt_wildcards_in_a_deny_are_found() -> None:
    """audit-chk-iot-misconfigured-policies: the first example."""
    deny = statement("Deny", "iot:Subscribe", "topicfilter/building/control_room/#")
    assert found(SUBSCRIBE, deny, RECEIVE) == [(WILDCARDS_IN_DENY, 1, "topicfilter/building/control_room/#")]


def test_a_deny_that_a_wildcard_subscription_escapes_is_found() -> None:
    """audit-chk-iot-misconfigured-policies: the second example, and the filter that escapes."""
    assert found(SUBSCRIBE, DENY, RECEIVE) == [(DENY_ESCAPED, 1, "topicfilter/building/control_room/*")]
    document = json.dumps({"Version": "2012-10-17", "Statement": [SUBSCRIBE, DENY, RECEIVE]})
    (flaw,) = lint(parse(document))
    assert flaw.check == POTENTIAL_MISCONFIGURATION
    assert "building/" in flaw.message


def test_a_deny_of_receive_as_well_is_configured_properly() -> None:
    """audit-chk-iot-misconfigured-policies: the properly configured example."""
    deny_receive = statement("Deny", "iot:Receive", "topic/building/control_room/*")
    assert found(SUBSCRIBE, DENY, RECEIVE, deny_receive) == []


CAMERA = statement("Allow", "iot:Subscribe", "topicfilter/building/camera/*")


def test_the_two_types_of_the_launch_article() -> None:
    """AWS's article "Identify misconfigured IoT policies using AWS IoT Device Defender": before and after."""
    plus = statement("Deny", "iot:Subscribe", "topicfilter/building/+/control_room")
    assert [(WILDCARDS_IN_DENY, 0, "topicfilter/building/+/control_room")] == found(plus, CAMERA)
    camera = statement("Allow", "iot:Receive", "topic/building/camera/*")
    deny_receive = statement("Deny", "iot:Receive", "topic/building/*/control_room")
    fixed = statement("Deny", "iot:Subscribe", "topicfilter/building/*/control_room")
    assert [] == found(fixed, CAMERA, camera, deny_receive)
    # What its Deny of Receive is for: without it a filter takes in what is meant to be denied.
    room = statement("Deny", "iot:Subscribe", "topicfilter/building/camera/control_room")
    assert [(DENY_ESCAPED, 0, "topicfilter/building/camera/control_room")] == found(room, CAMERA, camera)
    # The first type as it is mended there; it grants no Receive at all.
    assert [] == found(
        SUBSCRIBE,
        DENY,
        {"Effect": "Deny", "Action": "iot:Receive", "NotResource": f"{ARN}topic/building/control_room/*"},
    )


@vectors.rows(
    "statements",
    [
        (SUBSCRIBE, DENY),
        (DENY, RECEIVE),
        (statement("Allow", "iot:Subscribe", "topicfilter/building/lobby/*"), DENY, RECEIVE),
        (SUBSCRIBE, statement("Deny", "iot:Subscribe", "topicfilter/building/*"), RECEIVE),
        (SUBSCRIBE, statement("Deny", "iot:Subscribe", "*"), RECEIVE),
        (statement("Deny", "iot:Connect", "client/+"),),
    ],
)
def test_a_deny_that_nothing_escapes_is_not_found(statements: tuple[dict[str, Any], ...]) -> None:
    """Without receiving, without a wildcard subscription, or with everything denied, there is no way around."""
    assert found(*statements) == []


def test_flaws_say_what_they_mean() -> None:
    """A finding carries the audit's check, and a sentence for people."""
    (flaw,) = lint(parse(json.dumps({"Version": "2012-10-17", "Statement": statement("Allow", "iot:Connect", "*")})))
    assert (flaw.check, flaw.message) == (
        OVERLY_PERMISSIVE,
        "iot:Connect on * is not limited to the device's own thing",
    )
