"""Lifecycle events: who connected, disconnected, subscribed (AWS IoT developer guide, "Lifecycle events")."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from iotctl.local.gateway.mqtt.session import Client, Principal

_VERSION_KEPT = 3600


class DisconnectReason(StrEnum):
    """Why a connection ended, in the words of the lifecycle events and of GetThingConnectivityData."""

    AUTH_ERROR = "AUTH_ERROR"
    CLIENT_INITIATED_DISCONNECT = "CLIENT_INITIATED_DISCONNECT"
    CLIENT_ERROR = "CLIENT_ERROR"
    CONNECTION_LOST = "CONNECTION_LOST"
    DUPLICATE_CLIENTID = "DUPLICATE_CLIENTID"
    FORBIDDEN_ACCESS = "FORBIDDEN_ACCESS"
    MQTT_KEEP_ALIVE_TIMEOUT = "MQTT_KEEP_ALIVE_TIMEOUT"
    SERVER_ERROR = "SERVER_ERROR"
    SERVER_INITIATED_DISCONNECT = "SERVER_INITIATED_DISCONNECT"
    API_INITIATED_DISCONNECT = "API_INITIATED_DISCONNECT"


@dataclass(slots=True)
class _Life:
    """The connections of one client id: their version number, and when the last one ended (None: connected)."""

    session_identifier: str
    version: int = 0
    thing_name: str | None = None
    ended_at: float | None = None


class Presence:
    """Publishes lifecycle events.

    Args:
        publish: (topic, payload) -> None.
        thing_of: the thing that a principal is exclusively attached to, if any.

    """

    def __init__(self, publish: Callable[[str, bytes], None], thing_of: Callable[[Principal], str | None]) -> None:
        self._publish = publish
        self._thing_of = thing_of
        self._lives: dict[str, _Life] = {}

    def connected(self, client: Client) -> None:
        """A client connected."""
        life = self._lives.get(client.client_id)
        version = 0 if life is None else life.version + 1
        self._lives[client.client_id] = life = _Life(str(uuid.uuid4()), version, self._thing_of(client.principal))
        self._say("presence", "connected", client, {"ipAddress": client.address, "versionNumber": life.version})

    def disconnected(self, client: Client, reason: DisconnectReason) -> None:
        """A client's connection ended."""
        life = self._lives[client.client_id]
        life.ended_at = clock.epoch()
        details: dict[str, object] = {
            "clientInitiatedDisconnect": reason is DisconnectReason.CLIENT_INITIATED_DISCONNECT,
            "disconnectReason": reason.value,
            "versionNumber": life.version,
        }
        self._say("presence", "disconnected", client, details)

    def connect_failed(self, client: Client) -> None:
        """A client's policy does not let it connect, or publish its will."""
        details: dict[str, object] = {"connectFailureReason": "AUTHORIZATION_FAILED", "ipAddress": client.address}
        self._say("presence", "connect_failed", client, details)

    def subscribed(self, client: Client, topic_filters: Iterable[str]) -> None:
        """A client subscribed to some filters."""
        self._say("subscriptions", "subscribed", client, {"topics": list(topic_filters)})

    def unsubscribed(self, client: Client, topic_filters: Iterable[str]) -> None:
        """A client unsubscribed from some filters."""
        self._say("subscriptions", "unsubscribed", client, {"topics": list(topic_filters)})

    def sweep(self, now: float) -> None:
        """Forget the version numbers of clients that have been away for an hour (`now`: seconds since 1970)."""
        gone = [
            client_id
            for client_id, life in self._lives.items()
            if life.ended_at is not None and now - life.ended_at >= _VERSION_KEPT
        ]
        for client_id in gone:
            del self._lives[client_id]

    def _say(self, family: str, event: str, client: Client, details: dict[str, object]) -> None:
        if "+" in client.client_id or "#" in client.client_id:
            return  # such a client id cannot stand in a topic: AWS publishes nothing
        life = self._lives.get(client.client_id)
        body = {
            "clientId": client.client_id,
            **({"thingName": life.thing_name} if life and life.thing_name else {}),
            "timestamp": int(clock.epoch() * 1000),
            "eventType": event,
            "sessionIdentifier": life.session_identifier if life else str(uuid.uuid4()),
            "principalIdentifier": client.principal.identity,
            **details,
        }
        self._publish(f"$aws/events/{family}/{event}/{client.client_id}", json.dumps(body).encode())
