"""Audits: started on demand, listed, described, canceled. `running` carries them out.

Source: AWS IoT developer guide, AuditCommands ("Run an On-Demand audit", "Manage audit instances").
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.defender import configuration
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_task (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, status TEXT NOT NULL, started REAL NOT NULL, scheduled_name TEXT,
    since REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS audit_task_by_start ON audit_task (started, id);
CREATE INDEX IF NOT EXISTS audit_task_in_progress ON audit_task (started) WHERE status = 'IN_PROGRESS';
CREATE TABLE IF NOT EXISTS audit_task_check (
    task_id TEXT NOT NULL REFERENCES audit_task (id) ON DELETE CASCADE, name TEXT NOT NULL, status TEXT NOT NULL,
    total INTEGER, found INTEGER, suppressed INTEGER, error TEXT, message TEXT, place TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (task_id, name)
) WITHOUT ROWID
"""
# `since`: how devices connected counts from then on; `place`: the last certificate that was judged, of those that are
# gone through a slice at a time.

RETAINED: Final = 90 * 86400.0
"""Seconds for which audits and findings are kept (the API reference's 90 days; older pages say 180)."""

ON_DEMAND: Final = "ON_DEMAND_AUDIT_TASK"
SCHEDULED: Final = "SCHEDULED_AUDIT_TASK"
_LOOK_BACK: Final = 31 * 86400.0  # of an audit on demand: audit-chk-conflicting-client-ids
_MOST_ON_DEMAND: Final = 10
WAITING: Final = "WAITING_FOR_DATA_COLLECTION"
"""The status of a check whose certificates are read out before it is made."""

_READ_OUT: Final = frozenset({"certificates", "ca_certificates"})
_STATISTICS: Final = {
    "inProgressChecks": "IN_PROGRESS",
    "waitingForDataCollectionChecks": WAITING,
    "compliantChecks": "COMPLETED_COMPLIANT",
    "nonCompliantChecks": "COMPLETED_NON_COMPLIANT",
    "failedChecks": "FAILED",
    "canceledChecks": "CANCELED",
}


def start(store: Store, checks: Iterable[str], *, scheduled_name: str | None = None, since: float | None = None) -> str:
    """Begin an audit of checks that are enabled; its id.

    Args:
        store: where.
        checks: their names.
        scheduled_name: of the scheduled audit that this is one of.
        since: of that one's run before.

    """
    task_id, now = uuid.uuid4().hex, store.now()
    kind = SCHEDULED if scheduled_name else ON_DEMAND
    store.execute(
        "INSERT INTO audit_task VALUES (?, ?, 'IN_PROGRESS', ?, ?, ?)",
        task_id,
        kind,
        now,
        scheduled_name,
        now - _LOOK_BACK if since is None else since,
    )
    for name in checks:
        store.execute(
            "INSERT INTO audit_task_check (task_id, name, status) VALUES (?, ?, ?)",
            task_id,
            name,
            "IN_PROGRESS" if _READ_OUT.isdisjoint(configuration.CHECKS[name].needs) else WAITING,
        )
    store.publish(f"$local/due/{task_id}", {})
    return task_id


def known(store: Store, task_id: str) -> sqlite3.Row:
    """The row of an audit.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM audit_task WHERE id = ?", task_id)
    if row is None:
        raise not_found(f"The audit task {task_id} cannot be found")
    return row


@operation("iot:StartOnDemandAuditTask")
def start_on_demand_audit_task(store: Store, targetCheckNames: list[str]) -> dict[str, Any]:
    """Start an audit now."""
    checks = configuration.all_enabled(store, targetCheckNames)
    running = store.rows("SELECT id FROM audit_task WHERE status = 'IN_PROGRESS' AND type = ?", ON_DEMAND)
    if len(running) >= _MOST_ON_DEMAND:
        raise AwsError("LimitExceededException", f"{_MOST_ON_DEMAND} on-demand audits are in progress")
    return {"taskId": start(store, checks)}


@operation("iot:DescribeAuditTask")
def describe_audit_task(store: Store, taskId: str) -> dict[str, Any]:
    """How an audit is going, or how it ended, check by check."""
    row = known(store, taskId)
    checks = store.rows("SELECT * FROM audit_task_check WHERE task_id = ? ORDER BY name", taskId)
    states = [one["status"] for one in checks]
    return {
        "taskStatus": row["status"],
        "taskType": row["type"],
        "taskStartTime": row["started"],
        "taskStatistics": {
            "totalChecks": len(checks),
            **{name: states.count(status) for name, status in _STATISTICS.items()},
        },
        "scheduledAuditName": row["scheduled_name"],
        "auditDetails": {one["name"]: _details(one) for one in checks},
    }


@operation("iot:ListAuditTasks")
def list_audit_tasks(
    store: Store,
    *,
    startTime: float,
    endTime: float,
    taskType: str | None = None,
    taskStatus: str | None = None,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """The audits that began in a time, the newest first."""
    if startTime < store.now() - RETAINED:
        raise invalid("startTime is before what is retained")
    if endTime < startTime:
        raise invalid("endTime is before startTime")
    select, parameters = "SELECT * FROM audit_task WHERE started BETWEEN ? AND ?", list[Any]((startTime, endTime))
    for column, value in {"type": taskType, "status": taskStatus}.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    rows, token = page(
        store, select, parameters, by=("started", "id"), size=maxResults, token=nextToken, ascending=False
    )
    found = [{"taskId": row["id"], "taskStatus": row["status"], "taskType": row["type"]} for row in rows]
    return {"tasks": found, "nextToken": token}


@operation("iot:CancelAuditTask")
def cancel_audit_task(store: Store, taskId: str) -> None:
    """Cancel an audit that is in progress; checks that are done stay as they are."""
    row = known(store, taskId)
    if row["status"] != "IN_PROGRESS":
        raise invalid(f"The audit task {taskId} is {row['status']} and cannot be canceled")
    store.execute("UPDATE audit_task SET status = 'CANCELED' WHERE id = ?", taskId)
    store.execute(
        "UPDATE audit_task_check SET status = 'CANCELED' WHERE task_id = ? AND status IN ('IN_PROGRESS', ?)",
        taskId,
        WAITING,
    )


def _details(row: sqlite3.Row) -> dict[str, Any]:
    done = row["status"].startswith("COMPLETED")
    return {
        "checkRunStatus": row["status"],
        "checkCompliant": row["status"] == "COMPLETED_COMPLIANT" if done else None,
        "totalResourcesCount": row["total"] if done else None,
        "nonCompliantResourcesCount": row["found"] if done else None,
        "suppressedNonCompliantResourcesCount": row["suppressed"] if done else None,
        "errorCode": row["error"],
        "message": row["message"],
    }
