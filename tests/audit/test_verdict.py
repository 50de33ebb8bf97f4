"""What an audit comes to, and its reports."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from iotctl.audit import report, verdict
from iotctl.errors import Exit
from iotctl.semantics.checks import Rules, Severity, judge, load
from iotctl.semantics.checks.declared import Exemption
from iotctl.semantics.checks.fleet import Certificate, Fleet, Thing
from iotctl.target import Target

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TARGET = Target("aws", "123456789012", "eu-north-1")
CHECKS = ("ORPHAN_CERTIFICATE_CHECK", "THING_OUTSIDE_GROUPS_CHECK", "SILENT_DEVICE_CHECK", "WEAK_KEY_CHECK")


def audit(*exemptions: Exemption, **fleet: Any) -> verdict.Audit:
    """An audit with an orphan certificate (medium) and a thing outside every group (low), or of another fleet."""
    things = [Thing("press-1"), Thing("press|2\x1b", groups=("oslo",))]
    given = {"certificates": [Certificate("c1")], "things": things, "parents": {"oslo": "north"}, **fleet}
    found = Fleet(NOW, **given)
    findings, verdicts = judge(found, Rules(), [load()[name] for name in CHECKS])
    return verdict.settled(findings, verdicts, exemptions, found)


@pytest.mark.parametrize(
    ("fail_on", "fleet", "named", "code"),
    [
        (Severity.LOW, {}, (), Exit.DIFFERS),
        (Severity.MEDIUM, {}, (), Exit.DIFFERS),
        (Severity.HIGH, {}, (), Exit.OK),
        (Severity.LOW, {"certificates": (), "things": ()}, (), Exit.OK),
        (Severity.HIGH, {"unread": {"connectivity": "throttled"}}, (), Exit.PARTIAL),
        (Severity.LOW, {"unread": {"connectivity": "throttled"}}, (), Exit.PARTIAL),
        (Severity.HIGH, {"beyond": {"connectivity": "not indexed"}}, (), Exit.OK),
        (Severity.HIGH, {"beyond": {"connectivity": "not indexed"}}, ("SILENT_DEVICE_CHECK",), Exit.PARTIAL),
    ],
)
def test_exit_codes(fail_on: Severity, fleet: dict[str, Any], named: tuple[str, ...], code: Exit) -> None:
    """Incomplete (3) before findings (4); a skipped check is incomplete only when it was asked for by name."""
    assert code == audit(**fleet).exit(fail_on, named)


@pytest.mark.parametrize(
    ("exemption", "left"),
    [
        ({"check": "ORPHAN_CERTIFICATE_CHECK"}, 1),
        ({"thing": "press-1"}, 1),
        ({"thing": "press-9"}, 2),
        ({"group": "north"}, 2),
        ({"check": "ORPHAN_CERTIFICATE_CHECK", "thing": "press-1"}, 2),
    ],
)
def test_exemptions(exemption: dict[str, str], left: int) -> None:
    """What they are about is allowed until their last day, and no longer."""
    valid = audit(Exemption(date(2026, 6, 1), "known", **exemption))
    lapsed = audit(Exemption(date(2026, 5, 31), "known", **exemption))

    assert (left, 2 - left, 0) == (len(valid.findings), len(valid.exempted), len(valid.lapsed))
    assert (2, 0, 1) == (len(lapsed.findings), len(lapsed.exempted), len(lapsed.lapsed))


def test_an_exemption_by_id_and_by_group() -> None:
    """A single finding; or the things of a group and of those below it."""
    (first, _) = audit().findings
    assert 1 == len(audit(Exemption(date(2027, 1, 1), "known", finding=first.finding_id)).findings)
    old = Thing("press-2", groups=("oslo",), shadows={"": {"metadata": {"reported": {"a": {"timestamp": 1}}}}})
    assert 1 == len(audit(things=[old]).findings) - len(
        audit(Exemption(date(2027, 1, 1), "known", group="north"), things=[old]).findings
    )


def test_sarif() -> None:
    """A rule for each check, a result for each finding; what is exempted is suppressed, what is unknown is told."""
    exemption = Exemption(date(2027, 1, 1), "known", thing="press-1")
    written = report.sarif(audit(exemption, unread={"connectivity": "throttled"}), TARGET)
    (run,) = json.loads(written)["runs"]

    assert list(CHECKS) == [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [("ORPHAN_CERTIFICATE_CHECK", "warning", False), ("THING_OUTSIDE_GROUPS_CHECK", "note", True)] == [
        (result["ruleId"], result["level"], "suppressions" in result) for result in run["results"]
    ]
    (invocation,) = run["invocations"]
    assert (False, 1) == (invocation["executionSuccessful"], len(invocation["toolExecutionNotifications"]))
    assert written == report.sarif(audit(exemption, unread={"connectivity": "throttled"}), TARGET)


def test_junit() -> None:
    """A case for each check: failed, an error, skipped or passed."""
    found = audit(unread={"connectivity": "throttled"}, beyond={"pems": "not asked for"})
    suite = ElementTree.fromstring(report.junit(found, TARGET))

    assert ("4", "2", "1", "1") == tuple(suite.attrib[key] for key in ("tests", "failures", "errors", "skipped"))
    assert ["failure", "failure", "error", "skipped"] == [case[0].tag for case in suite]


def test_markdown_cannot_be_broken_by_names() -> None:
    """A pipe or an escape in a name stays in its cell."""
    found = audit(things=[Thing("press|2\x1b")])
    written = report.markdown(found, TARGET)

    assert "press\\|2\\\\x1b" in written
    assert "\x1b" not in written
