"""The state of one client's session: subscriptions, what is in flight, what waits.

A session is persistent while its expiry is not 0. Each message of QoS 1 for a persistent session is kept in the store
from its arrival until the client's PUBACK, so nothing of it is lost with the process; in memory it is only while the
client is connected. A message that is sent again after a reconnect has a new packet identifier and no DUP flag, as on
AWS (developer guide, "AWS IoT differences from MQTT specifications").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from iotctl import clock
from iotctl.local.gateway.mqtt.codec import publish_parts
from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, V5, Properties, SubscriptionRequest
from iotctl.local.gateway.mqtt.store import Backlog, Message, SessionStore, Stored, StoredSession
from iotctl.local.gateway.rates import bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.limits import Limits

_TOPICS_REMEMBERED = 4096
_LAST_PACKET_ID = 65_535
_CONGESTED = 10  # a tenth of what may wait


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a client has proved to be: a certificate (its id: sha256 of the DER), or an access key (its id)."""

    identity: str
    certificate: bool = True


@dataclass(frozen=True, slots=True)
class Client:
    """A client as the authorizer and the services see it."""

    client_id: str
    principal: Principal
    address: str = ""
    port: int = 0


class Link(Protocol):
    """What a session needs of the connection that carries it."""

    version: int
    paused: bool
    max_packet: int
    quota: int

    def write(self, *parts: bytes) -> None:
        """Send bytes at the end of this turn of the event loop."""

    def hold(self) -> None:
        """Take no more packets until `release`."""

    def release(self) -> None:
        """Go on taking packets."""


class Delivery(NamedTuple):
    """A message of QoS 1 on its way to one session; `number` is the store's (0: not stored), `group` its share."""

    message: Message
    retain: bool
    identifiers: tuple[int, ...]
    number: int
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One filter of one session; `identifier` 0: none."""

    session: Session
    request: SubscriptionRequest
    identifier: int = 0


# The two halves of a PUBLISH by (version, QoS, retain): one encoding serves all receivers of a message.
Wire = dict[tuple[int, int, bool], tuple[bytes, bytes]]


class Session:
    """One client's session, connected (`link`) or not."""

    __slots__ = (
        "_in_flight",
        "_limits",
        "_next_packet_id",
        "_number",
        "_on_relief",
        "_queue",
        "_rate",
        "_receives",
        "_store",
        "_waiting",
        "_waiting_size",
        "client",
        "dropped",
        "expires_at",
        "expiry",
        "link",
        "stalled",
        "stored",
        "subscriptions",
        "version",
    )

    def __init__(
        self, client: Client, version: int, expiry: int, limits: Limits, store: SessionStore, backlog: Backlog
    ) -> None:
        self.client = client
        self.version = version
        self.expiry = expiry
        self._rate = bucket(limits.publishes_per_second)
        self.expires_at: float | None = None
        self.link: Link | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.stored = False
        self.stalled = False
        self.dropped = 0
        self._limits = limits
        self._store = store
        self._in_flight: dict[int, Delivery] = {}
        self._queue: deque[Delivery] | None = None
        self._next_packet_id = 0
        self._number = backlog.last
        self._waiting = backlog.messages
        self._waiting_size = backlog.size
        self._receives: dict[str, bool] = {}
        self._on_relief: Callable[[], None] | None = None

    @property
    def congested(self) -> bool:
        """Whether its publishers should wait: much waits for a client that is connected and was quick enough so far."""
        limits = self._limits
        many = self._waiting * _CONGESTED > limits.queued_messages or self._waiting_size * 2 > limits.queued_bytes
        return many and self.link is not None and not self.stalled

    def on_relief(self, then: Callable[[], None]) -> None:
        """Call `then` once when half of what made the session congested is sent, or the client gone."""
        self._on_relief = then

    def may_receive(self, topic: str, ask: Callable[[Client, str], bool]) -> bool:
        """Whether the client's policy lets it receive a topic, asked once while it is connected."""
        if self.link is None:
            return ask(self.client, topic)
        allowed = self._receives.get(topic)
        if allowed is None:
            if len(self._receives) >= _TOPICS_REMEMBERED:
                self._receives.clear()
            allowed = self._receives[topic] = ask(self.client, topic)
        return allowed

    def forget_decisions(self) -> None:
        """Ask again what the client may receive."""
        self._receives.clear()

    def deliver(
        self, message: Message, qos: int, retain: bool, identifiers: tuple[int, ...], wire: Wire, group: str = ""
    ) -> None:
        """Send a message, or keep it: QoS 0 only to who reads it now, QoS 1 within the session's limits."""
        link = self.link
        if not qos:
            if link is None or link.paused or (self._rate is not None and not self._rate.take()):
                self.dropped += 1
            else:
                self._write(link, message, 0, retain, identifiers, wire)
            return
        if link is None and not self.expiry:
            return
        size = len(message.payload)
        limits = self._limits
        if self._waiting >= limits.queued_messages or self._waiting_size + size > limits.queued_bytes:
            self.dropped += 1
            return
        self._waiting += 1
        self._waiting_size += size
        number = 0
        if self.expiry:
            number = self._number = self._number + 1
            kept = message if message.retain is retain else message._replace(retain=retain)
            self._store.save_message(self.client.client_id, Stored(number, kept, identifiers))
        if link is None:
            return
        delivery = Delivery(message, retain, identifiers, number, group)
        if link.paused or self._queue or len(self._in_flight) >= link.quota:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(delivery)
        else:
            self._send(link, delivery, wire)

    def acknowledge(self, packet_id: int) -> None:
        """The client has a message; one that waits may go. An unknown identifier means nothing."""
        delivery = self._in_flight.pop(packet_id, None)
        if delivery is not None:
            self._settle(delivery)
            if self._queue:
                self.pump()
            if (self._on_relief or self.stalled) and self._waiting * _CONGESTED * 2 < self._limits.queued_messages:
                self._relieve()

    def pump(self) -> None:
        """Send what waits, as far as the client takes it."""
        link, queue = self.link, self._queue
        while queue and link is not None and not link.paused and len(self._in_flight) < link.quota:
            delivery = queue.popleft()
            message = delivery.message
            if message.expires_at is None:
                self._send(link, delivery, {})
                continue
            if message.expires_at <= clock.epoch():
                self._settle(delivery)
            else:
                self._send(link, delivery._replace(message=aged(message)), {})

    def attach(self, link: Link, may_receive: Callable[[str], bool]) -> None:
        """The client is connected: what the store holds for it waits to be sent, but for what it may not receive."""
        self.link = link
        self.expires_at = None
        if not self._waiting:
            return
        self._queue = deque()
        for number, message, identifiers in self._store.messages(self.client.client_id):
            delivery = Delivery(message, message.retain, identifiers, number, "")
            if may_receive(message.topic):
                self._queue.append(delivery)
            else:
                self._settle(delivery)

    def detach(self) -> list[Delivery]:
        """The client is gone; what it has not acknowledged and nobody stored."""
        lost = [delivery for delivery in (*self._in_flight.values(), *(self._queue or ())) if not delivery.number]
        for delivery in lost:
            self._settle(delivery)
        self.link = None
        self._in_flight = {}
        self._queue = None
        self._relieve()
        return lost

    def save(self) -> None:
        """Note a persistent session in the store."""
        if self.expiry:
            self.stored = True
            principal = self.client.principal
            subscriptions = tuple((each.request, each.identifier) for each in self.subscriptions.values())
            self._store.save_session(
                StoredSession(
                    self.client.client_id,
                    self.version,
                    self.expiry,
                    self.expires_at,
                    principal.identity,
                    principal.certificate,
                    subscriptions,
                )
            )

    def _relieve(self) -> None:
        self.stalled = False
        then, self._on_relief = self._on_relief, None
        if then is not None:
            then()

    def _settle(self, delivery: Delivery) -> None:
        self._waiting -= 1
        self._waiting_size -= len(delivery.message.payload)
        if delivery.number:
            self._store.drop_message(self.client.client_id, delivery.number)

    def _send(self, link: Link, delivery: Delivery, wire: Wire) -> None:
        packet_id = self._next_packet_id
        while True:
            packet_id = packet_id + 1 if packet_id < _LAST_PACKET_ID else 1
            if packet_id not in self._in_flight:
                break
        self._next_packet_id = packet_id
        if self._write(link, delivery.message, packet_id, delivery.retain, delivery.identifiers, wire):
            self._in_flight[packet_id] = delivery
        else:
            self._settle(delivery)

    def _write(
        self,
        link: Link,
        message: Message,
        packet_id: int,
        retain: bool,
        identifiers: tuple[int, ...],
        wire: Wire,
    ) -> bool:
        """Write a PUBLISH (QoS 0: packet id 0); False where it is larger than what the client takes."""
        qos = 1 if packet_id else 0
        version = link.version
        if identifiers and version == V5:
            properties = replace(message.properties, subscription_identifiers=identifiers)
            head, tail = publish_parts(message.topic, message.payload, qos, retain, properties, version)
        else:
            key = (version, qos, retain)
            parts = wire.get(key)
            if parts is None:
                parts = publish_parts(message.topic, message.payload, qos, retain, message.properties, version)
                wire[key] = parts
            head, tail = parts
        if len(head) + len(tail) + 2 * qos > link.max_packet:
            self.dropped += 1
            return False
        if packet_id:
            link.write(head, packet_id.to_bytes(2, "big"), tail)
        else:
            link.write(head, tail)
        return True


def aged(message: Message) -> Message:
    """A message that has waited, with what is left of its expiry."""
    if message.expires_at is None:
        return message
    return message._replace(properties=forwarded(message.properties, int(message.expires_at - clock.epoch())))


def forwarded(properties: Properties, expiry: int | None) -> Properties:
    """The properties of a message as it goes on to subscribers."""
    if properties is NO_PROPERTIES:
        return properties
    return Properties(
        payload_format_indicator=properties.payload_format_indicator,
        message_expiry_interval=expiry,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        user_properties=properties.user_properties,
    )
