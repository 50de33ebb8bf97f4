"""One connection on a real TLS socket, against a server that says what the test tells it to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from iotctl import pki
from iotctl.errors import Auth, Temporary
from iotctl.local.devices import session
from iotctl.local.devices.thing import Thing
from iotctl.local.gateway.mqtt.packets import Code, Connack, Connect, Disconnect, Pingreq, Puback, Publish, Suback

if TYPE_CHECKING:
    from tests.local.devices.conftest import Peer, Stage

FILTERS = Thing("pump-7").filters
PATIENCE = 10.0
PLAIN_CONNECT = session.packets.connect


class Heard:
    """Messages as they come."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def __call__(self, topic: str, payload: bytes) -> None:
        self.messages.put_nowait((topic, payload))

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.messages.get(), PATIENCE)


def test_it_says_who_it_is_and_subscribes(stage: Stage) -> None:
    """Client id, keep-alive; never more than 8 filters in one SUBSCRIBE; goodbye at the end."""

    async def script(peer: Peer) -> list[object]:
        connect = await peer.next()
        peer.say(Connack(False, Code.SUCCESS))
        asked = [await peer.next(), await peer.next()]
        for each in asked:
            peer.say(Suback(each.packet_id, (1,) * len(each.requests)))
        return [
            connect,
            *[tuple(request.topic_filter for request in each.requests) for each in asked],
            await peer.next(),
        ]

    async def scenario() -> list[object]:
        server = stage.server(script)
        async with server as port:
            connected = await session.connect(stage.at(port), FILTERS, Heard())
            connected.disconnect()
            await asyncio.wait_for(connected.closed, PATIENCE)
            return await server.result()

    expected = [Connect(4, "pump-7", keep_alive=session.KEEP_ALIVE), FILTERS[:8], FILTERS[8:], Disconnect()]
    assert expected == asyncio.run(scenario())


def test_messages_of_qos_1_are_acknowledged(stage: Stage) -> None:
    """Those of QoS 0 are not; both arrive, in order, however their bytes are cut."""

    async def script(peer: Peer) -> list[object]:
        await peer.greet()
        peer.say(Publish("a", b"0"), Publish("b", b"1", 1, packet_id=77))
        first = await peer.next()
        for byte in b"\x32\x06\x00\x01c\x00\x4ex":
            peer.raw(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        return [first, await peer.next()]

    async def scenario() -> tuple[list[object], list[tuple[str, bytes]]]:
        server, heard = stage.server(script), Heard()
        async with server as port:
            connected = await session.connect(stage.at(port), ["a", "b", "c"], heard)
            messages = [await heard.next() for _ in range(3)]
            said = await server.result()
            connected.abort()
            return said, messages

    said, messages = asyncio.run(scenario())
    assert [Puback(77), Puback(78)] == said
    assert [("a", b"0"), ("b", b"1"), ("c", b"x")] == messages


def test_its_own_messages_wait_for_their_acknowledgement(stage: Stage) -> None:
    """QoS 1 has an id that stays taken until the PUBACK; QoS 0 has none."""

    async def script(peer: Peer) -> list[object]:
        await peer.greet()
        said = [await peer.next(), await peer.next(), await peer.next()]
        peer.say(Puback(said[1].packet_id), Publish("done", b""))
        return said

    async def scenario() -> None:
        server, heard = stage.server(script), Heard()
        async with server as port:
            connected = await session.connect(stage.at(port), ["done"], heard)
            connected.publish("a", b"0", qos=0)
            connected.publish("a", b"1")
            connected.publish("a", b"2")
            said = await server.result()
            expected = [Publish("a", b"0"), Publish("a", b"1", 1, packet_id=2), Publish("a", b"2", 1, packet_id=3)]
            assert expected == said
            await heard.next()
            assert {3} == connected.unacknowledged
            connected.abort()

    asyncio.run(scenario())


def test_packet_ids_wrap_around_those_in_use(stage: Stage) -> None:
    """After 65,535 comes 1, and not one that the server has not acknowledged."""

    async def script(peer: Peer) -> None:
        await peer.greet()

    async def scenario() -> set[int]:
        server = stage.server(script)
        async with server as port:
            connected = await session.connect(stage.at(port), ["a"], Heard())
            connected.unacknowledged = {65535, 1, 2}
            connected._next_id = 65534
            connected.publish("a", b"")
            connected.abort()
            await connected.closed
            return connected.unacknowledged

    assert {65535, 1, 2, 3} == asyncio.run(scenario())


@pytest.mark.parametrize(
    ("code", "word"), [(Code.NOT_AUTHORIZED, "not authorized"), (Code.SERVER_UNAVAILABLE, "unavailable")]
)
def test_a_refused_connection(stage: Stage, code: Code, word: str) -> None:
    """CONNACK with a code is a refusal, with its reason."""

    async def script(peer: Peer) -> None:
        await peer.next()
        peer.say(Connack(False, code))

    async def scenario() -> None:
        async with stage.server(script) as port:
            await session.connect(stage.at(port), FILTERS, Heard())

    with pytest.raises(Auth, match=word) as caught:
        asyncio.run(scenario())
    assert ("ConnectRefused", "pump-7") == (caught.value.code, caught.value.on)


def test_a_refused_subscription(stage: Stage) -> None:
    """One filter that is not granted is told by its name."""

    async def script(peer: Peer) -> None:
        await peer.next()
        peer.say(Connack(False, Code.SUCCESS))
        asked = await peer.next()
        peer.say(Suback(asked.packet_id, (1, 0x80)))

    async def scenario() -> None:
        async with stage.server(script) as port:
            await session.connect(stage.at(port), ["mine", "another's"], Heard())

    with pytest.raises(Auth, match="another's") as caught:
        asyncio.run(scenario())
    assert "SubscribeRefused" == caught.value.code


def test_a_server_of_another_ca_is_not_trusted(stage: Stage) -> None:
    """Its certificate must be of the bundle's CA."""

    async def scenario() -> None:
        other = stage.directory / "other.pem"
        other.write_text(pki.Authority.create("somebody else").certificate_pem)
        async with stage.server(lambda peer: peer.next()) as port:
            await session.connect(replace(stage.at(port), ca_file=other), FILTERS, Heard())

    with pytest.raises(Auth, match="no trusted TLS") as caught:
        asyncio.run(scenario())
    assert "Tls" == caught.value.code


def test_a_server_of_another_name_is_not_trusted(stage: Stage) -> None:
    """Its certificate must be for the endpoint."""

    async def scenario() -> None:
        async with stage.server(lambda peer: peer.next(), address="127.0.0.2") as port:
            await session.connect(stage.at(port), FILTERS, Heard())

    with pytest.raises(Auth, match="no trusted TLS"):
        asyncio.run(scenario())


def test_a_certificate_that_the_server_does_not_take(stage: Stage) -> None:
    """With TLS 1.3 the refusal comes after the handshake; it is still one of TLS."""

    async def scenario() -> None:
        async with stage.server(lambda peer: peer.next(), clients=pki.Authority.create("others")) as port:
            await session.connect(stage.at(port), FILTERS, Heard())

    with pytest.raises((Auth, Temporary)) as caught:
        asyncio.run(scenario())
    assert "ended before it was accepted" in caught.value.message


def test_nobody_listens(stage: Stage) -> None:
    """A port without a server is temporary."""

    async def scenario() -> None:
        async with stage.server(lambda peer: peer.next()) as port:
            pass
        await session.connect(stage.at(port), FILTERS, Heard())

    with pytest.raises(Temporary, match="cannot be reached"):
        asyncio.run(scenario())


def test_a_damaged_bundle(stage: Stage) -> None:
    """A key that is not the certificate's is told before anything is sent."""

    async def scenario() -> None:
        (stage.directory / "device.key").write_bytes(stage.authority.issue("another").private_key_pem)
        await session.connect(stage.at(1), FILTERS, Heard())

    with pytest.raises(Auth, match="bundle of pump-7") as caught:
        asyncio.run(scenario())
    assert "BadBundle" == caught.value.code


@pytest.mark.parametrize("nonsense", [b"\x34\x05\x00\x01a\x00\x01", b"\x90\x03\x00\x09\x01"])
def test_nonsense_ends_the_connection(stage: Stage, nonsense: bytes) -> None:
    """What a server may not say is not survived."""

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.next()
        peer.raw(nonsense)

    async def scenario() -> str:
        async with stage.server(script) as port:
            connected = await session.connect(stage.at(port), ["a"], Heard())
            connected.publish("a", b"")
            return await asyncio.wait_for(connected.closed, PATIENCE)

    assert asyncio.run(scenario()).startswith("malformed: ")


def test_it_pings_and_leaves_a_server_that_is_silent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first PINGREQ is answered, the second is not."""
    monkeypatch.setattr(session, "KEEP_ALIVE", 0.2)
    monkeypatch.setattr(session.packets, "connect", lambda name, _: PLAIN_CONNECT(name, 60))

    async def script(peer: Peer) -> list[object]:
        await peer.greet()
        first = await peer.next()
        peer.raw(b"\xd0\x00")
        return [first, await peer.next()]

    async def scenario() -> tuple[list[object], str]:
        server = stage.server(script)
        async with server as port:
            connected = await session.connect(stage.at(port), ["a"], Heard())
            return await server.result(), await asyncio.wait_for(connected.closed, PATIENCE)

    assert ([Pingreq(), Pingreq()], "the server does not answer") == asyncio.run(scenario())
