"""ota: plan · create · step · watch · list · show · retry · cancel · keygen · handler."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iotctl import options
from iotctl.errors import Exit, Usage
from iotctl.options import Ctx
from iotctl.ota.words import Words
from iotctl.plan import Plan
from iotctl.result import Column, Result, Stream, Table

if TYPE_CHECKING:
    from iotctl.aws import Aws
    from iotctl.ota.draft import Facts
    from iotctl.ota.order import Order
    from iotctl.ota.rollout import Record

app = options.capability("ota", "Roll out artifacts and watch them land: signed, a few things first, then the fleet.")

PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="FILE", help="The key's passphrase, its first line.")
]


KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The key that signs the release (iotctl ota keygen).")
]
Rollout = Annotated[str, typer.Argument(metavar="ROLLOUT", help="A rollout, or any job, by its id.")]
Pass = Annotated[
    str | None, typer.Option("--pass", metavar="97%", help="Enough must succeed [as it was created; 100%].")
]


@options.command(
    app,
    example="iotctl ota plan pump.bin -g pumps --release 1.4.0 --canary 20 --soak 30m --pass 97% --deadline 24h\n"
    "iotctl ota plan pump.bin -g pumps --release 1.4.0 --key-file signing.pem -o json > plan.json",
    exits=(Exit.AUTH, Exit.NOT_FOUND),
)
@options.spread(Words)
def plan(
    ctx: Ctx,
    words: Words,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    takes: Annotated[
        str, typer.Option("--takes", metavar="2m", help="How long a device takes, to reckon with.")
    ] = "2m",
    failing: Annotated[
        str, typer.Option("--failing", metavar="100%", help="How many devices fail at a bad release.")
    ] = "100%",
) -> Result:
    """Simulate a rollout: how many get it when, how far a bad release comes, what AWS does that surprises."""
    from iotctl import text
    from iotctl.ota import observe, report, standing

    seconds, share = text.seconds(takes), standing.percent(failing, "--failing")
    asked, found, record = _drafted(ctx.obj.reading, words, key_file, passphrase_file, pretend=True)
    missing = observe.missing(ctx.obj.reading, ctx.obj.world(), asked, found, presigned=_presigned(record))
    return report.planned(record, found, asked, asdict(words), missing, takes=seconds, failing=share)


@options.change(
    app,
    example="iotctl ota create pump.bin -g pumps --release 1.4.0 --key-file signing.pem --canary 20 --soak 30m\n"
    "iotctl ota create pump.bin -g pumps --release 1.4.0 --key-file signing.pem --pass 97% --deadline 24h -y --watch\n"
    "iotctl ota create --plan plan.json --key-file signing.pem -y",
    exits=(Exit.CONFLICT, Exit.NOT_FOUND, Exit.INTEGRITY, Exit.ROLLOUT_FAILED),
)
@options.spread(Words)
def create(
    ctx: Ctx,
    words: Words,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="What `ota plan -o json` said; refused when stale.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Then follow it; the exit code is the verdict.")] = False,
) -> Plan:
    """Upload, sign, and make the first job. The same words are the same rollout: running it again resumes."""
    from iotctl.ota import observe, plan, report

    if saved is not None:
        words = Words(**report.words_of(saved, asdict(words), asdict(Words())))
    asked, found, record = _drafted(ctx.obj.aws, words, key_file, passphrase_file)
    if saved is not None:
        report.refuse_stale(saved, record, found)
    observe.require(observe.missing(ctx.obj.aws, ctx.obj.world(), asked, found, presigned=_presigned(record)))
    warnings = report.acceptable(record, found, asked)
    observe.refuse_ended(ctx.obj.aws, record)
    return plan.creating(
        record,
        str(asked.artifact),
        found.bucket,
        plan.record_key(asked.prefix, record),
        found.target,
        warnings=warnings,
        follow=("ota", "watch", record.rollout_id) if watch else (),
    )


@options.command(
    app,
    example="iotctl ota keygen --out signing.pem --trust pumps-fleet/trusted_keys.json\n"
    "iotctl ota keygen --out next.pem --type ec-p256 --passphrase-file passphrase",
    exits=(Exit.CONFLICT, Exit.INTEGRITY, Exit.LOCAL),
)
def keygen(
    ctx: Ctx,  # noqa: ARG001  every command has it
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The new private key (PEM, 0600).")],
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="FILE", help="The trust store to add it to [trusted_keys.json beside it]."),
    ] = None,
    kind: Annotated[str, typer.Option("--type", metavar="ed25519|ec-p256", help="The kind of key.")] = "ed25519",
    passphrase_file: PassphraseFile = None,
) -> Result:
    """Make a key that signs releases, and put its public half into the trust store that devices get."""
    from iotctl import trust as trust_store
    from iotctl.ota import keys

    store = trust or out.with_name(trust_store.FILE)
    key = keys.make(out, store, kind, keys.passphrase(passphrase_file))
    row = {"keyId": key.key_id, "keyFile": str(out), "trustStore": str(store)}
    return Result(
        row | {"publicKey": key.public_pem},
        Table((Column("keyId", "KEY"), Column("keyFile", "FILE"), Column("trustStore", "TRUST STORE")), [row]),
        notes=(f"devices that have {store} install what {out} signs; keep {out} where nothing else reads it",),
    )


@options.change(
    app,
    example="iotctl ota step pump-1-4-0-3f9ac01b22de -y\niotctl ota step pump-1-4-0-3f9ac01b22de --approve",
    exits=(Exit.NOT_FOUND, Exit.CONFLICT, Exit.INTEGRITY, Exit.ROLLOUT_FAILED),
)
def step(
    ctx: Ctx,
    rollout: Rollout,
    approve: Annotated[bool, typer.Option("--approve", help="Say yes: the fleet may follow the canary.")] = False,
) -> Plan | Result:
    """Go on from the canary to the fleet if that is due, else say what is waited for; repeat it as you like."""
    from iotctl.ota import advance

    return advance.step(ctx.obj, rollout, approve=approve)


@options.command(app, name="list", example="iotctl ota list\niotctl ota list --all -o json", exits=(Exit.AUTH,))
def list_(
    ctx: Ctx,
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
) -> Result:
    """List rollouts, the newest first: scheduled ones and those under way."""
    from iotctl.ota import advance

    return advance.listed(ctx.obj.reading, everything=ended)


@options.command(
    app,
    example="iotctl ota watch pump-fw-1-4-0-3f9ac01b22de\n"
    "iotctl ota watch pump-fw-1-4-0-3f9ac01b22de --timeout 10m --report junit=rollout.xml -o json\n"
    "iotctl ota watch any-aws-job --pass 97% --deadline 24h",
    exits=(
        Exit.TEMPORARY,
        Exit.AUTH,
        Exit.NOT_FOUND,
        Exit.INTEGRITY,
        Exit.ROLLOUT_FAILED,
        Exit.LOCAL,
        Exit.TIMEOUT,
        Exit.INTERRUPTED,
    ),
)
def watch(
    ctx: Ctx,
    rollout: Rollout,
    timeout: Annotated[str, typer.Option("--timeout", metavar="10m", help="Stop watching after so long.")] = "0s",
    passing: Pass = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", metavar="24h", help="Judge it so long after its start.")
    ] = None,
    reasons: Annotated[
        int | None, typer.Option("--reasons", min=0, help="Ask so many failed things why [100; all for a report].")
    ] = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="junit=FILE", help="Also write a JUnit report.")
    ] = None,
) -> Stream:
    """Follow a rollout until there is a verdict; the exit code is it: 0 passed, 10 failed, 13 still running."""
    import math

    from iotctl import text
    from iotctl.ota import standing, subject, table
    from iotctl.ota.following import Following, Wanted

    junit = _junit(report)
    wanted = Wanted(
        text.seconds(timeout),
        standing.percent(passing) if passing else None,
        text.seconds(deadline) if deadline else None,
        reasons if reasons is not None else math.inf if junit else 100,
        junit,
    )
    found = subject.sized(ctx.obj.aws, subject.find(ctx.obj.aws, rollout))
    following = Following(ctx.obj, found, wanted)
    return Stream(
        table.COLUMNS, following.rows(), (f"watching {found}; Ctrl-C ends the watching only",), following.view
    )


@options.command(
    app,
    example="iotctl ota show pump-fw-1-4-0-3f9ac01b22de\n"
    "iotctl ota show pump-fw-1-4-0-3f9ac01b22de --thing pump-7\n"
    "iotctl ota show --thing pump-7",
    exits=(Exit.TEMPORARY, Exit.AUTH, Exit.NOT_FOUND, Exit.INTEGRITY),
)
def show(
    ctx: Ctx,
    rollout: Annotated[
        str | None, typer.Argument(metavar="[ROLLOUT]", help="A rollout, or any job, by its id.")
    ] = None,
    thing: Annotated[
        str | None, typer.Option("--thing", metavar="NAME", help="What this device has of it; alone, of every job.")
    ] = None,
    reasons: Annotated[int, typer.Option("--reasons", min=0, help="Ask so many failed things why.")] = 100,
) -> Result:
    """Show a rollout or a job: its phases, its brakes, why things failed; or what one device has of it."""
    from iotctl.ota import showing, subject

    if rollout is None and thing is None:
        raise Usage("nothing is named", hint="iotctl ota list shows what there is")
    found = subject.find(ctx.obj.reading, rollout) if rollout else None
    if thing is not None:
        return showing.device(ctx.obj, thing, found)
    assert found is not None
    return showing.rollout(ctx.obj, found, reasons)


@options.change(
    app,
    example="iotctl ota retry pump-fw-1-4-0-3f9ac01b22de\niotctl ota retry any-aws-job --dry-run",
    exits=(Exit.TEMPORARY, Exit.CONFLICT, Exit.NOT_FOUND, Exit.INTEGRITY),
)
def retry(ctx: Ctx, rollout: Rollout) -> Plan | Result:
    """Try again what failed, and only that: a new job for those things, with the same document and the same brakes."""
    from iotctl import clock
    from iotctl.ota import again, subject

    found = subject.find(ctx.obj.aws, rollout)
    failed = subject.failed(ctx.obj.aws, found)
    if not failed:
        return Result({"things": 0}, notes=(f"nothing of {found} has failed that is not being tried again already",))
    document = ctx.obj.aws.call("iot:GetJobDocument", jobId=found.main.job.job_id)["document"]
    return again.retrying(found, failed, document, ctx.obj.target, clock.now())


@options.change(
    app,
    example="iotctl ota cancel pump-fw-1-4-0-3f9ac01b22de --comment 'wrong build'\n"
    "iotctl ota cancel any-aws-job --force --yes",
    exits=(Exit.TEMPORARY, Exit.NOT_FOUND, Exit.INTEGRITY),
)
def cancel(
    ctx: Ctx,
    rollout: Rollout,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is in progress: those devices cannot report any more.")
    ] = False,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why, kept with the job.")] = "",
) -> Plan | Result:
    """Stop a rollout or a job: things that have not begun do not get it; those at it go on, unless --force."""
    from iotctl import clock
    from iotctl.ota import again, subject

    found = subject.find(ctx.obj.aws, rollout)
    if not again.cancelable(found, force=force) and not found.may_go_on:
        return Result({"jobs": 0}, notes=(f"nothing of {found} is open",))
    return again.canceling(found, ctx.obj.target, comment, clock.now(), force=force)


def _junit(report: str | None) -> str | None:
    """The file of `--report junit=FILE`."""
    if report is None:
        return None
    kind, _, path = report.partition("=")
    if kind != "junit" or not path:
        raise Usage(f"--report {report!r} is not junit=FILE", hint="for example --report junit=rollout.xml")
    return path


@options.command(app, example="iotctl ota handler > iotctl-install.sh && chmod 700 iotctl-install.sh")
def handler() -> Result:
    """Print the job handler for devices with AWS IoT Device Client: it verifies the signature, then installs."""
    from iotctl import templates
    from iotctl.ota import document

    script = (templates.ROOT / document.KIND / document.HANDLER).read_text("utf-8")
    return Result({"handler": document.HANDLER, "script": script}, text=script)


def _drafted(
    aws: Aws, words: Words, key_file: Path | None, passphrase_file: Path | None, *, pretend: bool = False
) -> tuple[Order, Facts, Record]:
    """What was asked for, what it means, and the rollout that it is."""
    from iotctl.ota import draft, observe, order

    asked = order.read(asdict(words))
    found = observe.facts(aws, asked, key_file, passphrase_file, pretend=pretend)
    return asked, found, draft.draft(asked, found)


def _presigned(record: Record) -> bool:
    return any("presignedUrlConfig" in request for request in record.requests.values())
