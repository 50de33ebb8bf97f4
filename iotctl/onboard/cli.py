"""onboard: check · plan · apply · status · undo · certs · doctor · nucleus."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from iotctl import options, text
from iotctl.errors import Conflict, Exit, NotFound, Usage
from iotctl.onboard import certs
from iotctl.onboard.words import Delimiter, Limit, NoClaim, Policy, Quotas, Renamed, Words
from iotctl.options import Ctx
from iotctl.plan import Plan
from iotctl.result import Column, Result, Stream, Table
from iotctl.target import REGISTRATION_ROLE

app = options.capability("onboard", "A CSV becomes registered things, each with its own key and certificate.")
app.add_typer(certs.app)

FleetFile = Annotated[
    str, typer.Argument(metavar="FILE", help="The fleet file (CSV with a header), or - for standard input.")
]
PassphraseFile = Annotated[
    str | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Of encrypted keys: its first line; - for stdin."),
]


@options.command(app, example="iotctl onboard check fleet.csv")
def check(
    file: FleetFile,
    policy: Policy = "thing",
    delimiter: Delimiter = ",",
    renamed: Renamed = None,
    limit: Limit = None,
    no_claim: NoClaim = False,
) -> Result:
    """Validate a fleet file, offline: rows, names, limits, duplicates; every bad line at once."""
    from iotctl.onboard.request import Request

    rows = Request(file, None, policy, delimiter, renamed or (), limit, claim=not no_claim).rows()
    data = {
        "file": rows.source,
        "things": len(rows),
        "thingTypes": dict(rows.thing_types),
        "thingGroups": dict(rows.thing_groups),
        "parentGroups": {
            name: above for name in sorted(rows.hierarchy.groups()) if (above := rows.hierarchy.parent(name))
        },
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
@options.spread(Words)
def plan(
    ctx: Ctx,
    file: FleetFile,
    words: Words,
) -> Stream:
    """Show, thing by thing, what apply would do and why; read-only. With -o json it is a plan for apply --plan."""
    from iotctl.onboard import answers
    from iotctl.onboard.request import Request

    request = Request(file, **words.given())
    rows = request.rows()
    planned = request.plan(ctx.obj, rows)
    columns = (Column("thingName", "THING"), Column("action", "ACTION"), Column("line", "LINE"), Column("why", "WHY"))
    return Stream(columns, answers.findings(ctx.obj, request, rows, planned))


class Engine(StrEnum):
    """Who registers the things: this tool, or AWS's own engines."""

    IOTCTL = "iotctl"
    AWS_BULK = "aws-bulk"
    JITP = "jitp"


@options.change(
    app,
    example="iotctl onboard apply fleet.csv\niotctl onboard apply fleet.csv --bundles out --yes -o json\n"
    "iotctl onboard apply fleet.csv --ca registered --engine aws-bulk\n"
    "iotctl onboard apply --plan plan.json",
    exits=(Exit.CONFLICT, Exit.LOCAL),
)
@options.spread(Words)
def apply(
    ctx: Ctx,
    words: Words,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The fleet file (CSV with a header), or - for standard input.")
    ] = None,
    saved: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN", help="What onboard plan -o json wrote; it has all the other options."),
    ] = None,
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
    from iotctl.onboard import request as asked

    if (file is None) == (saved is None):
        which = "which things?" if file is None else "--plan names its own file: give FILE or --plan"
        raise Usage(which, hint="iotctl onboard apply FILE, or --plan PLAN")
    if saved is not None:
        request, was = asked.saved(saved)
        planned = request.plan(ctx.obj, request.rows())
        asked.refuse_stale(saved, was, planned)
        return planned
    request = asked.Request(
        str(file),
        **words.given(),
        engine=engine.value,
        role=role,
        bucket=bucket,
    )
    return request.plan(ctx.obj, request.rows())


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
    from iotctl.onboard import answers, engines, observe

    directory = bundles or bundle.only_directory(Path.cwd())
    if not (directory / FILE_NAME).is_file():
        raise NotFound(f"{directory} holds no journal", hint="iotctl onboard apply FILE --bundles DIR makes one")
    with Journal(directory) as journal:
        runs = journal.runs()
        if run is None:
            return answers.runs(runs)
        chosen = next((each for each in runs if each.run_id == run), None)
        if chosen is None:
            known = ", ".join(each.run_id for each in runs)
            raise NotFound(f"there is no run {run!r} in {directory}", hint=f"known: {known}")
        rows = list(journal.rows(run))
    if chosen.command == engines.JUST_IN_TIME:
        return answers.arrivals(observe.arrived(ctx.obj.world(), rows, directory), run)
    return answers.things(chosen, rows, directory)


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
    from iotctl.onboard.request import quotas as own_quotas

    directory = (bundles or bundle.only_directory(Path.cwd())).absolute()
    record = made.read(directory, run)
    undo.refuse_rotation(record.command, run)
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
    return replace(plan, quotas={**ctx.obj.quotas, **own_quotas(quotas or ())})


@options.command(
    app,
    example="iotctl onboard doctor pump-7 --bundles out\n"
    "iotctl onboard doctor pump-7 --subscribe 'cmd/pump-7/#' -o json\n"
    "iotctl onboard doctor pump-7 --bundles out --connect",
    exits=(Exit.PARTIAL, Exit.DIFFERS, Exit.CONFLICT, Exit.AUTH, Exit.NOT_FOUND),
)
def doctor(
    ctx: Ctx,
    thing: Annotated[str, typer.Argument(metavar="THING", help="The thing whose device does not connect.")],
    bundles: Annotated[
        Path | None, typer.Option("--bundles", metavar="DIR", help="Where its bundle is: key and certificate.")
    ] = None,
    publish: Annotated[
        list[str] | None, typer.Option("--publish", metavar="TOPIC", help="That it uses [those of shadow and jobs].")
    ] = None,
    subscribe: Annotated[
        list[str] | None, typer.Option("--subscribe", metavar="FILTER", help="That it uses [of shadow and jobs].")
    ] = None,
    role_alias: Annotated[
        str, typer.Option("--role-alias", metavar="NAME", help="Of a Greengrass core; else iotctl's own.")
    ] = "",
    passphrase_file: PassphraseFile = None,
    watch: Annotated[
        str, typer.Option("--watch", metavar="TIME", help="See for so long whether another throws it off.")
    ] = "0s",
    connect: Annotated[
        bool, typer.Option("--connect", help="Try it with the device's own client id; it must be away for that.")
    ] = False,
) -> Result:
    """Why can this device not connect? Endpoint, clock, key, certificate, policies, client id; each with what mends it.

    Read-only. With the bundle at hand it connects over mutual TLS, as a client id that no device has: taking the
    device's own would throw off a device that is connected, and end the session that AWS keeps for it.
    """
    from iotctl import passphrase
    from iotctl.onboard import doctor
    from iotctl.onboard.doctor.examination import Asked

    asked = Asked(
        thing,
        bundles,
        passphrase.read(passphrase_file) if passphrase_file else b"",
        publish or (),
        subscribe or (),
        role_alias,
        text.seconds(watch),
        connect=connect,
    )
    return doctor.examine(ctx.obj, asked)


@options.command(
    app,
    example="iotctl onboard nucleus core-1 > config.yaml\niotctl onboard nucleus core-1 --bundles out --root /gg",
    exits=(Exit.CONFLICT, Exit.AUTH, Exit.NOT_FOUND, Exit.INTEGRITY),
)
def nucleus(
    ctx: Ctx,
    thing: Annotated[str, typer.Argument(metavar="THING", help="An onboarded Greengrass core.")],
    bundles: Annotated[
        Path | None, typer.Option("--bundles", metavar="DIR", help="Where its bundle is [the only *-fleet here].")
    ] = None,
    role_alias: Annotated[
        str, typer.Option("--role-alias", metavar="NAME", help="That gives it credentials; else iotctl's own.")
    ] = "",
    root: Annotated[
        str, typer.Option("--root", metavar="DIR", help="Of the nucleus, on the core.")
    ] = "/var/lib/greengrass",
    user: Annotated[
        str, typer.Option("--user", metavar="USER:GROUP", help="Who runs components there.")
    ] = "gg_component:gg_component",
) -> Result:
    """Print the config.yaml of AWS IoT Greengrass nucleus lite for an onboarded core."""
    from iotctl import bundle
    from iotctl.onboard import nucleus

    where = bundles or bundle.only_directory(Path.cwd())
    return nucleus.written(ctx.obj, thing, where, role_alias, root, user)
