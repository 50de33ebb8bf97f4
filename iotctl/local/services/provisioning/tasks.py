"""Bulk registration: one task at a time, which registers a thing for each line of a file in S3.

Every few lines are registered and reported in one transaction, so a task goes on after a restart where it was, and no
line is done twice. Sources: AWS IoT developer guide, bulk-provisioning; AWS IoT Core quotas (one running task, lines of
256K, thirty days). The lines of the reports are as AWS's own error reports have them.
"""

from __future__ import annotations

import math
import os
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files, text
from iotctl.errors import Usage
from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.paging import page
from iotctl.local.services.provisioning import reports, templates
from iotctl.local.services.provisioning.registering import register_thing
from iotctl.local.services.role_aliases import check_role
from iotctl.local.services.s3 import objects
from iotctl.semantics.provisioning import Kind

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registration_task (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, message TEXT, body TEXT NOT NULL, bucket TEXT NOT NULL,
    key TEXT NOT NULL, role TEXT NOT NULL, size INTEGER NOT NULL, offset INTEGER NOT NULL, line INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS registration_task_by_creation ON registration_task (created, id)
"""

_RUNNING: Final = ("InProgress", "Cancelling")
_IS_RUNNING: Final = "status IN ('InProgress', 'Cancelling')"
_LONGEST_LINE: Final = 256 * 1024
_LONGEST_VALUE: Final = 4096
_DAYS: Final = 30 * 86_400.0
_TURN: Final = 0.005
_PAUSE: Final = 0.002
"""Seconds of lines, and of what everything else of the platform has then: an answer takes several turns of its loop."""
_PACED_TURN: Final = 0.01
"""Seconds from one turn to the next where lines are paced, or those of one line."""


@operation("iot:StartThingRegistrationTask")
def start_thing_registration_task(
    store: Store, *, templateBody: str, inputFileBucket: str, inputFileKey: str, roleArn: str
) -> dict[str, Any]:
    """Begin to register the things of a file: a line each, its parameters as a JSON object.

    What cannot be read is refused here; the guide does not say whether AWS says so at once, or fails the task.
    """
    templates.read(templateBody, Kind.REGISTRATION)
    check_role(store, roleArn)
    if store.row(f"SELECT 1 FROM registration_task WHERE {_IS_RUNNING}"):  # noqa: S608  a constant
        raise invalid("A thing registration task is in progress already; only one can run at a time")
    try:
        found = objects.get_object(store, Bucket=inputFileBucket, Key=inputFileKey)
    except AwsError as error:
        raise invalid(
            f"The input file s3://{inputFileBucket}/{inputFileKey} cannot be read: {error.message}"
        ) from error
    identity = str(uuid.uuid4())
    # A second name for the file: whatever becomes of the object, the task has what it began with.
    os.link(found["Body"].path, _input(store, identity))
    now = store.now()
    store.execute(
        "INSERT INTO registration_task VALUES (?, 'InProgress', NULL, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?)",
        *(identity, templateBody, inputFileBucket, inputFileKey, roleArn, found["ContentLength"], now, now),
    )
    store.publish("$local/due/registration", {})
    return {"taskId": identity}


@operation("iot:DescribeThingRegistrationTask")
def describe_thing_registration_task(store: Store, taskId: str) -> dict[str, Any]:
    """How far a task is."""
    row = _known(store, taskId)
    return {
        "taskId": row["id"],
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
        "templateBody": row["body"],
        "inputFileBucket": row["bucket"],
        "inputFileKey": row["key"],
        "roleArn": row["role"],
        "status": row["status"],
        "message": row["message"],
        "successCount": row["succeeded"],
        "failureCount": row["failed"],
        "percentageProgress": row["offset"] * 100 // row["size"] if row["size"] else 100,
    }


@operation("iot:ListThingRegistrationTasks")
def list_thing_registration_tasks(
    store: Store, nextToken: str | None = None, maxResults: int | None = None, status: str | None = None
) -> dict[str, Any]:
    """Tasks, the newest first."""
    rows, token = page(
        store,
        "SELECT id, created FROM registration_task WHERE status = coalesce(?, status)",
        [status],
        by=("created", "id"),
        size=maxResults,
        token=nextToken,
        ascending=False,
    )
    return {"taskIds": [row["id"] for row in rows], "nextToken": token}


@operation("iot:StopThingRegistrationTask")
def stop_thing_registration_task(store: Store, taskId: str) -> None:
    """Stop a task; what it has registered stays."""
    row = _known(store, taskId)
    if row["status"] not in _RUNNING:
        raise invalid(f"The thing registration task {taskId} is {row['status']} already")
    _update(store, taskId, status="Cancelling")


@operation("iot:ListThingRegistrationTaskReports")
def list_thing_registration_task_reports(
    store: Store, taskId: str, reportType: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """Presigned URLs of what a task has done or could not do, in parts."""
    _known(store, taskId)
    links, token = reports.links(store, taskId, reportType, nextToken, maxResults)
    return {"resourceLinks": links, "reportType": reportType, "nextToken": token}


def next_due(store: Store) -> float | None:
    """When there is something to do: soon, while a task is running; else when the data of the oldest is dropped."""
    row = store.row(
        "SELECT min(CASE status WHEN 'Cancelling' THEN 0 WHEN 'InProgress' THEN modified + ? ELSE modified + ? END)"
        " AS due FROM registration_task",
        _pace(store)[1],
        _DAYS,
    )
    return row["due"] if row else None


def go_on(store: Store) -> None:
    """Register the next lines of the task that is running, and drop what has been kept for thirty days."""
    running = store.row(f"SELECT * FROM registration_task WHERE {_IS_RUNNING}")  # noqa: S608  a constant
    now = store.now()
    if running is not None:
        if running["status"] == "Cancelling":
            _end(store, running["id"], "Cancelled")
        elif now - running["created"] >= _DAYS:
            _end(store, running["id"], "Failed", "The task was not done within thirty days")
        elif now >= running["modified"] + _pace(store)[1]:
            _register_lines(store, running)
    for row in store.rows(
        f"SELECT id FROM registration_task WHERE NOT ({_IS_RUNNING}) AND modified <= ?",  # noqa: S608  a constant
        now - _DAYS,
    ):
        reports.forget(store, row["id"])
        store.execute("DELETE FROM registration_task WHERE id = ?", row["id"])


def _pace(store: Store) -> tuple[float, float]:
    """How many lines a turn has at most, and the seconds from one turn to the next.

    A line costs what RegisterThing costs: bulk registration calls the same operations under the same quotas.
    """
    rate = store.rate("iot:RegisterThing")
    if rate is None:
        return math.inf, _PAUSE
    lines = max(1, math.floor(rate * _PACED_TURN))
    return lines, lines / rate


def _register_lines(store: Store, task: sqlite3.Row) -> None:
    began, (left, _) = clock.monotonic(), _pace(store)
    line, offset = int(task["line"]), int(task["offset"])
    succeeded, failed = int(task["succeeded"]), int(task["failed"])
    try:
        file = _input(store, task["id"]).open("rb")
    except FileNotFoundError:
        _end(store, task["id"], "Failed", "The input file is gone")
        return
    with file:
        file.seek(offset)
        while left and (left < math.inf or clock.monotonic() - began < _TURN) and (read := _line(file)):
            content, length = read
            left -= 1
            line, offset = line + 1, offset + length
            if content is not None and not content.strip():
                continue
            try:
                with store.attempt():
                    answer = register_thing(store, task["body"], _parameters(content))
                reports.add(store, task["id"], "RESULTS", line, offset, response=answer)
                succeeded += 1
            except AwsError as error:
                reports.add(store, task["id"], "ERRORS", line, offset, error=error)
                failed += 1
    reports.settle(store, task["id"])
    _update(store, task["id"], line=line, offset=offset, succeeded=succeeded, failed=failed)
    if offset >= task["size"]:
        _end(store, task["id"], "Completed")


def _line(file: Any) -> tuple[bytes | None, int] | None:  # noqa: ANN401  a binary file
    """The next line and its length in bytes; its content is None where it is longer than a line may be."""
    content: bytes = file.readline(_LONGEST_LINE + 2)
    if not content:
        return None
    length = len(content)
    if len(content.rstrip(b"\r\n")) <= _LONGEST_LINE:
        return content, length
    while content and not content.endswith(b"\n"):
        content = file.readline(_LONGEST_LINE)
        length += len(content)
    return None, length


def _parameters(line: bytes | None) -> dict[str, str]:
    """The parameters of a line.

    Raises:
        AwsError: InvalidRequestException.

    """
    if line is None:
        raise invalid(f"The line is longer than {_LONGEST_LINE} bytes")
    try:
        found = text.loads(line, name="the line")
    except Usage as error:
        raise invalid(error.message) from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise invalid("The line is not a JSON object of strings")
    if any(len(value) > _LONGEST_VALUE for value in found.values()):
        raise invalid(f"A parameter cannot have more than {_LONGEST_VALUE} characters")
    return found


def _end(store: Store, task: str, status: str, message: str | None = None) -> None:
    reports.close(store, task)
    _update(store, task, status=status, message=message)
    _input(store, task).unlink(missing_ok=True)


def _update(store: Store, task: str, **changes: Any) -> None:  # noqa: ANN401  columns
    names = ", ".join(f"{name} = ?" for name in changes)
    store.execute(
        f"UPDATE registration_task SET {names}, modified = ? WHERE id = ?",  # noqa: S608  our own columns
        *changes.values(),
        store.now(),
        task,
    )


def _input(store: Store, task: str) -> Path:
    """Where the file is that a task reads."""
    return files.private_directory(store.directory / "registration") / task


def _known(store: Store, task: str) -> sqlite3.Row:
    row = store.row("SELECT * FROM registration_task WHERE id = ?", task)
    if row is None:
        raise not_found(f"The thing registration task {task} does not exist")
    return row
