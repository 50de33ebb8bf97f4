"""Whom a message reaches: subscriptions, shared ones, services, and what is retained.

AWS behaviour: developer guide, pages "MQTT" and "Reserved topics".
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from iotctl import clock
from iotctl.local.gateway.mqtt.interfaces import Incoming
from iotctl.local.gateway.mqtt.limits import SHARE
from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES
from iotctl.local.gateway.mqtt.session import Subscription, aged
from iotctl.local.gateway.mqtt.shared import SharedSubscriptions
from iotctl.local.gateway.mqtt.store import Message, Retained
from iotctl.local.gateway.mqtt.trie import Trie
from iotctl.semantics.topics import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from iotctl.local.gateway.mqtt.interfaces import Authorizer, Meter
    from iotctl.local.gateway.mqtt.limits import Limits
    from iotctl.local.gateway.mqtt.packets import Properties, SubscriptionRequest
    from iotctl.local.gateway.mqtt.session import Session, Wire
    from iotctl.local.gateway.mqtt.store import SessionStore
    from iotctl.local.gateway.mqtt.turn import Turn

_log = logging.getLogger(__name__)
_PATIENCE = 0.25


class Router:
    """The subscriptions of a broker, and the way of a message through them.

    Args:
        authorizer: decides what clients may receive.
        store: where retained messages are kept.
        limits: sizes, counts, durations.
        turn: at whose end what is sent leaves.

    Attributes:
        meter: told of what clients do; None: nobody counts it.
        shared: the shared subscriptions.

    """

    def __init__(self, authorizer: Authorizer, store: SessionStore, limits: Limits, turn: Turn) -> None:
        self.meter: Meter | None = None
        self.shared = SharedSubscriptions(authorizer.receive, store, limits)
        self._authorizer = authorizer
        self._limits = limits
        self._store = store
        self._turn = turn
        self._subscriptions: Trie[Subscription] = Trie()
        self._handlers: Trie[Callable[[Incoming], None]] = Trie()
        self._retained: set[str] = set()
        self._held: dict[Session, dict[Session, None]] = {}

    def start(self) -> None:
        """Take back what the store holds."""
        self.retained_topics()

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
        return bool(self._subscriptions.match(topic) or self._handlers.match(topic) or self.shared.heard(topic))

    def publish(
        self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False, properties: Properties = NO_PROPERTIES
    ) -> None:
        """Publish as a service: no policy is asked but the receivers'."""
        expiry = properties.message_expiry_interval
        expires_at = None if expiry is None else clock.epoch() + expiry
        self.route(Message(topic, payload, qos, retain, properties, expires_at), None)

    def retained(self, topic: str) -> Retained | None:
        """The retained message of a topic, unless it has expired (iot-data:GetRetainedMessage)."""
        retained = self._store.retained(topic) if topic in self._retained else None
        if retained is None:
            return None
        expires_at = retained.message.expires_at
        return None if expires_at is not None and expires_at <= clock.epoch() else retained

    def retained_topics(self) -> list[tuple[str, int, int, float]]:
        """(topic, payload size, QoS, seconds since 1970), by topic (iot-data:ListRetainedMessages)."""
        found = self._store.retained_topics(clock.epoch())
        self._retained = {topic for topic, *_ in found}
        return found

    # --- subscriptions

    def subscribe(self, session: Session, request: SubscriptionRequest, identifier: int) -> None:
        """Add a subscription to a session, or replace the one of the same filter."""
        topic_filter = request.topic_filter
        subscription = Subscription(session, request, identifier)
        session.subscriptions[topic_filter] = subscription
        if topic_filter.startswith(SHARE):
            self.shared.join(subscription)
        else:
            self._subscriptions.add(topic_filter, session, subscription)

    def subscribed(self, session: Session, granted: Iterable[tuple[SubscriptionRequest, bool]]) -> None:
        """The SUBACK is said for some filters (True: new ones): send retained messages.

        As on AWS only a filter without wildcards brings its retained message, a shared subscription none.
        """
        for request, is_new in granted:
            topic_filter = request.topic_filter
            if topic_filter.startswith(SHARE):
                self.shared.drain(topic_filter)
            elif request.retain_handling == 0 or (request.retain_handling == 1 and is_new):
                retained = self.retained(topic_filter)
                if retained is not None and session.may_receive(topic_filter, self._authorizer.receive):
                    message = aged(retained.message)
                    identifier = session.subscriptions[topic_filter].identifier
                    identifiers = (identifier,) if identifier else ()
                    session.deliver(message, min(message.qos, request.qos), True, identifiers, {})

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        """Remove a subscription from a session, if it is there."""
        if session.subscriptions.pop(topic_filter, None) is None:
            return
        if topic_filter.startswith(SHARE):
            self.shared.leave(topic_filter, session.client.client_id)
        else:
            self._subscriptions.remove(topic_filter, session)

    # --- messages

    def may_retain(self, topic: str) -> bool:
        """Whether there is room for one more retained message."""
        return topic in self._retained or len(self._retained) < self._limits.retained_messages

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
        self.shared.route(message, wire)
        handlers = self._handlers.match(topic)
        if handlers:
            client = origin.client if origin is not None else None
            incoming = Incoming(topic, message.payload, client, message.qos, message.retain, message.properties)
            for handler in handlers:
                try:
                    handler(incoming)
                except Exception:  # noqa: BLE001 -- a service that fails must not end its caller's connection
                    _log.exception("a service failed on a message to %r", topic)
        if not self._turn.near:
            self._turn.soon()

    def answer(self, session: Session, message: Message) -> bool:
        """Send a message to the subscriptions of one session and of nobody else; False: it has none that matches."""
        held = session.subscriptions.items()
        targets = tuple(subscription for topic_filter, subscription in held if matches(topic_filter, message.topic))
        self._fan_out(targets, message, None, {})
        return bool(targets)

    def _deliver(self, subscription: Subscription, message: Message, origin: Session | None, wire: Wire) -> None:
        session, request = subscription.session, subscription.request
        if request.no_local and session is origin:
            return
        if session.may_receive(message.topic, self._authorizer.receive):
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
            asyncio.get_running_loop().call_later(_PATIENCE, self._stalled, session, held)
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
