"""infer: push · status · tail · rollback · feedback."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.result import Column, Stream

app = options.capability("infer", "Put a model on core devices, and follow what it predicts.")

_TAIL = ("thingName", "timestamp", "modelName", "modelVersion", "seq", "latencyMs", "label", "confidence", "error")


@options.command(
    app,
    example="iotctl infer tail core-1 --count 5\n"
    "iotctl infer tail -g line-3 --where 'confidence < 0.6' --for 60s -o json\n"
    "iotctl infer tail -g line-3 --stats --connections 4 --record monday.ndjson\n"
    "iotctl infer tail --replay monday.ndjson --stats",
    exits=(Exit.TEMPORARY, Exit.AUTH, Exit.NOT_FOUND, Exit.LOCAL, Exit.TIMEOUT),
)
def tail(
    ctx: Ctx,
    thing: Annotated[str | None, typer.Argument(metavar="[THING]", help="The core device.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="Only these: 'confidence < 0.6'.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="EXPR", help="""End with the first of these: 'label == "7"'.""")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many predictions.")] = None,
    for_: Annotated[str, typer.Option("--for", metavar="60s", help="End after so long.")] = "0s",
    stats: Annotated[
        bool,
        typer.Option("--stats", help="Figures in place of rows: rate, latency, class mix, confidence, drift."),
    ] = False,
    connections: Annotated[
        int, typer.Option(min=1, max=50, help="Share the messages over so many: AWS sends 100 a second on each.")
    ] = 1,
    record: Annotated[str | None, typer.Option("--record", metavar="FILE", help="Keep every message.")] = None,
    replay: Annotated[
        str | None, typer.Option("--replay", metavar="FILE", help="Follow a record, not the fleet.")
    ] = None,
) -> Stream:
    """Follow predictions as they are made: a lane for each core device; what is missing is told, never hidden."""
    from iotctl import expression, scope, text
    from iotctl.infer import lanes
    from iotctl.infer import tail as following

    if replay and record:
        raise Usage("--replay follows a record, --record makes one: give one of them")
    named = any(word is not None for word in (thing, thing_group, search, things))
    chosen = scope.Scope(thing, thing_group, search, things) if named or not replay else None
    wanted = following.Wanted(
        # A scope by --things needs no account to be known.
        scope.resolve(ctx.obj.aws, chosen).names if chosen else None,
        model or "+",
        expression.parse(where, where="--where") if where else None,
        expression.parse(until, where="--until") if until else None,
        count,
        text.seconds(for_),
        connections,
        record,
        rows=not stats,
    )
    follower = wanted.follower()
    rows = following.replayed(replay, wanted, follower) if replay else following.live(ctx.obj, wanted, follower)
    of = f"the record {replay}" if replay else str(chosen)
    lines = chosen is not None and chosen.is_one and not stats
    view = None if lines else functools.partial(lanes.view, follower)
    return Stream(tuple(map(Column, _TAIL)), rows, (f"following {of}; Ctrl-C ends it",), view)
