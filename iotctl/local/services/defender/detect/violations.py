"""Behaviors that devices do not show: alarms raised, cleared and invalidated, verified, listed.

Source: AWS IoT developer guide, detect-behaviors (consecutive datapoints), device-defender-troubleshoot (what clears
and what invalidates an alarm), detect-concepts (verification). There is no Amazon SNS here: an alert is a line of the
log.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid, on, operation
from iotctl.local.services.defender.detect import profiles, targets
from iotctl.local.services.paging import page
from iotctl.semantics.behaviors import conforms, criteria_type

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.services import Message
    from iotctl.local.services.defender.detect.profiles import Profile
    from iotctl.local.store import Store

log = logging.getLogger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS detect_streak (
    thing TEXT NOT NULL, profile TEXT NOT NULL, behavior TEXT NOT NULL, bad INTEGER NOT NULL, good INTEGER NOT NULL,
    PRIMARY KEY (thing, profile, behavior)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS detect_violation (
    id TEXT PRIMARY KEY, thing TEXT NOT NULL, profile TEXT NOT NULL, name TEXT NOT NULL, behavior TEXT NOT NULL,
    criteria TEXT NOT NULL, suppressed INTEGER NOT NULL, active INTEGER NOT NULL, started REAL NOT NULL,
    last REAL NOT NULL, seen REAL NOT NULL, value TEXT NOT NULL, verification TEXT NOT NULL, words TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS detect_violation_active ON detect_violation (thing, profile, name) WHERE active;
CREATE INDEX IF NOT EXISTS detect_violation_seen ON detect_violation (seen) WHERE active;
CREATE TABLE IF NOT EXISTS detect_event (
    number INTEGER PRIMARY KEY, violation_id TEXT NOT NULL REFERENCES detect_violation (id) ON DELETE CASCADE,
    type TEXT NOT NULL, at REAL NOT NULL, value TEXT
);
CREATE INDEX IF NOT EXISTS detect_event_by_time ON detect_event (at, number);
CREATE INDEX IF NOT EXISTS detect_event_by_violation ON detect_event (violation_id)
"""
# `last`: of its datapoints the last that did not conform; `seen`: the last of all.

_RETAINED: Final = 14 * 86400.0
_SILENT: Final = 2 * 86400.0
_FILTERED: Final = """
(? IS NULL OR v.thing = ?) AND (? IS NULL OR v.profile = ?) AND v.criteria = coalesce(?, v.criteria)
AND v.suppressed <= ? AND v.verification = coalesce(?, v.verification)
"""


def datapoint(
    store: Store, profile: Profile, behavior: Mapping[str, Any], thing: str, value: Mapping[str, Any]
) -> None:
    """Compare one measured value of a device with a behavior; raise or clear the alarm when enough of them agree."""
    criteria, name = behavior["criteria"], behavior["name"]
    good = conforms(criteria["comparisonOperator"], criteria["value"], value)
    row = store.row(
        "INSERT INTO detect_streak VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET bad = CASE WHEN excluded.bad THEN bad + 1 ELSE 0 END,"
        " good = CASE WHEN excluded.good THEN good + 1 ELSE 0 END RETURNING bad, good",
        thing,
        profile.name,
        name,
        int(not good),
        int(good),
    )
    assert row is not None, "an upsert always returns its row"
    active = store.row(
        "SELECT * FROM detect_violation WHERE thing = ? AND profile = ? AND name = ? AND active",
        thing,
        profile.name,
        name,
    )
    if active is None:
        if row["bad"] >= criteria.get("consecutiveDatapointsToAlarm", 1):
            _raise(store, profile, behavior, thing, value)
        return
    store.execute("UPDATE detect_violation SET seen = ? WHERE id = ?", store.now(), active["id"])
    if not good:
        sql = "UPDATE detect_violation SET last = ?, value = ? WHERE id = ?"
        store.execute(sql, store.now(), json.dumps(value), active["id"])
    elif row["good"] >= criteria.get("consecutiveDatapointsToClear", 1):
        _end(store, active, "alarm-cleared", value)


@on("$local/detect/+")
def on_change(store: Store, message: Message) -> None:
    """A profile was changed, attached, detached or deleted: alarms of what it says no more are invalidated."""
    name = message.topic.rpartition("/")[2]
    for row in store.rows("SELECT * FROM detect_violation WHERE profile = ? AND active", name):
        held = next((one for one in targets.profiles_of(store, row["thing"]) if one.name == name), None)
        if held is None or not any(one["name"] == row["name"] for one in held.behaviors):
            _end(store, row, "alarm-invalidated", None)
    names = [one["name"] for one in profiles.behaviors_of(store, name)]
    store.execute(
        "DELETE FROM detect_streak WHERE profile = ? AND behavior NOT IN (SELECT value FROM json_each(?))",
        name,
        json.dumps(names),
    )


def next_due(store: Store) -> float | None:
    """When an alarm is invalidated because its device says nothing any more."""
    row = store.row("SELECT min(seen) AS seen FROM detect_violation WHERE active")
    return row["seen"] + _SILENT if row and row["seen"] is not None else None


def invalidate_due(store: Store) -> None:
    """Invalidate the alarms of devices that said nothing for two days; forget what is no longer kept."""
    rows = store.rows("SELECT * FROM detect_violation WHERE active AND seen <= ?", store.now() - _SILENT)
    for row in rows:
        _end(store, row, "alarm-invalidated", None)
    if rows:
        old = store.now() - _RETAINED
        store.execute("DELETE FROM detect_event WHERE at < ?", old)
        store.execute("DELETE FROM detect_violation WHERE NOT active AND last < ? AND seen < ?", old, old)


@operation("iot:ListActiveViolations")
def list_active_violations(
    store: Store,
    *,
    thingName: str | None = None,
    securityProfileName: str | None = None,
    behaviorCriteriaType: str | None = None,
    listSuppressedAlerts: bool = False,
    verificationState: str | None = None,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """The alarms that are on, the newest first; those whose alerts are suppressed only if asked for."""
    if securityProfileName is not None:
        profiles.known(store, securityProfileName)
    asked = (thingName, securityProfileName, behaviorCriteriaType, listSuppressedAlerts, verificationState)
    select = f"SELECT * FROM detect_violation v WHERE active AND {_FILTERED}"  # noqa: S608  a constant
    rows, token = page(
        store,
        select,
        _parameters(*asked),
        by=("started", "id"),
        size=maxResults,
        token=nextToken,
        ascending=False,
    )
    found = [
        {
            **_described(row),
            "lastViolationValue": json.loads(row["value"]),
            "lastViolationTime": row["last"],
            "violationStartTime": row["started"],
        }
        for row in rows
    ]
    return {"activeViolations": found, "nextToken": token}


@operation("iot:ListViolationEvents")
def list_violation_events(
    store: Store,
    *,
    startTime: float,
    endTime: float,
    thingName: str | None = None,
    securityProfileName: str | None = None,
    behaviorCriteriaType: str | None = None,
    listSuppressedAlerts: bool = False,
    verificationState: str | None = None,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """What happened to alarms in a time, the newest first."""
    if endTime < startTime:
        raise invalid("endTime is before startTime")
    asked = (thingName, securityProfileName, behaviorCriteriaType, listSuppressedAlerts, verificationState)
    select = f"""
        SELECT v.*, e.number AS number, e.type AS type, e.at AS at, e.value AS measured
        FROM detect_event e JOIN detect_violation v ON v.id = e.violation_id
        WHERE e.at BETWEEN ? AND ? AND {_FILTERED}
    """  # noqa: S608  a constant
    rows, token = page(
        store,
        select,
        [startTime, endTime, *_parameters(*asked)],
        by=("at", "number"),
        size=maxResults,
        token=nextToken,
        ascending=False,
    )
    found = [
        {
            **_described(row),
            "metricValue": json.loads(row["measured"]) if row["measured"] else None,
            "violationEventType": row["type"],
            "violationEventTime": row["at"],
        }
        for row in rows
    ]
    return {"violationEvents": found, "nextToken": token}


@operation("iot:PutVerificationStateOnViolation")
def put_verification_state_on_violation(
    store: Store, violationId: str, verificationState: str, verificationStateDescription: str | None = None
) -> None:
    """Say of an alarm whether it was a true one."""
    changed = store.execute(
        "UPDATE detect_violation SET verification = ?, words = ? WHERE id = ?",
        verificationState,
        verificationStateDescription,
        violationId,
    )
    if not changed:
        raise invalid(f"The violation {violationId} does not exist")


def _raise(store: Store, profile: Profile, behavior: Mapping[str, Any], thing: str, value: Mapping[str, Any]) -> None:
    now, violation_id = store.now(), str(uuid.uuid4())
    store.execute(
        "INSERT INTO detect_violation VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 'UNKNOWN', NULL)",
        violation_id,
        thing,
        profile.name,
        behavior["name"],
        json.dumps(behavior),
        criteria_type(behavior["criteria"]),
        int(bool(behavior.get("suppressAlerts"))),
        now,
        now,
        now,
        json.dumps(value),
    )
    store.publish("$local/due/violation", {})
    _event(store, violation_id, "in-alarm", value)
    _alert(profile, behavior, thing, "in-alarm")


def _end(store: Store, row: sqlite3.Row, kind: str, value: Mapping[str, Any] | None) -> None:
    store.execute("UPDATE detect_violation SET active = 0, seen = ? WHERE id = ?", store.now(), row["id"])
    store.execute(
        "DELETE FROM detect_streak WHERE thing = ? AND profile = ? AND behavior = ?",
        row["thing"],
        row["profile"],
        row["name"],
    )
    _event(store, row["id"], kind, value)
    held = store.row("SELECT * FROM security_profile WHERE name = ?", row["profile"])
    if held:
        _alert(profiles.profile(held), json.loads(row["behavior"]), row["thing"], kind)


def _event(store: Store, violation_id: str, kind: str, value: Mapping[str, Any] | None) -> None:
    store.execute(
        "INSERT INTO detect_event (violation_id, type, at, value) VALUES (?, ?, ?, ?)",
        violation_id,
        kind,
        store.now(),
        None if value is None else json.dumps(value),
    )


def _alert(profile: Profile, behavior: Mapping[str, Any], thing: str, kind: str) -> None:
    if behavior.get("suppressAlerts"):
        return
    for target in profile.alerts.values():
        what = f"{behavior['name']} of {profile.name} on {thing}"
        log.info("%s: %s; there is no SNS here to tell %s", kind, what, target["alertTargetArn"])


def _parameters(
    thing: str | None, profile: str | None, criteria: str | None, suppressed: bool, verification: str | None
) -> list[Any]:
    return [thing, thing, profile, profile, criteria, int(suppressed), verification]


def _described(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "violationId": row["id"],
        "thingName": row["thing"],
        "securityProfileName": row["profile"],
        "behavior": json.loads(row["behavior"]),
        "verificationState": row["verification"],
        "verificationStateDescription": row["words"],
    }
