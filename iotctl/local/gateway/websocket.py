"""MQTT over WebSocket, with a presigned URL: how operators connect who have AWS credentials and no certificate.

Sources: AWS IoT developer guide, "Device communication protocols"; MQTT 5.0, section 6 (subprotocol `mqtt`, binary
frames).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from iotctl.local.gateway.mqtt.connection import Connection
from iotctl.local.gateway.mqtt.presence import DisconnectReason
from iotctl.local.gateway.mqtt.session import Principal
from iotctl.local.services.signature import Refusal, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from iotctl.local.gateway.mqtt.broker import Broker

PATH = "/mqtt"

_SERVICE = "iotdevicegateway"
# Nearly a second of 20,000 predictions a second: a reader whose turn comes late on a busy machine is not a slow one.
_HIGH_WATER = 4 * 1024 * 1024
_LOW_WATER = 1024 * 1024


def verify_presigned(
    query: str, headers: Mapping[str, str], secret_for: Callable[[str], str | None], now: datetime, region: str = ""
) -> Principal | Refusal:
    """Who presigned `GET https://HOST/mqtt?QUERY`, if the signature and its time are right.

    Args:
        query: the query string as it was sent.
        headers: those of the request, found whatever their case; `host` and those that are signed must be there.
        secret_for: the secret access key of an access key id, None where there is none.
        now: the time, with its zone.
        region: that it must be signed for; empty: any.

    """
    found = verify("GET", PATH, query, headers, secret_for, now, service=_SERVICE, region=region)
    return found if isinstance(found, Refusal) else Principal(found.key_id, certificate=False)


async def serve_websocket(request: web.BaseRequest, broker: Broker, principal: Principal) -> web.WebSocketResponse:
    """Upgrade a request whose sender is known, and run it as a connection of the broker until it ends."""
    response = web.WebSocketResponse(protocols=("mqtt",), compress=False, max_msg_size=2 * broker.limits.packet)
    await response.prepare(request)
    connection = Connection(broker, principal)
    transport = _Transport(response, request, connection)
    writer = asyncio.create_task(transport.write_out())
    connection.connection_made(transport)
    try:
        while (message := await response.receive()).type is WSMsgType.BINARY:
            connection.data_received(message.data)
            await transport.readable.wait()
        if message.type is WSMsgType.TEXT:
            await response.close(code=WSCloseCode.UNSUPPORTED_DATA)
        elif message.type is WSMsgType.CLOSE:
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
