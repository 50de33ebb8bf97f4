"""What a core reports of itself, and URLs that are signed as AWS signs them."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Botocore

from iotctl.local.devices.core import health, presign
from iotctl.local.devices.core.state import Group, Report

CORE = health.Core("cam", {"os": "linux", "architecture": "amd64"})
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_large_report_comes_in_chunks() -> None:
    """Each below AWS's limit of a message, numbered, with every component once."""
    reason = {"statusCodes": ["RUN_ERROR"], "statusReason": "x" * 900}
    components = [{"componentName": f"c{number}", "componentStatusDetails": reason} for number in range(300)]
    numbers = itertools.count(1)
    payloads = list(
        health.messages(
            CORE,
            "NUCLEUS_LAUNCH",
            components,
            healthy=True,
            deployment=None,
            sequence=lambda: next(numbers),
            now=5.0,
        )
    )
    reports = [json.loads(payload) for payload in payloads]

    assert max(map(len, payloads)) < 128 * 1024
    assert [{"chunkId": number, "totalChunks": 3} for number in (1, 2, 3)] == [one["chunkInfo"] for one in reports]
    assert [f"c{number}" for number in range(300)] == [c["componentName"] for one in reports for c in one["components"]]
    assert ["COMPLETE"] * 3 == [one["messageType"] for one in reports]
    assert [1, 2, 3] == [one["sequenceNumber"] for one in reports]


def test_a_deployment_names_the_roots_that_it_left_as_they_were() -> None:
    """So that they are known to come from it, too."""
    report = Report("j", "arn", "d", "FAILED", "FAILED_NO_STATE_CHANGE", "why", ["A"], ["T"], ["x", "y"])
    assert {
        "status": "FAILED",
        "statusDetails": {
            "detailedStatus": "FAILED_NO_STATE_CHANGE",
            "failureCause": "why",
            "errorStack": ["A"],
            "errorTypes": ["T"],
        },
        "fleetConfigurationArnForStatus": "arn",
        "deploymentId": "d",
        "unchangedRootComponents": ["y"],
    } == health.information(report, ["x"])


def test_a_dependency_comes_from_who_needs_it() -> None:
    """Of every group whose components need it, however far; circles end."""
    groups = {"a": Group("arn-a", 1, {"A": "1.0.0"}), "b": Group("arn-b", 1, {"B": "1.0.0", "C": "1.0.0"})}
    needs = {"A": ["C"], "B": [], "C": ["D"], "D": ["C"]}
    assert {"A": ["arn-a"], "B": ["arn-b"], "C": ["arn-a", "arn-b"], "D": ["arn-a", "arn-b"]} == {
        name: sorted(arns) for name, arns in health.origins(groups, needs).items()
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_url_is_signed_as_botocore_signs_it(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signature, also with a session token and a key that must be quoted."""
    url = presign.object_url("", "bucket", "a b/ü+~.zip", "eu-west-1")
    credentials = presign.Credentials("AKID", "secret", "tok/en==", "", NOW)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = AWSRequest(method, url)
    S3SigV4QueryAuth(Botocore("AKID", "secret", "tok/en=="), "s3", "eu-west-1", expires=900).add_auth(request)

    expected = sorted(request.url.partition("?")[2].split("&"))
    assert expected == sorted(
        presign.presigned(method, url, "eu-west-1", credentials, NOW).partition("?")[2].split("&")
    )
    assert "secret" not in repr(credentials)
    assert "tok/en" not in repr(credentials)


@pytest.mark.parametrize(
    ("s3", "bucket", "region", "expected"),
    [
        ("", "bucket", "eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com/k"),
        ("", "a.bucket", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/a.bucket/k"),
        ("", "bucket", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k"),
        ("http://127.0.0.1:4510/", "bucket", "eu-west-1", "http://127.0.0.1:4510/bucket/k"),
    ],
)
def test_where_an_object_is(s3: str, bucket: str, region: str, expected: str) -> None:
    """Virtual-hosted on AWS, but for names with periods, whose certificate would not fit."""
    assert expected == presign.object_url(s3, bucket, "k", region)
