"""A device's connection that is kept up: lost or refused, it is tried again after a while.

What was published and not acknowledged when a connection ended is not sent again: a device asks for its shadow at
each connect, and acts on what it finds there.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from iotctl.errors import Error, Temporary
from iotctl.local.devices.session import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotctl.local.devices.session import Identity, Session

LONGEST_WAIT: Final = 30.0

_STEADY_SECONDS = 60.0  # a connection that held so long was a good one: the next wait is short again
_RANDOM = random.SystemRandom()


class Link:
    """A connection that is kept up: where it is lost it comes back after a while, with the same filters.

    Attributes:
        identity: who connects next.

    Args:
        identity: who connects first, and where.
        filters: subscribed at each connect.
        gate: how many connect at one time.
        on_up: the connection is there, its filters too.
        on_message: topic and payload.
        on_down: the connection is lost or cannot be made, and why; it will be tried again.
        first_wait: seconds before the first of the tries again; doubled up to LONGEST_WAIT, each with jitter.

    """

    __slots__ = (
        "_away",
        "_filters",
        "_first_wait",
        "_gate",
        "_on_down",
        "_on_message",
        "_on_up",
        "_session",
        "identity",
    )

    def __init__(
        self,
        identity: Identity,
        filters: Sequence[str],
        *,
        gate: asyncio.Semaphore,
        on_up: Callable[[], None],
        on_message: Callable[[str, bytes], None],
        on_down: Callable[[Error], None],
        first_wait: float = 1.0,
    ) -> None:
        self.identity = identity
        self._filters = filters
        self._gate = gate
        self._on_up = on_up
        self._on_message = on_message
        self._on_down = on_down
        self._first_wait = first_wait
        self._session: Session | None = None
        self._away = 0.0

    def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message; while there is no connection it is dropped."""
        if self._session is not None:
            self._session.publish(topic, payload, qos=qos)

    def drop(self, seconds: float) -> None:
        """Cut the connection as a loss of power does; it comes back after so many seconds at least."""
        self._away = seconds
        if self._session is not None:
            self._session.abort()

    def leave(self) -> None:
        """Say goodbye; it comes back at once."""
        if self._session is not None:
            self._session.disconnect()

    async def keep(self) -> None:
        """Connect, and again whenever the connection ends, until this is cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                async with self._gate:
                    self._session = await connect(self.identity, self._filters, self._on_message)
                self._on_up()
                # Shielded, so that to cancel this is not to settle that.
                reason = await asyncio.shield(self._session.closed)
                self._on_down(Temporary("the connection was lost", code="Lost", cause=reason))
            except Error as error:
                self._on_down(error)
            except asyncio.CancelledError:
                await self._leave()
                raise
            finally:
                self._session = None
            away, self._away = self._away, 0.0
            failures = 0 if away or loop.time() - began > _STEADY_SECONDS else failures + 1
            await asyncio.sleep(away + wait_before(failures, self._first_wait))

    async def _leave(self) -> None:
        if self._session is not None:
            self._session.disconnect()
            await self._session.closed


def wait_before(failures: int, first: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, the upper half of it by chance."""
    longest = min(LONGEST_WAIT, first * 2.0 ** min(failures, 16))
    return _RANDOM.uniform(longest / 2, longest)
