"""Where a command acts."""

from __future__ import annotations

import pytest

from iotctl.errors import Auth, Local
from iotctl.target import Platform, Target, kind_of

_OURS, _AWS = "IOTCTLLOCAL0123456789", "AKIAIOSFODNN7EXAMPLE"
_HERE, _THERE = "http://127.0.0.1:4510", "https://iot.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("key", "endpoint", "kind"),
    [
        (_OURS, _HERE, "local"),
        (_OURS, "http://localhost:4510", "local"),
        (_OURS, "http://[::1]:4510", "local"),
        (_AWS, _THERE, "aws"),
        (_AWS, None, "aws"),
    ],
)
def test_keys_and_endpoints_that_belong_together(key: str, endpoint: str | None, kind: str) -> None:
    """The platform's key with the platform, AWS's with AWS."""
    assert kind == kind_of(key, endpoint)


@pytest.mark.parametrize(
    ("key", "endpoint"),
    [(_OURS, _THERE), (_OURS, None), (_OURS, "http://127.0.0.1.evil.example"), (_AWS, _HERE), (_AWS, "http://[::1]:1")],
)
def test_credentials_never_go_to_the_other_side(key: str, endpoint: str | None) -> None:
    """The platform's key is never sent to AWS, nor a key of AWS to a server on this machine."""
    with pytest.raises(Auth):
        kind_of(key, endpoint)


def test_a_target_in_words_json_and_arns() -> None:
    """What confirmations, plans and steps say of it."""
    target = Target("aws", "123456789012", "eu-west-1", "aws-cn")
    assert "AWS, account 123456789012, region eu-west-1" == str(target)
    assert "the local platform, account 1, region r" == str(Target("local", "1", "r"))
    assert "arn:aws-cn:iot:eu-west-1:123456789012:thing/pump-7" == target.arn("thing/pump-7")
    assert "iotctl-123456789012-eu-west-1" == target.bucket
    assert {"kind": "aws", "accountId": "123456789012", "region": "eu-west-1"} == target.to_json()


_STATE = {
    "httpUrl": _HERE,
    "mqttPort": 8883,
    "httpsPort": 8443,
    "caFile": "/ca.pem",
    "accountId": "1",
    "region": "r",
    "pid": 7,
    "accessKeyId": _OURS,
    "secretAccessKey": "s3cret",
}


def test_a_platform_never_shows_its_secret() -> None:
    """The state file is read whole; the secret stays out of what is printed of it."""
    platform = Platform.from_json(_STATE)
    assert "s3cret" == platform.secret_access_key
    assert "s3cret" not in repr(platform)


@pytest.mark.parametrize("damaged", [{}, [], {"httpUrl": _HERE}])
def test_a_damaged_state_file_is_told(damaged: object) -> None:
    """Not a traceback."""
    with pytest.raises(Local, match="damaged"):
        Platform.from_json(damaged)  # type: ignore[arg-type]
