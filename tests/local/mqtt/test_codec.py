"""Every packet survives its bytes, and no bytes break the decoder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.packets import (
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

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
topic = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=20)
identifier = st.integers(1, 65535)
published = st.builds(
    Properties,
    payload_format_indicator=st.none() | st.integers(0, 1),
    message_expiry_interval=st.none() | st.integers(0, 2**32 - 1),
    content_type=st.none() | text,
    response_topic=st.none() | topic,
    correlation_data=st.none() | st.binary(max_size=9),
    subscription_identifiers=st.lists(st.integers(1, 268_435_455), max_size=3).map(tuple),
    topic_alias=st.none() | identifier,
    user_properties=st.lists(st.tuples(text, text), max_size=3).map(tuple),
)
reasons = st.builds(Properties, reason_string=text)
publish = st.one_of(
    st.tuples(topic, st.binary(max_size=300), st.just(0), st.booleans()),
    st.tuples(topic, st.binary(max_size=300), st.integers(1, 2), st.booleans(), st.booleans(), identifier),
).map(lambda fields: Publish(*fields))
wills = st.builds(Will, topic, st.binary(max_size=9), st.integers(0, 2), st.booleans())
requests = st.builds(SubscriptionRequest, topic, st.integers(0, 2))
both = st.one_of(
    publish,
    st.builds(Connect, st.just(V311), text, st.booleans(), identifier, st.none() | wills, text, st.binary(max_size=9)),
    st.builds(Connack, st.booleans(), st.sampled_from([0, 0x84, 0x85, 0x87, 0x88])),
    identifier.map(Puback),
    st.builds(Subscribe, identifier, st.lists(requests, min_size=1, max_size=4).map(tuple)),
    st.builds(Suback, identifier, st.lists(st.sampled_from([0, 1, 0x80]), max_size=4).map(tuple)),
    st.builds(Unsubscribe, identifier, st.lists(topic, min_size=1, max_size=4).map(tuple)),
    st.builds(Unsuback, identifier),
    st.sampled_from([Pingreq(), Pingresp(), Disconnect()]),
)
only_5 = st.one_of(
    st.tuples(publish, published).map(lambda pair: pair[0]._replace(properties=pair[1])),
    st.tuples(identifier, st.sampled_from(list(Code)), reasons).map(lambda fields: Puback(*fields)),
    st.builds(Disconnect, st.sampled_from(list(Code)), reasons),
    st.builds(Unsuback, identifier, st.lists(st.sampled_from([0, 0x11]), max_size=4).map(tuple), reasons),
    st.builds(Connect, st.just(V5), text, properties=st.builds(Properties, session_expiry_interval=st.integers(0, 9))),
)


@given(both, st.sampled_from([V311, V5]))
def test_packets_survive(packet: Packet, version: int) -> None:
    """A packet is the same after encoding and decoding, in either version."""
    if isinstance(packet, Connect):
        packet = replace(packet, version=version)
    assert [packet] == list(Decoder(1 << 20, version).packets(encode(packet, version)))


@given(only_5)
def test_packets_of_5_survive(packet: Packet) -> None:
    """What only MQTT 5 can say survives too, properties included."""
    assert [packet] == list(Decoder(1 << 20, V5).packets(encode(packet, V5)))


@given(st.lists(both.filter(lambda it: not isinstance(it, Connect)), max_size=4), st.integers(1, 7))
def test_packets_in_pieces(packets: list[Packet], size: int) -> None:
    """It does not matter how the bytes are cut."""
    data = b"".join(encode(packet, V311) for packet in packets)
    decoder = Decoder(1 << 20)
    pieces = [data[n : n + size] for n in range(0, len(data), size)]
    assert packets == [packet for piece in pieces for packet in decoder.packets(piece)]


@given(st.binary(max_size=200), st.sampled_from([V311, V5]))
def test_any_bytes(data: bytes, version: int) -> None:
    """Bytes are packets, or malformed; nothing else."""
    _decode(data, version)


@given(both | only_5, st.sampled_from([V311, V5]), st.data())
def test_spoiled_packets(packet: Packet, version: int, data: st.DataObject) -> None:
    """So are packets in which one byte is another."""
    spoiled = bytearray(encode(packet, version))
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    _decode(bytes(spoiled), version)


def _decode(data: bytes, version: int) -> None:
    try:
        for packet in Decoder(1 << 16, version).packets(data):
            encode(packet, version if not isinstance(packet, Connect) else packet.version)
    except MalformedPacket:
        return


MALFORMED = {
    "PUBLISH with QoS 3": (V311, "36 05 0001 61 0001", Code.MALFORMED_PACKET),
    "PUBLISH with DUP and QoS 0": (V311, "38 03 0001 61", Code.MALFORMED_PACKET),
    "PUBLISH without a topic": (V311, "30 02 0000", Code.PROTOCOL_ERROR),
    "PUBLISH to a wildcard": (V311, "30 03 0001 23", Code.TOPIC_NAME_INVALID),
    "PUBLISH with packet id 0": (V311, "32 05 0001 61 0000", Code.MALFORMED_PACKET),
    "PUBLISH with topic alias 0": (V5, "30 07 0001 61 03 23 0000", Code.TOPIC_ALIAS_INVALID),
    "a property twice": (V5, "30 08 0001 61 04 01 00 01 00", Code.PROTOCOL_ERROR),
    "a property of another packet": (V5, "30 07 0001 61 03 21 0001", Code.MALFORMED_PACKET),
    "a topic with NUL": (V311, "30 03 0001 00", Code.MALFORMED_PACKET),
    "a topic that is not UTF-8": (V311, "30 03 0001 ff", Code.MALFORMED_PACKET),
    "a topic with a surrogate": (V311, "30 05 0003 eda080", Code.MALFORMED_PACKET),
    "SUBSCRIBE with flags 0": (V311, "80 06 0001 0001 61 00", Code.MALFORMED_PACKET),
    "SUBSCRIBE without a filter": (V311, "82 02 0001", Code.PROTOCOL_ERROR),
    "SUBSCRIBE with a reserved option": (V311, "82 06 0001 0001 61 04", Code.MALFORMED_PACKET),
    "SUBSCRIBE with a wildcard inside a level": (V311, "82 07 0001 0002 612b 00", Code.MALFORMED_PACKET),
    "SUBSCRIBE with # before the end": (V311, "82 08 0001 0003 232f61 00", Code.MALFORMED_PACKET),
    "CONNECT with the reserved flag": (V311, "10 0d 0004 4d515454 04 03 0000 0001 61", Code.MALFORMED_PACKET),
    "CONNECT of another protocol": (
        V311,
        "10 0f 0006 4d5149736470 03 02 0000 0001 61",
        Code.UNSUPPORTED_PROTOCOL_VERSION,
    ),
    "CONNECT with bytes left": (V311, "10 0e 0004 4d515454 04 02 0000 0001 61 00", Code.MALFORMED_PACKET),
    "PINGREQ with a body": (V311, "c0 01 00", Code.MALFORMED_PACKET),
    "a length of five bytes": (V311, "30 ffffffff01", Code.MALFORMED_PACKET),
    "a length longer than it needs": (V311, "c0 80 00", Code.MALFORMED_PACKET),
    "PUBREL, which AWS does not have": (V311, "62 02 0001", Code.PROTOCOL_ERROR),
    "a packet of 10 MB": (V311, "30 80 ad e2 04", Code.PACKET_TOO_LARGE),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    """What the specification forbids is refused with its reason code."""
    version, text, code = MALFORMED[case]
    with pytest.raises(MalformedPacket) as caught:
        list(Decoder(1 << 20, version).packets(bytes.fromhex(text)))
    assert code == caught.value.code
