"""The sockets of the broker: TCP with mutual TLS."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import resource
import socket
from typing import TYPE_CHECKING

from iotctl.local.gateway.mqtt.connection import Connection

if TYPE_CHECKING:
    import ssl

    from iotctl.local.gateway.mqtt.broker import Broker

_BACKLOG = 1024
_TLS_BUFFER = 16 * 1024
_GOODBYE_WITHIN = 1.0


async def listen(broker: Broker, host: str, port: int, context: ssl.SSLContext) -> asyncio.Server:
    """Serve MQTT over TLS on a host and port (0: a free one); raises OSError where the port is taken."""
    return await serve(broker, socket.create_server((host, port)), context)


async def serve(broker: Broker, bound: socket.socket, context: ssl.SSLContext) -> asyncio.Server:
    """Serve MQTT over TLS on a bound socket.

    The soft limit of open files is raised to the hard one: a fleet is more connections than a shell allows.
    """
    raise_file_limit()
    shrink_tls_buffers()
    return await asyncio.get_running_loop().create_server(
        lambda: Connection(broker),
        sock=bound,
        ssl=context,
        backlog=_BACKLOG,
        ssl_handshake_timeout=broker.limits.handshake_within,
        ssl_shutdown_timeout=_GOODBYE_WITHIN,
    )


def raise_file_limit() -> None:
    """Let this process open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS names a hard limit that its kernel does not take
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_240), hard))


def shrink_tls_buffers() -> None:
    """Make asyncio's buffer of a TLS connection one record: by default it is 256 KiB of zeroes for each."""
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER
