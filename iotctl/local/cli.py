"""`iotctl local`: AWS IoT on this machine."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iotctl.errors import Exit
from iotctl.options import Ctx, capability, command
from iotctl.result import Column, Result, Stream, Table

if TYPE_CHECKING:
    from iotctl.local.state import Ports, State
    from iotctl.target import Platform

app = capability("local", "AWS IoT on this machine: one process, no account, the same commands.")

_COLUMNS = tuple(Column(key) for key in ("httpUrl", "mqttPort", "httpsPort", "caFile", "accountId", "region", "pid"))


class PortChoice(StrEnum):
    """How ports that are not given are chosen."""

    AUTO = "auto"
    DEFAULT = "default"


@command(
    app,
    example="iotctl local up --detach\niotctl local up --ports auto",
    exits=(Exit.LOCAL,),
)
def up(
    ctx: Ctx,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; it runs on.")] = False,
    http_port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="NUMBER", help="AWS's HTTP APIs [4510].")
    ] = None,
    mqtt_port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="NUMBER", help="MQTT with mutual TLS [8883].")
    ] = None,
    https_port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="NUMBER", help="HTTPS and WebSocket [8443].")
    ] = None,
    ports: Annotated[
        PortChoice, typer.Option(help="auto: the system chooses, once; they are kept.")
    ] = PortChoice.DEFAULT,
    throttle: Annotated[
        list[str] | None,
        typer.Option(metavar="aws|OP=N", help="Refuse what exceeds AWS's default quotas, or N requests a second."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="OP:KIND[:SHARE]", help="Let calls go wrong: iot:CreateThing:reset-after:0.05."),
    ] = None,
    delay: Annotated[
        list[str] | None,
        typer.Option(metavar="aws|KIND=S", help="Let changes take as long as on AWS: policy, detach, index and more."),
    ] = None,
    clock_speed: Annotated[
        float, typer.Option(metavar="N", help="Let its time pass N times as fast: schedules, timeouts, rollouts.")
    ] = 1.0,
    https_artifacts: Annotated[
        bool, typer.Option("--https-artifacts", help="Presigned URLs are https, as AWS's; devices must trust its CA.")
    ] = False,
) -> Result | Stream:
    """Start the local platform; where it runs already, say so.

    --throttle, --fault and --delay may be given several times. OP is a service and an operation as botocore has them;
    `*` in it stands for any text. KINDs of fault: throttle, fail, unavailable, expired, denied, limit, not-found,
    reset, hang, cut, garbage; and fail-, reset-, hang-, cut-, garbage-after, which lose the answer of what was done.
    """
    from iotctl.local import conditions as given
    from iotctl.local import process
    from iotctl.local.state import State

    state = State.here()
    region = ctx.obj.region
    conditions = given.read(throttle or (), fault or (), delay or (), clock_speed, https_artifacts=https_artifacts)
    if state.running():
        return _described(process.wait_until_ready(state), "the local platform is running already")
    chosen = _ports(state, http_port, mqtt_port, https_port, auto=ports is PortChoice.AUTO)
    if detach:
        return _described(process.background(state, chosen, region, conditions), "the local platform is running")
    rows = (_row(platform) for platform in process.foreground(state, chosen, region, conditions))
    return Stream(_COLUMNS, rows, ("starting the local platform; Ctrl-C stops it",))


@command(app, example="iotctl local down", exits=(Exit.LOCAL,))
def down(ctx: Ctx) -> Result:  # noqa: ARG001  every command takes it
    """Stop the local platform; its state stays."""
    from iotctl.local import process
    from iotctl.local.state import State

    pid = process.stop(State.here())
    return Result(data={"pid": pid}, notes=("the local platform has stopped; its state stays",))


@command(app, example="iotctl local status -o json", exits=(Exit.LOCAL,))
def status(ctx: Ctx) -> Result:  # noqa: ARG001  every command takes it
    """Where the local platform is reached."""
    from iotctl.local import process
    from iotctl.local.state import State

    return _described(process.found(State.here()))


@command(app, example='eval "$(iotctl local env)"\naws iot list-things', exits=(Exit.LOCAL,))
def env(ctx: Ctx) -> Result:  # noqa: ARG001  every command takes it
    """Print the variables that send any AWS SDK or the AWS CLI to the local platform."""
    from iotctl.local import process
    from iotctl.local.state import State

    platform = process.found(State.here())
    variables = {
        "AWS_ENDPOINT_URL": platform.http_url,
        "AWS_ACCESS_KEY_ID": platform.access_key_id,
        "AWS_SECRET_ACCESS_KEY": platform.secret_access_key,
        "AWS_REGION": platform.region,
        "AWS_DEFAULT_REGION": platform.region,
        "AWS_CA_BUNDLE": platform.ca_file,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append("unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN")
    return Result(data=variables, text="\n".join(lines) + "\n")


@command(app, example="iotctl local logs\niotctl local logs -f", exits=(Exit.LOCAL,))
def logs(
    ctx: Ctx,  # noqa: ARG001  every command takes it
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is still to come.")] = False,
) -> Stream:
    """Print the platform's log."""
    from iotctl.local import process
    from iotctl.local.state import State

    return Stream((Column("line"),), ({"line": line} for line in process.log_lines(State.here(), follow=follow)))


@command(app, example="iotctl local down && iotctl local reset", exits=(Exit.LOCAL,))
def reset(ctx: Ctx) -> Result:  # noqa: ARG001  every command takes it
    """Forget everything that the stopped platform knows; its ports stay."""
    from iotctl.local import process
    from iotctl.local.state import State

    process.reset(State.here())
    return Result(data={}, notes=("the local platform begins anew with the next iotctl local up",))


@command(
    app,
    example="iotctl local devices 100 --bundles factory-fleet\niotctl local devices --fail 5% --slow 10% --for 10m",
    exits=(Exit.NOT_FOUND, Exit.INTEGRITY),
)
def devices(
    ctx: Ctx,  # noqa: ARG001  every command takes it
    number: Annotated[int | None, typer.Argument(metavar="[N]", min=1, help="How many things (default: all).")] = None,
    bundles: Annotated[
        Path | None,
        typer.Option("--bundles", metavar="DIR", help="The bundles of an onboarding (default: the only *-fleet here)."),
    ] = None,
    fail: Annotated[str, typer.Option(metavar="P%", help="The share that refuses every change, and says so.")] = "0%",
    slow: Annotated[str, typer.Option(metavar="P%", help="The share that acts after 5 to 20 seconds.")] = "0%",
    offline: Annotated[str, typer.Option(metavar="P%", help="The share that never connects.")] = "0%",
    reboot: Annotated[bool, typer.Option("--reboot", help="They reboot in the middle of a job, and go on.")] = False,
    trust: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The keys whose artifacts they install [trusted_keys.json beside the bundles]."
        ),
    ] = None,
    passphrase_file: Annotated[
        str | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Of encrypted keys: its first line; - for stdin."),
    ] = None,
    for_: Annotated[str, typer.Option("--for", metavar="60s", help="End after so long.")] = "0s",
    sdk: Annotated[bool, typer.Option("--sdk", help="awsiotsdk for all of them, not for 5 at most.")] = False,
) -> Stream:
    """Play the things of an onboarding: they connect, act on every delta, install what jobs bring, and report.

    What they have installed is in the directory `state` beside the bundles.
    """
    from iotctl import passphrase, text
    from iotctl.local.devices import fleet
    from iotctl.local.devices.roles import Shares, roles, share

    shares, seconds = Shares(share(fail), share(slow), share(offline)), text.seconds(for_)
    found = fleet.members(bundles, number, trust, passphrase.read(passphrase_file) if passphrase_file else b"")
    parts = roles((member.identity.thing_name for member in found), shares, reboots=reboot)
    rows = fleet.run(found, parts, seconds=seconds, through_sdk=sdk)
    columns = tuple(Column(key) for key in ("thingName", "time", "event", "shadowName", "detail"))
    return Stream(columns, rows, fleet.notes(found, parts))


@command(
    app,
    example="iotctl local core cam-1 --thing-group cores\niotctl local core cam-1 --bundles factory-fleet",
    exits=(Exit.CONFLICT, Exit.AUTH, Exit.NOT_FOUND, Exit.INTEGRITY, Exit.LOCKED, Exit.LOCAL),
)
def core(
    ctx: Ctx,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The core device's thing.")],
    thing_group: Annotated[
        list[str] | None,
        typer.Option("--thing-group", "-g", metavar="GROUP", help="Put it into this group, made if it is not there."),
    ] = None,
    bundles: Annotated[
        Path | None,
        typer.Option("--bundles", metavar="DIR", help="It was onboarded: its bundle is there, nothing is made."),
    ] = None,
    for_: Annotated[str, typer.Option("--for", metavar="60s", help="End after so long.")] = "0s",
) -> Stream:
    """Run a Greengrass core device: it takes deployments, runs their components, and reports.

    Without --bundles it makes its own thing, certificate, policy and role alias on the local platform. What it keeps
    is in the directory `cores` of IOTCTL_HOME, or `greengrass` beside the bundles; offline it goes on with what it has.
    """
    from iotctl import text
    from iotctl.errors import Usage
    from iotctl.local.devices.core import provision, run

    seconds = text.seconds(for_)
    if bundles is None:
        settings = provision.found_or_made(ctx.obj, name, thing_group or ())
    elif thing_group:
        raise Usage("--thing-group is for a core that is made here; one of --bundles is in its groups already")
    else:
        settings = provision.onboarded(ctx.obj, bundles, name)
    columns = tuple(Column(key) for key in ("thingName", "time", "event", "componentName", "detail"))
    note = f"core device {name} on {settings.target}, in {settings.root}; Ctrl-C ends it"
    return Stream(columns, run.run(settings, seconds=seconds), (note,))


@command(app, example="iotctl local demo\niotctl local demo --clean", exits=(Exit.LOCAL,))
def demo(
    ctx: Ctx,
    clean: Annotated[bool, typer.Option("--clean", help="Stop it and remove everything at the end.")] = False,
) -> Stream:
    """Take the guided tour: a platform of its own, 200 things out of a CSV, and what any AWS client then sees."""
    from iotctl.local import demo as guided

    lines = guided.tour(ctx.obj.home / "demo", clean=clean, terminal=sys.stdout.isatty())
    return Stream((Column("line"),), lines)


def _ports(state: State, http: int | None, mqtt: int | None, https: int | None, *, auto: bool) -> Ports:
    from iotctl.local.state import Ports

    kept = state.ports() or (Ports(0, 0, 0) if auto else Ports())
    return Ports(
        kept.http if http is None else http,
        kept.mqtt if mqtt is None else mqtt,
        kept.https if https is None else https,
    )


def _described(platform: Platform, *notes: str) -> Result:
    from iotctl.local.state import State

    row = {**_row(platform), "conditions": State.here().conditions()}
    conditions = " ".join(row["conditions"])
    said = (*notes, *((f"under {conditions}",) if conditions else ()))
    return Result(data=row, table=Table(_COLUMNS, [row]), notes=said)


def _row(platform: Platform) -> dict[str, Any]:
    return {
        "httpUrl": platform.http_url,
        "mqttPort": platform.mqtt_port,
        "httpsPort": platform.https_port,
        "caFile": platform.ca_file,
        "accountId": platform.account_id,
        "region": platform.region,
        "pid": platform.pid,
    }
