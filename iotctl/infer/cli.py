"""infer: push · status · tail · rollback · feedback."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx, Search, ThingGroup, ThingsFile
from iotctl.plan import Plan
from iotctl.result import Column, Result, Stream, Table

app = options.capability("infer", "Put a model on core devices, and follow what it predicts.")

Target = Annotated[str | None, typer.Argument(metavar="[TARGET]", help="A core device; or give --thing-group.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until every core runs it, and the first prediction is here.")]
Follow = Annotated[bool, typer.Option("--tail", help="Then follow the predictions.")]
Longest = Annotated[str, typer.Option("--timeout", metavar="10m", help="The longest wait.")]

_TAIL = ("thingName", "timestamp", "modelName", "modelVersion", "seq", "latencyMs", "label", "confidence", "error")


@options.change(
    app,
    example="iotctl infer push digits.onnx core-1 --name digits --release 1.0.0 --labels labels.txt --wait\n"
    "iotctl infer push digits.onnx -g line-3 --name digits --release 1.1.0 --canary line-3-canary\n"
    "iotctl infer push -g line-3 --from-training-job 'digits-*' --name digits --release 1.2.0 --tail\n"
    "iotctl infer push anomaly.onnx press-4 --name anomaly --release 1.0.0 "
    """--on 'label == "anomaly" and confidence > 0.9' --do shadow:desired.running=false""",
    exits=(Exit.CONFLICT, Exit.NOT_FOUND, Exit.INTEGRITY, Exit.ROLLOUT_FAILED, Exit.LOCAL, Exit.TIMEOUT),
)
def push(
    ctx: Ctx,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL] [TARGET]", help="An .onnx file or s3://BUCKET/KEY; a core device."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Of the model.")] = "",
    release: Annotated[str, typer.Option("--release", metavar="V", help="Its version: 1.0.0.")] = "",
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    create_group: Annotated[
        str | None,
        typer.Option("--create-group", metavar="NAME", help="Make a group of what --search or --things names."),
    ] = None,
    from_training_job: Annotated[
        str | None,
        typer.Option("--from-training-job", metavar="NAME|PREFIX*", help="What a SageMaker job made; the newest."),
    ] = None,
    labels: Annotated[str | None, typer.Option("--labels", metavar="FILE", help="One label a line.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", metavar="FILE", help="An input to try it with.")] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="topic:T", help="Its inputs: topic:FILTER, directory:PATH, stream:PATH.")
    ] = "",
    topic: Annotated[str, typer.Option("--topic", metavar="T", help="Where its predictions go.")] = "",
    interval: Annotated[str, typer.Option("--interval", metavar="5s", help="Repeat the sample so often.")] = "0s",
    settings: Annotated[
        str | None,
        typer.Option("--settings", metavar="FILE", help="More, as JSON: input, output, batch, limits, publish."),
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option("--on", metavar="EXPR", help="When a prediction is so: 'confidence > 0.9' …")
    ] = None,
    do: Annotated[
        list[str] | None,
        typer.Option("--do", metavar="ACTION", help="… shadow:desired.a=VALUE[@THING], or publish:TOPIC[=PAYLOAD]."),
    ] = None,
    feedback: Annotated[
        str | None,
        typer.Option("--feedback", metavar="STRATEGY", help="Inputs that go back: all, random:0.05, margin:0.1, …"),
    ] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="system|pip|wheels", help="How Python's packages reach the core.")
    ] = "system",
    wheels: Annotated[str | None, typer.Option("--wheels", metavar="DIR", help="Of --runtime wheels.")] = None,
    bucket: Annotated[str, typer.Option("--bucket", metavar="NAME", help="For the artifacts [the account's].")] = "",
    canary: Annotated[
        str | None, typer.Option("--canary", metavar="GROUP", help="A part of the target that gets it first.")
    ] = None,
    promote_if: Annotated[
        str | None,
        typer.Option("--promote-if", metavar="EXPR", help="Of latencyMs, errorRate, agreement, confidence."),
    ] = None,
    soak: Annotated[str, typer.Option("--soak", metavar="60s", help="Follow the canary for so long.")] = "60s",
    least: Annotated[int, typer.Option("--predictions", min=1, help="And for so many predictions.")] = 20,
    wait: Wait = False,
    tail: Follow = False,
    timeout: Longest = "10m",
) -> Plan:
    """Put a model on core devices: tried here, uploaded, made a component, deployed beside what runs there."""
    from iotctl import text
    from iotctl.infer import component, push
    from iotctl.infer import words as read

    model, thing = _model_and_target(words or [], training_job=from_training_job is not None)
    if not name or not release:
        raise Usage("a model has a name and a version", hint="--name digits --release 1.0.0")
    chosen = component.Options(
        topic,
        source,
        text.seconds(interval),
        runtime,
        read.wheels(wheels) if wheels else (),
        read.pairs(on or [], do or []),
        read.strategy(feedback, bucket or ctx.obj.target.bucket) if feedback else None,
        read.settings(settings),
    )
    rolling = push.Rolling(canary, promote_if, text.seconds(soak), least, wait, tail, text.seconds(timeout))
    where = push.Where(thing, thing_group, search, things, create_group)
    asked = push.Asked(name, release, where, model, from_training_job, labels, sample, bucket, chosen, rolling)
    return push.pushing(ctx.obj, asked)


@options.command(
    app,
    example="iotctl infer status core-1\niotctl infer status -g line-3 --exit-code -o json",
    exits=(Exit.DIFFERS, Exit.NOT_FOUND, Exit.AUTH),
)
def status(
    ctx: Ctx,
    thing: Annotated[str | None, typer.Argument(metavar="[THING]", help="The core device.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 4 where a core runs another model than its release's.")
    ] = False,
) -> Result:
    """Show which model runs where, by digest: what each core says against what Greengrass was given."""
    from iotctl import scope
    from iotctl.infer import component, running

    found = scope.existing(ctx.obj.aws, scope.Scope(thing, thing_group, search, things))
    rows: list[dict[str, object]] = []
    notes: list[str] = []
    for one in running.running(ctx.obj.reading, found.names, component.PREFIX, component.SHADOW):
        if isinstance(one, running.Running):
            rows.append(one.row())
        else:
            notes.append(f"{one[0]} {one[1]}")
    differing = [row for row in rows if row["digest"] == "differs"]
    columns = tuple(
        Column(key) for key in ("thingName", "modelName", "modelVersion", "state", "modelSha256", "digest", "since")
    )
    return Result(
        {"models": rows, "without": notes},
        Table(columns, rows),
        notes=running.told(notes),
        exit=Exit.DIFFERS if differing and exit_code else Exit.OK,
    )


@options.change(
    app,
    example="iotctl infer rollback -g line-3 --wait\niotctl infer rollback core-1 --name digits --to 1.0.0",
    exits=(Exit.CONFLICT, Exit.NOT_FOUND, Exit.ROLLOUT_FAILED, Exit.TIMEOUT),
)
def rollback(
    ctx: Ctx,
    target: Target = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The model, of several.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="V", help="The release [the one before].")] = None,
    wait: Wait = False,
    tail: Follow = False,
    timeout: Longest = "10m",
) -> Plan:
    """Go back to the release that a target had before, or to another; everything else stays as it is."""
    from iotctl import text
    from iotctl.infer import push, rollback

    where = push.Where(target, thing_group, search, things)
    rolling = push.Rolling(wait=wait, tail=tail, seconds=text.seconds(timeout))
    return rollback.rolling_back(ctx.obj, where, name, to, rolling)


@options.command(
    app,
    example="iotctl infer feedback -g line-3 --out samples\niotctl infer feedback core-1 --model digits --since 7d",
    exits=(Exit.PARTIAL, Exit.NOT_FOUND, Exit.AUTH, Exit.LOCAL),
)
def feedback(
    ctx: Ctx,
    thing: Annotated[str | None, typer.Argument(metavar="[THING]", help="The core device.")] = None,
    thing_group: ThingGroup = None,
    search: Search = None,
    things: ThingsFile = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only this model.")] = None,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where to.")] = "feedback",
    since: Annotated[str, typer.Option("--since", metavar="7d", help="Only what came since [all].")] = "0s",
    bucket: Annotated[str, typer.Option("--bucket", metavar="NAME", help="Where it is [the account's].")] = "",
    prefix: Annotated[str, typer.Option("--prefix", metavar="P", help="Of its keys.")] = "feedback",
) -> Result:
    """Bring the inputs that cores sent back down, with a manifest that Ground Truth reads."""
    from iotctl import scope, text
    from iotctl.infer import samples

    found = scope.existing(ctx.obj.aws, scope.Scope(thing, thing_group, search, things))
    place = samples.Place(bucket or ctx.obj.target.bucket, prefix.strip("/"), model)
    rows, failures = samples.fetched(ctx.obj.reading, found.names, place, out, text.seconds(since))
    columns = tuple(Column(key) for key in ("thingName", "modelName", "samples", "fetched", "there", "missing"))
    notes = () if rows else (f"nothing came back yet under s3://{place.bucket}/{place.prefix}",)
    return Result({"directory": out, "models": rows}, Table(columns, rows), notes=notes, failures=failures)


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
    shown = expression.parse(where, where="--where") if where else None
    last = expression.parse(until, where="--until") if until else None
    seconds = text.seconds(for_)
    named = any(word is not None for word in (thing, thing_group, search, things))
    chosen = scope.Scope(thing, thing_group, search, things) if named or not replay else None
    wanted = following.Wanted(
        # A scope by --things needs no account to be known.
        scope.existing(ctx.obj.aws, chosen).names if chosen else None,
        model or "+",
        shown,
        last,
        count,
        seconds,
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


def _model_and_target(words: list[str], *, training_job: bool) -> tuple[str | None, str | None]:
    """MODEL and TARGET; of a training job there is no MODEL, and of a group no TARGET."""
    given = list(words)
    model = None if training_job or not given else given.pop(0)
    thing = given.pop(0) if given else None
    if given:
        raise Usage(f"{given[0]!r} is one word too many", hint="iotctl infer push MODEL TARGET --name … --release …")
    return model, thing
