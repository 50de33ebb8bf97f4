"""A scripted MQTT server on a real TLS socket, identities for it, and onboarded fleets on the session's platform."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.local.devices.session import Identity
from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.packets import V311, Code, Connack, Connect, Packet, Suback, Subscribe
from tests.conftest import run_iotctl

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

PATIENCE = 10.0


@dataclass
class Peer:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    decoder: Decoder = field(default_factory=lambda: Decoder(1 << 20))
    waiting: list[Packet] = field(default_factory=list)

    async def next(self) -> Packet:
        """The next packet of the client's."""
        while not self.waiting:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
            if not data:
                raise EOFError
            self.waiting += self.decoder.packets(data)
        return self.waiting.pop(0)

    def say(self, *packets: Packet) -> None:
        """Send some packets in one write."""
        self.raw(b"".join(encode(packet, V311) for packet in packets))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def greet(self) -> list[Subscribe]:
        """Accept the connection and its subscriptions (two at most), as a broker does."""
        assert isinstance(await self.next(), Connect)
        self.say(Connack(False, Code.SUCCESS))
        asked = []
        filters = 0
        while filters in {0, 8}:
            subscribe = await self.next()
            assert isinstance(subscribe, Subscribe)
            asked.append(subscribe)
            filters = len(subscribe.requests)
            self.say(Suback(subscribe.packet_id, (1,) * filters))
        return asked


Script = Callable[[Peer], Awaitable[Any]]


class Server:
    """Runs a script for each connection; what a script raises is raised to the test."""

    def __init__(self, context: ssl.SSLContext, script: Script) -> None:
        self._context = context
        self._script = script
        self.peers: list[Peer] = []
        self.done: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer in self.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            self.done.put_nowait(await self._script(peer))
        except Exception as error:  # noqa: BLE001  it is raised to the test
            self.done.put_nowait(error)

    async def result(self) -> Any:
        """What the script of the next connection to end returned."""
        found = await asyncio.wait_for(self.done.get(), PATIENCE)
        if isinstance(found, Exception):
            raise found
        return found


@dataclass(frozen=True)
class Stage:
    """A CA, a device of it, and servers that ask for certificates of it."""

    directory: Path
    authority: pki.Authority
    device: Identity

    def server(self, script: Script, *, clients: pki.Authority | None = None, address: str = "127.0.0.1") -> Server:
        """A server with a certificate for an address; it takes another CA's clients where one is given."""
        issued = self.authority.issue_server("localhost", dns=("localhost",), addresses=(address,), days=2)
        certificate, key = self.directory / "server.pem", self.directory / "server.key"
        certificate.write_text(issued.certificate_pem)
        key.write_bytes(issued.private_key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=(clients or self.authority).certificate_pem)
        return Server(context, script)

    def at(self, port: int) -> Identity:
        """The device, on its way to a port."""
        return replace(self.device, port=port)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A CA and a device of it."""
    authority = pki.Authority.create("a test's own CA")
    issued = authority.issue("pump-7")
    certificate, key, ca_file = tmp_path / "device.pem", tmp_path / "device.key", tmp_path / "ca.pem"
    certificate.write_text(issued.certificate_pem)
    key.write_bytes(issued.private_key_pem)
    ca_file.write_text(authority.certificate_pem)
    return Stage(tmp_path, authority, Identity("pump-7", "127.0.0.1", 0, certificate, key, ca_file))


@dataclass(frozen=True)
class Onboarded:
    """Things of the session's platform, with their bundles."""

    names: tuple[str, ...]
    bundles: Path


@pytest.fixture
def onboard(platform: Platform, tmp_path: Path, name: Callable[[str], str]) -> Callable[[int], Onboarded]:
    """Onboard so many things with names that no other test has; each desires `{"rate": 5}`."""

    def apply(number: int) -> Onboarded:
        names = tuple(sorted(name(f"dev-{each}") for each in range(number)))
        fleet, bundles = tmp_path / "fleet.csv", tmp_path / "fleet"
        fleet.write_text("thing_name,shadow:rate\n" + "".join(f"{each},5\n" for each in names))
        ran = run_iotctl("onboard", "apply", str(fleet), "--bundles", str(bundles), "--yes")
        assert (0, "") == (ran.code, "" if ran.code == 0 else ran.stderr)
        return Onboarded(names, bundles)

    return apply
