"""The end of a turn of the event loop: services act, the store commits, and only then is anything sent."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.store import SessionStore
    from iotctl.local.gateway.mqtt.stream import Stream

_log = logging.getLogger(__name__)


class Turn:
    """Who has something to send, and what comes before it.

    Args:
        store: what is committed.

    Attributes:
        near: whether the end of this turn is on its way; where it is not, `soon` brings it.
        before_commit: called before anything is committed and sent: when services do what was asked of them. Where it
            raises sqlite3.Error, nothing is sent.

    """

    def __init__(self, store: SessionStore) -> None:
        self.near = False
        self.before_commit: Callable[[], None] = lambda: None
        self._store = store
        self._touched: list[Stream] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def touch(self, connection: Stream) -> None:
        """A connection has something to send."""
        self._touched.append(connection)
        if not self.near:
            self.soon()

    def soon(self) -> None:
        """End this turn when everything that is under way in it is done."""
        if self._loop is not None:
            self.near = True
            self._loop.call_soon(self.end)

    def end(self) -> None:
        """End the turn."""
        try:
            self.settle()
        except sqlite3.Error:
            _log.exception("the store cannot commit: the connections that waited for it were dropped")

    def settle(self) -> None:
        """Commit and send what was published, now rather than at the end of the turn; not for use in a handler.

        Raises:
            sqlite3.Error: it cannot be committed, and the connections that waited for it are dropped.

        """
        self.near = False
        try:
            self.before_commit()
            self._store.commit()
        except sqlite3.Error:
            for connection in self._take():
                connection.abort()
            raise
        for connection in self._take():
            connection.flush()

    def _take(self) -> list[Stream]:
        touched, self._touched = self._touched, []
        return touched
