"""The HTML report of an audit: one page that needs nothing beside it, for people. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from iotctl import __version__, clock, templates
from iotctl.semantics.checks import Severity, State
from iotctl.text import count, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.audit.verdict import Audit
    from iotctl.semantics.checks import Finding
    from iotctl.target import Target

_MOST_ROWS: Final = 5000
"""Findings on the page: a browser searches so many without a pause."""


_ENDED: Final = (State.FINDING, State.UNKNOWN, State.SKIPPED, State.PASS)
_MOST_THINGS: Final = 5


def html(audit: Audit, target: Target) -> str:
    """The page: a summary, the checks and how they ended, severities by thing group, the findings with a search."""
    states = Counter(str(one.state) for one in audit.verdicts)
    found = Counter(str(one.check.severity) for one in audit.findings)
    left = len(audit.findings) - _MOST_ROWS
    return templates.render_page(
        "reports",
        "audit",
        target=str(target),
        at=clock.iso(audit.at),
        version=__version__,
        severities={str(severity): found[severity] for severity in Severity},
        states={str(state): states[state] for state in State},
        checks=[
            {
                "name": one.check.name,
                "severity": str(one.check.severity),
                "state": str(one.state),
                "checked": one.checked,
                "found": one.found,
                "why": sanitize(one.reason),
            }
            for one in sorted(audit.verdicts, key=lambda one: (_ENDED.index(one.state), one.check.severity.rank))
        ],
        groups=list(_groups(audit)),
        findings=[_row(finding, audit) for finding in audit.findings[:_MOST_ROWS]],
        more=count(left, "more finding") if left > 0 else "",
        exempted=[
            {
                "resource": sanitize(finding.resource),
                "check": finding.check.name,
                "until": one.until.isoformat(),
                "reason": sanitize(one.reason),
            }
            for finding, one in audit.exempted
        ],
        lapsed=[{"until": one.until.isoformat(), "reason": sanitize(one.reason)} for one in audit.lapsed],
    )


def _groups(audit: Audit) -> Iterator[dict[str, Any]]:
    """Findings by thing group and severity, the group with the most first."""
    found: dict[str, Counter[str]] = {}
    for finding in audit.findings:
        for group in _groups_of(finding, audit):
            found.setdefault(group, Counter())[str(finding.check.severity)] += 1
    most = max((counts.total() for counts in found.values()), default=0)
    for name, counts in sorted(found.items(), key=lambda pair: (-pair[1].total(), pair[0])):
        yield {
            "name": sanitize(name),
            "found": {str(severity): counts[severity] for severity in Severity},
            "shares": {str(severity): round(100 * counts[severity] / most, 2) for severity in Severity},
            "total": counts.total(),
        }


def _groups_of(finding: Finding, audit: Audit) -> list[str]:
    return sorted({group for name in finding.flaw.things for group in audit.groups.get(name, ())})


def _row(finding: Finding, audit: Audit) -> dict[str, str]:
    flaw = finding.flaw
    others = [name for name in flaw.things if name != finding.resource]
    return {
        "id": finding.finding_id,
        "severity": str(finding.check.severity),
        "check": finding.check.name,
        "resource": sanitize(finding.resource),
        "expected": sanitize(flaw.expected),
        "actual": sanitize(flaw.actual),
        "mend": sanitize(flaw.mend),
        "since": clock.iso(flaw.since) if flaw.since else "",
        "things": sanitize(", ".join(others[:_MOST_THINGS]) + (", …" if len(others) > _MOST_THINGS else "")),
        "groups": ", ".join(_groups_of(finding, audit)),
    }
