"""How a phase stands, by the counts of its job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from iotctl.ota import verdict
from iotctl.ota.rollout import FLEET, Goal, Labels
from iotctl.ota.verdict import State, Why

MADE = datetime(2026, 1, 31, tzinfo=UTC)


def labels(things: int = 100, goal: Goal | None = None) -> Labels:
    """The tags of a fleet job."""
    return Labels("fw-1-0123456789ab", FLEET, "fw", "1", things, goal or Goal(), "s3://b/k", "a" * 64)


def job(status: str = "IN_PROGRESS", **counts: int) -> dict[str, Any]:
    """A job as DescribeJob describes it."""
    details = {f"numberOf{key}Things": number for key, number in counts.items()}
    return {"status": status, "createdAt": MADE, "jobProcessDetails": details}


@pytest.mark.parametrize(
    ("described", "goal", "expected"),
    [
        (job(Succeeded=99, Queued=1), Goal(), (State.RUNNING, None)),
        (job("COMPLETED", Succeeded=100), Goal(), (State.PASSED, None)),
        (job("COMPLETED", Succeeded=99, Failed=1), Goal(), (State.FAILED, Why.TOO_FEW)),
        (job(Succeeded=97, Queued=3), Goal(Decimal(97)), (State.PASSED, None)),
        (job("COMPLETED", Succeeded=97, Failed=3), Goal(Decimal(97)), (State.PASSED, None)),
        (job("CANCELED", Succeeded=97, Failed=3), Goal(Decimal(97)), (State.FAILED, Why.CANCELED)),
        (job("DELETION_IN_PROGRESS", Succeeded=100), Goal(), (State.FAILED, Why.DELETED)),
        (job("SCHEDULED"), Goal(), (State.RUNNING, None)),
        (job("COMPLETED", Succeeded=98, Removed=2), Goal(), (State.PASSED, None)),
    ],
)
def test_the_verdict_is_what_was_asked_for(described: dict[str, Any], goal: Goal, expected: tuple[State, Why]) -> None:
    """The share of all things that have succeeded decides; those not yet notified count as not succeeded."""
    found = verdict.judge(described, labels(goal=goal), MADE)
    assert expected == (found.state, found.why)


@pytest.mark.parametrize(("hours", "expected"), [(23, State.RUNNING), (24, State.FAILED), (30, State.FAILED)])
def test_the_deadline_ends_the_waiting(hours: int, expected: State) -> None:
    """From the deadline on too few are too few, counted from when the job was made."""
    goal = Goal(Decimal(97), deadline=86400)
    found = verdict.judge(job(Succeeded=96, Queued=4), labels(goal=goal), MADE + timedelta(hours=hours))
    assert expected == found.state


def test_the_deadline_counts_from_a_scheduled_start() -> None:
    """A job that starts tomorrow has its time from tomorrow on."""
    scheduled = {**job("SCHEDULED"), "schedulingConfig": {"startTime": "2026-02-01T00:00:00Z"}}
    due = verdict.deadline(scheduled, Goal(deadline=3600))
    assert datetime(2026, 2, 1, 1, tzinfo=UTC) == due


def test_what_was_never_reached_is_told_apart_from_what_failed() -> None:
    """Queued, canceled and not yet notified things have not begun."""
    found = verdict.judge(job("CANCELED", Succeeded=10, Failed=5, InProgress=5, Canceled=30), labels(), MADE)
    assert (100, 5, 80) == (found.total, found.counts.broken, found.to_json()["neverReached"])


def test_a_phase_had_gone_well_when_the_last_needed_thing_succeeded() -> None:
    """With 75 % of four things it is the third of them, whatever the order they are told in."""
    moments = [MADE + timedelta(minutes=minute) for minute in (9, 1, 5, 3)]
    assert MADE + timedelta(minutes=5) == verdict.passed_at(moments, 4, Goal(Decimal(75)))
    assert verdict.passed_at(moments[:2], 4, Goal(Decimal(75))) is None
