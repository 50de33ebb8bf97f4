"""Mitigation actions applied to alarms: tasks, started, described, canceled, and carried out one alarm at a time.

Source: AWS IoT developer guide, dd-mitigation-actions ("Detect mitigation actions": things are added to groups, and
nothing else); API reference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.defender import actions, mitigating
from iotctl.local.services.defender.detect import profiles
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS detect_task (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, started REAL NOT NULL, ended REAL, request TEXT NOT NULL,
    definitions TEXT NOT NULL, token TEXT NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS detect_task_by_start ON detect_task (started, id);
CREATE TABLE IF NOT EXISTS detect_execution (
    task_id TEXT NOT NULL REFERENCES detect_task (id) ON DELETE CASCADE, violation_id TEXT NOT NULL,
    number INTEGER NOT NULL, thing TEXT NOT NULL, action TEXT NOT NULL, status TEXT NOT NULL, started REAL NOT NULL,
    ended REAL, error TEXT, message TEXT, PRIMARY KEY (task_id, violation_id, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS detect_execution_by_violation ON detect_execution (violation_id);
CREATE INDEX IF NOT EXISTS detect_execution_by_thing ON detect_execution (thing)
"""

_SUPPORTED: Final = "ADD_THINGS_TO_THING_GROUP"
_NEXT_TASK: Final = "SELECT * FROM detect_task WHERE status = 'IN_PROGRESS' ORDER BY started LIMIT 1"
_PENDING: Final = "SELECT * FROM detect_execution WHERE task_id = ? AND status = 'IN_PROGRESS'"


@operation("iot:StartDetectMitigationActionsTask")
def start_detect_mitigation_actions_task(
    store: Store,
    *,
    taskId: str,
    target: dict[str, Any],
    actions: list[str],
    clientRequestToken: str,
    violationEventOccurrenceRange: dict[str, float] | None = None,
    includeOnlyActiveViolations: bool = False,
    includeSuppressedAlerts: bool = False,
) -> dict[str, Any]:
    """Apply actions to alarms: those named, or those of a security profile or of one of its behaviors."""
    held = store.row("SELECT id FROM detect_task WHERE id = ? OR token = ?", taskId, clientRequestToken)
    if held:
        raise AwsError("TaskAlreadyExistsException", f"The task {held['id']} already exists")
    definitions = _definitions(store, actions)
    request = {
        "target": target,
        "violationEventOccurrenceRange": violationEventOccurrenceRange,
        "onlyActiveViolationsIncluded": includeOnlyActiveViolations,
        "suppressedAlertsIncluded": includeSuppressedAlerts,
    }
    chosen = _targeted(store, request)
    now = store.now()
    store.execute(
        "INSERT INTO detect_task VALUES (?, 'IN_PROGRESS', ?, NULL, ?, ?, ?)",
        taskId,
        now,
        json.dumps(request),
        json.dumps(definitions),
        clientRequestToken,
    )
    for row in chosen:
        for number, name in enumerate(actions):
            store.execute(
                "INSERT INTO detect_execution VALUES (?, ?, ?, ?, ?, 'IN_PROGRESS', ?, NULL, NULL, NULL)",
                taskId,
                row["id"],
                number,
                row["thing"],
                name,
                now,
            )
    store.publish(f"$local/due/{taskId}", {})
    return {"taskId": taskId}


@operation("iot:DescribeDetectMitigationActionsTask")
def describe_detect_mitigation_actions_task(store: Store, taskId: str) -> dict[str, Any]:
    """How a task is going, or how it ended."""
    return {"taskSummary": _summary(store, _known(store, taskId))}


@operation("iot:ListDetectMitigationActionsTasks")
def list_detect_mitigation_actions_tasks(
    store: Store, startTime: float, endTime: float, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """The tasks that began in a time, the newest first."""
    select = "SELECT * FROM detect_task WHERE started BETWEEN ? AND ?"
    rows, token = page(
        store,
        select,
        [startTime, endTime],
        by=("started", "id"),
        size=maxResults,
        token=nextToken,
        ascending=False,
    )
    return {"tasks": [_summary(store, row) for row in rows], "nextToken": token}


@operation("iot:ListDetectMitigationActionsExecutions")
def list_detect_mitigation_actions_executions(
    store: Store,
    *,
    taskId: str | None = None,
    violationId: str | None = None,
    thingName: str | None = None,
    startTime: float | None = None,
    endTime: float | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """What was done, by task, alarm and thing."""
    select, parameters = "SELECT * FROM detect_execution WHERE started BETWEEN ? AND ?", list[Any]()
    parameters += [0.0 if startTime is None else startTime, store.now() if endTime is None else endTime]
    for column, value in {"task_id": taskId, "violation_id": violationId, "thing": thingName}.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    by = ("task_id", "violation_id", "number")
    rows, token = page(store, select, parameters, by=by, size=maxResults, token=nextToken)
    found = [
        {
            "taskId": row["task_id"],
            "violationId": row["violation_id"],
            "actionName": row["action"],
            "thingName": row["thing"],
            "executionStartDate": row["started"],
            "executionEndDate": row["ended"],
            "status": row["status"],
            "errorCode": row["error"],
            "message": row["message"],
        }
        for row in rows
    ]
    return {"actionsExecutions": found, "nextToken": token}


@operation("iot:CancelDetectMitigationActionsTask")
def cancel_detect_mitigation_actions_task(store: Store, taskId: str) -> None:
    """Do nothing more of a task; what was done stays done."""
    row = _known(store, taskId)
    if row["status"] != "IN_PROGRESS":
        raise invalid(f"The task {taskId} is {row['status']} and cannot be canceled")
    now = store.now()
    store.execute("UPDATE detect_task SET status = 'CANCELED', ended = ? WHERE id = ?", now, taskId)
    sql = "UPDATE detect_execution SET status = 'SKIPPED', ended = ? WHERE task_id = ? AND status = 'IN_PROGRESS'"
    store.execute(sql, now, taskId)


def next_due(store: Store) -> float | None:
    """When there is something to do: a task in progress goes on at once."""
    row = store.row(_NEXT_TASK)
    return row["started"] if row else None


def go_on(store: Store) -> None:
    """Do all that is to be done about one alarm."""
    task = store.row(_NEXT_TASK)
    if task is None:
        return
    first = store.row(f"{_PENDING} ORDER BY violation_id LIMIT 1", task["id"])
    if first is None:
        failed = store.row("SELECT 1 FROM detect_execution WHERE task_id = ? AND status = 'FAILED'", task["id"])
        sql = "UPDATE detect_task SET status = ?, ended = ? WHERE id = ?"
        store.execute(sql, "FAILED" if failed else "SUCCESSFUL", store.now(), task["id"])
        return
    definitions = json.loads(task["definitions"])
    ended: str | None = None
    for row in store.rows(f"{_PENDING} AND violation_id = ? ORDER BY number", task["id"], first["violation_id"]):
        if ended == "FAILED":
            _settle(store, row, "SKIPPED")
            continue
        error = mitigating.attempt(store, definitions[row["action"]]["actionParams"], {}, (row["thing"],))
        ended = "FAILED" if error else "SUCCESSFUL"
        _settle(store, row, ended, error)


def _definitions(store: Store, names: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in names:
        row = actions.find(store, name)
        if row is None:
            raise invalid(f"The mitigation action {name} does not exist")
        if row["type"] != _SUPPORTED:
            raise invalid(f"Alarms support {_SUPPORTED}, and {name} is {row['type']}")
        found[name] = actions.definition(row)
    return found


def _targeted(store: Store, request: Mapping[str, Any]) -> list[sqlite3.Row]:
    """The alarms that a request is about."""
    target, span = request["target"], request["violationEventOccurrenceRange"]
    select, parameters = "SELECT * FROM detect_violation WHERE suppressed <= ?", list[Any]()
    parameters.append(int(request["suppressedAlertsIncluded"]))
    if ("violationIds" in target) == ("securityProfileName" in target):
        raise invalid("Either violationIds or securityProfileName must be specified")
    if "violationIds" in target:
        select += f" AND id IN ({', '.join('?' * len(target['violationIds']))})"
        parameters += target["violationIds"]
    else:
        profiles.known(store, target["securityProfileName"])
        select += " AND profile = ? AND name = coalesce(?, name)"
        parameters += [target["securityProfileName"], target.get("behaviorName")]
    if request["onlyActiveViolationsIncluded"]:
        select += " AND active"
    if span:
        select += " AND started BETWEEN ? AND ?"
        parameters += [span["startTime"], span["endTime"]]
    return store.rows(select, *parameters)


def _known(store: Store, task_id: str) -> sqlite3.Row:
    row = store.row("SELECT * FROM detect_task WHERE id = ?", task_id)
    if row is None:
        raise not_found(f"The detect mitigation actions task {task_id} cannot be found")
    return row


def _summary(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    rows = store.rows(
        "SELECT status, count(*) AS number FROM detect_execution WHERE task_id = ? GROUP BY status", row["id"]
    )
    counts = {one["status"]: one["number"] for one in rows}
    return {
        "taskId": row["id"],
        "taskStatus": row["status"],
        "taskStartTime": row["started"],
        "taskEndTime": row["ended"],
        **json.loads(row["request"]),
        "actionsDefinition": list(json.loads(row["definitions"]).values()),
        "taskStatistics": {
            "actionsExecuted": counts.get("SUCCESSFUL", 0),
            "actionsSkipped": counts.get("SKIPPED", 0),
            "actionsFailed": counts.get("FAILED", 0),
        },
    }


def _settle(store: Store, row: sqlite3.Row, status: str, error: AwsError | None = None) -> None:
    store.execute(
        "UPDATE detect_execution SET status = ?, ended = ?, error = ?, message = ?"
        " WHERE task_id = ? AND violation_id = ? AND number = ?",
        status,
        store.now(),
        error.code if error else None,
        error.message if error else None,
        row["task_id"],
        row["violation_id"],
        row["number"],
    )
