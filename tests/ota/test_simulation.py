"""A rollout before it exists: against AWS's own example, and against the platform's arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotctl.jobs import Brakes, request
from iotctl.ota import simulation

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _exponential(**criterion: int) -> dict[str, Any]:
    rate = {"baseRatePerMinute": 50, "incrementFactor": 2, "rateIncreaseCriteria": criterion}
    return {"jobExecutionsRolloutConfig": {"maximumPerMinute": 1000, "exponentialRate": rate}}


def test_the_example_of_the_developer_guide() -> None:
    """50 a minute, doubled at 1,000, 2,000 and 3,000 notified things."""
    found = simulation.forecast(_exponential(numberOfNotifiedThings=1000), 4000, NOW, takes=60)
    grows = [(mark.notified, mark.rate) for mark in found.marks if mark.what in {"it starts", "the rate grows"}]
    assert [(50, 50), (1100, 100), (2200, 200), (3400, 400)] == grows
    assert 20 + 10 + 5 + 3 == found.minutes


def test_a_rate_that_grows_with_success_waits_for_it() -> None:
    """The longer a device takes, the longer the rate stays."""
    quick, slow = (
        simulation.forecast(_exponential(numberOfSucceededThings=100), 1000, NOW, takes=takes) for takes in (60, 600)
    )
    assert quick.minutes is not None
    assert slow.minutes is not None
    assert quick.minutes + 9 < slow.minutes


def test_a_bad_release_is_stopped_once_the_first_have_failed() -> None:
    """Two minutes of fifty things, and those of the minute in which they end are not notified any more."""
    wanted = request(["arn"], 5000, Brakes())
    found = simulation.forecast(wanted, 5000, NOW, takes=120, failing=Decimal(100))
    assert (2, 100) == (found.aborted, found.reached)
    hung = simulation.forecast(wanted, 5000, NOW, takes=3600, failing=Decimal(100))
    assert (60, 3000) == (hung.aborted, hung.reached)


def test_too_few_failures_stop_nothing() -> None:
    """Below the threshold it goes on, and without criteria always."""
    wanted = request(["arn"], 1000, Brakes())
    assert 1000 == simulation.forecast(wanted, 1000, NOW, takes=60, failing=Decimal(9)).reached
    unbraked = request(["arn"], 1000, Brakes(abort_at=None))
    assert 1000 == simulation.forecast(unbraked, 1000, NOW, takes=60, failing=Decimal(100)).reached


def test_it_goes_on_in_maintenance_windows_only() -> None:
    """Two windows of 10 minutes a day, 100 things a minute: the third hundred of ten waits for tomorrow."""
    windows = {"maintenanceWindows": [{"startTime": "cron(0 13 * * ? *)", "durationInMinutes": 2}]}
    wanted = request(["arn"], 300, Brakes(rate=100, most=100), scheduling=windows)
    found = simulation.forecast(wanted, 300, NOW, takes=30)
    assert [60, 60 + 1440] == [mark.minute for mark in found.marks if mark.what in {"it starts", "100% have it"}]


def test_a_schedule_that_ends_too_early_is_told() -> None:
    """Not all are reached, and it never ends well."""
    times = {"endTime": "2026-01-31T12:40:00Z"}
    found = simulation.forecast(request(["arn"], 500, Brakes(rate=10, most=10), scheduling=times), 500, NOW, takes=60)
    assert (None, 400) == (found.minutes, found.reached)


@given(st.integers(1, 3000), st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 1800))
def test_everyone_is_reached_where_nothing_fails(things: int, rate: int, most: int, takes: int) -> None:
    """No faster than the highest rate allows, no slower than the lowest."""
    found = simulation.forecast(request(["arn"], things, Brakes(rate=rate, most=most)), things, NOW, takes=takes)
    lag = max(1, -(-takes // 60))
    assert things == found.reached
    assert found.minutes is not None
    assert -(-things // max(rate, most)) <= found.minutes - lag + 1 <= -(-things // rate)
    notified = [mark.notified for mark in found.marks]
    assert sorted(notified) == notified
