"""A device's MQTT 3.1.1 connection on asyncio, light enough for thousands in one process: mutual TLS, QoS 0 and 1.

It goes to AWS as well as to any broker: the server's name is sent (SNI) and checked against the bundle's CA.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import ipaddress
import random
import resource
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from iotctl.errors import Auth, Temporary
from iotctl.local.devices import packets
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

KEEP_ALIVE: Final = 60
MOST_IN_SUBSCRIBE: Final = 8
"""AWS IoT's limit of filters in one SUBSCRIBE."""

_CONNECT_SECONDS = 30.0
_GOODBYE_SECONDS = 2.0
_TLS_BUFFER = 16 * 1024
_RANDOM = random.SystemRandom()
_REFUSED = {
    1: "unacceptable protocol version",
    2: "the client id is refused",
    3: "the server is unavailable",
    4: "bad user name or password",
    5: "not authorized",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a thing connects, and the files that prove who it is; its client id is its name.

    Attributes:
        certificate_id: of that certificate, where somebody wants to know it.
        passphrase: of the key, where that is encrypted.

    """

    thing_name: str
    endpoint: str
    port: int
    certificate: Path
    key: Path
    ca_file: Path
    certificate_id: str = ""
    passphrase: bytes = field(default=b"", repr=False)


class Session(asyncio.Protocol):
    """One connection, from CONNECT to its end.

    Attributes:
        ready: settles when the server has accepted the connection and every filter; or with the Error.
        closed: settles with the reason, when the connection has ended.

    """

    __slots__ = (
        "_filters",
        "_name",
        "_next_id",
        "_on_message",
        "_outgoing",
        "_reason",
        "_rest",
        "_silent",
        "_timer",
        "_transport",
        "_wanted",
        "closed",
        "ready",
        "unacknowledged",
    )

    def __init__(self, client_id: str, filters: Sequence[str], on_message: Callable[[str, bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.unacknowledged: set[int] = set()
        self._name = client_id
        self._filters = filters
        self._on_message = on_message
        self._wanted: dict[int, Sequence[str]] = {}
        self._next_id = 0
        self._rest = b""
        self._outgoing: list[bytes] | None = None
        self._silent = False
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message; with QoS 1 its id is among `unacknowledged` until the server has it."""
        packet_id = self._identifier() if qos else 0
        if qos:
            self.unacknowledged.add(packet_id)
        self._send(packets.publish(packets.Publish(topic, payload, qos, packet_id)))

    def disconnect(self) -> None:
        """Say goodbye and close."""
        self._send(packets.DISCONNECT)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up: say CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        self._send(packets.connect(self._name, KEEP_ALIVE))
        # Spread, so that a fleet that connected together does not ping together.
        self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE * _RANDOM.uniform(0.4, 0.75), self._ping)

    def data_received(self, data: bytes) -> None:
        """Take the packets that are whole; what they cause leaves in one write."""
        self._outgoing = []
        try:
            found, self._rest = packets.split(self._rest + data)
            for packet in found:
                self._take(packet)
        except packets.MalformedError as error:
            self._end(f"malformed: {error}")
        written, self._outgoing = b"".join(self._outgoing), None
        if written:
            self._send(written)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self._timer is not None:
            self._timer.cancel()
        reason = self._reason or sanitize(str(exc or "the server closed the connection"))
        if not self.ready.done():
            fault = Auth if isinstance(exc, ssl.SSLError) else Temporary
            self.ready.set_exception(fault("the connection ended before it was accepted", cause=reason))
        if not self.closed.done():
            self.closed.set_result(reason)

    def _take(self, packet: packets.Packet) -> None:
        match packet:
            case packets.Publish(topic, payload, qos, packet_id):
                if qos:
                    self._send(packets.puback(packet_id))
                self._on_message(topic, payload)
            case packets.Puback(packet_id):
                self.unacknowledged.discard(packet_id)
            case packets.Pingresp():
                self._silent = False
            case packets.Connack(0):
                self._subscribe()
            case packets.Connack(code):
                self._refuse(_REFUSED.get(code, f"code {code}"), "ConnectRefused")
            case packets.Suback(packet_id, codes):
                self._subscribed(self._wanted.pop(packet_id, ()), codes)

    def _subscribe(self) -> None:
        for start in range(0, len(self._filters), MOST_IN_SUBSCRIBE):
            part = self._filters[start : start + MOST_IN_SUBSCRIBE]
            packet_id = self._identifier()
            self._wanted[packet_id] = part
            self._send(packets.subscribe(packet_id, part))
        self._subscribed((), b"")

    def _subscribed(self, filters: Sequence[str], codes: bytes) -> None:
        if len(filters) != len(codes):
            raise packets.MalformedError("a SUBACK that nobody asked for")
        for topic_filter, code in zip(filters, codes, strict=True):
            if code == packets.NOT_GRANTED:
                self._refuse(f"the subscription to {topic_filter}", "SubscribeRefused")
        if not self._wanted and not self.ready.done():
            self.ready.set_result(None)

    def _refuse(self, what: str, code: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(Auth(f"the server refused {self._name}: {what}", code=code, on=self._name))
        self._end(what)

    def _ping(self) -> None:
        if self._silent:
            self._end("the server does not answer")
            return
        self._silent = True
        self._send(packets.PINGREQ)
        self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE * 0.75, self._ping)

    def _identifier(self) -> int:
        """A packet id that is not in use, 1 to 65,535."""
        while True:
            self._next_id = self._next_id % 0xFFFF + 1
            if self._next_id not in self.unacknowledged and self._next_id not in self._wanted:
                return self._next_id

    def _send(self, data: bytes) -> None:
        if self._outgoing is not None:
            self._outgoing.append(data)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or sanitize(reason)
        self.abort()


async def connect(identity: Identity, filters: Sequence[str], on_message: Callable[[str, bytes], None]) -> Session:
    """A connection that is accepted and subscribed (QoS 1).

    Raises:
        Auth: the certificate, the server or a filter is refused. Temporary: the server cannot be reached.

    """
    session = Session(identity.thing_name, filters, on_message)
    where = f"{identity.endpoint}:{identity.port}"
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().create_connection(
                lambda: session,
                identity.endpoint,
                identity.port,
                ssl=_context(identity),
                server_hostname=_server_name(identity.endpoint),
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
            await session.ready
    except TimeoutError as error:
        raise Temporary(f"{where} did not accept the connection in time", code="Unreachable") from error
    except ssl.SSLError as error:
        raise Auth(f"no trusted TLS connection to {where}", code="Tls", cause=sanitize(str(error))) from error
    except OSError as error:
        raise Temporary(f"{where} cannot be reached", code="Unreachable", cause=sanitize(str(error))) from error
    finally:
        if not session.ready.done():
            session.ready.cancel()  # nobody asks it any more
        if session.ready.cancelled() or session.ready.exception():
            session.abort()
    return session


def allow_thousands() -> None:
    """Let this process hold thousands of TLS connections: file descriptors, and small buffers.

    By default asyncio takes 256 KiB of zeroes for each TLS connection; one record of 16 KiB is enough.
    """
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS names a hard limit that its kernel does not take
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_240), hard))


_THIS_MACHINE: Final = "localhost"


def _is_here(endpoint: str) -> bool:
    try:
        return ipaddress.ip_address(endpoint).is_loopback
    except ValueError:
        return False


def _server_name(endpoint: str) -> str:
    """Whom to ask for in TLS (SNI): AWS IoT registers just in time only who names it, and an address is no name."""
    return _THIS_MACHINE if _is_here(endpoint) else endpoint


def _certified_for(address: str) -> type[ssl.SSLObject]:
    """TLS with a server on this machine: asked for by its name, it must be certified for its address as well."""

    class Checked(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert() or {}
            if ("IP Address", address) not in certificate.get("subjectAltName", ()):
                raise ssl.SSLCertVerificationError(f"the server's certificate is not for {address}")

    return Checked


def _context(identity: Identity) -> ssl.SSLContext:
    """A context for one connection; it lives as long as that. The certificate is the device's own, so none is shared.

    Raises:
        Auth: a file is missing or damaged, or the key is not the certificate's.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if _is_here(identity.endpoint):
        context.sslobject_class = _certified_for(identity.endpoint)
    try:
        context.load_verify_locations(identity.ca_file)
        # Given in any case: without one, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(identity.certificate, identity.key, lambda: identity.passphrase)
    except OSError as error:
        raise Auth(
            f"the bundle of {identity.thing_name} cannot be used", code="BadBundle", cause=sanitize(str(error))
        ) from error
    return context
