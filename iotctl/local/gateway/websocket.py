"""MQTT over WebSocket, with a presigned URL: how operators connect who have AWS credentials and no certificate.

Sources: AWS IoT developer guide, "Device communication protocols"; MQTT 5.0, section 6 (subprotocol `mqtt`, binary
frames); AWS General Reference, "Signature Version 4 signing process".
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from aiohttp import WSCloseCode, WSMsgType, web

from iotctl.local.gateway.mqtt.connection import Connection
from iotctl.local.gateway.mqtt.presence import DisconnectReason
from iotctl.local.gateway.mqtt.session import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotctl.local.gateway.mqtt.broker import Broker

PATH = "/mqtt"

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "iotdevicegateway"
_TOKEN = "X-Amz-Security-Token"  # noqa: S105 -- the name of a parameter
_SIGNATURE = "X-Amz-Signature"
_SKEW = timedelta(minutes=5)
_LONGEST = 604_800
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a presigned URL is not accepted."""

    reason: str


def verify_presigned(
    query: str, headers: Mapping[str, str], secret_for: Callable[[str], str | None], now: datetime, path: str = PATH
) -> Principal | Refusal:
    """Who presigned `GET https://HOST/mqtt?QUERY`, if the signature and its time are right.

    Args:
        query: the query string as it was sent.
        headers: those of the request, found whatever their case; `host` and those that are signed must be there.
        secret_for: the secret access key of an access key id, None where there is none.
        now: the time, with its zone.
        path: the path of the URL.

    AWS's clients sign for `iotdevicegateway` without X-Amz-Security-Token and append it afterwards, others sign it as
    the standard says: both are accepted.

    """
    parameters = parse_qsl(query, keep_blank_values=True)
    given = dict(parameters)
    if len(given) != len(parameters):
        return Refusal("a parameter is there twice")
    scope = given.get("X-Amz-Credential", "").split("/")
    if given.get("X-Amz-Algorithm") != _ALGORITHM or len(scope) != 5:
        return Refusal("not signed with Signature Version 4")
    key_id, date, region, service, end = scope
    signed = given.get("X-Amz-SignedHeaders", "").split(";")
    if service != _SERVICE or end != "aws4_request":
        return Refusal(f"not signed for {_SERVICE}")
    if "host" not in signed or signed != sorted(set(signed)) or not all(name in headers for name in signed):
        return Refusal("the signed headers are not those of the request")
    late = _lateness(given, date, now)
    if late:
        return Refusal(late)
    secret = secret_for(key_id)
    if secret is None:
        return Refusal("the access key is unknown")
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, end):
        key = hmac.digest(key, part.encode(), "sha256")
    for unsigned in ({_SIGNATURE, _TOKEN}, {_SIGNATURE}):
        request = _canonical_request(((k, v) for k, v in parameters if k not in unsigned), signed, headers, path)
        text = "\n".join((_ALGORITHM, given["X-Amz-Date"], "/".join(scope[1:]), sha256(request.encode()).hexdigest()))
        expected = hmac.new(key, text.encode(), "sha256").hexdigest()
        if hmac.compare_digest(expected.encode(), given.get(_SIGNATURE, "").encode()):
            return Principal(key_id, certificate=False)
    return Refusal("the signature does not match")


async def serve_websocket(request: web.BaseRequest, broker: Broker, principal: Principal) -> web.WebSocketResponse:
    """Upgrade a request whose sender is known, and run it as a connection of the broker until it ends."""
    response = web.WebSocketResponse(protocols=("mqtt",), compress=False, max_msg_size=2 * broker.limits.packet)
    await response.prepare(request)
    connection = Connection(broker, principal)
    transport = _Transport(response, request, connection)
    writer = asyncio.create_task(transport.write_out())
    connection.connection_made(transport)
    try:
        async for message in response:
            if message.type is not WSMsgType.BINARY:
                await response.close(code=WSCloseCode.UNSUPPORTED_DATA)
                break
            connection.data_received(message.data)
            await transport.readable.wait()
        if response.close_code not in {None, WSCloseCode.ABNORMAL_CLOSURE, WSCloseCode.UNSUPPORTED_DATA}:
            # A close frame is a client's goodbye, like DISCONNECT (developer guide, "Lifecycle events").
            connection.will = None
            connection.end(DisconnectReason.CLIENT_INITIATED_DISCONNECT)
    finally:
        connection.connection_lost(None)
        transport.abort()
        writer.cancel()
    return response


class _Transport(asyncio.Transport):
    """What a `Connection` needs of a transport, over a WebSocket."""

    def __init__(self, response: web.WebSocketResponse, request: web.BaseRequest, connection: Connection) -> None:
        super().__init__()
        self.readable = asyncio.Event()
        self.readable.set()
        self._response = response
        self._socket = request.transport
        self._connection = connection
        self._out: list[bytes] = []
        self._size = 0
        self._closing = False
        self._wake = asyncio.Event()

    async def write_out(self) -> None:
        """Send what was written, frame by frame, until the connection is closed; a task of its own."""
        while not (self._closing and not self._out):
            await self._wake.wait()
            self._wake.clear()
            data = b"".join(self._out)
            self._out.clear()
            if data:
                await self._response.send_bytes(data)
            self._size -= len(data)
            if self._connection.paused and self._size < _LOW_WATER:
                self._connection.resume_writing()
        await self._response.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes soon."""
        self._out.append(bytes(data))
        self._size += len(data)
        self._wake.set()
        if self._size > _HIGH_WATER and not self._connection.paused:
            self._connection.pause_writing()

    def close(self) -> None:
        """Send what was written, then close."""
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._out.clear()
        self.readable.set()
        if self._socket is not None and not self._socket.is_closing():
            self._socket.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def pause_reading(self) -> None:
        """Hand on no more bytes."""
        self.readable.clear()

    def resume_reading(self) -> None:
        """Hand on bytes again."""
        self.readable.set()

    def get_write_buffer_size(self) -> int:
        """The bytes that wait to be sent."""
        return self._size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits are this module's."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's signature
        """What is known of the socket below."""
        return default if self._socket is None else self._socket.get_extra_info(name, default)


def _lateness(given: dict[str, str], date: str, now: datetime) -> str:
    """Why the time of a signature is wrong; empty: it is right."""
    try:
        signed = datetime.strptime(given.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        valid_for = int(given.get("X-Amz-Expires", _SKEW.total_seconds()))
    except ValueError:
        return "X-Amz-Date or X-Amz-Expires is not what it should be"
    if signed.strftime("%Y%m%d") != date or not 0 < valid_for <= _LONGEST:
        return "the date of the scope is another, or X-Amz-Expires is not 1 to 604800"
    if signed - now > _SKEW:
        return "signed in the future"
    return "the signature has expired" if now > signed + timedelta(seconds=valid_for) else ""


def _canonical_request(
    parameters: Iterable[tuple[str, str]], signed: Sequence[str], headers: Mapping[str, str], path: str
) -> str:
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed)
    return "\n".join(("GET", path, query, lines, ";".join(signed), sha256(b"").hexdigest()))
