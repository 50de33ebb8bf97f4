"""What an audit comes to: which findings are exempted, whether it is complete, and the exit code. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iotctl.errors import Exit
from iotctl.semantics.checks import Severity, State
from iotctl.semantics.checks.declared import ancestry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from iotctl.semantics.checks import Finding, Verdict
    from iotctl.semantics.checks.declared import Exemption
    from iotctl.semantics.checks.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit that is over.

    Attributes:
        findings: those that count, the worst first.
        exempted: those that an exemption allows, with its reason.
        verdicts: how each check ended.
        at: the moment that the fleet was read.
        lapsed: exemptions whose last day is over: they allow nothing any more.
        groups: of the things that findings are about: their thing groups, and those above them.
        suppressed: the ids of the findings that are suppressed in Device Defender.

    """

    findings: tuple[Finding, ...]
    exempted: tuple[tuple[Finding, Exemption], ...]
    verdicts: tuple[Verdict, ...]
    at: datetime
    lapsed: tuple[Exemption, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    suppressed: frozenset[str] = frozenset()

    def exit(self, fail_on: Severity, named: Collection[str]) -> Exit:
        """The exit code: incomplete before findings, findings only from a severity on.

        Args:
            fail_on: findings of this severity and worse count.
            named: the checks that were asked for by name: of those a skipped one leaves the audit incomplete.

        """
        for verdict in self.verdicts:
            if verdict.state is State.UNKNOWN or (verdict.state is State.SKIPPED and verdict.check.name in named):
                return Exit.PARTIAL
        found = any(finding.check.severity.rank <= fail_on.rank for finding in self.findings)
        return Exit.DIFFERS if found else Exit.OK

    def to_json(self) -> dict[str, Any]:
        """The audit as the envelope's `data`."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "exempted": [
                {**finding.to_json(), "exemption": {"until": exemption.until.isoformat(), "reason": exemption.reason}}
                for finding, exemption in self.exempted
            ],
            "checks": [verdict.to_json() for verdict in self.verdicts],
        }


def settled(
    findings: Collection[Finding], verdicts: Iterable[Verdict], exemptions: Collection[Exemption], fleet: Fleet
) -> Audit:
    """The audit of what was found, less what is exempted on the day of the fleet."""
    today = fleet.now.date()
    valid = [one for one in exemptions if one.until >= today]
    concerned = {name for finding in findings for name in finding.flaw.things}
    inside = {
        thing.name: tuple(sorted({outer for group in thing.groups for outer in ancestry(group, fleet.parents)}))
        for thing in fleet.things
        if thing.name in concerned
    }
    kept: list[Finding] = []
    allowed: list[tuple[Finding, Exemption]] = []
    for finding in findings:
        groups = {group for name in finding.flaw.things for group in inside.get(name, ())}
        exemption = next((one for one in valid if _covers(one, finding, groups)), None)
        if exemption:
            allowed.append((finding, exemption))
        else:
            kept.append(finding)
    lapsed = tuple(one for one in exemptions if one.until < today)
    return Audit(tuple(kept), tuple(allowed), tuple(verdicts), fleet.now, lapsed, inside)


def _covers(one: Exemption, finding: Finding, groups: set[str]) -> bool:
    flaw = finding.flaw
    return (
        one.finding in {"", finding.finding_id}
        and one.check in {"", finding.check.name}
        and (not one.thing or one.thing in flaw.things)
        and (not one.group or one.group in groups)
        and (not one.path or flaw.key == one.path or flaw.key.endswith(f".{one.path}"))
    )
