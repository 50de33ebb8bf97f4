"""Who may ask: the Host allow-list, no Origin, this platform's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.local.conftest import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.local.conftest import Raw


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4510", "127.0.0.1:1", "127.0.0.1.evil.example", "", "10.0.0.1"]
)
def test_a_foreign_host_is_refused(raw: Callable[..., Raw], host: str) -> None:
    """A name that a web site can point here is 403, whatever key is sent."""
    answer = raw("GET", "/things", headers={"Host": host})
    assert (answer.status, answer.error) == (403, "AccessDeniedException")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "bucket.localhost"])
def test_our_own_names_are_accepted(raw: Callable[..., Raw], running: Platform, host: str) -> None:
    """This machine's names, with the port or without."""
    port = urlsplit(running.http_url).port
    assert [raw("GET", "/things", headers={"Host": name}).status for name in (host, f"{host}:{port}")] == [200, 200]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:4510"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_a_web_page_is_refused(raw: Callable[..., Raw], method: str, origin: str) -> None:
    """Any Origin is 403, and no CORS header invites it to try again."""
    answer = raw(method, "/things/evil", headers={"Origin": origin})
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert raw("GET", "/things/evil").status == 404


@pytest.mark.parametrize(
    "authorization", ["", "Basic AAAA", "AWS4-HMAC-SHA256 nothing", "AWS4-HMAC-SHA256 Credential=a/b"]
)
def test_an_unsigned_request_is_refused(raw: Callable[..., Raw], authorization: str) -> None:
    """Without SigV4's credential it is MissingAuthenticationTokenException."""
    answer = raw("POST", "/things/unsigned", headers={"Authorization": authorization})
    assert (answer.status, answer.error) == (403, "MissingAuthenticationTokenException")
    assert raw("GET", "/things/unsigned").status == 404


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"])
def test_a_key_of_aws_is_told_where_it_came(raw: Callable[..., Raw], key: str) -> None:
    """A key of AWS is refused with words that say that nothing was done, and never repeated."""
    answer = raw("POST", "/things/real", key=key)
    assert (answer.status, answer.error) == (403, "UnrecognizedClientException")
    assert "not AWS: nothing was done" in answer.json["message"]
    assert key not in answer.json["message"]
    assert raw("GET", "/things/real").status == 404


def test_a_key_of_another_platform_is_refused(raw: Callable[..., Raw]) -> None:
    """Only this platform's key counts."""
    answer = raw("GET", "/things", key="IOTCTLLOCAL123456789")
    assert (answer.status, answer.error) == (403, "UnrecognizedClientException")


def test_another_region_is_refused(raw: Callable[..., Raw]) -> None:
    """On AWS another region is another registry."""
    answer = raw("GET", "/things", region="eu-west-1")
    assert (answer.status, answer.error) == (403, "InvalidSignatureException")


def test_sts_says_who_it_is(running: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """GetCallerIdentity answers the platform's account; a wrong key is InvalidClientTokenId, as AWS says it."""

    def sts(key: str) -> Any:
        return boto3.client(
            "sts",
            endpoint_url=running.http_url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )

    identity = sts(running.access_key_id).get_caller_identity()
    assert running.account_id == identity["Account"]
    assert f"arn:aws:iam::{running.account_id}:user/iotctl-local" == identity["Arn"]
    assert refused(sts("AKIAIOSFODNN7EXAMPLE").get_caller_identity).code == "InvalidClientTokenId"


def test_endpoints(iot: Any) -> None:
    """Every endpoint is on this machine; an unknown type is refused."""
    for kind in ("iot:Data", "iot:Data-ATS", "iot:Jobs", "iot:CredentialProvider"):
        assert iot.describe_endpoint(endpointType=kind)["endpointAddress"] == "127.0.0.1"
    assert refused(iot.describe_endpoint, endpointType="iot:Nothing").code == "InvalidRequestException"
