"""One port for HTTPS and MQTT, told apart by what a client asks for in TLS (ALPN), as AWS's port 443 is.

Source: AWS IoT developer guide, "Device communication protocols". AWS IoT Device Client and the AWS IoT Device SDKs
connect with MQTT to no other port unless they are told to.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Chooser(asyncio.Protocol):
    """What a TLS connection speaks until it is known what it asks for: from then on, that protocol has the transport.

    Args:
        asked: by the name that ALPN agreed on, what makes the protocol.
        other: makes it for every other connection.

    """

    def __init__(
        self, asked: Mapping[str, Callable[[], asyncio.Protocol]], other: Callable[[], asyncio.Protocol]
    ) -> None:
        self._asked = asked
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is there, and with it the choice."""
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = self._asked.get(agreed, self._other)()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)
