"""audit: run · checks · baseline · fix · undo · profiles · violations · watch · trend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.plan import Plan
from iotctl.result import Column, Result, Stream, Table

_CAPTURED = ("things", "groups", "principals", "targets", "policies", "shadows", "pems")

app = options.capability(
    "audit", "Find where the fleet is not as it should be: Device Defender's checks, and your own."
)


Check = Annotated[list[str] | None, typer.Option("--check", metavar="ID", help="Only this check; repeatable.")]
Baseline = Annotated[Path | None, typer.Option("--baseline", metavar="FILE", help="The declared configuration (TOML).")]
Crl = Annotated[list[Path] | None, typer.Option("--crl", metavar="FILE", help="A CA's revocation list; repeatable.")]
Live = Annotated[bool, typer.Option("--live", help="Read every shadow itself, not the fleet index.")]


@options.command(app, example="iotctl audit checks\niotctl audit checks DEVICE_CERTIFICATE_EXPIRING_CHECK")
def checks(
    ctx: Ctx,  # noqa: ARG001  every command takes it
    name: Annotated[str | None, typer.Argument(metavar="[CHECK]", help="All about one check.")] = None,
) -> Result:
    """List the checks: what each finds, how bad that is, and what it looks at."""
    from iotctl.audit import asked
    from iotctl.semantics.checks import load

    found = [asked.known(name)] if name else list(load().values())
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
    if name:
        return Result({"checks": rows}, text=asked.about(found[0]))
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
    check: Check = None,
    baseline: Baseline = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    crl: Crl = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 4 from this severity on: low to critical.")
    ] = "low",
    report: Annotated[
        str | None, typer.Option("--report", metavar="KIND=FILE,…", help="Also write sarif, junit, html, markdown.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="N|P%", help="Only so many things, always the same.")
    ] = None,
    live: Live = False,
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

    from iotctl.audit import answer, asked, defender

    severity, reports = asked.severity(fail_on), asked.reports(report)
    scope = asked.scope(thing_group, search, things)
    wanted = asked.asked(
        ctx.obj,
        check=check or (),
        baseline=baseline,
        scope=scope,
        crl=crl or (),
        sample=sample,
        live=live,
        fresh=fresh,
    )
    ours = {"--sample": sample, "--crl": crl, "--live": live, "--fresh": fresh}
    if _by_defender(engine, configure=configure, ours=[word for word, given in ours.items() if given]):
        audit, more = defender.audited(
            ctx.obj, wanted.checks, wanted.rules, scope, configure=configure, timeout=timeout
        )
        code, told = answer.settle(ctx.obj, audit, severity, reports, wanted, "audit run --engine defender")
        result = answer.result(audit, code, (*more.notes, told))
        return replace(result, data={**result.data, "engine": "defender", "auditTaskId": more.task_id})
    audit, seen = asked.audited(ctx.obj, wanted)
    code, told = answer.settle(ctx.obj, audit, severity, reports, wanted, "audit run")
    return answer.result(audit, code, (*seen.notes, told))


@options.command(
    app,
    name="baseline",
    example="iotctl audit baseline > baseline.toml\niotctl audit run --baseline baseline.toml",
    exits=(Exit.PARTIAL, Exit.AUTH, Exit.NOT_FOUND),
)
def baseline_(ctx: Ctx, thing_group: ThingGroup = None, search: Search = None, things: ThingsFile = None) -> Result:
    """Print the baseline that the fleet is now: policies, and what all things, and those of each group, share."""
    from iotctl.audit import asked, capture, observe
    from iotctl.result import Failure

    wanted = observe.Wanted(frozenset(_CAPTURED), asked.scope(thing_group, search, things))
    fleet = observe.fleet(ctx.obj, wanted).fleet
    missed = [reason for attribute, reason in fleet.unread.items() if attribute in _CAPTURED]
    text = capture.captured(fleet)
    failures = tuple(
        Failure("Unread", "the baseline is incomplete", cause=reason, exit=Exit.PARTIAL) for reason in missed
    )
    return Result({"baseline": text}, text=text, failures=failures)


@options.change(
    app,
    example="iotctl audit fix 3f9c0a71be42 --baseline baseline.toml --dry-run\n"
    "iotctl audit fix 3f9c0a71be42 --quarantine held --yes\n"
    "iotctl audit run -q --check ORPHAN_CERTIFICATE_CHECK | xargs iotctl audit fix --yes",
    exits=(Exit.NOT_FOUND, Exit.CONFLICT),
)
def fix(
    ctx: Ctx,
    findings: Annotated[list[str], typer.Argument(metavar="FINDING…", help="Ids, as `audit run` prints them.")],
    baseline: Baseline = None,
    crl: Crl = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    deactivate: Annotated[bool, typer.Option("--deactivate", help="Switch the certificates off.")] = False,
    quarantine: Annotated[
        str | None, typer.Option("--quarantine", metavar="GROUP", help="Put the things into this thing group.")
    ] = None,
    job: Annotated[
        Path | None, typer.Option("--job", metavar="FILE", help="Give the things a job with this document (JSON).")
    ] = None,
) -> Plan | Result:
    """Mend findings that are still so: as the check says, or as you choose; `audit undo` takes it back."""
    from iotctl import text
    from iotctl.audit import asked, fix

    scope = asked.scope(thing_group, search, things)
    wanted = asked.asked(ctx.obj, baseline=baseline, scope=scope, crl=crl or (), live=True, fresh=True)
    document = text.canonical(text.loads(asked.content(job), name=str(job))) if job else ""
    plan = fix.fixing(ctx.obj, findings, wanted, fix.Choice(deactivate, quarantine or "", document))
    ctx.obj.writing()
    return plan


@options.change(app, example="iotctl audit undo 5d21c07fa9be --dry-run", exits=(Exit.NOT_FOUND, Exit.CONFLICT))
def undo(ctx: Ctx, run: Annotated[str, typer.Argument(metavar="RUN", help="The run of `audit fix`.")]) -> Plan | Result:
    """Take back what a run of `audit fix` did, where AWS allows that."""
    from iotctl.audit import fix

    return fix.undoing(ctx.obj, run)


@options.command(
    app,
    example="iotctl audit watch --every 1h --notify webhook:hook.url\n"
    "iotctl audit watch --on-change --baseline baseline.toml --notify mqtt:alerts/audit -o json",
    exits=(Exit.PARTIAL, Exit.AUTH, Exit.NOT_FOUND),
)
def watch(
    ctx: Ctx,
    check: Check = None,
    baseline: Baseline = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    crl: Crl = None,
    live: Live = False,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Audit all of it so often.")] = "1h",
    on_change: Annotated[
        bool, typer.Option("--on-change", help="Also audit the things whose shadow or registry entry changes, at once.")
    ] = False,
    notify: Annotated[
        list[str] | None,
        typer.Option("--notify", metavar="WHERE", help="terminal, mqtt:TOPIC, sns:ARN, webhook:FILE; repeatable."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many audits of all of it.")] = None,
) -> Stream:
    """Audit again and again, and tell only what is new and what is healed."""
    from iotctl import text
    from iotctl.audit import asked, watching

    scope = asked.scope(thing_group, search, things)
    wanted = asked.asked(
        ctx.obj, check=check or (), baseline=baseline, scope=scope, crl=crl or (), live=live, fresh=True
    )
    how = watching.How(text.seconds(every), on_change, count, notify or ())
    if not how.every:
        raise Usage("--every 0 would never rest", hint="--every 1h")
    keys = ("findingId", "event", "severity", "resource", "checkName", "expected", "actual", "mend")
    columns = tuple(Column(key) for key in keys)
    return Stream(columns, watching.watch(ctx.obj, wanted, how), (f"watching {wanted.words}; Ctrl-C ends it",))


@options.command(app, example="iotctl audit trend\niotctl audit trend --last 90 -o json", exits=(Exit.AUTH,))
def trend(ctx: Ctx, last: Annotated[int, typer.Option(min=1, help="So many audits, the newest first.")] = 30) -> Result:
    """Show the findings of the audits of this account and region that were made on this machine."""
    from iotctl.audit import history
    from iotctl.journal import Journal

    with Journal(ctx.obj.home) as journal:
        rows = list(history.trend(journal, ctx.obj.target, last))
    keys = ("time", "findings", "critical", "high", "medium", "low", "new", "healed", "unknownChecks", "audit")
    notes = () if rows else ("no audit was made on this machine: iotctl audit run",)
    return Result({"audits": rows}, Table(tuple(Column(key) for key in keys), rows), notes=notes)


@options.change(
    app,
    example="iotctl audit profiles profiles.toml --dry-run\niotctl audit profiles profiles.toml --yes",
    exits=(Exit.TEMPORARY, Exit.CONFLICT, Exit.NOT_FOUND),
)
def profiles(
    ctx: Ctx, file: Annotated[Path, typer.Argument(metavar="FILE", help="The security profiles (TOML).")]
) -> Plan | Result:
    """Make Device Defender's security profiles as a file declares them; those that it does not name stay."""
    from iotctl import clock
    from iotctl.audit import protected, protecting, protection

    declared = protection.read(file)
    there = protected.held(ctx.obj.aws, declared)
    plan = protecting.protecting(declared, there, ctx.obj.target, clock.iso(clock.now()))
    return plan or Result({"profiles": len(declared.profiles)}, notes=("everything is as declared",))


@options.command(
    app,
    example="iotctl audit violations -g presses\niotctl audit violations --since 24h --security-profile presses",
    exits=(Exit.DIFFERS, Exit.AUTH, Exit.NOT_FOUND),
)
def violations(
    ctx: Ctx,
    security_profile: Annotated[
        str | None, typer.Option("--security-profile", metavar="NAME", help="Only of this one.")
    ] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="What was raised and cleared in this time.")
    ] = None,
    suppressed: Annotated[bool, typer.Option("--suppressed", help="Also those whose alerts are suppressed.")] = False,
) -> Result:
    """List the alarms of security profiles that are on (exit 4 if there is one); with --since what became of them."""
    from iotctl import scope, text
    from iotctl.audit import alarms, asked

    asked_for = asked.scope(thing_group, search, things)
    names = frozenset(scope.resolve(ctx.obj.reading, asked_for).names) if asked_for else None
    if since:
        seconds = text.seconds(since)
        found = alarms.events(ctx.obj.reading, seconds, profile=security_profile, things=names, suppressed=suppressed)
        notes = () if found else (f"nothing was raised or cleared in the last {since}",)
        return Result({"events": found}, Table(tuple(map(Column, alarms.EVENT_COLUMNS)), found), notes=notes)
    found = alarms.active(ctx.obj.reading, profile=security_profile, things=names, suppressed=suppressed)
    table = Table(tuple(map(Column, alarms.COLUMNS)), found)
    notes = () if found else ("no alarm is on",)
    return Result({"violations": found}, table, notes=notes, exit=Exit.DIFFERS if found else Exit.OK)


def _by_defender(engine: str, *, configure: bool, ours: list[str]) -> bool:
    if engine not in {"iotctl", "defender"}:
        raise Usage(f"there is no engine {engine!r}", hint="--engine iotctl|defender")
    if ours and engine == "defender":
        raise Usage(f"{ours[0]} is about what iotctl reads, and Device Defender reads by itself", hint="leave one out")
    if configure and engine != "defender":
        raise Usage("--configure is about Device Defender", hint="add --engine defender")
    return engine == "defender"
