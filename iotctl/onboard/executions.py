"""Whose device will not answer any more: how the executions of a rotation's jobs end, looked at now and then.

An agent that does not know what it is asked for fails its job, and says nothing in a shadow: nobody waits for it. One
look at a job is one call; what has ended badly is listed where there is more of it than before.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Error, RolloutFailed, Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.aws import Aws

EVERY: Final = 2.0
"""Seconds between two looks; of several jobs each has its turn."""

_BAD: Final = {
    "FAILED": "numberOfFailedThings",
    "REJECTED": "numberOfRejectedThings",
    "TIMED_OUT": "numberOfTimedOutThings",
    "CANCELED": "numberOfCanceledThings",
    "REMOVED": "numberOfRemovedThings",
}
"""How an execution ends badly, and who counts that (API reference, JobProcessDetails)."""
_TOLD: Final = 200
_AGAIN: Final = "it may still: run the same command again, it resumes"


class Executions:
    """The effects `onboard:WatchJobs` and `onboard:StillAsked`."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._lock = threading.Lock()
        self._targets: dict[str, frozenset[str] | None] = {}
        self._ended: dict[str, dict[str, str]] = {}
        self._turn = 0
        self._next = 0.0
        self._ends = math.inf

    def watch(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Begin with these `jobs`, the oldest first: of a thing that several have, the latest counts.

        After so many `seconds` nobody is waited for any more; where there are none, for ever.
        """
        for params in batch:
            self._ends = clock.monotonic() + params["seconds"] if "seconds" in params else math.inf
            for job_id in params["jobs"]:
                targets = self._aws.call("iot:DescribeJob", jobId=job_id)["job"]["targets"]
                whole = any(":thinggroup/" in target for target in targets)
                self._targets[job_id] = None if whole else frozenset(one.rpartition("/")[2] for one in targets)
        return [{} for _ in batch]

    def asked(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Whether devices may still answer.

        Args:
            batch: one mapping per thing: `thingName`.

        Returns:
            Per thing, in order: nothing; or why its device will not.

        """
        with self._lock:
            if self._targets and clock.monotonic() >= self._next:
                self._look(list(self._targets)[self._turn % len(self._targets)])
                self._turn += 1
                self._next = clock.monotonic() + EVERY
            return [self._verdict(one["thingName"]) for one in batch]

    def _look(self, job_id: str) -> None:
        counts = self._aws.call("iot:DescribeJob", jobId=job_id)["job"].get("jobProcessDetails", {})
        known = self._ended.setdefault(job_id, {})
        for status, member in _BAD.items():
            if counts.get(member, 0) > sum(one == status for one in known.values()):
                pages = self._aws.pages("iot:ListJobExecutionsForJob", jobId=job_id, status=status, maxResults=250)
                for page in pages:
                    known |= {one["thingArn"].rpartition("/")[2]: status for one in page.get("executionSummaries", ())}

    def _verdict(self, thing_name: str) -> dict[str, Any] | Error:
        mine = (job for job, targets in reversed(self._targets.items()) if targets is None or thing_name in targets)
        job_id = next(mine, "")
        status = self._ended.get(job_id, {}).get(thing_name)
        if status is None:
            if clock.monotonic() < self._ends:
                return {}
            return Unanswered("its device has not answered in the time that all had", hint=_AGAIN, on=thing_name)
        return RolloutFailed(
            f"its job ended as {status}",
            code="JobCanceled" if status in {"CANCELED", "REMOVED"} else "DeviceFailed",
            cause=self._reason(job_id, thing_name),
            hint=f"iotctl ota show {job_id}; run the same command again, and it is asked once more",
            on=thing_name,
        )

    def _reason(self, job_id: str, thing_name: str) -> str:
        """What the device, or AWS, said of it."""
        try:
            found = self._aws.call("iot:DescribeJobExecution", jobId=job_id, thingName=thing_name)["execution"]
        except Error:
            return ""
        details = found.get("statusDetails", {}).get("detailsMap", {})
        return text.sanitize("; ".join(f"{key} {value}" for key, value in sorted(details.items())))[:_TOLD]
