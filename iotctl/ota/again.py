"""Try again what failed, and stop what runs: jobs as they are -> plans. Pure.

A retry is a job for the failed things only, with the document and the brakes of the one before. Its id is the next that
is free, and its description names the things: two people who retry the same at the same time make one job.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, manifest, text
from iotctl.errors import Integrity, Usage
from iotctl.jobs import MOST_TARGETS
from iotctl.manifest import Signed
from iotctl.ota.rollout import stop
from iotctl.plan import Expect, Plan, Ref, Step
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from iotctl.ota.executions import Job
    from iotctl.ota.subject import Subject
    from iotctl.target import Target

MOST_RETRIES: Final = 99
"""Jobs of one rollout that try again."""

_LONGEST_DESCRIPTION: Final = 2028
_KEPT: Final = (
    "presignedUrlConfig",
    "jobExecutionsRolloutConfig",
    "timeoutConfig",
    "jobExecutionsRetryConfig",
    "namespaceId",
    "destinationPackageVersions",
)


def retrying(found: Subject, thing_names: Sequence[str], document: str, target: Target, now: datetime) -> Plan:
    """The plan of a retry.

    Args:
        found: what failed.
        thing_names: that failed and are in no later job, one at least.
        document: the job document of the main job.
        target: where.
        now: the time.

    Raises:
        Usage: there are too many.

    """
    described = found.described[found.main.job.job_id]
    ordered = sorted(thing_names)
    batches = [ordered[start : start + MOST_TARGETS] for start in range(0, len(ordered), MOST_TARGETS)]
    first = 1 + sum(phase.is_retry for phase in found.phases)
    if first + len(batches) - 1 > MOST_RETRIES:
        raise Usage(
            f"{count(len(ordered), 'thing')} failed, more than can be tried again one by one",
            hint="mend the cause, and create it anew for the whole scope",
        )
    rows = [_row(found, described, number, batch, target) for number, batch in enumerate(batches, first)]
    create = Step(
        "iot:CreateJob",
        {
            **{key: described[key] for key in _KEPT if described.get(key)},
            **{key: Ref(f"row.{key}") for key in ("jobId", "targets", "abortConfig", "description", "tags")},
            "targetSelection": "SNAPSHOT",
            "document": document,
        },
        on_exists=(Expect("job.description", Ref("row.description"), "iot:DescribeJob"),),
    )
    return Plan(
        command="ota retry",
        run_id=_digest([row["jobId"] for row in rows] + [row["description"] for row in rows]),
        target=target,
        summary=f"try {count(len(ordered), 'thing')} again that failed in {found.name}",
        each=(create,),
        rows=tuple(rows),
        shows={"things": Ref("row.things")},
        noun="job",
        bulk=len(rows) > 1,
        warnings=tuple(_doubts(described, document, now)),
    )


def canceling(found: Subject, target: Target, comment: str, now: datetime, *, force: bool) -> Plan:
    """The plan of a cancel: every job of it that is open, and with force those canceled where things are still at it.

    Where the fleet is still to follow, the canary is marked first, so that no `ota step` goes on from it.

    Args:
        found: what is to stop.
        target: where.
        comment: why, in words; may be empty.
        now: the time.
        force: whether things that are at it lose it too.

    """
    jobs = cancelable(found, force=force)
    params = {"jobId": Ref("row.jobId"), "force": force, "reasonCode": "IOTCTL_CANCEL", "comment": comment or None}
    arn = found.described[found.main.job.job_id].get("jobArn")
    mark = Step("iot:TagResource", {"resourceArn": arn, "tags": stop(clock.iso(now))})
    marked = (mark,) if found.may_go_on else ()
    names = [job.job_id for job in jobs] or [found.main.job.job_id]
    stopping = f"cancel {' and '.join(job.job_id for job in jobs)}" if jobs else f"stop {found.name} before its fleet"
    return Plan(
        command="ota cancel",
        run_id=_digest([found.name, str(force), *names, *(job.status for job in jobs)]),
        target=target,
        summary=stopping,
        shared=marked if jobs else (),
        each=(Step("iot:CancelJob", params),) if jobs else marked,
        rows=tuple({"thingName": name, "jobId": name, "line": number} for number, name in enumerate(names, 1)),
        noun="job",
        bulk=len(names) > 1,
        warnings=tuple(_consequences(found, jobs, force=force)),
    )


def cancelable(found: Subject, *, force: bool) -> list[Job]:
    """The jobs that a cancel changes."""
    jobs = [phase.job for phase in found.phases]
    return [job for job in jobs if job.is_active or (force and not job.is_over and not job.forced)]


def _row(
    found: Subject, described: Mapping[str, Any], number: int, thing_names: Sequence[str], target: Target
) -> dict[str, Any]:
    phase, job_id = found.retry(number)
    labels = replace(found.labels, phase=phase, things=len(thing_names)) if found.labels else None
    ending = f"retry of {found.name}: {count(len(thing_names), 'thing')}, sha256 {_digest(thing_names)}"
    before = str(described.get("description") or "").strip()
    kept = f"{before[: _LONGEST_DESCRIPTION - len(ending) - 2]}; {ending}" if before else ending
    return {
        "thingName": job_id,
        "line": number,
        "jobId": job_id,
        "things": len(thing_names),
        "targets": [target.arn(f"thing/{name}") for name in thing_names],
        "abortConfig": _brakes(described.get("abortConfig"), len(thing_names)),
        "description": kept,
        "tags": labels.tags() if labels else None,
    }


def _brakes(abort: Mapping[str, Any] | None, things: int) -> dict[str, Any] | None:
    """The same criteria; with fewer things they must be able to decide earlier."""
    if not abort:
        return None
    return {
        "criteriaList": [
            {**criterion, "minNumberOfExecutedThings": min(criterion["minNumberOfExecutedThings"], things)}
            for criterion in abort["criteriaList"]
        ]
    }


def _doubts(described: Mapping[str, Any], document: str, now: datetime) -> Iterator[str]:
    if described.get("schedulingConfig"):
        yield "the job was scheduled; what is tried again starts at once"
    try:
        content = text.loads(document)
        signed = manifest.read(Signed.from_json(content).manifest) if "manifest" in content else None
    except (Usage, Integrity, TypeError, AttributeError):
        return
    if signed and signed.expires <= now:
        yield (
            f"the signature has run out on {clock.iso(signed.expires)}: every device will refuse it;"
            " iotctl ota create signs anew"
        )


def _consequences(found: Subject, jobs: Sequence[Job], *, force: bool) -> Iterator[str]:
    """What a cancel stops, and what it does not."""
    if found.may_go_on:
        yield "the fleet does not follow the canary any more"
    queued = sum(job.coming for job in jobs)
    running = sum(job.counts.in_progress for job in jobs)
    succeeded = sum(phase.job.counts.succeeded for phase in found.counting)
    if queued or any(job.rolling for job in jobs):
        more = "" if all(job.total_is_known for job in jobs) else ", and those not counted yet,"
        yield f"{count(queued, 'thing')} that have not begun{more} will not get it"
    if running and force:
        yield (
            f"{count(running, 'thing')} at it lose it: AWS takes no report of theirs any more, and may leave them"
            " in the middle; they must be able to recover"
        )
    elif running:
        yield f"{count(running, 'thing')} at it go on, and may still install it; --force takes it away from them"
    if succeeded:
        yield f"{count(succeeded, 'thing')} that have it keep it: a cancel takes nothing back"


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
