"""TestAuthorization: what policies would say, beside what the device gateway then does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.clients import Device, Mqtt, allow, create_policy
from tests.local.conftest import Name, refused

if TYPE_CHECKING:
    from iotctl.target import Platform


@pytest.fixture
def ask(iot: Any, running: Platform) -> Callable[..., list[dict[str, Any]]]:
    """Ask for a device: `("PUBLISH", "topic/a", "topic/b")`, ..."""
    prefix = f"arn:aws:iot:{running.region}:{running.account_id}:"

    def asked(device: Device, *questions: tuple[str, ...], **more: Any) -> list[dict[str, Any]]:
        infos = [{"actionType": kind, "resources": [prefix + one for one in rest]} for kind, *rest in questions]
        found: list[dict[str, Any]] = iot.test_authorization(principal=device.arn, authInfos=infos, **more)[
            "authResults"
        ]
        assert infos == [one["authInfo"] for one in found]
        return found

    return asked


def names(policies: dict[str, Any]) -> list[str]:
    """The names of the policies of a part of the answer."""
    return [one["policyName"] for one in policies["policies"]]


def test_each_decision_and_whose_it_is(iot: Any, device: Callable[..., Device], ask: Any) -> None:
    """Allowed, denied by a statement, denied by silence; each with the policies that say so."""
    reads = create_policy(iot, allow("iot:Subscribe", "iot:Receive"), allow("iot:Connect"))
    writes = create_policy(
        iot,
        allow("iot:Publish"),
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/secret"},
    )
    pump = device(policy=reads)
    iot.attach_policy(policyName=writes, target=pump.arn)
    found = ask(
        pump,
        ("PUBLISH", "topic/a"),
        ("PUBLISH", "topic/a", "topic/secret"),
        ("SUBSCRIBE", "topicfilter/#"),
        ("CONNECT", "client/x"),
    )
    assert ["ALLOWED", "EXPLICIT_DENY", "ALLOWED", "ALLOWED"] == [one["authDecision"] for one in found]
    assert ([writes], [reads], []) == (
        names(found[0]["allowed"]),
        names(found[0]["denied"]["implicitDeny"]),
        names(found[0]["denied"]["explicitDeny"]),
    )
    assert [writes] == names(found[1]["denied"]["explicitDeny"])
    (without,) = ask(pump, ("PUBLISH", "topic/a"), policyNamesToSkip=[writes])
    assert "IMPLICIT_DENY" == without["authDecision"]
    extra = create_policy(iot, {"Effect": "Deny", "Action": "iot:*", "Resource": "*"})
    (added,) = ask(pump, ("CONNECT", "client/x"), policyNamesToAdd=[extra])
    assert ("EXPLICIT_DENY", [extra]) == (added["authDecision"], names(added["denied"]["explicitDeny"]))


def test_variables_of_a_connection(
    running: Platform, iot: Any, device: Callable[..., Device], ask: Any, name: Name
) -> None:
    """They have values with a client id, and are named as missing without; the gateway decides the same."""
    thing = "${iot:Connection.Thing.ThingName}"
    policy = create_policy(
        iot,
        allow("iot:Connect", resource=f"arn:aws:iot:*:*:client/{thing}"),
        allow("iot:Subscribe", resource=f"arn:aws:iot:*:*:topicfilter/{thing}/*"),
    )
    pump = device(policy=policy)
    questions = (
        ("CONNECT", f"client/{pump.name}"),
        ("SUBSCRIBE", f"topicfilter/{pump.name}/a"),
        ("SUBSCRIBE", "topicfilter/other/a"),
    )
    with_client = ask(pump, *questions, clientId=pump.name)
    assert ["ALLOWED", "ALLOWED", "IMPLICIT_DENY"] == [one["authDecision"] for one in with_client]
    assert [] == with_client[0]["missingContextValues"]
    without = ask(pump, *questions)
    assert ["IMPLICIT_DENY"] * 3 == [one["authDecision"] for one in without]
    assert ["iot:Connection.Thing.ThingName"] == without[0]["missingContextValues"]
    with Mqtt(running, pump) as mqtt:
        assert [True, False] == mqtt.subscribe(f"{pump.name}/a", "other/a")
    group = name("group")
    iot.create_thing_group(thingGroupName=group)
    iot.add_thing_to_thing_group(thingName=pump.name, thingGroupName=group)
    arn = iot.describe_thing_group(thingGroupName=group)["thingGroupArn"]
    iot.attach_policy(policyName=create_policy(iot, allow("iot:Publish")), target=arn)
    publish = ("PUBLISH", "topic/a")
    assert ["ALLOWED"] == [one["authDecision"] for one in ask(pump, publish, clientId=pump.name)]
    assert ["IMPLICIT_DENY"] == [one["authDecision"] for one in ask(pump, publish)]


def test_questions_that_are_refused(iot: Any, device: Callable[..., Device]) -> None:
    """No principal, one that is not there, no resource, a policy that is not there, a Cognito pool."""
    pump = device()
    info = [{"actionType": "PUBLISH", "resources": ["arn:aws:iot:us-east-1:1:topic/a"]}]
    for more, code in (
        ({"authInfos": info}, "InvalidRequestException"),
        ({"authInfos": info, "principal": pump.arn[:-1] + "0" * 2}, "ResourceNotFoundException"),
        ({"authInfos": [{"actionType": "PUBLISH", "resources": []}], "principal": pump.arn}, "InvalidRequestException"),
        ({"authInfos": [{"resources": ["x"]}], "principal": pump.arn}, "InvalidRequestException"),
        ({"authInfos": [], "principal": pump.arn}, "InvalidRequestException"),
        ({"authInfos": info, "principal": pump.arn, "policyNamesToAdd": ["nowhere"]}, "ResourceNotFoundException"),
        ({"authInfos": info, "cognitoIdentityPoolId": "x"}, "InvalidRequestException"),
    ):
        assert code == refused(iot.test_authorization, **more).code, json.dumps(more)
