"""The root: global options in, a Plan, Result or Stream out, one exit code.

Only here are things asked, shown, run and written; so formats, confirmation, dry run, exit codes, progress, partial
failure and Ctrl-C are solved once, for every command.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import logging
import os
import secrets
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import typer
import typer.main

from iotctl import errors, files, options, text
from iotctl.context import Context
from iotctl.errors import Error, Exit
from iotctl.output import Output
from iotctl.result import Column, Failure, Result, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.journal import Outcome
    from iotctl.plan import Plan
    from iotctl.world import World

CAPABILITIES: Final = ("onboard", "shadow", "ota", "audit", "infer", "account", "local")
GROUPS: Final = (("onboard", "certs"),)
"""Words of a capability that have commands of their own."""

_UsageError: Final[Any] = typer.BadParameter.__base__
_ClickError: Final[Any] = _UsageError.__base__
_FLUSH_EVERY: Final = 100
_MOST_ERRORS_KEPT: Final = 1000


def run(argv: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    os.umask(0o077)
    try:
        code = _run(argv)
        sys.stdout.flush()
    except OSError as error:
        if not _is_of_output(error):
            raise
        return _unwritten(error)
    return code


def command_tree(words: Sequence[str] = ()) -> options.Group:
    """The command tree of a command line: only the capability that was asked for is imported; without one, all."""
    return _tree(words[0] if words and words[0] in CAPABILITIES else None)


@functools.cache
def _tree(capability: str | None) -> options.Group:
    root = typer.Typer(
        help="Fleet management for AWS IoT, and the whole of it on one machine.\n\n"
        "Try it without an account: iotctl local demo",
        cls=options.Group,
        rich_markup_mode=None,
        add_completion=False,
    )
    root.callback()(_root)
    for name in (capability,) if capability else CAPABILITIES:
        root.add_typer(importlib.import_module(f"iotctl.{name}.cli").app, name=name)
    return cast("options.Group", typer.main.get_command(root))


def _root() -> None:
    """Typer runs a lone command without its name unless the root has a callback."""


def _run(argv: Sequence[str]) -> Exit:
    try:
        chosen, words = options.split(argv)
    except Error as error:
        return _fail(Output(_format_asked(argv)), "", (Failure.of(error),), error.exit)
    if not words or words in ([name] for name in CAPABILITIES) or tuple(words) in GROUPS:
        words.append("--help")
    command = " ".join(word for word in words[: 3 if tuple(words[:2]) in GROUPS else 2] if not word.startswith("-"))
    return _guarded(chosen, words, command, Output(chosen.output, color=not chosen.no_color))


def _guarded(chosen: options.Globals, words: list[str], command: str, output: Output) -> Exit:
    """Run the command with every error turned into words and a code; the only such place."""
    _log_to_stderr(chosen)
    try:
        context = Context(
            profile=chosen.profile,
            region=chosen.region,
            expect_account=chosen.expect_account,
            local=chosen.local,
            words=command,
            tell=lambda note: output.notes([note]),
        )
        answer = command_tree(words).main(args=words, prog_name="iotctl", standalone_mode=False, obj=context)
        return _finish(answer, context, output, command, ask=not chosen.yes)
    except errors.BadInput as error:
        return _fail(output, command, (Failure.of(error), *(Failure.of(line) for line in error.lines)), error.exit)
    except Error as error:
        return _fail(output, command, (Failure.of(error),), error.exit)
    except _ClickError as error:
        hint = f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "iotctl --help"
        failure = Failure("Usage", text.sanitize(error.format_message()), hint=hint, exit=Exit.USAGE)
        return _fail(output, command, (failure,), Exit.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(output, command, (Failure("Interrupted", "interrupted", exit=Exit.INTERRUPTED),), Exit.INTERRUPTED)
    except Exception as error:
        # The last line of defence: a bug is told as one, without a trace on the terminal.
        if _is_of_output(error):
            raise
        return _bug(output, command)


def _finish(answer: object, context: Context, output: Output, command: str, *, ask: bool) -> Exit:
    """Write what the command handed back, or carry it out."""
    from iotctl.plan import Plan

    if answer == Exit.INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    if isinstance(answer, Plan):
        if context.dry_run:
            output.plan(command, answer)
            return Exit.OK
        if ask:
            _confirm(answer, output)
        elif output.form != "quiet":
            output.warn(answer)
        follow = answer.follow
        answer = _carry_out(answer, context, output)
        if follow and answer.exit is Exit.OK and not answer.failures:
            # What follows is the answer; how it came to it is told in words.
            output.notes(answer.notes)
            again = command_tree(follow).main(args=list(follow), prog_name="iotctl", standalone_mode=False, obj=context)
            return _finish(again, context, output, " ".join(follow[:2]), ask=ask)
    if isinstance(answer, Result):
        # Where the answer has a code of its own (some rows of many failed), its failures' codes do not count.
        code = answer.exit or errors.worst(*(failure.exit for failure in answer.failures))
        output.result(command, answer, code)
        return code
    if isinstance(answer, Stream):
        try:
            return output.stream(command, answer)
        except BrokenPipeError as error:
            # A reader that has seen enough is how a tail ends well.
            _unwritten(error)
            return Exit.OK
    return Exit(answer) if isinstance(answer, int) else Exit.OK


def _confirm(plan: Plan, output: Output) -> None:
    if not output.interactive:
        raise errors.Usage(
            f"this would change something ({plan.summary}), and nobody can be asked here",
            code="NotConfirmed",
            hint="add --yes to go ahead, or --dry-run to see what it would do",
        )
    output.describe(plan)
    if not output.ask("Go ahead?"):
        raise errors.Usage("not confirmed; nothing was done", code="NotConfirmed")


def _carry_out(plan: Plan, context: Context, output: Output) -> Result:
    """Run a plan under its lock and with its journal, showing things as they settle."""
    from iotctl import engine
    from iotctl.journal import Journal

    directory = files.private_directory(Path(plan.directory) if plan.directory else context.home)
    columns = (Column("thingName"), Column("state"), *(Column(key) for key in plan.shows))
    counts = {"done": 0, "conflict": 0, "failed": 0}
    kept: list[Failure] = []
    ended: Error | None = None
    with (
        files.run_lock(directory / ".lock", plan.command),
        Journal(directory) as journal,
        contextlib.ExitStack() as opened,
    ):
        if journal.moved_aside:
            output.notes([f"the journal was damaged and is now {journal.moved_aside}; a new one was begun"])
        resumed = journal.begin(plan) or bool(plan.settled)
        journal.restore(plan.run_id, plan.settled)
        stop = threading.Event()
        own = _own_effects(plan, context, stop, output, opened)
        world = context.world(
            plan.quotas,
            stop=stop,
            effects=_effects(context, stop) | own,
            settled=lambda things: journal.settled(plan.run_id, things),
            say=lambda words: output.notes([words]),
        )
        before = journal.count(plan.run_id, "done") if resumed else 0
        if before:
            output.notes(
                [f"run {plan.run_id} goes on: {text.count(before, plan.noun)} of {len(plan.rows):,} done before"]
            )
        with _interruptible(world.stop) as caught, output.progress(plan, before) as advance:
            waiting: list[Outcome] = []
            world.watch = lambda flows: advance({**counts, "done": counts["done"] + before}, flows)
            try:
                for outcome in engine.run(plan, world):
                    waiting.append(outcome)
                    if outcome.state in counts:
                        counts[outcome.state] += 1
                    if outcome.failure and len(kept) < _MOST_ERRORS_KEPT and outcome.state != "planned":
                        kept.append(outcome.failure)
                    if output.streams(outcome.state) and not plan.follow:
                        output.row(columns, {"thingName": outcome.thing, "state": outcome.state, **outcome.shown})
                    if len(waiting) >= _FLUSH_EVERY:
                        journal.record(plan.run_id, waiting)
                        waiting.clear()
                        output.flush()
            except Error as error:
                ended = error
            finally:
                journal.record(plan.run_id, waiting)
            if plan.wait and ended is None and not caught:
                ended = _awaited(plan, world, kept)
        counts["done"] += before
        code = _code_of(plan, counts, kept, ended, caught)
        journal.finish(plan.run_id, code)
        # What is told of each of many things is in the rows and in the journal; of a single one it is the answer.
        shown = {} if plan.bulk else journal.shown(plan.run_id)
        if plan.directory:
            journal.export(plan.run_id, directory / plan.report)
    return _summary(plan, counts, kept, ended, code, shown)


def _own_effects(
    plan: Plan, context: Context, stop: threading.Event, output: Output, opened: contextlib.ExitStack
) -> dict[str, Any]:
    """The effects that a capability brings for its own plans: `infer:Await` is one of iotctl.infer.effects."""
    found: dict[str, Any] = {}
    steps = (*plan.shared, *plan.each)
    for name in {step.op.partition(":")[0] for step in steps} & set(CAPABILITIES):
        effects = importlib.import_module(f"iotctl.{name}.effects")
        found |= effects.effects(context, stop, output.notes, opened)
    return found


def _effects(context: Context, stop: threading.Event) -> dict[str, Any]:
    """The steps of plans that are no operations of AWS, by name."""
    from iotctl import bundle, fleet_ca, made, upload

    return {
        fleet_ca.AUTHORITY: fleet_ca.FleetAuthority(context.authority),
        bundle.PUBLISH: bundle.Publisher(context.passphrase, context.authority),
        made.RECORD: made.record,
        made.REVOKE: made.revoke,
        upload.OPERATION: upload.Uploader(context.aws, stop),
    }


def _awaited(plan: Plan, world: World, kept: list[Failure]) -> Error | None:
    """Wait for what must become true after a plan's steps; why it has not: what was changed is changed all the same."""
    from iotctl import engine

    try:
        late = engine.still_waiting(plan, world, {failure.on for failure in kept})
    except Error as error:
        return error
    return _late(plan, late) if late and not world.stop.is_set() else None


def _late(plan: Plan, late: list[str]) -> errors.Timeout:
    assert plan.wait is not None
    shown = ", ".join(late[:3]) + (", …" if len(late) > 3 else "")
    return errors.Timeout(
        f"{len(late):,} of {text.count(len(plan.rows), plan.noun)} {'has' if len(late) == 1 else 'have'} not"
        f" {plan.wait.what}"
        f" within {plan.wait.seconds:g} s ({shown}); they may still",
        hint="the change is made; iotctl shadow diff shows who is behind",
    )


def _code_of(plan: Plan, counts: dict[str, int], kept: list[Failure], ended: Error | None, caught: list[int]) -> Exit:
    if caught:
        return Exit(128 + caught[0])
    if ended is not None:
        # "Nothing was changed" is no longer true once things have been tried.
        return Exit.PARTIAL if ended.exit is Exit.USAGE and any(counts.values()) else ended.exit
    if counts["done"] == len(plan.rows):
        return Exit.OK
    return Exit.PARTIAL if plan.bulk or not kept else kept[0].exit


def _summary(
    plan: Plan,
    counts: dict[str, int],
    kept: list[Failure],
    ended: Error | None,
    code: Exit,
    shown: Mapping[str, Any],
) -> Result:
    planned = len(plan.rows) - sum(counts.values())
    told = [f"{number:,} {state}" for state, number in counts.items() if number or state == "done"]
    told += [f"{planned:,} not tried"] if planned else []
    notes = [f"{', '.join(told)} of {text.count(len(plan.rows), plan.noun)} (run {plan.run_id})"]
    if (planned and code is not Exit.ROLLOUT_FAILED) or (plan.bulk and counts["done"] + planned < len(plan.rows)):
        notes.append("run the same command again: it resumes")
    elif plan.wait and code in {Exit.INTERRUPTED, Exit.TERMINATED} and ended is None:
        notes.append("interrupted while it waited; the change is made: iotctl shadow diff shows who is behind")
    if ended is not None:
        # Where it is the last thing's own failure that ended the run, it is told once.
        kept = [*(kept[:-1] if kept and kept[-1].cause == ended.cause else kept), Failure.of(ended)]
    if shown:
        notes.append(", ".join(f"{key} {value}" for key, value in shown.items()))
    data = {"runId": plan.run_id, "things": len(plan.rows), **counts, "planned": planned, **shown}
    if plan.directory:
        data["directory"] = plan.directory
    return Result(data=data, notes=tuple(notes), failures=tuple(kept), exit=code)


@contextlib.contextmanager
def _interruptible(stop: threading.Event) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM let what is in flight finish; a second one ends the process at once, which is as safe."""
    caught: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if caught:
            os._exit(128 + number)
        caught.append(number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_of_output(error: Exception) -> bool:
    """Whether it is stdout that cannot be written: its errors name no file."""
    return isinstance(error, OSError) and error.errno in {errno.EPIPE, errno.ENOSPC} and not error.filename


def _unwritten(error: OSError) -> Exit:
    """The rest of the output is dropped: quietly for a reader that went away (`| head`), told for a full disk."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return Exit.PIPE_CLOSED
    with contextlib.suppress(OSError):
        Output().failures((Failure("ENOSPC", "cannot write the output: the disk is full", exit=Exit.LOCAL),))
    return Exit.LOCAL


def _fail(output: Output, command: str, failures: tuple[Failure, ...], code: Exit) -> Exit:
    output.failure(command, failures, code)
    return code


def _bug(output: Output, command: str) -> Exit:
    """Keep the trace for a report, redacted, where only the user reads it."""
    trace = text.redact(traceback.format_exc())
    path = files.state_home() / f"crash-{secrets.token_hex(4)}.txt"
    try:
        files.private_directory(path.parent)
        files.replace(path, trace.encode(errors="backslashreplace"))
        hint = f"report it with {path}"
    except Error:
        hint = "run it again with --debug"
    last = trace.strip().splitlines()[-1]
    return _fail(output, command, (Failure("Internal", "a bug in iotctl", cause=last, hint=hint),), Exit.BUG)


def _log_to_stderr(chosen: options.Globals) -> None:
    """`--verbose` and `--debug`: words on stderr, redacted; botocore logs secrets, and stays off."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname).1s %(name)s: %(message)s"))
    handler.addFilter(_redacted)
    logger = logging.getLogger("iotctl")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if chosen.debug else logging.INFO if chosen.verbose else logging.WARNING)


def _redacted(record: logging.LogRecord) -> bool:
    record.msg = text.sanitize(text.redact(record.getMessage()))
    record.args = ()
    return True


def _format_asked(argv: Sequence[str]) -> str:
    """The format to complain in when the options themselves are wrong."""
    return "json" if {"-o=json", "--output=json", "json"} & set(argv) else "table"
