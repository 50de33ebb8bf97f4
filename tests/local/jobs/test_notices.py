"""notify and notify-next, as the developer guide's walk through three jobs has them; events of jobs and executions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotctl import clock
from iotctl.local.platform import open_store
from iotctl.local.state import State
from tests.local.jobs.conftest import DOCUMENT, EPOCH, World

NOW = int(EPOCH)


def queued(job_id: str, at: int, **more: Any) -> dict[str, Any]:
    """A summary of an execution."""
    return {"jobId": job_id, "queuedAt": at, "lastUpdatedAt": at, "executionNumber": 1, "versionNumber": 1, **more}


def started(job_id: str, at: int, since: int) -> dict[str, Any]:
    """A summary of an execution in progress."""
    return queued(job_id, at, lastUpdatedAt=since, startedAt=since, versionNumber=2)


def test_the_walk_of_the_guide(world: World) -> None:
    """Three jobs on one thing: what is published at each of the guide's steps, and that nothing else is."""
    document = {"jobDocument": {"operation": "test"}}
    world.job("job1", "t")
    assert [
        ("notify", {"timestamp": NOW, "jobs": {"QUEUED": [queued("job1", NOW)]}}),
        ("notify-next", {"timestamp": NOW, "execution": {**queued("job1", NOW), "status": "QUEUED", **document}}),
    ] == world.notices()

    world.later(seconds=10)
    world.job("job2", "t")
    both = [queued("job1", NOW), queued("job2", NOW + 10)]
    assert [("notify", {"timestamp": NOW + 10, "jobs": {"QUEUED": both}})] == world.notices()

    world.later(seconds=10)
    world.ask("t", "start-next")
    assert [] == world.notices()

    world.later(seconds=10)
    world.job("job3", "t")
    rest = [queued("job2", NOW + 10), queued("job3", NOW + 30)]
    listed = {"IN_PROGRESS": [started("job1", NOW, NOW + 20)], "QUEUED": rest}
    assert [("notify", {"timestamp": NOW + 30, "jobs": listed})] == world.notices()

    world.later(seconds=10)
    world.report("t", "job1", "SUCCEEDED")
    following = {**queued("job2", NOW + 10), "status": "QUEUED", **document}
    assert [
        ("notify", {"timestamp": NOW + 40, "jobs": {"QUEUED": rest}}),
        ("notify-next", {"timestamp": NOW + 40, "execution": following}),
    ] == world.notices()

    world.later(seconds=10)
    world.report("t", "job3", "IN_PROGRESS")
    third = started("job3", NOW + 30, NOW + 50)
    assert [
        ("notify-next", {"timestamp": NOW + 50, "execution": {**third, "status": "IN_PROGRESS", **document}})
    ] == world.notices()

    world.later(seconds=10)
    world.report("t", "job2", "REJECTED")
    assert [("notify", {"timestamp": NOW + 60, "jobs": {"IN_PROGRESS": [third]}})] == world.notices()

    world.later(seconds=10)
    world.call("DeleteJobExecution", jobId="job3", thingName="t", executionNumber=1, force=True)
    assert [
        ("notify", {"timestamp": NOW + 70, "jobs": {}}),
        ("notify-next", {"timestamp": NOW + 70}),
    ] == world.notices()


def test_details_of_the_first_are_no_news(world: World) -> None:
    """Progress on the execution at the head of the list is told to nobody."""
    world.job("j", "t")
    world.notices()
    for step in ("1", "2"):
        world.report("t", "j", "IN_PROGRESS", statusDetails={"step": step})
    assert [] == world.notices()


def test_a_list_has_ten_at_most(world: World) -> None:
    """Twelve are pending, ten are told; in progress before queued, each by when it was queued."""
    for number in range(12):
        world.later(seconds=1)
        world.job(f"j{number}", "t")
    world.report("t", "j11", "IN_PROGRESS")
    world.report("t", "j0", "REJECTED")
    jobs = world.notices()[-1][1]["jobs"]
    assert ["IN_PROGRESS", "QUEUED"] == list(jobs)
    listed = [one["jobId"] for some in jobs.values() for one in some]
    assert ["j11", *(f"j{number}" for number in range(1, 10))] == listed


def test_a_list_with_maintenance_windows_has_fifteen(world: World) -> None:
    """Once a job with windows is among them."""
    for number in range(16):
        world.job(f"j{number}", "t")
    assert 10 == len(world.notices()[-1][1]["jobs"]["QUEUED"])
    windows = [{"startTime": "* * * * ? *", "durationInMinutes": 1}]
    world.job("w", "t", schedulingConfig={"maintenanceWindows": windows})
    assert 15 == len(world.notices()[-1][1]["jobs"]["QUEUED"])


def test_namespaces_are_apart(world: World) -> None:
    """A job of a namespace is told of on its own topics, and is asked for on its own."""
    world.job("plain", "t")
    world.job("gg", "t", namespaceId="aws-gg-deployment")
    assert [
        "notify",
        "notify-next",
        "notify-namespace-aws-gg-deployment",
        "notify-next-namespace-aws-gg-deployment",
    ] == world.topics()
    assert "plain" == world.ask("t", "$next/get")[1]["execution"]["jobId"]
    verb, answer = world.ask("t", "$next/namespace-aws-gg-deployment/get", {"clientToken": "c"})
    assert ("accepted", "gg", "c") == (verb, answer["execution"]["jobId"], answer["clientToken"])
    assert ["plain"] == [one["jobId"] for one in world.ask("t", "get")[1]["queuedJobs"]]
    assert "rejected" == world.ask("t", "gg/update", {"status": "SUCCEEDED"})[0]
    assert "accepted" == world.ask("t", "gg/namespace-aws-gg-deployment/update", {"status": "SUCCEEDED"})[0]
    assert "execution" not in world.ask("t", "$next/namespace-aws-gg-deployment/get")[1]
    found = world.call("ListJobExecutionsForThing", thingName="t", namespaceId="aws-gg-deployment")
    assert ["gg"] == [one["jobId"] for one in found["executionSummaries"]]


def test_events_are_off_at_first(world: World) -> None:
    """Nothing is published under $aws/events unless it was asked for."""
    world.job("j", "t")
    world.report("t", "j", "SUCCEEDED")
    assert ["notify", "notify-next"] * 2 == world.topics()


def test_events_of_a_job_that_completes(world: World) -> None:
    """The payloads as the guide has them."""
    switch(world)
    world.job("j", "t", description="d")
    world.later(seconds=5)
    world.report("t", "j", "SUCCEEDED", statusDetails={"a": "b"})
    found = {topic: payload for topic, payload in world.notices() if topic.startswith("$aws")}
    execution, job = (found[f"$aws/events/{name}"] for name in ("jobExecution/j/succeeded", "job/j/completed"))
    assert {
        "eventType": "JOB_EXECUTION",
        "eventId": execution["eventId"],
        "timestamp": NOW + 5,
        "operation": "succeeded",
        "jobId": "j",
        "thingArn": world.store.arn("thing/t"),
        "status": "SUCCEEDED",
        "statusDetails": {"a": "b"},
    } == execution
    counts = dict.fromkeys((name for name in job["jobProcessDetails"]), 0)
    assert {
        "eventType": "JOB",
        "eventId": job["eventId"],
        "timestamp": NOW + 5,
        "operation": "completed",
        "jobId": "j",
        "status": "COMPLETED",
        "targetSelection": "SNAPSHOT",
        "targets": [world.store.arn("thing/t")],
        "description": "d",
        "completedAt": (NOW + 5) * 1000,
        "createdAt": NOW * 1000,
        "lastUpdatedAt": (NOW + 5) * 1000,
        "jobProcessDetails": {**counts, "numberOfSucceededThings": 1},
    } == job


def test_events_of_a_job_that_is_canceled_and_deleted(world: World) -> None:
    """Two messages for each: that it began, and that it is done."""
    switch(world)
    world.job("j", "t")
    world.call("CancelJob", jobId="j", comment="why")
    world.call("DeleteJob", jobId="j")
    world.later()
    found = [(topic.removeprefix("$aws/events/"), payload) for topic, payload in world.notices() if "events" in topic]
    assert [
        ("job/j/cancellation_in_progress", "CANCELLATION_IN_PROGRESS", "why"),
        ("jobExecution/j/canceled", "CANCELED", None),
        ("job/j/canceled", "CANCELED", "why"),
        ("job/j/deletion_in_progress", "DELETION_IN_PROGRESS", "why"),
        ("jobExecution/j/deleted", "CANCELED", None),
        ("job/j/deleted", "DELETED", "why"),
    ] == [(topic, payload["status"], payload.get("comment")) for topic, payload in found]


def switch(world: World) -> None:
    """Switch the events on."""
    enabled = {name: {"Enabled": True} for name in ("JOB", "JOB_EXECUTION")}
    world.call("UpdateEventConfigurations", eventConfigurations=enabled)


def test_the_document_is_an_object_over_mqtt(world: World) -> None:
    """And a text over HTTP, where the same is asked for."""
    world.job("j", "t")
    assert {"operation": "test"} == world.ask("t", "j/get")[1]["execution"]["jobDocument"]
    answer = world.call("iot-jobs-data:DescribeJobExecution", thingName="t", jobId="j")
    assert DOCUMENT == answer["execution"]["jobDocument"]


STEPS = st.lists(
    st.sampled_from(["create", "start", "skip", "SUCCEEDED", "FAILED", "REJECTED", "cancel", "delete", "later"]),
    max_size=25,
)


@settings(max_examples=40)
@given(STEPS, st.randoms(use_true_random=False))
def test_who_listens_knows_the_list(steps: list[str], chance: Random) -> None:
    """Whatever happens, the last notify holds what is pending now, and the last notify-next the first of it."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        store = open_store(State(Path(directory)))
        world = World(store)
        patch.setattr(clock, "epoch", lambda: world.time)
        world.things("t")
        listed: set[str] = set()
        head = None
        for number, step in enumerate(steps):
            pending = world.call("iot-jobs-data:GetPendingJobExecutions", thingName="t")
            ids = [one["jobId"] for name in ("inProgressJobs", "queuedJobs") for one in pending[name]]
            act(world, step, f"j{number}", chance.choice(ids) if ids else None)
            after = world.call("iot-jobs-data:GetPendingJobExecutions", thingName="t")
            now = [one["jobId"] for name in ("inProgressJobs", "queuedJobs") for one in after[name]]
            for topic, payload in world.notices():
                if topic == "notify":
                    listed = {one["jobId"] for some in payload["jobs"].values() for one in some}
                else:
                    head = payload.get("execution", {}).get("jobId")
            assert (set(now[:10]), now[0] if now else None) == (listed if len(now) <= 10 else set(now[:10]), head)
        store.close()


def act(world: World, step: str, new: str, job_id: str | None) -> None:
    """One step of a random history; a failure is retried once."""
    if step == "create":
        criteria = [{"failureType": "FAILED", "numberOfRetries": 1}]
        world.job(new, "t", jobExecutionsRetryConfig={"criteriaList": criteria})
    elif step == "start":
        world.ask("t", "start-next")
    elif step == "later":
        world.later(seconds=1)
    elif job_id is None:
        return
    elif step == "cancel":
        world.call("CancelJob", jobId=job_id, force=True)
    elif step == "delete":
        number = world.execution(job_id, "t")["executionNumber"]
        world.call("DeleteJobExecution", jobId=job_id, thingName="t", executionNumber=number, force=True)
    else:
        world.report("t", job_id, "IN_PROGRESS" if step == "skip" else step)
