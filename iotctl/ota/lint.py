"""What AWS IoT would refuse of a rollout, and what it would do that nobody expects. Pure.

Sources: developer guide, job-limits, jobs-configurations-details (its notes), create-manage-jobs, iot-jobs-lifecycle;
API reference, CreateJob.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from iotctl import jobs, text
from iotctl.ota import job
from iotctl.ota.rollout import CANARY, FLEET, LONGEST_JOB_ID, job_id
from iotctl.semantics import rollout, schedule
from iotctl.semantics.rollout import RolloutError
from iotctl.semantics.schedule import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from iotctl.ota.rollout import Record

ERROR: Final = "error"
"""AWS refuses it, or it cannot go well: nothing is begun."""
WARNING: Final = "warning"
"""It is most likely not what is wanted."""
NOTE: Final = "note"
"""How AWS IoT works, where that surprises people."""


@dataclass(frozen=True, slots=True)
class Lint:
    """One finding: how bad it is, a word for scripts, what it is and what to do."""

    level: str
    code: str
    message: str

    def to_json(self) -> dict[str, str]:
        """The finding as a row."""
        return {"level": self.level, "code": self.code, "message": self.message}


def lint(record: Record, now: datetime, *, signed: bool, expires: datetime | None) -> list[Lint]:
    """Everything to be said of a rollout, the worst first.

    Args:
        record: of the rollout.
        now: the time.
        signed: whether its documents carry what devices verify with.
        expires: when its manifest does; None: it has none.

    """
    found = [*_document(record, signed=signed), *_goal(record)]
    for phase in record.requests:
        found += _request(record, phase, now, expires)
    once = {(each.level, each.code, each.message): each for each in found}
    order = (ERROR, WARNING, NOTE)
    return sorted(once.values(), key=lambda each: order.index(each.level))


def _document(record: Record, *, signed: bool) -> Iterator[Lint]:
    request = record.requests[FLEET]
    size = len(record.document.encode())
    if size > job.LARGEST_DOCUMENT:
        yield Lint(ERROR, "DOCUMENT_TOO_LARGE", f"the job document has {size:,} bytes, more than 32,768")
    urls = job.placeholders(record.document + json.dumps(request.get("documentParameters", {})))
    if urls > job.MOST_PLACEHOLDERS:
        yield Lint(ERROR, "TOO_MANY_URLS", f"the job document asks for {urls} presigned URLs, more than 10")
    if urls and "presignedUrlConfig" not in request:
        yield Lint(ERROR, "NO_ROLE", "the job document asks for presigned URLs, and no role makes them: --job-role ARN")
    if record.document and not urls:
        yield Lint(WARNING, "NO_URL", "the job document names no URL of the artifact: devices must know where it is")
    if not signed:
        yield Lint(
            WARNING, "UNSIGNED", "devices cannot verify who made this: its job document carries no signed manifest"
        )
    if urls:
        seconds = request.get("presignedUrlConfig", {}).get("expiresInSec", jobs.URL_SECONDS[1])
        yield Lint(
            NOTE,
            "URL_TIME",
            f"a presigned URL is good for {seconds:,} s from when a device asks for the document; a slower download"
            " needs an agent that asks again",
        )


def _goal(record: Record) -> Iterator[Lint]:
    goal = record.goal
    if not goal.deadline:
        yield Lint(
            WARNING if goal.passing < 100 else NOTE,
            "NO_DEADLINE",
            "some devices are always offline, and without --deadline nobody ever judges a rollout that waits for them",
        )
    if goal.deadline and goal.passing == 100:
        yield Lint(
            NOTE, "ALL_MUST_PASS", "one device that stays offline fails it at the deadline: --pass 97% allows some"
        )


def _request(record: Record, phase: str, now: datetime, expires: datetime | None) -> Iterator[Lint]:
    request = record.requests[phase]
    if len(job_id(record.rollout_id, phase)) > LONGEST_JOB_ID:
        yield Lint(ERROR, "JOB_ID_TOO_LONG", f"the id of the {phase} job is too long")
    if len(request["targets"]) > jobs.MOST_TARGETS:
        yield Lint(
            ERROR,
            "TOO_MANY_TARGETS",
            f"a job is made for at most 100 things by name, and these are {len(request['targets']):,}:"
            " put them into a thing group, and name that",
        )
    try:
        rates = rollout.rollout(request.get("jobExecutionsRolloutConfig"))
        rollout.retries(request.get("jobExecutionsRetryConfig"))
        rollout.in_progress_minutes(request.get("timeoutConfig"))
        criteria = rollout.abort_criteria(request.get("abortConfig"))
        times = schedule.schedule(request.get("schedulingConfig"))
        schedule.check(times, now)
    except (RolloutError, ScheduleError) as error:
        yield Lint(ERROR, "REFUSED", f"AWS IoT refuses the {phase} job: {error}")
        return
    if expires is not None and times.start and times.start >= expires:
        yield Lint(ERROR, "EXPIRES_BEFORE", "the signed manifest expires before the rollout starts: --expires")
    yield from _timers(request)
    yield from _abort(record, phase, criteria, rates.base)
    if request.get("targetSelection") == "CONTINUOUS":
        yield Lint(
            NOTE,
            "CONTINUOUS_UNBRAKED",
            "things that join the group later get the job at once: the rollout rate is not for them;"
            " and a continuous job never completes",
        )
    if times.windows and record.goal.deadline and phase == FLEET:
        yield Lint(NOTE, "WINDOWS_COUNT", "the deadline counts the hours between the maintenance windows too")


def _timers(request: Mapping[str, Any]) -> Iterator[Lint]:
    if "timeoutConfig" not in request:
        yield Lint(
            WARNING,
            "NO_TIMEOUT",
            "a device that begins and never ends stays IN_PROGRESS for ever: --device-timeout 60m",
        )
        if request.get("jobExecutionsRetryConfig"):
            yield Lint(
                WARNING, "RETRY_NEEDS_TIMEOUT", "without a timeout nothing is TIMED_OUT, and only failures are retried"
            )
    if request.get("jobExecutionsRetryConfig"):
        yield Lint(
            WARNING,
            "RETRIES_DELAY_ABORT",
            "AWS does not say whether a failure that is retried counts for the abort criteria before its last try:"
            " with --retries a bad release may reach more devices",
        )


def _abort(record: Record, phase: str, criteria: tuple[rollout.AbortCriterion, ...], base: int) -> Iterator[Lint]:
    things = record.things[phase]
    if not criteria:
        yield Lint(WARNING, "NO_ABORT", f"nothing stops the {phase} job, however many devices fail")
        return
    for criterion in criteria:
        if criterion.minimum > things:
            yield Lint(
                WARNING,
                "ABORT_NEVER",
                f"the {phase} job is aborted once {criterion.minimum:,} devices have ended, and there are {things:,}",
            )
        allowed = Decimal(100) - record.goal.passing
        if criterion.threshold > allowed > 0:
            at, above = (f"{share.normalize():f}%" for share in (criterion.threshold, allowed))
            yield Lint(
                NOTE, "ABORT_ABOVE_PASS", f"the abort comes at {at} failed; above {above} it cannot pass any more"
            )
    if phase != CANARY or len(record.requests) == 1:
        yield Lint(
            NOTE,
            "ABORT_IN_PROGRESS",
            "an abort, like a cancel, takes the job from devices that are QUEUED; those that are IN_PROGRESS go on"
            f" (at first up to {text.count(base, 'device')} a minute)",
        )
