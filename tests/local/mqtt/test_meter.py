"""Whoever counts what clients do is told of it: once for each, by the client, with its topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from iotctl.local.gateway.mqtt.packets import V5, Connack, Connect, Disconnect

if TYPE_CHECKING:
    from iotctl.local.gateway.mqtt.session import Client
    from tests.local.mqtt.conftest import Gateway


class Log:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def attempted(self, client: Client) -> None:
        self.lines.append(("attempted", client.client_id))

    def ended(self, client: Client) -> None:
        self.lines.append(("ended", client.client_id))

    def sent(self, client: Client, topic: str, size: int) -> None:
        self.lines.append(("sent", client.client_id, topic, size))

    def received(self, client: Client, topic: str) -> None:
        self.lines.append(("received", client.client_id, topic))

    def refused(self, client: Client, topic: str) -> None:
        self.lines.append(("refused", client.client_id, topic))


def test_everything_is_told_once(gateway: Gateway, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """Connections, messages both ways, what policies refuse, and the end; without a meter nothing is."""
    log = Log()
    before = gateway.client("before")
    gateway.broker.router.meter = log
    gateway.policies.forbidden |= {("connect", "stranger"), ("subscribe", "secret"), ("publish", "secret")}
    listener, talker = gateway.client("listener", V5), gateway.client("talker", V5)
    listener.subscribe("a/+", "secret")
    for _ in range(2):
        talker.publish("a/b", b"four")
        talker.publish("secret", b"x")
    assert [b"four", b"four"] == [packet.payload for packet in listener.quiet()]
    stranger = gateway.open()
    stranger.send(Connect(4, "stranger"))
    assert isinstance(stranger.receive(), Connack)
    gateway.call(lambda: gateway.broker.deliver("listener", "direct", b""))
    assert ["before", "listener", "talker"] == sorted(
        one.client_id for one in gateway.call(lambda: list(gateway.broker.connected()))
    )
    talker.send(Disconnect())
    eventually(lambda: ("ended", "talker") in log.lines)
    exchange = [("sent", "talker", "a/b", 4), ("received", "listener", "a/b"), ("refused", "talker", "secret")]
    assert [
        ("attempted", "listener"),
        ("attempted", "talker"),
        ("refused", "listener", "secret"),
        *exchange,
        *exchange,
        ("attempted", "stranger"),
        ("refused", "stranger", ""),
        ("received", "listener", "direct"),
        ("ended", "talker"),
    ] == log.lines
    gateway.broker.router.meter = None
    before.publish("a/b", b"five!")
    assert 2 == len(listener.quiet())
    assert ("ended", "talker") == log.lines[-1]
