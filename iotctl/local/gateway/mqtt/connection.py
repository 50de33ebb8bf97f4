"""One connection: what its packets mean, and when it must end.

It knows the rules of a connection (order, keep-alive, aliases, limits); its bytes are the stream's, whom a message
reaches is the router's.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from iotctl import clock
from iotctl.local.gateway.mqtt import handshake
from iotctl.local.gateway.mqtt.packets import (
    NO_PROPERTIES,
    V5,
    Code,
    Connack,
    Connect,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Suback,
    Subscribe,
    SubscriptionRequest,
    Unsuback,
    Unsubscribe,
    Will,
)
from iotctl.local.gateway.mqtt.presence import DisconnectReason
from iotctl.local.gateway.mqtt.session import Client
from iotctl.local.gateway.mqtt.store import Message
from iotctl.local.gateway.mqtt.stream import Stream
from iotctl.local.gateway.rates import bucket
from iotctl.text import sanitize

if TYPE_CHECKING:
    import asyncio

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.session import Principal, Session

log = logging.getLogger(__name__)

_TOPICS_REMEMBERED = 1024
_NO_LIMIT = 1 << 28


class Connection(Stream):
    """A client's connection.

    Args:
        broker: whom it belongs to.
        principal: who the client has proved to be; None: a TLS connection, asked for its certificate at CONNECT.

    """

    __slots__ = (
        "_aliases",
        "_broker",
        "_explains",
        "_principal",
        "_rate",
        "_unacknowledged",
        "_verdicts",
        "client",
        "connected_at",
        "deadline",
        "keep_alive",
        "max_packet",
        "patience",
        "quota",
        "session",
        "will",
    )

    def __init__(self, broker: Broker, principal: Principal | None = None) -> None:
        super().__init__(broker.turn, broker.limits.packet)
        self._broker = broker
        self._principal = principal
        self._verdicts: dict[str, Code] = {}
        self._aliases: dict[int, str] | None = None
        self._unacknowledged = 0
        self._explains = True
        self.client: Client | None = None
        self.session: Session | None = None
        self.will: Will | None = None
        self.quota = broker.limits.in_flight
        self.max_packet = _NO_LIMIT
        self.keep_alive = 0
        self.connected_at = 0.0
        self.patience = broker.limits.connect_within
        self.deadline = 0.0
        self._rate = bucket(broker.limits.publishes_per_second)

    # --- the stream's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there; a CONNECT must come soon."""
        super().connection_made(transport)
        self.deadline = self._broker.opened(self) + self.patience

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.session is not None:  # until CONNECT is complete, its deadline stands, however it drips
            self.deadline = self._broker.time() + self.patience
        super().data_received(data)

    def _take(self) -> None:
        """Take the packets that came, until the connection ends or is held."""
        try:
            for packet in self._incoming:
                if self.closing:
                    return
                kind = type(packet)
                if kind is Publish:
                    self._publish(cast("Publish", packet))
                elif kind is Puback and self.session is not None:
                    self.session.acknowledge(cast("Puback", packet).packet_id)
                else:
                    self._other(packet)
                if self._held:
                    return
        except MalformedPacket as error:
            self._malformed(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        super().connection_lost(exc)
        self._ended(DisconnectReason.CONNECTION_LOST)
        self._broker.closed(self)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self.session is not None:
            self.session.pump()

    def flush(self) -> None:
        """Hand what was written to the transport, PUBACKs with it."""
        self._unacknowledged = 0
        super().flush()

    # --- the session's and the broker's side

    def end(self, reason: DisconnectReason, code: Code | None = None, why: str = "") -> None:
        """End the connection: DISCONNECT with `code` (MQTT 5), then close; the session goes on without it."""
        if self.closing:
            return
        if why and self.session is not None:
            log.info("MQTT %r ended, %s: %s", self.session.client.client_id, reason, sanitize(why))
        if code is not None and self.session is not None and self.version == V5:
            self._send(Disconnect(code, Properties(reason_string=why) if why else NO_PROPERTIES))
        self.finish()
        self._ended(reason)

    def abort(self) -> None:
        """End the connection at once; nothing written in this turn leaves."""
        super().abort()
        self._ended(DisconnectReason.SERVER_ERROR)

    def overdue(self) -> None:
        """The deadline has passed: no CONNECT, or nothing for one and a half times the keep-alive."""
        why = "nothing was received within one and a half times the keep-alive"
        self.end(DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT, Code.KEEP_ALIVE_TIMEOUT, why)

    def forget_decisions(self) -> None:
        """Ask again what the client may publish and receive."""
        self._verdicts.clear()
        if self.session is not None:
            self.session.forget_decisions()

    # --- packets

    def _publish(self, packet: Publish) -> None:
        topic, payload, qos, retain, _, packet_id, properties = packet
        session = self.session
        if session is None:
            raise MalformedPacket("PUBLISH before CONNECT", Code.PROTOCOL_ERROR)
        if qos > 1:
            raise MalformedPacket("QoS 2 is not supported", Code.QOS_NOT_SUPPORTED)
        limits = self._broker.limits
        if len(payload) > limits.payload:
            raise MalformedPacket(f"the payload is larger than {limits.payload} bytes", Code.PACKET_TOO_LARGE)
        if properties is not NO_PROPERTIES:
            # Also of a message that is discarded: those that follow name its topic by the alias alone.
            topic = self._resolve(topic, properties)
        if self._rate is not None and not self._rate.take():
            return  # "Publish requests that exceed that quota are discarded"
        expiry = None
        if properties is not NO_PROPERTIES:
            expiry = limits.message_expiry(properties.message_expiry_interval)
            properties = replace(properties, topic_alias=None, message_expiry_interval=expiry)
        expires_at = None if expiry is None else clock.epoch() + expiry
        if qos:
            self._unacknowledged += 1
            if self._unacknowledged > limits.in_flight and self.version == V5:
                raise MalformedPacket("more than Receive Maximum are in flight", Code.RECEIVE_MAXIMUM_EXCEEDED)
        verdict = self._verdicts.get(topic) if not retain else None
        if verdict is None:
            verdict = self._judge(topic, retain, payload)
        if verdict:
            self._refuse(verdict, qos, packet_id, topic)
            return
        self._broker.router.route(Message(topic, payload, qos, retain, properties, expires_at), session)
        if qos:
            self.write(b"\x40\x02" + packet_id.to_bytes(2, "big"))

    def _resolve(self, topic: str, properties: Properties) -> str:
        if properties.subscription_identifiers:
            raise MalformedPacket("PUBLISH of a client with a subscription identifier", Code.PROTOCOL_ERROR)
        alias = properties.topic_alias
        if alias is None:
            return topic
        if alias > self._broker.limits.topic_aliases:
            raise MalformedPacket("the topic alias is larger than the maximum", Code.TOPIC_ALIAS_INVALID)
        if self._aliases is None:
            self._aliases = {}
        if topic:
            self._aliases[alias] = topic
        elif alias not in self._aliases:
            raise MalformedPacket("the topic alias is unknown", Code.PROTOCOL_ERROR)
        return self._aliases[alias]

    def _judge(self, topic: str, retain: bool, payload: bytes) -> Code:
        """Whether the client may publish to a topic, and remember it where the answer does not hang on the message."""
        broker = self._broker
        client = cast("Client", self.client)
        verdict = broker.limits.topic_fault(topic)
        if retain and not verdict:
            if topic.startswith("$"):
                verdict = Code.TOPIC_NAME_INVALID
            elif payload and not broker.router.may_retain(topic):
                verdict = Code.QUOTA_EXCEEDED
        if not verdict and not broker.authorizer.publish(client, topic, retain=retain):
            verdict = Code.NOT_AUTHORIZED
        if not retain:
            if len(self._verdicts) >= _TOPICS_REMEMBERED:
                self._verdicts.clear()
            self._verdicts[topic] = verdict
        return verdict

    def _refuse(self, code: Code, qos: int, packet_id: int, topic: str) -> None:
        """A PUBLISH is not accepted: MQTT 5 with QoS 1 hears so and goes on, else the connection ends, as on AWS."""
        if code is Code.NOT_AUTHORIZED and self.client is not None:
            self._broker.refused(self.client, topic)
        why = f"PUBLISH to {topic!r} refused: {code.name}"
        if self.version == V5 and qos:
            log.info("MQTT %r: %s", self.client.client_id if self.client else "", sanitize(why))
            self._send(Puback(packet_id, code, self._reason(why)))
        else:
            auth = code is Code.NOT_AUTHORIZED
            self.end(DisconnectReason.AUTH_ERROR if auth else DisconnectReason.CLIENT_ERROR, code, why)

    def _other(self, packet: Packet) -> None:
        if isinstance(packet, Connect):
            self._connect(packet)
        elif self.session is None:
            raise MalformedPacket("the first packet is not CONNECT", Code.PROTOCOL_ERROR)
        elif isinstance(packet, Pingreq):
            self._send(Pingresp())
        elif isinstance(packet, Subscribe):
            self._subscribe(packet, self.session)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet, self.session)
        elif isinstance(packet, Disconnect):
            self._disconnect(packet, self.session)
        else:
            raise MalformedPacket("a packet that only a server sends", Code.PROTOCOL_ERROR)

    def _connect(self, packet: Connect) -> None:
        if self.session is not None:
            raise MalformedPacket("CONNECT twice", Code.PROTOCOL_ERROR)
        broker, limits, asked = self._broker, self._broker.limits, packet.properties
        self.version = packet.version
        principal = self._principal or broker.identify(self.certificate())
        if principal is None and broker.introduce(self.certificate(), self.server_name()):
            # As on AWS: the connection on which a certificate registers itself ends without a word.
            self.finish()
            return
        code = Code.NOT_AUTHORIZED if principal is None else handshake.fault(packet, limits)
        if principal is None or code:
            why = (
                "its certificate is not ACTIVE here, or it has none"
                if principal is None
                else "its CONNECT is not allowed"
            )
            self._connack_refusal(code, packet.client_id, why)
            return
        address, port = self.address()
        client_id = packet.client_id or str(uuid.uuid4())
        client = Client(client_id, principal, address, port)
        expiry = handshake.expiry(packet, limits)
        if not broker.admits(client, packet.will, persistent=expiry > 0):
            self._connack_refusal(
                Code.NOT_AUTHORIZED, client_id, "its policies do not let it connect, or publish its will"
            )
            return
        self.client = client
        self.will = packet.will
        self._explains = asked.request_problem_information != 0
        self.quota = min(asked.receive_maximum or limits.in_flight, limits.in_flight)
        self.max_packet = asked.maximum_packet_size or _NO_LIMIT
        self.keep_alive = limits.keep_alive(packet.keep_alive)
        self.patience = 1.5 * self.keep_alive
        self.deadline = broker.time() + self.patience
        self.connected_at = clock.epoch()
        self.session, present = broker.attach(self, client, packet.clean_start, expiry)
        self._send(Connack(present, Code.SUCCESS, handshake.welcome(packet, limits, client_id, expiry)))
        broker.attached(self.session)

    def _connack_refusal(self, code: Code, client_id: str, why: str) -> None:
        log.info("MQTT %r refused, %s: %s", client_id, code.name, why)
        self._send(Connack(False, code, self._reason(f"CONNECT refused: {code.name}")))
        self.closing = True

    def _subscribe(self, packet: Subscribe, session: Session) -> None:
        limits = self._broker.limits
        if len(packet.requests) > limits.filters_per_subscribe:
            raise MalformedPacket("too many filters in one SUBSCRIBE", Code.QUOTA_EXCEEDED)
        if any(request.qos > 1 for request in packet.requests):
            raise MalformedPacket("QoS 2 is not supported", Code.QOS_NOT_SUPPORTED)
        identifiers = packet.properties.subscription_identifiers
        if identifiers and not limits.subscription_identifiers:
            why = "subscription identifiers are not supported"
            raise MalformedPacket(why, Code.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        identifier = identifiers[0] if identifiers else 0
        codes: list[int] = []
        granted: list[tuple[SubscriptionRequest, bool]] = []
        for request in packet.requests:
            code = self._subscribe_fault(request, session)
            codes.append(code or request.qos)
            if not code:
                granted.append((request, request.topic_filter not in session.subscriptions))
                self._broker.router.subscribe(session, request, identifier)
        session.save()
        self._send(Suback(packet.packet_id, tuple(codes)))
        if granted:
            self._broker.subscribed(session, granted)

    def _subscribe_fault(self, request: SubscriptionRequest, session: Session) -> Code:
        topic_filter = request.topic_filter
        code = self._broker.limits.filter_fault(topic_filter)
        full = len(session.subscriptions) >= self._broker.limits.subscriptions
        if not code and full and topic_filter not in session.subscriptions:
            return Code.QUOTA_EXCEEDED
        if not code and not self._broker.authorizer.subscribe(session.client, topic_filter):
            self._broker.refused(session.client, topic_filter)
            log.info("MQTT %r: SUBSCRIBE to %r refused: NOT_AUTHORIZED", session.client.client_id, topic_filter)
            return Code.NOT_AUTHORIZED
        return code

    def _unsubscribe(self, packet: Unsubscribe, session: Session) -> None:
        for topic_filter in packet.topic_filters:
            self._broker.router.unsubscribe(session, topic_filter)
        session.save()
        # AWS has no reason code 0x11, "no subscription existed" (developer guide, MQTT 5 reason codes), and AWS's own
        # nucleus lite hangs up on one.
        self._send(Unsuback(packet.packet_id, tuple(Code.SUCCESS for _ in packet.topic_filters)))
        self._broker.unsubscribed(session, packet.topic_filters)

    def _disconnect(self, packet: Disconnect, session: Session) -> None:
        expiry = packet.properties.session_expiry_interval
        if expiry is not None:
            if expiry and not session.expiry:
                raise MalformedPacket("a session cannot become persistent in DISCONNECT", Code.PROTOCOL_ERROR)
            session.expiry = min(expiry, self._broker.limits.session_expiry)
        if packet.code == Code.SUCCESS:
            self.will = None
        self.end(DisconnectReason.CLIENT_INITIATED_DISCONNECT)

    def _malformed(self, error: MalformedPacket) -> None:
        if self.session is None:
            # Before CONNECT there is no version to answer in, but for a CONNECT of the wrong one.
            if error.code is Code.UNSUPPORTED_PROTOCOL_VERSION:
                self._connack_refusal(error.code, "", str(error))
            self.finish()
            return
        self.end(DisconnectReason.CLIENT_ERROR, error.code, str(error))

    # --- the rest

    def _reason(self, why: str) -> Properties:
        return Properties(reason_string=why) if self.version == V5 and self._explains else NO_PROPERTIES

    def _ended(self, reason: DisconnectReason) -> None:
        session, self.session = self.session, None
        if session is not None:
            self._broker.detach(self, session, reason)
