"""The operations of AWS IoT's data plane that are the broker's: publish, retained messages, connections.

They change no table of the services, so they run outside its transactions; what they publish is committed and sent
before they answer.
"""

from __future__ import annotations

import base64
import bisect
import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, Properties
from iotctl.local.services import AwsError, Operation, invalid, not_found, things
from iotctl.local.services.index import configuration, entries
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.broker import Broker, ConnectionState
    from iotctl.local.store import Store

_PAGE: Final = 200
_SUBSCRIPTIONS_PAGE: Final = 50
_UNSENDABLE: Final = re.compile("[\0\ud800-\udfff]")
_NEVER_CONNECTED: Final = {"timestamp": 0, "disconnectReason": "UNKNOWN"}
"""What AWS answers of a device that never connected, as seen of a real account (the API reference: "no additional
session details")."""


class _Direct(Operation):
    """An operation without a transaction of the store."""

    __slots__ = ()

    def __call__(self, store: Store, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  AWS's own parameters
        return self.function(store, **parameters) or {}


def operations(broker: Broker) -> dict[str, Operation]:
    """The operations of a broker, by name: `iot-data:Publish`, ..."""
    functions: dict[str, Callable[..., dict[str, Any] | None]] = {
        "iot-data:Publish": _publish,
        "iot-data:GetRetainedMessage": _get_retained_message,
        "iot-data:ListRetainedMessages": _list_retained_messages,
        "iot-data:GetConnection": _get_connection,
        "iot-data:DeleteConnection": _delete_connection,
        "iot-data:ListSubscriptions": _list_subscriptions,
        "iot:GetThingConnectivityData": _get_thing_connectivity_data,
    }
    return {name: _Direct(name, functools.partial(function, broker)) for name, function in functions.items()}


def _publish(
    broker: Broker,
    _: Store,
    *,
    topic: str,
    payload: bytes = b"",
    qos: int = 0,
    retain: bool = False,
    userProperties: str | None = None,
    payloadFormatIndicator: str | None = None,
    contentType: str | None = None,
    responseTopic: str | None = None,
    correlationData: str | None = None,
    messageExpiry: int | None = None,
) -> None:
    """Publish as MQTT clients do; the MQTT 5 properties reach subscribers that speak it."""
    _topic("topic", topic)
    if not topics.is_publishable(topic) or (retain and topic.startswith("$")):
        raise AwsError("ForbiddenException", f"Nobody but AWS IoT publishes on {topic}")
    if len(payload) > broker.limits.payload:
        message = f"The payload is larger than {broker.limits.payload} bytes"
        raise AwsError("RequestEntityTooLargeException", message)
    if retain and payload and not broker.router.may_retain(topic):
        raise AwsError("LimitExceededException", "There is no room for another retained message")
    properties = NO_PROPERTIES
    given = (userProperties, payloadFormatIndicator, contentType, responseTopic, correlationData, messageExpiry)
    if any(one is not None for one in given):
        properties = Properties(
            payload_format_indicator={"UTF8_DATA": 1, "UNSPECIFIED_BYTES": 0}.get(payloadFormatIndicator or ""),
            message_expiry_interval=broker.limits.message_expiry(messageExpiry),
            content_type=None if contentType is None else _text("contentType", contentType),
            response_topic=None if responseTopic is None else _topic("responseTopic", responseTopic),
            correlation_data=_correlation(correlationData),
            user_properties=_pairs(userProperties),
        )
    broker.router.publish(topic, payload, qos, retain=retain, properties=properties)
    broker.turn.settle()


def _get_retained_message(broker: Broker, _: Store, *, topic: str) -> dict[str, Any]:
    """The retained message of a topic."""
    retained = broker.router.retained(topic)
    if retained is None:
        raise not_found(f"No retained message exists on topic: {topic}")
    message, stored_at = retained
    pairs = [{key: value} for key, value in message.properties.user_properties]
    return {
        "topic": topic,
        "payload": message.payload,
        "qos": message.qos,
        "lastModifiedTime": int(stored_at * 1000),
        "userProperties": json.dumps(pairs).encode() if pairs else None,
    }


def _list_retained_messages(
    broker: Broker, _: Store, *, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The retained messages by topic, without their payloads."""
    held = broker.router.retained_topics()
    start = bisect.bisect_right(held, _opened(nextToken), key=lambda one: one[0]) if nextToken else 0
    shown = held[start : start + (maxResults or _PAGE)]
    return {
        "retainedTopics": [
            {"topic": topic, "payloadSize": size, "qos": qos, "lastModifiedTime": int(stored_at * 1000)}
            for topic, size, qos, stored_at in shown
        ],
        "nextToken": _sealed(shown[-1][0]) if start + len(shown) < len(held) else None,
    }


def _get_connection(
    broker: Broker, _: Store, *, clientId: str, includeSocketInformation: bool = False
) -> dict[str, Any]:
    """The connection, or the persistent session, of a client."""
    state = _connection(broker, clientId)
    answer = {**_described(state), "clientId": clientId}
    if state.connected:
        answer["connectedSince"] = int(state.connected_at * 1000)
        if includeSocketInformation:
            answer |= _socket(state)
    return answer


def _delete_connection(
    broker: Broker, _: Store, *, clientId: str, cleanSession: bool = False, preventWillMessage: bool = False
) -> None:
    """Disconnect a client; with `cleanSession` its session ends too."""
    if not broker.delete_connection(clientId, clean_session=cleanSession, prevent_will=preventWillMessage):
        raise _unknown(clientId)
    broker.turn.settle()


def _list_subscriptions(
    broker: Broker, _: Store, *, clientId: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The topic filters of a client, in order."""
    _connection(broker, clientId)
    held = sorted(broker.subscriptions(clientId).items())
    start = bisect.bisect_right(held, _opened(nextToken), key=lambda one: one[0]) if nextToken else 0
    shown = held[start : start + (maxResults or _SUBSCRIPTIONS_PAGE)]
    return {
        "subscriptions": [{"topicFilter": name, "qos": qos} for name, qos in shown],
        "nextToken": _sealed(shown[-1][0]) if start + len(shown) < len(held) else None,
    }


def _get_thing_connectivity_data(
    broker: Broker, store: Store, *, thingName: str, includeSocketInformation: bool = False
) -> dict[str, Any]:
    """Whether a thing is connected: the client that has its name; where connectivity is indexed.

    Where nothing is indexed AWS says that there is no index (seen of a real account). What it says where things are
    indexed and their connectivity is not, no page tells: the error that the service model has for it beside that one.
    """
    things.known(store, thingName)
    if not configuration.ready(store, configuration.THINGS).connectivity:
        why = "thingConnectivityIndexingMode is OFF"
        raise AwsError("IndexNotReadyException", f"Index {configuration.THINGS} does not hold connectivity: {why}")
    state = broker.connection(thingName)
    ended = _ended(store, thingName)
    if state is None:
        return {"thingName": thingName, "connected": False, **(ended or _NEVER_CONNECTED)}
    answer = {**_described(state), "thingName": thingName, "clientId": thingName}
    if not state.connected:
        answer |= ended
    else:
        answer["timestamp"] = state.connected_at
        if includeSocketInformation:
            answer |= _socket(state)
    return answer


def _ended(store: Store, client_id: str) -> dict[str, Any]:
    """When and why a client's last connection ended, as far as the fleet index knows."""
    known = entries.connectivity(store, client_id)
    if known is None or known["connected"]:
        return {}
    return {"timestamp": known["timestamp"] / 1000, "disconnectReason": known["disconnectReason"]}


def _described(state: ConnectionState) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "connected": state.connected,
        "cleanSession": state.clean_session,
        "sessionExpiry": state.session_expiry,
    }
    if state.connected:
        answer["keepAliveDuration"] = state.keep_alive
    return answer


def _socket(state: ConnectionState) -> dict[str, Any]:
    target, port = state.target
    return {
        "sourceIp": state.client.address,
        "sourcePort": state.client.port,
        "targetIp": target,
        "targetPort": port,
    }


def _connection(broker: Broker, client_id: str) -> ConnectionState:
    state = broker.connection(client_id)
    if state is None:
        raise _unknown(client_id)
    return state


def _unknown(client_id: str) -> AwsError:
    return not_found(f"The client {client_id} has neither a connection nor a persistent session")


def _topic(name: str, topic: str) -> str:
    try:
        topics.check_topic(topic)
    except topics.TopicError as error:
        raise invalid(f"Invalid {name}: {error}") from error
    return topic


def _text(name: str, text: str) -> str:
    """A text as MQTT has it: what no client may send must not reach one either, for it would hang up."""
    if _UNSENDABLE.search(text):
        raise invalid(f"{name} holds U+0000 or half a character")
    return text


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    """The user properties of a request: a JSON array of objects, each with one key and its text."""
    if text is None:
        return ()
    try:
        pairs = [(key, str(value)) for one in json.loads(text) for key, value in one.items()]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise invalid("userProperties is not a JSON array of objects") from error
    return tuple((_text("userProperties", key), _text("userProperties", value)) for key, value in pairs)


def _correlation(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except ValueError as error:
        raise invalid("correlationData is not base64") from error


def _sealed(place: str) -> str:
    return base64.b64encode(place.encode()).decode()


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError as error:
        raise invalid("Invalid token for pagination") from error
