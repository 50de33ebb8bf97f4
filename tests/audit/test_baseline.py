"""The baseline file: read, refused with every fault at once, captured and judged right back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from iotctl.audit import baseline, capture
from iotctl.errors import BadInput, Usage
from iotctl.semantics.checks import judge, load
from iotctl.semantics.checks.fleet import Certificate, Fleet, Policy, Thing
from iotctl.target import Target
from tests import vectors

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def read(directory: Path, text: str) -> baseline.Declared:
    """A baseline from its text."""
    path = directory / "baseline.toml"
    path.write_text(text)
    return baseline.read(path, None)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """The example at the head of the module, and the kinds of values."""
    (tmp_path / "thing.json").write_text('{"Version": "2012-10-17"}')
    declared = read(
        tmp_path,
        """
        version = 1
        certificate.keys = ["ec-secp256r1"]
        certificate.age_days = 700
        alarm.stuck = "2h"
        policy.thing.file = "thing.json"
        policy.other.document = '{"a": 1}'
        [fleet]
        thing_type = "press"
        groups = ["all", "!spare"]
        firmware = "1.4.2"
        attributes.site = { pattern = "[a-z]+" }
        attributes.line = ["a", "b"]
        shadow."desired.rate" = { min = 1, max = 5 }
        named_shadow.config."desired.level" = 3
        models.digits = "2.0.0"
        [group.oslo]
        attributes.site = "oslo"
        [[membership]]
        group = "oslo"
        where = 'attributes.site == "oslo"'
        [[exemption]]
        until = 2027-01-31
        reason = "spare parts arrive in January"
        thing = "press-7"
        """,
    )

    fleet = {key: str(want) for key, want in declared.baseline.fleet.items()}
    assert {
        ("type",): '"press"',
        ("group", "all"): "anything",
        ("group", "spare"): "absent",
        ("firmware",): '"1.4.2"',
        ("attribute", "site"): "matching [a-z]+",
        ("attribute", "line"): '"a" or "b"',
        ("shadow", "", "desired", "rate"): "at least 1, at most 5",
        ("shadow", "config", "desired", "level"): "3",
        ("model", "digits"): '"2.0.0"',
    } == fleet
    rules = declared.rules()
    assert (("ec-secp256r1",), 700, 7200.0, 30) == (
        rules.keys,
        rules.age_days,
        rules.stuck_seconds,
        rules.expiring_days,
    )
    assert {"thing": {"Version": "2012-10-17"}, "other": {"a": 1}} == declared.baseline.policies
    assert [(date(2027, 1, 31), "press-7")] == [(one.until, one.thing) for one in declared.baseline.exemptions]
    thing = Thing("press-1", attributes={"site": "oslo"})
    assert [True] == [belongs for _, belongs in rules.belonging(thing)]


@vectors.rows(
    ("text", "fault"),
    [
        ("", "version"),
        ("version = 2", "version"),
        ("version = 1\nflet.groups = []", "did you mean fleet?"),
        ("version = 1\nfleet.atributes.a = 1", "did you mean attributes?"),
        ("version = 1\nfleet.groups = 'all'", "fleet.groups"),
        ("version = 1\nfleet.shadow.rate = 1", "begins with desired or reported"),
        ("version = 1\nfleet.attributes.a = { pattern = '(' }", "fleet.attributes.a.pattern"),
        ("version = 1\nfleet.attributes.a = { min = 'x' }", "not a number"),
        ("version = 1\nfleet.attributes.a = { least = 1 }", "fleet.attributes.a.least"),
        ("version = 1\nfleet = 1", "not a table"),
        ("version = 1\npolicy.p = 1", "just one of"),
        ("version = 1\npolicy.p.file = 'nowhere.json'", "cannot be read"),
        ("version = 1\npolicy.p.document = '{'", "not usable JSON"),
        ("version = 1\npolicy.p.template = 'nothing'", "no template"),
        ("version = 1\ncertificate.age_days = 0", "whole number"),
        ("version = 1\nalarm.stuck = 'soon'", "not a duration"),
        ("version = 1\n[[membership]]\nwhere = 'a =='", "cannot be read"),
        ("version = 1\n[[exemption]]\nthing = 'a'\nreason = 'r'", "an exemption ends"),
        ("version = 1\n[[exemption]]\nthing = 'a'\nuntil = 2027-01-31", "has a reason"),
        ("version = 1\n[[exemption]]\nreason = 'r'\nuntil = 2027-01-31", "about something"),
        (
            "version = 1\n[[exemption]]\nreason = 'r'\nuntil = 2027-01-31\ncheck = 'ORPHAN_CERTIFICATE'",
            "did you mean ORPHAN_CERTIFICATE_CHECK?",
        ),
        ("version = 1\nfleet.groups = ['!*']", "exact = true"),
    ],
)
def test_faults_are_named_by_their_key(tmp_path: Path, text: str, fault: str) -> None:
    """With the file, the key and what to do; a near word is offered."""
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)

    assert any(fault in line.message for line in caught.value.lines)
    assert all(str(tmp_path) in line.message for line in caught.value.lines)


def test_all_faults_at_once_and_no_toml(tmp_path: Path) -> None:
    """Two mistakes are two lines; what is not TOML is one, with its place."""
    with pytest.raises(BadInput) as caught:
        read(tmp_path, "version = 2\nfleet.groups = 'all'")
    assert 2 == len(caught.value.lines)
    with pytest.raises(Usage, match="line 2"):
        read(tmp_path, "version = 1\n= 3")
    with pytest.raises(Usage, match="cannot be read"):
        baseline.read(tmp_path / "nowhere.toml", None)


def test_a_policy_of_a_template(tmp_path: Path) -> None:
    """Rendered for the account and region that are audited."""
    path = tmp_path / "baseline.toml"
    path.write_text('version = 1\npolicy.thing.template = "thing"')
    found = baseline.read(path, Target("aws", "123456789012", "cn-north-1", "aws-cn")).baseline.policies["thing"]

    assert "arn:aws-cn:iot:cn-north-1:123456789012:client/${iot:Connection.Thing.ThingName}" in str(found)


def test_a_captured_fleet_has_no_drift(tmp_path: Path) -> None:
    """What all share, and what a group shares, is declared; what differs is not; judged right back nothing is found."""
    shadow = {"state": {"desired": {"rate": 5, "tags": ["a", "b"], "odd.key": 1, "deep": {"on": True}}}}
    things = [
        Thing(
            f"p{number}",
            type_name="press",
            attributes={"site": "oslo" if number < 2 else "rome", "serial": str(number), "quote": 'a"b'},
            groups=("north" if number < 2 else "south",),
            policies=("thing",),
            shadows={"": shadow, "config": {"state": {"desired": {"level": number}}}},
        )
        for number in range(4)
    ]
    policies = [Policy("thing", "1", '{"Version": "2012-10-17", "Statement": []}')]
    fleet = Fleet(NOW, things=things, policies=policies, certificates=[Certificate("c", key="ec-secp256r1")])

    text = capture.captured(fleet)

    assert '[group."north"]\ngroups = ["north"]\nattributes."site" = "oslo"' in text
    assert "serial" not in text
    declared = read(tmp_path, text)
    drift = [one for name, one in load().items() if "BASELINE" in name or name == "WEAK_KEY_CHECK"]
    assert [] == judge(fleet, declared.rules(), drift)[0]
    changed = Fleet(NOW, things=[Thing("p0", type_name="press", groups=("north",))], policies=policies)
    assert 6 == len(judge(changed, declared.rules(), drift)[0])
    wider = [replace(thing, policies=("other", "thing")) for thing in things]
    found, _ = judge(Fleet(NOW, things=wider, policies=policies), declared.rules(), drift)
    assert [("POLICY_NOT_DECLARED", "not policy other")] * 4 == [(one.flaw.reason, one.flaw.expected) for one in found]


def test_a_captured_hierarchy_has_no_drift(tmp_path: Path) -> None:
    """What a group declares holds below it too: so only what the things there have as well is declared of it."""
    things = [
        Thing("a", attributes={"line": "1", "site": "x"}, groups=("north",), policies=("thing",)),
        Thing("b", attributes={"line": "2", "site": "x"}, groups=("oslo",), policies=("more", "thing")),
        Thing("c", attributes={"line": "3"}, groups=("south",)),
    ]
    fleet = Fleet(NOW, things=things, parents={"oslo": "north"})
    declared = read(tmp_path, capture.captured(fleet))
    drift = [one for name, one in load().items() if "BASELINE" in name]
    assert [] == judge(fleet, declared.rules(), drift)[0]
    assert {"x"} == set(declared.baseline.groups["north"]["attribute", "site"].values)
    changed = Fleet(NOW, things=[replace(things[2], policies=("thing",))], parents=fleet.parents)
    assert ["POLICY_NOT_DECLARED"] == [one.flaw.reason for one in judge(changed, declared.rules(), drift)[0]]
