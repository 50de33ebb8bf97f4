"""Keeps the fleet index behind the rest of the platform, a moment behind: what changed is entered again, in batches.

While indexing is off it listens to nothing. A change is made, committed and told of first; so the index is eventually
consistent, as on AWS, and no change waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Final

from iotctl.local.gateway.mqtt.presence import DisconnectReason
from iotctl.local.services.index import configuration, dynamic_groups, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.interfaces import Incoming
    from iotctl.local.services.index.configuration import Configuration
    from iotctl.local.store import Store

log = logging.getLogger(__name__)

_SHADOWS: Final = (
    "$aws/things/+/shadow/update/documents",
    "$aws/things/+/shadow/delete/accepted",
    "$aws/things/+/shadow/name/+/update/documents",
    "$aws/things/+/shadow/name/+/delete/accepted",
)
_PRESENCE: Final = ("$aws/events/presence/connected/+", "$aws/events/presence/disconnected/+")
BEHIND: Final = 0.05
_AT_ONCE: Final = 50  # things, as many as take the loop some ten milliseconds


class Indexer:
    """Follows the platform.

    Args:
        store: whose things it enters.
        broker: what is published there says which shadows and connections changed.
        behind: seconds after which a change is entered; what changes many times within them is entered once.

    """

    def __init__(self, store: Store, broker: Broker, behind: float = BEHIND) -> None:
        self._store = store
        self._broker = broker
        self._behind = behind
        self._configuration = configuration.configured(store)
        self._stale: dict[str, None] = {}
        self._undo: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in a running event loop; what changed unseen before is found by entering every thing again."""
        with self._store.transaction():
            entries.all_disconnected(self._store, int(self._store.now() * 1000), DisconnectReason.SERVER_ERROR)
        self._configure()

    def stop(self) -> None:
        """Do nothing more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def hear(self, kind: str, name: str) -> None:
        """Note what another service changed: its event under `$local/`."""
        if kind == "index":
            self._configure()
        elif not self._configuration.on:
            return
        elif kind == "thing-group":
            self._note(entries.members(self._store, name))
        elif kind in {"thing", "membership"}:
            self._note([name.rpartition("/")[2]])

    def _configure(self) -> None:
        for undo in self._undo:
            undo()
        self._configuration = found = configuration.configured(self._store)
        with self._store.transaction():
            entries.forget(self._store, found)
        topics = [*(_SHADOWS if found.shadow or found.named else ()), *(_PRESENCE if found.connectivity else ())]
        self._undo = [self._broker.router.on(topic, self._published) for topic in topics]
        if found.on:
            self._note(entries.everything(self._store))
            self._look()

    def _published(self, message: Incoming) -> None:
        """A shadow or a connection changed."""
        if message.client is not None:
            return  # only AWS publishes there
        levels = message.topic.split("/")
        if levels[1] == "things":
            self._note([levels[2]])
            return
        event = json.loads(message.payload)
        with self._store.transaction():
            entries.connection_changed(
                self._store, event["clientId"], event["timestamp"], event.get("disconnectReason")
            )
        self._note([event["clientId"]])

    def _note(self, names: Iterable[str]) -> None:
        self._stale.update(dict.fromkeys(names))
        if self._stale and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._behind, self._look)

    def _look(self) -> None:
        """Enter a batch of what is stale; more of it in a later turn of the loop."""
        self.stop()
        names = [name for name, _ in zip(list(self._stale), range(_AT_ONCE), strict=False)]
        for name in names:
            del self._stale[name]
        try:
            with self._store.transaction():
                self._enter(names)
                if not self._stale:
                    configuration.built(self._store)
        except Exception:
            log.exception("%d things could not be indexed", len(names))
        if self._stale:
            self._timer = asyncio.get_running_loop().call_later(0, self._look)

    def _enter(self, names: list[str]) -> None:
        found: Configuration = self._configuration
        for name in names:
            state = self._broker.connection(name) if found.connectivity else None
            if state and state.connected and not entries.connectivity(self._store, name):
                entries.connection_changed(self._store, name, int(state.connected_at * 1000), None)
        dynamic_groups.follow(self._store, [name for name in names if entries.enter(self._store, found, name)])
