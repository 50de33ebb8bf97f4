"""Wills that wait for their delay (MQTT 5.0, section 3.1.3.2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.gateway.mqtt.packets import Will
    from iotctl.local.gateway.mqtt.session import Client


@dataclass(frozen=True, slots=True)
class _Pending:
    """A will that waits."""

    due: float
    client: Client
    will: Will


class Wills:
    """The wills of clients that have gone.

    Args:
        publish: publishes a client's will.

    """

    def __init__(self, publish: Callable[[Client, Will], None]) -> None:
        self._publish = publish
        self._pending: dict[str, _Pending] = {}

    def leave(self, client: Client, will: Will, longest: int) -> None:
        """A client has gone: its will is published after its delay, and after `longest` seconds at the latest."""
        delay = min(will.properties.will_delay_interval or 0, longest)
        if delay:
            self._pending[client.client_id] = _Pending(clock.epoch() + delay, client, will)
        else:
            self._publish(client, will)

    def withdraw(self, client_id: str) -> None:
        """A client is back before its will was due."""
        self._pending.pop(client_id, None)

    def release(self, client_id: str) -> None:
        """A client's session has ended: its will waits no longer."""
        pending = self._pending.pop(client_id, None)
        if pending is not None:
            self._publish(pending.client, pending.will)

    def sweep(self, now: float) -> None:
        """Publish what is due (`now`: seconds since 1970)."""
        for client_id in [client_id for client_id, each in self._pending.items() if each.due <= now]:
            self.release(client_id)
