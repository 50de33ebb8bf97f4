"""What is due of a rollout: the same facts always say the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from iotctl.ota.rollout import Goal
from iotctl.ota.standing import State, Verdict
from iotctl.ota.step import Canary, Stage, Waiting, following, judged

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _waits(*, approved: bool = False, now: datetime = NOW, holding: int = 4, **goal: Any) -> Waiting:
    """What the fleet waits for: the four things of the canary have succeeded one a minute, until now."""
    ended = {f"t{number}": NOW - timedelta(minutes=number) for number in range(4)}
    canary = Canary(4, (NOW + HOUR).timestamp(), approved, lambda: ended, lambda _: holding)
    return following(canary, Goal(**goal), now)


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        (_waits(), Stage.DUE),
        (_waits(soak=60), Stage.SOAKING),
        (_waits(soak=60, now=NOW + timedelta(seconds=60)), Stage.DUE),
        (_waits(soak=60, passing=Decimal(75)), Stage.DUE),
        (_waits(gate="reported.ok", holding=3), Stage.GATED),
        (_waits(gate="reported.ok", holding=3, passing=Decimal(75)), Stage.DUE),
        (_waits(gate="reported.ok", holding=3, now=NOW + HOUR), Stage.FAILED),
        (_waits(gate="reported.ok"), Stage.DUE),
        (_waits(approve=True), Stage.UNAPPROVED),
        (_waits(approve=True, approved=True), Stage.DUE),
    ],
)
def test_one_thing_is_waited_for_at_a_time(waits: Waiting, expected: Stage) -> None:
    """The soak, the gate, the approval; then the fleet follows. With 75 % a thing less is needed."""
    assert expected == waits.stage


@pytest.mark.parametrize(
    ("state", "stage", "expected"),
    [
        (State.RUNNING, Stage.CANARY, Stage.CANARY),
        (State.FAILED, Stage.CANARY, Stage.FAILED),
        (State.PASSED, Stage.CANARY, None),
        (State.RUNNING, Stage.FLEET, Stage.FLEET),
        (State.FAILED, Stage.FLEET, Stage.FAILED),
        (State.PASSED, Stage.FLEET, Stage.SUCCEEDED),
    ],
)
def test_only_a_canary_that_has_gone_well_is_gone_on_from(state: State, stage: Stage, expected: Stage | None) -> None:
    """Everything else is where the rollout is, or how it ended."""
    found = judged(Verdict(state, "3 of 4"), stage)
    assert expected == (found.stage if found else None)


def test_shadows_are_read_only_where_the_gate_is_next() -> None:
    """While the canary soaks nothing is asked."""

    def fail(_: list[str]) -> int:
        raise AssertionError

    canary = Canary(1, None, approved=False, ended=lambda: {"t": NOW}, holding=fail)
    found = following(canary, Goal(soak=60, gate="reported.ok"), NOW)
    assert (Stage.SOAKING, NOW + timedelta(seconds=60)) == (found.stage, found.until)
