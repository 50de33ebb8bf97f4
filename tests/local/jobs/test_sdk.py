"""Jobs with AWS's own device SDK, unmodified: IotJobsClient and IotJobsClientV2, MQTT 3.1.1 and MQTT 5."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotjobs

from tests.local.conftest import client
from tests.local.shadows import test_sdk as sdk
from tests.local.shadows.test_sdk import PATIENCE, QOS, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.local.clients import Device
    from tests.local.conftest import Name

client5, connection, pump = sdk.client5, sdk.connection, sdk.pump
DOCUMENT = {"operation": "reboot"}


@pytest.fixture(params=["3.1.1", "5"])
def transport(request: pytest.FixtureRequest) -> Any:
    """A device's connection, over either version of MQTT."""
    return request.getfixturevalue("connection" if request.param == "3.1.1" else "client5")


@pytest.fixture
def v2(transport: Any) -> iotjobs.IotJobsClientV2:
    """The second client."""
    return iotjobs.IotJobsClientV2(transport, mqtt_request_response.ClientOptions(2, 4, PATIENCE))


@pytest.fixture
def jobs(iot: Any, pump: Device, name: Name) -> list[str]:
    """Two jobs for the device."""
    made = [name("first"), name("second")]
    target = iot.describe_thing(thingName=pump.name)["thingArn"]
    for job_id in made:
        iot.create_job(jobId=job_id, targets=[target], document=json.dumps(DOCUMENT))
    return made


def test_v2_goes_through_its_jobs(v2: iotjobs.IotJobsClientV2, pump: Device, jobs: list[str], iot: Any) -> None:
    """Pending, described, started, reported, and what is refused."""
    thing = {"thing_name": pump.name}
    pending = v2.get_pending_job_executions(iotjobs.GetPendingJobExecutionsRequest(**thing)).result(PATIENCE)
    assert jobs == [one.job_id for one in pending.queued_jobs]
    ask = iotjobs.DescribeJobExecutionRequest(**thing, job_id="$next", include_job_document=True)
    following = v2.describe_job_execution(ask).result(PATIENCE).execution
    assert (jobs[0], "QUEUED", DOCUMENT) == (following.job_id, following.status, following.job_document)
    start = iotjobs.StartNextPendingJobExecutionRequest(**thing, status_details={"step": "1"})
    started = v2.start_next_pending_job_execution(start).result(PATIENCE).execution
    assert (jobs[0], "IN_PROGRESS", 2, pump.name) == (
        started.job_id,
        started.status,
        started.version_number,
        started.thing_name,
    )
    done = iotjobs.UpdateJobExecutionRequest(
        **thing,
        job_id=jobs[0],
        status=iotjobs.JobStatus.SUCCEEDED,
        expected_version=2,
        include_job_execution_state=True,
    )
    assert "SUCCEEDED" == v2.update_job_execution(done).result(PATIENCE).execution_state.status
    with pytest.raises(V2ServiceException) as refused:
        v2.update_job_execution(done).result(PATIENCE)
    assert "VersionMismatch" == refused.value.modeled_error.code
    assert "COMPLETED" == iot.describe_job(jobId=jobs[0])["job"]["status"]


def test_v2_streams_what_changes(v2: iotjobs.IotJobsClientV2, pump: Device, jobs: list[str], iot: Any) -> None:
    """A job that is canceled leaves the list, and the next one comes."""
    lists: queue.Queue[Any] = queue.Queue()
    heads: queue.Queue[Any] = queue.Queue()
    thing = {"thing_name": pump.name}
    changed = iotjobs.JobExecutionsChangedSubscriptionRequest(**thing)
    following = iotjobs.NextJobExecutionChangedSubscriptionRequest(**thing)
    streams = [
        v2.create_job_executions_changed_stream(changed, stream(lists)),
        v2.create_next_job_execution_changed_stream(following, stream(heads)),
    ]
    for one, events in zip(streams, (lists, heads), strict=True):
        one.open()
        events.get(timeout=PATIENCE)  # it is subscribed
    iot.cancel_job(jobId=jobs[0])
    assert [jobs[1]] == [one.job_id for one in lists.get(timeout=PATIENCE).jobs["QUEUED"]]
    assert jobs[1] == heads.get(timeout=PATIENCE).execution.job_id


def test_the_walk_of_the_guide_over_the_wire(
    v2: iotjobs.IotJobsClientV2, pump: Device, iot: Any, running: Platform, name: Name
) -> None:
    """Three jobs on one thing, changed over HTTP and over MQTT in turn: the device hears just what the guide says."""
    heard: queue.Queue[Any] = queue.Queue()
    thing, data = {"thing_name": pump.name}, client(running, "iot-jobs-data")
    subscribed: queue.Queue[Any] = queue.Queue()
    streams = [
        v2.create_job_executions_changed_stream(
            iotjobs.JobExecutionsChangedSubscriptionRequest(**thing), telling(heard, subscribed)
        ),
        v2.create_next_job_execution_changed_stream(
            iotjobs.NextJobExecutionChangedSubscriptionRequest(**thing), telling(heard, subscribed)
        ),
    ]
    for one in streams:
        one.open()
        subscribed.get(timeout=PATIENCE)
    first, second, third = made = [name(stem) for stem in ("first", "second", "third")]
    target = iot.describe_thing(thingName=pump.name)["thingArn"]

    def create(job_id: str) -> None:
        iot.create_job(jobId=job_id, targets=[target], document=json.dumps(DOCUMENT))

    def over_http(job_id: str, status: str) -> None:
        data.update_job_execution(jobId=job_id, thingName=pump.name, status=status)

    def over_mqtt(job_id: str, status: str) -> None:
        v2.update_job_execution(iotjobs.UpdateJobExecutionRequest(**thing, job_id=job_id, status=status)).result(
            PATIENCE
        )

    steps: list[tuple[Callable[[], Any], set[tuple[Any, ...]]]] = [
        (lambda: create(first), {("notify", (), (0,)), ("next", 0)}),
        (lambda: create(second), {("notify", (), (0, 1))}),
        (lambda: data.start_next_pending_job_execution(thingName=pump.name), set()),
        (lambda: create(third), {("notify", (0,), (1, 2))}),
        (lambda: over_mqtt(first, "SUCCEEDED"), {("notify", (), (1, 2)), ("next", 1)}),
        (lambda: over_http(third, "IN_PROGRESS"), {("next", 2)}),
        (lambda: over_mqtt(second, "REJECTED"), {("notify", (2,), ())}),
        (
            lambda: iot.delete_job_execution(jobId=third, thingName=pump.name, executionNumber=1, force=True),
            {("notify", (), ()), ("next", None)},
        ),
    ]
    for step, expected in steps:
        step()
        # Nothing is waited for where nothing is to come: what came of it is the next step's surplus.
        assert expected == {heard_of(made, heard.get(timeout=PATIENCE)) for _ in expected}
    assert heard.empty()
    gone = data.get_pending_job_executions(thingName=pump.name)
    assert ([], []) == (gone["inProgressJobs"], gone["queuedJobs"])


def telling(heard: queue.Queue[Any], subscribed: queue.Queue[Any]) -> Any:
    """A stream that puts what comes into one queue, and that it is subscribed into another."""
    return ServiceStreamOptions(incoming_event_listener=heard.put, subscription_status_listener=subscribed.put)


def heard_of(made: list[str], event: Any) -> tuple[Any, ...]:
    """An event by the numbers of the jobs: the lists of a notify, the one of a notify-next."""
    if isinstance(event, iotjobs.NextJobExecutionChangedEvent):
        return "next", made.index(event.execution.job_id) if event.execution else None
    lists = [tuple(made.index(one.job_id) for one in event.jobs.get(key, ())) for key in ("IN_PROGRESS", "QUEUED")]
    return ("notify", *lists)


def test_a_report_over_http_is_seen_over_mqtt_and_the_other_way_round(
    v2: iotjobs.IotJobsClientV2, pump: Device, jobs: list[str], running: Platform
) -> None:
    """One execution, whichever way it is asked for: status, details and version."""
    data, thing = client(running, "iot-jobs-data"), {"thing_name": pump.name}
    data.update_job_execution(jobId=jobs[0], thingName=pump.name, status="IN_PROGRESS", statusDetails={"step": "http"})
    ask = iotjobs.DescribeJobExecutionRequest(**thing, job_id=jobs[0])
    seen = v2.describe_job_execution(ask).result(PATIENCE).execution
    assert ("IN_PROGRESS", {"step": "http"}, 2) == (seen.status, seen.status_details, seen.version_number)
    report = iotjobs.UpdateJobExecutionRequest(
        **thing, job_id=jobs[0], status="IN_PROGRESS", status_details={"step": "mqtt"}, expected_version=2
    )
    v2.update_job_execution(report).result(PATIENCE)
    found = data.describe_job_execution(jobId=jobs[0], thingName=pump.name)["execution"]
    assert ("IN_PROGRESS", {"step": "mqtt"}, 3) == (found["status"], found["statusDetails"], found["versionNumber"])


def test_v1_starts_and_reports(transport: Any, pump: Device, jobs: list[str]) -> None:
    """Subscribe to the answers, start the next, report, ask again: the way of the first client."""
    v1 = iotjobs.IotJobsClient(transport)
    came: queue.Queue[Any] = queue.Queue()
    thing = {"thing_name": pump.name}
    for subscription, _ in (
        v1.subscribe_to_start_next_pending_job_execution_accepted(
            iotjobs.StartNextPendingJobExecutionSubscriptionRequest(**thing), QOS, came.put
        ),
        v1.subscribe_to_update_job_execution_accepted(
            iotjobs.UpdateJobExecutionSubscriptionRequest(**thing, job_id=jobs[0]), QOS, came.put
        ),
        v1.subscribe_to_update_job_execution_rejected(
            iotjobs.UpdateJobExecutionSubscriptionRequest(**thing, job_id=jobs[0]), QOS, came.put
        ),
    ):
        subscription.result(PATIENCE)
    start = iotjobs.StartNextPendingJobExecutionRequest(**thing, client_token="mine")
    v1.publish_start_next_pending_job_execution(start, QOS).result(PATIENCE)
    started = came.get(timeout=PATIENCE)
    report = iotjobs.UpdateJobExecutionRequest(**thing, job_id=jobs[0], status=iotjobs.JobStatus.FAILED)
    v1.publish_update_job_execution(report, QOS).result(PATIENCE)
    accepted = came.get(timeout=PATIENCE)
    v1.publish_update_job_execution(report, QOS).result(PATIENCE)
    rejected = came.get(timeout=PATIENCE)
    assert ("mine", jobs[0], DOCUMENT) == (
        started.client_token,
        started.execution.job_id,
        started.execution.job_document,
    )
    assert accepted.timestamp is not None
    assert ("InvalidStateTransition", "FAILED") == (rejected.code, rejected.execution_state.status)
