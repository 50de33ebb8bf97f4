"""What time does to jobs on a running platform whose clock goes fast: every wait here is minutes or hours of its own.

All jobs run at once, so the module takes as long as its longest wait: an hour, six seconds. What is asserted are
the platform's own times, never this machine's.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.local import conditions, process
from iotctl.local.state import Ports, State
from iotctl.semantics.rollout import rollout
from tests.local.clients import until
from tests.local.conftest import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.conftest import Ran

SPEED = 600
WAIT = timedelta(hours=1)  # AWS takes half an hour at least; the rest, three seconds, is for a slow request
GROWING = {"baseRatePerMinute": 1, "incrementFactor": 2.0, "rateIncreaseCriteria": {"numberOfNotifiedThings": 1}}
FAILING = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 50.0, "minNumberOfExecutedThings": 2}
PATIENCE = 20.0


class Fast:
    """A fast platform's operator and devices.

    Attributes:
        start: when the scheduled job is to start.
        ends: when the others are to end, by their behavior.

    """

    def __init__(self, platform: Platform) -> None:
        self.iot, self.data = client(platform), client(platform, "iot-jobs-data")
        self.things = [f"t{number:02}" for number in range(16)]
        made = [self.iot.create_thing(thingName=name)["thingArn"] for name in self.things]
        self.arns = dict(zip(self.things, made, strict=True))
        self._clock = platform.course
        self.ends: dict[str, datetime] = {}
        for behavior in ("STOP_ROLLOUT", "CANCEL", "FORCE_CANCEL"):
            self.ends[behavior] = self._in(WAIT)
            ending = {"endTime": clock.iso(self.ends[behavior]), "endBehavior": behavior}
            self._job(behavior, 2, schedulingConfig=ending, namespaceId=behavior)
        self.start = self._in(WAIT)
        self._job("scheduled", 1, schedulingConfig={"startTime": clock.iso(self.start)})
        twenty = {"startTime": "cron(0/20 * * * ? *)", "durationInMinutes": 2}
        self._job("windows", 5, schedulingConfig={"maintenanceWindows": [twenty]}, **_rate(maximumPerMinute=1))
        self._job("growing", 15, **_rate(exponentialRate=GROWING))
        self._job("steps", 1, timeoutConfig={"inProgressTimeoutInMinutes": 600})
        again = {"criteriaList": [{"failureType": "TIMED_OUT", "numberOfRetries": 1}]}
        self._job("again", 1, timeoutConfig={"inProgressTimeoutInMinutes": 1}, jobExecutionsRetryConfig=again)
        self._job(
            "aborted", 4, abortConfig={"criteriaList": [FAILING]}, timeoutConfig={"inProgressTimeoutInMinutes": 1}
        )

    def job(self, job_id: str) -> dict[str, Any]:
        """The job."""
        found: dict[str, Any] = self.iot.describe_job(jobId=job_id)["job"]
        return found

    def executions(self, job_id: str) -> dict[str, dict[str, Any]]:
        """The execution summaries by thing."""
        found = self.iot.list_job_executions_for_job(jobId=job_id)["executionSummaries"]
        return {one["thingArn"].rpartition("/")[2]: one["jobExecutionSummary"] for one in found}

    def statuses(self, job_id: str) -> list[str]:
        """The status of each execution, by thing."""
        return [one["status"] for _, one in sorted(self.executions(job_id).items())]

    def queued(self, job_id: str) -> list[datetime]:
        """When each thing was notified, in order."""
        return sorted(one["queuedAt"].astimezone(UTC) for one in self.executions(job_id).values())

    def report(self, job_id: str, thing: str, status: str, **more: Any) -> None:
        """A device reports."""
        self.data.update_job_execution(jobId=job_id, thingName=thing, status=status, **more)

    def _in(self, wait: timedelta) -> datetime:
        return datetime.fromtimestamp(self._clock.shown(time.time()), UTC) + wait

    def _job(self, job_id: str, things: int, **more: Any) -> None:
        targets = [self.arns[name] for name in self.things[:things]]
        self.iot.create_job(jobId=job_id, targets=targets, document='{"operation":"x"}', **more)


def _rate(**configuration: Any) -> dict[str, Any]:
    return {"jobExecutionsRolloutConfig": configuration}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> State:
    """The state directory of the platform of this module."""
    return State(tmp_path_factory.mktemp("times") / "local")


@pytest.fixture(scope="module")
def fast(home: State) -> Iterator[Fast]:
    """Every job of this module, on one platform; things are at what they shall be at."""
    platform = process.background(home, Ports(0, 0, 0), None, conditions.read(clock_speed=SPEED))
    try:
        made = Fast(platform)
        made.report("steps", "t00", "IN_PROGRESS", stepTimeoutInMinutes=1)
        made.report("again", "t00", "IN_PROGRESS")
        for thing in ("t00", "t01", "t02"):
            made.report("aborted", thing, "IN_PROGRESS")
        for behavior in ("STOP_ROLLOUT", "CANCEL", "FORCE_CANCEL"):
            made.report(behavior, "t00", "IN_PROGRESS")
        yield made
    finally:
        process.stop(home)


def test_the_rate_grows_by_its_steps(fast: Fast) -> None:
    """1, 2, then 8 and the rest in the minutes that follow: as `ota plan` reckons with the same function."""
    until(lambda: len(fast.queued("growing")) == 15, PATIENCE)
    batches = list(rollout({"exponentialRate": GROWING}).batches(15))
    found = fast.queued("growing")
    ends = list(itertools.accumulate(batches))
    begins = [found[end - size] for end, size in zip(ends, batches, strict=True)]
    assert [1, 2, 8, 4] == batches
    assert all(later - earlier >= timedelta(minutes=1) for earlier, later in itertools.pairwise(begins))
    assert all(
        found[end - 1] - found[end - size] < timedelta(minutes=1) for end, size in zip(ends, batches, strict=True)
    )


def test_a_step_timer_ends_an_execution_that_has_hours_left(fast: Fast) -> None:
    """The step had a minute."""
    until(lambda: fast.job("steps")["status"] == "COMPLETED", PATIENCE)
    assert ["TIMED_OUT"] == fast.statuses("steps")


def test_what_timed_out_is_tried_again(fast: Fast) -> None:
    """Queued once more, as the second execution."""
    until(lambda: fast.executions("again")["t00"]["executionNumber"] == 2, PATIENCE)
    assert ("QUEUED", 1) == tuple(fast.executions("again")["t00"][key] for key in ("status", "retryAttempt"))


def test_timeouts_meet_the_abort_criteria(fast: Fast) -> None:
    """Three that hang are failures: what is queued is canceled."""
    until(lambda: fast.job("aborted")["status"] == "CANCELED", PATIENCE)
    found = fast.statuses("aborted")
    assert ("CANCELED", True) == (found[3], set(found[:2]) == {"TIMED_OUT"})


def test_a_window_opens_again_and_again(fast: Fast) -> None:
    """Five things at one a minute need three windows of two minutes; between them nothing is notified."""
    until(lambda: len(fast.queued("windows")) >= 3, PATIENCE)
    moments = fast.queued("windows")
    assert {0, 1} >= {moment.minute % 20 for moment in moments}
    assert len({moment.replace(minute=moment.minute // 20 * 20, second=0) for moment in moments}) >= 2


def test_a_job_starts_when_it_is_to(fast: Fast) -> None:
    """SCHEDULED and without executions until then."""
    if not fast.executions("scheduled"):
        assert fast.job("scheduled")["status"] in {"SCHEDULED", "IN_PROGRESS"}
    until(lambda: fast.executions("scheduled"), PATIENCE)
    assert "IN_PROGRESS" == fast.job("scheduled")["status"]
    assert fast.queued("scheduled")[0] >= fast.start.replace(microsecond=0)


@pytest.mark.parametrize(
    ("behavior", "status", "statuses"),
    [
        ("CANCEL", "CANCELED", ["IN_PROGRESS", "CANCELED"]),
        ("FORCE_CANCEL", "CANCELED", ["CANCELED", "CANCELED"]),
        ("STOP_ROLLOUT", "IN_PROGRESS", ["IN_PROGRESS", "QUEUED"]),
    ],
)
def test_a_job_ends_as_it_says(fast: Fast, behavior: str, status: str, statuses: list[str]) -> None:
    """At its end time what is queued, and what is in progress, goes as the endBehavior says."""
    until(lambda: fast.job("CANCEL")["status"] == "CANCELED", PATIENCE)
    until(lambda: fast.job(behavior)["status"] == status, PATIENCE)
    assert statuses == fast.statuses(behavior)
    if status == "CANCELED":
        assert fast.job(behavior)["completedAt"].astimezone(UTC) >= fast.ends[behavior].replace(microsecond=0)


def test_watch_judges_a_deadline_by_the_platforms_clock(
    fast: Fast, home: State, iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thing never comes: an hour of the platform is over in six seconds, and it has failed."""
    monkeypatch.setenv("IOTCTL_HOME", str(home.directory.parent))
    ran = iotctl("--local", "ota", "watch", "again", "--deadline", "60m", "--timeout", "20s")
    assert (10, True) == (ran.code, "at the deadline" in ran.stderr)
