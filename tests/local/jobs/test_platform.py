"""Jobs on a running platform: boto3, devices over MQTT and mutual TLS, and a restart."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local import process
from tests.local.clients import Device, Mqtt, allow, create_policy, register, until
from tests.local.conftest import Name, Raw, client, refused, without_metadata
from tests.local.test_mqtt_platform import over_https

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl import pki
    from iotctl.local.state import State
    from iotctl.target import Platform

NewDevice = Callable[..., Device]
DOCUMENT = '{"operation":"test"}'


@pytest.fixture(scope="session")
def jobs_data(running: Platform) -> Any:
    """A boto3 client of the jobs data plane."""
    return client(running, "iot-jobs-data")


def create(iot: Any, job_id: str, *things: str, **more: Any) -> None:
    """Create a job for things."""
    targets = [iot.describe_thing(thingName=thing)["thingArn"] for thing in things]
    iot.create_job(**{"jobId": job_id, "targets": targets, "document": DOCUMENT, **more})


def test_operators_and_devices_over_http(iot: Any, jobs_data: Any, name: Name) -> None:
    """A job from its creation to its end, with boto3 on both sides."""
    thing, job_id = name("t"), name("j")
    iot.create_thing(thingName=thing)
    create(iot, job_id, thing, description="d", timeoutConfig={"inProgressTimeoutInMinutes": 5})
    pending = jobs_data.get_pending_job_executions(thingName=thing)
    assert ([], [job_id]) == (pending["inProgressJobs"], [one["jobId"] for one in pending["queuedJobs"]])
    started = jobs_data.start_next_pending_job_execution(thingName=thing, statusDetails={"a": "b"})["execution"]
    assert ("IN_PROGRESS", DOCUMENT, {"a": "b"}) == (
        started["status"],
        started["jobDocument"],
        started["statusDetails"],
    )
    assert 290 < started["approximateSecondsBeforeTimedOut"] <= 300
    described = jobs_data.describe_job_execution(jobId="$next", thingName=thing, includeJobDocument=False)["execution"]
    assert "jobDocument" not in described
    answer = jobs_data.update_job_execution(
        jobId=job_id, thingName=thing, status="SUCCEEDED", includeJobExecutionState=True, includeJobDocument=True
    )
    assert {
        "executionState": {"status": "SUCCEEDED", "statusDetails": {"a": "b"}, "versionNumber": 3},
        "jobDocument": DOCUMENT,
    } == without_metadata(answer)
    job = iot.describe_job(jobId=job_id)["job"]
    assert ("COMPLETED", "d", 1) == (
        job["status"],
        job["description"],
        job["jobProcessDetails"]["numberOfSucceededThings"],
    )
    assert {} == without_metadata(jobs_data.start_next_pending_job_execution(thingName=thing))


def test_refusals_over_http(iot: Any, jobs_data: Any, name: Name, raw: Callable[..., Raw]) -> None:
    """The errors of the service model, with their status."""
    thing, job_id = name("t"), name("j")
    iot.create_thing(thingName=thing)
    create(iot, job_id, thing)
    both = {"jobId": job_id, "thingName": thing}
    found = [
        refused(jobs_data.get_pending_job_executions, thingName=name("none")),
        refused(jobs_data.describe_job_execution, jobId=name("none"), thingName=thing),
        refused(jobs_data.update_job_execution, **both, status="QUEUED"),
        refused(jobs_data.update_job_execution, **both, status="IN_PROGRESS", stepTimeoutInMinutes=0),
        refused(jobs_data.update_job_execution, **both, status="IN_PROGRESS", expectedVersion=9),
    ]
    jobs_data.update_job_execution(**both, status="REJECTED")
    found.append(refused(jobs_data.update_job_execution, **both, status="FAILED"))
    found.append(refused(jobs_data.describe_job_execution, **both))
    assert [
        ("ResourceNotFoundException", 404),
        ("ResourceNotFoundException", 404),
        ("InvalidRequestException", 400),
        ("InvalidRequestException", 400),
        ("InvalidStateTransitionException", 409),
        ("InvalidStateTransitionException", 409),
        ("TerminalStateException", 410),
    ] == [(one.code, one.status) for one in found]
    body = b'{"status":"FAILED"}'
    answer = raw("POST", f"/things/{thing}/jobs/{job_id}", body, service="iot-jobs-data").json
    assert {"status": "REJECTED", "statusDetails": {}, "versionNumber": 2} == answer["executionState"]


def test_an_answer_is_for_who_asked(running: Platform, device: NewDevice, iot: Any, name: Name) -> None:
    """The device gets it without a subscription; one that is subscribed and did not ask gets none."""
    pump = device()
    policy = create_policy(iot, allow("iot:*"))
    iot.attach_policy(policyName=policy, target=pump.arn)
    base = f"$aws/things/{pump.name}/jobs"
    with Mqtt(running, pump) as asking, Mqtt(running, pump, name("observer")) as observer:
        observer.subscribe(f"{base}/#")
        create(iot, name("j"), pump.name)
        asking.send(f"{base}/start-next")
        answer = asking.next()
        asking.publish(f"{base}/{name('j')}/update", {"status": "SUCCEEDED"})
        assert asking.next().topic.endswith("/update/accepted")
        observer.settle()
        heard = [one.topic.removeprefix(f"{base}/") for one in observer.rest()]
    assert (f"{base}/start-next/accepted", "IN_PROGRESS") == (answer.topic, answer.json["execution"]["status"])
    requests = ["start-next", f"{name('j')}/update"]
    assert sorted(["notify", "notify-next"] * 2 + requests) == sorted(heard)


def test_a_device_with_its_certificate(running: Platform, device: NewDevice, iot: Any, name: Name) -> None:
    """Over HTTPS its policies say which things' jobs it may ask for."""
    pump = device()
    valve = name("valve")
    iot.create_thing(thingName=valve)
    create(iot, name("j"), pump.name, valve)
    actions = ("GetPendingJobExecutions", "StartNextPendingJobExecution", "DescribeJobExecution", "UpdateJobExecution")
    resource = iot.describe_thing(thingName=pump.name)["thingArn"]
    policy = create_policy(iot, allow(*(f"iot:{action}" for action in actions), resource=resource))
    iot.attach_policy(policyName=policy, target=pump.arn)
    done = json.dumps({"status": "SUCCEEDED"}).encode()
    with over_https(running, pump) as ask:
        found = []
        for thing in (pump.name, valve):
            base = f"/things/{thing}/jobs"
            found += [
                ask("GET", base),
                ask("PUT", f"{base}/$next"),
                ask("GET", f"{base}/{name('j')}?includeJobDocument=false"),
                ask("POST", f"{base}/{name('j')}", done),
            ]
    assert [200] * 4 + [403] * 4 == [one.status for one in found]
    assert name("j") == found[0].json["queuedJobs"][0]["jobId"]
    assert "IN_PROGRESS" == found[2].json["execution"]["status"]
    assert "ForbiddenException" == found[4].error


def test_two_devices_at_once(running: Platform, device: NewDevice, iot: Any, name: Name) -> None:
    """Both go through ten jobs; each ends on each device, and none is done twice."""
    devices = [device("pump"), device("valve")]
    job_ids = [f"{name('j')}-{number}" for number in range(10)]
    for job_id in job_ids:
        create(iot, job_id, *(one.name for one in devices))
    done: dict[str, list[str]] = {one.name: [] for one in devices}

    def work(one: Device) -> None:
        base = f"$aws/things/{one.name}/jobs"
        with Mqtt(running, one) as connected:
            while True:
                connected.send(f"{base}/start-next")
                execution = connected.next().json.get("execution")
                if execution is None:
                    return
                connected.publish(f"{base}/{execution['jobId']}/update", {"status": "SUCCEEDED"})
                assert connected.next().topic.endswith("/update/accepted")
                done[one.name].append(execution["jobId"])

    threads = [threading.Thread(target=work, args=(one,)) for one in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {one.name: job_ids for one in devices} == done
    assert {"COMPLETED"} == {iot.describe_job(jobId=job_id)["job"]["status"] for job_id in job_ids}


def test_a_presigned_url_is_what_is_in_s3(running: Platform, iot: Any, jobs_data: Any, name: Name) -> None:
    """A document from S3, with a placeholder of an object: the URL that the device gets has its bytes."""
    s3 = client(running, "s3")
    bucket, thing = name("bucket"), name("t")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="model.onnx", Body=b"bytes")
    place = f"https://s3.{running.region}.amazonaws.com/{bucket}"
    document = {"url": f"${{aws:iot:s3-presigned-url:{place}/model.onnx}}"}
    s3.put_object(Bucket=bucket, Key="job.json", Body=json.dumps(document).encode())
    iot.create_thing(thingName=thing)
    target = iot.describe_thing(thingName=thing)["thingArn"]
    wanted = {"jobId": name("j"), "targets": [target], "documentSource": f"{place}/job.json"}
    assert "InvalidRequestException" == refused(iot.create_job, **wanted).code
    role = {"roleArn": "arn:aws:iam::123456789012:role/jobs"}
    iot.create_job(**wanted, presignedUrlConfig=role)
    execution = jobs_data.describe_job_execution(jobId=name("j"), thingName=thing)["execution"]
    url = json.loads(execution["jobDocument"])["url"]
    assert b"bytes" == fetched(url)
    assert f"{place}/job.json" == iot.describe_job(jobId=name("j"))["documentSource"]
    missing = {**wanted, "jobId": name("k"), "documentSource": f"{place}/none.json"}
    assert "InvalidRequestException" == refused(iot.create_job, **missing).code


def fetched(url: str) -> bytes:
    """What a URL gives."""
    import urllib.request

    with urllib.request.urlopen(url, timeout=10) as response:
        content: bytes = response.read()
    return content


def test_deleted_jobs_are_gone_soon(iot: Any, name: Name) -> None:
    """The platform's own timer carries the deletion out."""
    iot.create_thing(thingName=name("t"))
    create(iot, name("j"), name("t"))
    iot.delete_job(jobId=name("j"), force=True)

    def gone() -> bool:
        with contextlib.suppress(iot.exceptions.ResourceNotFoundException):
            return iot.describe_job(jobId=name("j"))["job"]["status"] != "DELETION_IN_PROGRESS"
        return True

    assert until(gone)
    assert "ResourceNotFoundException" == refused(iot.describe_job, jobId=name("j")).code


def test_a_restart_loses_nothing(own_platform: tuple[State, Platform], signer: pki.Authority, tmp_path: Path) -> None:
    """Jobs, executions and every timer are there again; what became due while it was down is done, and told."""
    state, platform = own_platform
    iot = client(platform)
    pump = register(iot, signer, tmp_path, "pump")
    iot.create_thing(thingName="valve")
    rollout = {"jobExecutionsRolloutConfig": {"maximumPerMinute": 1}}
    create(iot, "j", "pump", "valve", timeoutConfig={"inProgressTimeoutInMinutes": 5}, **rollout)
    base = "$aws/things/pump/jobs"
    with Mqtt(platform, pump, clean=False) as connected:
        connected.subscribe(f"{base}/notify")
        connected.send(f"{base}/start-next")
        assert "accepted" == connected.next().topic.rpartition("/")[2]
    process.stop(state)
    an_hour_ago(state)
    ports = state.ports()
    assert ports is not None
    again = client(process.background(state, ports, None))
    until(lambda: statuses(again, "j").get("pump") == "TIMED_OUT")
    assert {"pump": "TIMED_OUT", "valve": "QUEUED"} == statuses(again, "j")
    with Mqtt(platform, pump, clean=False) as connected:
        assert {} == connected.next().json["jobs"]


def an_hour_ago(state: State) -> None:
    """Let an hour pass for a platform that is down: everything that it waits for was due an hour earlier."""
    with contextlib.closing(sqlite3.connect(state.database)) as database, database:
        database.execute("UPDATE job SET due = due - 3600")
        database.execute("UPDATE job_rollout SET until = until - 3600")
        database.execute("UPDATE job_execution SET due = due - 3600")


def statuses(iot: Any, job_id: str) -> dict[str, str]:
    """The status of each thing's execution."""
    found = iot.list_job_executions_for_job(jobId=job_id)["executionSummaries"]
    return {one["thingArn"].rpartition("/")[2]: one["jobExecutionSummary"]["status"] for one in found}
