"""Rows and counts of a fleet."""

from __future__ import annotations

from iotctl.errors import Auth, Temporary
from iotctl.local.devices.tally import FLEET, Tally
from iotctl.local.devices.thing import Told


def tally(things: int = 2) -> Tally:
    """A tally that nobody waits for."""
    return Tally(things, lambda: None)


def shown(found: Tally) -> list[tuple[str, str, str]]:
    """The rows since the last time, without their time."""
    return [(row["thingName"], row["event"], row["detail"]) for row in found.take()]


def test_an_outage_is_told_once() -> None:
    """Lost, then nobody answers, ten times; a refusal in between is news; then it is back."""
    found = tally()
    found.up("a")
    found.down("a", Temporary("the connection was lost", cause="reset"))
    for _ in range(10):
        found.down("a", Temporary("it cannot be reached"))
    found.down("a", Auth("refused"))
    found.down("a", Auth("refused"))
    found.up("a")
    expected = [
        ("a", "lost", "the connection was lost: reset"),
        ("a", "unconnected", "refused"),
        ("a", "back", "connected again"),
    ]
    assert expected == shown(found)


def test_progress_is_told_when_it_changes() -> None:
    """One row for each number of connected things, with the numbers as JSON has them."""
    found = tally(1200)
    for name in ("a", "b"):
        found.up(name)
    found.progress()
    found.progress()
    (row,) = found.take()
    assert (FLEET, "connected", "2 of 1,200") == (row["thingName"], row["event"], row["detail"])
    assert (2, 1200) == (row["connected"], row["things"])


def test_the_summary_counts_what_was_told() -> None:
    """Each event, in the order of the alphabet."""
    found = tally()
    found.up("a")
    found.told("a", Told("reported", "config", "{}"))
    found.told("a", Told("reported", None, "{}"))
    found.down("b", Temporary("it cannot be reached"))
    assert ["config", "", ""] == [row["shadowName"] for row in found.take()]
    summary = found.summary()
    assert "1 of 2 connected; 2 reported, 1 unconnected" == summary["detail"]
    assert {"reported": 2, "unconnected": 1} == summary["counts"]


def test_whoever_waits_is_woken() -> None:
    """Once for each row."""
    rows: list[None] = []
    found = Tally(1, lambda: rows.append(None))
    found.up("a")
    found.progress()
    found.progress()
    assert 1 == len(rows)
