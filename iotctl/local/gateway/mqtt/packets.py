"""MQTT control packets, their properties and reason codes, as values.

MQTT 3.1.1 and 5.0 (OASIS). A packet of 3.1.1 is the same value with `NO_PROPERTIES`; its return codes are given as the
reason codes of 5.0, and `codec` translates. PUBREC, PUBREL, PUBCOMP and AUTH have no value: AWS IoT does not have them
(developer guide, "AWS IoT differences from MQTT specifications").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

V311 = 4
V5 = 5


class Code(IntEnum):
    """Reason codes of MQTT 5.0, section 2.4."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    DISCONNECT_WITH_WILL = 0x04
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    QOS_NOT_SUPPORTED = 0x9B
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1


class MalformedPacket(Exception):
    """The bytes are not a packet that the specification allows; `code` is what a DISCONNECT or CONNACK says."""

    def __init__(self, reason: str, code: Code = Code.MALFORMED_PACKET) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one packet (MQTT 5.0, section 2.2.2.2); None or empty: not there."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifiers_available: int | None = None
    shared_subscription_available: int | None = None


NO_PROPERTIES = Properties()


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the broker publishes when a client goes without saying so."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """A client asks for a session; `clean_start` is Clean Session in 3.1.1."""

    version: int
    client_id: str
    clean_start: bool = True
    keep_alive: int = 0
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connack:
    """The answer to CONNECT."""

    session_present: bool
    code: int
    properties: Properties = NO_PROPERTIES


class Publish(NamedTuple):
    """A message. A named tuple, as one is made for every message: a frozen dataclass takes three times as long."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = NO_PROPERTIES


class Puback(NamedTuple):
    """A message of QoS 1 has arrived. A named tuple for the reason that `Publish` is one."""

    packet_id: int
    code: int = Code.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """One filter of a SUBSCRIBE, with its options."""

    topic_filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client asks for the messages of some filters."""

    packet_id: int
    requests: tuple[SubscriptionRequest, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Suback:
    """One code for each filter of a SUBSCRIBE."""

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client wants no more messages of some filters."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsuback:
    """One code for each filter of an UNSUBSCRIBE; 3.1.1 carries none."""

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pingreq:
    """Asks whether the server is there."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """Says that it is."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet of a connection."""

    code: int = Code.SUCCESS
    properties: Properties = NO_PROPERTIES


Packet = (
    Connect | Connack | Publish | Puback | Subscribe | Suback | Unsubscribe | Unsuback | Pingreq | Pingresp | Disconnect
)
