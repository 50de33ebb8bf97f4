"""What a baseline declares, and the checks that hold a fleet against it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.checks import Finding, Rules, judge, load
from iotctl.semantics.checks.declared import Baseline, Membership, Want, ancestry
from iotctl.semantics.checks.fleet import Fleet, Policy, Thing
from iotctl.semantics.state import ABSENT
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PARENTS = {"oslo": "north", "bergen": "north"}


def found(check: str, baseline: Baseline, *things: Thing, **more: Any) -> list[Finding]:
    """What one check finds."""
    rules = Rules(baseline=baseline, conditions=more.pop("conditions", {}))
    findings, _ = judge(Fleet(NOW, things=things, parents=PARENTS, **more), rules, [load()[check]])
    return findings


@vectors.rows(
    ("want", "value", "holds"),
    [
        (Want(("a",)), "a", True),
        (Want(("a", "b")), "b", True),
        (Want((1,)), True, False),
        (Want((1,)), ABSENT, False),
        (Want(least=1, most=5), 5, True),
        (Want(least=1, most=5), 5.1, False),
        (Want(least=1), "2", False),
        (Want(least=1), True, False),
        (Want(pattern=re.compile("[a-z]+")), "oslo", True),
        (Want(pattern=re.compile("[a-z]+")), "oslo1", False),
        (Want(pattern=re.compile("[0-9]+")), 7, False),
        (Want(absent=True), ABSENT, True),
        (Want(absent=True), None, False),
        (Want(), "anything", True),
    ],
)
def test_wants(want: Want, value: object, holds: bool) -> None:
    """Equal, one of, within, of a pattern, or not there."""
    assert holds == want.holds(value)


def test_the_smaller_circle_counts() -> None:
    """A thing before a group, a group before those above it, those before the fleet; others side by side both hold."""
    key = ("attribute", "site")
    baseline = Baseline(
        fleet={key: Want(("fleet",)), ("type",): Want(("press",))},
        groups={
            "north": {key: Want(("north",))},
            "oslo": {key: Want(("oslo",))},
            "tests": {key: Want(("tests",))},
        },
        things={"special": {key: Want(("special",))}},
    )

    def wanted(name: str, *groups: str) -> list[str]:
        return [str(want) for _, want in baseline.wants(Thing(name, groups=groups), PARENTS)["attribute"]]

    assert ['"fleet"'] == wanted("a")
    assert ['"north"'] == wanted("a", "bergen")
    assert ['"oslo"'] == wanted("a", "oslo")
    assert ['"oslo"', '"tests"'] == wanted("a", "oslo", "tests")
    assert ['"special"'] == wanted("special", "oslo")
    assert '"press"' == str(baseline.wants(Thing("a", groups=("oslo",)), PARENTS)["type"][0][1])


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdef")), st.sampled_from("abcdef"))
def test_a_hierarchy_ends(parents: dict[str, str], group: str) -> None:
    """Even where groups are each other's parents, which AWS does not allow."""
    line = ancestry(group, parents)

    assert group == line[-1]
    assert len(line) == len(set(line))


def test_attributes_types_and_policies() -> None:
    """Missing, off pattern, of another type, without the policy."""
    baseline = Baseline(
        fleet={
            ("attribute", "site"): Want(pattern=re.compile("[a-z]+")),
            ("type",): Want(("press",)),
            ("policy", "thing"): Want(),
        }
    )
    good = Thing("good", type_name="press", attributes={"site": "oslo"}, policies=("thing",))
    bad, bare = Thing("bad", type_name="lathe", attributes={"site": "Oslo 1"}), Thing("bare")

    assert [("bad", "ATTRIBUTE_DIFFERS"), ("bare", "ATTRIBUTE_MISSING")] == [
        (one.resource, one.flaw.reason) for one in found("ATTRIBUTE_OFF_BASELINE_CHECK", baseline, good, bad, bare)
    ]
    typed = found("THING_TYPE_OFF_BASELINE_CHECK", baseline, good, bad, bare)
    assert ["bad", "bare"] == [one.resource for one in typed]
    assert "aws iot update-thing --thing-name bad --thing-type-name press" == typed[0].flaw.mend
    assert ["bad", "bare"] == [
        one.resource for one in found("THING_POLICIES_OFF_BASELINE_CHECK", baseline, good, bad, bare)
    ]


def test_shadows_and_versions() -> None:
    """A value in a shadow, classic or named; firmware, component and model; with the command that mends it."""
    baseline = Baseline(
        fleet={
            ("shadow", "config", "desired", "rate"): Want((5,)),
            ("firmware",): Want(("1.4.2",)),
            ("component", "com.example.Hello"): Want(("1.0.0",)),
            ("model", "digits"): Want(("2",)),
        }
    )
    thing = Thing(
        "press-1",
        shadows={
            "": {"state": {"reported": {"fw": "1.4.1"}}},
            "config": {"state": {"desired": {"rate": 4}}},
            "iotctl-models": {"state": {"reported": {"models": {"digits": {"release": "2"}}}}},
        },
    )

    (value,) = found("SHADOW_OFF_BASELINE_CHECK", baseline, thing)
    assert ("desired.rate: 5", "4", "iotctl shadow set --name config press-1 rate=5") == (
        value.flaw.expected,
        value.flaw.actual,
        value.flaw.mend,
    )
    assert ["COMPONENT_VERSION_DIFFERS", "FIRMWARE_VERSION_DIFFERS"] == [
        one.flaw.reason for one in found("VERSION_OFF_BASELINE_CHECK", baseline, thing)
    ]


def test_group_membership() -> None:
    """Declared for a section, and by a rule; being in a group below one is being in it."""
    baseline = Baseline(
        fleet={("group", "north"): Want()}, memberships=(Membership("oslo", "site", exact=True), Membership("x", "no"))
    )
    conditions = {"site": lambda known: known["attributes"].get("site") == "oslo", "no": lambda _: False}
    things = [
        Thing("right", groups=("oslo",), attributes={"site": "oslo"}),
        Thing("wrong", groups=("oslo",)),
        Thing("outside", attributes={"site": "oslo"}),
    ]

    assert [("outside", "NOT_IN_GROUP"), ("outside", "NOT_IN_GROUP"), ("wrong", "IN_WRONG_GROUP")] == [
        (one.resource, one.flaw.reason)
        for one in found("GROUP_MEMBERSHIP_OFF_BASELINE_CHECK", baseline, *things, conditions=conditions)
    ]


def test_policies() -> None:
    """A document that differs, however it is written, and one that is not there."""
    baseline = Baseline(policies={"same": {"a": [1], "b": 2}, "other": {"a": 1}, "gone": {}})
    policies = [
        Policy("same", "1", '{"b": 2, "a": [1]}'),
        Policy("other", "7", '{"a": 2}'),
        Policy("gone", "", ""),
        Policy("unknown", "1", "{}"),
    ]

    assert [("gone", "POLICY_ABSENT"), ("other", "POLICY_DIFFERS")] == [
        (one.resource, one.flaw.reason) for one in found("POLICY_OFF_BASELINE_CHECK", baseline, policies=policies)
    ]
