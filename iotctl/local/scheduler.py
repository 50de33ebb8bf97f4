"""Wakes the services when something is due: one timer, set by what the store says, and no looking in between."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.store import Store

log = logging.getLogger(__name__)

LONGEST_WAIT: Final = 60.0
"""Seconds after which it looks at the clock again: whoever turns the clock is noticed within a minute."""


class Scheduler:
    """Does what is due when it is due.

    Args:
        store: whose clock it goes by.
        next_due: when there is something to do, in seconds since 1970; None: there is nothing.
        run_due: does what is due, or a part of it; it is called again as long as something is.

    """

    def __init__(
        self, store: Store, next_due: Callable[[Store], float | None], run_due: Callable[[Store], None]
    ) -> None:
        self._store = store
        self._next_due = next_due
        self._run_due = run_due
        self._timer: asyncio.TimerHandle | None = None
        self._looking = False

    def start(self) -> None:
        """Begin, in a running event loop: what became due while nothing ran is done first."""
        self.look()

    def stop(self) -> None:
        """Do nothing more."""
        self._looking = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def look_soon(self) -> None:
        """`look`, once for all who ask for it in this turn of the event loop."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look_now)

    def look(self) -> None:
        """Set the timer anew: what is due next has changed."""
        self.stop()
        due = self._next_due(self._store)
        if due is not None:
            wait = min(clock.real_seconds(max(0.0, due - self._store.now())), LONGEST_WAIT)
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _look_now(self) -> None:
        if self._looking:
            self.look()

    def _wake(self) -> None:
        due = self._next_due(self._store)
        try:
            if due is not None and due <= self._store.now():
                self._run_due(self._store)
        except Exception:
            # It stays due: it is tried again, and everything else of the platform goes on.
            log.exception("what was due at %s failed", due)
            self.stop()
            self._timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self._wake)
        else:
            self.look()
