"""MQTT 3.1.1 as a small client writes and reads it: values in, bytes out, and back.

Only what a device needs: QoS 0 and 1, clean sessions, no will, no user name. Source: MQTT 3.1.1 (OASIS), chapters 2, 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES: Final = 1024 * 1024
"""Bytes of a packet that are taken; AWS IoT's own limit of a payload is 128 KiB."""
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
NOT_GRANTED: Final = 0x80
"""The code of a SUBACK for a filter that is refused."""

_CLEAN_SESSION = 0x02
_LONGEST_LENGTH = 4  # bytes of the remaining length, section 2.2.3


class MalformedError(ValueError):
    """What the server sent is not MQTT 3.1.1, or nothing that this client asked for."""


@dataclass(frozen=True, slots=True)
class Connack:
    """The answer to CONNECT: 0 is accepted, 5 not authorised (section 3.2.2.3)."""

    code: int


@dataclass(frozen=True, slots=True)
class Suback:
    """The answer to SUBSCRIBE, a code for each filter: the QoS granted, or NOT_GRANTED."""

    packet_id: int
    codes: bytes


@dataclass(frozen=True, slots=True)
class Puback:
    """The acknowledgement of a PUBLISH of QoS 1."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Publish:
    """A message; `packet_id` is 0 where its QoS is."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingresp:
    """The answer to PINGREQ."""


Packet: TypeAlias = Connack | Suback | Puback | Publish | Pingresp


def connect(client_id: str, keep_alive: int) -> bytes:
    """CONNECT with a clean session; `keep_alive` in seconds."""
    return _packed(0x10, _text("MQTT") + struct.pack("!BBH", 4, _CLEAN_SESSION, keep_alive) + _text(client_id))


def subscribe(packet_id: int, filters: Sequence[str], qos: int = 1) -> bytes:
    """SUBSCRIBE to some filters, all with one QoS."""
    return _packed(0x82, _number(packet_id) + b"".join(_text(each) + bytes([qos]) for each in filters))


def publish(message: Publish) -> bytes:
    """PUBLISH, not retained, not a duplicate."""
    identifier = _number(message.packet_id) if message.qos else b""
    return _packed(0x30 | message.qos << 1, _text(message.topic) + identifier + message.payload)


def puback(packet_id: int) -> bytes:
    """PUBACK of a message that came with QoS 1."""
    return _packed(0x40, _number(packet_id))


def split(data: bytes) -> tuple[list[Packet], bytes]:
    """The packets that are whole, in order, and the bytes of the one that is not yet.

    Raises:
        MalformedError: with the reason.

    """
    packets: list[Packet] = []
    start = 0
    while found := _length(data, start + 1):
        length, body = found
        if length > MAX_BYTES:
            raise MalformedError(f"a packet of {length:,} bytes")
        if body + length > len(data):
            break
        packets.append(_parsed(data[start], data[body : body + length]))
        start = body + length
    return packets, data[start:]


def _length(data: bytes, start: int) -> tuple[int, int] | None:
    """The remaining length and where the body begins; None where it is not whole yet."""
    value = 0
    for index, byte in enumerate(data[start : start + _LONGEST_LENGTH]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, start + index + 1
    if len(data) >= start + _LONGEST_LENGTH:
        raise MalformedError("a length of more than four bytes")
    return None


def _parsed(head: int, body: bytes) -> Packet:
    try:
        match head >> 4:
            case 3:
                return _published(head, body)
            case 4:
                return Puback(*struct.unpack("!H", body))
            case 2:
                return Connack(struct.unpack("!BB", body)[1])
            case 9:
                return Suback(struct.unpack_from("!H", body)[0], body[2:])
            case 13 if not body:
                return Pingresp()
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedError(f"a packet of type {head >> 4} cannot be read") from error
    raise MalformedError(f"a packet of type {head >> 4} is not for a client")


def _published(head: int, body: bytes) -> Publish:
    qos = head >> 1 & 3
    if qos > 1:
        raise MalformedError(f"a message of QoS {qos}, which was not asked for")
    (length,) = struct.unpack_from("!H", body)
    topic, rest = body[2 : 2 + length], body[2 + length :]
    if len(topic) < length:
        raise MalformedError("a topic that is cut off")
    packet_id = struct.unpack_from("!H", rest)[0] if qos else 0
    return Publish(topic.decode(), rest[2:] if qos else rest, qos, packet_id)


def _packed(head: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, byte = left >> 7, left & 0x7F
        length.append(byte | 0x80 if left else byte)
        if not left:
            return bytes([head]) + length + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _number(len(encoded)) + encoded


def _number(value: int) -> bytes:
    return struct.pack("!H", value)
