"""Whom a message reaches, with what, and what services of the process see."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.packets import (
    V5,
    V311,
    Code,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Suback,
    Unsuback,
    Unsubscribe,
    Will,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.interfaces import Incoming
    from tests.local.mqtt.conftest import Gateway

    Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize(("published", "subscribed"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_quality_of_service(gateway: Gateway, version: int, published: int, subscribed: int) -> None:
    """A message arrives at the lower QoS of its publisher and its subscriber, across versions."""
    reader, writer = gateway.client("reader", version), gateway.client("writer", V311 + V5 - version)
    assert (subscribed,) == reader.subscribe("a/+", qos=subscribed)
    writer.publish("a/b", b"hello", published)
    qos = min(published, subscribed)
    assert Publish("a/b", b"hello", qos, packet_id=qos) == reader.receive()


def test_order_and_nothing_lost(gateway: Gateway) -> None:
    """2,000 messages of QoS 1 arrive, in order, though only 100 may be in flight."""
    reader, writer = gateway.client("reader"), gateway.client("writer")
    reader.subscribe("a")
    for start in range(0, 2000, 100):
        writer.send(*(Publish("a", str(n).encode(), 1, packet_id=n % 100 + 1) for n in range(start, start + 100)))
        assert {Puback} == {type(writer.receive()) for _ in range(100)}
    assert [str(n).encode() for n in range(2000)] == [reader.receive().payload for _ in range(2000)]


def test_overlapping_filters_deliver_once(gateway: Gateway) -> None:
    """A message that several filters of a client match arrives once, at their highest QoS."""
    reader = gateway.client("reader")
    reader.subscribe("a/#", qos=0)
    reader.subscribe("a/b", qos=1)
    reader.subscribe("+/b", qos=0)
    gateway.client("writer").publish("a/b")
    assert [Publish("a/b", b"x", 1, packet_id=1)] == reader.quiet()


def test_unsubscribe(gateway: Gateway, version: int) -> None:
    """After UNSUBACK nothing comes; MQTT 5 hears that it is so, subscribed or not."""
    raw = gateway.client(version=version)
    raw.subscribe("a")
    raw.send(Unsubscribe(3, ("a", "b")))
    codes = (Code.SUCCESS, Code.SUCCESS) if version == V5 else ()
    assert Unsuback(3, codes) == raw.receive()
    gateway.client("writer").publish("a")
    assert [] == raw.quiet()


def test_receive_is_asked(gateway: Gateway) -> None:
    """A wide filter does not bring what the policy does not let its client receive (iot:Receive)."""
    reader, writer = gateway.client("reader"), gateway.client("writer")
    gateway.policies.forbidden.add(("receive", "a/secret"))
    reader.subscribe("a/#")
    writer.publish("a/secret")
    writer.publish("a/open")
    assert ["a/open"] == [each.topic for each in reader.quiet()]
    gateway.policies.forbidden.clear()
    gateway.call(gateway.broker.policies_changed)
    writer.publish("a/secret")
    assert ["a/secret"] == [each.topic for each in reader.quiet()]


def test_decisions_are_remembered(gateway: Gateway) -> None:
    """The authorizer is asked once for a topic, until policies change."""
    raw = gateway.client()
    for _ in range(3):
        raw.publish("a")
    assert [("publish", "a")] == gateway.policies.asked
    gateway.call(gateway.broker.policies_changed)
    raw.publish("a")
    assert [("publish", "a")] * 2 == gateway.policies.asked


def test_properties_are_forwarded(gateway: Gateway) -> None:
    """What MQTT 5 says with a message reaches a subscriber of MQTT 5; the topic alias does not."""
    reader, writer = gateway.client("reader", V5), gateway.client("writer", V5)
    reader.subscribe("a", qos=0)
    properties = Properties(
        payload_format_indicator=1,
        content_type="application/json",
        response_topic="answers",
        correlation_data=b"\x00\x01",
        user_properties=(("k", "v"), ("k", "w")),
    )
    fields = {name: getattr(properties, name) for name in Properties.__slots__}
    writer.publish("a", qos=0, properties=Properties(**(fields | {"topic_alias": 3})))
    writer.publish("", qos=0, properties=Properties(topic_alias=3, message_expiry_interval=0))
    assert Publish("a", b"x", properties=properties) == reader.receive()
    assert Publish("a", b"x", properties=Properties(message_expiry_interval=1)) == reader.receive()


def test_subscription_options(gateway: Gateway) -> None:
    """No local, retain as published and retain handling do what MQTT 5 says."""
    raw = gateway.client("both", V5)
    raw.subscribe("own", no_local=True)
    raw.subscribe("kept", retain_as_published=True)
    raw.publish("own")
    assert [] == raw.quiet()
    raw.send(Publish("kept", b"x", retain=True))
    assert Publish("kept", b"x", retain=True) == raw.receive()
    raw.subscribe("kept", retain_handling=1)
    assert [] == raw.quiet()
    other = gateway.client("other", V5)
    other.subscribe("kept", retain_handling=2)
    assert [] == other.quiet()
    third = gateway.client("third", V5)
    third.subscribe("kept", retain_handling=1)
    assert [Publish("kept", b"x", retain=True)] == third.quiet()


def test_subscription_identifiers(start: Any) -> None:
    """Where they are switched on (AWS refuses them), a message says which subscription it comes for."""
    from iotctl.local.gateway.mqtt.packets import Subscribe, SubscriptionRequest

    gateway = start(subscription_identifiers=True)
    raw = gateway.client(version=V5)
    raw.send(Subscribe(1, (SubscriptionRequest("a"),), Properties(subscription_identifiers=(7,))))
    assert Suback(1, (0,)) == raw.receive()
    raw.send(Publish("a", b"x"))
    assert Publish("a", b"x", properties=Properties(subscription_identifiers=(7,))) == raw.receive()


def test_maximum_packet_size(gateway: Gateway) -> None:
    """A message larger than what a client takes does not reach it."""
    raw = gateway.client(version=V5, properties=Properties(maximum_packet_size=100))
    raw.subscribe("a")
    writer = gateway.client("writer")
    writer.publish("a", b"x" * 100)
    writer.publish("a", b"small")
    assert [b"small"] == [each.payload for each in raw.quiet()]


def test_receive_maximum(gateway: Gateway) -> None:
    """No more messages are in flight than a client says it takes."""
    raw, writer = gateway.client(version=V5, properties=Properties(receive_maximum=2)), gateway.client("writer")
    raw.subscribe("a")
    for n in range(4):
        writer.publish("a", str(n).encode())
    first = [raw.receive(acknowledge=False) for _ in range(2)]
    assert [] == raw.quiet()
    raw.send(*(Puback(each.packet_id) for each in first))
    assert [b"2", b"3"] == [each.payload for each in raw.quiet()]


def test_retained(gateway: Gateway, version: int) -> None:
    """A retained message comes with an exact subscription (not with a wildcard, as on AWS), until an empty one."""
    writer, live = gateway.client("writer", version), gateway.client("live", version)
    live.subscribe("a/b")
    writer.publish("a/b", b"kept", retain=True)
    assert Publish("a/b", b"kept", 1, packet_id=1) == live.receive()
    gateway.restart()
    reader = gateway.client("reader", version)
    reader.subscribe("a/+", "$share/g/a/b")
    assert [] == reader.quiet()
    reader.subscribe("a/b")
    assert [Publish("a/b", b"kept", 1, retain=True, packet_id=1)] == reader.quiet()
    gateway.client("writer", version).publish("a/b", b"", retain=True)
    assert [b"", b""] == [each.payload for each in reader.quiet()], "as a subscriber, and as a member of the group"
    reader.subscribe("a/b")
    assert [] == reader.quiet()
    assert [] == gateway.call(gateway.broker.router.retained_topics)


def test_retained_limits(start: Any) -> None:
    """Reserved topics retain nothing; beyond the limit a new topic is refused, one that is kept is not."""
    raw = start(retained_messages=1).client(version=V5)
    topics = ("a", "b", "a", "$aws/things/x/shadow/update")
    expected = [Code.SUCCESS, Code.QUOTA_EXCEEDED, Code.SUCCESS, Code.TOPIC_NAME_INVALID]
    assert expected == [raw.publish(topic, retain=True).code for topic in topics]


def test_message_expiry(gateway: Gateway, eventually: Eventually) -> None:
    """A retained message that has expired does not come."""
    raw = gateway.client(version=V5)
    raw.publish("a", retain=True, properties=Properties(message_expiry_interval=1))
    assert gateway.call(lambda: gateway.broker.router.retained("a"))
    eventually(lambda: gateway.call(lambda: gateway.broker.router.retained("a")) is None)
    assert [] == gateway.call(gateway.broker.router.retained_topics)
    raw.subscribe("a")
    assert [] == raw.quiet()


def test_a_discarded_message_sets_its_alias(start: Any) -> None:
    """A message beyond the rate is discarded; one that names its topic by the alias of that one is not wrong."""
    gateway = start(publishes_per_second=10)
    raw = gateway.client(version=V5)
    raw.send(*[Publish("a", b"")] * 10, Publish("b", b"", properties=Properties(topic_alias=1)))
    time.sleep(0.15)
    raw.send(Publish("", b"", properties=Properties(topic_alias=1)), Pingreq())
    assert Pingresp() == raw.receive()


@pytest.mark.parametrize("how", ["drop", "with will", "goodbye"])
def test_will(gateway: Gateway, version: int, how: str) -> None:
    """The will is published when a client goes without a goodbye, and not after one."""
    watcher = gateway.client("watcher")
    watcher.subscribe("wills/#", "$aws/events/presence/disconnected/+")
    raw = gateway.client("c", version, will=Will("wills/c", b"gone", 1))
    if how == "drop":
        raw.drop()
    else:
        raw.send(Disconnect(Code.DISCONNECT_WITH_WILL if how == "with will" and version == V5 else Code.SUCCESS))
    topics = [watcher.receive().topic]
    topics += [each.topic for each in watcher.quiet()]
    says = how == "drop" or (how == "with will" and version == V5)
    assert ["$aws/events/presence/disconnected/c", *(["wills/c"] if says else [])] == topics


def test_will_delay(gateway: Gateway) -> None:
    """A delayed will waits, and is not published when the client comes back in time."""
    watcher = gateway.client("watcher")
    watcher.subscribe("wills/#")
    session = Properties(session_expiry_interval=60)
    for client_id, delay in (("quick", 60), ("slow", 1)):
        will = Will("wills/" + client_id, b"", properties=Properties(will_delay_interval=delay))
        gateway.client(client_id, V5, clean_start=False, will=will, properties=session).drop()
    assert "wills/slow" == watcher.receive().topic
    gateway.client("quick", V5, clean_start=False, properties=session)
    assert {} == gateway.broker._wills._pending
    assert [] == watcher.quiet()


def test_will_must_be_allowed(gateway: Gateway) -> None:
    """A client that may not publish its will may not connect, and that is an event."""
    watcher = gateway.client("watcher")
    watcher.subscribe("$aws/events/presence/connect_failed/+")
    gateway.policies.forbidden.add(("publish", "secret"))
    raw = gateway.open()
    raw.send(Connect(V311, "c", will=Will("secret", b"")))
    assert Code.NOT_AUTHORIZED == raw.receive().code
    assert "$aws/events/presence/connect_failed/c" == watcher.receive().topic


def test_shared_subscription(gateway: Gateway, version: int) -> None:
    """Each message reaches one member of a group; every group has its own."""
    members = [gateway.client(f"m{n}", version) for n in range(3)]
    for member in members:
        member.subscribe("$share/g/a/#")
    alone = gateway.client("alone", version)
    alone.subscribe("$share/h/a/#")
    writer = gateway.client("writer", version)
    for n in range(60):
        writer.publish("a/b", str(n).encode())
    counts = [len(member.quiet()) for member in members]
    assert 60 == sum(counts)
    assert min(counts) > 0
    assert 60 == len(alone.quiet())


def test_shared_subscription_waits(gateway: Gateway) -> None:
    """Messages for a group with a persistent member wait while none is connected, over a restart too."""
    member = gateway.client("m", clean_start=False)
    member.subscribe("$share/g/a")
    member.send(Disconnect())
    member.rest()
    gateway.client("writer").publish("a", b"1")
    gateway.restart(graceful=False)
    gateway.client("writer").publish("a", b"2")
    assert {b"1", b"2"} == {each.payload for each in gateway.client("m", clean_start=False).quiet()}


def test_what_a_lost_member_had_goes_to_another(gateway: Gateway) -> None:
    """What a member of a group has not acknowledged when it goes is shared again."""
    first, second, writer = gateway.client("first"), gateway.client("second"), gateway.client("writer")
    first.subscribe("$share/g/a")
    writer.publish("a")
    assert b"x" == first.receive(acknowledge=False).payload
    second.subscribe("$share/g/a")
    first.drop()
    assert b"x" == second.receive().payload


def test_services(gateway: Gateway, eventually: Eventually) -> None:
    """A service sees who published, and can answer only that client, subscribed or not."""
    seen: list[Incoming] = []

    def answer(incoming: Incoming) -> None:
        seen.append(incoming)
        gateway.broker.deliver(incoming.client.client_id, incoming.topic + "/accepted", b"yes")

    undo = gateway.call(lambda: gateway.broker.router.on("$aws/things/+/jobs/get", answer))
    asker, other = gateway.client("asker"), gateway.client("other")
    other.subscribe("$aws/things/#")
    asker.send(Publish("$aws/things/t/jobs/get", b"{}"))
    assert Publish("$aws/things/t/jobs/get/accepted", b"yes") == asker.receive()
    assert ["$aws/things/t/jobs/get"] == [each.topic for each in other.quiet()]
    client = seen[0].client
    assert ("asker", gateway.identity.id, True) == (
        client.client_id,
        client.principal.identity,
        client.principal.certificate,
    )
    gateway.call(undo)
    asker.send(Publish("$aws/things/t/jobs/get", b"{}"))
    assert [] == asker.quiet()


def test_a_service_that_fails_harms_nobody(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """An error of a service is logged; the publisher has its PUBACK."""

    def fail(_: Incoming) -> None:
        raise ZeroDivisionError

    gateway.call(lambda: gateway.broker.router.on("a", fail))
    assert Puback(7) == gateway.client().publish("a")
    assert "a service failed" in caplog.text


def test_publish_as_a_service(gateway: Gateway, version: int) -> None:
    """What a service publishes reaches subscribers."""
    raw = gateway.client(version=version)
    raw.subscribe("a")
    gateway.call(lambda: gateway.broker.router.publish("a", b"1", 1))
    assert Publish("a", b"1", 1, packet_id=1) == raw.receive()


def test_slow_reader(start: Any) -> None:
    """A client that does not read costs bounded memory and loses what is beyond its queue; others have it all."""
    gateway = start(queued_messages=200)
    slow, reader, writer = (gateway.client(name) for name in ("slow", "reader", "writer"))
    for raw in (slow, reader):
        raw.subscribe("a", qos=1)
        raw.subscribe("b", qos=0)
    payload = b"x" * 100_000
    for n in range(400):
        writer.publish("b", payload, 0)
        writer.publish("a", n.to_bytes(2, "big"))
        assert payload == reader.receive().payload
        assert n.to_bytes(2, "big") == reader.receive().payload
    session = gateway.broker._sessions["slow"]
    assert session.dropped > 300
    assert session._waiting <= 200
    assert session.link._transport.get_write_buffer_size() < 1_000_000


def test_a_fast_publisher_waits_for_its_reader(start: Any) -> None:
    """A reader that is behind but reads makes its publisher wait, and nothing of QoS 1 is lost."""
    gateway = start(queued_messages=50)
    reader, writer = gateway.client("reader"), gateway.client("writer")
    reader.subscribe("a")
    writer.send(*(Publish("a", str(n).encode(), 1, packet_id=n) for n in range(1, 1001)))
    assert [str(n).encode() for n in range(1, 1001)] == [reader.receive().payload for _ in range(1000)]
    assert [Puback(n) for n in range(1, 1001)] == [writer.receive() for _ in range(1000)]


def test_a_flood_harms_nobody_else(gateway: Gateway) -> None:
    """While one client floods, with nobody to read it and with a reader that does not, others have their answers."""
    deaf, flood = gateway.client("deaf"), gateway.client("flood")
    deaf.subscribe("flood")
    noise = b"".join(encode(Publish("flood", b"x" * 1000, qos, packet_id=qos), V311) for qos in (0, 1)) * 2000

    def pour() -> None:
        with contextlib.suppress(OSError):
            flood.socket.sendall(noise)

    flooding = threading.Thread(target=pour, daemon=True)
    flooding.start()
    reader, writer = gateway.client("reader"), gateway.client("writer")
    reader.subscribe("a")
    begin = time.monotonic()
    for n in range(100):
        writer.publish("a", str(n).encode())
        assert str(n).encode() == reader.receive().payload
    assert time.monotonic() - begin < 5
    flood.drop()
    flooding.join(5)
