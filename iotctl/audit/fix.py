"""Findings by their ids, looked at again: what is still so is mended, what is healed is told."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl.audit import asked, history, mend, plan
from iotctl.audit.configuring import HISTORY
from iotctl.errors import BadInput, Conflict, NotFound, Unsupported, Usage
from iotctl.journal import Journal
from iotctl.result import Result
from iotctl.semantics.checks import Finding, Flaw, State, load
from iotctl.semantics.checks.fleet import Policy
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from iotctl.audit.asked import Asked
    from iotctl.audit.mend import Known, Mend
    from iotctl.context import Context
    from iotctl.plan import Plan
    from iotctl.semantics.checks import Check
    from iotctl.semantics.checks.fleet import Fleet


_CHOICES: Final = frozenset({"groups", "principals"})
"""What a choice needs to know, whatever was found: whose certificates there are, and who is where."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done where it is not the check's own mend; at most one of these.

    Attributes:
        deactivate: the certificates are switched off.
        quarantine: the things are put into this group.
        job: the things get a job with this document.

    """

    deactivate: bool = False
    quarantine: str = ""
    job: str = ""


def fixing(context: Context, ids: Sequence[str], wanted: Asked, choice: Choice) -> Plan | Result:
    """The plan that mends these findings; a result where all of them are healed.

    Raises:
        BadInput: some cannot be mended so; all of them are named, and nothing is done.
        NotFound: no audit ever found one of them.
        Usage: more than one choice, or one of them cannot be looked at again with these words.

    """
    if sum(map(bool, (choice.deactivate, choice.quarantine, choice.job))) > 1:
        raise Usage("give one of --deactivate, --quarantine and --job")
    with Journal(context.home) as journal:
        before = history.known(journal, context.target, ids)
    narrowed = _narrowed(wanted, [before[one] for one in ids if one in before]) if len(before) == len(ids) else wanted
    audit, seen = asked.audited(context, narrowed)
    found = _by_id(audit.findings)
    allowed = _by_id(finding for finding, _ in audit.exempted)
    if unknown := [one for one in ids if one not in found and one not in before]:
        raise NotFound(
            f"there is no finding {', '.join(unknown)}", hint="iotctl audit run prints them; its ids are whole"
        )
    judged = {one.check.name: one for one in audit.verdicts}
    for one in ids:
        verdict = judged.get(before[one]["checkName"]) if one not in found and one not in allowed else None
        if verdict and verdict.check.of in HISTORY and choice != Choice():
            context.tell(f"{one} is taken as Device Defender found it: how devices connected it alone knows")
            found[one] = [_as_found(verdict.check, before[one])]
        elif verdict and verdict.state in {State.SKIPPED, State.UNKNOWN}:
            by_hand = f"by hand: {before[one]['mend']}"
            or_so = "; or --deactivate, --quarantine GROUP, --job FILE" if verdict.check.of in HISTORY else ""
            raise Usage(f"{one} cannot be looked at again: {verdict.reason}", hint=f"{by_hand}{or_so}", on=one)
    healed = [one for one in ids if one not in found and one not in allowed]
    exempted = [one for one in ids if one in allowed and one not in found]
    left = list({finding.finding_id: finding for one in ids for finding in found.get(one, ())}.values())
    notes = tuple(
        f"{words}: {', '.join(those)}"
        for words, those in (("not found any more", healed), ("exempted by the baseline", exempted))
        if those
    )
    if not left:
        return Result({"healed": healed, "exempted": exempted}, notes=notes)
    for note in notes:
        context.tell(note)
    known = _known(context, narrowed, seen.fleet, left)
    return plan.fixing(_mends(left, known, choice), context.target, group=choice.quarantine, job=choice.job)


def undoing(context: Context, run_id: str) -> Plan | Result:
    """The plan that takes back what a run of `audit fix` did.

    Raises:
        Conflict: the run was on another account or region.
        NotFound: there is no such run here.

    """
    with Journal(context.home) as journal:
        run = next((one for one in journal.runs() if one.run_id == run_id and one.command == "audit fix"), None)
        if run is None:
            raise NotFound(
                f"no run {run_id} of audit fix is in the journal", hint="the last line of audit fix names it"
            )
        done = [row for row in journal.rows(run_id) if row["state"] == "done"]
    if dict(run.target) != context.target.to_json():
        raise Conflict(f"run {run_id} was on another account or region than {context.target}", code="WrongAccount")
    back = [row for row in done if row.get("undo")]
    if not back:
        return Result({"runId": run_id, "undone": 0}, notes=("nothing of it can be taken back",))
    if len(back) < len(done):
        context.tell(f"{count(len(done) - len(back), 'finding')} of the run cannot be taken back")
    return plan.undoing(run_id, back, context.target)


def _narrowed(wanted: Asked, before: Sequence[dict[str, object]]) -> Asked:
    """The same audit of only the checks that found these, and of only their things where that is enough."""
    names = {str(one["checkName"]) for one in before}
    checks = tuple(one for name, one in load().items() if name in names)
    needs = frozenset(need for one in checks for need in one.needs) | _CHOICES
    things: set[str] = set()
    for one in before:
        names_of_things = one["thingNames"]
        assert isinstance(names_of_things, list)
        things |= set(names_of_things)
    narrow = replace(wanted.wanted, needs=needs)
    if all(one.of == "things" for one in checks) and wanted.wanted.things is None:
        narrow = replace(narrow, things=sorted(things))
    return replace(wanted, checks=checks, wanted=narrow)


def _as_found(check: Check, before: Mapping[str, Any]) -> Finding:
    """A finding as the journal has it."""
    reason, words = before["reasonForNonComplianceCode"], (before["expected"], before["actual"], before["mend"])
    return Finding(check, Flaw(reason, before["resourceIdentifier"], *words, things=tuple(before["thingNames"])))


def _by_id(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by their ids, and by those that Device Defender's findings of the same have."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        for one in {finding.finding_id, finding.resource_id}:
            found.setdefault(one, []).append(finding)
    return found


def _mends(findings: Sequence[Finding], known: Known, choice: Choice) -> list[Mend]:
    made: list[Mend] = []
    refused: list[Usage] = []
    for finding in findings:
        try:
            made.append(_mend(finding, known, choice))
        except Usage as error:
            refused.append(error)
    if refused:
        raise BadInput(f"{count(len(refused), 'finding')} cannot be mended so; nothing was done", tuple(refused))
    return made


def _mend(finding: Finding, known: Known, choice: Choice) -> Mend:
    if choice.deactivate:
        return mend.deactivated(finding, known)
    if choice.quarantine:
        return mend.quarantined(finding, known, choice.quarantine)
    if choice.job:
        if not finding.flaw.things:
            raise Usage(f"{finding.finding_id} is about no thing ({finding.check.name})", on=finding.finding_id)
        return mend.Mend(finding, f"a job for {', '.join(finding.flaw.things[:3])}", ())
    return mend.mended(finding, known)


def _known(context: Context, wanted: Asked, fleet: Fleet, findings: Sequence[Finding]) -> Known:
    concerned = {name for finding in findings for name in finding.flaw.things}
    policies = {finding.resource for finding in findings if finding.check.of == "policies"}
    return mend.Known(
        context.target,
        fleet,
        wanted.rules,
        {thing.name: thing for thing in fleet.things if thing.name in concerned},
        {one.certificate_id: one for one in fleet.certificates},
        {one.certificate_id: one for one in fleet.ca_certificates},
        {name: list(_versions(context, name)) for name in sorted(policies)},
    )


def _versions(context: Context, name: str) -> Iterator[Policy]:
    """The versions of a policy, the newest first; none where it is not there."""
    with contextlib.suppress(NotFound, Unsupported):
        listed = context.aws.call("iot:ListPolicyVersions", policyName=name).get("policyVersions", [])
        for version in sorted(listed, key=lambda one: int(one["versionId"]), reverse=True):
            op = "iot:GetPolicyVersion"
            answer = context.aws.call(op, policyName=name, policyVersionId=version["versionId"])
            yield Policy(name, version["versionId"], answer["policyDocument"])
