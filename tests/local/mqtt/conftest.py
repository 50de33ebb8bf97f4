"""A broker on real sockets in a thread of its own, certificates, and a raw client that says exactly what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl.local.gateway.mqtt.broker import Broker
from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.limits import Limits
from iotctl.local.gateway.mqtt.listener import listen
from iotctl.local.gateway.mqtt.packets import (
    V5,
    V311,
    Connack,
    Connect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    SubscriptionRequest,
)
from iotctl.local.gateway.mqtt.session import Client
from iotctl.local.gateway.mqtt.store import SQLiteSessionStore
from iotctl.local.gateway.trust import TrustDirectory, certificate_id

PATIENCE = 10.0
T = TypeVar("T")


@dataclass
class Identity:
    """A certificate and its key, as files and as the id that AWS gives it."""

    certificate: Path
    key: Path
    der: bytes

    @property
    def id(self) -> str:
        return certificate_id(self.der)


class Authority:
    """A CA that nobody knows."""

    def __init__(self, directory: Path, name: str = "a CA") -> None:
        self.directory = directory
        self.name = x509.Name.from_rfc4514_string(f"CN={name}")
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.count = 0
        self.certificate = self.issue(name, signer=self.key, key=self.key, ca=True)

    def issue(
        self,
        name: str,
        *,
        valid: tuple[int, int] = (-1, 1),
        signer: ec.EllipticCurvePrivateKey | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
        ca: bool = False,
        self_signed: bool = False,
    ) -> Identity:
        """A certificate for a name, valid from and to so many days from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name.from_rfc4514_string(f"CN={name}")
        begin, end = (now + datetime.timedelta(days=days) for days in valid)
        issuer = subject if self_signed else self.name
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begin, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None) if ca else names, critical=ca)
            .sign(key if self_signed else signer or self.key, hashes.SHA256())
        )
        self.count += 1
        paths = [self.directory / f"{self.count}.{kind}.pem" for kind in ("cert", "key")]
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        paths[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        return Identity(*paths, certificate.public_bytes(serialization.Encoding.DER))


@dataclass
class Policies:
    """What clients may do: everything but what a test forbids, as ("publish", "topic"), and which certificates hold."""

    forbidden: set[tuple[str, str]] = field(default_factory=set)
    active_ids: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def active(self, identity: str, certificate: bytes) -> bool:
        return identity in self.active_ids

    def introduce(self, certificate: bytes, server_name: str) -> bool:
        return False

    def connect(self, client: Client, *, will: object, persistent: bool) -> bool:
        return ("connect", client.client_id) not in self.forbidden

    def publish(self, client: Client, topic: str, *, retain: bool) -> bool:
        self.asked.append(("publish", topic))
        return ("publish", topic) not in self.forbidden

    def subscribe(self, client: Client, topic_filter: str) -> bool:
        return ("subscribe", topic_filter) not in self.forbidden

    def receive(self, client: Client, topic: str) -> bool:
        return ("receive", topic) not in self.forbidden


class Raw:
    """A client of one connection, packet by packet."""

    def __init__(self, sock: socket.socket, version: int) -> None:
        self.socket = sock
        self.version = version
        self.decoder = Decoder(1 << 20, version)
        self.arrived: list[Packet] = []
        sock.settimeout(PATIENCE)

    def send(self, *packets: Packet) -> None:
        self.socket.sendall(b"".join(encode(packet, self.version) for packet in packets))

    def receive(self, *, acknowledge: bool = True) -> Packet:
        """The next packet; a PUBLISH of QoS 1 is acknowledged."""
        while not self.arrived:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("the broker closed the connection")
            self.arrived += self.decoder.packets(data)
        packet = self.arrived.pop(0)
        if acknowledge and isinstance(packet, Publish) and packet.qos:
            self.send(Puback(packet.packet_id))
        return packet

    def rest(self) -> list[Packet]:
        """What the broker still says before it closes the connection."""
        packets = []
        with contextlib.suppress(OSError):
            while True:
                packets.append(self.receive(acknowledge=False))
        return packets

    def quiet(self) -> list[Packet]:
        """What had come before the broker answered a ping: everything that was on its way."""
        self.send(Pingreq())
        packets = []
        while (packet := self.receive()) != Pingresp():
            packets.append(packet)
        return packets

    def subscribe(self, *filters: str, qos: int = 1, **options: Any) -> tuple[int, ...]:
        self.send(Subscribe(9, tuple(SubscriptionRequest(each, qos, **options) for each in filters)))
        answer = self.receive()
        assert isinstance(answer, Suback)
        return answer.codes

    def publish(self, topic: str, payload: bytes = b"x", qos: int = 1, **fields: Any) -> Packet | None:
        self.send(Publish(topic, payload, qos, packet_id=7 if qos else 0, **fields))
        return self.receive() if qos else None

    def drop(self) -> None:
        """Go without a word."""
        self.socket.close()


class Gateway:
    """A broker with its listener, in a thread; `restart` keeps the database and the port."""

    def __init__(self, directory: Path, server: Identity, authority: Authority, limits: Limits) -> None:
        self.directory = directory
        self.server = server
        self.authority = authority
        self.limits = limits
        self.policies = Policies()
        self.trust = TrustDirectory(directory / "trust")
        self.port = 0
        self.clients: list[Raw] = []
        self.cleanups: list[Callable[[], Any]] = []
        self.start()
        self.identity = self.register(authority.issue("device"))

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._run(ready)), daemon=True)
        self.thread.start()
        assert ready.wait(PATIENCE)

    async def _run(self, ready: threading.Event) -> None:
        connection = sqlite3.connect(self.directory / "mqtt.db", isolation_level=None)
        self.broker = Broker(self.policies, self.policies, SQLiteSessionStore(connection), self.limits)
        self.broker.start()
        context = self.trust.context(self.server.certificate, self.server.key)
        self.stopping = asyncio.Event()
        self.graceful = True
        async with await listen(self.broker, "127.0.0.1", self.port, context) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self.stopping.wait()
            for cleanup in self.cleanups:
                await cleanup()
            self.cleanups.clear()
            if self.graceful:
                self.broker.stop()
        for each in list(self.broker._connections):
            each._transport.abort()
        if self.broker._sweeper:
            self.broker._sweeper.cancel()
        await asyncio.sleep(0)
        connection.close()

    def stop(self, *, graceful: bool = True) -> None:
        self.graceful = graceful
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(PATIENCE)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def restart(self, *, graceful: bool = True) -> None:
        self.stop(graceful=graceful)
        self.start()

    def call(self, function: Callable[[], T]) -> T:
        """Run something in the broker's thread."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE)

    def register(self, identity: Identity) -> Identity:
        """Register a certificate, ACTIVE."""
        self.trust.add(identity.der)
        self.policies.active_ids.add(identity.id)
        return identity

    def open(self, identity: Identity | None = None, version: int = V311) -> Raw:
        """A TLS connection that has said nothing yet."""
        identity = identity or self.identity
        context = ssl.create_default_context(cafile=self.authority.certificate.certificate)
        context.load_cert_chain(identity.certificate, identity.key)
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        raw = Raw(context.wrap_socket(sock, server_hostname="localhost"), version)
        self.clients.append(raw)
        return raw

    def client(self, client_id: str = "c", version: int = V311, identity: Identity | None = None, **fields: Any) -> Raw:
        """A connected client; its CONNACK is `connack`."""
        raw = self.open(identity, version)
        raw.send(Connect(version, client_id, **fields))
        raw.connack = raw.receive()
        assert isinstance(raw.connack, Connack), raw.connack
        assert raw.connack.code == 0, raw.connack
        return raw


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that no platform knows."""
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA of the same name."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., Gateway]]:
    """Start a broker with limits of one's own."""
    running: list[Gateway] = []

    def begin(**limits: Any) -> Gateway:
        directory = tmp_path / str(len(running))
        directory.mkdir()
        server = authority.issue("server")
        running.append(Gateway(directory, server, authority, Limits(**({"sweep_every": 0.05} | limits))))
        return running[-1]

    yield begin
    for gateway in running:
        for client in gateway.clients:
            client.socket.close()
        gateway.stop()


@pytest.fixture
def gateway(start: Callable[..., Gateway]) -> Gateway:
    """A broker with AWS's limits."""
    return start()


@pytest.fixture
def client_of() -> type[Raw]:
    """A raw client of a socket."""
    return Raw


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    """Both versions of MQTT."""
    return request.param


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            threading.Event().wait(0.01)

    return wait
