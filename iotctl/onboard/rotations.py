"""Read-only: which rotation a scope's is, how far it is, and which jobs it still needs."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, clock, engine, fleet_ca, made, scope
from iotctl.errors import Conflict, NotFound
from iotctl.onboard import observe
from iotctl.onboard.rotation import COMMAND, Job, Run, batches, rotating
from iotctl.pki import certificates as x509
from iotctl.plan import Ref, Step, run_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.plan import Plan
    from iotctl.scope import Scope
    from iotctl.world import World

GOES_ON: Final = timedelta(days=30)
"""So long a rotation that has things left is gone on with; after that the same words begin another one."""

_OPEN: Final = frozenset({"IN_PROGRESS", "SCHEDULED"})
_PENDING: Final = frozenset({"QUEUED", "IN_PROGRESS", "SUCCEEDED"})
"""Executions of things that need no other job: what has succeeded only waits for its operator."""


def planned(
    context: Context,
    chosen: Scope,
    directory: Path,
    *,
    key_type: str,
    days: int,
    anew: bool,
    wait: float,
    timeout: float | None,
) -> Plan:
    """What gives the things of a scope new certificates: a rotation that is gone on with, or a new one.

    Args:
        context: of the command.
        chosen: the scope.
        directory: of the bundles, with the fleet CA.
        key_type: that devices are asked for, where it is a new one.
        days: how long the certificates are valid, where it is a new one.
        anew: begin a new one, whatever others left.
        wait: seconds that a device may take to answer, and again to connect.
        timeout: seconds that all of them may take together; None: as long as it takes.

    Raises:
        NotFound: the scope or a thing does not exist, or the directory is not that of an onboarding.
        Conflict: another rotation has some of these things left.

    """
    aws = context.aws
    run = _run(aws, chosen, directory, key_type=key_type, days=days, anew=anew)
    if chosen.thing_group is None and chosen.search is None and not run.done:
        _require(context.world(), run)
    place = observe.place(aws, directory, context.platform if context.target.kind == "local" else None)
    before, jobs = _jobs_of(aws, run, chosen.thing_group)
    stopped = [job["jobId"] for run_id in run.supersedes for job in _jobs(aws, run_id) if job["status"] in _OPEN]
    registered = _is_registered(aws, directory)
    plan = rotating(run, before, jobs, place, wait=wait, registered=registered, timeout=timeout, stopped=stopped)
    return replace(plan, quotas=context.quotas)


def _run(aws: Aws, chosen: Scope, directory: Path, *, key_type: str, days: int, anew: bool) -> Run:
    """The rotation of a scope that has things left, else a new one.

    Raises:
        NotFound: the scope does not exist, or the directory is not that of an onboarding.
        Conflict: another one has some of these things left.

    """
    # Where AWS has signed CSRs there is no fleet CA yet: it is made when the first certificate is to be signed.
    if not any((directory / made.RUNS).glob("*.json")):
        raise NotFound(f"{directory} is no directory of an onboarding", hint="--bundles DIR")
    names = scope.resolve(aws, chosen).names
    listed = "" if chosen.things is None else f", sha256 {run_identity(list(names))}"
    words = f"{chosen}{listed}"
    here = [one for one in _records(directory) if one["target"] == aws.target.to_json()]
    known = [one for one in here if one["scope"] == words]
    for one in () if anew else reversed(known):
        done = _done(directory, one["runId"], one["things"])
        if _goes_on(one) and len(done) < len(one["things"]):
            values = (one["runId"], words, one["things"], done, one["begun"], one["keyType"], one["days"])
            return Run(*values, supersedes=tuple(one["supersedes"]))
    others = _overlapping(directory, here, names)
    if others and not anew:
        its, run_id = others[-1]["scope"], others[-1]["runId"]
        raise Conflict(
            f"another rotation of some of these things is not at its end: {its} (run {run_id})",
            code="OtherRotation",
            hint="go on with it by its own scope, or --anew: its jobs are canceled then",
        )
    run_id = run_identity([words, aws.target.to_json(), len(known), *names])
    superseded = tuple(str(one["runId"]) for one in others)
    return Run(run_id, words, names, frozenset(), clock.iso(clock.now()), key_type, days, superseded)


def _jobs_of(aws: Aws, found: Run, group: str | None) -> tuple[list[str], list[Job]]:
    """The ids of the jobs that there are, the oldest first, and the jobs that are to be made for the things left.

    Args:
        aws: the account.
        found: the rotation.
        group: the thing group that it is about; None: its things are named.

    """
    left = [name for name in found.names if name not in found.done]
    known = list(_jobs(aws, found.run_id))
    there = [job["jobId"] for job in known]
    covered = {name for job in known for name in _covered(aws, job, left)}
    uncovered = [name for name in left if name not in covered]
    if group is not None and not there and uncovered:
        return there, [Job(_job_id(found.run_id, 1), [aws.target.arn(f"thinggroup/{group}")], len(uncovered))]
    return there, [
        Job(_job_id(found.run_id, number), [aws.target.arn(f"thing/{name}") for name in names], len(names))
        for number, names in enumerate(batches(uncovered), len(there) + 1)
    ]


def _require(world: World, found: Run) -> None:
    """Refuse names of things that there are not: a job for them would be made for nobody.

    Raises:
        NotFound: with all of them.

    """
    step = Step("iot:DescribeThing", {"thingName": Ref("row.thingName")})
    answers = engine.answers(step, scope.Things(list(found.names)), world)
    missing = sorted(row["thingName"] for row, answer in answers if isinstance(answer, NotFound))
    if missing:
        raise NotFound(f"there is no thing {', '.join(missing[:10])}{', …' if len(missing) > 10 else ''}")


def _is_registered(aws: Aws, directory: Path) -> bool:
    """Whether the account knows the fleet CA."""
    try:
        pem = (directory / "ca" / fleet_ca.CERTIFICATE).read_bytes()
        answer = aws.call("iot:DescribeCACertificate", certificateId=x509.read(pem).certificate_id)
    except (FileNotFoundError, NotFound):
        return False
    return bool(answer["certificateDescription"]["status"] == "ACTIVE")


def _job_id(run_id: str, number: int) -> str:
    return f"iotctl-rotate-{run_id}-{number}"


def _jobs(aws: Aws, run_id: str) -> Iterator[dict[str, Any]]:
    """The jobs of a rotation, the oldest first."""
    for number in itertools.count(1):
        try:
            yield aws.call("iot:DescribeJob", jobId=_job_id(run_id, number))["job"]
        except NotFound:
            return


def _goes_on(record: dict[str, Any]) -> bool:
    return bool(clock.now() - clock.moment(record["begun"]) < GOES_ON)


def _overlapping(directory: Path, known: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rotations that may still be gone on with, and have some of these things left."""
    over = {run_id for one in known for run_id in one["supersedes"]}
    asked = set(names)
    return [
        one
        for one in known
        if one["runId"] not in over
        and _goes_on(one)
        and asked & (set(one["things"]) - _done(directory, one["runId"], one["things"]))
    ]


def _covered(aws: Aws, job: dict[str, Any], left: Sequence[str]) -> set[str]:
    """The things that need no other job than this one: those that it is still to reach, too, while it is open."""
    pages = aws.pages("iot:ListJobExecutionsForJob", jobId=job["jobId"], maxResults=250)
    states = {
        one["thingArn"].rpartition("/")[2]: one["jobExecutionSummary"]["status"]
        for page in pages
        for one in page.get("executionSummaries", ())
    }
    whole = any(":thinggroup/" in target for target in job["targets"])
    targeted = {target.rpartition("/")[2] for target in job["targets"]}
    to_come = "QUEUED" if job["status"] in _OPEN else ""
    return {
        name
        for name in left
        if states.get(name, to_come if whole or name in targeted else "") in _PENDING
        and (job["status"] in _OPEN or states.get(name) == "SUCCEEDED")
    }


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    """The rotations of a directory, the oldest first."""
    found = []
    for path in (directory / made.RUNS).glob("*.json"):
        try:
            content = json.loads(path.read_bytes())
            if content["command"] == COMMAND:
                found.append((content["begun"], content["runId"], content))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `onboard undo` is who tells of one that is damaged
    yield from (content for _, _, content in sorted(found, key=lambda each: each[:2]))


def _done(directory: Path, run_id: str, names: Sequence[str]) -> frozenset[str]:
    """Those whose bundles say that they have their new certificate of this run."""
    return frozenset(name for name in names if run_id in _rotations(directory, name))


def _rotations(directory: Path, thing_name: str) -> Iterator[str]:
    name, number = bundle.directory_name(thing_name), 2
    while (place := directory / made.DEVICES / bundle.generation(name, number)).is_dir():
        yield str((made.config(place) or {}).get("rotationId", ""))
        number += 1
