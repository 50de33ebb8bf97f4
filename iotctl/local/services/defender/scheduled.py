"""Audits by a schedule: kept here, begun by the platform's clock.

Source: AWS IoT developer guide, AuditCommands ("Schedule audits").
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.defender import configuration, tasks
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics import frequency as calendar

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS scheduled_audit (
    name TEXT PRIMARY KEY, frequency TEXT NOT NULL, day_of_month TEXT, day_of_week TEXT, checks TEXT NOT NULL,
    since REAL NOT NULL, due REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scheduled_audit_by_due ON scheduled_audit (due)
"""
# `since`: when it was created or began last.

_AUDITS: Final = Named("scheduled_audit", "scheduledaudit", "The scheduled audit {} cannot be found")

_MOST: Final = 5


@operation("iot:CreateScheduledAudit")
def create_scheduled_audit(
    store: Store,
    *,
    frequency: str,
    targetCheckNames: list[str],
    scheduledAuditName: str,
    dayOfMonth: str | None = None,
    dayOfWeek: str | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create a scheduled audit of checks that are enabled."""
    if _AUDITS.find(store, scheduledAuditName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"The scheduled audit {scheduledAuditName} already exists",
            resourceId=scheduledAuditName,
            resourceArn=_AUDITS.arn(store, scheduledAuditName),
        )
    checks = configuration.all_enabled(store, targetCheckNames)
    now = store.now()
    due = _due(now, frequency, dayOfWeek, dayOfMonth, first=True)
    if len(store.rows("SELECT name FROM scheduled_audit")) >= _MOST:
        raise AwsError("LimitExceededException", f"An account cannot have more than {_MOST} scheduled audits")
    store.execute(
        "INSERT INTO scheduled_audit VALUES (?, ?, ?, ?, ?, ?, ?)",
        scheduledAuditName,
        frequency,
        dayOfMonth,
        dayOfWeek,
        json.dumps(checks),
        now,
        due,
    )
    put_tags(store, _AUDITS.arn(store, scheduledAuditName), tags)
    store.publish(f"$local/due/{scheduledAuditName}", {})
    return {"scheduledAuditArn": _AUDITS.arn(store, scheduledAuditName)}


@operation("iot:UpdateScheduledAudit")
def update_scheduled_audit(
    store: Store,
    *,
    scheduledAuditName: str,
    frequency: str | None = None,
    dayOfMonth: str | None = None,
    dayOfWeek: str | None = None,
    targetCheckNames: list[str] | None = None,
) -> dict[str, Any]:
    """Change a scheduled audit; what is not named stays, but for the days of another frequency."""
    row = _AUDITS.known(store, scheduledAuditName)
    same = frequency in {None, row["frequency"]}
    if not same or dayOfWeek or dayOfMonth:
        frequency = frequency or row["frequency"]
        week = dayOfWeek or (row["day_of_week"] if same else None)
        month = dayOfMonth or (row["day_of_month"] if same else None)
        due = _due(store.now(), frequency, week, month, first=True)
        store.execute(
            "UPDATE scheduled_audit SET frequency = ?, day_of_week = ?, day_of_month = ?, due = ? WHERE name = ?",
            frequency,
            week,
            month,
            due,
            scheduledAuditName,
        )
    if targetCheckNames is not None:
        checks = json.dumps(configuration.all_enabled(store, targetCheckNames))
        store.execute("UPDATE scheduled_audit SET checks = ? WHERE name = ?", checks, scheduledAuditName)
    store.publish(f"$local/due/{scheduledAuditName}", {})
    return {"scheduledAuditArn": _AUDITS.arn(store, scheduledAuditName)}


@operation("iot:DescribeScheduledAudit")
def describe_scheduled_audit(store: Store, scheduledAuditName: str) -> dict[str, Any]:
    """What is known of a scheduled audit."""
    row = _AUDITS.known(store, scheduledAuditName)
    return {**_listed(store, row), "targetCheckNames": json.loads(row["checks"])}


@operation("iot:ListScheduledAudits")
def list_scheduled_audits(store: Store, maxResults: int | None = None, nextToken: str | None = None) -> dict[str, Any]:
    """Scheduled audits by name."""
    rows, token = page(store, "SELECT * FROM scheduled_audit", [], by=("name",), size=maxResults, token=nextToken)
    return {"scheduledAudits": [_listed(store, row) for row in rows], "nextToken": token}


@operation("iot:DeleteScheduledAudit")
def delete_scheduled_audit(store: Store, scheduledAuditName: str) -> None:
    """Delete a scheduled audit; what it found stays."""
    _AUDITS.known(store, scheduledAuditName)
    forget_tags(store, _AUDITS.arn(store, scheduledAuditName))
    store.execute("DELETE FROM scheduled_audit WHERE name = ?", scheduledAuditName)


def next_due(store: Store) -> float | None:
    """When the next scheduled audit begins."""
    row = store.row("SELECT min(due) AS due FROM scheduled_audit")
    return row["due"] if row else None


def begin_due(store: Store) -> None:
    """Begin what is due, once however often it was due while nothing ran."""
    now = store.now()
    for row in store.rows("SELECT * FROM scheduled_audit WHERE due <= ?", now):
        tasks.start(store, json.loads(row["checks"]), scheduled_name=row["name"], since=row["since"])
        due = row["due"]
        while due <= now:
            due = _due(due, row["frequency"], row["day_of_week"], row["day_of_month"], first=False)
        store.execute("UPDATE scheduled_audit SET since = ?, due = ? WHERE name = ?", now, due, row["name"])


def _due(after: float, frequency: str, week: str | None, month: str | None, *, first: bool) -> float:
    try:
        calendar.check(frequency, week, month)
    except calendar.FrequencyError as error:
        raise invalid(str(error)) from error
    moment = datetime.fromtimestamp(after, UTC)
    return calendar.following(moment, frequency, week, month, first=first).timestamp()


def _listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "scheduledAuditName": row["name"],
        "scheduledAuditArn": _AUDITS.arn(store, row["name"]),
        "frequency": row["frequency"],
        "dayOfMonth": row["day_of_month"],
        "dayOfWeek": row["day_of_week"],
    }


taggable("scheduledaudit", _AUDITS.exists)
