"""Whether what the commands need is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotctl.account.check import check
from iotctl.errors import Denied, NotFound, Temporary, Unsupported
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.conftest import Ran

_ACCOUNT = "123456789012"
_CHECKS = [
    "identity",
    "clock",
    "data endpoint",
    "registry",
    "policies",
    "fleet indexing",
    "quotas",
    "bucket iotctl-123456789012-us-east-1",
    "role iotctl-job-presign",
    "role iotctl-registration",
    "role iotctl-audit",
    "role alias",
]


def _trusted(**statement: Any) -> dict[str, Any]:
    iot = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [iot | statement]}
    return {"Role": {"Arn": "arn:aws:iam::123456789012:role/r", "AssumeRolePolicyDocument": document}}


def _rates(**rates: float) -> dict[str, Any]:
    return {"Quotas": [{"QuotaName": name.replace("_", " "), "Value": value} for name, value in rates.items()]}


_BOUND = {"Condition": {"StringEquals": {"aws:SourceAccount": _ACCOUNT}}}


class _Account:
    """Answers by operation; an error is raised."""

    target = Target("aws", _ACCOUNT, "us-east-1")
    identity = "arn:aws:iam::123456789012:user/me"

    def __init__(self, *, skew: float | None = 0.5, **answers: Any) -> None:
        self._skew = skew
        self._answers = {
            "DescribeEndpoint": {"endpointAddress": "e"},
            "GetIndexingConfiguration": {"thingIndexingConfiguration": {"thingIndexingMode": "REGISTRY"}},
            "ListServiceQuotas": _rates(CreateThing_API_TPS=100.0),
            "GetRole": _trusted(**_BOUND),
            "ListRoleAliases": {"roleAliases": ["a", "b"]},
            **answers,
        }

    def skew(self) -> float | None:
        return self._skew

    def call(self, op: str, **_: Any) -> Any:
        answer = self._answers.get(op.partition(":")[2], {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, op: str, **params: Any) -> Iterator[Any]:
        yield self.call(op, **params)


@pytest.mark.parametrize(
    ("answers", "name", "state", "detail"),
    [
        ({}, "clock", "ok", "at most 2 s"),
        ({"skew": -90.0}, "clock", "wrong", "-90 s off AWS's: set it"),
        ({"skew": None}, "clock", "unknown", "no date"),
        ({}, "data endpoint", "ok", "e"),
        ({"DescribeEndpoint": Temporary("it is down")}, "data endpoint", "unknown", "it is down"),
        ({}, "registry", "ok", "may be read"),
        ({"ListThings": Denied("no")}, "registry", "missing", "iotctl account iam iot:ListThings"),
        ({"ListPolicies": Unsupported("no")}, "policies", "unknown", "not built on this platform"),
        ({}, "fleet indexing", "ok", "REGISTRY"),
        ({"GetIndexingConfiguration": {}}, "fleet indexing", "missing", "update-indexing-configuration"),
        ({}, "quotas", "ok", "AWS's defaults"),
        ({"ListServiceQuotas": _rates(CreateThing_API_TPS=500.0)}, "quotas", "ok", "iot:CreateThing 500/s"),
        ({"ListServiceQuotas": _rates(CreateThing=500.0)}, "quotas", "unknown", "none of the rates"),
        ({"ListServiceQuotas": Denied("no")}, "quotas", "unknown", "service-quotas:ListServiceQuotas is not allowed"),
        ({}, _CHECKS[7], "ok", "this account's"),
        ({"HeadBucket": NotFound("no")}, _CHECKS[7], "missing", "aws s3 mb s3://iotctl-123456789012-us-east-1"),
        ({"HeadBucket": Denied("no")}, _CHECKS[7], "unknown", "the bucket is another account's"),
        ({}, "role iotctl-audit", "ok", "arn:aws:iam::123456789012:role/r"),
        ({"GetRole": NotFound("no")}, "role iotctl-job-presign", "missing", "iotctl account template"),
        ({"GetRole": Denied("no")}, "role iotctl-registration", "unknown", "iotctl account iam iam:GetRole"),
        ({"GetRole": _trusted()}, "role iotctl-job-presign", "wrong", "confused deputy"),
        ({"ListRoleAliases": {"roleAliases": []}}, "role alias", "missing", "iotctl account template"),
        ({}, "role alias", "ok", "a, b"),
    ],
)
def test_every_check_ends_in_one_word(answers: dict[str, Any], name: str, state: str, detail: str) -> None:
    """Ok, missing, wrong, or unknown: what could not be read is never called ok."""
    account: Any = _Account(**answers)
    found = {answer.check: answer for answer in check(account)}
    assert _CHECKS == list(found)
    assert (state, True) == (found[name].state, detail in found[name].detail)


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ({"Condition": {"ArnLike": {"AWS:SourceArn": [f"arn:aws:iot:*:{_ACCOUNT}:*"]}}}, "ok"),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}}, "wrong"),
        ({"Condition": {"StringNotEquals": {"aws:SourceAccount": _ACCOUNT}}}, "wrong"),
        ({"Condition": {"StringEquals": {"aws:PrincipalTag/a": _ACCOUNT}}}, "wrong"),
        ({"Principal": {"Service": ["x.amazonaws.com", "iot.amazonaws.com"]}}, "wrong"),
        ({**_BOUND, "Principal": {"Service": "lambda.amazonaws.com"}}, "wrong"),
        ({**_BOUND, "Principal": "*"}, "wrong"),
        ({**_BOUND, "Effect": "Deny"}, "wrong"),
    ],
)
def test_a_role_is_taken_by_aws_iot_for_this_account_only(statement: dict[str, Any], state: str) -> None:
    """One that another account's AWS IoT may take, or none may, is not a role that will do."""
    account: Any = _Account(GetRole=_trusted(**statement))
    assert [state] * 3 == [answer.state for answer in check(account) if answer.check.startswith("role iotctl")]


def test_the_account_of_the_local_platform(iotctl: Callable[..., Ran], platform: Platform) -> None:
    """It says who and where, that the clock is right, and is incomplete: there is no IAM to read here."""
    ran = iotctl("account", "check", "-o", "json")
    states = {row["check"]: row["state"] for row in ran.envelope["data"]["checks"]}
    assert (3, platform.account_id) == (ran.code, ran.envelope["data"]["target"]["accountId"])
    assert ["ok"] * 5 == [states[name] for name in _CHECKS[:5]]
    assert ["unknown"] * 3 == [state for name, state in states.items() if name.startswith("role iotctl")]


def test_the_bucket_of_the_local_platform(iotctl: Callable[..., Ran], platform: Platform) -> None:
    """It is there from the beginning, as if `account template` had made it."""
    checks = iotctl("account", "check", "-o", "json").envelope["data"]["checks"]
    name = f"bucket iotctl-{platform.account_id}-{platform.region}"
    assert ["ok"] == [row["state"] for row in checks if row["check"] == name]
