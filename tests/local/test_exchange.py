"""The way between services and broker: group commits, failures that stay alone, events that reach clients."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.gateway import exchange
from iotctl.local.gateway.authorizer import PolicyAuthorizer
from iotctl.local.gateway.exchange import Exchange
from iotctl.local.gateway.mqtt.broker import Broker
from iotctl.local.gateway.mqtt.store import SQLiteSessionStore
from iotctl.local.services import PREPARED, Message
from tests.local.clients import until

if TYPE_CHECKING:
    from iotctl.local.store import Event, Store

Service = Callable[["Store", Message], None]


class Platform:
    """A store, a broker without sockets, services, and what came out."""

    def __init__(self, store: Store, services: list[tuple[str, Service]], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "LISTENERS", services)
        store.execute("CREATE TABLE IF NOT EXISTS note (text TEXT NOT NULL)")
        authorizer = PolicyAuthorizer(store)
        self.store = store
        self.said: list[tuple[str, bytes]] = []
        self.heard: list[str] = []
        self.broker = Broker(authorizer, authorizer, SQLiteSessionStore(store.connection))
        self.exchange = Exchange(store, self.broker, self.hear)
        self.exchange.start()
        self.broker.router.on("out/#", lambda incoming: self.said.append((incoming.topic, incoming.payload)))

    def hear(self, event: Event) -> None:
        self.heard.append(event.topic)

    def notes(self) -> list[str]:
        """What the services have kept."""
        return [row["text"] for row in self.store.rows("SELECT text FROM note")]


@pytest.fixture
def made(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Platform]:
    """Make a platform of these services."""
    return lambda *services: Platform(store, list(services), monkeypatch)


def in_a_loop(act: Callable[[], Any]) -> None:
    """Run something on an event loop, as all of the platform is."""

    async def run() -> None:
        act()

    asyncio.run(run())


def keep(store: Store, message: Message) -> None:
    """A service that keeps what it is told and says so."""
    store.execute("INSERT INTO note VALUES (?)", message.payload.decode())
    store.publish("out/kept", message.payload)


def fail(store: Store, message: Message) -> None:
    """A service with a bug: it fails after a change."""
    keep(store, message)
    raise LookupError(message.topic)


def test_what_is_asked_in_a_turn_is_one_transaction(made: Callable[..., Platform]) -> None:
    """Nothing is done before the turn ends, then all of it, in order, and what it caused comes out."""
    platform = made(("in", keep))
    transactions: list[str] = []
    platform.store.connection.set_trace_callback(transactions.append)

    def act() -> None:
        platform.broker.start()
        for number in range(3):
            platform.broker.router.publish("in", b"%d" % number)
        before = platform.notes()
        transactions.clear()
        platform.broker.turn.settle()
        assert [] == before
        platform.broker.stop()

    in_a_loop(act)
    platform.store.connection.set_trace_callback(None)
    assert ["0", "1", "2"] == platform.notes()
    assert [("out/kept", b"0"), ("out/kept", b"1"), ("out/kept", b"2")] == platform.said
    assert 1 == sum(statement.startswith("COMMIT") for statement in transactions)


def test_a_service_that_fails_fails_alone(made: Callable[..., Platform], caplog: pytest.LogCaptureFixture) -> None:
    """The others of its turn are done once, nothing of its own is, and the log has it."""
    platform = made(("in/good", keep), ("in/bad", fail))

    def act() -> None:
        platform.broker.start()
        for topic in ("in/good", "in/bad", "in/good"):
            platform.broker.router.publish(topic, topic.encode())
        platform.broker.turn.settle()
        platform.broker.stop()

    in_a_loop(act)
    assert ["in/good", "in/good"] == platform.notes()
    assert [("out/kept", b"in/good")] * 2 == platform.said
    assert "fail failed on in/bad" in caplog.text


def test_a_change_outside_mqtt_comes_out_with_its_commit(made: Callable[..., Platform]) -> None:
    """After a transaction of an HTTP operation its events are with the broker, local ones with their listeners."""
    platform = made(("$local/thing/+", keep))

    def act() -> None:
        platform.broker.start()
        with platform.store.transaction():
            platform.store.publish("out/a", b"1")
            platform.store.publish("$local/thing/pump", b"2")
            platform.store.publish("$local/other/pump", b"3")
            assert [] == platform.said
        assert [("out/a", b"1"), ("out/kept", b"2")] == platform.said
        platform.broker.stop()

    in_a_loop(act)
    assert ["2"] == platform.notes()
    assert ["$local/thing/pump", "$local/other/pump"] == platform.heard


def test_local_topics_never_reach_the_broker(made: Callable[..., Platform]) -> None:
    """What the platform's parts tell each other is not published."""
    platform = made()
    published: list[str] = []

    def act() -> None:
        platform.broker.router.on("$local/#", lambda incoming: published.append(incoming.topic))
        platform.broker.start()
        platform.store.publish("$local/thing/pump", b"")
        platform.broker.stop()

    in_a_loop(act)
    assert ([], ["$local/thing/pump"]) == (published, platform.heard)


def test_what_cannot_be_committed_is_not_said(made: Callable[..., Platform]) -> None:
    """With a full disk nothing comes out, whoever waits for it is told, and it goes on when there is room again."""
    platform = made(("in", keep))
    execute = platform.store.connection.execute

    def act() -> None:
        platform.broker.start()
        pages = execute("PRAGMA page_count").fetchone()[0]
        execute(f"PRAGMA max_page_count = {pages}")
        platform.broker.router.publish("in", b"x" * 100_000)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            platform.broker.turn.settle()
        assert ([], []) == (platform.notes(), platform.said)
        execute(f"PRAGMA max_page_count = {pages + 100}")
        platform.broker.router.publish("in", b"y")
        platform.broker.turn.settle()
        platform.broker.stop()

    in_a_loop(act)
    assert (["y"], [("out/kept", b"y")]) == (platform.notes(), platform.said)


def slow(store: Store, message: Message, prepared: bytes = b"?") -> None:
    """A service whose slow work is done before it is called."""
    keep(store, Message(message.topic, message.payload + prepared))


def test_slow_work_is_done_on_a_thread_before(made: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is not held up, and its result is there when the service is called."""
    release, threads = threading.Event(), []

    def work(_: Store) -> bytes:
        threads.append(threading.current_thread())
        release.wait(10)
        return b"!"

    monkeypatch.setitem(PREPARED, slow, work)
    platform = made(("in/slow", slow), ("in/quick", keep))

    async def act() -> None:
        platform.broker.start()
        platform.broker.router.publish("in/slow", b"slow")
        platform.broker.router.publish("in/quick", b"quick")
        platform.broker.turn.settle()
        assert ["quick"] == platform.notes()
        release.set()
        await asyncio.to_thread(until, lambda: len(platform.said) == 2)
        platform.exchange.stop()
        platform.broker.stop()

    asyncio.run(act())
    assert [("out/kept", b"quick"), ("out/kept", b"slow!")] == platform.said
    assert threading.main_thread() not in threads


def test_slow_work_that_fails_is_told(
    made: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has it, and the service is not called without it."""

    def work(_: Store) -> bytes:
        raise LookupError("no key today")

    monkeypatch.setitem(PREPARED, slow, work)
    platform = made(("in/slow", slow))

    async def act() -> None:
        platform.broker.start()
        platform.broker.router.publish("in/slow", b"slow")
        await asyncio.to_thread(until, lambda: "no key today" in caplog.text)
        platform.exchange.stop()
        platform.broker.stop()

    asyncio.run(act())
    assert ([], True) == (platform.notes(), "the work before in/slow failed" in caplog.text)
