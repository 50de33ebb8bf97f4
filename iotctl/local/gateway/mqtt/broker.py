"""The broker: who is connected, whom a message reaches, what services see and say.

It has no sockets: connections come to it (`connection.Connection`), services of the same process too (`on`, `publish`,
`deliver`). Everything runs on one event loop. AWS behaviour: developer guide, pages "MQTT", "Reserved topics",
"Lifecycle events", "Publish/Subscribe policy examples".
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from iotctl import clock
from iotctl.local.gateway.mqtt.limits import SHARE, Limits
from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, Code, Properties, SubscriptionRequest, Will
from iotctl.local.gateway.mqtt.presence import DisconnectReason, Presence
from iotctl.local.gateway.mqtt.session import Client, Principal, Session, Subscription, Wire, aged, forwarded
from iotctl.local.gateway.mqtt.shared import SharedSubscriptions
from iotctl.local.gateway.mqtt.store import Backlog, Message, Retained, SessionStore
from iotctl.local.gateway.mqtt.trie import Trie
from iotctl.semantics.topics import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from iotctl.local.gateway.mqtt.connection import Connection
    from iotctl.local.gateway.mqtt.session import Link

_log = logging.getLogger(__name__)
_PATIENCE = 0.25


class Authorizer(Protocol):
    """What clients may do: the IoT policies. Answers are remembered until `Broker.policies_changed`."""

    def connect(self, client: Client, *, will: str, persistent: bool) -> bool:
        """iot:Connect, with what the conditions of a policy may ask for; `will`: its topic, empty: none."""

    def publish(self, client: Client, topic: str, *, retain: bool) -> bool:
        """iot:Publish, and iot:RetainPublish where the message is to be retained."""

    def subscribe(self, client: Client, topic_filter: str) -> bool:
        """iot:Subscribe; a shared subscription comes whole, `$share/NAME/FILTER`."""

    def receive(self, client: Client, topic: str) -> bool:
        """iot:Receive, asked for each topic that a message comes from."""


class Principals(Protocol):
    """The certificates."""

    def active(self, certificate_id: str, certificate: bytes) -> bool:
        """Whether a certificate (its id, its DER) is registered and ACTIVE."""

    def introduce(self, certificate: bytes, server_name: str) -> bool:
        """Look at a certificate (DER) that is not active; True: it will be, and its device should come again.

        Args:
            certificate: what the client showed.
            server_name: whom the client asked for in TLS (SNI); empty: it did not say.

        """


class Meter(Protocol):
    """Whoever counts what clients do; it is told, and changes nothing."""

    def attempted(self, client: Client) -> None:
        """A client with a known certificate wants to connect."""

    def ended(self, client: Client) -> None:
        """A connection ended."""

    def sent(self, client: Client, topic: str, size: int) -> None:
        """A client published a message, of so many bytes."""

    def received(self, client: Client, topic: str) -> None:
        """A message went to a client."""

    def refused(self, client: Client, topic: str) -> None:
        """A policy does not allow what a client asked for: on a topic or filter, empty where it was to connect."""


class Incoming(NamedTuple):
    """A published message as a service sees it; `client` None: a service published it."""

    topic: str
    payload: bytes
    client: Client | None
    qos: int
    retain: bool
    properties: Properties


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


@dataclass(frozen=True, slots=True)
class _PendingWill:
    """A will that waits for its delay."""

    due: float
    client: Client
    will: Will


class Broker:
    """An MQTT broker as AWS IoT Core is one.

    Args:
        authorizer: decides what clients may do.
        principals: knows which certificates are active.
        store: where sessions and retained messages are kept.
        limits: sizes, counts, durations.
        thing_of: the thing that a principal is exclusively attached to: lifecycle events name it.

    Attributes:
        before_commit: called at the end of each turn of the event loop, before anything is committed and sent: when
            services do what was asked of them. Where it raises sqlite3.Error, nothing is sent.
        meter: told of what clients do; None: nobody counts it.

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
        self._presence = Presence(self.publish, thing_of)
        self._connections: set[Connection] = set()
        self._by_principal: dict[str, set[Connection]] = {}
        self._sessions: dict[str, Session] = {}
        self._subscriptions: Trie[Subscription] = Trie()
        self._shared = SharedSubscriptions(authorizer.receive, store, self.limits)
        self._handlers: Trie[Callable[[Incoming], None]] = Trie()
        self._retained: set[str] = set()
        self._wills: dict[str, _PendingWill] = {}
        self._held: dict[Session, dict[Session, None]] = {}
        self._touched: list[Connection] = []
        self._turn_is_near = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.before_commit: Callable[[], None] = lambda: None
        self.meter: Meter | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    # --- its life

    def start(self) -> None:
        """Take back what the store holds and begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        backlogs = self._store.backlogs()
        self._retained = {topic for topic, *_ in self._store.retained_topics()}
        now = clock.epoch()
        for kept in list(self._store.sessions()):
            client = Client(kept.client_id, Principal(kept.principal, kept.certificate))
            backlog = backlogs.get(kept.client_id, Backlog())
            session = Session(client, kept.version, kept.expiry, self.limits, self._store, backlog)
            session.expires_at = now + kept.expiry if kept.expires_at is None else kept.expires_at
            session.stored = True
            self._sessions[kept.client_id] = session
            for request, identifier in kept.subscriptions:
                self.subscribe(session, request, identifier)
            session.save()
        for owner in backlogs.keys() - self._sessions.keys():
            if not self._shared.restore(owner, backlogs[owner]):
                self._store.drop_owner(owner)
        self._sweep()

    def stop(self) -> None:
        """Say goodbye to every client, commit, and end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.end(DisconnectReason.SERVER_INITIATED_DISCONNECT, Code.SERVER_SHUTTING_DOWN)
        self._turn()

    # --- services of the same process

    def on(self, topic_filter: str, handler: Callable[[Incoming], None]) -> Callable[[], None]:
        """Call a handler with each message that matches a filter; what comes back undoes it.

        It is called after the message was sent to subscribers, in the publisher's turn, before the PUBACK leaves.
        """
        key = object()
        self._handlers.add(topic_filter, key, handler)
        return lambda: self._handlers.remove(topic_filter, key)

    def heard(self, topic: str) -> bool:
        """Whether a service or a subscription would get a message of a topic."""
        return bool(self._subscriptions.match(topic) or self._handlers.match(topic) or self._shared.heard(topic))

    def publish(
        self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False, properties: Properties = NO_PROPERTIES
    ) -> None:
        """Publish as a service: no policy is asked but the receivers'."""
        expiry = properties.message_expiry_interval
        expires_at = None if expiry is None else clock.epoch() + expiry
        self.route(Message(topic, payload, qos, retain, properties, expires_at), None)

    def deliver(
        self, client_id: str, topic: str, payload: bytes, qos: int = 0, properties: Properties = NO_PROPERTIES
    ) -> bool:
        """Send a message to one connected client, subscribed or not; False: it is not connected."""
        session = self._sessions.get(client_id)
        if session is None or session.link is None:
            return False
        session.deliver(Message(topic, payload, qos, properties=properties), qos, False, (), {})
        if self.meter is not None:
            self.meter.received(session.client, topic)
        return True

    def answer(self, client_id: str, topic: str, payload: bytes) -> bool:
        """Publish to the subscriptions of one client and of nobody else; False: it has none that matches."""
        session = self._sessions.get(client_id)
        held = session.subscriptions.items() if session is not None else ()
        targets = tuple(subscription for topic_filter, subscription in held if matches(topic_filter, topic))
        self._fan_out(targets, Message(topic, payload, 1), None, {})
        return bool(targets)

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

    def retained(self, topic: str) -> Retained | None:
        """The retained message of a topic, unless it has expired (iot-data:GetRetainedMessage)."""
        retained = self._store.retained(topic) if topic in self._retained else None
        if retained is None:
            return None
        expires_at = retained.message.expires_at
        return None if expires_at is not None and expires_at <= clock.epoch() else retained

    def retained_topics(self) -> list[tuple[str, int, int, float]]:
        """(topic, payload size, QoS, seconds since 1970), by topic (iot-data:ListRetainedMessages)."""
        return self._store.retained_topics()

    def settle(self) -> None:
        """Commit and send what was published, now rather than at the end of the turn; not for use in a handler.

        Raises:
            sqlite3.Error: it cannot be committed, and the connections that waited for it are dropped.

        """
        self._turn_is_near = False
        try:
            self.before_commit()
            self._store.commit()
        except sqlite3.Error:
            for connection in self._take_touched():
                connection.abort()
            raise
        for connection in self._take_touched():
            connection.flush()

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

    def touch(self, connection: Connection) -> None:
        """A connection has something to send at the end of this turn."""
        self._touched.append(connection)
        if not self._turn_is_near:
            self._soon()

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
        if self.meter is not None:
            self.meter.attempted(client)
        allowed = self.authorizer.connect(client, will=will.topic if will else "", persistent=persistent)
        if allowed and will is not None:
            allowed = self.authorizer.publish(client, will.topic, retain=will.retain)
        if not allowed:
            self.refused(client, "")
            self._presence.connect_failed(client)
        return allowed

    def refused(self, client: Client, topic: str) -> None:
        """A policy does not allow what a client asked for; `topic` empty: to connect."""
        if self.meter is not None:
            self.meter.refused(client, topic)

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
        self._wills.pop(client_id, None)
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
                self._shared.drain(topic_filter)

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
        if self.meter is not None:
            self.meter.ended(client)
        will, connection.will = connection.will, None
        if will is not None:
            delay = min(will.properties.will_delay_interval or 0, session.expiry)
            pending = _PendingWill(clock.epoch() + delay, client, will)
            if delay:
                self._wills[client.client_id] = pending
            else:
                self._publish_will(pending)
        if not session.expiry:
            self._end_session(session)
        for delivery in lost:
            self._shared.again(delivery.group, delivery.message)

    # --- subscriptions

    def subscribe(self, session: Session, request: SubscriptionRequest, identifier: int) -> None:
        """Add a subscription to a session, or replace the one of the same filter."""
        topic_filter = request.topic_filter
        subscription = Subscription(session, request, identifier)
        session.subscriptions[topic_filter] = subscription
        if topic_filter.startswith(SHARE):
            self._shared.join(subscription)
        else:
            self._subscriptions.add(topic_filter, session, subscription)

    def subscribed(self, session: Session, granted: Iterable[tuple[SubscriptionRequest, bool]]) -> None:
        """The SUBACK is said for some filters (True: new ones): send retained messages, tell who listens.

        As on AWS only a filter without wildcards brings its retained message, a shared subscription none.
        """
        filters = [request.topic_filter for request, _ in granted]
        for request, is_new in granted:
            topic_filter = request.topic_filter
            if topic_filter.startswith(SHARE):
                self._shared.drain(topic_filter)
            elif request.retain_handling == 0 or (request.retain_handling == 1 and is_new):
                retained = self.retained(topic_filter)
                if retained is not None and session.may_receive(topic_filter, self.authorizer.receive):
                    message = aged(retained.message)
                    identifier = session.subscriptions[topic_filter].identifier
                    identifiers = (identifier,) if identifier else ()
                    session.deliver(message, min(message.qos, request.qos), True, identifiers, {})
        self._presence.subscribed(session.client, filters)

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        """Remove a subscription from a session, if it is there."""
        if session.subscriptions.pop(topic_filter, None) is None:
            return
        if topic_filter.startswith(SHARE):
            self._shared.leave(topic_filter, session.client.client_id)
        else:
            self._subscriptions.remove(topic_filter, session)

    def unsubscribed(self, session: Session, topic_filters: Iterable[str]) -> None:
        """The UNSUBACK is said: tell who listens."""
        self._presence.unsubscribed(session.client, topic_filters)

    # --- messages

    def may_retain(self, topic: str) -> bool:
        """Whether there is room for one more retained message."""
        return topic in self._retained or len(self._retained) < self.limits.retained_messages

    def route(self, message: Message, origin: Session | None) -> None:
        """Send a message to whom it concerns; `origin`: the session that published it, None: a service."""
        topic = message.topic
        if self.meter is not None and origin is not None:
            self.meter.sent(origin.client, topic, len(message.payload))
        if message.retain:
            self._retain(message)
        wire: Wire = {}
        targets = self._subscriptions.match(topic)
        if len(targets) == 1:
            self._deliver(targets[0], message, origin, wire)
        elif targets:
            self._fan_out(targets, message, origin, wire)
        self._shared.route(message, wire)
        handlers = self._handlers.match(topic)
        if handlers:
            client = origin.client if origin is not None else None
            incoming = Incoming(topic, message.payload, client, message.qos, message.retain, message.properties)
            for handler in handlers:
                try:
                    handler(incoming)
                except Exception:  # noqa: BLE001 -- a service that fails must not end its caller's connection
                    _log.exception("a service failed on a message to %r", topic)
        if not self._turn_is_near:
            self._soon()

    def _deliver(self, subscription: Subscription, message: Message, origin: Session | None, wire: Wire) -> None:
        session, request = subscription.session, subscription.request
        if request.no_local and session is origin:
            return
        if session.may_receive(message.topic, self.authorizer.receive):
            identifiers = (subscription.identifier,) if subscription.identifier else ()
            retain = message.retain and request.retain_as_published
            session.deliver(message, min(message.qos, request.qos), retain, identifiers, wire)
            if self.meter is not None:
                self.meter.received(session.client, message.topic)
            if origin is not None and origin is not session and session.congested:
                self._hold(origin, session)

    def _hold(self, origin: Session, session: Session) -> None:
        """Let a publisher wait for a reader that is behind, but for one that does not catch up only a moment."""
        held = self._held.get(session)
        if held is None:
            held = self._held[session] = {}
            session.on_relief(lambda: self._release(session))
            if self._loop is not None:
                self._loop.call_later(_PATIENCE, self._stalled, session, held)
        held[origin] = None
        if origin.link is not None:
            origin.link.hold()

    def _release(self, session: Session) -> None:
        for origin in self._held.pop(session, ()):
            if origin.link is not None:
                origin.link.release()

    def _stalled(self, session: Session, held: dict[Session, None]) -> None:
        if self._held.get(session) is held:
            session.stalled = True
            self._release(session)

    def _fan_out(self, targets: tuple[Subscription, ...], message: Message, origin: Session | None, wire: Wire) -> None:
        """Deliver to each session once, though several of its filters match, at the highest QoS of these."""
        best: dict[Session, Subscription] = {}
        for subscription in targets:
            request = subscription.request
            if request.no_local and subscription.session is origin:
                continue
            other = best.get(subscription.session)
            if other is None or other.request.qos < request.qos:
                best[subscription.session] = subscription
        for subscription in best.values():
            self._deliver(subscription, message, origin, wire)

    def _retain(self, message: Message) -> None:
        if message.payload:
            self._retained.add(message.topic)
            self._store.save_retained(message.topic, Retained(message, clock.epoch()))
        elif message.topic in self._retained:
            self._retained.discard(message.topic)
            self._store.save_retained(message.topic, None)

    def _publish_will(self, pending: _PendingWill) -> None:
        will, client = pending.will, pending.client
        if self.authorizer.publish(client, will.topic, retain=will.retain):
            expiry = self.limits.message_expiry(will.properties.message_expiry_interval)
            expires_at = None if expiry is None else clock.epoch() + expiry
            properties = forwarded(will.properties, expiry)
            message = Message(will.topic, will.payload, will.qos, will.retain, properties, expires_at)
            self.route(message, self._sessions.get(client.client_id))

    # --- time

    def _soon(self) -> None:
        if self._loop is not None:
            self._turn_is_near = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """End a turn of the event loop."""
        try:
            self.settle()
        except sqlite3.Error:
            _log.exception("the store cannot commit: the connections that waited for it were dropped")

    def _take_touched(self) -> list[Connection]:
        touched, self._touched = self._touched, []
        return touched

    def _sweep(self) -> None:
        """Look at everything that time ends: keep-alives, sessions, delayed wills."""
        now = self.time()
        for connection in [each for each in self._connections if now > each.deadline and not each.closing]:
            connection.overdue()
        moment = clock.epoch()
        for pending in [each for each in self._wills.values() if each.due <= moment]:
            del self._wills[pending.client.client_id]
            self._publish_will(pending)
        for session in [each for each in self._sessions.values() if each.expires_at and each.expires_at <= moment]:
            self._end_session(session)
        self._presence.sweep(moment)
        if self._loop is not None:
            self._sweeper = self._loop.call_later(clock.real_seconds(self.limits.sweep_every), self._sweep)

    def _end_session(self, session: Session) -> None:
        client_id = session.client.client_id
        for topic_filter in list(session.subscriptions):
            self.unsubscribe(session, topic_filter)
        if self._sessions.get(client_id) is session:
            del self._sessions[client_id]
        if session.stored:
            self._store.drop_owner(client_id)
        pending = self._wills.pop(client_id, None)
        if pending is not None:
            self._publish_will(pending)


def _connection(link: Link) -> Connection:
    """The connection that a session is attached to: here it is never anything else."""
    return cast("Connection", link)
