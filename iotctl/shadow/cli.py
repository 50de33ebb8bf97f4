"""shadow: get · set · diff · list · delete · watch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotctl import options
from iotctl.errors import Exit, NotFound, Usage
from iotctl.options import Ctx, Search, ShadowName, ThingGroup, ThingsFile
from iotctl.plan import Plan, lookup
from iotctl.result import Column, Result, Stream, Table

if TYPE_CHECKING:
    from iotctl.context import Context
    from iotctl.scope import Scope, Things
    from iotctl.shadows import Shadow

app = options.capability("shadow", "Read, change and compare device state: classic and named shadows.")

Thing = Annotated[str, typer.Argument(metavar="THING", help="The thing.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[THING] path=value…", help="What to set; null removes.")]
File = Annotated[str | None, typer.Option("--file", metavar="FILE", help="A JSON object; - for standard input.")]


@options.command(
    app,
    example="iotctl shadow get pump-7\niotctl shadow get pump-7 --name config --path reported.rate",
    exits=(Exit.NOT_FOUND, Exit.AUTH),
)
def get(
    ctx: Ctx,
    thing: Thing,
    name: ShadowName = None,
    path: Annotated[str | None, typer.Option("--path", metavar="a.b", help="Only this part of it.")] = None,
) -> Result:
    """Print a shadow's document, as JSON."""
    from iotctl import text
    from iotctl.shadow import documents

    document = documents.read(ctx.obj.aws, thing, name).document
    if document is None:
        raise _no_shadow(thing, name)
    value: Any = document
    if path is not None:
        value = lookup(path, document)
        if value is None:
            value = lookup(path, document.get("state", {}))
        if value is None:
            raise NotFound(f"the shadow of {thing} has nothing at {path}", hint=f"iotctl shadow get {thing}")
    return Result(value, text=text.document(value))


@options.change(
    app,
    name="set",
    example="iotctl shadow set pump-7 config.rate=5\n"
    "iotctl shadow set -g north config.rate=5 legacy=null --max-changes 200 --wait 30s",
    exits=(Exit.NOT_FOUND, Exit.TIMEOUT, Exit.CONFLICT),
)
def set_(
    ctx: Ctx,
    words: Words = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    name: ShadowName = None,
    file: File = None,
    reported: Annotated[bool, typer.Option("--reported", help="Change what is reported, as a device would.")] = False,
    wait: Annotated[str, typer.Option("--wait", metavar="30s", help="Wait until the devices report it.")] = "0s",
    expect_version: Annotated[int | None, typer.Option(min=0, help="Refuse if the shadow has another version.")] = None,
    create: Annotated[bool, typer.Option("--create", help="Also where there is no such shadow yet.")] = False,
    max_changes: Annotated[int | None, typer.Option(min=1, help="Required beyond one thing: at most so many.")] = None,
) -> Plan:
    """Merge values into the desired state of a thing, or of many; what is not named stays as it is."""
    from iotctl import scope, text
    from iotctl.shadow import plan

    given = list(words or [])
    thing = given.pop(0) if given and "=" not in given[0] else None
    chosen = scope.Scope(thing, thing_group, search, things)
    seconds = text.seconds(wait)
    patch = plan.change_of(given, _json_file(file))
    if seconds and reported:
        raise Usage("--wait waits for devices to report; --reported does so in their place")
    if expect_version is not None and not chosen.is_one:
        raise Usage("--expect-version is about one shadow, and this names many things")
    found = scope.resolve(ctx.obj.aws, chosen)
    if not chosen.is_one:
        _bounded(len(found), max_changes)
    section = "reported" if reported else "desired"
    change = plan.Change(patch, section, name, create, expect_version)
    return plan.setting(found, change, ctx.obj.target, bulk=not chosen.is_one, wait_seconds=seconds)


@options.command(
    app,
    example="iotctl shadow diff pump-7\niotctl shadow diff pump-7 pump-8\niotctl shadow diff -g north --exit-code",
    exits=(Exit.DIFFERS, Exit.NOT_FOUND),
)
def diff(
    ctx: Ctx,
    thing: Annotated[
        str | None, typer.Argument(metavar="[A]", help="A thing: its desired state against its reported.")
    ] = None,
    other: Annotated[str | None, typer.Argument(metavar="[B]", help="Another thing, to compare with.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    name: ShadowName = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="A desired state (JSON), to compare with.")
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 4 where something differs.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Read every shadow itself, not the fleet index.")] = False,
) -> Result:
    """Show where state differs: desired from reported, thing from thing or file, or who deviates in a fleet."""
    from iotctl import shadows as fleet
    from iotctl.scope import Scope
    from iotctl.shadow import documents

    aws = ctx.obj.aws
    if other is not None:
        if any(word is not None for word in (thing_group, search, things, file)):
            raise Usage("two things are compared with each other, and with nothing else", hint=f"leave {other} out")
        left, right = (_existing(documents.read(aws, each, name), name) for each in (thing or "", other))
        one, two = ({key: shadow.section(key) for key in ("desired", "reported")} for shadow in (left, right))
        titles = (left.thing_name, right.thing_name)
        return _differences(list(documents.rows(left.thing_name, one, two, titles)), titles, exit_code, ())
    chosen = Scope(thing, thing_group, search, things)
    expected = _json_file(file)
    shadows, source = fleet.of_scope(aws, ctx.obj.world(), chosen, name, live=live)
    titles = ("desired", "reported" if expected is None else "file")
    rows: list[dict[str, Any]] = []
    total = without = 0
    for shadow in shadows:
        total += 1
        if shadow.document is None:
            if chosen.is_one:
                raise _no_shadow(shadow.thing_name, name)
            without += 1
        elif expected is None:
            rows += _behind(shadow)
        else:
            rows += documents.rows(shadow.thing_name, shadow.section("desired"), expected, titles)
    notes = [] if chosen.is_one else [_counted(rows, total, without)]
    notes += [source] if source else []
    rows.sort(key=lambda row: row["thingName"])
    return _differences(rows, titles, exit_code, tuple(notes))


@options.command(app, name="list", example="iotctl shadow list pump-7", exits=(Exit.NOT_FOUND,))
def list_(ctx: Ctx, thing: Thing) -> Result:
    """List a thing's shadows: the classic one, then the named ones."""
    from iotctl import scope
    from iotctl.shadow import documents

    aws = ctx.obj.aws
    named = documents.names(aws, thing)
    classic = documents.read(aws, thing)
    rows: list[dict[str, Any]] = []
    for shadow_name, shadow in [("", classic), *((each, documents.read(aws, thing, each)) for each in named)]:
        if shadow.document is not None:
            state = shadow.document.get("state", {})
            rows.append(
                {
                    "shadowName": shadow_name or "(classic)",
                    "version": shadow.document.get("version"),
                    "desired": len(state.get("desired", {})),
                    "reported": len(state.get("reported", {})),
                    "delta": len(state.get("delta", {})),
                }
            )
    if not rows:
        scope.existing(aws, scope.Scope(thing))
    columns = tuple(Column(key, key.upper()) for key in ("version", "desired", "reported", "delta"))
    return Result({"thingName": thing, "shadows": rows}, Table((Column("shadowName", "SHADOW"), *columns), rows))


@options.change(app, example="iotctl shadow delete pump-7 --name old", exits=(Exit.NOT_FOUND,))
def delete(
    ctx: Ctx,
    thing: Annotated[str | None, typer.Argument(metavar="[THING]", help="The thing.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    name: ShadowName = None,
    max_changes: Annotated[int | None, typer.Option(min=1, help="Required beyond one thing: at most so many.")] = None,
) -> Plan:
    """Delete a shadow of a thing, or of many."""
    from iotctl.scope import Scope
    from iotctl.shadow import plan

    chosen = Scope(thing, thing_group, search, things)
    found = _things(ctx.obj, chosen)
    if not chosen.is_one:
        _bounded(len(found), max_changes)
    return plan.deleting(found, name, ctx.obj.target, bulk=not chosen.is_one)


@options.command(
    app,
    example="iotctl shadow watch pump-7\niotctl shadow watch -g north -o json",
    exits=(Exit.AUTH, Exit.NOT_FOUND, Exit.TIMEOUT),
)
def watch(
    ctx: Ctx,
    thing: Annotated[str | None, typer.Argument(metavar="[THING]", help="The thing.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only this named shadow.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many changes.")] = None,
    for_: Annotated[str, typer.Option("--for", metavar="60s", help="End after so long.")] = "0s",
) -> Stream:
    """Follow the changes of shadows as they happen: who, which place, from what to what."""
    from iotctl import text
    from iotctl.scope import Scope
    from iotctl.shadow import watching

    found = _things(ctx.obj, Scope(thing, thing_group, search, things))
    rows = watching.changes(ctx.obj, found.names, name, count=count, seconds=text.seconds(for_))
    columns = ("thingName", "time", "shadowName", "section", "path", "before", "after", "version")
    return Stream(
        tuple(Column(key) for key in columns), rows, (f"watching {text.count(len(found), 'thing')}; Ctrl-C ends it",)
    )


def _behind(shadow: Shadow) -> list[dict[str, Any]]:
    """Where a thing has not reported what is desired; what it only reports is no difference, as in AWS's delta."""
    from iotctl.shadow import documents

    titles = ("desired", "reported")
    desired, reported = (shadow.section(title) for title in titles)
    return [row for row in documents.rows(shadow.thing_name, desired, reported, titles) if "desired" in row]


def _differences(
    rows: list[dict[str, Any]], titles: tuple[str, str], exit_code: bool, notes: tuple[str, ...]
) -> Result:
    columns = (
        Column("thingName", "THING"),
        Column("path", "PATH"),
        *(Column(title, title.upper()) for title in titles),
    )
    shown = [
        {key: json.dumps(value, ensure_ascii=False) if key in titles else value for key, value in row.items()}
        for row in rows
    ]
    return Result(
        {"differences": rows},
        Table(columns, shown),
        notes=notes,
        exit=Exit.DIFFERS if rows and exit_code else Exit.OK,
    )


def _counted(rows: list[dict[str, Any]], total: int, without: int) -> str:
    deviating = len({row["thingName"] for row in rows})
    missing = f"; {without:,} have no such shadow" if without else ""
    return f"{deviating:,} of {total:,} things deviate{missing}"


def _things(context: Context, chosen: Scope) -> Things:
    from iotctl import scope

    return scope.resolve(context.aws, chosen)


def _existing(shadow: Shadow, name: str | None) -> Shadow:
    if shadow.document is None:
        raise _no_shadow(shadow.thing_name, name)
    return shadow


def _no_shadow(thing: str, name: str | None) -> NotFound:
    what = f"no shadow {name!r}" if name else "no classic shadow"
    return NotFound(f"{thing} has {what}", hint=f"iotctl shadow list {thing}; --create on `shadow set` makes one")


def _bounded(number: int, most: int | None) -> None:
    if most is None:
        raise Usage(f"this would change {number:,} things", code="MaxChanges", hint=f"say so: --max-changes {number}")
    if number > most:
        raise Usage(f"this would change {number:,} things, more than --max-changes {most}", code="MaxChanges")


def _json_file(source: str | None) -> Any:  # noqa: ANN401  any JSON value
    from iotctl import text

    if source is None:
        return None
    try:
        document = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Usage(f"{source} cannot be read: {error.strerror}", on=source) from error
    return text.loads(document, name="standard input" if source == "-" else source)
