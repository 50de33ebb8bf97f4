"""Reports of an audit: SARIF, JUnit, HTML, Markdown. Pure; the same audit gives the same bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from iotctl import __version__
from iotctl.semantics.checks import Severity, State
from iotctl.text import count, sanitize

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.audit.verdict import Audit
    from iotctl.semantics.checks import Check, Finding
    from iotctl.target import Target

_LEVELS: Final = {
    Severity.CRITICAL: ("error", "9.5"),
    Severity.HIGH: ("error", "8.0"),
    Severity.MEDIUM: ("warning", "5.5"),
    Severity.LOW: ("note", "3.0"),
}
_MOST_ROWS: Final = 1000
_MARKUP: Final = re.compile(r"[\\|\[\]*]")


def sarif(audit: Audit, target: Target) -> str:
    """The findings as a SARIF 2.1.0 log (OASIS), one rule for each check; what is exempted is suppressed in it."""
    results = [_result(finding, target) for finding in audit.findings]
    results += [
        {**_result(finding, target), "suppressions": [{"kind": "external", "justification": one.reason}]}
        for finding, one in audit.exempted
    ]
    incomplete = [
        {"level": "warning", "message": {"text": f"{one.check.name} {one.state}: {sanitize(one.reason)}"}}
        for one in audit.verdicts
        if one.reason
    ]
    run = {
        "tool": {
            "driver": {
                "name": "iotctl audit",
                "semanticVersion": __version__,
                "rules": [_rule(one.check) for one in audit.verdicts],
            }
        },
        "invocations": [
            {
                "executionSuccessful": all(one.state is not State.UNKNOWN for one in audit.verdicts),
                "toolExecutionNotifications": incomplete,
            }
        ],
        "results": results,
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def junit(audit: Audit, target: Target) -> str:
    """A test case for each check: failed with its findings, an error where it is unknown, skipped with the reason."""
    cases = [(one, [found for found in audit.findings if found.check is one.check]) for one in audit.verdicts]
    suite = ET.Element(
        "testsuite",
        name=f"iotctl audit {target}",
        tests=str(len(cases)),
        failures=str(sum(bool(found) for _, found in cases)),
        errors=str(sum(one.state is State.UNKNOWN for one, _ in cases)),
        skipped=str(sum(one.state is State.SKIPPED for one, _ in cases)),
    )
    for one, found in cases:
        case = ET.SubElement(suite, "testcase", classname="iotctl.audit", name=one.check.name)
        if one.state is State.SKIPPED:
            ET.SubElement(case, "skipped", message=_line(one.reason))
        elif one.state is State.UNKNOWN:
            ET.SubElement(case, "error", message=_line(one.reason))
        elif found:
            failure = ET.SubElement(case, "failure", message=count(len(found), "finding"))
            failure.text = "\n".join(_sentence(finding) for finding in found)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def markdown(audit: Audit, target: Target) -> str:
    """For a pull request or a chat: the checks and how they ended, then the findings."""
    lines = [
        f"# Audit of {_cell(str(target))}",
        "",
        "| check | severity | ended | checked | found |",
        "|---|---|---|--:|--:|",
    ]
    for one in audit.verdicts:
        ended = _cell(f"{one.state} ({one.reason})" if one.reason else one.state)
        lines.append(f"| {one.check.name} | {one.check.severity} | {ended} | {one.checked} | {one.found} |")
    if audit.findings:
        heads = ("severity", "check", "resource", "expected", "actual", "mend it", "finding")
        lines += ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [
        f"| {one.check.severity} | {one.check.name} | {_cell(one.resource)} | {_cell(one.flaw.expected)}"
        f" | {_cell(one.flaw.actual)} | `{_code(one.flaw.mend)}` | {one.finding_id} |"
        for one in audit.findings[:_MOST_ROWS]
    ]
    if len(audit.findings) > _MOST_ROWS:
        lines.append(f"\n… and {count(len(audit.findings) - _MOST_ROWS, 'more finding')}")
    return "\n".join(lines) + "\n"


def html(audit: Audit, target: Target) -> str:
    """One page for people, which needs nothing beside it."""
    from iotctl.audit import page

    return page.html(audit, target)


KINDS: Final[dict[str, Callable[[Audit, Target], str]]] = {
    "sarif": sarif,
    "junit": junit,
    "html": html,
    "markdown": markdown,
}
"""The reports by the word that asks for them."""


def _rule(check: Check) -> dict[str, Any]:
    level, security = _LEVELS[check.severity]
    return {
        "id": check.name,
        "shortDescription": {"text": check.help.splitlines()[0]},
        "fullDescription": {"text": " ".join(check.help.split())},
        "defaultConfiguration": {"level": level},
        "properties": {"security-severity": security, "tags": ["security"]},
    }


def _result(finding: Finding, target: Target) -> dict[str, Any]:
    kind = finding.check.resource_type.lower().replace("_", "-")
    return {
        "ruleId": finding.check.name,
        "level": _LEVELS[finding.check.severity][0],
        "message": {"text": _sentence(finding)},
        # There is no file: the resource stands in the place of one, so that viewers which want one have it.
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(f"{target.account_id}/{target.region}/{kind}/{finding.resource}")}
                },
                "logicalLocations": [{"name": sanitize(finding.resource), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"findingId/v1": finding.finding_id},
        "properties": {"mend": finding.flaw.mend, "reason": finding.flaw.reason},
    }


def _sentence(finding: Finding) -> str:
    flaw = finding.flaw
    return _line(f"{finding.resource}: {flaw.actual}; expected {flaw.expected} [{finding.finding_id}]")


def _line(text: str) -> str:
    return sanitize(text)


def _code(text: str) -> str:
    """For a code span in a table, where nothing but the pipe is escaped."""
    return sanitize(text).replace("|", "\\|").replace("`", "'")


def _cell(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", sanitize(text)).replace("`", "'").replace("<", "&lt;")
