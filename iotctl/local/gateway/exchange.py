"""Between the services and the broker: requests that arrive over MQTT go in, events of committed changes come out.

Once in a turn of the event loop, before the broker commits and anything that was said in it (a PUBACK) leaves, all that
clients asked of services in this turn is done in one transaction, and what it caused is handed to the broker: a group
commit. What an HTTP operation caused is with the broker, and durable, before its answer leaves.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import LISTENERS, PREPARED, Message
from iotctl.semantics.topics import matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.interfaces import Incoming
    from iotctl.local.store import Event, Store

    Listener = Callable[..., None]

log = logging.getLogger(__name__)

LOCAL: Final = "$local/"
"""Topics under it are of the platform's own parts, and never reach a client."""


class Exchange:
    """The way between a store, whose services it calls, and a broker.

    Args:
        store: whose outbox it empties.
        broker: where clients are.
        hear: called with every event under `$local/`, after the services that listen to it.

    """

    def __init__(self, store: Store, broker: Broker, hear: Callable[[Event], None]) -> None:
        self._store = store
        self._broker = broker
        self._hear = hear
        self._asked: list[tuple[Listener, Message]] = []
        self._passing = False
        self._local: dict[str, list[tuple[str, Listener]]] = {}
        self._preparing: set[asyncio.Future[Any]] = set()

    def start(self) -> None:
        """Begin, before the first client connects."""
        for topic_filter, listener in LISTENERS:
            if topic_filter.startswith(LOCAL):
                self._local.setdefault(_kind(topic_filter), []).append((topic_filter, listener))
            else:
                self._broker.router.on(topic_filter, functools.partial(self._ask, listener))
        self._broker.turn.before_commit = self._turn
        self._store.on_commit = self._committed
        self._store.heard = self._broker.router.heard

    def stop(self) -> None:
        """Forget what is still being prepared."""
        for future in self._preparing:
            future.cancel()

    def _ask(self, listener: Listener, incoming: Incoming) -> None:
        client = incoming.client
        certificate = client is not None and client.principal.certificate
        message = Message(
            incoming.topic,
            incoming.payload,
            client.client_id if client is not None else "",
            client.principal.identity if client is not None and certificate else "",
        )
        prepare = PREPARED.get(listener)
        if prepare is None:
            self._asked.append((listener, message))
            return
        future = asyncio.get_running_loop().run_in_executor(None, prepare, self._store)
        self._preparing.add(future)
        future.add_done_callback(functools.partial(self._prepared, listener, message))

    def _prepared(self, listener: Listener, message: Message, future: asyncio.Future[Any]) -> None:
        """The slow work of a listener is done: what was asked of it is done in a turn of its own."""
        self._preparing.discard(future)
        if future.cancelled():
            return
        if future.exception() is not None:
            log.error("the work before %s failed", message.topic, exc_info=future.exception())
            return
        self._asked.append((functools.partial(listener, prepared=future.result()), message))
        try:
            self._broker.turn.settle()
        except sqlite3.Error:
            log.exception("what was asked on %s cannot be kept", message.topic)

    def _turn(self) -> None:
        """Do what was asked; raises sqlite3.OperationalError where the store cannot commit."""
        if not self._asked:
            return
        asked, self._asked = self._asked, []
        self._passing = True
        try:
            self._do(asked)
        finally:
            self._passing = False
        self._pass_on()

    def _do(self, asked: list[tuple[Listener, Message]]) -> None:
        try:
            with self._store.transaction():
                for listener, message in asked:
                    listener(self._store, message)
        except sqlite3.OperationalError:
            raise
        except Exception:
            # Together all is lost with the one that fails: one after the other only that one is.
            log.exception("a service failed: its turn is done again, one message at a time")
            for listener, message in asked:
                self._call(listener, message)

    def _call(self, listener: Listener, message: Message) -> None:
        try:
            with self._store.transaction():
                listener(self._store, message)
        except Exception:
            # One listener's bug stops neither the others nor the platform; the log has it.
            log.exception("%s failed on %s", getattr(listener, "__name__", "a service"), message.topic)

    def _committed(self) -> None:
        if not self._passing:
            self._pass_on()
            self._broker.turn.settle()

    def _pass_on(self) -> None:
        self._passing = True
        try:
            while events := self._store.drain():
                for event in events:
                    try:
                        self._deliver(event)
                    except Exception:
                        log.exception("the platform failed on %s", event.topic)
        finally:
            self._passing = False

    def _deliver(self, event: Event) -> None:
        if event.subscribed and self._broker.answer(event.to, event.topic, event.payload):
            return
        if event.to:
            self._broker.deliver(event.to, event.topic, event.payload, 1)
        elif not event.topic.startswith(LOCAL):
            self._broker.router.publish(event.topic, event.payload, 1)
        else:
            message = Message(event.topic, event.payload)
            for topic_filter, listener in self._local.get(_kind(event.topic), ()):
                if matches(topic_filter, event.topic):
                    self._call(listener, message)
            self._hear(event)


def _kind(topic: str) -> str:
    """What an event under `$local/` is about: its second level, which no filter of a service leaves open."""
    return topic.split("/", 2)[1]
