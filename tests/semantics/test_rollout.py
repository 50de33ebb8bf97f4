"""Rollout rates, abort criteria, retries and timers: the developer guide's tables, and properties of all of them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import rollout
from iotctl.semantics.rollout import FAILURES, MOST_RETRIES, Rollout, RolloutError
from tests import vectors

COUNTS = st.integers(0, 3000)
TENTHS = st.integers(11, 50).map(lambda tenths: Decimal(tenths) / 10)
ROLLOUTS = st.builds(
    lambda base, factor, notified, succeeded, more: Rollout(base, factor, notified, succeeded, min(1000, base + more)),
    st.integers(1, 1000),
    TENTHS,
    st.integers(1, 2000),
    st.integers(0, 2000),
    st.integers(0, 1000),
)
CRITERIA = st.fixed_dictionaries(
    {
        "failureType": st.sampled_from([*FAILURES, "ALL"]),
        "action": st.just("CANCEL"),
        "thresholdPercentage": st.integers(0, 10_000).map(lambda hundredths: hundredths / 100),
        "minNumberOfExecutedThings": st.integers(1, 50),
    }
)
STATUSES = st.sampled_from(
    ["QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"]
)


def exponential(**changed: Any) -> dict[str, Any]:
    """The guide's example: 50 a minute, doubled for each 1000 notified or succeeded."""
    criteria = {"numberOfNotifiedThings": 1000, "numberOfSucceededThings": 1000}
    rate = {"baseRatePerMinute": 50, "incrementFactor": 2.0, "rateIncreaseCriteria": criteria, **changed}
    return {"exponentialRate": rate, "maximumPerMinute": 1000}


@vectors.rows(("notified", "rate"), [(0, 50), (999, 50), (1000, 100), (2000, 200), (3000, 400), (9999, 1000)])
def test_the_table_of_the_guide(notified: int, rate: int) -> None:
    """50, 100, 200, 400 a minute as 1000, 2000, 3000 things are notified, and as many succeed."""
    found = rollout.rollout(exponential())
    assert (rate, rate) == (found.per_minute(notified, 0), found.per_minute(0, notified))


def test_without_a_configuration_a_thousand_a_minute() -> None:
    """What AWS does anyway."""
    assert [1000, 1000, 500] == list(rollout.rollout(None).batches(2500))
    assert [10, 10, 5] == list(rollout.rollout({"maximumPerMinute": 10}).batches(25))


def test_a_criterion_of_successes_waits_for_them() -> None:
    """Where only successes count and there are none, the rate stays."""
    found = rollout.rollout(exponential(rateIncreaseCriteria={"numberOfSucceededThings": 50}))
    assert [50, 100, 350] == list(found.batches(500))
    assert [50] * 10 == list(found.batches(500, succeeding=False))


@given(ROLLOUTS, COUNTS, st.booleans())
def test_batches_reach_every_thing_once(rate: Rollout, things: int, succeeding: bool) -> None:
    """R1, R3: they add up to the things, none is above the maximum, and but for the last they never shrink."""
    batches = list(rate.batches(things, succeeding=succeeding))
    assert things == sum(batches)
    assert all(0 < batch <= rate.most for batch in batches)
    assert batches[:-1] == sorted(batches[:-1])


@given(ROLLOUTS, COUNTS, COUNTS, COUNTS)
def test_the_rate_follows_the_formula(rate: Rollout, notified: int, succeeded: int, last_minute: int) -> None:
    """The base times the factor for each step, cut to whole things and the maximum; what was spent counts."""
    steps = max(notified // rate.notified, succeeded // rate.succeeded if rate.succeeded else 0)
    exact = Fraction(rate.base) * Fraction(rate.factor) ** min(steps, 200)
    assert min(int(exact), rate.most) == rate.per_minute(notified, succeeded)
    assert max(0, rate.per_minute(notified, succeeded) - last_minute) == rate.allowance(
        notified, succeeded, last_minute
    )


@vectors.rows(
    ("configuration", "words"),
    [
        ({"maximumPerMinute": 0}, "maximumPerMinute must be between 1 and 1000"),
        ({"maximumPerMinute": 1001}, "maximumPerMinute must be between 1 and 1000"),
        (exponential(incrementFactor=1.55), "at most 1 digit"),
        (exponential(incrementFactor=1.0), "between 1.1 and 5"),
        (exponential(incrementFactor=5.1), "between 1.1 and 5"),
        (exponential(baseRatePerMinute=0), "baseRatePerMinute"),
        (exponential(rateIncreaseCriteria={}), "needs numberOfNotifiedThings"),
        ({**exponential(), "maximumPerMinute": 10}, "more than maximumPerMinute"),
    ],
)
def test_bad_rollouts(configuration: dict[str, Any], words: str) -> None:
    """What AWS does not take is refused with the reason."""
    with pytest.raises(RolloutError, match=words):
        rollout.rollout(configuration)


@given(CRITERIA, st.lists(STATUSES, max_size=200))
def test_the_abort_decision(criterion: dict[str, Any], history: list[str]) -> None:
    """R6: enough things have executed the job and enough of them have failed, in exact numbers."""
    (found,) = rollout.abort_criteria({"criteriaList": [criterion]})
    executed = [status for status in history if status in {"SUCCEEDED", *FAILURES}]
    kind = criterion["failureType"]
    failed = [status for status in executed if status in (FAILURES if kind == "ALL" else (kind,))]
    enough = len(executed) >= criterion["minNumberOfExecutedThings"] and bool(failed)
    threshold = Fraction(str(criterion["thresholdPercentage"]))
    expected = enough and Fraction(100 * len(failed), len(executed)) >= threshold
    assert expected == found.met({status: history.count(status) for status in set(history)})


@vectors.rows(("failed", "expected"), [(1098, False), (1099, True)])
def test_two_decimals_are_exact(failed: int, expected: bool) -> None:
    """10.99 percent of 10,000 is 1099 and nothing near it."""
    (found,) = rollout.abort_criteria(
        {"criteriaList": [{"failureType": "FAILED", "thresholdPercentage": 10.99, "minNumberOfExecutedThings": 1}]}
    )
    assert expected == found.met({"FAILED": failed, "SUCCEEDED": 10_000 - failed})


@vectors.rows("threshold", [10.999, 100.01, -1, 1e300, 1e-300])
def test_bad_thresholds(threshold: float) -> None:
    """At most two decimals, from 0 to 100."""
    criterion = {"failureType": "ALL", "thresholdPercentage": threshold, "minNumberOfExecutedThings": 1}
    with pytest.raises(RolloutError, match="thresholdPercentage"):
        rollout.abort_criteria({"criteriaList": [criterion]})


@given(ROLLOUTS, st.lists(CRITERIA, max_size=3), COUNTS)
def test_nothing_aborts_before_the_minimum(rate: Rollout, criteria: list[dict[str, Any]], things: int) -> None:
    """R2: in the worst case at most one minute's things more than the minimum are notified before the abort."""
    found = rollout.abort_criteria({"criteriaList": criteria})
    earliest = rollout.earliest_abort(rate.batches(things, succeeding=False), found)
    least = min((criterion.minimum for criterion in found), default=None)
    if least is None or things < least:
        assert earliest is None
    else:
        assert earliest is not None
        assert least <= earliest[1] < least + rate.most


@given(
    st.dictionaries(st.sampled_from(["FAILED", "TIMED_OUT"]), st.integers(0, 5), max_size=2)
    | st.fixed_dictionaries({"ALL": st.integers(0, MOST_RETRIES)}),
    st.lists(st.sampled_from(["FAILED", "TIMED_OUT", "REJECTED", "CANCELED", "SUCCEEDED"]), max_size=30),
)
def test_retries_end(numbers: dict[str, int], endings: list[str]) -> None:
    """Each failure type has its own retries, `ALL` has them together; nothing else is retried."""
    allowed = rollout.retries(
        {"criteriaList": [{"failureType": kind, "numberOfRetries": count} for kind, count in numbers.items()]}
    )
    attempts: dict[str, int] = {}
    for ending in endings:
        if rollout.retried(allowed, ending, attempts):
            attempts[ending] = attempts.get(ending, 0) + 1
    for kind in ("FAILED", "TIMED_OUT"):
        most = numbers.get("ALL", numbers.get(kind, 0))
        assert attempts.pop(kind, 0) <= min(most, endings.count(kind))
    assert {} == attempts


@vectors.rows(
    "criteria",
    [[("FAILED", 6), ("TIMED_OUT", 5)], [("ALL", 11)], [("FAILED", 1), ("FAILED", 1)], [("FAILED", 1), ("ALL", 1)]],
)
def test_bad_retries(criteria: list[tuple[str, int]]) -> None:
    """Ten together, and no failure type twice."""
    listed = [{"failureType": kind, "numberOfRetries": count} for kind, count in criteria]
    with pytest.raises(RolloutError):
        rollout.retries({"criteriaList": listed})


@vectors.rows(("minutes", "due"), [(None, 5.0), (-1, None), (1, 160.0), (10080, 100.0 + 10080 * 60)])
def test_step_timers(minutes: int | None, due: float | None) -> None:
    """A new one takes the place of the old, -1 stops it."""
    assert due == rollout.step_due(minutes, 100.0, 5.0)


@vectors.rows("minutes", [0, -2, 10081])
def test_bad_timers(minutes: int) -> None:
    """One minute to seven days."""
    with pytest.raises(RolloutError, match="stepTimeoutInMinutes"):
        rollout.step_due(minutes, 0.0, None)
    with pytest.raises(RolloutError, match="inProgressTimeoutInMinutes"):
        rollout.in_progress_minutes({"inProgressTimeoutInMinutes": minutes})


@vectors.rows("status", sorted(rollout.TERMINAL))
def test_nothing_follows_a_terminal_status(status: str) -> None:
    """What has ended stays, and devices set no status that is not theirs."""
    assert not any(rollout.may_report(status, report) for report in rollout.REPORTABLE)
    assert not rollout.may_report("QUEUED", "CANCELED")
    assert rollout.may_report("QUEUED", "SUCCEEDED")
