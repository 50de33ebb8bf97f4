"""What a device may do: policies with their variables, bound to a connection, and when they are looked at again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.local.gateway.authorizer import PolicyAuthorizer
from iotctl.local.gateway.mqtt.session import Client, Principal
from iotctl.local.services import OPERATIONS
from tests.local.clients import allow

if TYPE_CHECKING:
    from iotctl.local.store import Store

NAME = "${iot:Connection.Thing.ThingName}"
Connect = Callable[..., Client]


@pytest.fixture
def call(store: Store) -> Callable[..., dict[str, Any]]:
    """Carry out an operation of the registry."""
    return lambda name, **parameters: OPERATIONS[f"iot:{name}"](store, **parameters)


@pytest.fixture
def authorizer(store: Store) -> PolicyAuthorizer:
    """The authorizer of the store."""
    return PolicyAuthorizer(store)


@pytest.fixture
def certificate(call: Callable[..., dict[str, Any]], signer: pki.Authority) -> Callable[..., str]:
    """Register a certificate with a policy of these statements; its ARN."""

    def register(*statements: dict[str, Any], common_name: str = "pump") -> str:
        pem = signer.issue(common_name).certificate_pem
        arn = str(call("RegisterCertificateWithoutCA", certificatePem=pem, status="ACTIVE")["certificateArn"])
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            call("CreatePolicy", policyName=arn[-20:], policyDocument=document)
            call("AttachPolicy", policyName=arn[-20:], target=arn)
        return arn

    return register


def client(arn: str, client_id: str = "pump", address: str = "127.0.0.1") -> Client:
    """A connection with a certificate."""
    return Client(client_id, Principal(arn.rpartition("/")[2]), address)


def connects(authorizer: PolicyAuthorizer, asks: Client, will: str = "", *, persistent: bool = False) -> bool:
    """Whether a client may connect."""
    return authorizer.connect(asks, will=will, persistent=persistent)


def test_nothing_is_allowed_without_a_policy(authorizer: PolicyAuthorizer, certificate: Callable[..., str]) -> None:
    """A certificate without policies may do nothing."""
    asks = client(certificate())
    found = (
        connects(authorizer, asks),
        authorizer.publish(asks, "a", retain=False),
        authorizer.subscribe(asks, "a"),
        authorizer.receive(asks, "a"),
    )
    assert (False, False, False, False) == found


def test_a_thing_is_what_its_client_id_names_if_attached(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """Not exclusively attached, thing variables need the client id to be the thing's name."""
    arn = certificate(allow("iot:Connect", Bool={"iot:Connection.Thing.IsAttached": "true"}))
    for thing in ("pump", "valve"):
        call("CreateThing", thingName=thing)
    call("AttachThingPrincipal", thingName="pump", principal=arn)
    found = {name: connects(authorizer, client(arn, name)) for name in ("pump", "valve", "other")}
    assert {"pump": True, "valve": False, "other": False} == found


def test_an_exclusive_thing_is_known_whatever_the_client_id(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """Exclusively attached, thing variables have values under every client id."""
    arn = certificate(allow("iot:Publish", resource=f"arn:aws:iot:*:*:topic/things/{NAME}"))
    call("CreateThing", thingName="pump")
    call("AttachThingPrincipal", thingName="pump", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    asks = client(arn, "session-17")
    assert authorizer.publish(asks, "things/pump", retain=False)
    assert not authorizer.publish(asks, "things/session-17", retain=False)


def test_type_and_attributes_of_a_thing_are_variables(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """ThingTypeName and Attributes[…] have the registry's values."""
    topic = "${iot:Connection.Thing.ThingTypeName}/${iot:Connection.Thing.Attributes[hall]}"
    arn = certificate(allow("iot:Publish", resource=f"arn:aws:iot:*:*:topic/{topic}"))
    call("CreateThingType", thingTypeName="pumps")
    call("CreateThing", thingName="pump", thingTypeName="pumps", attributePayload={"attributes": {"hall": "3"}})
    call("AttachThingPrincipal", thingName="pump", principal=arn)
    assert authorizer.publish(client(arn), "pumps/3", retain=False)
    assert not authorizer.publish(client(arn), "pumps/4", retain=False)


def test_the_names_of_a_certificate_are_variables(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str]
) -> None:
    """Subject, issuer, id and the address of the client have values."""
    topics = (
        "cn/${iot:Certificate.Subject.CommonName}",
        "ca/${iot:Certificate.Issuer.CommonName}",
        "id/${iot:CertificateId}",
        "ip/${aws:SourceIp}",
    )
    arn = certificate(*(allow("iot:Publish", resource=f"arn:aws:iot:*:*:topic/{topic}") for topic in topics))
    identity = arn.rpartition("/")[2]
    asked = ("cn/pump", "ca/a factory's own CA", f"id/{identity}", "ip/127.0.0.1", "cn/other")
    found = [authorizer.publish(client(arn), topic, retain=False) for topic in asked]
    assert [True, True, True, True, False] == found


def test_policies_of_groups_count_for_an_attached_thing(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """A group's policy, one above it included, counts for the client that is the thing, and for no other."""
    arn = certificate(allow("iot:Connect"))
    call("CreateThing", thingName="pump")
    call("AttachThingPrincipal", thingName="pump", principal=arn)
    top = call("CreateThingGroup", thingGroupName="top")["thingGroupArn"]
    call("CreateThingGroup", thingGroupName="below", parentGroupName="top")
    call("AddThingToThingGroup", thingGroupName="below", thingName="pump")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("iot:Publish")]})
    call("CreatePolicy", policyName="publish", policyDocument=document)
    call("AttachPolicy", policyName="publish", target=top)
    found = {name: authorizer.publish(client(arn, name), "a", retain=False) for name in ("pump", "other")}
    assert {"pump": True, "other": False} == found


def test_connect_attributes_and_the_last_will_are_conditions(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str]
) -> None:
    """A policy decides on persistent sessions and on the topic of the last will."""
    arn = certificate(
        allow("iot:Connect", **{"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}),
        {
            "Effect": "Deny",
            "Action": "iot:Connect",
            "Resource": "*",
            "Condition": {"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/forbidden"}},
        },
    )
    asks = client(arn)
    found = (
        connects(authorizer, asks),
        connects(authorizer, asks, "mine"),
        connects(authorizer, asks, "forbidden"),
        connects(authorizer, asks, persistent=True),
    )
    assert (True, True, False, False) == found


def test_retaining_needs_its_own_permission(authorizer: PolicyAuthorizer, certificate: Callable[..., str]) -> None:
    """iot:Publish alone does not let a client retain."""
    arn = certificate(allow("iot:Publish"), allow("iot:RetainPublish", resource="arn:aws:iot:*:*:topic/kept"))
    found = [authorizer.publish(client(arn), topic, retain=True) for topic in ("kept", "other")]
    assert [True, False] == found


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("$aws/things/pump/shadow/update", True),
        ("$aws/things/pump/shadow/update/accepted", False),
        ("$aws/events/presence/connected/pump", False),
        ("$aws/rules/mine/a/b", True),
        ("$SYS/a", False),
    ],
)
def test_nobody_publishes_where_only_aws_does(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], topic: str, allowed: bool
) -> None:
    """A policy that allows everything does not open AWS's own topics, neither do operators' credentials."""
    device, operator = client(certificate(allow("iot:*"))), Client("op", Principal("KEY", certificate=False))
    found = [authorizer.publish(one, topic, retain=False) for one in (device, operator)]
    assert [allowed, allowed] == found


def test_operators_may_do_everything(authorizer: PolicyAuthorizer) -> None:
    """The platform's own credentials are not bound by IoT policies."""
    operator = Client("op", Principal("KEY", certificate=False))
    assert connects(authorizer, operator, persistent=True)
    assert authorizer.subscribe(operator, "#")
    assert authorizer.receive(operator, "$aws/events/presence/connected/pump")


def test_what_was_bound_is_kept_until_forgotten(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """A detached policy still counts, until somebody says that it changed."""
    arn = certificate(allow("iot:Publish"))
    before = authorizer.publish(client(arn), "a", retain=False)
    call("DetachPolicy", policyName=arn[-20:], target=arn)
    kept = authorizer.publish(client(arn), "a", retain=False)
    authorizer.forget(arn.rpartition("/")[2])
    assert (True, True, False) == (before, kept, authorizer.publish(client(arn), "a", retain=False))


def test_over_https_nothing_is_known_of_a_thing(
    authorizer: PolicyAuthorizer, certificate: Callable[..., str], call: Any
) -> None:
    """Without a client id there is no thing, even with an exclusive attachment; certificate variables do."""
    arn = certificate(
        allow("iot:Publish", resource=f"arn:aws:iot:*:*:topic/thing/{NAME}"),
        allow("iot:GetThingShadow", resource="arn:aws:iot:*:*:thing/${iot:Certificate.Subject.CommonName}"),
    )
    call("CreateThing", thingName="pump")
    call("AttachThingPrincipal", thingName="pump", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    nameless = client(arn, "")
    assert not authorizer.publish(nameless, "thing/pump", retain=False)
    assert authorizer.allows(nameless, "iot:GetThingShadow", "thing/pump")
