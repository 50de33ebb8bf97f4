"""What is due of audits is done: one check at a time, so that nothing else waits for long.

An audit is in the store, so a restart changes nothing: a check that was not finished is done again.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.local.services.defender import configuration, fleet, suppressions, tasks
from iotctl.semantics.checks import judge

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store
    from iotctl.semantics.checks import Finding

log = logging.getLogger(__name__)

_OPEN: Final = "('IN_PROGRESS', 'WAITING_FOR_DATA_COLLECTION')"
_NEXT_TASK: Final = "SELECT * FROM audit_task WHERE status = 'IN_PROGRESS' ORDER BY started LIMIT 1"
_NEXT_CHECK: Final = f"SELECT * FROM audit_task_check WHERE task_id = ? AND status IN {_OPEN} ORDER BY status, name"  # noqa: S608  constants
_SLICED: Final = ("certificates", "DEVICE_CERTIFICATE")
"""What checks look at and find of it that go by slices: there are many, each a resource of its own."""


def next_due(store: Store) -> float | None:
    """When there is something to do of an audit: an audit in progress goes on at once."""
    row = store.row(_NEXT_TASK)
    return row["started"] if row else None


def go_on(store: Store) -> None:
    """Do the next piece of the audit that began first."""
    task = store.row(_NEXT_TASK)
    if task is None:
        return
    row = store.row(_NEXT_CHECK, task["id"])
    if row is None:
        _end(store, task)
    elif not configuration.configured(store).enabled(row["name"]):
        _ended(store, task, row["name"], "FAILED", error="AUDIT_CHECK_DISABLED", message="The check is disabled")
    elif row["status"] == tasks.WAITING:
        _collect(store, task, row)
    else:
        _judge(store, task, row)


def _collect(store: Store, task: sqlite3.Row, row: sqlite3.Row) -> None:
    """Read the next certificates; once all are read the check can be made."""
    place = fleet.collect(store, row["place"])
    store.execute(
        "UPDATE audit_task_check SET status = ?, place = ? WHERE task_id = ? AND name = ?",
        "IN_PROGRESS" if place == fleet.LAST else tasks.WAITING,
        "" if place == fleet.LAST else place,
        task["id"],
        row["name"],
    )


def _judge(store: Store, task: sqlite3.Row, row: sqlite3.Row) -> None:
    """Judge the next slice of device certificates, or all of what else a check looks at."""
    check, name = configuration.CHECKS[row["name"]], row["name"]
    until = fleet.slice_end(store, row["place"]) if (check.of, check.resource_type) == _SLICED else fleet.LAST
    seen = fleet.fleet(store, check.needs, task["since"], after=row["place"], until=until)
    findings, (verdict,) = judge(seen, configuration.configured(store).rules(name), [check])
    if verdict.reason:
        # The only code of AWS's two for what could not be read.
        _ended(store, task, name, "FAILED", error="INSUFFICIENT_PERMISSIONS", message=verdict.reason)
        return
    hidden = suppressions.suppressed(store, name)
    merged: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        merged.setdefault((text.canonical(finding.flaw.resource), finding.flaw.reason), []).append(finding)
    for (resource, _), flaws in merged.items():
        _keep(store, task, resource, flaws, suppressed=resource in hidden)
    found = {resource for resource, _ in merged}
    before = [row[column] or 0 for column in ("total", "found", "suppressed")]
    total, bad, quiet = (
        one + more for one, more in zip(before, (verdict.checked, len(found), len(found & hidden)), strict=True)
    )
    status = "COMPLETED_NON_COMPLIANT" if bad > quiet else "COMPLETED_COMPLIANT"
    if until != fleet.LAST:
        status = row["status"]
        sql = "UPDATE audit_task_check SET place = ? WHERE task_id = ? AND name = ?"
        store.execute(sql, until, task["id"], name)
    _ended(store, task, name, status, counts=(total, bad, quiet))


def _keep(store: Store, task: sqlite3.Row, resource: str, found: list[Finding], *, suppressed: bool) -> None:
    """Keep one finding: what is wrong with a resource for one reason."""
    flaw, check = found[0].flaw, found[0].check
    details = {key: value for one in reversed(found) for key, value in one.flaw.details.items()}
    related = [
        {
            "resourceType": other.resource_type,
            "resourceIdentifier": dict(other.resource),
            **({"additionalInfo": dict(other.details)} if other.details else {}),
        }
        for one in found
        for other in one.flaw.related
    ]
    store.execute(
        "INSERT INTO audit_finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        uuid.uuid4().hex,
        task["id"],
        check.name,
        flaw.reason,
        resource,
        check.resource_type,
        int(suppressed),
        task["started"],
        store.now(),
        "; ".join(dict.fromkeys(one.flaw.actual for one in found)),
        json.dumps(details),
        json.dumps(related),
    )


def _ended(
    store: Store,
    task: sqlite3.Row,
    name: str,
    status: str,
    *,
    counts: tuple[int, int, int] | None = None,
    error: str | None = None,
    message: str | None = None,
) -> None:
    total, found, suppressed = counts or (None, None, None)
    store.execute(
        "UPDATE audit_task_check SET status = ?, total = ?, found = ?, suppressed = ?, error = ?, message = ?"
        " WHERE task_id = ? AND name = ?",
        status,
        total,
        found,
        suppressed,
        error,
        message,
        task["id"],
        name,
    )


def _end(store: Store, task: sqlite3.Row) -> None:
    """Every check has ended; what is older than what is kept is deleted."""
    rows = store.rows("SELECT name, status FROM audit_task_check WHERE task_id = ?", task["id"])
    status = "FAILED" if all(row["status"] == "FAILED" for row in rows) else "COMPLETED"
    store.execute("UPDATE audit_task SET status = ? WHERE id = ?", status, task["id"])
    old = store.now() - tasks.RETAINED
    store.execute("DELETE FROM audit_finding WHERE found < ?", old)
    store.execute("DELETE FROM audit_task WHERE started < ?", old)
    _notify(store, task, [row["name"] for row in rows if row["status"] == "COMPLETED_NON_COMPLIANT"])


def _notify(store: Store, task: sqlite3.Row, names: list[str]) -> None:
    """Say in the platform's log what AWS would send: there is no SNS here that could be told."""
    target: Any = configuration.configured(store).targets.get("SNS", {})
    if target.get("enabled") and target.get("targetArn"):
        found = ", ".join(names) or "nothing"
        log.info("audit %s found %s; there is no SNS here to tell %s", task["id"], found, target["targetArn"])
