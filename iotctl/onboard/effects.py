"""The step of a bulk registration that waits: one task at a time, its reports folded into the outcomes of its rows."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Error, Interrupted, Refused
from iotctl.onboard import engines, provisioning

if TYPE_CHECKING:
    import contextlib
    import threading

    from iotctl.context import Context

Say = Callable[[Sequence[str]], None]
Effect = Callable[[Sequence[Mapping[str, Any]]], "list[dict[str, Any] | Error]"]

_PAUSES: Final = (0.2, 5.0)
"""Seconds between two looks at a task: the first, and the longest."""
_RUNNING: Final = frozenset({"InProgress", "Cancelling"})
_THERE: Final = re.compile(r"ResourceConflicts?Exception")
"""What the report says of a line whose thing is there already (OverrideSettings: FAIL)."""
_CODE: Final = re.compile(r"Error Code: (\w+)")
_OF_CLIENT: Final = re.compile(r"^com\.amazonaws\.[\w.]+: | \(Service: .*$")
_TOLD: Final = 500


def effects(context: Context, stop: threading.Event, say: Say, stack: contextlib.ExitStack) -> dict[str, Effect]:  # noqa: ARG001  every capability's has them
    """The effects of this capability's plans, by the names of their steps."""
    return {engines.BULK: Bulk(context, stop, say)}


class Bulk:
    """The effect `onboard:RegisterInBulk`: rows as lines of a file in S3, registered by one task after the other.

    Args:
        context: of the command.
        stop: set to end a wait early; the task goes on, and the same command finds what it did.
        say: words for a person.

    """

    def __init__(self, context: Context, stop: threading.Event, say: Say) -> None:
        self._aws = context.aws
        self._stop, self._say = stop, say

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Register a batch.

        Args:
            batch: one mapping per thing: `bucket`, `prefix`, `roleArn`, `accountId`, `row` (of the fleet file),
                `certificate` (certificateId, certificatePem), `authority` (the CA that signed it, PEM).

        Returns:
            Per thing, in order: `there`, whether it was there already; or why it was not registered.

        Raises:
            Error: a task could not be started or did not end well; its rows stay planned.

        """
        answers: dict[int, dict[str, Any] | Error] = {}
        for numbers in _alike(batch):
            found = self._register([batch[number] for number in numbers])
            answers |= dict(zip(numbers, found, strict=True))
        return [answers[number] for number in range(len(batch))]

    def _register(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        lines = [provisioning.parameters(one["row"], one["certificate"], one["authority"]) for one in rows]
        body = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        first = rows[0]
        where = {"Bucket": first["bucket"], "Key": f"{first['prefix']}{hashlib.sha256(body).hexdigest()}.jsonl"}
        self._aws.call("s3:PutObject", **where, Body=body, ExpectedBucketOwner=first["accountId"])
        template = provisioning.in_bulk(first["row"].get("attributes") or (), list(lines[0]))
        self._wait_for_others()
        task = self._aws.call(
            "iot:StartThingRegistrationTask",
            templateBody=json.dumps(template),
            inputFileBucket=where["Bucket"],
            inputFileKey=where["Key"],
            roleArn=first["roleArn"],
        )["taskId"]
        self._say([f"bulk registration {task} of {text.count(len(rows), 'thing')} is under way"])
        ended = self._wait(task)
        if ended["status"] != "Completed":
            raise Refused(
                f"the bulk registration {task} ended as {ended['status']}",
                code="RegistrationTask",
                cause=text.sanitize(str(ended.get("message", ""))),
                hint="mend the cause, then run the same command again; it resumes",
            )
        errors = dict(self._errors(task)) if ended.get("failureCount") else {}
        return [_answer(errors.get(number), one["row"]["thingName"]) for number, one in enumerate(rows, 1)]

    def _wait_for_others(self) -> None:
        """Let a task that runs already end: AWS carries out one at a time."""
        for page in self._aws.pages("iot:ListThingRegistrationTasks", status="InProgress"):
            for task in page.get("taskIds", []):
                self._say([f"the bulk registration {task} is under way, and AWS takes one at a time: waiting for it"])
                self._wait(task)

    def _wait(self, task: str) -> dict[str, Any]:
        pause, longest = _PAUSES
        while True:
            found = self._aws.call("iot:DescribeThingRegistrationTask", taskId=task)
            if found["status"] not in _RUNNING:
                return found
            if self._stop.wait(pause):
                raise Interrupted(f"the bulk registration {task} goes on in AWS; the same command finds what it did")
            pause = min(pause * 2, longest)

    def _errors(self, task: str) -> Iterator[tuple[int, str]]:
        """What could not be registered: the number of the line, and why."""
        for page in self._aws.pages("iot:ListThingRegistrationTaskReports", taskId=task, reportType="ERRORS"):
            for link in page.get("resourceLinks", []):
                for line in self._aws.download(link).splitlines():
                    try:
                        found = json.loads(line)
                        yield int(found["lineNumber"]), str(found.get("errorMessage") or "no reason given")
                    except (ValueError, KeyError, TypeError) as error:
                        message = f"a line of the report of {task} cannot be read"
                        raise Refused(message, code="Report", cause=text.sanitize(str(error))) from error


def _alike(batch: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    """The numbers of the rows that one template can register, for each template that it takes."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, one in enumerate(batch):
        names = provisioning.parameters(one["row"], one["certificate"], "")
        kinds.setdefault((*names, *sorted(one["row"].get("attributes") or ())), []).append(number)
    return iter(kinds.values())


def _answer(message: str | None, thing_name: str) -> dict[str, Any] | Error:
    if message is None:
        return {"there": False}
    if _THERE.search(message):
        return {"there": True}
    code, cause = _CODE.search(message), text.sanitize(_OF_CLIENT.sub("", message))[:_TOLD]
    return Refused("it was not registered", code=code[1] if code else "", cause=cause, on=thing_name)
