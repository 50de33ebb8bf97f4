"""Tasks of AWS's bulk registration: a file of lines in S3, one task at a time, and what reports say of each line."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.aws.downloads import download
from iotctl.errors import Interrupted, Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iotctl.aws import Aws

_PAUSES: Final = (0.2, 5.0)
"""Seconds between two looks at a task: the first, and the longest."""
_RUNNING: Final = frozenset({"InProgress", "Cancelling"})


class Tasks:
    """The tasks of one account.

    Args:
        aws: the account.
        stop: set to end a wait early; the task goes on, and the same command finds what it did.
        say: words for a person.

    """

    def __init__(self, aws: Aws, stop: threading.Event, say: Callable[[Sequence[str]], None]) -> None:
        self._aws = aws
        self._stop, self._say = stop, say

    def run(self, lines: Sequence[Mapping[str, str]], template: Mapping[str, Any], where: Mapping[str, str]) -> str:
        """Register a thing for each line, and wait for the end of it.

        Args:
            lines: the parameters of each thing.
            template: by which all of them are registered.
            where: `bucket`, `prefix`, `accountId` (that owns the bucket), `roleArn`.

        Returns:
            The id of the task.

        Raises:
            Error: it could not be started, or did not end well.

        """
        body = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        key = f"{where['prefix']}{hashlib.sha256(body).hexdigest()}.jsonl"
        self._aws.call(
            "s3:PutObject", Bucket=where["bucket"], Key=key, Body=body, ExpectedBucketOwner=where["accountId"]
        )
        self.wait_for_others()
        task = self._aws.call(
            "iot:StartThingRegistrationTask",
            templateBody=json.dumps(template),
            inputFileBucket=where["bucket"],
            inputFileKey=key,
            roleArn=where["roleArn"],
        )["taskId"]
        self._say([f"bulk registration {task} of {text.count(len(lines), 'thing')} is under way"])
        ended = self._wait(task)
        if ended["status"] != "Completed":
            raise Refused(
                f"the bulk registration {task} ended as {ended['status']}",
                code="RegistrationTask",
                cause=text.sanitize(str(ended.get("message", ""))),
                hint="mend the cause, then run the same command again; it resumes",
            )
        return str(task)

    def wait_for_others(self) -> None:
        """Let a task that runs already end: AWS carries out one at a time."""
        for page in self._aws.pages("iot:ListThingRegistrationTasks", status="InProgress"):
            for task in page.get("taskIds", []):
                self._say([f"the bulk registration {task} is under way, and AWS takes one at a time: waiting for it"])
                self._wait(task)

    def errors(self, task: str) -> dict[int, str]:
        """Why lines could not be registered, by their number (from 1)."""
        found = self._report(task, "ERRORS")
        return {number: str(line.get("errorMessage") or "no reason given") for number, line in found}

    def certificates(self, task: str) -> dict[int, str]:
        """The certificates (PEM) that lines were registered with, by their number (from 1).

        AWS's API reference does not tell how a report writes them; AWS's own workshop reads `response.CertificatePem`.
        """
        found = ((number, line.get("response") or {}) for number, line in self._report(task, "RESULTS"))
        return {number: str(answer["CertificatePem"]) for number, answer in found if answer.get("CertificatePem")}

    def _report(self, task: str, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for page in self._aws.pages("iot:ListThingRegistrationTaskReports", taskId=task, reportType=kind):
            for link in page.get("resourceLinks", []):
                for line in download(link).splitlines():
                    try:
                        found = json.loads(line)
                        yield int(found["lineNumber"]), found
                    except (ValueError, KeyError, TypeError) as error:
                        message = f"a line of the report of {task} cannot be read"
                        raise Refused(message, code="Report", cause=text.sanitize(str(error))) from error

    def _wait(self, task: str) -> dict[str, Any]:
        pause, longest = _PAUSES
        while True:
            found = self._aws.call("iot:DescribeThingRegistrationTask", taskId=task)
            if found["status"] not in _RUNNING:
                return found
            if self._stop.wait(pause):
                raise Interrupted(f"the bulk registration {task} goes on in AWS; the same command finds what it did")
            pause = min(pause * 2, longest)
