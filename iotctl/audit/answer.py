"""An audit as a command answers it: reports written, what was found kept in the journal, rows and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl import files
from iotctl.audit import history
from iotctl.audit.report import KINDS
from iotctl.journal import Journal
from iotctl.result import Column, Result, Table
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iotctl.audit.asked import Asked
    from iotctl.audit.verdict import Audit
    from iotctl.context import Context
    from iotctl.errors import Exit
    from iotctl.semantics.checks import Severity


def settle(
    context: Context, audit: Audit, fail_on: Severity, reports: Mapping[str, Path], wanted: Asked, command: str
) -> tuple[Exit, str]:
    """Write the reports, and keep in the journal what was found: the exit code, and what has changed, in words."""
    for kind, path in reports.items():
        files.replace(path, KINDS[kind](audit, context.target).encode(errors="backslashreplace"), 0o644)
    code = audit.exit(fail_on, wanted.named)
    with Journal(context.home) as journal:
        changed = history.record(journal, history.Series(command, wanted.words, context.target), audit, code)
    told = f"since the last audit of {wanted.words}: {len(changed.new):,} new, {len(changed.healed):,} healed"
    return code, told


def result(audit: Audit, code: Exit, notes: tuple[str, ...]) -> Result:
    """The findings as the command's answer."""
    rows = [
        {
            "severity": str(one.check.severity),
            "resource": one.resource,
            "checkName": one.check.name,
            "expected": one.flaw.expected,
            "actual": one.flaw.actual,
            "findingId": one.finding_id,
        }
        for one in audit.findings
    ]
    columns = ("findingId", "severity", "resource", "checkName", "expected", "actual")
    table = Table(tuple(Column(key) for key in columns), rows)
    return Result(audit.to_json(), table, notes=(*notes, *_notes(audit)), exit=code)


def _notes(audit: Audit) -> tuple[str, ...]:
    states = [str(one.state) for one in audit.verdicts]
    ended = ", ".join(f"{states.count(state)} {state}" for state in ("pass", "finding", "skipped", "unknown"))
    notes = [f"{count(len(audit.findings), 'finding')}; checks: {ended}"]
    if audit.findings:
        notes.append("iotctl audit fix FINDING… --dry-run shows what mends them; the command for each is in -o json")
    reasons: dict[str, list[str]] = {}
    for one in audit.verdicts:
        if one.reason:
            reasons.setdefault(f"{one.state}, as {one.reason}", []).append(one.check.name)
    notes += [f"{reason}: {', '.join(names)}" for reason, names in reasons.items()]
    notes += [f"{count(len(audit.exempted), 'finding')} exempted by the baseline"] if audit.exempted else []
    notes += [f"an exemption has lapsed on {one.until}: {one.reason}" for one in audit.lapsed]
    return tuple(notes)
