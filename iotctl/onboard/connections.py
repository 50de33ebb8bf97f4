"""Which certificates devices connect with, as the broker tells of it while a rotation goes on.

A lifecycle event names the client and the principal that it has authenticated with: for a certificate, its id
(developer guide, life-cycle-events). Nobody but AWS IoT publishes below `$aws/events`, so it is proof that whoever has
the key is allowed in. GetThingConnectivityData and GetConnection name no principal.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Temporary
from iotctl.inbox import Inbox
from iotctl.semantics import topics

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    from iotctl.context import Context
    from iotctl.errors import Error
    from iotctl.mqtt import Connection, Item

_WAITING: Final = 100_000
"""Events that may wait to be read: a fleet may connect all at once."""


class Connections:
    """The effects `onboard:WatchConnections` and `onboard:Connected`.

    Args:
        context: of the command.
        opened: closes the connection at the end.

    """

    def __init__(self, context: Context, opened: contextlib.ExitStack) -> None:
        self._context = context
        self._opened = opened
        self._inbox: Inbox[Item] = Inbox(_WAITING)
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def watch(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Begin to listen; what was before that is not known.

        Raises:
            Auth: the credentials do not allow it. Temporary: it cannot be reached.

        """
        self._connection = self._opened.enter_context(self._context.operator(self._inbox))
        self._connection.subscribe([topics.presence("connected", "+")])
        return [{} for _ in batch]

    def connected(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Whether certificates have been connected with since.

        Args:
            batch: one mapping each: `certificateId`.

        Returns:
            Of each, in order: `connected`.

        """
        from iotctl.mqtt import Message, taken

        if self._connection is None:
            raise Temporary("nobody listens to the broker", code="NotWatching")
        with self._lock:
            for item in taken(self._inbox, 0):
                if isinstance(item, Message):
                    self._seen.add(_principal(item.payload))
            return [{"connected": one["certificateId"] in self._seen} for one in batch]


def _principal(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["principalIdentifier"])
    except (ValueError, KeyError, TypeError):
        return ""
