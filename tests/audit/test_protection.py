"""Security profiles out of a TOML file: read, planned, made, and the alarms that they raise."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.audit import alarms, protected, protecting, protection
from iotctl.errors import BadInput, Conflict
from iotctl.plan import Plan
from iotctl.semantics.behaviors import faults
from iotctl.target import Target
from tests import vectors
from tests.local.conftest import client

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]

TARGET = Target("aws", "123456789012", "eu-north-1")
WHOLE = """
version = 1
[profile.presses]
description = "what a press does"
targets = ["group:presses", "unregistered"]
keep = ["aws:num-messages-sent", "batteryPercentage"]
[profile.presses.behavior.ports]
metric = "aws:listening-tcp-ports"
in-port-set = [443, 8883]
[profile.presses.behavior.chatter]
metric = "aws:num-messages-sent"
less-than-equals = 50
over = "5m"
alarm-after = 3
clear-after = 2
quiet = true
[profile.presses.behavior.small]
metric = "aws:message-byte-size"
less-than = 128
dimension = "auth"
outside = true
[profile.presses.behavior.battery]
metric = "batteryPercentage"
greater-than = 75
[profile.presses.behavior.usual]
metric = "aws:num-disconnects"
less-than-equals = "p90"
over = "10m"
[profile.presses.behavior.learned]
metric = "aws:num-disconnects"
ml = "HIGH"
[profile.presses.behavior.addresses]
metric = "aws:source-ip-address"
not-in-cidr-set = ["12.8.0.0/16"]
[metric.batteryPercentage]
type = "number"
display = "Remaining battery percentage"
[dimension.auth]
topics = ["device/+/auth"]
[alert]
topic = "arn:aws:sns:eu-north-1:123456789012:alarms"
role = "arn:aws:iam::123456789012:role/alarms"
"""

BEHAVIOR = "version = 1\n[profile.p]\ntargets = []\n[profile.p.behavior.b]\n"


def declared(tmp_path: Path, content: str) -> protection.Declared:
    """What a file with this content declares."""
    path = tmp_path / "profiles.toml"
    path.write_text(content)
    return protection.read(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    """Every word of it, as AWS takes it."""
    found = declared(tmp_path, WHOLE)
    (profile,) = found.profiles
    assert ("presses", "what a press does", ("thinggroup/presses", "all/unregistered-things")) == (
        profile.name,
        profile.description,
        profile.targets,
    )
    criteria = {one["name"]: one["criteria"] for one in profile.behaviors}
    assert {
        "ports": {"comparisonOperator": "in-port-set", "value": {"ports": [443, 8883]}},
        "chatter": {
            "comparisonOperator": "less-than-equals",
            "value": {"count": 50},
            "durationSeconds": 300,
            "consecutiveDatapointsToAlarm": 3,
            "consecutiveDatapointsToClear": 2,
        },
        "small": {"comparisonOperator": "less-than", "value": {"count": 128}},
        "battery": {"comparisonOperator": "greater-than", "value": {"number": 75}},
        "usual": {
            "comparisonOperator": "less-than-equals",
            "statisticalThreshold": {"statistic": "p90"},
            "durationSeconds": 600,
        },
        "learned": {"mlDetectionConfig": {"confidenceLevel": "HIGH"}},
        "addresses": {"comparisonOperator": "not-in-cidr-set", "value": {"cidrs": ["12.8.0.0/16"]}},
    } == criteria
    behaviors = {one["name"]: one for one in profile.behaviors}
    assert {"dimensionName": "auth", "operator": "NOT_IN"} == behaviors["small"]["metricDimension"]
    assert behaviors["chatter"]["suppressAlerts"] is True
    assert ({"batteryPercentage": ("number", "Remaining battery percentage")}, {"auth": ("device/+/auth",)}) == (
        found.metrics,
        found.dimensions,
    )
    assert {
        "SNS": {"alertTargetArn": found.alert["SNS"]["alertTargetArn"], "roleArn": found.alert["SNS"]["roleArn"]}
    } == (found.alert)
    assert [] == list(faults(profile.behaviors, {"batteryPercentage": "number"}, found.dimensions))


@vectors.rows(
    ("content", "says"),
    [
        ("", "version = 1"),
        ("version = 1", "there is none"),
        ("version = 1\n[profile.p]\ntargets = 'all'", "list of texts"),
        ("version = 1\n[profile.p]\ntargets = ['everything']", "group:NAME"),
        ("version = 1\n[profile.p]\ntargts = []", "did you mean targets?"),
        ("version = 1\n[profile.p]\ntargets = []\nkeep = ['aws:none']", "no metric aws:none"),
        ("version = 1\n[profile.'a b']\ntargets = []", "a name has letters"),
        (
            f"{BEHAVIOR}metric = 'aws:num-disconnects'",
            "one comparison",
        ),
        (
            f"{BEHAVIOR}metric = 'aws:num-disconnects'\nless-than = 1",
            "needs over",
        ),
        (
            f"{BEHAVIOR}metric = 'x'\nless-than = 1\nover = 'soon'",
            "not a duration",
        ),
        (
            f"{BEHAVIOR}less-than = 1\nalarm-after = 11",
            "from 1 to 10",
        ),
        ("version = 1\n[profile]\np = 1", "not a table"),
        ("version = 1\nprofile = 1", "not a table"),
        ("version = 1\n[metric.m]\ntype = 'text'", "one of number"),
        ("version = 1\nalert = 1", "topic and role"),
    ],
)
def test_every_fault_is_named_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    """Nothing is called, and all is said at once."""
    with pytest.raises(BadInput) as raised:
        declared(tmp_path, content)
    assert any(says in one.message for one in raised.value.lines), [one.message for one in raised.value.lines]


def planned(wanted: protection.Declared, there: protected.Held) -> Plan | None:
    """The plan that makes it so."""
    return protecting.protecting(wanted, there, TARGET, "2026-01-31T00:00:00Z")


def test_a_plan_does_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    """Made where it is not there, changed by its version where it differs, attached and detached; else nothing."""
    wanted = declared(tmp_path, WHOLE)
    fresh = planned(wanted, protected.Held())
    assert fresh is not None
    assert {
        "iot:CreateCustomMetric": 1,
        "iot:CreateDimension": 1,
        "iot:CreateSecurityProfile": 1,
        "iot:AttachSecurityProfile": 2,
    } == fresh.operations()
    (profile,) = wanted.profiles
    # As AWS describes it: what was left out is filled in.
    behaviors = [
        {
            "suppressAlerts": False,
            **one,
            "criteria": {"consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1, **one["criteria"]},
        }
        for one in profile.behaviors
    ]
    described = {
        "securityProfileName": "presses",
        "securityProfileDescription": "what a press does",
        "behaviors": behaviors,
        "alertTargets": wanted.alert,
        "additionalMetricsToRetainV2": [dict(one) for one in profile.retain],
        "version": 4,
    }
    arns = [TARGET.arn(one) for one in profile.targets]
    there = protected.Held(
        {"presses": described}, {"presses": arns}, {"batteryPercentage": "number"}, {"auth": ["device/+/auth"]}
    )
    assert planned(wanted, there) is None
    other = {**described, "behaviors": behaviors[1:]}
    changed = planned(
        wanted,
        protected.Held({"presses": other}, {"presses": [arns[0], "arn:old"]}, there.metrics, {"auth": ["x"]}),
    )
    assert changed is not None
    assert {
        "iot:UpdateDimension": 1,
        "iot:UpdateSecurityProfile": 1,
        "iot:AttachSecurityProfile": 1,
        "iot:DetachSecurityProfile": 1,
    } == changed.operations()
    assert [(4, [arns[1]], ["arn:old"])] == [(row["version"], row["attach"], row["detach"]) for row in changed.rows]
    assert "iam:PassRole" in changed.iam_actions()
    with pytest.raises(Conflict):
        planned(wanted, protected.Held(metrics={"batteryPercentage": "string-list"}))


def test_values_for_people() -> None:
    """The number, or the list."""
    assert ["5", "23, 80", "", "0.5"] == [
        alarms.shown(value) for value in ({"count": 5}, {"ports": [23, 80]}, None, {"number": 0.5})
    ]


STATIC = """
version = 1
[profile.{name}]
targets = ["group:{name}"]
[profile.{name}.behavior.ports]
metric = "aws:listening-tcp-ports"
in-port-set = [443]
"""


def test_from_a_file_to_an_alarm(iotctl: Iotctl, platform: Platform, tmp_path: Path) -> None:
    """Shown, made, made again without a change, changed; an alarm that a device raises is listed, exit 4."""
    iot, name = client(platform), f"presses-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "profiles.toml"
    path.write_text(STATIC.format(name=name))
    assert 8 == iotctl("audit", "profiles", str(path), "--yes").code  # there is no such group
    iot.create_thing_group(thingGroupName=name)
    iot.create_thing(thingName=name)
    iot.add_thing_to_thing_group(thingGroupName=name, thingName=name)
    shown = iotctl("audit", "profiles", str(path), "--dry-run")
    assert (0, True) == (shown.code, "create 1 security profile" in shown.stdout + shown.stderr)
    assert 2 == iotctl("audit", "profiles", str(path)).code
    assert [] == iot.list_security_profiles(metricName="aws:none")["securityProfileIdentifiers"]
    made = iotctl("audit", "profiles", str(path), "--yes", "-o", "json")
    assert (0, 1) == (made.code, made.envelope["data"]["done"])
    again = iotctl("audit", "profiles", str(path), "--yes")
    assert (0, True) == (again.code, "everything is as declared" in again.stderr)

    scope = ("-g", name, "-o", "json")
    assert (0, []) == ((ran := iotctl("audit", "violations", *scope)).code, ran.envelope["data"]["violations"])
    report(platform, name, 23)
    ran = iotctl("audit", "violations", *scope)
    (found,) = ran.envelope["data"]["violations"]
    assert (4, name, "ports", "23") == (ran.code, found["thingName"], found["behavior"], found["value"])
    path.write_text(STATIC.format(name=name).replace("443", "443, 23"))
    changed = iotctl("audit", "profiles", str(path), "--yes")
    assert 0 == changed.code
    assert 2 == iot.describe_security_profile(securityProfileName=name)["version"]
    report(platform, name, 23)
    assert 0 == iotctl("audit", "violations", "--security-profile", name).code
    happened = iotctl("audit", "violations", *scope, "--since", "1h").envelope["data"]["events"]
    assert ["alarm-cleared", "in-alarm"] == [one["event"] for one in happened]
    assert 8 == iotctl("audit", "violations", "--security-profile", "none-of-this-name").code
    assert 2 == iotctl("audit", "profiles", str(tmp_path / "none.toml")).code


def report(platform: Platform, thing: str, port: int) -> None:
    """Report a listening port as a device, over HTTP as an operator may."""
    metrics: dict[str, Any] = {"tp": {"pts": [{"pt": port}]}}
    content = {"hed": {"rid": 1, "v": "1.0"}, "met": metrics}
    client(platform, "iot-data").publish(
        topic=f"$aws/things/{thing}/defender/metrics/json", payload=json.dumps(content).encode(), qos=1
    )
