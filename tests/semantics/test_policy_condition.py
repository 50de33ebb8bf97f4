"""Condition operators, by the IAM guide's tables and what the developer guide's pages use."""

from __future__ import annotations

from typing import Any

from iotctl.semantics.policy_condition import conditions
from tests import vectors

VALUES = {
    "iot:ClientId": "c",
    "iot:Connection.Thing.IsAttached": "true",
    "aws:SourceIp": "10.1.2.3",
    "iot:LastWillTopic": "arn:aws:iot:us-east-1:123456789012:topic/my/will",
    "many": ("a", "b"),
    "none": (),
}


@vectors.rows(
    ("operator", "key", "wanted", "expected"),
    [
        ("StringEquals", "iot:ClientId", "c", True),
        ("StringEquals", "iot:ClientId", ["a", "c"], True),
        ("StringEquals", "iot:ClientId", "C", False),
        ("StringEquals", "iot:ClientId", "*", False),
        ("StringEquals", "iot:ClientId", "${iot:ClientId}", True),
        ("StringEquals", "iot:ClientId", "${iot:Missing}", False),
        ("StringEquals", "missing", "c", False),
        ("StringEqualsIfExists", "missing", "c", True),
        ("StringEqualsIfExists", "iot:ClientId", "x", False),
        ("StringNotEquals", "iot:ClientId", ["a", "c"], False),
        ("StringNotEquals", "iot:ClientId", ["a", "b"], True),
        ("StringNotEquals", "missing", "c", True),
        ("StringEqualsIgnoreCase", "iot:ClientId", "C", True),
        ("StringNotEqualsIgnoreCase", "iot:ClientId", "C", False),
        ("StringLike", "iot:ClientId", "?", True),
        ("StringLike", "aws:SourceIp", "10.*", True),
        ("StringNotLike", "aws:SourceIp", "10.*", False),
        ("Bool", "iot:Connection.Thing.IsAttached", "true", True),
        ("Bool", "iot:Connection.Thing.IsAttached", ["true"], True),
        ("Bool", "iot:Connection.Thing.IsAttached", True, True),
        ("Bool", "iot:Connection.Thing.IsAttached", False, False),
        ("Bool", "missing", "true", False),
        ("IpAddress", "aws:SourceIp", "10.1.2.3", True),
        ("IpAddress", "aws:SourceIp", ["192.168.0.0/16", "10.0.0.0/8"], True),
        ("IpAddress", "aws:SourceIp", "10.1.2.4/31", False),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", False),
        ("IpAddress", "iot:ClientId", "0.0.0.0/0", False),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("ArnEquals", "iot:LastWillTopic", "arn:aws:iot:us-east-1:123456789012:topic/my/will", True),
        ("ArnEquals", "iot:LastWillTopic", "arn:aws:iot:*region*:*account-id*:topic/*my/will*", False),
        ("ArnLike", "iot:LastWillTopic", "arn:aws:iot:*:*:topic/my/*", True),
        ("ArnLike", "iot:LastWillTopic", "arn:aws:iot:*:topic/my/will", False),
        ("ArnLike", "iot:LastWillTopic", "*", False),
        ("ArnNotLike", "iot:LastWillTopic", "arn:aws:iot:*:*:topic/my/*", False),
        ("ArnNotEquals", "iot:LastWillTopic", "arn:aws:iot:*:*:topic/other", True),
        ("Null", "missing", "true", True),
        ("Null", "iot:ClientId", "true", False),
        ("Null", "iot:ClientId", "false", True),
        ("Null", "missing", False, False),
        ("ForAllValues:StringEquals", "many", ["a", "b", "c"], True),
        ("ForAllValues:StringEquals", "many", ["a"], False),
        ("ForAllValues:StringEquals", "many", [], False),
        ("ForAllValues:StringEquals", "none", [], True),
        ("ForAllValues:StringEquals", "missing", ["a"], True),
        ("ForAllValues:StringNotEquals", "many", ["c"], True),
        ("ForAllValues:StringNotEquals", "many", ["a"], False),
        ("ForAnyValue:StringEquals", "many", "b", True),
        ("ForAnyValue:StringEquals", "many", "c", False),
        ("ForAnyValue:StringEquals", "none", "c", False),
        ("ForAnyValue:StringNotEquals", "many", ["a"], True),
        ("ForAnyValue:StringNotEquals", "many", ["a", "b"], False),
        ("ForAnyValue:StringNotEquals", "missing", ["a"], False),
        ("ForAnyValue:StringLike", "many", "?", True),
    ],
)
def test_operators_decide_as_documented(operator: str, key: str, wanted: Any, expected: bool) -> None:
    """One operator, one key, what it wants, and what comes of it."""
    (condition,) = conditions({operator: {key: wanted}})
    resolve = {key: value for key, value in VALUES.items() if isinstance(value, str)}.get
    assert expected == condition.holds(VALUES, resolve)


def test_every_operator_and_key_is_a_condition() -> None:
    """All of them must hold, so each is one."""
    block = {"StringEquals": {"a:b": "1", "c:d": ["2", 3]}, "Bool": {"e:f": True}}
    assert [(one.key, len(one.wanted)) for one in conditions(block)] == [("a:b", 1), ("c:d", 2), ("e:f", 1)]
    assert conditions({}) == ()
