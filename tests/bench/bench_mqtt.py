"""The broker against mosquitto, in one run: `pytest -m bench tests/bench/bench_mqtt.py -s`.

Each line is a ratio, ours to mosquitto's, the median of interleaved rounds; the load generator is this process, the
brokers are children. Messages of 128 bytes over mutual TLS; a publisher has at most 50 unacknowledged. Nothing is
asserted about time: a slow machine is not a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import shutil
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl.local.gateway.mqtt.broker import Broker
from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.listener import listen, raise_file_limit, shrink_tls_buffers
from iotctl.local.gateway.mqtt.packets import V311, Connect, Publish, Subscribe, SubscriptionRequest
from iotctl.local.gateway.mqtt.store import SQLiteSessionStore
from iotctl.local.gateway.trust import TrustDirectory

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
PAYLOAD = b"x" * 128
WINDOW = 50
ROUNDS = 5
FLEET = 5000


class Everyone:
    """Lets every certificate do everything, as mosquitto without an ACL."""

    def active(self, certificate_id: str, certificate: bytes) -> bool:
        return True

    def connect(self, client: object, *, will: bool, persistent: bool) -> bool:
        return True

    def publish(self, client: object, topic: str, *, retain: bool) -> bool:
        return True

    def subscribe(self, client: object, topic_filter: str) -> bool:
        return True

    def receive(self, client: object, topic: str) -> bool:
        return True


async def serve(directory: Path, port: int) -> None:
    """Run our broker until the process is ended."""
    trust = TrustDirectory(directory / "trust")
    trust.add(ssl.PEM_cert_to_DER_cert((directory / "ca.pem").read_text()))
    connection = sqlite3.connect(directory / "broker.db")
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
    broker = Broker(Everyone(), Everyone(), SQLiteSessionStore(connection))
    broker.start()
    async with await listen(broker, "127.0.0.1", port, trust.context(directory / "cert.pem", directory / "key.pem")):
        await asyncio.Event().wait()


class Peer(asyncio.Protocol):
    """A client: says CONNECT, then what it was made for."""

    def __init__(self, client_id: str, *filters: str) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.client_id = client_id
        self.filters = filters

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(encode(Connect(V311, self.client_id, keep_alive=1200), V311))
        if self.filters:
            requests = tuple(SubscriptionRequest(each, 1) for each in self.filters)
            transport.write(encode(Subscribe(1, requests), V311))
        self.greeting = b""

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self.greeting += data
            expected = 4 + (4 + len(self.filters) if self.filters else 0)
            if len(self.greeting) < expected:
                return
            assert self.greeting[:4] == b"\x20\x02\x00\x00"
            self.ready.set_result(None)
            data = self.greeting[expected:]
        if data:
            self.more(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError("refused"))

    def more(self, data: bytes) -> None:
        """What comes after the greetings."""


class Publisher(Peer):
    """Sends `count` messages of QoS 1, 50 at a time."""

    def __init__(self, client_id: str, topic: str, count: int) -> None:
        super().__init__(client_id)
        self.batch = b"".join(encode(Publish(topic, PAYLOAD, 1, packet_id=n), V311) for n in range(1, WINDOW + 1))
        self.left = count // WINDOW
        self.awaited = 0

    def go(self) -> None:
        self.left -= 1
        self.awaited = 4 * WINDOW
        self.transport.write(self.batch)

    def more(self, data: bytes) -> None:
        self.awaited -= len(data)
        if not self.awaited and self.left:
            self.go()


class Subscriber(Peer):
    """Counts and acknowledges messages of QoS 1; `done` when `count` are there."""

    def __init__(self, client_id: str, topic: str, count: int) -> None:
        super().__init__(client_id, topic)
        self.size = len(encode(Publish(topic, PAYLOAD, 1, packet_id=1), V311))
        self.identifier = self.size - len(PAYLOAD) - 2
        self.left = count
        self.rest = b""
        self.done = asyncio.get_running_loop().create_future()

    def more(self, data: bytes) -> None:
        data = self.rest + data if self.rest else data
        whole = len(data) // self.size
        self.rest = data[whole * self.size :]
        first = self.identifier
        self.transport.write(
            b"".join([b"\x40\x02" + data[n + first : n + first + 2] for n in range(0, whole * self.size, self.size)])
        )
        self.left -= whole
        if self.left <= 0 and not self.done.done():
            self.done.set_result(None)


async def connected(peers: list[Peer], port: int, context: ssl.SSLContext) -> None:
    """Connect some peers, a few at a time."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(64)

    async def one(peer: Peer) -> None:
        async with gate:
            await loop.create_connection(lambda: peer, "127.0.0.1", port, ssl=context, server_hostname="localhost")
            await peer.ready

    await asyncio.gather(*map(one, peers))


async def throughput(port: int, context: ssl.SSLContext, publishers: int, subscribers: int, total: int) -> float:
    """Messages delivered in a second."""
    count = total // publishers // WINDOW * WINDOW
    wanted = count * publishers // subscribers
    receivers = [Subscriber(f"s{n}", f"bench/{n:03}", wanted) for n in range(subscribers)]
    senders = [Publisher(f"p{n}", f"bench/{n % subscribers:03}", count) for n in range(publishers)]
    await connected([*receivers, *senders], port, context)
    start = time.perf_counter()
    for sender in senders:
        sender.go()
    await asyncio.wait_for(asyncio.gather(*(receiver.done for receiver in receivers)), 120)
    elapsed = time.perf_counter() - start
    for peer in (*receivers, *senders):
        peer.transport.abort()
    await asyncio.sleep(0.1)
    return count * publishers / elapsed


async def fleet(port: int, context: ssl.SSLContext, size: int, process: int) -> tuple[float, float]:
    """Seconds to connect and subscribe a fleet, five filters each, and kB of the broker's memory a connection."""
    before = memory(process)
    names = ("cmd", "cfg", "jobs/notify", "shadow/delta", "ota")
    peers = [Peer(f"dev{n}", *(f"fleet/dev{n}/{name}" for name in names)) for n in range(size)]
    start = time.perf_counter()
    await connected(peers, port, context)
    elapsed = time.perf_counter() - start
    used = (memory(process) - before) / size
    for peer in peers:
        peer.transport.abort()
    await asyncio.sleep(1)
    return elapsed, used


def memory(process: int) -> float:
    """The resident memory of a process in kB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    raise ProcessLookupError(process)


def make_certificates(directory: Path) -> None:
    """A CA, and one certificate for both sides."""
    now = datetime.datetime.now(datetime.UTC)
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name.from_rfc4514_string("CN=bench CA")
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    for name, subject, public, extension in (
        ("ca.pem", issuer, authority.public_key(), x509.BasicConstraints(ca=True, path_length=None)),
        ("cert.pem", x509.Name.from_rfc4514_string("CN=bench"), key.public_key(), names),
    ):
        builder = x509.CertificateBuilder(
            issuer, subject, public, x509.random_serial_number(), now, now.replace(year=now.year + 1)
        )
        certificate = builder.add_extension(extension, critical=True).sign(authority, hashes.SHA256())
        (directory / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextlib.contextmanager
def child(arguments: list[str], port: int) -> Iterator[int]:
    """A broker in a process of its own, once it listens."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)  # mosquitto says nowhere that it listens
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(directory: Path, rounds: int, total: int, size: int) -> list[str]:
    """Run both brokers, and say how they compare."""
    raise_file_limit()
    shrink_tls_buffers()
    make_certificates(directory)
    ours, theirs = free_port(), free_port()
    (directory / "mosquitto.conf").write_text(
        f"user root\nlistener {theirs} 127.0.0.1\ncafile {directory}/ca.pem\ncertfile {directory}/cert.pem\n"
        f"keyfile {directory}/key.pem\nrequire_certificate true\nallow_anonymous true\nset_tcp_nodelay true\n"
        "max_inflight_messages 100\nmax_queued_messages 0\nlog_type none\n"
    )
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    lines = []
    with (
        child([sys.executable, __file__, "--serve", str(directory), "--port", str(ours)], ours) as us,
        child([str(MOSQUITTO), "-c", str(directory / "mosquitto.conf")], theirs) as them,
    ):
        for name, publishers, subscribers in (("1 to 1", 1, 1), ("50 to 1", 50, 1), ("50 pairs", 50, 50)):
            rates: dict[int, list[float]] = {ours: [], theirs: []}
            for _ in range(rounds):
                for port, rate in rates.items():
                    rate.append(asyncio.run(throughput(port, context, publishers, subscribers, total)))
            mine, yours = statistics.median(rates[ours]), statistics.median(rates[theirs])
            lines.append(f"QoS 1, {name}: {mine / yours:.2f}x mosquitto ({mine:,.0f} to {yours:,.0f} messages/s)")
        if size:
            mine, kilobytes = asyncio.run(fleet(ours, context, size, us))
            yours, their_kilobytes = asyncio.run(fleet(theirs, context, size, them))
            lines.append(
                f"{size:,} connections, 5 filters each: {mine / yours:.2f}x the time ({mine:.1f} s to {yours:.1f} s), "
                f"{kilobytes:.0f} kB to {their_kilobytes:.0f} kB a connection"
            )
    return lines


@pytest.mark.bench
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_broker_against_mosquitto(tmp_path: Path) -> None:
    """Prints how the broker compares with mosquitto."""
    print(*measure(tmp_path, ROUNDS, 100_000, FLEET), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.serve, options.port))
