"""AWS Device Defender as the engine of an audit: configured if it may be, started, waited for and read.

What it needs of the account's audit configuration that is not there is told, and changed only when that was asked for;
afterwards the configuration is as it was.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, engine, files, text
from iotctl import scope as scopes
from iotctl.audit import observe, verdict
from iotctl.audit.configuring import HISTORY, Change, apply, change, restore
from iotctl.audit.translating import flaw
from iotctl.errors import Auth, Denied, Error, Exit, Timeout, Usage
from iotctl.plan import Ref, Step
from iotctl.reading import whole
from iotctl.semantics.checks import Finding, Rules, State, Verdict
from iotctl.semantics.checks.fleet import Fleet
from iotctl.target import AUDIT_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.scope import Scope
    from iotctl.semantics.checks import Check
    from iotctl.world import World

READS: Final = frozenset({"StartOnDemandAuditTask", "CancelAuditTask"})
"""What an audit by this engine does besides reading; it changes nothing that anybody configured."""

CONFIGURES: Final = frozenset({"UpdateAccountAuditConfiguration", "DeleteAccountAuditConfiguration"})

_NOT_COLLECTED: Final = (
    "it is not enabled (aws iot update-account-audit-configuration), and looks at how devices connect from then on"
)

_OF_IAM: Final = frozenset({"role_aliases", "identity_pools"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What Device Defender said.

    Attributes:
        findings: those that are not suppressed there, sorted.
        verdicts: how each check ended, in the order asked for.
        task_id: of the audit; empty: no check could be audited.
        notes: what else there is to say.
        suppressed: the ids of the findings that are suppressed there.

    """

    findings: list[Finding]
    verdicts: list[Verdict]
    task_id: str = ""
    notes: tuple[str, ...] = ()
    suppressed: frozenset[str] = frozenset()


def audited(
    context: Context, checks: Sequence[Check], rules: Rules, scope: Scope | None, *, configure: bool, timeout: str
) -> tuple[verdict.Audit, Answer]:
    """An audit by Device Defender, less what the baseline exempts and what is outside the scope.

    Args:
        context: the account.
        checks: those asked for; ours are skipped.
        rules: the thresholds, and the baseline with its exemptions.
        scope: only these things and their certificates.
        configure: change the audit configuration where that is needed, and restore it afterwards.
        timeout: how long the audit may take: 30m.

    Raises:
        Error: as for `audit`; NotFound: the scope does not exist.

    """
    seconds = text.seconds(timeout)
    names = frozenset(scopes.resolve(context.aws, scope).names) if scope else None
    exemptions = rules.baseline.exemptions if rules.baseline else ()
    answer = audit(
        context.aws,
        context.world(),
        checks,
        rules,
        configure=configure,
        seconds=seconds,
        home=context.home,
        tell=context.tell,
    )
    if names is not None:
        answer = within(answer, names)
    fleet = Fleet(clock.now())
    if any(one.group for one in exemptions):
        fleet = observe.fleet(context, observe.Wanted(frozenset({"things", "groups"}))).fleet
    settled = verdict.settled(answer.findings, answer.verdicts, exemptions, fleet)
    return replace(settled, suppressed=answer.suppressed), answer


def audit(
    aws: Aws,
    world: World,
    checks: Sequence[Check],
    rules: Rules,
    *,
    configure: bool,
    seconds: float,
    home: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Let Device Defender audit the account.

    Args:
        aws: the account; from here on it does nothing but what an audit needs.
        world: for resolving certificates to things.
        checks: those asked for; ours are skipped.
        rules: the thresholds.
        configure: change the audit configuration where that is needed, and restore it afterwards.
        seconds: how long the audit may take.
        home: where what has to be restored is kept meanwhile.
        tell: says something to a person while the audit runs.

    Raises:
        Usage: nothing can be audited without changing the configuration.
        Timeout: the audit goes on, or was canceled because the configuration had to be restored.
        Locked: another run has changed the configuration.

    """
    aws.read_only, aws.besides = True, READS | (CONFIGURES if configure else frozenset())
    target = aws.target
    kept = home / f"defender-{target.account_id}-{target.region}.json"
    role = target.role(AUDIT_ROLE)
    theirs = [one for one in checks if not one.ours]
    with contextlib.ExitStack() as stack:
        if configure:
            files.private_directory(home)
            stack.enter_context(files.run_lock(kept.with_suffix(".lock"), "iotctl audit run --configure"))
            restore(aws, kept)
        held = aws.call("iot:DescribeAccountAuditConfiguration")
        wanted = change(held, theirs, rules, role)
        if wanted and configure:
            stack.callback(restore, aws, kept)
            apply(aws, kept, held, wanted)
            held = aws.call("iot:DescribeAccountAuditConfiguration")
        running = [one for one in theirs if held["auditCheckConfigurations"].get(one.name, {}).get("enabled")]
        if not running and wanted:
            raise Usage(
                f"Device Defender audits nothing of this in {target}: it would have to {wanted.words()}",
                code="NotConfigured",
                hint="add --configure to change that for this audit; afterwards it is as it was",
            )
        notes = _notes(wanted, kept, configured=configure)
        if not running:
            return Answer([], [_not_run(one) for one in checks], "", notes)
        task_id = aws.call("iot:StartOnDemandAuditTask", targetCheckNames=[one.name for one in running])["taskId"]
        tell(f"audit {task_id} of {text.count(len(running), 'check')} is running in Device Defender")
        task = _ended(aws, task_id, seconds, cancel=configure and bool(wanted))
        return _read(aws, world, task_id, task, checks, notes)


def within(answer: Answer, names: Container[str]) -> Answer:
    """Of an answer what concerns some things, and what concerns none in particular (a policy, the account). Pure."""
    kept = [
        one
        for one in answer.findings
        if "deviceCertificateId" not in one.flaw.resource or any(name in names for name in one.flaw.things)
    ]
    verdicts = []
    for one in answer.verdicts:
        found = len({finding.resource for finding in kept if finding.check is one.check})
        state = State.PASS if one.state is State.FINDING and not found else one.state
        verdicts.append(replace(one, state=state, found=found))
    return replace(answer, findings=kept, verdicts=verdicts)


def _notes(wanted: Change, kept: Path, *, configured: bool) -> tuple[str, ...]:
    if configured:
        words = wanted.words(short=True)
        return (f"the audit configuration was changed ({words}), and is as it was again",) if wanted else ()
    left = (f"a run that was killed left the audit configuration changed; --configure restores it ({kept})",)
    return (
        *((f"not changed in the account: {wanted.words()} (--configure does it for one audit)",) if wanted else ()),
        *(left if kept.exists() else ()),
    )


def _ended(aws: Aws, task_id: str, seconds: float, *, cancel: bool) -> dict[str, Any]:
    """The audit as it ended; where the configuration must be restored it does not go on without us."""
    try:
        return engine.poll(
            lambda: aws.call("iot:DescribeAuditTask", taskId=task_id),
            lambda task: bool(task["taskStatus"] != "IN_PROGRESS"),
            seconds=seconds,
            what=f"the end of the audit {task_id}",
        )
    except (KeyboardInterrupt, Timeout) as error:
        if cancel:
            with contextlib.suppress(Error):
                aws.call("iot:CancelAuditTask", taskId=task_id)
        if isinstance(error, Timeout):
            says = "it was canceled, as the configuration is restored" if cancel else "it goes on"
            raise Timeout(
                f"the audit {task_id} took longer than {seconds:g} s; {says}",
                hint="--timeout 2h waits longer; the first audit of a check collects data before",
                on=task_id,
            ) from error
        raise


def _read(
    aws: Aws, world: World, task_id: str, task: Mapping[str, Any], checks: Sequence[Check], notes: tuple[str, ...]
) -> Answer:
    """The findings of an audit that ended, and how each check did."""
    by_name = {one.name: one for one in checks}
    cut, listed = "", []
    try:
        for page in aws.pages("iot:ListAuditFindings", taskId=task_id, maxResults=250):
            listed += [one for one in page.get("findings", ()) if one["checkName"] in by_name]
    except Error as error:
        if isinstance(error, Auth) and not isinstance(error, Denied):
            raise
        cut = f"iot:ListAuditFindings failed: {error.cause or error.message}"
    hidden = [one for one in listed if one.get("isSuppressed")]
    counted = [one for one in listed if not one.get("isSuppressed")]
    owners, missed = _owners(aws, world, counted)
    findings = [Finding(by_name[one["checkName"]], flaw(one, owners)) for one in counted]
    findings.sort(key=Finding.order)
    resources: dict[str, set[str]] = {}
    for finding in findings:
        resources.setdefault(finding.check.name, set()).add(json.dumps(finding.flaw.resource, sort_keys=True))
    verdicts = []
    for one in checks:
        details = task["auditDetails"].get(one.name)
        verdicts.append(_verdict(one, details, len(resources.get(one.name, ())), cut) if details else _not_run(one))
    told = [
        *notes,
        *([f"{text.count(len(hidden), 'finding')} suppressed in Device Defender"] if hidden else []),
        *missed,
    ]
    suppressed = frozenset(Finding(by_name[one["checkName"]], flaw(one, {})).finding_id for one in hidden)
    return Answer(findings, verdicts, task_id, tuple(told), suppressed)


def _verdict(one: Check, details: Mapping[str, Any], listed: int, cut: str) -> Verdict:
    """How a check ended; that all of its findings were listed is not taken on trust."""
    total = details.get("totalResourcesCount") or 0
    status = details["checkRunStatus"]
    if status == "COMPLETED_COMPLIANT":
        return Verdict(one, State.PASS, "", total, 0)
    if status != "COMPLETED_NON_COMPLIANT":
        why = ": ".join(word for word in (details.get("errorCode"), details.get("message")) if word)
        # As for our own engine: roles that may not be read are beyond it, everything else it should have read.
        beyond = one.of in _OF_IAM and details.get("errorCode") == "INSUFFICIENT_PERMISSIONS"
        state = State.SKIPPED if beyond else State.UNKNOWN
        return Verdict(one, state, f"in Device Defender it ended {status}{f' ({why})' if why else ''}")
    said = (details.get("nonCompliantResourcesCount") or 0) - (details.get("suppressedNonCompliantResourcesCount") or 0)
    if listed < said:
        reason = cut or f"Device Defender counts {said:,} resources, and lists findings of {listed:,}"
        return Verdict(one, State.UNKNOWN, reason, total, listed)
    return Verdict(one, State.FINDING, "", total, listed)


def _not_run(one: Check) -> Verdict:
    if one.ours:
        return Verdict(one, State.SKIPPED, "Device Defender has no such check")
    if one.of in HISTORY:
        return Verdict(one, State.SKIPPED, _NOT_COLLECTED)
    return Verdict(one, State.SKIPPED, "it is not enabled in this account (--configure)")


def _owners(
    aws: Aws, world: World, listed: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The things of the certificates that were found, and what to say where that could not be read."""
    ids = sorted(set(_certificates(listed)))
    step = Step("iot:ListPrincipalThings", {"principal": Ref("row.arn")})
    rows = ({"thingName": one, "arn": aws.target.arn(f"cert/{one}"), "line": n} for n, one in enumerate(ids, 1))
    found: dict[str, tuple[str, ...]] = {}
    failed = ""
    try:
        for row, answer in engine.answers(step, rows, world):
            if isinstance(answer, Error):
                failed = answer.cause or answer.message if answer.exit is not Exit.NOT_FOUND else failed
            else:
                named = whole(aws, step.op, {"principal": row["arn"]}, answer)
                found[row["thingName"]] = tuple(sorted(named.get("things", ())))
    except Error as error:
        if isinstance(error, Auth) and not isinstance(error, Denied):
            raise
        failed = error.cause or error.message
    missing = text.count(len(ids) - len(found), "certificate")
    return found, [f"the things of {missing} could not be read: {failed}"] if failed else []


def _certificates(listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in listed:
        resource = one["nonCompliantResource"]["resourceIdentifier"]
        if "deviceCertificateId" in resource:
            yield resource["deviceCertificateId"]
