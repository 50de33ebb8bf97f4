"""audit: run · checks · baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.result import Column, Result, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.audit.verdict import Audit
    from iotctl.scope import Scope
    from iotctl.semantics.checks import Check, Severity
    from iotctl.semantics.checks.fleet import RevocationList

_CAPTURED = ("things", "groups", "principals", "targets", "policies", "shadows", "pems")

app = options.capability(
    "audit", "Find where the fleet is not as it should be: Device Defender's checks, and your own."
)


@options.command(app, example="iotctl audit checks\niotctl audit checks DEVICE_CERTIFICATE_EXPIRING_CHECK")
def checks(
    ctx: Ctx,  # noqa: ARG001  every command takes it
    name: Annotated[str | None, typer.Argument(metavar="[CHECK]", help="All about one check.")] = None,
) -> Result:
    """List the checks: what each finds, how bad that is, and what it looks at."""
    found = [_known(name)] if name else list(_all().values())
    rows = [
        {
            "checkName": one.name,
            "severity": str(one.severity),
            "source": "iotctl" if one.ours else "defender",
            "looksAt": one.of,
            "finds": one.help if name else one.help.splitlines()[0],
        }
        for one in found
    ]
    columns = tuple(Column(key) for key in ("checkName", "severity", "source", "finds"))
    return Result({"checks": rows}, Table(columns, rows))


@options.command(
    app,
    example="iotctl audit run\n"
    "iotctl audit run --baseline baseline.toml --fail-on high --report sarif=audit.sarif,junit=audit.xml\n"
    "iotctl audit run -g north --check DEVICE_CERTIFICATE_EXPIRING_CHECK\n"
    "iotctl audit run --engine defender --configure --timeout 2h",
    exits=(Exit.PARTIAL, Exit.DIFFERS, Exit.AUTH, Exit.NOT_FOUND, Exit.LOCKED, Exit.TIMEOUT),
)
def run(
    ctx: Ctx,
    check: Annotated[
        list[str] | None, typer.Option("--check", metavar="ID", help="Only this check; repeatable.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="The declared configuration (TOML).")
    ] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    crl: Annotated[
        list[Path] | None, typer.Option("--crl", metavar="FILE", help="A CA's revocation list; repeatable.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 4 from this severity on: low to critical.")
    ] = "low",
    report: Annotated[
        str | None, typer.Option("--report", metavar="KIND=FILE,…", help="Also write sarif, junit, html, markdown.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="N|P%", help="Only so many things, always the same.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Read every shadow itself, not the fleet index.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an audit that was stopped.")] = False,
    engine: Annotated[
        str, typer.Option("--engine", metavar="iotctl|defender", help="Who judges: this tool, or AWS Device Defender.")
    ] = "iotctl",
    configure: Annotated[
        bool,
        typer.Option("--configure", help="Let Device Defender's audit configuration be changed, and restored after."),
    ] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="How long Device Defender's audit may take.")
    ] = "30m",
) -> Result:
    """Judge the fleet: every check ends pass, finding, skipped or unknown; nothing is clean by silence."""
    from dataclasses import replace

    from iotctl.audit import baseline as declared
    from iotctl.audit import defender, observe, verdict
    from iotctl.semantics.checks import Rules, judge

    chosen = [_known(name) for name in check] if check else list(_all().values())
    severity, reports = _severity(fail_on), _reports(report)
    crls = tuple(_crl(path) for path in crl or ())
    read = declared.read(baseline, ctx.obj.target) if baseline else None
    rules = read.rules() if read else Rules()
    scope = _scope(thing_group, search, things)
    if _by_defender(engine, configure=configure):
        audit, more = defender.audited(ctx.obj, chosen, rules, scope, configure=configure, timeout=timeout)
        _write(audit, reports, ctx)
        answer = _result(audit, audit.exit(severity, check or ()), more.notes)
        return replace(answer, data={**answer.data, "engine": "defender", "auditTaskId": more.task_id})
    wanted = observe.Wanted.of(
        chosen, things=scope, baseline=rules.baseline, crls=crls, sample=_sample(sample), live=live, fresh=fresh
    )
    seen = observe.fleet(ctx.obj, wanted)
    findings, verdicts = judge(seen.fleet, rules, chosen)
    audit = verdict.settled(findings, verdicts, rules.baseline.exemptions if rules.baseline else (), seen.fleet)
    _write(audit, reports, ctx)
    return _result(audit, audit.exit(severity, check or ()), seen.notes)


@options.command(
    app,
    name="baseline",
    example="iotctl audit baseline > baseline.toml\niotctl audit run --baseline baseline.toml",
    exits=(Exit.PARTIAL, Exit.AUTH, Exit.NOT_FOUND),
)
def baseline_(ctx: Ctx, thing_group: ThingGroup = None, search: Search = None, things: ThingsFile = None) -> Result:
    """Print the baseline that the fleet is now: policies, and what all things, and those of each group, share."""
    from iotctl.audit import capture, observe
    from iotctl.result import Failure

    wanted = observe.Wanted(frozenset(_CAPTURED), _scope(thing_group, search, things))
    fleet = observe.fleet(ctx.obj, wanted).fleet
    missed = [reason for attribute, reason in fleet.unread.items() if attribute in _CAPTURED]
    text = capture.captured(fleet)
    failures = tuple(
        Failure("Unread", "the baseline is incomplete", cause=reason, exit=Exit.PARTIAL) for reason in missed
    )
    return Result({"baseline": text}, text=text, failures=failures)


def _by_defender(engine: str, *, configure: bool) -> bool:
    if engine not in {"iotctl", "defender"}:
        raise Usage(f"there is no engine {engine!r}", hint="--engine iotctl|defender")
    if configure and engine != "defender":
        raise Usage("--configure is about Device Defender", hint="add --engine defender")
    return engine == "defender"


def _scope(thing_group: str | None, search: str | None, things: str | None) -> Scope | None:
    from iotctl.scope import Scope

    return Scope(None, thing_group, search, things) if thing_group or search or things else None


def _result(audit: Audit, code: Exit, notes: tuple[str, ...]) -> Result:
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
    from iotctl.text import count

    states = [str(one.state) for one in audit.verdicts]
    ended = ", ".join(f"{states.count(state)} {state}" for state in ("pass", "finding", "skipped", "unknown"))
    notes = [f"{count(len(audit.findings), 'finding')}; checks: {ended}"]
    reasons: dict[str, list[str]] = {}
    for one in audit.verdicts:
        if one.reason:
            reasons.setdefault(f"{one.state}, as {one.reason}", []).append(one.check.name)
    notes += [f"{reason}: {', '.join(names)}" for reason, names in reasons.items()]
    notes += [f"{count(len(audit.exempted), 'finding')} exempted by the baseline"] if audit.exempted else []
    notes += [f"an exemption has lapsed on {one.until}: {one.reason}" for one in audit.lapsed]
    return tuple(notes)


def _write(audit: Audit, reports: Mapping[str, Path], ctx: Ctx) -> None:
    from iotctl import files
    from iotctl.audit.report import KINDS

    for kind, path in reports.items():
        files.replace(path, KINDS[kind](audit, ctx.obj.target).encode(errors="backslashreplace"), 0o644)


def _all() -> Mapping[str, Check]:
    from iotctl.semantics.checks import load

    return load()


def _known(name: str) -> Check:
    from iotctl.text import nearest

    found = _all().get(name.upper())
    if found is None:
        meant = nearest(name.upper(), _all())
        raise Usage(f"there is no check {name!r}", hint=f"did you mean {meant}?" if meant else "iotctl audit checks")
    return found


def _severity(word: str) -> Severity:
    from iotctl.semantics.checks import Severity as Known

    if word.upper() not in set(Known):
        raise Usage(f"{word!r} is not a severity", hint="--fail-on low|medium|high|critical")
    return Known(word.upper())


def _sample(text: str | None) -> float:
    """How many things: a number of them from 1 on, a share of them below 1, 0 for all."""
    number, percent = (text or "0").removesuffix("%"), (text or "").endswith("%")
    try:
        size = float(number) / 100 if percent else float(int(number))
    except ValueError:
        size = -1
    if size < 0 or (percent and size > 1) or (text and not size):
        raise Usage(f"--sample {text!r} is not a number of things", hint="--sample 500, or --sample 5%")
    return 0 if percent and size == 1 else size


def _reports(text: str | None) -> dict[str, Path]:
    from iotctl.audit.report import KINDS

    found: dict[str, Path] = {}
    for part in text.split(",") if text else ():
        kind, equals, path = part.partition("=")
        if kind not in KINDS or not equals or not path:
            raise Usage(f"--report {part!r} is not KIND=FILE", hint=f"kinds: {', '.join(KINDS)}")
        found[kind] = Path(path)
    return found


def _crl(path: Path) -> RevocationList:
    from iotctl import pki
    from iotctl.semantics.checks.fleet import RevocationList

    try:
        return RevocationList(*pki.revocations(path.read_bytes()))
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}", on=str(path)) from error
    except Usage as error:
        raise Usage(f"{path}: {error.message}", code=error.code, on=str(path)) from error
