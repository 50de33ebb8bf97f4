"""What happens in a simulated fleet, as rows to show and as counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from iotctl import clock
from iotctl.errors import Temporary

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.errors import Error
    from iotctl.local.devices.thing import Told

FLEET = "# fleet"
"""What stands in place of a thing's name in a row about all of them."""

Row: TypeAlias = dict[str, Any]


class Tally:
    """The rows of a run and its counts.

    Args:
        things: how many are to connect.
        stirred: called when there is a row to take.

    """

    def __init__(self, things: int, stirred: Callable[[], None]) -> None:
        self._things = things
        self._stirred = stirred
        self._rows: list[Row] = []
        self._connected: set[str] = set()
        self._shown = -1
        self._trouble: dict[str, str] = {}
        self._events: Counter[str] = Counter()

    def up(self, thing_name: str) -> None:
        """It is connected."""
        self._connected.add(thing_name)
        if self._trouble.pop(thing_name, None) is not None:
            self._add(thing_name, "back", "connected again")

    def down(self, thing_name: str, error: Error) -> None:
        """It lost its connection, or got none; the same trouble is told once, however often it is tried.

        Of one that is in trouble only a refusal is news: that nobody answers for a while belongs to a lost connection.
        """
        event = "lost" if thing_name in self._connected else "unconnected"
        self._connected.discard(thing_name)
        trouble = f"{error.message}: {error.cause}" if error.cause else error.message
        before = self._trouble.get(thing_name)
        if before is None or (before != trouble and not isinstance(error, Temporary)):
            self._trouble[thing_name] = trouble
            self._events[event] += 1
            self._add(thing_name, event, trouble)

    def told(self, thing_name: str, told: Told) -> None:
        """It did something worth telling."""
        self._events[told.event] += 1
        job = {"jobId": told.job_id} if told.job_id else {}
        self._add(thing_name, told.event, told.detail, told.shadow_name or "", **job)

    def progress(self) -> None:
        """Say how many are connected, where that has changed."""
        if len(self._connected) != self._shown:
            self._shown = len(self._connected)
            detail = f"{self._shown:,} of {self._things:,}"
            self._add(FLEET, "connected", detail, connected=self._shown, things=self._things)

    def take(self) -> list[Row]:
        """The rows since the last time."""
        rows, self._rows = self._rows, []
        return rows

    def summary(self) -> Row:
        """The last row: the counts of the run; those still connected are as of this call."""
        told = ", ".join(f"{number:,} {event}" for event, number in sorted(self._events.items()))
        detail = f"{len(self._connected):,} of {self._things:,} connected" + (f"; {told}" if told else "")
        counts = dict(sorted(self._events.items()))
        return _row(FLEET, "ended", detail, "", connected=len(self._connected), things=self._things, counts=counts)

    def _add(self, thing_name: str, event: str, detail: str, shadow_name: str = "", **more: int | str) -> None:
        self._rows.append(_row(thing_name, event, detail, shadow_name, **more))
        self._stirred()


def _row(thing_name: str, event: str, detail: str, shadow_name: str, **more: Any) -> Row:  # noqa: ANN401  JSON
    row = {"time": clock.iso(clock.now()), "thingName": thing_name, "event": event}
    return row | {"shadowName": shadow_name, "detail": detail} | more
