"""The requests of a rollout's jobs, as AWS takes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl import jobs
from iotctl.errors import Usage
from iotctl.jobs import Brakes
from iotctl.ota import job
from iotctl.ota.job import Times
from iotctl.semantics import rollout
from iotctl.upload import Place


def test_what_nobody_named_brakes() -> None:
    """A rate that grows with success, an abort at one in ten, an hour for each thing."""
    wanted = jobs.request(["arn:group"], 2000, Brakes())
    criterion = {
        "failureType": "ALL",
        "action": "CANCEL",
        "thresholdPercentage": 10.0,
        "minNumberOfExecutedThings": 20,
    }
    exponential = {
        "baseRatePerMinute": 50,
        "incrementFactor": 2.0,
        "rateIncreaseCriteria": {"numberOfSucceededThings": 100},
    }
    assert {
        "targets": ["arn:group"],
        "targetSelection": "SNAPSHOT",
        "jobExecutionsRolloutConfig": {"maximumPerMinute": 1000, "exponentialRate": exponential},
        "abortConfig": {"criteriaList": [criterion]},
        "timeoutConfig": {"inProgressTimeoutInMinutes": 60},
    } == wanted


@given(st.integers(1, 100_000), st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 10))
def test_every_request_is_one_that_aws_takes(things: int, rate: int, most: int, retries: int) -> None:
    """Whatever the sizes, the configurations are within AWS's bounds, and the abort can be reached."""
    brakes = Brakes(rate=rate, most=most, retries=retries)
    wanted = jobs.request(["arn:group"], things, brakes)
    found = rollout.rollout(wanted["jobExecutionsRolloutConfig"])
    assert rate == found.base
    assert max(rate, most) >= found.most
    (criterion,) = rollout.abort_criteria(wanted["abortConfig"])
    assert things >= criterion.minimum
    assert retries == sum(rollout.retries(wanted.get("jobExecutionsRetryConfig")).values())
    assert 60 == rollout.in_progress_minutes(wanted["timeoutConfig"])


def test_brakes_are_taken_off_by_name_only() -> None:
    """Without an abort and a timeout there is none of either, and only what failed is retried."""
    wanted = jobs.request(["arn:group"], 10, Brakes(abort_at=None, minutes=0, retries=2))
    assert "abortConfig" not in wanted
    assert "timeoutConfig" not in wanted
    assert {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 2}]} == wanted["jobExecutionsRetryConfig"]


def test_a_canary_is_spread_over_the_scope() -> None:
    """Every fifth of a hundred sorted names, always the same ones."""
    names = [f"t{number:03}" for number in range(100)]
    assert names[::5] == job.spread(names, 20)
    assert ["t000", "t033", "t066"] == job.spread(names, 3)


@given(st.integers(2, 500), st.data())
def test_a_canary_has_as_many_things_as_were_asked_for(things: int, data: st.DataObject) -> None:
    """No thing is in it twice."""
    number = data.draw(st.integers(1, things - 1))
    found = job.spread([str(one) for one in range(things)], number)
    assert number == len(set(found))


@pytest.mark.parametrize(("written", "things", "expected"), [("20", 500, 20), ("2%", 500, 10), ("0.5%", 150, 1)])
def test_a_canary_is_a_number_or_a_share(written: str, things: int, expected: int) -> None:
    """A share is rounded up."""
    assert expected == job.canary_size(written, things)


@pytest.mark.parametrize(
    ("written", "things", "said"),
    [("0", 5, "one thing"), ("101", 500, "101"), ("50%", 500, "250"), ("5", 5, "all of"), ("few", 5, "not a number")],
)
def test_a_canary_that_cannot_be_is_refused(written: str, things: int, said: str) -> None:
    """A job is made for 100 things by name at most, and a canary is fewer than all."""
    with pytest.raises(Usage, match=said):
        job.canary_size(written, things)


def test_a_schedule_begins_with_the_first_job_and_ends_with_the_last() -> None:
    """Windows are both jobs'."""
    times = Times(
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2030, 2, 1, tzinfo=UTC),
        "CANCEL",
        (job.window("0 2 ? * SUN * for 4h"),),
    )
    windows = [{"startTime": "cron(0 2 ? * SUN *)", "durationInMinutes": 240}]
    assert {"startTime": "2030-01-01T00:00:00Z", "maintenanceWindows": windows} == times.scheduling(
        first=True, last=False
    )
    assert {
        "endTime": "2030-02-01T00:00:00Z",
        "endBehavior": "CANCEL",
        "maintenanceWindows": windows,
    } == times.scheduling(first=False, last=True)
    assert Times().scheduling(first=True, last=True) is None


@pytest.mark.parametrize(
    "written", ["0 2 ? * SUN *", "0 2 ? * SUN * for 24h", "nonsense for 1h", "0 2 ? * SUN * for 90s"]
)
def test_a_window_that_cannot_be_is_refused(written: str) -> None:
    """No duration, too long a one, no cron expression, half a minute."""
    with pytest.raises(Usage):
        job.window(written)


def test_the_placeholder_of_an_artifact_is_counted_as_one() -> None:
    """Both generations of placeholders are known."""
    written = job.placeholder(Place("bucket", "ota/a/b.bin", "eu-west-1"))
    assert "${aws:iot:s3-presigned-url-v2:https://s3.eu-west-1.amazonaws.com/bucket/ota/a/b.bin}" == written
    assert 2 == job.placeholders(written + "${aws:iot:s3-presigned-url:https://s3.amazonaws.com/b/k}")
