"""The broker: who is connected, what is left of whom, and who is told.

It has no sockets: connections come to it (`connection.Connection`). Whom a message reaches is the router's, to which
services of the same process go (`Broker.router`). Everything runs on one event loop. AWS behaviour: developer guide,
pages "MQTT", "Lifecycle events", "Publish/Subscribe policy examples".
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from iotctl import clock
from iotctl.local.gateway.mqtt.limits import SHARE, Limits
from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, Code, Properties, SubscriptionRequest, Will
from iotctl.local.gateway.mqtt.presence import DisconnectReason, Presence
from iotctl.local.gateway.mqtt.router import Router
from iotctl.local.gateway.mqtt.session import Client, Principal, Session, forwarded
from iotctl.local.gateway.mqtt.store import Backlog, Message, SessionStore
from iotctl.local.gateway.mqtt.turn import Turn
from iotctl.local.gateway.mqtt.wills import Wills

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from iotctl.local.gateway.mqtt.connection import Connection
    from iotctl.local.gateway.mqtt.interfaces import Authorizer, Principals
    from iotctl.local.gateway.mqtt.session import Link


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What GetConnection and GetThingConnectivityData tell of a client that is connected or has a session."""

    client: Client
    connected: bool
    clean_session: bool
    session_expiry: int
    keep_alive: int = 0
    connected_at: float = 0.0
    target: tuple[str, int] = ("", 0)


class Broker:
    """An MQTT broker as AWS IoT Core is one.

    Args:
        authorizer: decides what clients may do.
        principals: knows which certificates are active.
        store: where sessions and retained messages are kept.
        limits: sizes, counts, durations.
        thing_of: the thing that a principal is exclusively attached to: lifecycle events name it.

    Attributes:
        turn: when services act, the store commits and what was written is sent.
        router: where messages go.

    """

    def __init__(
        self,
        authorizer: Authorizer,
        principals: Principals,
        store: SessionStore,
        limits: Limits | None = None,
        thing_of: Callable[[Principal], str | None] = lambda _: None,
    ) -> None:
        self.authorizer = authorizer
        self.limits = limits or Limits()
        self._principals = principals
        self._store = store
        self.turn = Turn(store)
        self.router = Router(authorizer, store, self.limits, self.turn)
        self._presence = Presence(self.router.publish, thing_of)
        self._wills = Wills(self._publish_will)
        self._connections: set[Connection] = set()
        self._by_principal: dict[str, set[Connection]] = {}
        self._sessions: dict[str, Session] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    # --- its life

    def start(self) -> None:
        """Take back what the store holds and begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.turn.start()
        self.router.start()
        backlogs = self._store.backlogs()
        now = clock.epoch()
        for kept in list(self._store.sessions()):
            client = Client(kept.client_id, Principal(kept.principal, kept.certificate))
            backlog = backlogs.get(kept.client_id, Backlog())
            session = Session(client, kept.version, kept.expiry, self.limits, self._store, backlog)
            session.expires_at = now + kept.expiry if kept.expires_at is None else kept.expires_at
            session.stored = True
            self._sessions[kept.client_id] = session
            for request, identifier in kept.subscriptions:
                self.router.subscribe(session, request, identifier)
            session.save()
        for owner in backlogs.keys() - self._sessions.keys():
            if not self.router.shared.restore(owner, backlogs[owner]):
                self._store.drop_owner(owner)
        self._sweep()

    def stop(self) -> None:
        """Say goodbye to every client, commit, and end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.end(DisconnectReason.SERVER_INITIATED_DISCONNECT, Code.SERVER_SHUTTING_DOWN)
        self.turn.end()

    # --- services of the same process

    def deliver(
        self, client_id: str, topic: str, payload: bytes, qos: int = 0, properties: Properties = NO_PROPERTIES
    ) -> bool:
        """Send a message to one connected client, subscribed or not; False: it is not connected."""
        session = self._sessions.get(client_id)
        if session is None or session.link is None:
            return False
        session.deliver(Message(topic, payload, qos, properties=properties), qos, False, (), {})
        if self.router.meter is not None:
            self.router.meter.received(session.client, topic)
        return True

    def answer(self, client_id: str, topic: str, payload: bytes) -> bool:
        """Publish to the subscriptions of one client and of nobody else; False: it has none that matches."""
        session = self._sessions.get(client_id)
        return session is not None and self.router.answer(session, Message(topic, payload, 1))

    def policies_changed(self, identity: str | None = None) -> None:
        """Forget the remembered answers of the authorizer on one principal; None: on every one.

        A session remembers none while its client is away.
        """
        for connection in self._connections if identity is None else self._by_principal.get(identity, ()):
            connection.forget_decisions()

    def disconnect_principal(
        self, identity: str, reason: DisconnectReason = DisconnectReason.AUTH_ERROR, why: str = "not active"
    ) -> int:
        """End the connections of a principal (a certificate that is INACTIVE, REVOKED or gone); how many there were."""
        connections = list(self._by_principal.get(identity, ()))
        for connection in connections:
            connection.end(reason, Code.NOT_AUTHORIZED, why)
        return len(connections)

    def clients_of(self, identity: str) -> list[str]:
        """The client ids that are connected with a principal."""
        return [each.client.client_id for each in self._by_principal.get(identity, ()) if each.client is not None]

    def connected(self) -> Iterator[Client]:
        """Every client that is connected."""
        return (each.client for each in self._connections if each.session is not None and each.client is not None)

    def delete_connection(self, client_id: str, *, clean_session: bool = False, prevent_will: bool = False) -> bool:
        """iot-data:DeleteConnection; False: the client has neither a connection nor a persistent session."""
        session = self._sessions.get(client_id)
        if session is None:
            return False
        if session.link is not None:
            connection = _connection(session.link)
            if prevent_will:
                connection.will = None
            connection.end(DisconnectReason.API_INITIATED_DISCONNECT, Code.ADMINISTRATIVE_ACTION)
        if clean_session and client_id in self._sessions:
            self._end_session(session)
        return True

    def connection(self, client_id: str) -> ConnectionState | None:
        """The connection or persistent session of a client; None: it has neither."""
        session = self._sessions.get(client_id)
        if session is None:
            return None
        state = ConnectionState(session.client, session.link is not None, not session.expiry, session.expiry)
        if session.link is None:
            return state
        link = _connection(session.link)
        target = link.address("sockname")
        return replace(state, keep_alive=link.keep_alive, connected_at=link.connected_at, target=target)

    def subscriptions(self, client_id: str) -> dict[str, int]:
        """The QoS by topic filter of a client's subscriptions (iot-data:ListSubscriptions)."""
        session = self._sessions.get(client_id)
        return {} if session is None else {name: each.request.qos for name, each in session.subscriptions.items()}

    # --- connections

    def opened(self, connection: Connection) -> float:
        """A transport was opened; the event loop's time."""
        self._connections.add(connection)
        return self.time()

    def closed(self, connection: Connection) -> None:
        """A transport is gone."""
        self._connections.discard(connection)

    def time(self) -> float:
        """The event loop's time: keep-alive is in real seconds, however the platform's clock is turned."""
        if self._loop is None:
            raise RuntimeError("the broker was not started")
        return self._loop.time()

    def identify(self, certificate: bytes | None) -> Principal | None:
        """Who a client certificate (DER) is; None: nobody who may connect."""
        if certificate is None:
            return None
        identity = sha256(certificate).hexdigest()
        return Principal(identity) if self._principals.active(identity, certificate) else None

    def introduce(self, certificate: bytes | None, server_name: str) -> bool:
        """A certificate of nobody who may connect was shown; True: it is to be hung up on, and will come again."""
        return certificate is not None and self._principals.introduce(certificate, server_name)

    def admits(self, client: Client, will: Will | None, *, persistent: bool) -> bool:
        """Whether a client's policy lets it connect, with its will; refusals are lifecycle events."""
        if self.router.meter is not None:
            self.router.meter.attempted(client)
        allowed = self.authorizer.connect(client, will=will.topic if will else "", persistent=persistent)
        if allowed and will is not None:
            allowed = self.authorizer.publish(client, will.topic, retain=will.retain)
        if not allowed:
            self.refused(client, "")
            self._presence.connect_failed(client)
        return allowed

    def refused(self, client: Client, topic: str) -> None:
        """A policy does not allow what a client asked for; `topic` empty: to connect."""
        if self.router.meter is not None:
            self.router.meter.refused(client, topic)

    def attach(self, connection: Connection, client: Client, clean_start: bool, expiry: int) -> tuple[Session, bool]:
        """Give a client that may connect its session: the one it had (True), or a new one."""
        client_id = client.client_id
        session = self._sessions.get(client_id)
        if session is not None and session.link is not None:
            why = "another connection uses this client id"
            _connection(session.link).end(DisconnectReason.DUPLICATE_CLIENTID, Code.SESSION_TAKEN_OVER, why)
            session = self._sessions.get(client_id)
        if session is not None:
            over = session.expires_at is not None and session.expires_at <= clock.epoch()
            # A session of one version of MQTT cannot be resumed by the other (developer guide, "MQTT").
            if clean_start or over or session.version != connection.version:
                self._end_session(session)
                session = None
        self._wills.withdraw(client_id)
        present = session is not None
        if session is None:
            session = Session(client, connection.version, expiry, self.limits, self._store, Backlog())
            self._sessions[client_id] = session
        session.client, session.expiry = client, expiry
        session.forget_decisions()
        self._by_principal.setdefault(client.principal.identity, set()).add(connection)
        ask = self.authorizer.receive
        resumed = session
        session.attach(connection, lambda topic: resumed.may_receive(topic, ask))
        session.save()
        return session, present

    def attached(self, session: Session) -> None:
        """The CONNACK is said: send what waits, tell who listens."""
        self._presence.connected(session.client)
        session.pump()
        for topic_filter in session.subscriptions:
            if topic_filter.startswith(SHARE):
                self.router.shared.drain(topic_filter)

    def detach(self, connection: Connection, session: Session, reason: DisconnectReason) -> None:
        """A client's connection has ended: what is left of its session, its will, what was lost, who is told."""
        client = session.client
        peers = self._by_principal.get(client.principal.identity, set())
        peers.discard(connection)
        if not peers:
            self._by_principal.pop(client.principal.identity, None)
        lost = session.detach()
        if session.expiry:
            session.expires_at = clock.epoch() + session.expiry
            session.save()
        self._presence.disconnected(client, reason)
        if self.router.meter is not None:
            self.router.meter.ended(client)
        will, connection.will = connection.will, None
        if will is not None:
            self._wills.leave(client, will, session.expiry)
        if not session.expiry:
            self._end_session(session)
        for delivery in lost:
            self.router.shared.again(delivery.group, delivery.message)

    def subscribed(self, session: Session, granted: Iterable[tuple[SubscriptionRequest, bool]]) -> None:
        """The SUBACK is said for some filters (True: new ones): send what is retained, tell who listens."""
        granted = list(granted)
        self.router.subscribed(session, granted)
        self._presence.subscribed(session.client, [request.topic_filter for request, _ in granted])

    def unsubscribed(self, session: Session, topic_filters: Iterable[str]) -> None:
        """The UNSUBACK is said: tell who listens."""
        self._presence.unsubscribed(session.client, topic_filters)

    def _publish_will(self, client: Client, will: Will) -> None:
        if self.authorizer.publish(client, will.topic, retain=will.retain):
            expiry = self.limits.message_expiry(will.properties.message_expiry_interval)
            expires_at = None if expiry is None else clock.epoch() + expiry
            properties = forwarded(will.properties, expiry)
            message = Message(will.topic, will.payload, will.qos, will.retain, properties, expires_at)
            self.router.route(message, self._sessions.get(client.client_id))

    # --- time

    def _sweep(self) -> None:
        """Look at everything that time ends, now and again; what fails does not end the looking."""
        try:
            self._end_due()
        finally:
            if self._loop is not None:
                self._sweeper = self._loop.call_later(clock.real_seconds(self.limits.sweep_every), self._sweep)

    def _end_due(self) -> None:
        """End what time ends: keep-alives, sessions, delayed wills."""
        now = self.time()
        for connection in [each for each in self._connections if now > each.deadline and not each.closing]:
            connection.overdue()
        moment = clock.epoch()
        self._wills.sweep(moment)
        for session in [each for each in self._sessions.values() if each.expires_at and each.expires_at <= moment]:
            self._end_session(session)
        self._presence.sweep(moment)

    def _end_session(self, session: Session) -> None:
        client_id = session.client.client_id
        for topic_filter in list(session.subscriptions):
            self.router.unsubscribe(session, topic_filter)
        if self._sessions.get(client_id) is session:
            del self._sessions[client_id]
        if session.stored:
            self._store.drop_owner(client_id)
        self._wills.release(client_id)


def _connection(link: Link) -> Connection:
    """The connection that a session is attached to: here it is never anything else."""
    return cast("Connection", link)
