"""Checks of IoT policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.semantics import policy, policy_lint
from iotctl.semantics.checks import Flaw, Rules, Severity, check, option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.semantics.checks.fleet import Fleet, Policy


@check(policy_lint.OVERLY_PERMISSIVE, severity=Severity.CRITICAL, of="policies")
def overly_permissive(one: Policy, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A policy lets a device connect as any client, or reach the shadows and jobs of any thing."""
    yield from _flaws(one, policy_lint.overly_permissive, "limited to the device's own thing")


@check(policy_lint.POTENTIAL_MISCONFIGURATION, severity=Severity.MEDIUM, of="policies")
def potential_misconfiguration(one: Policy, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A policy denies less than it seems to: MQTT wildcards are plain characters in it, or a wider filter escapes."""
    yield from _flaws(one, policy_lint.misconfigured, "a Deny that nothing escapes")


def new_version(name: str) -> str:
    """The command that replaces what a policy allows."""
    document = "--policy-document file://POLICY.json --set-as-default"
    return f"aws iot create-policy-version {option('policy-name', name)} {document}"


def _flaws(one: Policy, lint: Callable[[policy.Policy], Iterator[policy_lint.Flaw]], expected: str) -> Iterator[Flaw]:
    try:
        parsed = policy.parse(one.document)
    except policy.PolicyError:
        return  # AWS stores no policy that it cannot read, and one that is not read grants nothing
    for flaw in lint(parsed):
        yield Flaw(
            flaw.reason,
            {"policyVersionIdentifier": {"policyName": one.name, "policyVersionId": one.version_id}},
            expected=expected,
            actual=flaw.message,
            mend=new_version(one.name),
            key=f"{flaw.statement} {flaw.resource}",
            details={"statement": str(flaw.statement), "resource": flaw.resource},
        )
