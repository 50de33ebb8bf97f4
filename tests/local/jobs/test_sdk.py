"""Jobs with AWS's own device SDK, unmodified: IotJobsClient and IotJobsClientV2, MQTT 3.1.1 and MQTT 5."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import mqtt_request_response
from awsiot import V2ServiceException, iotjobs

from tests.local.shadows import test_sdk as sdk
from tests.local.shadows.test_sdk import PATIENCE, QOS, stream

if TYPE_CHECKING:
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
