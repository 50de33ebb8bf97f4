"""How following a rollout ends: its figures, its exit code, what to do next, and the report for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iotctl import files
from iotctl.errors import Exit
from iotctl.ota import junit, subject, table
from iotctl.ota.standing import State, standing
from iotctl.result import Failure, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.aws import Aws
    from iotctl.ota.failures import Failures
    from iotctl.ota.standing import Verdict
    from iotctl.ota.subject import Subject

_MOST_GROUPS = 20


def result(found: Subject, failures: Failures, ended: Verdict, *, interrupted: bool = False) -> Result:
    """What it comes to, with every figure; its exit code is the verdict."""
    groups = failures.groups(found)
    data = {
        ("rolloutId" if found.labels else "jobId"): found.name,
        "verdict": {"state": ended.state.value, "reason": ended.reason},
        **standing(found.phases).to_json(),
        "phases": [table.row(phase) for phase in found.phases],
        "failures": [group.to_json() for group in groups],
    }
    # What failed, or runs on, is said as an error: once is enough.
    notes = [f"passed: {ended.reason}"] if ended.state is State.PASSED else []
    notes += [str(group) for group in groups[:_MOST_GROUPS]]
    if interrupted:
        failure = Failure("Interrupted", "interrupted; the rollout goes on", found.name, exit=Exit.INTERRUPTED)
        return Result(data, notes=tuple(notes), failures=(failure,), exit=Exit.INTERRUPTED)
    notes += _afterwards(found, ended)
    return Result(data, notes=tuple(notes), failures=_failures(found, ended), exit=ended.exit)


def next_phase(found: Subject) -> str:
    """What makes the fleet's job, where the canary's has ended: watching alone never does; empty: it is not time."""
    if not (found.may_go_on and found.main.job.is_over):
        return ""
    return f"iotctl ota step {found.name} goes on to the fleet once that is due, and watching alone never does"


def write_junit(aws: Aws, path: str, found: Subject, failures: Failures, ended: Verdict) -> None:
    """Write the report: every execution of every job is listed, 250 a call.

    Raises:
        Local: it cannot be written.

    """
    listed = {phase.job.job_id: list(subject.executions(aws, phase.job.job_id)) for phase in found.phases}
    content = junit.report(found.name, found.phases, listed, failures.known, ended)
    files.replace(Path(path), content.encode(errors="backslashreplace"), 0o644)


def _afterwards(found: Subject, ended: Verdict) -> Iterator[str]:
    """What goes on although there is a verdict, and what to type about it."""
    job = found.main.job
    if ended.state is State.RUNNING or job.is_over:
        return
    yield (
        f"the job {job.job_id} is still {job.status}: things that come later get it;"
        f" iotctl ota cancel {found.name} ends that"
    )


def _failures(found: Subject, ended: Verdict) -> tuple[Failure, ...]:
    if ended.state is State.FAILED:
        failed = standing(found.phases).failed
        hint = (
            f"iotctl ota retry {found.name} tries the failed ones again" if failed else f"iotctl ota show {found.name}"
        )
        return (Failure("RolloutFailed", ended.reason, found.name, hint, exit=Exit.ROLLOUT_FAILED),)
    if ended.state is State.RUNNING:
        hint = next_phase(found) or f"iotctl ota watch {found.name} goes on watching"
        return (Failure("Timeout", f"still running: {ended.reason}", found.name, hint, exit=Exit.TIMEOUT),)
    return ()
