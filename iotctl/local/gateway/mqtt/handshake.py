"""What the gateway says to CONNECT: the faults of its shape, and what it supports (MQTT 5.0, sections 3.1 and 3.2).

AWS behaviour: developer guide, page "MQTT".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, V5, V311, Code, Properties

if TYPE_CHECKING:
    from iotctl.local.gateway.mqtt.limits import Limits
    from iotctl.local.gateway.mqtt.packets import Connect


def fault(packet: Connect, limits: Limits) -> Code:
    """What is wrong with a CONNECT, whoever sends it; SUCCESS: nothing."""
    will = packet.will
    if packet.properties.authentication_method is not None:
        return Code.BAD_AUTHENTICATION_METHOD
    nameless = not packet.client_id and packet.version == V311 and not packet.clean_start
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


def expiry(packet: Connect, limits: Limits) -> int:
    """Seconds that a session is kept after its connection; 0: it ends with it."""
    if packet.version == V311:
        return 0 if packet.clean_start else limits.session_expiry
    return min(packet.properties.session_expiry_interval or 0, limits.session_expiry)


def welcome(packet: Connect, limits: Limits, client_id: str, expiry: int) -> Properties:
    """What CONNACK says of what is supported, as AWS says it."""
    if packet.version != V5:
        return NO_PROPERTIES
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
        server_keep_alive=limits.keep_alive(packet.keep_alive),
    )
