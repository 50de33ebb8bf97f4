"""Who may connect, what ends a connection, and what is said then."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.gateway.mqtt.packets import (
    V5,
    V311,
    Code,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Subscribe,
    SubscriptionRequest,
    Will,
)

if TYPE_CHECKING:
    from tests.local.mqtt.conftest import Authority, Gateway, Identity, Raw

Eventually = Callable[[Callable[[], bool]], None]


def refused(gateway: Gateway, identity: Identity) -> bool:
    """Whether a certificate gets no further than TLS, or is told so in CONNACK."""
    try:
        raw = gateway.open(identity)
        raw.send(Connect(V311, "refused"))
        return raw.receive() == Connack(False, Code.NOT_AUTHORIZED)
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("case", ["unregistered", "sibling subject", "expired", "not yet", "other CA", "self-signed"])
def test_strangers(gateway: Gateway, authority: Authority, stranger: Authority, case: str) -> None:
    """A certificate that is not registered, or not in its time, is refused; no session is touched."""
    victim = gateway.client("refused", clean_start=False)
    identity = {
        "unregistered": lambda: authority.issue("nobody"),
        "sibling subject": lambda: authority.issue("device"),
        "expired": lambda: gateway.register(authority.issue("old", valid=(-9, -1))),
        "not yet": lambda: gateway.register(authority.issue("new", valid=(1, 9))),
        "other CA": lambda: stranger.issue("device"),
        "self-signed": lambda: authority.issue("self", self_signed=True),
    }[case]()
    assert refused(gateway, identity)
    assert [] == victim.quiet()


@pytest.mark.parametrize("self_signed", [False, True])
def test_registered_while_running(gateway: Gateway, authority: Authority, self_signed: bool) -> None:
    """A leaf of a CA that nobody knows connects as soon as it is registered."""
    gateway.client("first")
    identity = gateway.register(authority.issue("later", self_signed=self_signed))
    assert Connack(False, Code.SUCCESS) == gateway.client("c", identity=identity).connack


def test_rotation(gateway: Gateway, authority: Authority) -> None:
    """A new certificate of the same subject connects though the old one was used, after its removal too."""
    gateway.client("first")
    second = gateway.register(authority.issue("device"))
    gateway.client("second", identity=second)
    gateway.trust.remove(gateway.identity.der)
    third = gateway.register(authority.issue("device"))
    gateway.client("third", identity=third)
    gateway.restart()
    gateway.client("second", identity=second)
    gateway.client("third", identity=third)
    assert refused(gateway, gateway.identity)


def test_no_certificate(gateway: Gateway, authority: Authority, client_of: type[Raw]) -> None:
    """A client without a certificate is refused in the handshake."""
    context = ssl.create_default_context(cafile=authority.certificate.certificate)
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 5) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        raw = client_of(tls, V311)
        raw.send(Connect(V311, "nobody"))
        assert [] == raw.rest()


def test_inactive(gateway: Gateway) -> None:
    """A certificate that is trusted by TLS but not ACTIVE is refused at CONNECT, and the session's owner stays."""
    victim = gateway.client("refused")
    gateway.policies.active_ids.clear()
    assert refused(gateway, gateway.identity)
    assert [] == victim.quiet()


def test_deactivated(gateway: Gateway, version: int) -> None:
    """The live connections of a certificate end within a second of its end."""
    raw = gateway.client(version=version)
    begin = time.monotonic()
    assert 1 == gateway.call(lambda: gateway.broker.disconnect_principal(gateway.identity.id))
    said = [Disconnect(Code.NOT_AUTHORIZED, Properties(reason_string="not active"))] if version == V5 else []
    assert said == raw.rest()
    assert time.monotonic() - begin < 1


def test_policy_refuses_connect(gateway: Gateway, version: int) -> None:
    """A policy that does not allow iot:Connect is a refusal in CONNACK."""
    gateway.policies.forbidden.add(("connect", "c"))
    raw = gateway.open(version=version)
    raw.send(Connect(version, "c"))
    answer = raw.receive()
    assert (Connack, Code.NOT_AUTHORIZED) == (type(answer), answer.code)
    assert [] == raw.rest()


def test_refusals_are_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """MQTT 3.1.1 tells a device nothing of why it is hung up on: the log does, and nobody forges its lines."""
    caplog.set_level(logging.INFO, "iotctl.local")
    gateway.policies.forbidden |= {("connect", "c\nINFO x"), ("subscribe", "secret"), ("publish", "secret")}
    stranger = gateway.open()
    stranger.send(Connect(V311, "c\nINFO x"))
    stranger.rest()
    for version in (V311, V5):
        raw = gateway.client(f"v{version}", version)
        raw.subscribe("secret")
        raw.send(publish(topic="secret"), Disconnect())
        raw.rest()
    assert [
        "MQTT 'c\\nINFO x' refused, NOT_AUTHORIZED: its policies do not let it connect, or publish its will",
        "MQTT 'v4': SUBSCRIBE to 'secret' refused: NOT_AUTHORIZED",
        "MQTT 'v4' ended, AUTH_ERROR: PUBLISH to 'secret' refused: NOT_AUTHORIZED",
        "MQTT 'v5': SUBSCRIBE to 'secret' refused: NOT_AUTHORIZED",
        "MQTT 'v5': PUBLISH to 'secret' refused: NOT_AUTHORIZED",
    ] == caplog.messages


def test_takeover(gateway: Gateway, version: int) -> None:
    """A second client with the same id takes over, and the first is told why."""
    first = gateway.client("same", version)
    second = gateway.client("same", version)
    said = first.rest()
    assert [Code.SESSION_TAKEN_OVER] * (version == V5) == [packet.code for packet in said]
    assert [] == second.quiet()


def test_keep_alive(start: Any, version: int) -> None:
    """Silence for one and a half times the keep-alive ends a connection; a ping keeps it."""
    gateway = start(keep_alive_least=1)
    begin = time.monotonic()
    raw, watcher = gateway.client(version=version, keep_alive=1), gateway.client("watcher", keep_alive=60)
    watcher.subscribe("$aws/events/presence/#")
    said = raw.rest()
    assert [Code.KEEP_ALIVE_TIMEOUT] * (version == V5) == [packet.code for packet in said]
    assert time.monotonic() - begin >= 1.4
    assert "MQTT_KEEP_ALIVE_TIMEOUT" == json.loads(watcher.receive().payload)["disconnectReason"]


def test_what_fails_does_not_stop_the_clock(gateway: Gateway, eventually: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep-alives and sessions go on ending after an error on the way."""
    looked: list[float] = []

    def fail(moment: float) -> None:
        looked.append(moment)
        raise ZeroDivisionError

    monkeypatch.setattr(gateway.broker._presence, "sweep", fail)
    eventually(lambda: len(looked) > 1)


def test_connect_in_time(start: Any) -> None:
    """A client that drips its CONNECT is cut off."""
    gateway = start(connect_within=0.3)
    raw = gateway.open()
    begin = time.monotonic()
    raw.socket.sendall(b"\x10")
    assert [] == raw.rest()
    assert time.monotonic() - begin < 3


def test_welcome(gateway: Gateway) -> None:
    """CONNACK says what AWS says it supports."""
    raw = gateway.client("", V5, properties=Properties(session_expiry_interval=99_999), keep_alive=5)
    said = raw.connack.properties
    assert said.assigned_client_identifier
    expected = Properties(
        session_expiry_interval=3600,
        assigned_client_identifier=said.assigned_client_identifier,
        server_keep_alive=30,
        receive_maximum=100,
        topic_alias_maximum=8,
        maximum_qos=1,
        retain_available=1,
        maximum_packet_size=149_504,
        wildcard_subscription_available=1,
        subscription_identifiers_available=0,
        shared_subscription_available=1,
    )
    assert expected == said


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"client_id": "x" * 129}, Code.CLIENT_IDENTIFIER_NOT_VALID),
        ({"client_id": "$x"}, Code.CLIENT_IDENTIFIER_NOT_VALID),
        ({"will": Will("a", b"", 2)}, Code.QOS_NOT_SUPPORTED),
        ({"will": Will("$aws/events/x", b"")}, Code.TOPIC_NAME_INVALID),
        ({"will": Will("1/2/3/4/5/6/7/8/9", b"")}, Code.TOPIC_NAME_INVALID),
        ({"properties": Properties(authentication_method="x")}, Code.BAD_AUTHENTICATION_METHOD),
    ],
)
def test_connect_limits(gateway: Gateway, fields: dict[str, Any], code: Code) -> None:
    """What AWS does not take in CONNECT is refused with its reason code."""
    raw = gateway.open(version=V5)
    raw.send(Connect(V5, **({"client_id": "c"} | fields)))
    assert code == raw.receive().code


def publish(**fields: Any) -> Publish:
    """A PUBLISH of QoS 1."""
    return Publish(**({"topic": "a", "payload": b"", "qos": 1, "packet_id": 1} | fields))


ENDS = {
    "QoS 2": ([publish(qos=2)], Code.QOS_NOT_SUPPORTED),
    "subscribe QoS 2": ([Subscribe(1, (SubscriptionRequest("a", 2),))], Code.QOS_NOT_SUPPORTED),
    "payload": ([publish(payload=b"x" * 131_073)], Code.PACKET_TOO_LARGE),
    "9 filters": ([Subscribe(1, tuple(SubscriptionRequest(str(n)) for n in range(9)))], Code.QUOTA_EXCEEDED),
    "identifiers": (
        [Subscribe(1, (SubscriptionRequest("a"),), Properties(subscription_identifiers=(1,)))],
        Code.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    ),
    "alias": ([publish(properties=Properties(topic_alias=9))], Code.TOPIC_ALIAS_INVALID),
    "unknown alias": ([publish(topic="", properties=Properties(topic_alias=1))], Code.PROTOCOL_ERROR),
    "identified": ([publish(properties=Properties(subscription_identifiers=(1,)))], Code.PROTOCOL_ERROR),
    "CONNECT twice": ([Connect(V5, "c")], Code.PROTOCOL_ERROR),
    "receive maximum": ([publish(packet_id=n) for n in range(1, 102)], Code.RECEIVE_MAXIMUM_EXCEEDED),
    "PINGRESP": ([Pingresp()], Code.PROTOCOL_ERROR),
    "topic of QoS 0": ([publish(topic="1/2/3/4/5/6/7/8/9", qos=0, packet_id=0)], Code.TOPIC_NAME_INVALID),
    "denied QoS 0": ([publish(topic="secret", qos=0, packet_id=0)], Code.NOT_AUTHORIZED),
}


@pytest.mark.parametrize("case", ENDS)
def test_ends(gateway: Gateway, case: str) -> None:
    """What a client may not do ends its connection with the reason; others go on."""
    gateway.policies.forbidden.add(("publish", "secret"))
    packets, code = ENDS[case]
    other, raw = gateway.client("other"), gateway.client("bad", V5)
    raw.send(*packets)
    assert code == [each for each in raw.rest() if isinstance(each, Disconnect)][-1].code
    assert [] == other.quiet()


def test_ends_in_3(gateway: Gateway) -> None:
    """MQTT 3.1.1 has no words for it: QoS 2, and a publish that is denied, close the connection without a PUBACK."""
    gateway.policies.forbidden.add(("publish", "secret"))
    for packet in (publish(qos=2), publish(topic="secret"), publish(topic="1/2/3/4/5/6/7/8/9")):
        raw = gateway.client()
        raw.send(packet)
        assert [] == raw.rest()


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("1/2/3/4/5/6/7/8", Code.SUCCESS),
        ("1/2/3/4/5/6/7/8/9", Code.TOPIC_NAME_INVALID),
        ("x" * 256, Code.SUCCESS),
        ("x" * 257, Code.TOPIC_NAME_INVALID),
        ("$aws/rules/r/1/2/3/4/5/6/7/8", Code.SUCCESS),
        ("$aws/events/presence/connected/x", Code.TOPIC_NAME_INVALID),
        ("$SYS/x", Code.TOPIC_NAME_INVALID),
        ("secret", Code.NOT_AUTHORIZED),
    ],
)
def test_topics(gateway: Gateway, topic: str, code: Code) -> None:
    """MQTT 5 with QoS 1 hears in PUBACK which topics it may not publish to, and goes on."""
    gateway.policies.forbidden.add(("publish", "secret"))
    raw = gateway.client(version=V5)
    answer = raw.publish(topic)
    assert isinstance(answer, Puback)
    assert code == answer.code
    raw.send(Pingreq())
    assert Pingresp() == raw.receive()


def test_filters(gateway: Gateway, version: int) -> None:
    """Each filter of a SUBSCRIBE has its answer."""
    gateway.policies.forbidden.add(("subscribe", "secret"))
    raw = gateway.client(version=version)
    failure = (lambda code: code) if version == V5 else (lambda _: Code.UNSPECIFIED_ERROR)
    long = "$share/" + "n" * 129 + "/a"
    expected = (1, failure(0x87), failure(0x8F), failure(0x8F), failure(0x8F), 1)
    filters = ("a/#", "secret", "1/2/3/4/5/6/7/8/9", "$SYS/#", long, "$share/g/1/2/3/4/5/6/7/8")
    assert expected == raw.subscribe(*filters)


def test_fifty_subscriptions(gateway: Gateway) -> None:
    """The 51st subscription is refused; one of the 50 may be replaced."""
    raw = gateway.client(version=V5)
    for start in range(0, 48, 8):
        assert (1,) * 8 == raw.subscribe(*(f"t/{n}" for n in range(start, start + 8)))
    assert (1, 1, Code.QUOTA_EXCEEDED, 1) == raw.subscribe("a", "b", "c", "t/1")


def test_lifecycle_events(gateway: Gateway) -> None:
    """Connect, subscribe, unsubscribe and disconnect are events with AWS's fields."""
    watcher = gateway.client("watcher")
    watcher.subscribe("$aws/events/presence/#", "$aws/events/subscriptions/#")
    watcher.quiet()
    raw = gateway.client("pump")
    raw.subscribe("a", "b")
    raw.send(Disconnect())
    raw.rest()
    events = []
    while len(events) < 3:
        packet = watcher.receive()
        events.append((packet.topic, json.loads(packet.payload)))
    identifier = events[0][1]["sessionIdentifier"]
    for _, event in events:
        assert event.pop("timestamp") > 1.6e12
    same = {"clientId": "pump", "sessionIdentifier": identifier, "principalIdentifier": gateway.identity.id}
    gone = {"clientInitiatedDisconnect": True, "disconnectReason": "CLIENT_INITIATED_DISCONNECT", "versionNumber": 0}
    expected = [
        ("presence/connected", same | {"eventType": "connected", "ipAddress": "127.0.0.1", "versionNumber": 0}),
        ("subscriptions/subscribed", same | {"eventType": "subscribed", "topics": ["a", "b"]}),
        ("presence/disconnected", same | {"eventType": "disconnected"} | gone),
    ]
    assert [(f"$aws/events/{name}/pump", body) for name, body in expected] == events


@pytest.mark.parametrize("how", ["drop", "takeover", "malformed"])
def test_disconnect_reasons(gateway: Gateway, how: str) -> None:
    """A connection that ends badly says how."""
    watcher = gateway.client("watcher")
    watcher.subscribe("$aws/events/presence/disconnected/#")
    raw = gateway.client("pump")
    if how == "drop":
        raw.drop()
    elif how == "takeover":
        gateway.client("pump")
    else:
        raw.socket.sendall(b"\x00\x00")
    reason = {"drop": "CONNECTION_LOST", "takeover": "DUPLICATE_CLIENTID", "malformed": "CLIENT_ERROR"}[how]
    event = json.loads(watcher.receive().payload)
    assert (reason, False) == (event["disconnectReason"], event["clientInitiatedDisconnect"])


def test_garbage_harms_its_sender_only(gateway: Gateway, eventually: Eventually) -> None:
    """Claims of 10 MB, half a packet, and noise close the connection they came on."""
    other = gateway.client("other")
    for data in (b"\x30\x80\xad\xe2\x04", b"\x10\x0d\x00\x04MQTT\x04", bytes(range(256)) * 64):
        raw = gateway.open()
        raw.socket.sendall(data)
        if len(data) > 9 or data[0] == 0x30:
            raw.rest()
        raw.drop()
    eventually(lambda: len(gateway.broker._connections) == 1)
    assert [] == other.quiet()
