"""The bytes of one connection: in as they come, out once in a turn of the event loop, and neither faster than it goes.

A `Stream` is an asyncio protocol, for TCP, TLS or (through `websocket`) WebSocket. Bytes leave after the store has
committed: one write, one TLS record, and no PUBACK for what could be lost.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.packets import V311

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.gateway.mqtt.packets import Packet
    from iotctl.local.gateway.mqtt.turn import Turn

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_HIGH_WATER = 64 * 1024
_TOO_HIGH = 256 * 1024
_LAST_WORDS = 2.0


class Stream(asyncio.Protocol):
    """A transport and the packets on it; what they mean is the connection's, which this is the lower half of.

    Args:
        turn: at whose end what is written leaves.
        largest: bytes of the largest packet that is taken.

    Attributes:
        version: of MQTT.
        closing: what is written goes out, nothing more is taken.
        paused: the client reads more slowly than it is written to.

    """

    __slots__ = (
        "_decoder",
        "_held",
        "_incoming",
        "_out",
        "_socket",
        "_transport",
        "_turn",
        "closing",
        "paused",
        "version",
    )

    def __init__(self, turn: Turn, largest: int) -> None:
        self._turn = turn
        self._decoder = Decoder(largest)
        self._out: list[bytes] = []
        self._incoming: Iterator[Packet] = iter(())
        self._held = False
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self.version = V311
        self.closing = False
        self.paused = False

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._socket = transport.get_extra_info("socket") if _QUICKACK is not None else None

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._incoming = self._decoder.packets(data)
        self._take()
        if self._socket is not None and not self._out and _QUICKACK is not None:
            # A client with Nagle's algorithm waits about 43 ms for what it sends next unless an answer acknowledges
            # what it has sent, on loopback too.
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        if self.paused and self._transport is not None and self._transport.get_write_buffer_size() > _TOO_HIGH:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client writes no more: that is the end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """The transport is gone."""
        self._transport = None

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client has read."""
        self.paused = False
        if not self._held:
            self._resume()

    # --- the other half's side

    def _take(self) -> None:
        """Take the packets of `_incoming`, until the connection is closing or held: abstract, the connection's part."""
        raise NotImplementedError

    def write(self, *parts: bytes) -> None:
        """Send bytes at the end of this turn of the event loop."""
        if not self._out:
            self._turn.touch(self)
        self._out.extend(parts)

    def _send(self, packet: Packet) -> None:
        self.write(encode(packet, self.version))

    def hold(self) -> None:
        """Take no more packets until `release`: whom they go to is behind."""
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Go on where `hold` stopped."""
        if self._held:
            self._held = False
            self._take()
            if not self._held:
                self._resume()

    def flush(self) -> None:
        """Hand what was written to the transport; the turn's, once."""
        data = b"".join(self._out)
        self._out.clear()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if data:
            transport.write(data)
        if self.closing:
            transport.close()
            # A client that does not read would keep a closing transport open for good.
            asyncio.get_running_loop().call_later(_LAST_WORDS, transport.abort)

    def finish(self) -> None:
        """Send what was written, then close."""
        self.closing = True
        self._turn.touch(self)

    def abort(self) -> None:
        """Close at once; nothing written in this turn leaves."""
        self._out.clear()
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def address(self, which: str = "peername") -> tuple[str, int]:
        """The client's (`peername`) or our (`sockname`) IP address and port."""
        name = self._transport.get_extra_info(which) if self._transport is not None else None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    def certificate(self) -> bytes | None:
        """What the client showed when it opened TLS (DER); None: nothing, or it is no TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    def server_name(self) -> str:
        """Whom the client asked for when it opened TLS (SNI); empty: it did not say, or it is no TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return str(getattr(tls, "server_name", ""))

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
