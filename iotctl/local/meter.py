"""Counts what devices do at the broker, and hands it to Device Defender every five minutes.

While no security profile that is attached measures any of it nothing is counted. What was counted in the period that
runs is in memory alone: a platform that ends loses it. Messages of shared subscriptions are not counted as received.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from iotctl import clock
from iotctl.local.services.defender.detect import periods, values
from iotctl.local.services.defender.detect.dimensions import CLIENT_ID
from iotctl.local.services.defender.detect.periods import Counts, Tally
from iotctl.semantics.topics import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.session import Client
    from iotctl.local.store import Store

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50  # devices, as many as take the loop some ten milliseconds
_LONGEST_WAIT: Final = 60.0
_TOPICS_REMEMBERED: Final = 10_000


class Meter:
    """Counts (`mqtt.interfaces.Meter`).

    Args:
        store: what is measured, and where it goes.
        broker: where devices are; it tells this meter once there is something to count.

    """

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._filters: dict[str, tuple[str, ...]] = {}
        self._tallies: dict[str, Tally] = {}
        self._ended: list[tuple[str, Tally, float]] = []
        self._ends = 0.0
        self._inside: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Begin or end to count: what security profiles measure has changed. In a running event loop."""
        wanted = periods.wanted(self._store)
        self._inside.clear()
        if wanted is None:
            self.stop()
            return
        self._filters = wanted
        if self._broker.router.meter is None:
            self._broker.router.meter = self
            self._begin()
            self._wait()

    def stop(self) -> None:
        """Count nothing more."""
        self._broker.router.meter = None
        self._tallies.clear()
        self._ended.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # --- what the broker tells

    def attempted(self, client: Client) -> None:
        """A client wants to connect."""
        counts = self._all(client)
        counts.attempts += 1
        counts.addresses.add(client.address)

    def ended(self, client: Client) -> None:
        """A connection ended."""
        self._all(client).ends += 1

    def sent(self, client: Client, topic: str, size: int) -> None:
        """A client published a message."""
        for counts in self._counts(client, topic):
            counts.add_sent(size)

    def received(self, client: Client, topic: str) -> None:
        """A message went to a client."""
        for counts in self._counts(client, topic):
            counts.received += 1

    def refused(self, client: Client, topic: str) -> None:
        """A policy does not allow what a client asked for."""
        for counts in self._counts(client, topic) if topic else (self._all(client),):
            counts.refused += 1

    def _all(self, client: Client) -> Counts:
        return self._tally(client).all

    def _tally(self, client: Client) -> Tally:
        found = self._tallies.get(client.client_id)
        if found is None:
            found = self._tallies[client.client_id] = Tally()
        return found

    def _counts(self, client: Client, topic: str) -> Iterator[Counts]:
        """The counts that a topic belongs to: those of all, and of each dimension that is counted by."""
        tally = self._tally(client)
        yield tally.all
        if self._filters:
            for scope in self._scopes(client.client_id, topic):
                counts = tally.of(*scope)
                counts.addresses.add(client.address)
                yield counts

    def _scopes(self, client_id: str, topic: str) -> tuple[tuple[str, str], ...]:
        found = self._inside.get((client_id, topic))
        if found is None:
            if len(self._inside) >= _TOPICS_REMEMBERED:
                self._inside.clear()
            found = self._inside[client_id, topic] = tuple(
                (name, "IN" if any(matches(one.replace(CLIENT_ID, client_id), topic) for one in filters) else "NOT_IN")
                for name, filters in self._filters.items()
            )
        return found

    # --- time

    def _begin(self) -> None:
        """Begin a period: it ends at a whole five minutes, and who is connected does at least nothing in it."""
        self._ends = (self._store.now() // periods.PERIOD + 1) * periods.PERIOD
        for client in self._broker.connected():
            self._all(client).addresses.add(client.address)

    def _wait(self) -> None:
        left = clock.real_seconds(max(0.0, self._ends - self._store.now()))
        wait = 0.0 if self._ended else min(left, _LONGEST_WAIT)
        self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        if self._store.now() >= self._ends:
            ended, self._tallies = self._tallies, {}
            self._ended += [(device, tally, self._ends) for device, tally in ended.items()]
            self._begin()
        batch, self._ended = self._ended[:_AT_ONCE], self._ended[_AT_ONCE:]
        try:
            with self._store.transaction():
                for device, tally, ends in batch:
                    periods.record(self._store, device, tally, ends)
                values.forget_old(self._store)
        except Exception:
            log.exception("what %d devices did could not be kept", len(batch))
        self._wait()
