"""MQTT 5 properties: bytes to `Properties` and back (MQTT 5.0, section 2.2.2), and what packets are made of."""

from __future__ import annotations

from typing import Any, Final

from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, Code, MalformedPacket, Properties

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14
WILL: Final = 0  # not a packet: the properties of the will inside CONNECT

_MAX_VARINT = 268_435_455


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A variable byte integer and the position after it (section 1.5.5: one to four bytes, as few as possible)."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedPacket("a variable byte integer is longer than it needs to be")
            return value, position
        shift += 7
        if shift > 21:
            break
    raise MalformedPacket("a variable byte integer does not end")


def write_varint(value: int) -> bytes:
    """A variable byte integer of 0 to 268,435,455."""
    if value < 0x80:
        return value.to_bytes(1, "big")
    if value > _MAX_VARINT:
        raise ValueError("larger than a variable byte integer")
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def read_binary(data: bytes, position: int, end: int) -> tuple[bytes, int]:
    """Bytes behind a two-byte length, and the position after them."""
    start = position + 2
    stop = start + int.from_bytes(data[position:start], "big")
    if start > end or stop > end:
        raise MalformedPacket("a field reaches beyond its packet")
    return data[start:stop], stop


def write_binary(value: bytes) -> bytes:
    """Bytes behind a two-byte length."""
    return len(value).to_bytes(2, "big") + value


def read_text(data: bytes, position: int, end: int) -> tuple[str, int]:
    """A UTF-8 string (section 1.5.4: no surrogates, no U+0000) and the position after it."""
    raw, position = read_binary(data, position, end)
    return text(raw), position


def text(raw: bytes) -> str:
    """The string of some UTF-8 bytes, checked."""
    try:
        value = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket("a string is not UTF-8") from error
    if "\0" in value:
        raise MalformedPacket("a string holds U+0000")
    return value


def write_text(value: str) -> bytes:
    """A UTF-8 string."""
    return write_binary(value.encode())


def read_integer(data: bytes, position: int, end: int, size: int) -> tuple[int, int]:
    """An integer of `size` bytes and the position after it."""
    stop = position + size
    if stop > end:
        raise MalformedPacket("a field reaches beyond its packet")
    return int.from_bytes(data[position:stop], "big"), stop


# identifier: (field, kind, packets that may carry it); kinds: flag, 1, 2, 4, varint, text, binary, pair
_PUBLISHED = (PUBLISH, WILL)
_TABLE: dict[int, tuple[str, str, tuple[int, ...]]] = {
    0x01: ("payload_format_indicator", "flag", _PUBLISHED),
    0x02: ("message_expiry_interval", "4", _PUBLISHED),
    0x03: ("content_type", "text", _PUBLISHED),
    0x08: ("response_topic", "text", _PUBLISHED),
    0x09: ("correlation_data", "binary", _PUBLISHED),
    0x0B: ("subscription_identifiers", "varint", (PUBLISH, SUBSCRIBE)),
    0x11: ("session_expiry_interval", "4", (CONNECT, CONNACK, DISCONNECT)),
    0x12: ("assigned_client_identifier", "text", (CONNACK,)),
    0x13: ("server_keep_alive", "2", (CONNACK,)),
    0x15: ("authentication_method", "text", (CONNECT, CONNACK)),
    0x16: ("authentication_data", "binary", (CONNECT, CONNACK)),
    0x17: ("request_problem_information", "flag", (CONNECT,)),
    0x18: ("will_delay_interval", "4", (WILL,)),
    0x19: ("request_response_information", "flag", (CONNECT,)),
    0x1A: ("response_information", "text", (CONNACK,)),
    0x1C: ("server_reference", "text", (CONNACK, DISCONNECT)),
    0x1F: ("reason_string", "text", (CONNACK, PUBACK, SUBACK, UNSUBACK, DISCONNECT)),
    0x21: ("receive_maximum", "2", (CONNECT, CONNACK)),
    0x22: ("topic_alias_maximum", "2", (CONNECT, CONNACK)),
    0x23: ("topic_alias", "2", (PUBLISH,)),
    0x24: ("maximum_qos", "flag", (CONNACK,)),
    0x25: ("retain_available", "flag", (CONNACK,)),
    0x26: (
        "user_properties",
        "pair",
        (CONNECT, CONNACK, PUBLISH, WILL, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT),
    ),
    0x27: ("maximum_packet_size", "4", (CONNECT, CONNACK)),
    0x28: ("wildcard_subscription_available", "flag", (CONNACK,)),
    0x29: ("subscription_identifiers_available", "flag", (CONNACK,)),
    0x2A: ("shared_subscription_available", "flag", (CONNACK,)),
}
_REPEATED = {"subscription_identifiers", "user_properties"}
_NOT_ZERO = {"receive_maximum", "maximum_packet_size"}


def read_properties(data: bytes, position: int, end: int, packet: int) -> tuple[Properties, int]:
    """The properties at a position of a packet of that type, and the position after them."""
    length, position = read_varint(data, position, end)
    if not length:
        return NO_PROPERTIES, position
    stop = position + length
    if stop > end:
        raise MalformedPacket("the properties reach beyond their packet")
    values: dict[str, Any] = {}
    while position < stop:
        identifier, position = read_varint(data, position, stop)
        field, kind, allowed = _TABLE.get(identifier, ("", "", ()))
        if packet not in allowed:
            raise MalformedPacket(f"property {identifier:#04x} does not belong here")
        value, position = _read_value(data, position, stop, kind)
        if field in _REPEATED and not (field == "subscription_identifiers" and packet == SUBSCRIBE and field in values):
            values[field] = (*values.get(field, ()), value)
        elif field in values:
            raise MalformedPacket(f"{field} is there twice", Code.PROTOCOL_ERROR)
        else:
            values[field] = value
    _check(values)
    return Properties(**values), stop


def write_properties(properties: Properties) -> bytes:
    """The properties, behind their length."""
    if properties is NO_PROPERTIES:
        return b"\0"
    body = bytearray()
    for identifier, (field, kind, _) in _TABLE.items():
        value = getattr(properties, field)
        for each in value if field in _REPEATED else (value,):
            if each is not None:
                body.append(identifier)
                body += _write_value(each, kind)
    return write_varint(len(body)) + bytes(body)


def _read_value(data: bytes, position: int, end: int, kind: str) -> tuple[object, int]:
    if kind == "text":
        return read_text(data, position, end)
    if kind == "binary":
        return read_binary(data, position, end)
    if kind == "pair":
        key, position = read_text(data, position, end)
        value, position = read_text(data, position, end)
        return (key, value), position
    if kind == "varint":
        number, position = read_varint(data, position, end)
        if not number:
            raise MalformedPacket("a subscription identifier is 0", Code.PROTOCOL_ERROR)
        return number, position
    if kind == "flag":
        flag, position = read_integer(data, position, end, 1)
        if flag > 1:
            raise MalformedPacket("a flag is neither 0 nor 1", Code.PROTOCOL_ERROR)
        return flag, position
    return read_integer(data, position, end, int(kind))


def _write_value(value: Any, kind: str) -> bytes:  # noqa: ANN401 -- one writer for the values of every kind
    if kind == "text":
        return write_text(value)
    if kind == "binary":
        return write_binary(value)
    if kind == "pair":
        return write_text(value[0]) + write_text(value[1])
    if kind == "varint":
        return write_varint(value)
    return int(value).to_bytes(1 if kind == "flag" else int(kind), "big")


def _check(values: dict[str, Any]) -> None:
    """What section 3 asks of a value, whatever packet carries it."""
    for field in _NOT_ZERO:
        if values.get(field) == 0:
            raise MalformedPacket(f"{field} is 0", Code.PROTOCOL_ERROR)
    if values.get("topic_alias") == 0:
        raise MalformedPacket("the topic alias is 0", Code.TOPIC_ALIAS_INVALID)
    response_topic = values.get("response_topic")
    if response_topic is not None and (not response_topic or "+" in response_topic or "#" in response_topic):
        raise MalformedPacket("the response topic is not a topic", Code.PROTOCOL_ERROR)
    if "authentication_data" in values and "authentication_method" not in values:
        raise MalformedPacket("authentication data without a method", Code.PROTOCOL_ERROR)
