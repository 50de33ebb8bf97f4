"""The platform: every part started in order, events drained to those who listen, and stopped again.

This is the only file that knows all the parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

from iotctl import files
from iotctl.errors import Local
from iotctl.local.gateway.http import HttpGateway
from iotctl.local.services import (
    LISTENERS,
    Message,
    account,
    billing_groups,
    certificates,
    events,
    group_members,
    policies,
    policy_attachments,
    principals,
    shadows,
    tags,
    thing_groups,
    thing_types,
    things,
)
from iotctl.local.services.authority import authority, ca_file, server_files
from iotctl.local.state import Ports, State
from iotctl.local.store import Event, Store
from iotctl.semantics.topics import matches
from iotctl.target import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

SERVICES: Final[tuple[Any, ...]] = (
    account,
    billing_groups,
    certificates,
    events,
    group_members,
    policies,
    policy_attachments,
    principals,
    shadows,
    tags,
    thing_groups,
    thing_types,
    things,
)
"""Importing them registers their operations; those that keep tables have a SCHEMA."""

HOST: Final = "127.0.0.1"
_WAITING: Final = 1024  # connections that are not accepted yet


def open_store(state: State, region: str | None = None) -> Store:
    """The store of a state directory, with the tables of every service.

    Raises:
        Local: it is damaged, or of another region.

    """
    schemas = [service.SCHEMA for service in SERVICES if hasattr(service, "SCHEMA")]
    return Store(state.database, schemas, region=region)


def run(state: State, ports: Ports, region: str | None = None) -> Iterator[Platform]:
    """Run the platform: it is handed out when every part listens; going on runs it until SIGTERM or SIGINT.

    Args:
        state: its directory.
        ports: where it listens; a zero is the system's choice, kept for the next time.
        region: of a new state.

    Raises:
        Locked: a platform runs on this state.
        Local: a port is in use, or the state is damaged.

    """
    files.private_directory(state.directory)
    with files.run_lock(state.lock, "iotctl local up"), asyncio.Runner() as runner:
        state.forget_description()
        running = _Running(state, ports, region)
        try:
            yield runner.run(running.start())
            runner.run(running.stopping.wait())
        finally:
            runner.run(running.stop())


class _Running:
    """One run of the platform."""

    def __init__(self, state: State, ports: Ports, region: str | None) -> None:
        self._state = state
        self._ports = ports
        self._store = open_store(state, region)
        self._parts = contextlib.AsyncExitStack()
        self._draining = False
        self._publish: Callable[[Event], None] | None = None
        self.stopping = asyncio.Event()
        self._listeners: dict[str, list[tuple[str, Callable[[Store, Message], None]]]] = {}
        for topic_filter, listener in LISTENERS:
            self._listeners.setdefault(_head(topic_filter), []).append((topic_filter, listener))

    async def start(self) -> Platform:
        """Start every part; from here on a signal stops them in the reverse order."""
        directory = self._state.directory
        self._parts.callback(self._store.close)
        self._store.on_commit = self._drain_soon
        authority(directory)
        server_files(directory)
        names = ("http", "mqtt", "https")
        listeners = {name: self._parts.enter_context(_bound(name, getattr(self._ports, name))) for name in names}
        chosen = {name: int(listener.getsockname()[1]) for name, listener in listeners.items()}
        self._state.keep_ports(Ports(**chosen))

        http = HttpGateway(self._store)
        await http.start(listeners["http"])
        self._parts.push_async_callback(http.stop)
        # The MQTT and HTTPS gateways start here, on listeners["mqtt"] and listeners["https"], and set self._publish.

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        platform = self._described(chosen)
        self._state.describe(platform)
        self._parts.callback(self._state.forget_description)
        log.info("ready: %s, account %s, region %s", platform.http_url, platform.account_id, platform.region)
        return platform

    async def stop(self) -> None:
        """Stop every part that was started."""
        log.info("stopping")
        await self._parts.aclose()

    def _described(self, chosen: dict[str, int]) -> Platform:
        return Platform(
            http_url=f"http://{HOST}:{chosen['http']}",
            mqtt_port=chosen["mqtt"],
            https_port=chosen["https"],
            ca_file=str(ca_file(self._state.directory)),
            account_id=self._store.account_id,
            region=self._store.region,
            pid=os.getpid(),
            access_key_id=self._store.access_key_id,
            secret_access_key=self._store.secret_access_key,
        )

    def _drain_soon(self) -> None:
        """Hand the events over in the next turn of the loop, so that whoever committed is done first."""
        if not self._draining:
            self._draining = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        for event in self._store.drain():
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        if not event.topic.startswith("$local/") and self._publish:
            self._publish(event)
        message = Message(event.topic, event.payload)
        for topic_filter, listener in self._listeners.get(_head(event.topic), ()):
            if matches(topic_filter, event.topic):
                try:
                    with self._store.transaction():
                        listener(self._store, message)
                except Exception:
                    # One listener's bug stops neither the others nor the platform; the log has it.
                    log.exception("%s failed on %s", listener.__name__, event.topic)


def _head(topic: str) -> str:
    """The first two levels, by which listeners are found; every filter of a service begins with two fixed ones."""
    return "/".join(topic.split("/", 2)[:2])


@contextlib.contextmanager
def _bound(name: str, port: int) -> Iterator[socket.socket]:
    """A listening socket on the loopback address.

    Raises:
        Local: the port is in use.

    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((HOST, port))
            listener.listen(_WAITING)
        except OSError as error:
            raise Local(
                f"port {port} on {HOST} cannot be used for {name.upper()}",
                code="PortInUse",
                cause=error.strerror or "",
                hint=f"iotctl local up --{name}-port NUMBER, or --ports auto for a new platform",
            ) from error
        listener.setblocking(False)
        yield listener
