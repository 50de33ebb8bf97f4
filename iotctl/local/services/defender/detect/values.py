"""What was measured of devices, as far as a security profile keeps it: two weeks of it.

Source: API reference, ListMetricValues; developer guide, device-defender-troubleshoot ("up to 14 days").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid, operation
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS detect_value (
    thing TEXT NOT NULL, metric TEXT NOT NULL, dimension TEXT NOT NULL, operator TEXT NOT NULL, at REAL NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (thing, metric, dimension, operator, at)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS detect_value_by_time ON detect_value (at)
"""
# `value`: a MetricValue; of message sizes also `least`, the smallest beside the largest.

RETAINED: Final = 14 * 86400.0

Scope = tuple[str, str, str]
"""A metric, a dimension and its operator; the last two empty for none."""


def keep(store: Store, thing: str, scope: Scope, at: float, value: Mapping[str, Any]) -> None:
    """Keep a measured value; a second one of the same moment replaces the first."""
    store.execute("INSERT OR REPLACE INTO detect_value VALUES (?, ?, ?, ?, ?, ?)", thing, *scope, at, json.dumps(value))


def since(store: Store, thing: str, scope: Scope, after: float) -> list[dict[str, Any]]:
    """The values later than a moment, the oldest first."""
    rows = store.rows(
        "SELECT value FROM detect_value WHERE thing = ? AND metric = ? AND dimension = ? AND operator = ? AND at > ?"
        " ORDER BY at",
        thing,
        *scope,
        after,
    )
    return [json.loads(row["value"]) for row in rows]


def together(values: Sequence[Mapping[str, Any]], operator: str) -> dict[str, Any]:
    """One value for several of consecutive times: counts added up, sizes the one that matters, lists joined. Pure.

    Args:
        values: at least one.
        operator: of the comparison: with `greater-than` the smallest message size matters, else the largest.

    """
    if "least" in values[0]:
        if operator.startswith("greater"):
            return {"count": min(one["least"] for one in values)}
        return {"count": max(one["count"] for one in values)}
    if "count" in values[0]:
        return {"count": sum(one["count"] for one in values)}
    ((member, _),) = values[0].items()
    return {member: list(dict.fromkeys(item for one in values for item in one[member]))}


def forget_old(store: Store) -> None:
    """Delete what is older than what is kept."""
    store.execute("DELETE FROM detect_value WHERE at < ?", store.now() - RETAINED)


@operation("iot:ListMetricValues")
def list_metric_values(
    store: Store,
    *,
    thingName: str,
    metricName: str,
    startTime: float,
    endTime: float,
    dimensionName: str | None = None,
    dimensionValueOperator: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """What was measured of a device in a time, the oldest first."""
    if endTime < startTime:
        raise invalid("endTime is before startTime")
    operator = (dimensionValueOperator or "IN") if dimensionName else ""
    rows, token = page(
        store,
        "SELECT at, value FROM detect_value WHERE thing = ? AND metric = ? AND dimension = ? AND operator = ?"
        " AND at BETWEEN ? AND ?",
        [thingName, metricName, dimensionName or "", operator, startTime, endTime],
        by=("at",),
        size=maxResults,
        token=nextToken,
    )
    found = []
    for row in rows:
        value = json.loads(row["value"])
        value.pop("least", None)
        found.append({"timestamp": row["at"], "value": value})
    return {"metricDatumList": found, "nextToken": token}
