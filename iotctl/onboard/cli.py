"""onboard: check · plan · apply · status · undo."""

from __future__ import annotations

import functools
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotctl import options, text
from iotctl.errors import Conflict, Exit, NotFound, Usage
from iotctl.options import Ctx
from iotctl.plan import Plan
from iotctl.result import Column, Result, Table
from iotctl.target import REGISTRATION_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from iotctl.context import Context
    from iotctl.onboard.fleet import Fleet
    from iotctl.onboard.plan import Keys, Missing, Place

    Maker = Callable[[Fleet, Missing, Place, Keys], Plan]

app = options.capability("onboard", "A CSV becomes registered things, each with its own key and certificate.")

FleetFile = Annotated[
    str, typer.Argument(metavar="FILE", help="The fleet file (CSV with a header), or - for standard input.")
]
BundlesDir = Annotated[
    Path | None, typer.Option("--bundles", metavar="DIR", help="Where the devices' bundles go (default: <FILE>-fleet).")
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy", metavar="NAME|FILE", help="For rows that name none: a template that ships, a file, a policy."
    ),
]
Delimiter = Annotated[str, typer.Option("--delimiter", metavar="CHAR", help="Between the cells (TAB for a tab).")]
Renamed = Annotated[
    list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="The file's own name for one of our columns.")
]
Quotas = Annotated[
    list[str] | None,
    typer.Option("--quota", metavar="OP=N", help="Calls a second that the account allows: RegisterThing=50."),
]
KeyType = Annotated[str, typer.Option("--key-type", help="ec-p256, ec-p384, rsa-2048 or rsa-4096.")]
Days = Annotated[int, typer.Option("--valid-days", min=1, max=36500, help="How long the certificates are valid.")]


@options.command(app, example="iotctl onboard check fleet.csv")
def check(file: FleetFile, policy: Policy = "thing", delimiter: Delimiter = ",", renamed: Renamed = None) -> Result:
    """Validate a fleet file, offline: rows, names, limits, duplicates; every bad line at once."""
    rows = _read(file, policy, delimiter, renamed)
    data = {
        "file": rows.source,
        "things": len(rows),
        "thingTypes": dict(rows.thing_types),
        "thingGroups": dict(rows.thing_groups),
        "billingGroups": dict(rows.billing_groups),
        "policies": dict(rows.policies),
        "initialShadows": rows.shadows,
        "warnings": rows.warnings,
    }
    table = Table(
        (Column("name", "NAME"), Column("kind", "KIND"), Column("things", "THINGS")),
        [
            {"kind": kind, "name": name, "things": number}
            for kind, found in (
                ("thing type", rows.thing_types),
                ("thing group", rows.thing_groups),
                ("billing group", rows.billing_groups),
                ("policy", rows.policies),
            )
            for name, number in sorted(found.items())
        ],
    )
    return Result(data, table, notes=(*rows.warnings, f"{rows.source} is good: {text.count(len(rows), 'thing')}"))


@options.command(
    app,
    example="iotctl onboard plan fleet.csv\niotctl onboard plan fleet.csv -o json",
    exits=(Exit.AUTH, Exit.CONFLICT),
)
def plan(
    ctx: Ctx,
    file: FleetFile,
    bundles: BundlesDir = None,
    policy: Policy = "thing",
    delimiter: Delimiter = ",",
    renamed: Renamed = None,
    key_type: KeyType = "ec-p256",
    days: Days = 3650,
    quotas: Quotas = None,
) -> Result:
    """Show, thing by thing, what apply would do and why; read-only."""
    from iotctl.onboard import observe
    from iotctl.onboard import plan as planning

    rows = _read(file, policy, delimiter, renamed)
    directory = _directory(file, bundles)
    planned = _plan(ctx.obj, rows, directory, policy, planning.Keys(key_type, days), quotas)
    found: list[dict[str, Any]] = [
        {"thingName": finding.thing_name, "action": finding.action, "line": finding.line, "why": finding.why}
        for finding in observe.things(ctx.obj.world(), rows, directory)
    ]
    found.sort(key=lambda row: row["line"])
    actions = Counter(row["action"] for row in found)
    seconds, binding = planned.duration()
    notes = [", ".join(f"{number:,} {action}" for action, number in sorted(actions.items()))]
    notes += [f"shared, to be made: {step.op} {next(iter(step.params.values()))}" for step in planned.shared]
    if binding and planned.target.kind != "local":
        whose = "this account's" if planned.quotas else "AWS's default"
        notes.append(f"at {whose} quotas apply takes at least {text.lasting(seconds)}; {binding} binds")
    notes.append(f"IAM actions: {' '.join(planned.iam_actions())}")
    return Result(
        {**planned.to_json(), "actions": dict(actions), "rows": found},
        Table(
            (Column("thingName", "THING"), Column("action", "ACTION"), Column("line", "LINE"), Column("why", "WHY")),
            found,
        ),
        notes=tuple(notes),
        exit=Exit.CONFLICT if actions["conflict"] else Exit.OK,
    )


class Engine(StrEnum):
    """Who registers the things: this tool, or AWS's own engines."""

    IOTCTL = "iotctl"
    AWS_BULK = "aws-bulk"
    JITP = "jitp"


class CertificateAuthority(StrEnum):
    """Whether the account knows the CA that signs the certificates."""

    NONE = "none"
    REGISTERED = "registered"


@options.change(
    app,
    example="iotctl onboard apply fleet.csv\niotctl onboard apply fleet.csv --bundles out --yes -o json\n"
    "iotctl onboard apply fleet.csv --ca registered --engine aws-bulk",
    exits=(Exit.CONFLICT, Exit.LOCAL),
)
def apply(
    ctx: Ctx,
    file: FleetFile,
    bundles: BundlesDir = None,
    policy: Policy = "thing",
    delimiter: Delimiter = ",",
    renamed: Renamed = None,
    key_type: KeyType = "ec-p256",
    days: Days = 3650,
    quotas: Quotas = None,
    ca: Annotated[
        CertificateAuthority, typer.Option("--ca", help="registered: the account knows the fleet CA too.")
    ] = CertificateAuthority.NONE,
    engine: Annotated[
        Engine, typer.Option("--engine", help="aws-bulk: by tasks of AWS's. jitp: when each device first connects.")
    ] = Engine.IOTCTL,
    role: Annotated[
        str,
        typer.Option("--role", metavar="NAME", help="That AWS's engines register things with."),
    ] = REGISTRATION_ROLE,
    bucket: Annotated[
        str, typer.Option("--bucket", metavar="NAME", help="For the input of aws-bulk [the account's].")
    ] = "",
) -> Plan:
    """Register every thing of a fleet file. Running it again resumes; nothing is ever made twice."""
    from iotctl.onboard import engines
    from iotctl.onboard import plan as planning

    rows = _read(file, policy, delimiter, renamed)
    registered = ca is CertificateAuthority.REGISTERED
    if engine is not Engine.IOTCTL and not registered:
        raise Usage(f"--engine {engine} takes certificates of a registered CA only", hint="--ca registered")
    makers: dict[Engine, Maker] = {
        Engine.IOTCTL: planning.onboarding,
        Engine.JITP: functools.partial(engines.just_in_time, role=role),
        Engine.AWS_BULK: functools.partial(engines.in_bulk, role=role, bucket=bucket),
    }
    keys = planning.Keys(key_type, days, registered)
    return _plan(ctx.obj, rows, _directory(file, bundles), policy, keys, quotas, makers[engine])


@options.command(
    app,
    example="iotctl onboard status --bundles fleet-fleet\niotctl onboard status 9ac31e04f2b1 --bundles fleet-fleet",
    exits=(Exit.PARTIAL, Exit.NOT_FOUND),
)
def status(
    ctx: Ctx,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run id, for its things one by one.")] = None,
    bundles: Annotated[
        Path | None, typer.Option("--bundles", metavar="DIR", help="The bundles of the onboarding.")
    ] = None,
) -> Result:
    """What the runs on a bundles directory did: counts, or thing by thing.

    Of a run with --engine jitp it says which devices have connected and become things.
    """
    from iotctl import bundle
    from iotctl.journal import FILE_NAME, Journal
    from iotctl.onboard import engines, observe

    directory = bundles or bundle.only_directory(Path.cwd())
    if not (directory / FILE_NAME).is_file():
        raise NotFound(f"{directory} holds no journal", hint="iotctl onboard apply FILE --bundles DIR makes one")
    with Journal(directory) as journal:
        runs = journal.runs()
        if run is None:
            return _runs(runs)
        chosen = next((each for each in runs if each.run_id == run), None)
        if chosen is None:
            known = ", ".join(each.run_id for each in runs)
            raise NotFound(f"there is no run {run!r} in {directory}", hint=f"known: {known}")
        rows = list(journal.rows(run))
    if chosen.command == engines.JUST_IN_TIME:
        return _arrivals(observe.arrived(ctx.obj.world(), rows), run)
    titles = {"thingName": "THING", "certificateId": "CERTIFICATE"}
    columns = tuple(
        Column(key, titles.get(key, key.upper())) for key in ("thingName", "state", "line", "certificateId", "message")
    )
    return Result(
        {"runId": run, **chosen.counts, "rows": rows},
        Table(columns, rows),
        exit=Exit.OK if chosen.counts.get("done", 0) == chosen.things else Exit.PARTIAL,
    )


@options.change(
    app,
    example="iotctl onboard undo 9ac31e04f2b1\niotctl onboard undo 9ac31e04f2b1 --bundles out --dry-run",
    exits=(Exit.NOT_FOUND,),
)
def undo(
    ctx: Ctx,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run id, as onboard status tells it.")],
    bundles: Annotated[
        Path | None, typer.Option("--bundles", metavar="DIR", help="The bundles of the onboarding.")
    ] = None,
    wait: Annotated[
        str, typer.Option("--wait", metavar="TIME", help="How long AWS may take to let go of what is detached.")
    ] = "6m",
    quotas: Quotas = None,
) -> Plan:
    """Take back what a run made, and only that: things, certificates, and what it made for all of them.

    Bundles move to revoked/. Running it again resumes. A thing that was adopted stays, without our certificate.
    """
    from dataclasses import replace

    from iotctl import bundle, made
    from iotctl.onboard import undo, used

    directory = (bundles or bundle.only_directory(Path.cwd())).absolute()
    record = made.read(directory, run)
    target = ctx.obj.target
    if record.target != target.to_json():
        where = f"account {record.target['accountId']}, region {record.target['region']} ({record.target['kind']})"
        raise Conflict(
            f"run {run} was in {where}, and this is {target}", code="OtherAccount", hint="--profile, --local"
        )
    rows = made.Made(directory, run)
    found = used.leftovers(ctx.obj.aws, record, rows)
    damaged = [f"the bundle {place} is damaged: whose it is cannot be said, and it stays" for place in rows.damaged]
    plan = undo.undoing(
        run,
        rows,
        found.shared,
        target,
        str(directory),
        settles=text.seconds(wait),
        warnings=(*found.kept, *damaged),
    )
    return replace(plan, quotas={**ctx.obj.quotas, **_quotas(quotas)})


def _arrivals(found: Iterable[dict[str, Any]], run: str) -> Result:
    """Which things of just-in-time provisioning are there by now."""
    rows = sorted(found, key=lambda row: row["line"])
    counts = Counter(row["state"] for row in rows)
    titles = {"thingName": "THING", "certificateId": "CERTIFICATE"}
    columns = tuple(
        Column(key, titles.get(key, key.upper())) for key in ("thingName", "state", "line", "certificateId")
    )
    return Result(
        {"runId": run, **counts, "rows": rows},
        Table(columns, rows),
        notes=(", ".join(f"{number:,} {state}" for state, number in sorted(counts.items())),),
        exit=Exit.OK if set(counts) <= {"registered"} else Exit.PARTIAL,
    )


def _runs(runs: list[Any]) -> Result:
    rows = [
        {
            "runId": run.run_id,
            "started": run.started,
            "ended": run.ended,
            "things": run.things,
            "done": run.counts.get("done", 0),
            "conflict": run.counts.get("conflict", 0),
            "failed": run.counts.get("failed", 0),
            "planned": run.counts["planned"],
            "accountId": run.target["accountId"],
            "region": run.target["region"],
        }
        for run in runs
    ]
    titles = {"runId": "RUN", "accountId": "ACCOUNT"}
    columns = tuple(
        Column(key, titles.get(key, key.upper()))
        for key in ("runId", "started", "things", "done", "conflict", "failed", "planned", "accountId")
    )
    return Result({"runs": rows}, Table(columns, rows))


def _plan(
    context: Context,
    rows: Fleet,
    directory: Path,
    policy: str,
    keys: Keys,
    quotas: list[str] | None,
    make: Maker | None = None,
) -> Plan:
    from dataclasses import replace

    from iotctl import files
    from iotctl.onboard import observe
    from iotctl.onboard import plan as planning

    if rows.alike() and files.ignores_case(directory):
        one, other = rows.alike()[0]
        raise Usage(f"{one} and {other} would be one directory: the file system of {directory} ignores case")
    _check_key_type(keys.key_type)
    given = _quotas(quotas)
    place = observe.place(context.aws, directory, context.platform if context.target.kind == "local" else None)
    missing = observe.shared(context.aws, rows, [policy])
    found = (make or planning.onboarding)(rows, missing, place, keys)
    return replace(found, quotas={**context.quotas, **given})


def _quotas(given: list[str] | None) -> dict[str, float]:
    """The operator's own word on calls a second, by operation."""
    from iotctl.semantics.quotas import DEFAULTS

    found: dict[str, float] = {}
    for word in given or ():
        name, _, number = word.partition("=")
        op = name if ":" in name else f"iot:{name}"
        try:
            found[op] = float(number)
        except ValueError:
            found[op] = 0.0
        if not 0 < found[op] < 1e6:
            raise Usage(f"--quota takes OP=N, not {word!r}", hint="--quota RegisterCertificateWithoutCA=50")
        if op not in DEFAULTS and not op.startswith("iot-data:"):
            meant = text.nearest(op, DEFAULTS) or "iot:CreateThing"
            raise Usage(
                f"no quota is known by the name of {name!r}", hint=f"--quota {meant.partition(':')[2]}={number}"
            )
    return found


def _read(file: str, policy: str, delimiter: str, renamed: list[str] | None) -> Fleet:
    from iotctl import pki
    from iotctl.onboard import fleet, observe, row

    given = "\t" if delimiter.upper() == "TAB" else delimiter
    if len(given) != 1:
        raise Usage(f"--delimiter takes one character, not {delimiter!r}")
    pairs = [pair.partition("=") for pair in renamed or []]
    if bad := next((pair for pair in pairs if not (pair[0] and pair[2])), None):
        raise Usage(f"--map takes THEIRS=OURS, not {''.join(bad)!r}", hint=f"--map serial={row.THING_NAME}")
    mapping = {theirs: ours for theirs, _, ours in pairs}
    return fleet.read(file, row.Reading(policy, observe.policy_name, pki.check_csr, given, mapping))


def _check_key_type(key_type: str) -> None:
    from iotctl import pki

    if key_type not in pki.KEY_TYPES:
        meant = text.nearest(key_type, pki.KEY_TYPES) or pki.KEY_TYPES[0]
        raise Usage(f"unknown key type {key_type!r}", hint=f"--key-type {meant}; one of {', '.join(pki.KEY_TYPES)}")


def _directory(file: str, bundles: Path | None) -> Path:
    if bundles is not None:
        return bundles
    if file == "-":
        raise Usage("the rows come from standard input: say where the bundles go", hint="--bundles DIR")
    return Path(f"{Path(file).stem}-fleet")
