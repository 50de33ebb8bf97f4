"""What audits found: ListAuditFindings, DescribeAuditFinding, ListRelatedResourcesForAuditFinding.

Source: AWS IoT developer guide, AuditCommands ("Check audit results"); API reference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.local.services import invalid, not_found, operation
from iotctl.local.services.defender import configuration, tasks
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_finding (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, check_name TEXT NOT NULL, reason TEXT NOT NULL, resource TEXT NOT NULL,
    resource_type TEXT NOT NULL, suppressed INTEGER NOT NULL, task_started REAL NOT NULL, found REAL NOT NULL,
    description TEXT NOT NULL, details TEXT NOT NULL, related TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS audit_finding_by_task ON audit_finding (task_id, found, id);
CREATE INDEX IF NOT EXISTS audit_finding_by_time ON audit_finding (found, id)
"""
# `resource` as canonical JSON; `related`: RelatedResources.

_MOST_RELATED: Final = 10
"""Related resources that a finding itself shows; all of them are listed on request."""


def known(store: Store, finding_id: str) -> sqlite3.Row:
    """The row of a finding.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM audit_finding WHERE id = ?", finding_id)
    if row is None:
        raise not_found(f"The audit finding {finding_id} cannot be found")
    return row


@operation("iot:ListAuditFindings")
def list_audit_findings(
    store: Store,
    *,
    taskId: str | None = None,
    checkName: str | None = None,
    resourceIdentifier: dict[str, Any] | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
    startTime: float | None = None,
    endTime: float | None = None,
    listSuppressedFindings: bool | None = None,
) -> dict[str, Any]:
    """The findings of an audit, or of a time; suppressed ones too, unless only one kind is asked for."""
    select, parameters = "SELECT * FROM audit_finding WHERE ", list[Any]()
    if taskId is not None and startTime is None and endTime is None:
        select += "task_id = ?"
        parameters.append(tasks.known(store, taskId)["id"])
    elif taskId is None and startTime is not None and endTime is not None:
        select += "found BETWEEN ? AND ?"
        parameters += [startTime, endTime]
    else:
        raise invalid("Either taskId, or startTime and endTime, must be specified")
    asked = {
        "check_name": checkName and configuration.known(checkName),
        "resource": resourceIdentifier and text.canonical(resourceIdentifier),
        "suppressed": None if listSuppressedFindings is None else int(listSuppressedFindings),
    }
    for column, value in asked.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    rows, token = page(store, select, parameters, by=("found", "id"), size=maxResults, token=nextToken)
    return {"findings": [described(row) for row in rows], "nextToken": token}


@operation("iot:DescribeAuditFinding")
def describe_audit_finding(store: Store, findingId: str) -> dict[str, Any]:
    """One finding."""
    return {"finding": described(known(store, findingId))}


@operation("iot:ListRelatedResourcesForAuditFinding")
def list_related_resources_for_audit_finding(
    store: Store, findingId: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """Every resource that a finding is about besides the one that is not compliant."""
    known(store, findingId)
    select = "SELECT key AS number, value FROM audit_finding f, json_each(f.related) WHERE f.id = ?"
    rows, token = page(store, select, [findingId], by=("number",), size=maxResults, token=nextToken)
    return {"relatedResources": [json.loads(row["value"]) for row in rows], "nextToken": token}


def described(row: sqlite3.Row) -> dict[str, Any]:
    """A finding as AWS shows it."""
    return {
        "findingId": row["id"],
        "taskId": row["task_id"],
        "checkName": row["check_name"],
        "taskStartTime": row["task_started"],
        "findingTime": row["found"],
        "severity": str(configuration.CHECKS[row["check_name"]].severity),
        "nonCompliantResource": {
            "resourceType": row["resource_type"],
            "resourceIdentifier": json.loads(row["resource"]),
            "additionalInfo": json.loads(row["details"]) or None,
        },
        "relatedResources": json.loads(row["related"])[:_MOST_RELATED] or None,
        "reasonForNonCompliance": row["description"],
        "reasonForNonComplianceCode": row["reason"],
        "isSuppressed": bool(row["suppressed"]),
    }
