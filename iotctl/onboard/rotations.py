"""Read-only: which rotation a scope's is, how far it is, and which jobs it still needs."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, clock, made, pki, scope, text
from iotctl.errors import NotFound
from iotctl.onboard.rotation import COMMAND, Job, Run, batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iotctl.aws import Aws
    from iotctl.scope import Scope

GOES_ON: Final = timedelta(days=30)
"""So long a rotation that has things left is gone on with; after that the same words begin another one."""

_OPEN: Final = frozenset({"IN_PROGRESS", "SCHEDULED"})
_PENDING: Final = frozenset({"QUEUED", "IN_PROGRESS", "SUCCEEDED"})
"""Executions of things that need no other job: what has succeeded only waits for its operator."""


def run(aws: Aws, chosen: Scope, directory: Path, *, key_type: str, days: int, anew: bool) -> Run:
    """The rotation of a scope that has things left, else a new one.

    Raises:
        NotFound: the scope does not exist, or there is no fleet CA in the directory.

    """
    if not (directory / "ca" / bundle.CA_CERTIFICATE).is_file():
        raise NotFound(f"there is no fleet CA in {directory}", hint="--bundles DIR, of an onboarding")
    names = scope.resolve(aws, chosen).names
    listed = "" if chosen.things is None else f", sha256 {_digest(names)}"
    words = f"{chosen}{listed}"
    known = [one for one in _records(directory) if (one["scope"], one["target"]) == (words, aws.target.to_json())]
    for one in () if anew else reversed(known):
        done = _done(directory, one["runId"], one["things"])
        if len(done) < len(one["things"]) and clock.now() - clock.moment(one["begun"]) < GOES_ON:
            return Run(one["runId"], words, one["things"], done, one["begun"], one["keyType"], one["days"])
    run_id = _digest([words, text.canonical(aws.target.to_json()), str(len(known)), *names])
    return Run(run_id, words, names, frozenset(), clock.iso(clock.now()), key_type, days)


def jobs(aws: Aws, found: Run, group: str | None) -> list[Job]:
    """The jobs that are to be made for the things that are left.

    Args:
        aws: the account.
        found: the rotation.
        group: the thing group that it is about; None: its things are named.

    """
    left = [name for name in found.names if name not in found.done]
    number = 1
    covered: set[str] = set()
    while (job := _described(aws, _job_id(found, number))) is not None:
        covered |= _covered(aws, job, left)
        number += 1
    uncovered = [name for name in left if name not in covered]
    if group is not None and number == 1 and uncovered:
        return [Job(_job_id(found, 1), [aws.target.arn(f"thinggroup/{group}")], len(uncovered))]
    return [
        Job(_job_id(found, number + further), [aws.target.arn(f"thing/{name}") for name in names], len(names))
        for further, names in enumerate(batches(uncovered))
    ]


def is_registered(aws: Aws, directory: Path) -> bool:
    """Whether the account knows the fleet CA."""
    pem = (directory / "ca" / bundle.CA_CERTIFICATE).read_bytes()
    try:
        answer = aws.call("iot:DescribeCACertificate", certificateId=pki.read(pem).certificate_id)
    except NotFound:
        return False
    return bool(answer["certificateDescription"]["status"] == "ACTIVE")


def _job_id(found: Run, number: int) -> str:
    return f"iotctl-rotate-{found.run_id}-{number}"


def _described(aws: Aws, job_id: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = aws.call("iot:DescribeJob", jobId=job_id)["job"]
    except NotFound:
        return None
    return answer


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
        yield str(json.loads((place / bundle.CONFIG).read_bytes()).get("rotationId", ""))
        number += 1


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
