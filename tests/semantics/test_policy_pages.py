"""The policy examples of the developer guide, each with requests that its page says are allowed or not.

Where the page has a variant for registered and one for unregistered devices, both are here. Resources are written
without the beginning of their ARN. The archived pages' `${iot:Thing.ThingName}`, which no list of variables has, is
written as `${iot:Connection.Thing.ThingName}`, as the current pages do.
"""

from __future__ import annotations

import json
from typing import Any

from iotctl.semantics.policy import grants, parse
from iotctl.semantics.policy_variables import certificate_variables
from tests import vectors

ARN = "arn:aws:iot:us-east-1:123456789012:"
THING = "${iot:Connection.Thing.ThingName}"
CLIENT = "${iot:ClientId}"
CLIENTS = ["client/client1", "client/client2", "client/client3"]
DEVICE = {
    "iot:ClientId": "thing1",
    "iot:Connection.Thing.ThingName": "thing1",
    "iot:Connection.Thing.ThingTypeName": "Thing_Type_Name",
    "iot:Connection.Thing.Attributes[attributeName]": "attributeValue",
    "iot:Connection.Thing.IsAttached": "true",
    "iot:CertificateId": "c0ffee",
    "aws:SourceIp": "123.45.167.89",
    "iot:ConnectAttributes": (),
}
STRANGER = {"iot:ClientId": "client1", "iot:Connection.Thing.IsAttached": "false", "iot:CertificateId": "c0ffee"}
ADMIN = certificate_variables("Subject", {"CommonName": ["a", "b", "Administrator"], "Organization": ["AnyCompany"]})
OTHER = certificate_variables("Subject", {"CommonName": ["a", "b", "c"], "Organization": ["AnyCompany", "Evil"]})


def allow(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    """An Allow statement."""
    each = [resource] if isinstance(resource, str) else resource
    return {"Effect": "Allow", "Action": action, "Resource": [r if r == "*" else ARN + r for r in each], **more}


def deny(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    """A Deny statement."""
    return allow(action, resource, **more) | {"Effect": "Deny"}


def all_of(*attributes: str) -> dict[str, Any]:
    """The condition that a CONNECT has no features but these."""
    return {"ForAllValues:StringEquals": {"iot:ConnectAttributes": list(attributes)}}


def any_of(*attributes: str) -> dict[str, Any]:
    """The condition that a CONNECT has one of these features."""
    return {"ForAnyValue:StringEquals": {"iot:ConnectAttributes": list(attributes)}}


def connect(condition: dict[str, Any], effect: str = "Allow") -> dict[str, Any]:
    """A statement about every CONNECT."""
    return {"Effect": effect, "Action": ["iot:Connect"], "Resource": "*", "Condition": condition}


CONNECT_THING = allow(["iot:Connect"], f"client/{THING}")
CONNECT_CLIENTS = allow(["iot:Connect"], CLIENTS)
CONNECT_CLIENT1 = allow(["iot:Connect"], "client/client1")
WILL = {"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/*my/lastwill/topicName"}}
ORGANIZATIONS = {
    "ForAllValues:StringEquals": {"iot:Certificate.Subject.Organization.List": ["Example Corp", "AnyCompany"]}
}
ONE_NAME = {"StringEquals": {"iot:Certificate.Subject.CommonName.2": "Administrator"}}
ANY_NAME = {"ForAnyValue:StringEquals": {"iot:Certificate.Subject.CommonName.List": "Administrator"}}
TYPE_AND_ATTRIBUTE = {
    "StringEquals": {
        "iot:Connection.Thing.Attributes[attributeName]": "attributeValue",
        "iot:Connection.Thing.ThingTypeName": "Thing_Type_Name",
    },
    "Bool": {"iot:Connection.Thing.IsAttached": "true"},
}

EXAMPLES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[str], list[str]]] = {
    "basic-policy-variables: client id": (
        [allow("iot:Connect", f"client/{CLIENT}"), allow("iot:Publish", f"topic/my/topic/{CLIENT}")],
        STRANGER,
        ["iot:Connect client/client1", "iot:Publish topic/my/topic/client1"],
        ["iot:Connect client/client2", "iot:Publish topic/my/topic/client2", "iot:Publish topic/my/topic/client1/a"],
    ),
    "basic-policy-variables: source ip": (
        [
            allow("iot:Connect", "client/clientid1"),
            allow(
                "iot:Publish", f"topic/my/topic/{CLIENT}", Condition={"IpAddress": {"aws:SourceIp": "123.45.167.89"}}
            ),
        ],
        DEVICE,
        ["iot:Connect client/clientid1", "iot:Publish topic/my/topic/thing1"],
        ["iot:Connect client/thing1"],
    ),
    "basic-policy-variables: a client called +": (
        [allow("iot:Subscribe", f"topicfilter/my/{CLIENT}/topic")],
        {"iot:ClientId": "+"},
        ["iot:Subscribe topicfilter/my/+/topic"],
        ["iot:Subscribe topicfilter/my/a/topic"],
    ),
    "basic-policy-variables: only clientid1 connects": (
        [allow("iot:Connect", "client/clientid1")],
        {"iot:ClientId": "+"},
        ["iot:Connect client/clientid1"],
        ["iot:Connect client/+"],
    ),
    "connect-policy: client1": (
        [CONNECT_CLIENT1],
        STRANGER,
        ["iot:Connect client/client1"],
        ["iot:Connect client/client2", "iot:Publish topic/client1"],
    ),
    "connect-policy: a thing's name but not client1": (
        [deny(["iot:Connect"], CLIENTS[:2]), CONNECT_THING],
        DEVICE,
        ["iot:Connect client/thing1"],
        ["iot:Connect client/client1", "iot:Connect client/client2", "iot:Connect client/thing2"],
    ),
    "connect-policy: client1 is denied though a thing has its name": (
        [deny(["iot:Connect"], CLIENTS[:2]), CONNECT_THING],
        DEVICE | {"iot:ClientId": "client1", "iot:Connection.Thing.ThingName": "client1"},
        [],
        ["iot:Connect client/client1"],
    ),
    "connect-policy: registered devices (3)": (
        [CONNECT_THING, allow(["iot:Subscribe"], "topicfilter/my/topic/filter")],
        DEVICE,
        ["iot:Connect client/thing1", "iot:Subscribe topicfilter/my/topic/filter"],
        ["iot:Connect client/client1", "iot:Subscribe topicfilter/my/topic"],
    ),
    "connect-policy: unregistered devices (3)": (
        [CONNECT_CLIENT1, allow(["iot:Subscribe"], "topicfilter/my/topic")],
        STRANGER,
        ["iot:Connect client/client1", "iot:Subscribe topicfilter/my/topic"],
        ["iot:Subscribe topicfilter/my/#"],
    ),
    "pub-sub-policy: registered devices (4), +": (
        [CONNECT_THING, allow(["iot:Subscribe"], "topicfilter/some/+/topic")],
        DEVICE,
        ["iot:Connect client/thing1", "iot:Subscribe topicfilter/some/+/topic"],
        ["iot:Subscribe topicfilter/some/string1/topic"],
    ),
    "pub-sub-policy: registered devices (4), *": (
        [CONNECT_THING, allow(["iot:Subscribe"], "topicfilter/some/*/topic")],
        DEVICE,
        [f"iot:Subscribe topicfilter/some/{level}/topic" for level in ("string1", "string2", "+")],
        ["iot:Subscribe topicfilter/some/topic", "iot:Subscribe topicfilter/some/#"],
    ),
    "pub-sub-policy: unregistered devices (4)": (
        [CONNECT_CLIENT1, allow(["iot:Subscribe"], "topicfilter/some/+/topic")],
        STRANGER,
        ["iot:Connect client/client1", "iot:Subscribe topicfilter/some/+/topic"],
        ["iot:Subscribe topicfilter/some/a/topic"],
    ),
    "pub-sub-policy: registered devices (5)": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/{THING}/*")],
        DEVICE,
        ["iot:Connect client/thing1", "iot:Publish topic/thing1/a", "iot:Publish topic/thing1/a/b"],
        ["iot:Publish topic/thing1", "iot:Publish topic/thing10/a", "iot:Publish topic/other/a"],
    ),
    "pub-sub-policy: unregistered devices (5)": (
        [CONNECT_CLIENTS, allow(["iot:Publish"], f"topic/{CLIENT}/*")],
        STRANGER,
        ["iot:Connect client/client3", "iot:Publish topic/client1/a"],
        ["iot:Connect client/client4", "iot:Publish topic/client2/a"],
    ),
    "pub-sub-policy: a registered device's policy on an unregistered one": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/{THING}/*")],
        STRANGER,
        [],
        ["iot:Connect client/client1", "iot:Publish topic/client1/a", "iot:Publish topic//a"],
    ),
    "pub-sub-policy: registered devices (6)": (
        [
            CONNECT_THING,
            allow(["iot:Subscribe"], f"topicfilter/{THING}/room*"),
            allow(["iot:Receive"], f"topic/{THING}/room*"),
        ],
        DEVICE,
        ["iot:Subscribe topicfilter/thing1/room1", "iot:Receive topic/thing1/room2"],
        ["iot:Subscribe topicfilter/thing1/+", "iot:Receive topic/thing2/room1"],
    ),
    "pub-sub-policy: unregistered devices (6)": (
        [
            CONNECT_CLIENTS,
            allow(["iot:Subscribe"], f"topicfilter/{CLIENT}/room*"),
            allow(["iot:Receive"], f"topic/{CLIENT}/room*"),
        ],
        STRANGER,
        ["iot:Subscribe topicfilter/client1/room1", "iot:Receive topic/client1/room2"],
        ["iot:Subscribe topicfilter/client2/room1"],
    ),
    "pub-sub-policy: a deny of a/restricted that a/# escapes": (
        [allow("iot:Subscribe", "topicfilter/a/*"), deny("iot:Subscribe", "topicfilter/a/restricted/*")],
        DEVICE,
        ["iot:Subscribe topicfilter/a/#", "iot:Subscribe topicfilter/a/+/b"],
        ["iot:Subscribe topicfilter/a/restricted/b", "iot:Receive topic/a/restricted/b"],
    ),
    "pub-sub-policy: everything under a/ but a/restricted": (
        [
            allow("iot:Subscribe", "topicfilter/a/*"),
            {"Effect": "Allow", "Action": "iot:Receive", "NotResource": f"{ARN}topic/a/restricted/*"},
        ],
        DEVICE,
        ["iot:Subscribe topicfilter/a/#", "iot:Receive topic/a/b"],
        ["iot:Receive topic/a/restricted/b"],
    ),
    "pub-sub-policy: subscribe but not receive": (
        [allow("iot:Subscribe", "topicfilter/device/update"), deny("iot:Receive", "topic/device/update")],
        DEVICE,
        ["iot:Subscribe topicfilter/device/update"],
        ["iot:Receive topic/device/update"],
    ),
    "pub-sub-policy: registered devices (7)": (
        [CONNECT_THING, allow(["iot:Subscribe"], ["topicfilter/my/topic", "topicfilter/my/othertopic"])],
        DEVICE,
        ["iot:Subscribe topicfilter/my/topic", "iot:Subscribe topicfilter/my/othertopic"],
        ["iot:Subscribe topicfilter/my/+", "iot:Publish topic/my/topic"],
    ),
    "pub-sub-policy: registered devices (8)": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/my/topic/{THING}")],
        DEVICE,
        ["iot:Publish topic/my/topic/thing1"],
        ["iot:Publish topic/my/topic/thing2"],
    ),
    "pub-sub-policy: unregistered devices (8)": (
        [CONNECT_CLIENT1, allow(["iot:Publish"], f"topic/my/topic/{CLIENT}")],
        STRANGER,
        ["iot:Publish topic/my/topic/client1"],
        ["iot:Publish topic/my/topic/client2"],
    ),
    "pub-sub-policy: registered devices (9)": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/{THING}/*"), deny(["iot:Publish"], f"topic/{THING}/bar")],
        DEVICE,
        ["iot:Publish topic/thing1/foo", "iot:Publish topic/thing1/bar/baz"],
        ["iot:Publish topic/thing1/bar"],
    ),
    "pub-sub-policy: unregistered devices (9)": (
        [CONNECT_CLIENTS, allow(["iot:Publish"], f"topic/{CLIENT}/*"), deny(["iot:Publish"], f"topic/{CLIENT}/bar")],
        STRANGER,
        ["iot:Publish topic/client1/foo"],
        ["iot:Publish topic/client1/bar", "iot:Publish topic/client2/foo"],
    ),
    "pub-sub-policy: registered devices (10)": (
        [CONNECT_THING, allow(["iot:Subscribe"], "topicfilter/my/topic"), deny(["iot:Publish"], f"topic/{THING}/bar")],
        DEVICE,
        ["iot:Subscribe topicfilter/my/topic"],
        ["iot:Publish topic/thing1/bar", "iot:Publish topic/thing1/foo"],
    ),
    "pub-sub-policy: provisioning topic": (
        [
            CONNECT_CLIENT1,
            allow(["iot:Publish", "iot:Receive"], "topic/iotmonitor/provisioning/987654321098"),
            allow(["iot:Subscribe"], "topicfilter/iotmonitor/provisioning/987654321098"),
        ],
        STRANGER,
        [
            "iot:Publish topic/iotmonitor/provisioning/987654321098",
            "iot:Receive topic/iotmonitor/provisioning/987654321098",
            "iot:Subscribe topicfilter/iotmonitor/provisioning/987654321098",
        ],
        ["iot:Publish topic/iotmonitor/provisioning/1"],
    ),
    "pub-sub-policy: registered devices (11)": (
        [
            CONNECT_THING,
            allow(["iot:Subscribe"], "topicfilter/my/topic"),
            allow(["iot:Receive"], "topic/my/topic"),
        ],
        DEVICE,
        ["iot:Subscribe topicfilter/my/topic", "iot:Receive topic/my/topic"],
        ["iot:Receive topic/my/topic/a", "iot:Publish topic/my/topic"],
    ),
    "connect-and-pub: registered": (
        [allow(["iot:Publish"], f"topic/{THING}"), CONNECT_THING],
        DEVICE,
        ["iot:Connect client/thing1", "iot:Publish topic/thing1"],
        ["iot:Connect client/thing2", "iot:Publish topic/thing2", "iot:Publish topic/thing1/a"],
    ),
    "connect-and-pub: unregistered": (
        [allow(["iot:Publish"], f"topic/{CLIENT}"), CONNECT_CLIENT1],
        STRANGER,
        ["iot:Connect client/client1", "iot:Publish topic/client1"],
        ["iot:Connect client/client2", "iot:Publish topic/client2"],
    ),
    "retained-message-policy-examples: publish": (
        [
            allow("iot:Connect", "client/device1"),
            allow(["iot:Publish", "iot:RetainPublish"], "topic/device/sample/configuration"),
        ],
        {"iot:ClientId": "device1"},
        ["iot:Publish topic/device/sample/configuration", "iot:RetainPublish topic/device/sample/configuration"],
        ["iot:RetainPublish topic/other"],
    ),
    "retained-message-policy-examples: list and get": (
        [allow("iot:ListRetainedMessages", "*"), allow("iot:GetRetainedMessage", "topic/foo")],
        {},
        ["iot:ListRetainedMessages *", "iot:GetRetainedMessage topic/foo"],
        ["iot:GetRetainedMessage topic/bar"],
    ),
    "certificate-policy-examples: certificate id": (
        [allow(["iot:Publish"], "topic/${iot:CertificateId}"), CONNECT_THING],
        DEVICE,
        ["iot:Publish topic/c0ffee", "iot:Connect client/thing1"],
        ["iot:Publish topic/decaf"],
    ),
    "certificate-policy-examples: common name": (
        [allow(["iot:Publish"], "topic/${iot:Certificate.Subject.CommonName}"), CONNECT_CLIENTS],
        STRANGER | ADMIN,
        ["iot:Publish topic/a", "iot:Connect client/client2"],
        ["iot:Publish topic/b", "iot:Publish topic/Administrator"],
    ),
    "certificate-policy-examples: the third common name": (
        [CONNECT_THING, allow(["iot:Publish"], "topic/admin/*", Condition=ONE_NAME)],
        DEVICE | ADMIN,
        ["iot:Publish topic/admin/a"],
        ["iot:Publish topic/a"],
    ),
    "certificate-policy-examples: another third common name": (
        [CONNECT_THING, allow(["iot:Publish"], "topic/admin/*", Condition=ONE_NAME)],
        DEVICE | OTHER,
        ["iot:Connect client/thing1"],
        ["iot:Publish topic/admin/a"],
    ),
    "certificate-policy-examples: any common name": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/admin/{THING}", Condition=ANY_NAME)],
        DEVICE | ADMIN,
        ["iot:Publish topic/admin/thing1"],
        ["iot:Publish topic/admin/thing2"],
    ),
    "certificate-policy-examples: no such common name": (
        [CONNECT_CLIENTS, allow(["iot:Publish"], "topic/admin", Condition=ANY_NAME)],
        STRANGER | OTHER,
        ["iot:Connect client/client1"],
        ["iot:Publish topic/admin"],
    ),
    "cert-policy-variables: organizations": (
        [CONNECT_THING, allow(["iot:Publish"], f"topic/my/topic/{THING}", Condition=ORGANIZATIONS)],
        DEVICE | ADMIN,
        ["iot:Connect client/thing1", "iot:Publish topic/my/topic/thing1"],
        ["iot:Publish topic/my/topic/thing2"],
    ),
    "cert-policy-variables: another organization": (
        [CONNECT_CLIENTS, allow(["iot:Publish"], f"topic/my/topic/{CLIENT}", Condition=ORGANIZATIONS)],
        STRANGER | OTHER,
        ["iot:Connect client/client1"],
        ["iot:Publish topic/my/topic/client1"],
    ),
    "thing-policy-examples: attached": (
        [connect({"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}})],
        DEVICE,
        ["iot:Connect client/thing1"],
        ["iot:Publish topic/a"],
    ),
    "thing-policy-examples: not attached": (
        [connect({"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}})],
        STRANGER,
        [],
        ["iot:Connect client/client1"],
    ),
    "thing-policy-examples: type and attribute": (
        [allow(["iot:Publish"], "topic/device/stats", Condition=TYPE_AND_ATTRIBUTE)],
        DEVICE,
        ["iot:Publish topic/device/stats"],
        ["iot:Publish topic/device"],
    ),
    "thing-policy-examples: another attribute": (
        [allow(["iot:Publish"], "topic/device/stats", Condition=TYPE_AND_ATTRIBUTE)],
        DEVICE | {"iot:Connection.Thing.Attributes[attributeName]": "other"},
        [],
        ["iot:Publish topic/device/stats"],
    ),
    "thing-policy-examples: topic by attribute": (
        [allow(["iot:Publish"], "topic/${iot:Connection.Thing.Attributes[attributeName]}/*")],
        DEVICE,
        ["iot:Publish topic/attributeValue/a"],
        ["iot:Publish topic/other/a"],
    ),
    "thing-policy-examples: topic by attribute without a thing": (
        [allow(["iot:Publish"], "topic/${iot:Connection.Thing.Attributes[attributeName]}/*")],
        STRANGER,
        [],
        ["iot:Publish topic/attributeValue/a", "iot:Publish topic/${iot:Connection.Thing.Attributes[attributeName]}/a"],
    ),
    "basic-jobs-example": (
        [
            allow(["iot:Connect"], "client/uniqueThingName"),
            allow(["iot:Publish"], ["topic/test/dc/pubtopic", "topic/$aws/things/uniqueThingName/jobs/*"]),
            allow(
                ["iot:Subscribe"], ["topicfilter/test/dc/subtopic", "topicfilter/$aws/things/uniqueThingName/jobs/*"]
            ),
            allow(["iot:Receive"], ["topic/test/dc/subtopic", "topic/$aws/things/uniqueThingName/jobs/*"]),
            allow(["iot:DescribeJobExecution", "iot:UpdateJobExecution"], "thing/uniqueThingName"),
        ],
        {"iot:ClientId": "uniqueThingName"},
        [
            "iot:Connect client/uniqueThingName",
            "iot:Publish topic/$aws/things/uniqueThingName/jobs/$next/get",
            "iot:Subscribe topicfilter/$aws/things/uniqueThingName/jobs/notify-next",
            "iot:Receive topic/$aws/things/uniqueThingName/jobs/notify-next",
            "iotjobsdata:DescribeJobExecution thing/uniqueThingName",
        ],
        ["iot:Publish topic/$aws/things/other/jobs/get", "iot:UpdateJobExecution thing/other"],
    ),
    "device-shadow-mqtt: the shadow's topics": (
        [
            allow("iot:Publish", "topic/$aws/things/thingName/shadow/get"),
            allow("iot:Subscribe", "topicfilter/$aws/things/thingName/shadow/get/accepted"),
            allow("iot:Receive", "topic/$aws/things/thingName/shadow/get/accepted"),
        ],
        DEVICE,
        [
            "iot:Publish topic/$aws/things/thingName/shadow/get",
            "iot:Subscribe topicfilter/$aws/things/thingName/shadow/get/accepted",
            "iot:Receive topic/$aws/things/thingName/shadow/get/accepted",
        ],
        ["iot:Publish topic/$aws/things/thingName/shadow/update", "iot:GetThingShadow thing/thingName"],
    ),
    "device-shadow-rest-api: GetThingShadow": (
        [allow("iot:GetThingShadow", "thing/thing"), allow("iot:UpdateThingShadow", "thing/thingOne/shadowOne")],
        {},
        ["iot:GetThingShadow thing/thing", "iot:UpdateThingShadow thing/thingOne/shadowOne"],
        ["iot:GetThingShadow thing/thing/shadowOne", "iot:UpdateThingShadow thing/thingOne"],
    ),
}

PERSISTENT, LAST_WILL = "PersistentConnect", "LastWill"
FEATURES = {
    "plain": (),
    "persistent": (PERSISTENT,),
    "will": (LAST_WILL,),
    "both": (PERSISTENT, LAST_WILL),
    "new": ("New",),
}
CONNECTS: dict[str, tuple[list[dict[str, Any]], set[str]]] = {
    "allows PersistentConnect": ([connect(all_of(PERSISTENT))], {"plain", "persistent"}),
    "disallows PersistentConnect, others are allowed": (
        [connect({"ForAllValues:StringNotEquals": {"iot:ConnectAttributes": [PERSISTENT]}})],
        {"plain", "will", "new"},
    ),
    "the same expressed with StringEquals": (
        [allow("iot:Connect", "*"), connect(any_of(PERSISTENT), "Deny")],
        {"plain", "will", "new"},
    ),
    "allows both, no new feature": ([connect(all_of(PERSISTENT, LAST_WILL))], {"plain", "persistent", "will", "both"}),
    "clean connect with or without LastWill": ([connect(all_of(LAST_WILL))], {"plain", "will"}),
    "default features only": ([connect(all_of())], {"plain"}),
    "only with PersistentConnect, any new feature": ([connect(any_of(PERSISTENT))], {"persistent", "both"}),
    "must have both": (
        [
            connect(all_of(PERSISTENT, LAST_WILL)),
            connect(all_of(PERSISTENT), "Deny"),
            connect(all_of(LAST_WILL), "Deny"),
            connect(all_of(), "Deny"),
        ],
        {"both"},
    ),
    "no PersistentConnect, maybe LastWill": (
        [connect(any_of(PERSISTENT), "Deny"), connect(all_of(LAST_WILL))],
        {"plain", "will"},
    ),
    "only with the topic my/lastwill/topicName": ([connect(WILL)], {"will", "both"}),
    "clean connect with the topic my/lastwill/topicName": (
        [connect(WILL), connect(any_of(PERSISTENT), "Deny")],
        {"will"},
    ),
}


@vectors.rows("name", EXAMPLES)
def test_examples_allow_what_their_pages_say(name: str) -> None:
    """Each request of an example is allowed, or not, as the prose around it says."""
    statements, values, allowed, refused = EXAMPLES[name]
    bound = grants([parse(json.dumps({"Version": "2012-10-17", "Statement": statements}))], values)
    expected = dict.fromkeys(allowed, True) | dict.fromkeys(refused, False)
    assert expected == {request: _allows(bound, request) for request in expected}


@vectors.rows("name", CONNECTS)
def test_connect_attributes_decide_as_the_page_says(name: str) -> None:
    """connect-policy, "MQTT persistent sessions policy examples"."""
    statements, expected = CONNECTS[name]
    policy = parse(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    found = set()
    for feature, attributes in FEATURES.items():
        values: dict[str, Any] = {"iot:ClientId": "c", "iot:ConnectAttributes": attributes}
        if LAST_WILL in attributes:
            values["iot:LastWillTopic"] = f"{ARN}topic/my/lastwill/topicName"
        if grants([policy], values).allows("iot:Connect", f"{ARN}client/c"):
            found.add(feature)
    assert expected == found


def test_another_last_will_topic_does_not_connect() -> None:
    """connect-policy: only `my/lastwill/topicName` will do."""
    policy = parse(json.dumps({"Version": "2012-10-17", "Statement": [connect(WILL)]}))
    values = {"iot:ConnectAttributes": (LAST_WILL,), "iot:LastWillTopic": f"{ARN}topic/my/other"}
    assert not grants([policy], values).allows("iot:Connect", f"{ARN}client/c")


def _allows(bound: Any, request: str) -> bool:
    action, resource = request.split(" ", 1)
    return bool(bound.allows(action, resource if resource == "*" else ARN + resource))
