"""What time does to jobs: rollouts, aborts, timeouts, retries, schedules, windows, and members that come and go."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from iotctl.local.services.jobs import rolling
from tests.local.jobs.conftest import World

SECONDS_TO_22 = 4 * 3600 + 13 * 60 + 20  # from the world's first moment, 17:46:40


def rate(maximum: int) -> dict[str, Any]:
    """A constant rate."""
    return {"jobExecutionsRolloutConfig": {"maximumPerMinute": maximum}}


def abort(kind: str, percent: float, minimum: int) -> dict[str, Any]:
    """One abort criterion."""
    criterion = {
        "failureType": kind,
        "action": "CANCEL",
        "thresholdPercentage": percent,
        "minNumberOfExecutedThings": minimum,
    }
    return {"abortConfig": {"criteriaList": [criterion]}}


def retry(**numbers: int) -> dict[str, Any]:
    """Retries by failure type."""
    listed = [{"failureType": kind, "numberOfRetries": number} for kind, number in numbers.items()]
    return {"jobExecutionsRetryConfig": {"criteriaList": listed}}


def fleet(world: World, number: int) -> list[str]:
    """Things in the group `g`."""
    names = [f"t{index:02}" for index in range(number)]
    world.things(*names, group="g")
    return names


def test_a_constant_rate(world: World) -> None:
    """Four a minute: four at once, four more after a minute, and the rest after two."""
    fleet(world, 10)
    world.job("j", "group/g", **rate(4))
    found = []
    for _ in range(4):
        job = world.describe("j")
        found.append((job["jobProcessDetails"]["numberOfQueuedThings"], job["isConcurrent"]))
        world.later(seconds=59.9)
        assert found[-1][0] == len(world.statuses("j"))
        world.later(seconds=0.1)
    assert [(4, True), (8, True), (10, False), (10, False)] == found
    assert rolling.next_due(world.store) is None


def test_an_exponential_rate_follows_successes(world: World) -> None:
    """Two a minute, doubled with each two successes: the rate grows as soon as they are reported."""
    names = fleet(world, 12)
    criteria = {"numberOfSucceededThings": 2}
    exponential = {"baseRatePerMinute": 2, "incrementFactor": 2.0, "rateIncreaseCriteria": criteria}
    world.job("j", "group/g", jobExecutionsRolloutConfig={"exponentialRate": exponential})
    assert 2 == len(world.statuses("j"))
    world.later(minutes=1)
    assert 4 == len(world.statuses("j"))
    for name in names[:2]:
        world.report(name, "j", "SUCCEEDED")
    world.later()
    assert 6 == len(world.statuses("j"))
    world.later(minutes=1)
    assert 10 == len(world.statuses("j"))


def test_what_is_due_next_is_found_without_looking_at_everything(world: World) -> None:
    """It is asked for with each message of a device, so it must cost the same however many executions there are."""
    plan = " ".join(row["detail"] for row in world.store.rows(f"EXPLAIN QUERY PLAN {rolling.NEXT_DUE}"))
    assert ["job_by_due", "job_execution_by_due"] == re.findall(r"COVERING INDEX (\w+)", plan)


def test_a_new_rate_holds_at_once(world: World) -> None:
    """UpdateJob makes a slow rollout quick."""
    fleet(world, 5)
    world.job("j", "group/g", **rate(1))
    world.call("UpdateJob", jobId="j", **rate(100))
    assert 5 == len(world.statuses("j"))


def test_a_snapshot_completes_with_the_last_execution(world: World) -> None:
    """And never before every thing was notified."""
    names = fleet(world, 2)
    world.job("j", "group/g", **rate(1))
    world.report(names[0], "j", "SUCCEEDED")
    assert "IN_PROGRESS" == world.status("j")
    world.later(minutes=1)
    world.report(names[1], "j", "FAILED")
    job = world.describe("j")
    counts = job["jobProcessDetails"]
    assert ("COMPLETED", world.time) == (job["status"], job["completedAt"])
    assert (1, 1) == (counts["numberOfSucceededThings"], counts["numberOfFailedThings"])


def test_an_empty_snapshot_is_complete(world: World) -> None:
    """Nothing is to be done."""
    fleet(world, 0)
    world.job("j", "group/g")
    assert "COMPLETED" == world.status("j")


def test_the_abort(world: World) -> None:
    """Half of four have failed: what is queued or waits is canceled, what is in progress goes on."""
    names = fleet(world, 8)
    world.job("j", "group/g", **rate(6), **abort("FAILED", 50.0, 4))
    world.report(names[4], "j", "IN_PROGRESS")
    for name, status in zip(names, ["SUCCEEDED", "FAILED", "REJECTED"], strict=False):
        world.report(name, "j", status)
    assert "IN_PROGRESS" == world.status("j")
    world.report(names[3], "j", "FAILED")
    job = world.describe("j")
    assert ("CANCELED", False) == (job["status"], job["isConcurrent"])
    assert job["comment"]
    assert {"SUCCEEDED": 1, "FAILED": 2, "REJECTED": 1, "IN_PROGRESS": 1, "CANCELED": 1} == Counter(
        world.statuses("j").values()
    )
    world.report(names[4], "j", "SUCCEEDED")
    world.later(minutes=5)
    assert 6 == len(world.statuses("j"))


def test_retries_that_fail_abort_too(world: World) -> None:
    """A thing that tries again counts as failed until it succeeds, and is not tried again after the abort."""
    names = fleet(world, 3)
    world.job("j", "group/g", **abort("ALL", 60.0, 2), **retry(FAILED=5))
    world.report(names[0], "j", "FAILED")
    assert "QUEUED" == world.statuses("j")[names[0]]
    world.report(names[1], "j", "FAILED")
    assert "CANCELED" == world.status("j")
    assert {"CANCELED": 3} == Counter(world.statuses("j").values())


def test_the_in_progress_timer(world: World) -> None:
    """It begins with IN_PROGRESS, no update moves it, and it ends in TIMED_OUT."""
    world.job("j", "t", timeoutConfig={"inProgressTimeoutInMinutes": 20})
    world.later(minutes=60)
    world.report("t", "j", "IN_PROGRESS")
    world.later(minutes=10)
    world.report("t", "j", "IN_PROGRESS", statusDetails={"step": "2"})
    assert 600 == world.execution("j", "t")["approximateSecondsBeforeTimedOut"]
    world.call("UpdateJob", jobId="j", timeoutConfig={"inProgressTimeoutInMinutes": 500})
    world.notices()
    world.later(minutes=9.99)
    assert "IN_PROGRESS" == world.execution("j", "t")["status"]
    world.later(minutes=0.01)
    assert ("TIMED_OUT", "COMPLETED") == (world.execution("j", "t")["status"], world.status("j"))
    assert ["notify", "notify-next"] == world.topics()


def test_step_timers_within_the_in_progress_timer(world: World) -> None:
    """The guide's table: 7 minutes at 12:05, 5 at 12:10, 9 at 12:13; it times out at 12:20, and not before."""
    world.job("j", "t", timeoutConfig={"inProgressTimeoutInMinutes": 20})
    world.ask("t", "start-next")
    for wait, minutes, left in ((5, 7, 7), (5, 5, 5), (3, 9, 7)):
        world.later(minutes=wait)
        world.report("t", "j", "IN_PROGRESS", stepTimeoutInMinutes=minutes)
        assert left * 60 == world.execution("j", "t")["approximateSecondsBeforeTimedOut"]
    world.later(minutes=6.9)
    assert "IN_PROGRESS" == world.execution("j", "t")["status"]
    world.later(minutes=0.1)
    assert "TIMED_OUT" == world.execution("j", "t")["status"]


def test_a_step_timer_may_be_stopped(world: World) -> None:
    """-1 stops it; without the member it goes on."""
    world.job("j", "t")
    world.ask("t", "start-next", {"stepTimeoutInMinutes": 5})
    world.report("t", "j", "IN_PROGRESS")
    assert 300 == world.execution("j", "t")["approximateSecondsBeforeTimedOut"]
    world.report("t", "j", "IN_PROGRESS", stepTimeoutInMinutes=-1)
    world.later(minutes=100)
    assert "IN_PROGRESS" == world.execution("j", "t")["status"]


def test_retries(world: World) -> None:
    """Two for FAILED: the third failure stays; each is a new execution, and the device hears of it."""
    world.job("j", "t", **retry(FAILED=2))
    world.notices()
    for attempt in (1, 2):
        world.report("t", "j", "FAILED", statusDetails={"why": "x"})
        (found,) = world.call("ListJobExecutionsForThing", thingName="t")["executionSummaries"]
        summary = found["jobExecutionSummary"]
        assert ("QUEUED", attempt, attempt + 1) == (
            summary["status"],
            summary["retryAttempt"],
            summary["executionNumber"],
        )
        assert (1, {}) == (
            world.execution("j", "t")["versionNumber"],
            world.execution("j", "t")["statusDetails"]["detailsMap"],
        )
        assert ["notify", "notify-next"] == world.topics()
    world.report("t", "j", "FAILED")
    assert ("FAILED", "COMPLETED") == (world.execution("j", "t")["status"], world.status("j"))


def test_a_timeout_is_retried_and_a_rejection_is_not(world: World) -> None:
    """By the failure types that have retries."""
    world.job("j", "t", timeoutConfig={"inProgressTimeoutInMinutes": 1}, **retry(TIMED_OUT=1))
    world.ask("t", "start-next")
    world.later(minutes=1)
    assert ("QUEUED", 2) == tuple(world.execution("j", "t")[key] for key in ("status", "executionNumber"))
    world.later(minutes=5)
    world.report("t", "j", "REJECTED")
    assert "REJECTED" == world.execution("j", "t")["status"]


def test_a_continuous_job_goes_with_its_group(world: World) -> None:
    """Who joins gets it at once, whatever the rate; who leaves has it no more; who joins again gets it anew."""
    fleet(world, 3)
    world.job("j", "group/g", targetSelection="CONTINUOUS", **rate(1), **retry(FAILED=1))
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="g")
    assert {"t00", "t"} == set(world.statuses("j"))
    world.report("t", "j", "FAILED")
    world.call("RemoveThingFromThingGroup", thingName="t", thingGroupName="g")
    assert "REMOVED" == world.statuses("j")["t"]
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="g")
    found = world.execution("j", "t")
    assert ("QUEUED", 3) == (found["status"], found["executionNumber"])
    world.report("t", "j", "FAILED")
    assert "QUEUED" == world.statuses("j")["t"], "its retries began anew"
    world.call("RemoveThingFromThingGroup", thingName="t02", thingGroupName="g")
    world.later(minutes=5)
    assert {"t00", "t01", "t"} == set(world.statuses("j"))
    for name in ("t00", "t01", "t"):
        world.report(name, "j", "SUCCEEDED")
    assert "IN_PROGRESS" == world.status("j")


def test_groups_below_a_target_count(world: World) -> None:
    """Both when the job is made and later."""
    world.things(group="site")
    world.call("CreateThingGroup", thingGroupName="hall", parentGroupName="site")
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="hall")
    world.job("j", "group/site", targetSelection="CONTINUOUS")
    world.things("u")
    world.call("AddThingToThingGroup", thingName="u", thingGroupName="hall")
    assert {"t": "QUEUED", "u": "QUEUED"} == world.statuses("j")


def test_a_snapshot_stays_with_its_things(world: World) -> None:
    """Who joins later does not get it, who leaves keeps it."""
    fleet(world, 1)
    world.job("j", "group/g")
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="g")
    world.call("RemoveThingFromThingGroup", thingName="t00", thingGroupName="g")
    assert {"t00": "QUEUED"} == world.statuses("j")


def test_a_thing_that_is_deleted_executes_nothing(world: World) -> None:
    """Its executions are REMOVED, and a job waits for it no more."""
    fleet(world, 2)
    world.job("j", "group/g", **rate(1))
    for name in ("t00", "t01"):
        world.call("DeleteThing", thingName=name)
    assert ({"t00": "REMOVED"}, "COMPLETED") == (world.statuses("j"), world.status("j"))


def test_groups_are_added_to_a_continuous_job(world: World) -> None:
    """AssociateTargetsWithJob; neither things nor snapshot jobs can be."""
    fleet(world, 1)
    world.things("u", group="h")
    world.job("j", "group/g", targetSelection="CONTINUOUS")
    world.job("s", "group/g")
    target = world.store.arn("thinggroup/h")
    world.call("AssociateTargetsWithJob", jobId="j", targets=[target], comment="more")
    assert {"t00", "u"} == set(world.statuses("j"))
    assert ([world.store.arn("thinggroup/g"), target], "more") == tuple(
        world.describe("j")[key] for key in ("targets", "comment")
    )
    assert "InvalidRequestException" == world.refused("AssociateTargetsWithJob", jobId="s", targets=[target])
    thing = world.store.arn("thing/t")
    assert "InvalidRequestException" == world.refused("AssociateTargetsWithJob", jobId="j", targets=[thing])


def test_a_start_time(world: World) -> None:
    """SCHEDULED until then; it counts from the moment that it names."""
    world.job("j", "t", schedulingConfig={"startTime": "2030-03-17T18:30:00Z"})
    assert ("SCHEDULED", {}) == (world.status("j"), world.statuses("j"))
    world.later(minutes=43)
    assert "SCHEDULED" == world.status("j")
    world.later(minutes=1)
    assert ("IN_PROGRESS", {"t": "QUEUED"}) == (world.status("j"), world.statuses("j"))


@pytest.mark.parametrize(
    ("behavior", "status", "statuses"),
    [
        ("STOP_ROLLOUT", "IN_PROGRESS", {"t00": "IN_PROGRESS", "t01": "QUEUED"}),
        ("CANCEL", "CANCELED", {"t00": "IN_PROGRESS", "t01": "CANCELED"}),
        ("FORCE_CANCEL", "CANCELED", {"t00": "CANCELED", "t01": "CANCELED"}),
    ],
)
def test_an_end_time(world: World, behavior: str, status: str, statuses: dict[str, str]) -> None:
    """What is not notified by then never is; what is queued or in progress goes as the job says."""
    fleet(world, 100)
    scheduling = {"endTime": "2030-03-17T18:30:00Z", "endBehavior": behavior}
    world.job("j", "group/g", schedulingConfig=scheduling, **rate(2))
    world.report("t00", "j", "IN_PROGRESS")
    world.later(minutes=43)
    for name in list(world.statuses("j"))[2:]:
        world.report(name, "j", "SUCCEEDED")
    assert 88 == len(world.statuses("j"))
    world.later(minutes=60)
    found = {name: found for name, found in world.statuses("j").items() if found != "SUCCEEDED"}
    assert (status, statuses) == (world.status("j"), found)


def test_a_continuous_job_with_an_end_completes(world: World) -> None:
    """Once the time has passed and every execution has ended; who joins then does not get it."""
    fleet(world, 1)
    world.job("j", "group/g", targetSelection="CONTINUOUS", schedulingConfig={"endTime": "2030-03-17T18:30:00Z"})
    world.later(minutes=60)
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="g")
    assert ("IN_PROGRESS", ["t00"]) == (world.status("j"), list(world.statuses("j")))
    world.report("t00", "j", "SUCCEEDED")
    assert "COMPLETED" == world.status("j")


def test_maintenance_windows(world: World) -> None:
    """SCHEDULED between the windows, IN_PROGRESS in them; the rollout goes on in the next one."""
    fleet(world, 5)
    windows = [{"startTime": "cron(0 22 * * ? *)", "durationInMinutes": 2}]
    world.job("j", "group/g", targetSelection="CONTINUOUS", schedulingConfig={"maintenanceWindows": windows}, **rate(2))
    job = world.describe("j")
    assert ("SCHEDULED", 7) == (job["status"], len(job["scheduledJobRollouts"]))
    assert {"startTime": "2030-03-17T22:00:00Z"} == job["scheduledJobRollouts"][0]
    found = []
    world.call("AddThingToThingGroup", thingName="t", thingGroupName="g")
    for seconds in (SECONDS_TO_22, 119, 1, 86280, 600):
        world.later(seconds=seconds)
        found.append((world.status("j"), len(world.statuses("j"))))
    assert [
        ("IN_PROGRESS", 2),
        ("IN_PROGRESS", 4),
        ("SCHEDULED", 4),
        ("IN_PROGRESS", 6),
        ("SCHEDULED", 6),
    ] == found


def test_what_became_due_long_ago_is_done_at_once(world: World) -> None:
    """As after a restart: the clock jumps, and one call does it all."""
    fleet(world, 3)
    world.job("j", "group/g", **rate(2), timeoutConfig={"inProgressTimeoutInMinutes": 1})
    world.ask("t00", "start-next")
    world.time += 3600
    rolling.run_due(world.store)
    assert {"t00": "TIMED_OUT", "t01": "QUEUED", "t02": "QUEUED"} == world.statuses("j")
    assert rolling.next_due(world.store) is None


def test_much_is_deleted_in_parts(world: World) -> None:
    """A job with more executions than may hold up everything else is gone after some rounds."""
    fleet(world, 1)
    for index in range(1, 600):
        world.call("CreateThing", thingName=f"x{index}")
        world.call("AddThingToThingGroup", thingName=f"x{index}", thingGroupName="g")
    world.job("j", "group/g")
    world.call("DeleteJob", jobId="j", force=True)
    assert "ResourceNotFound" == world.ask("t00", "j/get")[1]["code"]
    rolling.run_due(world.store)
    assert "DELETION_IN_PROGRESS" == world.status("j")
    world.later()
    assert "ResourceNotFoundException" == world.refused("DescribeJob", jobId="j")
    world.job("j", "t")
    assert {"t": "QUEUED"} == world.statuses("j")
