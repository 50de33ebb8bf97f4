"""Tells Device Defender's audits how devices connect: who is thrown out by its own client id, which keys are shared.

While no enabled check looks at that it listens to nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from iotctl.local.gateway.mqtt.presence import DisconnectReason
from iotctl.local.services.defender import history

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.interfaces import Incoming
    from iotctl.local.store import Store

_CERTIFICATE: Final = re.compile(r"[0-9a-f]{64}")  # an operator's access key may be in many connections
_CONNECTED: Final = "$aws/events/presence/connected/+"
_DISCONNECTED: Final = "$aws/events/presence/disconnected/+"


class Witness:
    """Follows the connections.

    Args:
        store: which checks are enabled, and where what was seen is kept.
        broker: where devices connect.

    """

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        with store.transaction():
            history.all_ended(store)
        self._undo: list[Callable[[], None]] = []
        self._thrown_out: dict[str, str] = {}

    def look(self) -> None:
        """Begin or end to listen: which checks are enabled has changed."""
        with self._store.transaction():
            wanted = history.wanted(self._store)
        if wanted and not self._undo:
            pairs = ((_CONNECTED, self._connected), (_DISCONNECTED, self._disconnected))
            self._undo = [self._broker.router.on(topic, handler) for topic, handler in pairs]
        elif not wanted:
            for undo in self._undo:
                undo()
            self._undo = []

    def _connected(self, message: Incoming) -> None:
        """A connection begins: it may have taken another one's client id, or use a key that is in use."""
        if message.client is not None:
            return  # only AWS publishes there
        event = json.loads(message.payload)
        client_id, principal = event["clientId"], event["principalIdentifier"]
        others = self._broker.clients_of(principal)
        before = self._thrown_out.pop(client_id, None)
        if before is None and len(others) <= 1:
            return
        with self._store.transaction():
            if before is not None:
                history.taken_over(self._store, client_id, before, principal)
            if len(others) > 1 and _CERTIFICATE.fullmatch(principal):
                states = {other: self._broker.connection(other) for other in others}
                since = {other: state.connected_at for other, state in states.items() if state and state.connected}
                history.shared(self._store, principal, since)

    def _disconnected(self, message: Incoming) -> None:
        if message.client is not None:
            return
        event = json.loads(message.payload)
        client_id, principal = event["clientId"], event["principalIdentifier"]
        if event["disconnectReason"] == DisconnectReason.DUPLICATE_CLIENTID:
            # The connection that did it is told of next.
            self._thrown_out[client_id] = principal
        with self._store.transaction():
            history.ended(self._store, principal, client_id)
