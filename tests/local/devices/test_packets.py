"""The client's bytes against the platform's own codec, which was written apart from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.devices import packets
from iotctl.local.gateway.mqtt import packets as theirs
from iotctl.local.gateway.mqtt.codec import Decoder, encode
from iotctl.local.gateway.mqtt.packets import V311

names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="+#\0"), min_size=1, max_size=40)
identifiers = st.integers(1, 0xFFFF)
payloads = st.binary(max_size=300)


def heard(data: bytes) -> list[theirs.Packet]:
    """What the platform reads in bytes."""
    return list(Decoder(1 << 20).packets(data))


@given(names, st.integers(0, 0xFFFF))
def test_connect(client_id: str, keep_alive: int) -> None:
    """CONNECT is a clean session of MQTT 3.1.1 with nothing but an id."""
    expected = theirs.Connect(V311, client_id, clean_start=True, keep_alive=keep_alive)
    assert [expected] == heard(packets.connect(client_id, keep_alive))


@given(identifiers, st.lists(names, min_size=1, max_size=8))
def test_subscribe(packet_id: int, filters: list[str]) -> None:
    """SUBSCRIBE asks for every filter with QoS 1."""
    requests = tuple(theirs.SubscriptionRequest(each, 1) for each in filters)
    said = heard(packets.connect("a", 0) + packets.subscribe(packet_id, filters))
    assert theirs.Subscribe(packet_id, requests) == said[1]


@given(names, st.binary(max_size=20_000), st.integers(0, 1), identifiers)
def test_publish(topic: str, payload: bytes, qos: int, number: int) -> None:
    """PUBLISH carries topic, payload, QoS and, with QoS 1, an id; also where its length takes several bytes."""
    packet_id = number if qos else 0
    said = heard(packets.connect("a", 0) + packets.publish(packets.Publish(topic, payload, qos, packet_id)))
    assert theirs.Publish(topic, payload, qos, packet_id=packet_id) == said[1]


@given(identifiers)
def test_puback_ping_and_disconnect(packet_id: int) -> None:
    """The short ones."""
    said = heard(packets.connect("a", 0) + packets.puback(packet_id) + packets.PINGREQ + packets.DISCONNECT)
    assert [theirs.Puback(packet_id), theirs.Pingreq(), theirs.Disconnect()] == said[1:]


@given(names, payloads, identifiers, st.integers(0, 60))
def test_split_reads_what_the_platform_says(topic: str, payload: bytes, number: int, cut: int) -> None:
    """However the bytes are cut, the same packets come out."""
    said: list[theirs.Packet] = [
        theirs.Connack(False, theirs.Code.NOT_AUTHORIZED),
        theirs.Suback(number, (1, 0x80)),
        theirs.Publish(topic, payload, 1, packet_id=number),
        theirs.Publish(topic, payload),
        theirs.Puback(number),
        theirs.Pingresp(),
    ]
    data = b"".join(encode(packet, V311) for packet in said)
    first, rest = packets.split(data[:cut])
    more, left = packets.split(rest + data[cut:])
    expected: list[packets.Packet] = [
        packets.Connack(5),
        packets.Suback(number, b"\x01\x80"),
        packets.Publish(topic, payload, 1, number),
        packets.Publish(topic, payload, 0, 0),
        packets.Puback(number),
        packets.Pingresp(),
    ]
    assert (expected, b"") == (first + more, left)


@given(st.binary(max_size=60))
def test_split_takes_any_bytes(data: bytes) -> None:
    """Whatever the bytes are, they are packets, the beginning of one, or malformed."""
    try:
        found, rest = packets.split(data)
    except packets.MalformedError:
        return
    assert data.endswith(rest)
    assert found or rest == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="a length of five bytes"),
        pytest.param(b"\x30\xff\xff\xff\x7f", id="a packet of 256 MiB"),
        pytest.param(b"\x34\x05\x00\x01a\x00\x01", id="QoS 2"),
        pytest.param(b"\x30\x03\x00\x05a", id="a topic that is cut off"),
        pytest.param(b"\x30\x03\x00\x01\xff", id="a topic that is not UTF-8"),
        pytest.param(b"\x32\x03\x00\x01a", id="QoS 1 without an id"),
        pytest.param(b"\x20\x01\x00", id="a short CONNACK"),
        pytest.param(b"\xd0\x01\x00", id="a PINGRESP with a body"),
        pytest.param(b"\x82\x00", id="a SUBSCRIBE, which a server does not send"),
    ],
)
def test_malformed(data: bytes) -> None:
    """What no server may send is refused, and not waited for."""
    with pytest.raises(packets.MalformedError):
        packets.split(data)
