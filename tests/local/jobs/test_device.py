"""What a device asks for and reports over MQTT, and every refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotctl.local.services import Message
from iotctl.local.services.jobs import device
from tests.local.jobs.conftest import EPOCH, World

NOW = int(EPOCH)
FINE = {"status": "IN_PROGRESS"}


def test_pending_executions_by_status(world: World) -> None:
    """Two lists, each by when it was queued, with the token of the request."""
    for job_id in ("a", "b", "c"):
        world.job(job_id, "t")
    world.report("t", "b", "IN_PROGRESS")
    verb, answer = world.ask("t", "get", {"clientToken": "me"})
    assert ("accepted", "me", NOW) == (verb, answer["clientToken"], answer["timestamp"])
    assert (["b"], ["a", "c"]) == tuple(
        [one["jobId"] for one in answer[name]] for name in ("inProgressJobs", "queuedJobs")
    )


def test_start_next_starts_once(world: World) -> None:
    """The next one is started with its details; in progress it is given again as it is."""
    world.job("j", "t")
    world.later(seconds=5)
    first = world.ask("t", "start-next", {"statusDetails": {"a": "1"}, "clientToken": "x"})[1]
    second = world.ask("t", "start-next", {"statusDetails": {"a": "2"}})[1]
    expected = {
        "jobId": "j",
        "thingName": "t",
        "status": "IN_PROGRESS",
        "statusDetails": {"a": "1"},
        "queuedAt": NOW,
        "startedAt": NOW + 5,
        "lastUpdatedAt": NOW + 5,
        "versionNumber": 2,
        "executionNumber": 1,
        "jobDocument": {"operation": "test"},
    }
    assert {"execution": expected, "timestamp": NOW + 5, "clientToken": "x"} == first
    assert {"execution": expected, "timestamp": NOW + 5} == second


def test_nothing_pending_is_no_error(world: World) -> None:
    """The answer has no execution."""
    for verb in ("start-next", "$next/get"):
        assert ("accepted", {"timestamp": NOW}) == world.ask("t", verb)


def test_describe_with_and_without_the_document(world: World) -> None:
    """By default with it; the number of the execution may be named."""
    world.job("j", "t")
    assert "jobDocument" in world.ask("t", "j/get", {"executionNumber": 1})[1]["execution"]
    assert "jobDocument" not in world.ask("t", "$next/get", {"includeJobDocument": False})[1]["execution"]


def test_an_update_answers_what_was_asked_for(world: World) -> None:
    """Nothing by default; the state and the document on request; details stay where none are given."""
    world.job("j", "t")
    assert {"timestamp": NOW} == world.report("t", "j", "IN_PROGRESS", statusDetails={"step": "1"})
    wanted = {"includeJobExecutionState": True, "includeJobDocument": True, "clientToken": "c"}
    state = {"status": "SUCCEEDED", "statusDetails": {"step": "1"}, "versionNumber": 3}
    assert {
        "executionState": state,
        "jobDocument": {"operation": "test"},
        "timestamp": NOW,
        "clientToken": "c",
    } == world.report("t", "j", "SUCCEEDED", **wanted)


def test_a_device_may_skip_in_progress(world: World) -> None:
    """QUEUED becomes SUCCEEDED directly."""
    world.job("j", "t")
    world.report("t", "j", "SUCCEEDED")
    assert "SUCCEEDED" == world.execution("j", "t")["status"]


@pytest.mark.parametrize(
    ("verb", "payload", "code"),
    [
        ("bad id/get", b"", "InvalidTopic"),
        ("$next/update", FINE, "InvalidTopic"),
        (f"{'j' * 65}/get", b"", "InvalidTopic"),
        ("get", b"{", "InvalidJson"),
        ("get", b"\xff", "InvalidJson"),
        ("get", b"[]", "InvalidRequest"),
        ("get", {"clientToken": "x" * 65}, "InvalidRequest"),
        ("get", {"clientToken": 1}, "InvalidRequest"),
        ("j/update", b"", "InvalidRequest"),
        ("j/update", {"status": "QUEUED"}, "InvalidRequest"),
        ("j/update", {"status": "CANCELED"}, "InvalidRequest"),
        ("j/update", {**FINE, "expectedVersion": "1"}, "InvalidRequest"),
        ("j/update", {**FINE, "includeJobDocument": "yes"}, "InvalidRequest"),
        ("j/update", {**FINE, "statusDetails": {"a b": "c"}}, "InvalidRequest"),
        ("j/update", {**FINE, "statusDetails": {"a": 1}}, "InvalidRequest"),
        ("j/update", {**FINE, "statusDetails": {"a": "x" * 1025}}, "InvalidRequest"),
        ("j/update", {**FINE, "statusDetails": {f"k{n}": "v" for n in range(11)}}, "InvalidRequest"),
        ("j/update", {**FINE, "stepTimeoutInMinutes": 0}, "InvalidRequest"),
        ("start-next", {"stepTimeoutInMinutes": 10081}, "InvalidRequest"),
        ("other/get", b"", "ResourceNotFound"),
        ("other/update", FINE, "ResourceNotFound"),
        ("j/get", {"executionNumber": 2}, "ResourceNotFound"),
    ],
)
def test_refusals(world: World, verb: str, payload: Any, code: str) -> None:
    """Each has its code, and changes nothing."""
    world.job("j", "t")
    world.notices()
    answered, answer = world.ask("t", verb, payload)
    assert ("rejected", code, NOW) == (answered, answer["code"], answer["timestamp"])
    assert answer["message"]
    assert (1, "QUEUED") == (world.execution("j", "t")["versionNumber"], world.execution("j", "t")["status"])
    assert [] == world.notices()


def test_the_token_comes_back_with_a_refusal(world: World) -> None:
    """Also where something else of the request is wrong."""
    assert "me" == world.ask("t", "none/update", {"status": "?", "clientToken": "me"})[1]["clientToken"]


@pytest.mark.parametrize("verb", ["get", "start-next", "$next/get"])
def test_a_thing_that_does_not_exist(world: World, verb: str) -> None:
    """ResourceNotFound."""
    assert "ResourceNotFound" == world.ask("nobody", verb)[1]["code"]


def test_a_version_that_is_not_expected(world: World) -> None:
    """VersionMismatch, with the state as it is; the right version passes."""
    world.job("j", "t")
    world.report("t", "j", "IN_PROGRESS", expectedVersion=1)
    verb, answer = world.ask("t", "j/update", {**FINE, "expectedVersion": 1})
    state = {"status": "IN_PROGRESS", "statusDetails": {}, "versionNumber": 2}
    assert ("rejected", "VersionMismatch", state) == (verb, answer["code"], answer["executionState"])


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "REJECTED"])
def test_nothing_follows_the_end(world: World, status: str) -> None:
    """InvalidStateTransition with the state; describing it is TerminalStateReached."""
    world.job("j", "t")
    world.report("t", "j", status)
    answer = world.ask("t", "j/update", FINE)[1]
    assert ("InvalidStateTransition", status) == (answer["code"], answer["executionState"]["status"])
    assert "TerminalStateReached" == world.ask("t", "j/get")[1]["code"]


def test_a_nul_at_the_end_is_no_error(world: World) -> None:
    """C programs send it."""
    assert "accepted" == world.ask("t", "get", b'{"clientToken":"c"}\0')[0]


def test_who_is_nobody_is_not_answered(world: World) -> None:
    """A request that was published over HTTP has no client to answer, and its answer goes to no subscriber."""
    device.on_request(world.store, Message("$aws/things/t/jobs/get", b""))
    assert [] == world.store.drain()


def test_presigned_urls_are_made_when_asked_for(world: World) -> None:
    """Placeholders of either version, deep in the document; operators see them as they are."""
    url = "https://s3.us-east-1.amazonaws.com/bucket/a/b%20c.bin"
    virtual = "https://bucket.s3.us-east-1.amazonaws.com/k"
    document = {
        "files": [{"url": f"${{aws:iot:s3-presigned-url:{url}}}"}],
        "other": f"get ${{aws:iot:s3-presigned-url-v2:{virtual}}}",
        "n": 1,
    }
    text = json.dumps(document)
    role = {"roleArn": "arn:aws:iam::123456789012:role/jobs", "expiresInSec": 60}
    world.job("j", "t", document=text, presignedUrlConfig=role)
    found = world.ask("t", "j/get")[1]["execution"]["jobDocument"]
    assert 1 == found["n"]
    assert "/bucket/a/b%20c.bin?X-Amz-" in found["files"][0]["url"]
    assert "X-Amz-Expires=60&" in found["files"][0]["url"]
    assert found["other"].startswith("get http")
    assert "/bucket/k?X-Amz-" in found["other"]
    assert text == world.call("GetJobDocument", jobId="j")["document"]
