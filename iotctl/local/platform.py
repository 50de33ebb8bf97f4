"""The platform: every part started in order, events drained to those who listen, and stopped again.

This is the only file that knows all the parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files
from iotctl.errors import Local
from iotctl.local.conditions import NONE, Conditions
from iotctl.local.gateway import data_plane
from iotctl.local.gateway.authorizer import PolicyAuthorizer
from iotctl.local.gateway.core_api import CoreApi
from iotctl.local.gateway.device_api import DeviceApi
from iotctl.local.gateway.exchange import Exchange
from iotctl.local.gateway.hindrance import Hindrance
from iotctl.local.gateway.http import HttpGateway
from iotctl.local.gateway.mqtt import listener as mqtt
from iotctl.local.gateway.mqtt.broker import Broker
from iotctl.local.gateway.mqtt.limits import Limits
from iotctl.local.gateway.mqtt.store import SQLiteSessionStore
from iotctl.local.gateway.trust import MQTT_ALPN, TrustDirectory
from iotctl.local.indexer import BEHIND, Indexer
from iotctl.local.meter import Meter
from iotctl.local.scheduler import Scheduler
from iotctl.local.services import (
    OPERATIONS,
    account,
    authorization,
    billing_groups,
    ca_certificates,
    certificates,
    defender,
    events,
    greengrass,
    group_members,
    index,
    issued_certificates,
    jobs,
    logging_options,
    policies,
    policy_attachments,
    principals,
    provisioning,
    role_aliases,
    service_quotas,
    shadows,
    tags,
    temporary_credentials,
    thing_groups,
    thing_types,
    things,
)
from iotctl.local.services.authority import authority, ca_file, server_files
from iotctl.local.services.defender import due as defender_due
from iotctl.local.services.jobs import rolling
from iotctl.local.services.provisioning import due as provisioning_due
from iotctl.local.services.provisioning import just_in_time
from iotctl.local.services.s3 import buckets, content, copies, listing, objects, parts, presigned, uploads
from iotctl.local.state import Ports, State
from iotctl.local.store import Store
from iotctl.local.witness import Witness
from iotctl.target import Platform, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from iotctl.local.store import Event

log = logging.getLogger(__name__)

SERVICES: Final[tuple[Any, ...]] = (
    account,
    authorization,
    billing_groups,
    buckets,
    certificates,
    ca_certificates,
    copies,
    *defender.SERVICES,
    events,
    *greengrass.SERVICES,
    group_members,
    *index.SERVICES,
    issued_certificates,
    *jobs.SERVICES,
    listing,
    logging_options,
    objects,
    parts,
    policies,
    policy_attachments,
    principals,
    *provisioning.SERVICES,
    role_aliases,
    shadows,
    tags,
    temporary_credentials,
    thing_groups,
    thing_types,
    things,
    uploads,
)
"""Importing them registers their operations; those that keep tables have a SCHEMA."""

HOST: Final = "127.0.0.1"
_WAITING: Final = 1024  # connections that are not accepted yet
_HTTPS_ALPN: Final = ("x-amzn-http-ca", "http/1.1", MQTT_ALPN)
_LAST_SECONDS: Final = 10  # before the end of a killed platform: far more than from a commit to what follows it


def open_store(state: State, region: str | None = None) -> Store:
    """The store of a state directory, with the tables of every service.

    Raises:
        Local: it is damaged, or of another region.

    """
    schemas = [service.SCHEMA for service in SERVICES if hasattr(service, "SCHEMA")]
    return Store(state.database, schemas, region=region)


def run(state: State, ports: Ports, region: str | None = None, conditions: Conditions = NONE) -> Iterator[Platform]:
    """Run the platform: it is handed out when every part listens; going on runs it until SIGTERM or SIGINT.

    Args:
        state: its directory.
        ports: where it listens; a zero is the system's choice, kept for the next time.
        region: of a new state.
        conditions: what hinders, delays and hurries it.

    Raises:
        Locked: a platform runs on this state.
        Local: a port is in use, or the state is damaged.

    """
    files.private_directory(state.directory)
    with state.hold("iotctl local up"), asyncio.Runner() as runner:
        state.forget_description()
        clock.turn(state.course(conditions.clock_speed))
        running = _Running(state, ports, region, conditions)
        try:
            yield runner.run(running.start())
            runner.run(running.stopping.wait())
        finally:
            runner.run(running.stop())


class _Running:
    """One run of the platform."""

    def __init__(self, state: State, ports: Ports, region: str | None, conditions: Conditions) -> None:
        self._state = state
        self._conditions = conditions
        self._ports = ports
        self._store = open_store(state, region)
        self._store.delays = conditions.delays
        self._store.rate = conditions.rate
        # There is no CloudFormation here that could make it.
        with self._store.transaction():
            buckets.of_account(self._store, Target("local", self._store.account_id, self._store.region).bucket)
        self._authorizer = PolicyAuthorizer(self._store)
        sessions = SQLiteSessionStore(self._store.connection)
        who = self._authorizer
        self._broker = Broker(
            who, who, sessions, Limits(publishes_per_second=conditions.publishes), thing_of=who.thing_of
        )
        self._exchange = Exchange(self._store, self._broker, self._hear)
        self._schedulers = (
            Scheduler(self._store, rolling.next_due, rolling.run_due),
            Scheduler(self._store, defender_due.next_due, defender_due.run_due),
            Scheduler(self._store, provisioning_due.next_due, provisioning_due.run_due),
            Scheduler(self._store, principals.next_due, principals.run_due),
        )
        self._witness = Witness(self._store, self._broker)
        self._meter = Meter(self._store, self._broker)
        self._indexer = Indexer(self._store, self._broker, max(BEHIND, clock.real_seconds(conditions.delay("index"))))
        self._trust = _trust(state.directory / "trust", self._store)
        self._parts = contextlib.AsyncExitStack()
        self.stopping = asyncio.Event()

    async def start(self) -> Platform:
        """Start every part; from here on a signal stops them in the reverse order."""
        directory = self._state.directory
        self._parts.callback(self._store.close)
        authority(directory)
        key, certificate = server_files(directory)
        names = ("http", "mqtt", "https")
        listeners = {name: self._parts.enter_context(bound(name, getattr(self._ports, name))) for name in names}
        chosen = {name: int(listener.getsockname()[1]) for name, listener in listeners.items()}
        self._state.keep_ports(Ports(**chosen))
        scheme = "https" if self._conditions.https_artifacts else "http"
        presigned.served_at(self._store, f"{scheme}://{HOST}:{chosen[scheme]}")
        content.prepare(self._store)

        operations = {
            **OPERATIONS,
            **data_plane.operations(self._broker),
            **service_quotas.operations(self._conditions.rate),
        }
        cores = CoreApi(self._store, self._authorizer)
        hindrance = Hindrance(self._conditions)
        http = HttpGateway(self._store, operations, DeviceApi(self._authorizer), self._broker, cores, hindrance)
        self._parts.push_async_callback(http.stop)
        self._exchange.start()
        self._parts.callback(self._exchange.stop)
        for scheduler in self._schedulers:
            scheduler.start()
            self._parts.callback(scheduler.stop)
        self._broker.start()
        self._parts.callback(self._broker.stop)
        self._indexer.start()
        self._parts.callback(self._indexer.stop)
        self._witness.look()
        self._meter.look()
        self._parts.callback(self._meter.stop)
        server = await mqtt.serve(self._broker, listeners["mqtt"], self._trust.context(certificate, key))
        self._parts.callback(server.close)
        await http.start(listeners["http"])
        tls = self._trust.context(certificate, key, required=False, alpn=_HTTPS_ALPN)
        await http.start(listeners["https"], tls)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        platform = self._described(chosen)
        self._state.describe(platform, self._conditions.words)
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
            course=clock.course(),
        )

    def _hear(self, event: Event) -> None:
        """Let the timer, who is connected, and what they may do follow a change."""
        kind, name = event.topic.split("/", 2)[1:]
        if kind == "due":
            for scheduler in self._schedulers:
                scheduler.look_soon()
            return
        if kind == "audit":
            self._witness.look()
            return
        if kind == "detect":
            self._meter.look()
            return
        self._indexer.hear(kind, name)
        if kind == "index":
            return
        content = json.loads(event.payload)
        if kind in {"certificate", "ca"}:
            self._certificate_changed(kind, name, content)
        elif kind == "principal":
            self._changed(content["principal"])
        elif kind == "policy":
            self._later("policy", self._changed, content["target"])
        elif kind in {"thing", "membership"}:
            for principal in principals.of(self._store, name.rpartition("/")[2]):
                self._changed(principal)
        elif kind == "thing-group":
            self._changed(None)

    def _certificate_changed(self, kind: str, identity: str, content: dict[str, Any]) -> None:
        """Let a certificate through TLS, or whoever a CA has signed; what a connection may do is asked at CONNECT."""
        trusted = content["registers"] if kind == "ca" else content["status"] != "DELETED"
        (self._trust.add if trusted else self._trust.remove)(ssl.PEM_cert_to_DER_cert(content["certificatePem"]))
        if kind == "certificate":
            self._authorizer.forget(identity)
            if content["status"] != "ACTIVE":
                self._later("certificate", self._broker.disconnect_principal, identity)

    def _later(self, kind: str, do: Callable[[Any], object], whom: str | None) -> None:
        """Let a change be seen after as long as it takes here; at once, unless it was asked to take time."""
        delay = self._conditions.delay(kind)
        if delay:
            asyncio.get_running_loop().call_later(clock.real_seconds(delay), do, whom)
        else:
            do(whom)

    def _changed(self, principal: str | None) -> None:
        """A principal, or who knows which, may do other things than before."""
        prefix = certificates.arn_of(self._store, "")
        identity = principal.removeprefix(prefix) if principal and principal.startswith(prefix) else None
        self._authorizer.forget(identity)
        self._broker.policies_changed(identity)


def _trust(directory: Path, store: Store) -> TrustDirectory:
    """The trust directory, with the certificates that were registered right before an end without warning."""
    since = "(SELECT max(modified) FROM certificate) - ?" if directory.exists() else "-?"
    trust = TrustDirectory(directory)
    for row in store.rows(f"SELECT pem FROM certificate WHERE modified >= {since}", _LAST_SECONDS):  # noqa: S608  one of two constants
        trust.add(ssl.PEM_cert_to_DER_cert(row["pem"]))
    for pem in just_in_time.announced(store):
        trust.add(ssl.PEM_cert_to_DER_cert(pem))
    return trust


@contextlib.contextmanager
def bound(name: str, port: int) -> Iterator[socket.socket]:
    """A listening socket on the loopback address.

    Raises:
        Local: the port is in use, or not for this user.

    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((HOST, port))
            listener.listen(_WAITING)
        except OSError as error:
            if isinstance(error, PermissionError):  # 443, as devices know it from AWS
                raise Local(
                    f"port {port} on {HOST} is not for this user",
                    code="PortDenied",
                    cause=error.strerror or "",
                    hint=f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port} lets every user here listen on it",
                ) from error
            raise Local(
                f"port {port} on {HOST} cannot be used for {name.upper()}",
                code="PortInUse",
                cause=error.strerror or "",
                hint=f"iotctl local up --{name}-port NUMBER, or --ports auto for a new platform",
            ) from error
        listener.setblocking(False)
        yield listener
