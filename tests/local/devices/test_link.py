"""A connection that is kept up, against a server that ends it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Error
from iotctl.local.devices.link import LONGEST_WAIT, Link, wait_before
from iotctl.local.gateway.mqtt.packets import Code, Connack, Disconnect, Publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iotctl.local.devices.session import Identity
    from tests.local.devices.conftest import Peer, Stage

PATIENCE = 10.0


class Log:
    """What a link tells, as it tells it."""

    def __init__(self) -> None:
        self.entries: asyncio.Queue[str] = asyncio.Queue()

    def up(self) -> None:
        self.entries.put_nowait("up")

    def message(self, topic: str, payload: bytes) -> None:
        self.entries.put_nowait(f"{topic} {payload.decode()}")

    def down(self, error: Error) -> None:
        self.entries.put_nowait(f"down {error.code}")

    async def next(self) -> str:
        return await asyncio.wait_for(self.entries.get(), PATIENCE)


@contextlib.asynccontextmanager
async def kept(identity: Identity, log: Log) -> AsyncIterator[Link]:
    """A link that tries again at once."""
    gate = asyncio.Semaphore(1)
    link = Link(identity, ["a"], gate=gate, on_up=log.up, on_message=log.message, on_down=log.down, first_wait=0.001)
    task = asyncio.ensure_future(link.keep())
    try:
        yield link
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_it_comes_back_with_its_subscriptions(stage: Stage) -> None:
    """A lost connection is told, made again and subscribed again; messages flow both ways on the new one."""
    turns = iter(range(10))

    async def script(peer: Peer) -> object:
        await peer.greet()
        if next(turns) < 2:
            peer.writer.transport.abort()
            return None
        peer.say(Publish("a", b"hello"))
        return await peer.next()

    async def scenario() -> tuple[list[str], object]:
        server, log = stage.server(script), Log()
        async with server as port, kept(stage.at(port), log) as link:
            told = [await log.next() for _ in range(6)]
            link.publish("b", b"world", qos=0)
            said = [await server.result() for _ in range(3)]
            return told, said[-1]

    told, said = asyncio.run(scenario())
    assert ["up", "down Lost", "up", "down Lost"] == told[:4]
    assert {"up", "a hello"} == set(told[4:])
    assert Publish("b", b"world") == said


def test_a_refusal_is_told_and_tried_again(stage: Stage) -> None:
    """A policy may be attached later: the device does not give up."""
    turns = iter(range(10))

    async def script(peer: Peer) -> None:
        if next(turns) < 2:
            await peer.next()
            peer.say(Connack(False, Code.NOT_AUTHORIZED))
        else:
            await peer.greet()

    async def scenario() -> list[str]:
        log = Log()
        async with stage.server(script) as port, kept(stage.at(port), log):
            return [await log.next() for _ in range(3)]

    assert ["down ConnectRefused", "down ConnectRefused", "up"] == asyncio.run(scenario())


def test_without_a_connection_messages_are_dropped(stage: Stage) -> None:
    """Nothing is kept for later: the shadow tells the device what it missed."""

    async def scenario() -> str:
        log = Log()
        async with stage.server(lambda peer: peer.next()) as port:
            pass
        async with kept(stage.at(port), log) as link:
            link.publish("a", b"")
            return await log.next()

    assert "down Unreachable" == asyncio.run(scenario())


def test_the_end_is_a_goodbye(stage: Stage) -> None:
    """A link that is cancelled says DISCONNECT."""

    async def script(peer: Peer) -> object:
        await peer.greet()
        return await peer.next()

    async def scenario() -> object:
        server, log = stage.server(script), Log()
        async with server as port:
            async with kept(stage.at(port), log):
                await log.next()
            return await server.result()

    assert Disconnect() == asyncio.run(scenario())


@given(st.integers(0, 100_000), st.floats(0.001, 10))
def test_waits_grow_and_are_spread(failures: int, first: float) -> None:
    """Doubled by each failure up to a limit; chance decides the upper half."""
    longest = min(LONGEST_WAIT, first * 2 ** min(failures, 16))
    assert longest / 2 <= wait_before(failures, first) <= longest
