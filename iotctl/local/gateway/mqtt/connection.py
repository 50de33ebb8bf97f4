"""One connection: packets in, packets out, and when it must end.

A `Connection` is an asyncio protocol, for TCP, TLS or (through `websocket`) WebSocket. It knows the rules of a
connection (order, keep-alive, aliases, limits); whom a message reaches is the broker's. Bytes leave once in a turn of
the event loop, after the store has committed: one write, one TLS record, and no PUBACK for what could be lost.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from iotctl import clock
from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.packets import (
    NO_PROPERTIES,
    V5,
    V311,
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
from iotctl.local.gateway.rates import bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.session import Principal, Session

_log = logging.getLogger(__name__)
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_HIGH_WATER = 64 * 1024
_TOO_HIGH = 256 * 1024
_TOPICS_REMEMBERED = 1024
_NO_LIMIT = 1 << 28
_LAST_WORDS = 2.0


class Connection(asyncio.Protocol):
    """A client's connection.

    Args:
        broker: whom it belongs to.
        principal: who the client has proved to be; None: a TLS connection, asked for its certificate at CONNECT.

    """

    __slots__ = (
        "_aliases",
        "_broker",
        "_decoder",
        "_explains",
        "_held",
        "_incoming",
        "_out",
        "_principal",
        "_rate",
        "_socket",
        "_transport",
        "_unacknowledged",
        "_verdicts",
        "client",
        "closing",
        "connected_at",
        "deadline",
        "keep_alive",
        "max_packet",
        "patience",
        "paused",
        "quota",
        "session",
        "version",
        "will",
    )

    def __init__(self, broker: Broker, principal: Principal | None = None) -> None:
        self._broker = broker
        self._principal = principal
        self._decoder = Decoder(broker.limits.packet)
        self._out: list[bytes] = []
        self._verdicts: dict[str, Code] = {}
        self._aliases: dict[int, str] | None = None
        self._unacknowledged = 0
        self._incoming: Iterator[Packet] = iter(())
        self._held = False
        self._explains = True
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self.version = V311
        self.client: Client | None = None
        self.session: Session | None = None
        self.will: Will | None = None
        self.closing = False
        self.paused = False
        self.quota = broker.limits.in_flight
        self.max_packet = _NO_LIMIT
        self.keep_alive = 0
        self.connected_at = 0.0
        self.patience = broker.limits.connect_within
        self.deadline = 0.0
        self._rate = bucket(broker.limits.publishes_per_second)

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there; a CONNECT must come soon."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._socket = transport.get_extra_info("socket") if _QUICKACK is not None else None
        self.deadline = self._broker.opened(self) + self.patience

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.session is not None:  # until CONNECT is complete, its deadline stands, however it drips
            self.deadline = self._broker.time() + self.patience
        self._incoming = self._decoder.packets(data)
        self._take()
        if self._socket is not None and not self._out and _QUICKACK is not None:
            # A client with Nagle's algorithm waits about 43 ms for what it sends next unless an answer acknowledges
            # what it has sent, on loopback too.
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        if self.paused and self._transport is not None and self._transport.get_write_buffer_size() > _TOO_HIGH:
            self._transport.pause_reading()

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

    def eof_received(self) -> bool:
        """The client writes no more: that is the end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        """The transport is gone."""
        self._transport = None
        self._ended(DisconnectReason.CONNECTION_LOST)
        self._broker.closed(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client has read."""
        self.paused = False
        if not self._held:
            self._resume()
        if self.session is not None:
            self.session.pump()

    # --- the session's and the broker's side

    def write(self, *parts: bytes) -> None:
        """Send bytes at the end of this turn of the event loop."""
        if not self._out:
            self._broker.touch(self)
        self._out.extend(parts)

    def hold(self) -> None:
        """Take no more packets until `release`: whom they go to is behind."""
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Go on where `hold` stopped."""
        if self._held:
            self._held = False
            self._take()
            if not self._held:
                self._resume()

    def flush(self) -> None:
        """Hand what was written to the transport; the broker's, once in a turn."""
        data = b"".join(self._out)
        self._out.clear()
        self._unacknowledged = 0
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if data:
            transport.write(data)
        if self.closing:
            transport.close()
            # A client that does not read would keep a closing transport open for good.
            asyncio.get_running_loop().call_later(_LAST_WORDS, transport.abort)

    def end(self, reason: DisconnectReason, code: Code | None = None, why: str = "") -> None:
        """End the connection: DISCONNECT with `code` (MQTT 5), then close; the session goes on without it."""
        if self.closing:
            return
        if code is not None and self.session is not None and self.version == V5:
            self._send(Disconnect(code, Properties(reason_string=why) if why else NO_PROPERTIES))
        self.closing = True
        self._broker.touch(self)
        self._ended(reason)

    def abort(self) -> None:
        """End the connection at once; nothing written in this turn leaves."""
        self._out.clear()
        self.closing = True
        self._ended(DisconnectReason.SERVER_ERROR)
        if self._transport is not None:
            self._transport.abort()

    def overdue(self) -> None:
        """The deadline has passed: no CONNECT, or nothing for one and a half times the keep-alive."""
        why = "nothing was received within one and a half times the keep-alive"
        self.end(DisconnectReason.MQTT_KEEP_ALIVE_TIMEOUT, Code.KEEP_ALIVE_TIMEOUT, why)

    def forget_decisions(self) -> None:
        """Ask again what the client may publish and receive."""
        self._verdicts.clear()
        if self.session is not None:
            self.session.forget_decisions()

    def address(self, which: str = "peername") -> tuple[str, int]:
        """The client's (`peername`) or our (`sockname`) IP address and port."""
        name = self._transport.get_extra_info(which) if self._transport is not None else None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    # --- packets

    def _publish(self, packet: Publish) -> None:
        topic, payload, qos, retain, _, packet_id, properties = packet
        session = self.session
        if session is None:
            raise MalformedPacket("PUBLISH before CONNECT", Code.PROTOCOL_ERROR)
        if qos > 1:
            raise MalformedPacket("QoS 2 is not supported", Code.QOS_NOT_SUPPORTED)
        limits = self._broker.limits
        if self._rate is not None and not self._rate.take():
            return  # "Publish requests that exceed that quota are discarded"
        if len(payload) > limits.payload:
            raise MalformedPacket(f"the payload is larger than {limits.payload} bytes", Code.PACKET_TOO_LARGE)
        expires_at = None
        if properties is not NO_PROPERTIES:
            topic = self._resolve(topic, properties.topic_alias)
            expiry = limits.message_expiry(properties.message_expiry_interval)
            if expiry is not None:
                expires_at = clock.epoch() + expiry
            properties = replace(
                properties, topic_alias=None, subscription_identifiers=(), message_expiry_interval=expiry
            )
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
        self._broker.route(Message(topic, payload, qos, retain, properties, expires_at), session)
        if qos:
            self.write(b"\x40\x02" + packet_id.to_bytes(2, "big"))

    def _resolve(self, topic: str, alias: int | None) -> str:
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
            elif payload and not broker.may_retain(topic):
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
        principal = self._principal or broker.identify(self._certificate())
        if principal is None and broker.introduce(self._certificate(), self._server_name()):
            # As on AWS: the connection on which a certificate registers itself ends without a word.
            self.closing = True
            broker.touch(self)
            return
        code = Code.NOT_AUTHORIZED if principal is None else self._connect_fault(packet)
        if principal is None or code:
            self._connack_refusal(code)
            return
        address, port = self.address()
        client_id = packet.client_id or str(uuid.uuid4())
        client = Client(client_id, principal, address, port)
        wanted = asked.session_expiry_interval or 0 if self.version == V5 else limits.session_expiry
        expiry = 0 if self.version == V311 and packet.clean_start else min(wanted, limits.session_expiry)
        if not broker.admits(client, packet.will, persistent=expiry > 0):
            self._connack_refusal(Code.NOT_AUTHORIZED)
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
        self._send(Connack(present, Code.SUCCESS, self._welcome(packet, client_id, expiry)))
        broker.attached(self.session)

    def _connect_fault(self, packet: Connect) -> Code:
        limits, will = self._broker.limits, packet.will
        if packet.properties.authentication_method is not None:
            return Code.BAD_AUTHENTICATION_METHOD
        nameless = not packet.client_id and self.version == V311 and not packet.clean_start
        if nameless or packet.client_id.startswith("$") or len(packet.client_id.encode()) > limits.client_id:
            return Code.CLIENT_IDENTIFIER_NOT_VALID
        if will is None:
            return Code.SUCCESS
        if will.qos > 1:
            return Code.QOS_NOT_SUPPORTED
        if len(will.payload) > limits.payload:
            return Code.QUOTA_EXCEEDED
        if will.retain and will.topic.startswith("$"):
            return Code.TOPIC_NAME_INVALID
        return limits.topic_fault(will.topic)

    def _connack_refusal(self, code: Code) -> None:
        self._send(Connack(False, code, self._reason(f"CONNECT refused: {code.name}")))
        self.closing = True

    def _welcome(self, packet: Connect, client_id: str, expiry: int) -> Properties:
        """What AWS says in CONNACK of what it supports."""
        if self.version != V5:
            return NO_PROPERTIES
        limits = self._broker.limits
        return Properties(
            session_expiry_interval=expiry if expiry != packet.properties.session_expiry_interval else None,
            receive_maximum=limits.in_flight,
            maximum_qos=1,
            retain_available=1,
            maximum_packet_size=limits.packet,
            assigned_client_identifier=None if packet.client_id else client_id,
            topic_alias_maximum=limits.topic_aliases,
            wildcard_subscription_available=1,
            subscription_identifiers_available=int(limits.subscription_identifiers),
            shared_subscription_available=1,
            server_keep_alive=self.keep_alive,
        )

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
                self._broker.subscribe(session, request, identifier)
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
            return Code.NOT_AUTHORIZED
        return code

    def _unsubscribe(self, packet: Unsubscribe, session: Session) -> None:
        there = [topic_filter in session.subscriptions for topic_filter in packet.topic_filters]
        for topic_filter in packet.topic_filters:
            self._broker.unsubscribe(session, topic_filter)
        session.save()
        codes = tuple(Code.SUCCESS if was else Code.NO_SUBSCRIPTION_EXISTED for was in there)
        self._send(Unsuback(packet.packet_id, codes))
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
                self._connack_refusal(error.code)
            self.closing = True
            self._broker.touch(self)
            return
        self.end(DisconnectReason.CLIENT_ERROR, error.code, str(error))

    # --- the rest

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, packet: Packet) -> None:
        self.write(encode(packet, self.version))

    def _reason(self, why: str) -> Properties:
        return Properties(reason_string=why) if self.version == V5 and self._explains else NO_PROPERTIES

    def _certificate(self) -> bytes | None:
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    def _server_name(self) -> str:
        """Whom the client asked for when it opened TLS (SNI); empty: it did not say, or it is no TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return str(getattr(tls, "server_name", ""))

    def _ended(self, reason: DisconnectReason) -> None:
        session, self.session = self.session, None
        if session is not None:
            self._broker.detach(self, session, reason)
