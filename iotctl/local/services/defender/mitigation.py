"""Mitigation actions applied to findings: tasks, started, described, listed, canceled. `mitigating` carries them out.

Source: AWS IoT developer guide, dd-mitigation-actions ("Apply mitigation actions").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.defender import actions, configuration, findings, tasks
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS mitigation_task (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, started REAL NOT NULL, ended REAL, target TEXT NOT NULL,
    mapping TEXT NOT NULL, definitions TEXT NOT NULL, token TEXT NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mitigation_task_by_start ON mitigation_task (started, id);
CREATE TABLE IF NOT EXISTS mitigation_execution (
    task_id TEXT NOT NULL REFERENCES mitigation_task (id) ON DELETE CASCADE, finding_id TEXT NOT NULL,
    number INTEGER NOT NULL, check_name TEXT NOT NULL, action TEXT NOT NULL, action_id TEXT NOT NULL,
    status TEXT NOT NULL, started REAL, ended REAL, error TEXT, message TEXT,
    PRIMARY KEY (task_id, finding_id, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mitigation_execution_pending ON mitigation_execution (task_id, finding_id)
    WHERE status = 'PENDING'
"""

_MOST_ACTIONS: Final = 5


@operation("iot:StartAuditMitigationActionsTask")
def start_audit_mitigation_actions_task(
    store: Store,
    taskId: str,
    target: dict[str, Any],
    auditCheckToActionsMapping: dict[str, list[str]],
    clientRequestToken: str,
) -> dict[str, Any]:
    """Apply actions to findings; those that are suppressed are left alone."""
    held = store.row("SELECT id FROM mitigation_task WHERE id = ? OR token = ?", taskId, clientRequestToken)
    if held:
        raise AwsError("TaskAlreadyExistsException", f"The task {held['id']} already exists")
    definitions = _definitions(store, auditCheckToActionsMapping)
    chosen = _targeted(store, target)
    store.execute(
        "INSERT INTO mitigation_task VALUES (?, 'IN_PROGRESS', ?, NULL, ?, ?, ?, ?)",
        taskId,
        store.now(),
        json.dumps(target),
        json.dumps(auditCheckToActionsMapping),
        json.dumps(definitions),
        clientRequestToken,
    )
    for row in chosen:
        for number, name in enumerate(auditCheckToActionsMapping.get(row["check_name"], ())):
            store.execute(
                "INSERT INTO mitigation_execution (task_id, finding_id, number, check_name, action, action_id, status)"
                " VALUES (?, ?, ?, ?, ?, ?, 'PENDING')",
                taskId,
                row["id"],
                number,
                row["check_name"],
                name,
                definitions[name]["id"],
            )
    store.publish(f"$local/due/{taskId}", {})
    return {"taskId": taskId}


@operation("iot:DescribeAuditMitigationActionsTask")
def describe_audit_mitigation_actions_task(store: Store, taskId: str) -> dict[str, Any]:
    """How a task is going, or how it ended."""
    row = known(store, taskId)
    statistics: dict[str, dict[str, int]] = {}
    for check_name, _, outcome in _outcomes(store, taskId):
        counts = statistics.setdefault(check_name, dict.fromkeys(_COUNTS.values(), 0) | {"totalFindingsCount": 0})
        counts["totalFindingsCount"] += 1
        if outcome in _COUNTS:
            counts[_COUNTS[outcome]] += 1
    return {
        "taskStatus": row["status"],
        "startTime": row["started"],
        "endTime": row["ended"],
        "taskStatistics": statistics,
        "target": json.loads(row["target"]),
        "auditCheckToActionsMapping": json.loads(row["mapping"]),
        "actionsDefinition": list(json.loads(row["definitions"]).values()),
    }


@operation("iot:ListAuditMitigationActionsTasks")
def list_audit_mitigation_actions_tasks(
    store: Store,
    *,
    startTime: float,
    endTime: float,
    auditTaskId: str | None = None,
    findingId: str | None = None,
    taskStatus: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """The tasks that began in a time, the newest first."""
    select = """
        SELECT * FROM mitigation_task t WHERE started BETWEEN ? AND ? AND status = coalesce(?, status)
        AND (? IS NULL OR json_extract(target, '$.auditTaskId') = ?)
        AND (? IS NULL OR EXISTS (SELECT 1 FROM mitigation_execution e WHERE e.task_id = t.id AND e.finding_id = ?))
    """
    parameters = [startTime, endTime, taskStatus, auditTaskId, auditTaskId, findingId, findingId]
    rows, token = page(
        store, select, parameters, by=("started", "id"), size=maxResults, token=nextToken, ascending=False
    )
    found = [{"taskId": row["id"], "startTime": row["started"], "taskStatus": row["status"]} for row in rows]
    return {"tasks": found, "nextToken": token}


@operation("iot:ListAuditMitigationActionsExecutions")
def list_audit_mitigation_actions_executions(
    store: Store,
    *,
    taskId: str,
    findingId: str,
    actionStatus: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """What was done about one finding, in order."""
    select = """
        SELECT * FROM mitigation_execution WHERE task_id = ? AND finding_id = ? AND status = coalesce(?, status)
    """
    rows, token = page(
        store, select, [taskId, findingId, actionStatus], by=("number",), size=maxResults, token=nextToken
    )
    found = [
        {
            "taskId": row["task_id"],
            "findingId": row["finding_id"],
            "actionName": row["action"],
            "actionId": row["action_id"],
            "status": row["status"],
            "startTime": row["started"],
            "endTime": row["ended"],
            "errorCode": row["error"],
            "message": row["message"],
        }
        for row in rows
    ]
    return {"actionsExecutions": found, "nextToken": token}


@operation("iot:CancelAuditMitigationActionsTask")
def cancel_audit_mitigation_actions_task(store: Store, taskId: str) -> None:
    """Do nothing more of a task; what was done stays done."""
    row = known(store, taskId)
    if row["status"] != "IN_PROGRESS":
        raise invalid(f"The task {taskId} is {row['status']} and cannot be canceled")
    store.execute("UPDATE mitigation_task SET status = 'CANCELED', ended = ? WHERE id = ?", store.now(), taskId)
    store.execute(
        "UPDATE mitigation_execution SET status = 'CANCELED' WHERE task_id = ? AND status = 'PENDING'", taskId
    )


def known(store: Store, task_id: str) -> sqlite3.Row:
    """The row of a task.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM mitigation_task WHERE id = ?", task_id)
    if row is None:
        raise not_found(f"The audit mitigation actions task {task_id} cannot be found")
    return row


def _definitions(store: Store, mapping: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """The actions that a request names, each fit for the checks that it is named for."""
    found: dict[str, dict[str, Any]] = {}
    if not mapping:
        raise invalid("auditCheckToActionsMapping names no check")
    for check_name, names in mapping.items():
        allowed = actions.supported(configuration.known(check_name))
        if not 1 <= len(names) <= _MOST_ACTIONS:
            raise invalid(f"Between one and {_MOST_ACTIONS} actions can be applied to {check_name}")
        for name in names:
            row = actions.find(store, name)
            if row is None:
                raise invalid(f"The mitigation action {name} does not exist")
            if row["type"] not in allowed:
                raise invalid(f"{check_name} does not support {row['type']}")
            found[name] = actions.definition(row)
    return found


def _targeted(store: Store, target: Mapping[str, Any]) -> list[sqlite3.Row]:
    """The findings that a request names and that are not suppressed."""
    if ("findingIds" in target) == ("auditTaskId" in target):
        raise invalid("Either auditTaskId or findingIds must be specified")
    if "findingIds" in target:
        if "auditCheckToReasonCodeFilter" in target:
            raise invalid("auditCheckToReasonCodeFilter goes with auditTaskId")
        rows = [findings.known(store, one) for one in dict.fromkeys(target["findingIds"])]
    else:
        task_id = tasks.known(store, target["auditTaskId"])["id"]
        rows = store.rows("SELECT * FROM audit_finding WHERE task_id = ?", task_id)
    reasons = target.get("auditCheckToReasonCodeFilter")
    if reasons is not None:
        rows = [row for row in rows if row["reason"] in reasons.get(row["check_name"], ())]
    return [row for row in rows if not row["suppressed"]]


_COUNTS: Final = {
    "FAILED": "failedFindingsCount",
    "COMPLETED": "succeededFindingsCount",
    "SKIPPED": "skippedFindingsCount",
    "CANCELED": "canceledFindingsCount",
}
_WORST: Final = ("FAILED", "CANCELED", "PENDING", "SKIPPED", "COMPLETED")


def _outcomes(store: Store, task_id: str) -> list[tuple[str, str, str]]:
    """Of each finding its check, its id and what became of it as a whole."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in store.rows("SELECT * FROM mitigation_execution WHERE task_id = ?", task_id):
        found.setdefault((row["check_name"], row["finding_id"]), set()).add(row["status"])
    return [(*key, next(one for one in _WORST if one in statuses)) for key, statuses in found.items()]
