"""What bulk registration reports: lines of JSON in parts, each an object of S3 that whoever has its URL may read.

A line is as AWS writes it: `{"errorMessage", "lineNumber", "offset", "response"}`, the offset that of the line's end.
The bucket is the service's own: no listing of buckets has it.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services.paging import page
from iotctl.local.services.s3 import buckets, content, objects
from iotctl.local.services.s3.presigned import presigned_get

if TYPE_CHECKING:
    from iotctl.local.services import AwsError
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registration_report_line (
    task TEXT NOT NULL, type TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (task, type, line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registration_report (
    task TEXT NOT NULL, type TEXT NOT NULL, part INTEGER NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (task, type, part)
) WITHOUT ROWID
"""

_LINES_OF_PART: Final = 5000
_SECONDS: Final = 3600
_TYPES: Final = ("ERRORS", "RESULTS")
_AWS_CLIENT: Final = "com.amazonaws.services.iot.model."


def add(
    store: Store,
    task: str,
    kind: str,
    line: int,
    offset: int,
    *,
    error: AwsError | None = None,
    response: dict[str, Any] | None = None,
) -> None:
    """Report on a line of a task's file; what was registered is told as AWS's own workshop reads it, in capitals."""
    content_of_line = {
        "errorMessage": None if error is None else _message(error),
        "lineNumber": line,
        "offset": offset,
        "response": response and {f"{name[0].upper()}{name[1:]}": value for name, value in response.items()},
    }
    store.execute(
        "INSERT INTO registration_report_line VALUES (?, ?, ?, ?)",
        *(task, kind, line, json.dumps(content_of_line, separators=(",", ":"))),
    )


def settle(store: Store, task: str) -> None:
    """Write the parts of a task's reports that are large enough."""
    for kind in _TYPES:
        held = store.row("SELECT count(*) AS n FROM registration_report_line WHERE task = ? AND type = ?", task, kind)
        if held and held["n"] >= _LINES_OF_PART:
            _write(store, task, kind)


def close(store: Store, task: str) -> None:
    """Write what is not written yet of a task's reports."""
    for kind in _TYPES:
        _write(store, task, kind)


def links(store: Store, task: str, kind: str, token: str | None, size: int | None) -> tuple[list[str], str | None]:
    """Presigned URLs of the parts that are written, in order, and the token of the next page."""
    select = "SELECT part, key FROM registration_report WHERE task = ? AND type = ?"
    rows, following = page(store, select, [task, kind], by=("part",), size=size, token=token)
    return [presigned_get(store, buckets.OF_SERVICES, row["key"], _SECONDS) for row in rows], following


def forget(store: Store, task: str) -> None:
    """Remove a task's reports."""
    for row in store.rows("SELECT key FROM registration_report WHERE task = ?", task):
        objects.delete_object(store, Bucket=buckets.OF_SERVICES, Key=row["key"])
    store.execute("DELETE FROM registration_report WHERE task = ?", task)
    store.execute("DELETE FROM registration_report_line WHERE task = ?", task)


def _write(store: Store, task: str, kind: str) -> None:
    """Make the lines that wait a part of the report."""
    rows = store.rows("SELECT text FROM registration_report_line WHERE task = ? AND type = ? ORDER BY line", task, kind)
    if not rows:
        return
    written = store.row("SELECT count(*) AS n FROM registration_report WHERE task = ? AND type = ?", task, kind)
    part = (int(written["n"]) if written else 0) + 1
    key = f"{kind.lower()}/{task}-{part}"
    writing = content.Writing(store, ())
    try:
        for row in rows:
            writing.write(row["text"].encode() + b"\n")
        body = writing.finish()
    except BaseException:
        writing.discard()
        raise
    buckets.of_services(store)
    described = {"ContentType": "application/json"}
    objects.keep(store, buckets.OF_SERVICES, key, body, body.md5, described, {}, "")
    store.execute("INSERT INTO registration_report VALUES (?, ?, ?, ?)", task, kind, part, key)
    store.execute("DELETE FROM registration_report_line WHERE task = ? AND type = ?", task, kind)


def _message(error: AwsError) -> str:
    """An error as AWS's reports have it: as its client for Java words it."""
    facts = f"Service: AWSIot; Status Code: 400; Error Code: {error.code}; Request ID: {uuid.uuid4()}; Proxy: null"
    return f"{_AWS_CLIENT}{error.code}: {error.message} ({facts})"
