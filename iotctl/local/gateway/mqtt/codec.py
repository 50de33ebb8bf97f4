"""Bytes to MQTT packets and back: MQTT 3.1.1 and 5.0, strict, pure.

`Decoder` takes bytes as they arrive and yields packets. Whatever the bytes are, it yields packets or raises
`MalformedPacket`; a packet larger than allowed is refused as soon as its length is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl.local.gateway.mqtt import properties as p
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOPICS_REMEMBERED = 64
_SHARE = "$share/"
# The return codes of CONNACK in 3.1.1 (section 3.2.2.3); what it has no word for is "not authorized".
_RETURN_CODES = {
    Code.SUCCESS: 0,
    Code.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Code.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Code.SERVER_UNAVAILABLE: 3,
    Code.NOT_AUTHORIZED: 5,
}
_REASONS = {number: code for code, number in _RETURN_CODES.items()} | {4: Code.NOT_AUTHORIZED}
_FAILURE = 0x80


class Decoder:
    """An incremental decoder of one direction of one connection.

    Args:
        max_packet: the largest packet taken, in bytes, fixed header included.
        version: what the connection speaks; learnt from CONNECT where it is not given.

    """

    __slots__ = ("_max_packet", "_needed", "_rest", "_topics", "version")

    def __init__(self, max_packet: int, version: int = V311) -> None:
        self.version = version
        self._max_packet = max_packet
        self._rest = bytearray()
        self._needed = 2
        self._topics: dict[bytes, str] = {}

    def packets(self, data: bytes) -> Iterator[Packet]:
        """The packets that these bytes complete; raises MalformedPacket after the last good one."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        position, end, needed = 0, len(data), 2
        while end - position >= 2:
            length = data[position + 1]
            start = position + 2
            if length & 0x80:
                header = _long_length(data, position + 1, end)
                if header is None:
                    needed = end - position + 1
                    break
                length, start = header
            stop = start + length
            if stop - position > self._max_packet:
                raise MalformedPacket("the packet is too large", Code.PACKET_TOO_LARGE)
            if stop > end:
                needed = stop - position
                break
            kind = data[position]
            position = stop
            if kind & 0xF0 == 0x30:
                yield self._publish(kind & 0x0F, data, start, stop)
            else:
                yield self._packet(kind, data, start, stop)
        if position < end:
            self._rest += data[position:]
            self._needed = needed

    def _packet(self, kind: int, data: bytes, start: int, stop: int) -> Packet:
        parse, flags = _PARSERS.get(kind >> 4, (None, 0))
        if parse is None:
            raise MalformedPacket(f"packet type {kind >> 4} is not spoken here", Code.PROTOCOL_ERROR)
        if kind & 0x0F != flags:
            raise MalformedPacket("the flags of the fixed header are not those of its packet")
        packet, position = parse(data, start, stop, self.version)
        if position != stop:
            raise MalformedPacket("a packet is longer than what it says")
        if type(packet) is Connect:
            self.version = packet.version
        return packet

    def _publish(self, flags: int, data: bytes, start: int, stop: int) -> Publish:
        qos = flags >> 1 & 3
        if qos == 3 or (flags & 8 and not qos):
            raise MalformedPacket("PUBLISH with QoS 3, or DUP with QoS 0")
        raw, position = p.read_binary(data, start, stop)
        topic = self._topics.get(raw)
        if topic is None:
            topic = self._topic(raw)
        packet_id = 0
        if qos:
            packet_id, position = _packet_id(data, position, stop)
        properties = NO_PROPERTIES
        if self.version == V5:
            if position < stop and data[position] == 0:
                position += 1
            else:
                properties, position = p.read_properties(data, position, stop, p.PUBLISH)
        if not topic and properties.topic_alias is None:
            raise MalformedPacket("PUBLISH without a topic", Code.PROTOCOL_ERROR)
        return Publish(topic, data[position:stop], qos, bool(flags & 1), bool(flags & 8), packet_id, properties)

    def _topic(self, raw: bytes) -> str:
        topic = p.text(raw)
        if "+" in topic or "#" in topic:
            raise MalformedPacket("a topic holds a wildcard", Code.TOPIC_NAME_INVALID)
        if len(self._topics) >= _TOPICS_REMEMBERED:
            self._topics.clear()
        self._topics[raw] = topic
        return topic


def encode(packet: Packet, version: int) -> bytes:
    """The bytes of a packet in a version of the protocol (`V311` or `V5`)."""
    if isinstance(packet, Publish):
        head, tail = publish_parts(packet.topic, packet.payload, packet.qos, packet.retain, packet.properties, version)
        packet_id = packet.packet_id.to_bytes(2, "big") if packet.qos else b""
        return bytes((head[0] | packet.dup << 3,)) + head[1:] + packet_id + tail
    first, write = _WRITERS[type(packet)]
    body = write(packet, version)
    return bytes((first,)) + p.write_varint(len(body)) + body


def publish_parts(
    topic: str, payload: bytes, qos: int, retain: bool, properties: Properties, version: int
) -> tuple[bytes, bytes]:
    """A PUBLISH before and after its packet identifier, so that one encoding serves many receivers."""
    name = topic.encode()
    tail = p.write_properties(properties) + payload if version == V5 else payload
    length = 2 + len(name) + (2 if qos else 0) + len(tail)
    return bytes((0x30 | qos << 1 | retain,)) + p.write_varint(length) + p.write_binary(name), tail


def check_filter(topic_filter: str) -> None:
    """Raises MalformedPacket where a topic filter is not one (MQTT 5.0, sections 4.7.1 and 4.8.2)."""
    levels = topic_filter.split("/")
    if not topic_filter:
        raise MalformedPacket("a topic filter is empty")
    if topic_filter.startswith(_SHARE):
        share, *levels = levels[1:]
        if not share or "+" in share or "#" in share or not levels or levels == [""]:
            raise MalformedPacket("a shared subscription is not $share/NAME/FILTER")
    for place, level in enumerate(levels, 1):
        if ("#" in level and (level != "#" or place != len(levels))) or ("+" in level and level != "+"):
            raise MalformedPacket("a wildcard stands where none may")


def _long_length(data: bytes, position: int, end: int) -> tuple[int, int] | None:
    """A remaining length of several bytes and the position after it; None: not all of it is there yet."""
    if end - position < 4 and all(byte & 0x80 for byte in data[position:end]):
        return None
    return p.read_varint(data, position, end)


def _packet_id(data: bytes, position: int, stop: int) -> tuple[int, int]:
    packet_id, position = p.read_integer(data, position, stop, 2)
    if not packet_id:
        raise MalformedPacket("the packet identifier is 0")
    return packet_id, position


def _optional_properties(data: bytes, position: int, stop: int, packet: int) -> tuple[Properties, int]:
    return (NO_PROPERTIES, position) if position == stop else p.read_properties(data, position, stop, packet)


def _connect(data: bytes, position: int, stop: int, _: int) -> tuple[Connect, int]:
    protocol, position = p.read_binary(data, position, stop)
    version, position = p.read_integer(data, position, stop, 1)
    if protocol != b"MQTT" or version not in {V311, V5}:
        raise MalformedPacket("neither MQTT 3.1.1 nor 5.0", Code.UNSUPPORTED_PROTOCOL_VERSION)
    flags, position = p.read_integer(data, position, stop, 1)
    keep_alive, position = p.read_integer(data, position, stop, 2)
    will_flag, will_qos = flags & 4, flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not will_flag and flags & 0x38):
        raise MalformedPacket("the flags of CONNECT contradict each other")
    if version == V311 and flags & 0x40 and not flags & 0x80:
        raise MalformedPacket("a password without a user name")
    properties = NO_PROPERTIES
    if version == V5:
        properties, position = p.read_properties(data, position, stop, p.CONNECT)
    client_id, position = p.read_text(data, position, stop)
    will = None
    if will_flag:
        will_properties = NO_PROPERTIES
        if version == V5:
            will_properties, position = p.read_properties(data, position, stop, p.WILL)
        topic, position = p.read_text(data, position, stop)
        payload, position = p.read_binary(data, position, stop)
        if not topic or "+" in topic or "#" in topic:
            raise MalformedPacket("the topic of the will is not a topic", Code.TOPIC_NAME_INVALID)
        will = Will(topic, payload, will_qos, bool(flags & 0x20), will_properties)
    username, password = None, None
    if flags & 0x80:
        username, position = p.read_text(data, position, stop)
    if flags & 0x40:
        password, position = p.read_binary(data, position, stop)
    return Connect(version, client_id, bool(flags & 2), keep_alive, will, username, password, properties), position


def _connack(data: bytes, position: int, stop: int, version: int) -> tuple[Connack, int]:
    flags, position = p.read_integer(data, position, stop, 1)
    code, position = p.read_integer(data, position, stop, 1)
    if flags > 1:
        raise MalformedPacket("the flags of CONNACK are reserved")
    if version != V5:
        if code not in _REASONS:
            raise MalformedPacket("an unknown return code")
        return Connack(bool(flags), _REASONS[code]), position
    properties, position = p.read_properties(data, position, stop, p.CONNACK)
    return Connack(bool(flags), code, properties), position


def _puback(data: bytes, position: int, stop: int, version: int) -> tuple[Puback, int]:
    packet_id, position = _packet_id(data, position, stop)
    if position == stop or version != V5:
        return Puback(packet_id), position
    code, position = p.read_integer(data, position, stop, 1)
    properties, position = _optional_properties(data, position, stop, p.PUBACK)
    return Puback(packet_id, code, properties), position


def _subscribe(data: bytes, position: int, stop: int, version: int) -> tuple[Subscribe, int]:
    packet_id, position = _packet_id(data, position, stop)
    properties = NO_PROPERTIES
    if version == V5:
        properties, position = p.read_properties(data, position, stop, p.SUBSCRIBE)
    requests = []
    while position < stop:
        topic_filter, position = p.read_text(data, position, stop)
        check_filter(topic_filter)
        options, position = p.read_integer(data, position, stop, 1)
        request = SubscriptionRequest(topic_filter, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3)
        if request.qos == 3 or options & (0xC0 if version == V5 else 0xFC):
            raise MalformedPacket("the options of a subscription are reserved")
        if request.retain_handling == 3 or (request.no_local and topic_filter.startswith(_SHARE)):
            raise MalformedPacket("retain handling 3, or no local on a shared subscription", Code.PROTOCOL_ERROR)
        requests.append(request)
    if not requests:
        raise MalformedPacket("SUBSCRIBE without a filter", Code.PROTOCOL_ERROR)
    return Subscribe(packet_id, tuple(requests), properties), position


def _unsubscribe(data: bytes, position: int, stop: int, version: int) -> tuple[Unsubscribe, int]:
    packet_id, position = _packet_id(data, position, stop)
    properties = NO_PROPERTIES
    if version == V5:
        properties, position = p.read_properties(data, position, stop, p.UNSUBSCRIBE)
    filters = []
    while position < stop:
        topic_filter, position = p.read_text(data, position, stop)
        check_filter(topic_filter)
        filters.append(topic_filter)
    if not filters:
        raise MalformedPacket("UNSUBSCRIBE without a filter", Code.PROTOCOL_ERROR)
    return Unsubscribe(packet_id, tuple(filters), properties), position


def _suback(data: bytes, position: int, stop: int, version: int) -> tuple[Suback, int]:
    packet_id, position = _packet_id(data, position, stop)
    properties = NO_PROPERTIES
    if version == V5:
        properties, position = p.read_properties(data, position, stop, p.SUBACK)
    return Suback(packet_id, tuple(data[position:stop]), properties), stop


def _unsuback(data: bytes, position: int, stop: int, version: int) -> tuple[Unsuback, int]:
    packet_id, position = _packet_id(data, position, stop)
    if version != V5:
        return Unsuback(packet_id), position
    properties, position = p.read_properties(data, position, stop, p.UNSUBACK)
    return Unsuback(packet_id, tuple(data[position:stop]), properties), stop


def _disconnect(data: bytes, position: int, stop: int, version: int) -> tuple[Disconnect, int]:
    if position == stop or version != V5:
        return Disconnect(), position
    code, position = p.read_integer(data, position, stop, 1)
    properties, position = _optional_properties(data, position, stop, p.DISCONNECT)
    return Disconnect(code, properties), position


_PARSERS: dict[int, tuple[Callable[[bytes, int, int, int], tuple[Packet, int]], int]] = {
    p.CONNECT: (_connect, 0),
    p.CONNACK: (_connack, 0),
    p.PUBACK: (_puback, 0),
    p.SUBSCRIBE: (_subscribe, 2),
    p.SUBACK: (_suback, 0),
    p.UNSUBSCRIBE: (_unsubscribe, 2),
    p.UNSUBACK: (_unsuback, 0),
    p.PINGREQ: (lambda _, position, __, ___: (Pingreq(), position), 0),
    p.PINGRESP: (lambda _, position, __, ___: (Pingresp(), position), 0),
    p.DISCONNECT: (_disconnect, 0),
}


def _write_connect(packet: Connect, _: int) -> bytes:
    will, version = packet.will, packet.version
    flags = packet.clean_start << 1 | (packet.username is not None) << 7 | (packet.password is not None) << 6
    if will:
        flags |= 4 | will.qos << 3 | will.retain << 5
    out = [p.write_binary(b"MQTT"), bytes((version, flags)), packet.keep_alive.to_bytes(2, "big")]
    if version == V5:
        out.append(p.write_properties(packet.properties))
    out.append(p.write_text(packet.client_id))
    if will:
        out += [p.write_properties(will.properties)] if version == V5 else []
        out += [p.write_text(will.topic), p.write_binary(will.payload)]
    out += [] if packet.username is None else [p.write_text(packet.username)]
    out += [] if packet.password is None else [p.write_binary(packet.password)]
    return b"".join(out)


def _write_connack(packet: Connack, version: int) -> bytes:
    if version == V5:
        return bytes((packet.session_present, packet.code)) + p.write_properties(packet.properties)
    return bytes((packet.session_present, _RETURN_CODES.get(Code(packet.code), 5)))


def _write_puback(packet: Puback, version: int) -> bytes:
    packet_id = packet.packet_id.to_bytes(2, "big")
    if version != V5 or (packet.code == Code.SUCCESS and packet.properties == NO_PROPERTIES):
        return packet_id
    return packet_id + bytes((packet.code,)) + p.write_properties(packet.properties)


def _write_subscribe(packet: Subscribe, version: int) -> bytes:
    out = [_identified(packet, version)]
    for request in packet.requests:
        options = request.qos
        if version == V5:
            options |= request.no_local << 2 | request.retain_as_published << 3 | request.retain_handling << 4
        out += [p.write_text(request.topic_filter), bytes((options,))]
    return b"".join(out)


def _write_suback(packet: Suback, version: int) -> bytes:
    codes = packet.codes if version == V5 else (min(code, _FAILURE) for code in packet.codes)
    return _identified(packet, version) + bytes(codes)


def _write_disconnect(packet: Disconnect, version: int) -> bytes:
    if version != V5 or packet == Disconnect():
        return b""
    return bytes((packet.code,)) + p.write_properties(packet.properties)


def _identified(packet: Subscribe | Suback | Unsubscribe | Unsuback, version: int) -> bytes:
    return packet.packet_id.to_bytes(2, "big") + (p.write_properties(packet.properties) if version == V5 else b"")


_WRITERS: dict[type, tuple[int, Callable[[Any, int], bytes]]] = {
    Connect: (p.CONNECT << 4, _write_connect),
    Connack: (p.CONNACK << 4, _write_connack),
    Puback: (p.PUBACK << 4, _write_puback),
    Subscribe: (p.SUBSCRIBE << 4 | 2, _write_subscribe),
    Suback: (p.SUBACK << 4, _write_suback),
    Unsubscribe: (
        p.UNSUBSCRIBE << 4 | 2,
        lambda packet, version: _identified(packet, version) + b"".join(map(p.write_text, packet.topic_filters)),
    ),
    Unsuback: (
        p.UNSUBACK << 4,
        lambda packet, version: _identified(packet, version) + (bytes(packet.codes) if version == V5 else b""),
    ),
    Pingreq: (p.PINGREQ << 4, lambda *_: b""),
    Pingresp: (p.PINGRESP << 4, lambda *_: b""),
    Disconnect: (p.DISCONNECT << 4, _write_disconnect),
}
