"""Persistent sessions: what comes back, what survives the process, what ends."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.gateway.mqtt.packets import (
    V5,
    V311,
    Code,
    Disconnect,
    Properties,
    Puback,
    Publish,
    SubscriptionRequest,
    Will,
)
from iotctl.local.gateway.mqtt.store import Message, Retained, SQLiteSessionStore, Stored, StoredSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.mqtt.conftest import Gateway, Raw

    Eventually = Callable[[Callable[[], bool]], None]


def persistent(gateway: Gateway, version: int, client_id: str = "p", expiry: int = 3600) -> Raw:
    """A client whose session stays."""
    properties = Properties(session_expiry_interval=expiry) if version == V5 else Properties()
    return gateway.client(client_id, version, clean_start=False, properties=properties)


@pytest.mark.parametrize("crash", [False, True])
def test_messages_of_an_absent_client_survive(gateway: Gateway, version: int, crash: bool) -> None:
    """What was acknowledged while a client was away comes when it is back, though the broker died in between."""
    raw = persistent(gateway, version)
    assert not raw.connack.session_present
    raw.subscribe("a/#")
    raw.subscribe("zero", qos=0)
    raw.send(Disconnect())
    raw.rest()
    writer = gateway.client("writer", V5)
    properties = Properties(user_properties=(("k", "v"),), correlation_data=b"\xff")
    for n in range(150):
        assert Puback(7) == writer.publish(f"a/{n}", str(n).encode(), properties=properties)
    writer.publish("zero", qos=0)
    gateway.restart(graceful=not crash)
    raw = persistent(gateway, version)
    assert raw.connack.session_present
    arrived = [raw.receive() for _ in range(150)]
    assert [str(n).encode() for n in range(150)] == [each.payload for each in arrived]
    assert {properties if version == V5 else Properties()} == {each.properties for each in arrived}
    assert [] == raw.quiet()
    gateway.client("writer").publish("a/x")
    assert ["a/x"] == [each.topic for each in raw.quiet()]


def test_unacknowledged_messages_come_again(gateway: Gateway, version: int) -> None:
    """What a client has not acknowledged is sent again after a reconnect, and only that."""
    raw = persistent(gateway, version)
    raw.subscribe("a")
    writer = gateway.client("writer")
    for n in range(3):
        writer.publish("a", str(n).encode())
    packets = [raw.receive(acknowledge=False) for _ in range(3)]
    raw.send(Puback(packets[1].packet_id))
    raw.quiet()
    raw.drop()
    again = persistent(gateway, version)
    assert [b"0", b"2"] == [each.payload for each in again.quiet()]
    again.drop()
    assert [] == persistent(gateway, version).quiet()


def test_session_expires(gateway: Gateway, eventually: Eventually) -> None:
    """A session that nobody resumes in its time is gone, its subscriptions and messages too."""
    raw = persistent(gateway, V5, expiry=1)
    raw.subscribe("a")
    raw.drop()
    gateway.client("writer").publish("a")
    eventually(lambda: "p" not in gateway.broker._sessions)
    raw = persistent(gateway, V5)
    assert not raw.connack.session_present
    assert [] == raw.quiet()


@pytest.mark.parametrize("how", ["clean start", "other version", "expiry 0 in DISCONNECT", "deleted"])
def test_session_ends(gateway: Gateway, how: str) -> None:
    """A clean start, the other version of MQTT, a goodbye with expiry 0 and DeleteConnection end a session."""
    raw = persistent(gateway, V5)
    raw.subscribe("a")
    if how == "expiry 0 in DISCONNECT":
        raw.send(Disconnect(properties=Properties(session_expiry_interval=0)))
        raw.rest()
    elif how == "clean start":
        gateway.client("p", V5, clean_start=True).drop()
    elif how == "other version":
        assert not persistent(gateway, V311).connack.session_present
    else:
        assert gateway.call(lambda: gateway.broker.delete_connection("p", clean_session=True))
        assert [Code.ADMINISTRATIVE_ACTION] == [packet.code for packet in raw.rest()]
    gateway.client("writer").publish("a")
    raw = persistent(gateway, V5)
    assert not raw.connack.session_present
    assert [] == raw.quiet()


def test_persistent_only_from_the_start(gateway: Gateway) -> None:
    """A session without expiry cannot get one in DISCONNECT."""
    raw = gateway.client(version=V5)
    raw.send(Disconnect(properties=Properties(session_expiry_interval=9)))
    assert [Code.PROTOCOL_ERROR] == [packet.code for packet in raw.rest()]


def test_takeover_keeps_a_persistent_session(gateway: Gateway, version: int) -> None:
    """A client that connects again before its old connection is known to be dead has its session."""
    raw = persistent(gateway, version)
    raw.subscribe("a")
    again = persistent(gateway, version)
    assert again.connack.session_present
    gateway.client("writer").publish("a")
    assert [b"x"] == [each.payload for each in again.quiet()]


def test_expired_messages_do_not_come(gateway: Gateway, eventually: Eventually) -> None:
    """A message that expired while its client was away is not delivered; one that did not says what is left."""
    raw = persistent(gateway, V311)
    raw.subscribe("a")
    raw.drop()
    writer = gateway.client("writer", V5)
    writer.publish("a", b"short", properties=Properties(message_expiry_interval=1))
    writer.publish("a", b"long", properties=Properties(message_expiry_interval=100))
    writer.publish("timer", b"x", retain=True, properties=Properties(message_expiry_interval=1))
    eventually(lambda: gateway.call(lambda: gateway.broker.router.retained("timer")) is None)
    assert [b"long"] == [each.payload for each in persistent(gateway, V311).quiet()]


def test_queue_is_bounded(start: Any) -> None:
    """Beyond its limit an absent client keeps the older messages."""
    gateway = start(queued_messages=3)
    raw = persistent(gateway, V311)
    raw.subscribe("a")
    raw.drop()
    writer = gateway.client("writer")
    for n in range(5):
        writer.publish("a", str(n).encode())
    assert [b"0", b"1", b"2"] == [each.payload for each in persistent(gateway, V311).quiet()]


def test_what_may_not_be_received_any_more(gateway: Gateway) -> None:
    """A message that waited is dropped where the client's policy no longer lets it receive the topic."""
    raw = persistent(gateway, V311)
    raw.subscribe("a/#")
    raw.drop()
    writer = gateway.client("writer")
    writer.publish("a/secret")
    writer.publish("a/open")
    gateway.policies.forbidden.add(("receive", "a/secret"))
    assert ["a/open"] == [each.topic for each in persistent(gateway, V311).quiet()]


def test_connection_state(gateway: Gateway) -> None:
    """What the data plane tells of a client: connected, absent with a session, unknown."""
    broker = gateway.broker
    raw = persistent(gateway, V5)
    raw.subscribe("a", qos=0)
    state = gateway.call(lambda: broker.connection("p"))
    assert (True, False, 3600, 1200) == (
        state.connected,
        state.clean_session,
        state.session_expiry,
        state.keep_alive,
    )
    assert ("127.0.0.1", gateway.port) == state.target
    assert {"a": 0} == gateway.call(lambda: broker.subscriptions("p"))
    assert gateway.call(lambda: broker.delete_connection("p"))
    assert not gateway.call(lambda: broker.connection("p")).connected
    assert gateway.call(lambda: broker.connection("nobody")) is None
    assert not gateway.call(lambda: broker.delete_connection("nobody"))


def test_delete_connection_without_will(gateway: Gateway) -> None:
    """DeleteConnection can keep the will from being published."""
    watcher = gateway.client("watcher")
    watcher.subscribe("wills")
    for prevent in (True, False):
        raw = gateway.client("c", will=Will("wills", str(prevent).encode()))
        gateway.call(lambda prevent=prevent: gateway.broker.delete_connection("c", prevent_will=prevent))
        raw.rest()
    assert [b"False"] == [each.payload for each in watcher.quiet()]


def test_no_acknowledgement_without_a_commit(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Where the store cannot commit, the publisher hears nothing, and its connection ends."""
    raw = persistent(gateway, V311)
    raw.subscribe("a")
    raw.drop()
    writer = gateway.client("writer")
    store = gateway.broker._store
    other = sqlite3.connect(gateway.directory / "mqtt.db", isolation_level=None)
    gateway.call(lambda: store._connection.execute("PRAGMA busy_timeout = 0"))
    other.execute("BEGIN EXCLUSIVE")
    writer.send(Publish("a", b"x", 1, packet_id=1))
    assert [] == writer.rest()
    other.execute("COMMIT")
    other.close()
    assert "cannot commit" in caplog.text


def test_store_keeps_everything() -> None:
    """Sessions, messages and retained messages come back as they were."""
    connection = sqlite3.connect(":memory:")
    store = SQLiteSessionStore(connection)
    properties = Properties(correlation_data=b"\x00\xff", user_properties=(("a", "b"),), content_type="x")
    message = Message("t", b"\x00p", 1, retain=False, properties=properties, expires_at=5.5)
    request = SubscriptionRequest("t/#", 1, no_local=True, retain_as_published=True, retain_handling=2)
    session = StoredSession("c", V5, 60, 7.5, "id", certificate=True, subscriptions=((request, 3),))
    store.save_session(session)
    store.save_message("c", Stored(1, message, (3,)))
    store.save_retained("t", Retained(message._replace(retain=True), 1.5))
    store.commit()
    again = SQLiteSessionStore(connection)
    assert [session] == list(again.sessions())
    assert [Stored(1, message, (3,))] == again.messages("c")
    assert Retained(message._replace(retain=True), 1.5) == again.retained("t")
    assert [("t", 2, 1, 1.5)] == again.retained_topics(0)
    again.drop_owner("c")
    again.save_retained("t", None)
    assert ([], [], None) == (list(again.sessions()), again.messages("c"), again.retained("t"))
    connection.close()
