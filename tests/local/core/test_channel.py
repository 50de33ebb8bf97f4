"""A core's deployments, message by message."""

from __future__ import annotations

import json
from typing import Any

from iotctl.local.devices.core.channel import Acknowledged, Cancel, Channel, Deploy, Pause, Refuse
from iotctl.local.devices.core.faults import Status
from iotctl.local.devices.core.state import Report
from iotctl.local.devices.thing import Publish, Told

JOBS = "$aws/things/cam/jobs"
SPACE = "namespace-aws-gg-deployment"
SHADOW = "$aws/things/cam/shadow/name/AWSManagedGreengrassV2Deployment"
ARN = "arn:aws:greengrass:eu-west-1:123456789012:configuration"


def document(target: str = "thinggroup/cores:1") -> dict[str, Any]:
    """A deployment document."""
    return {
        "deploymentId": f"d-{target}",
        "configurationArn": f"{ARN}:{target}",
        "creationTimestamp": 1,
        "components": {},
    }


def execution(job_id: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A message with a job that is next."""
    found = {"jobId": job_id, "executionNumber": number, "jobDocument": {**document(), **more}}
    return {"timestamp": 1, "execution": found}


def given(channel: Channel, topic: str, message: Any) -> list[Any]:
    """What the channel does about a message."""
    return list(channel.received(topic, json.dumps(message).encode()))


def published(actions: list[Any]) -> list[tuple[str, Any]]:
    """What is published, decoded."""
    return [(one.topic, json.loads(one.payload)) for one in actions if isinstance(one, Publish)]


def report(job_id: str, status: Status = Status.SUCCESSFUL, target: str = "thinggroup/cores:1", **more: Any) -> Report:
    """How a deployment ended."""
    return Report(job_id, f"{ARN}:{target}", f"d-{target}", status.word, status.value, **more)


def test_it_asks_when_it_connects() -> None:
    """For the next job, as the nucleus asks, and for its shadow."""
    asked = {"clientToken": "next", "includeJobDocument": True, "jobId": "$next", "thingName": "cam"}
    assert [(f"{JOBS}/$next/{SPACE}/get", asked), (f"{SHADOW}/get", {})] == published(Channel("cam").connected())


def test_a_job_from_its_notice_to_its_acknowledgement() -> None:
    """In progress, carried out, told until it is acknowledged, and never twice."""
    channel = Channel("cam")
    begun = given(channel, f"{JOBS}/notify-next-{SPACE}", execution("j"))
    update = f"{JOBS}/j/{SPACE}/update"

    assert [(update, {"clientToken": "IN_PROGRESS", "status": "IN_PROGRESS"})] == published(begun)
    assert ["j"] == [one.deployment.job_id for one in begun if isinstance(one, Deploy)]
    assert [] == given(channel, f"{JOBS}/$next/{SPACE}/get/accepted", execution("j"))
    assert [] == given(channel, f"{update}/accepted", {"clientToken": "IN_PROGRESS", "timestamp": 1})
    told = {
        "clientToken": "SUCCEEDED",
        "status": "SUCCEEDED",
        "statusDetails": {"detailed-deployment-status": "SUCCESSFUL"},
    }
    assert [(update, told)] == published(channel.ended(report("j")))
    assert (update, told) == published(channel.connected())[0]
    assert [(update, told)] == published(given(channel, f"{JOBS}/$next/{SPACE}/get/accepted", execution("j")))
    acknowledged = given(channel, f"{update}/accepted", {"clientToken": "SUCCEEDED", "timestamp": 1})
    assert Acknowledged("j") == acknowledged[0]
    assert [f"{JOBS}/$next/{SPACE}/get"] == [topic for topic, _ in published(acknowledged)]
    assert [] == given(channel, f"{JOBS}/$next/{SPACE}/get/accepted", execution("j"))
    assert [] != given(channel, f"{JOBS}/$next/{SPACE}/get/accepted", execution("j", number=2))


def test_a_job_that_is_executed_again_is_not_what_it_was() -> None:
    """The report of an earlier execution is not told of a later one."""
    channel = Channel("cam")
    given(channel, f"{JOBS}/notify-next-{SPACE}", execution("j"))
    channel.ended(report("j", Status.NO_STATE_CHANGE))
    again = given(channel, f"{JOBS}/notify-next-{SPACE}", execution("j", number=2))
    assert ["IN_PROGRESS"] == [body["status"] for _, body in published(again)]


def test_a_failure_says_why_within_the_limits_of_a_job() -> None:
    """Cause, stack and types, each at most 1,024 characters."""
    channel = Channel("cam")
    given(channel, f"{JOBS}/notify-next-{SPACE}", execution("j"))
    failed = report("j", Status.ROLLED_BACK, cause="x" * 2000, stack=["A", "B"], types=["T"])
    ((_, body),) = published(channel.ended(failed))

    assert {
        "detailed-deployment-status": "FAILED_ROLLBACK_COMPLETE",
        "deployment-failure-cause": "x" * 1024,
        "deployment-error-stack": '["A","B"]',
        "deployment-error-types": '["T"]',
    } == body["statusDetails"]
    assert "FAILED" == body["status"]


def test_a_job_that_is_gone_is_cancelled_or_forgotten() -> None:
    """Under way: cancelled; ended: its report has nobody to go to."""
    channel = Channel("cam")
    given(channel, f"{JOBS}/notify-next-{SPACE}", execution("j"))
    assert [Cancel()] == given(channel, f"{JOBS}/notify-next-{SPACE}", {"timestamp": 1})
    assert [f"{JOBS}/$next/{SPACE}/get", f"{SHADOW}/get"] == [topic for topic, _ in published(channel.ended(None))]

    given(channel, f"{JOBS}/notify-next-{SPACE}", execution("k"))
    channel.ended(report("k"))
    refused = {"code": "InvalidStateTransition", "message": "it was canceled", "timestamp": 1}
    told = given(channel, f"{JOBS}/k/{SPACE}/update/rejected", refused)
    assert [Told("rejected", None, "InvalidStateTransition it was canceled", "k"), Acknowledged("k")] == told[:2]


def test_too_fast_is_said_again_later() -> None:
    """AWS throttles updates; the report stays."""
    channel = Channel("cam", [report("j")])
    throttled = {"code": "RequestThrottled", "message": "slow down", "timestamp": 1}
    assert [Pause(5.0)] == given(channel, f"{JOBS}/j/{SPACE}/update/rejected", throttled)
    assert f"{JOBS}/j/{SPACE}/update" == published(channel.connected())[0][0]


def test_a_job_that_cannot_be_read_fails_at_once() -> None:
    """The reason goes into its report."""
    actions = given(Channel("cam"), f"{JOBS}/notify-next-{SPACE}", execution("j", components={"A": {}}))
    (refused,) = [one.report for one in actions if isinstance(one, Refuse)]

    assert ("FAILED", "FAILED_NO_STATE_CHANGE") == (refused.status, refused.detailed)
    assert ["DEPLOYMENT_FAILURE", "DEPLOYMENT_DOCUMENT_NOT_VALID"] == refused.stack
    assert "FAILED" == published(actions)[0][1]["status"]


def shadow(target: str = "thing/cam:1", reported: Any = None, version: int = 1, status: str = "SUCCEEDED") -> Any:
    """The shadow as it is got."""
    desired = {"fleetConfig": json.dumps(document(target)), "desiredStatus": status}
    return {"state": {"desired": desired, **({"reported": reported} if reported else {})}, "version": version}


def test_a_shadow_from_its_change_to_its_acknowledgement() -> None:
    """In progress, carried out, reported with its details; a report of its own changes nothing."""
    channel = Channel("cam")
    begun = given(channel, f"{SHADOW}/update/accepted", shadow())
    ((topic, body),) = published(begun)

    assert (f"{SHADOW}/update", "IN_PROGRESS", f"{ARN}:thing/cam:1") == (
        topic,
        body["state"]["reported"]["status"],
        body["state"]["reported"]["fleetConfigurationArnForStatus"],
    )
    assert 1 == sum(isinstance(one, Deploy) for one in begun)
    assert [] == given(channel, f"{SHADOW}/get/accepted", shadow())
    ((_, told),) = published(channel.ended(report("", target="thing/cam:1")))
    details = {"detailedStatus": "SUCCESSFUL", "failureCause": "", "errorStack": [], "errorTypes": []}
    assert details == told["state"]["reported"]["statusDetails"]
    accepted = {"state": told["state"], "version": 2, "clientToken": told["clientToken"]}
    assert [Acknowledged(f"{ARN}:thing/cam:1")] == given(channel, f"{SHADOW}/update/accepted", accepted)
    assert len(told["clientToken"].encode()) <= 64


def test_what_a_shadow_has_seen_before_is_not_done_again() -> None:
    """After a restart: ended is ended, in progress is done again; an older version is not looked at."""
    ended = {"fleetConfigurationArnForStatus": f"{ARN}:thing/cam:1", "status": "FAILED"}
    assert [] == given(Channel("cam"), f"{SHADOW}/get/accepted", shadow(reported=ended))
    under_way = {**ended, "status": "IN_PROGRESS"}
    channel = Channel("cam")
    assert [] != given(channel, f"{SHADOW}/get/accepted", shadow(reported=under_way, version=7))
    assert [] == given(channel, f"{SHADOW}/update/accepted", shadow("thing/cam:2", version=6))


def test_a_newer_deployment_of_the_thing_waits_and_replaces_what_waits() -> None:
    """One at a time; of those that wait only the newest is carried out."""
    channel = Channel("cam")
    given(channel, f"{SHADOW}/update/accepted", shadow(version=1))
    assert [] == given(channel, f"{SHADOW}/update/accepted", shadow("thing/cam:2", version=2))
    assert [] == given(channel, f"{SHADOW}/update/accepted", shadow("thing/cam:3", version=3))
    after = channel.ended(report("", target="thing/cam:1"))
    assert [f"{ARN}:thing/cam:3"] == [one.deployment.arn for one in after if isinstance(one, Deploy)]
    assert [Cancel()] == given(
        channel, f"{SHADOW}/update/accepted", shadow("thing/cam:3", version=4, status="CANCELED")
    )


def test_a_report_that_is_too_large_for_the_shadow_is_said_without_its_reason() -> None:
    """What is desired there takes most of the 8 KB; one that is refused even so is given up."""
    target = "thing/cam:1"
    channel = Channel("cam", [report("", Status.ROLLED_BACK, target, cause="why", stack=["A"], types=["T"])])
    token = published(channel.connected())[0][1]["clientToken"]
    refused = {"code": 413, "message": "too large", "timestamp": 1, "clientToken": token}
    ((_, told),) = published(given(channel, f"{SHADOW}/update/rejected", refused))
    details = {"detailedStatus": "FAILED_ROLLBACK_COMPLETE", "failureCause": "", "errorStack": [], "errorTypes": []}
    assert details == told["state"]["reported"]["statusDetails"]
    assert Acknowledged(f"{ARN}:{target}") == given(channel, f"{SHADOW}/update/rejected", refused)[-1]


def test_what_cannot_be_read_is_told() -> None:
    """Nothing that arrives can end a core."""
    channel = Channel("cam")
    for topic in (f"{JOBS}/notify-next-{SPACE}", f"{SHADOW}/get/accepted", f"{JOBS}/$next/{SPACE}/get/rejected"):
        for payload in (b"\xff", b"[]", b'{"execution": 5, "state": 5}', b"{" * 5000):
            assert [Told] == [type(one) for one in channel.received(topic, payload)]
    assert [] == channel.received("$aws/things/other/jobs/notify-next", b"{}")
