"""Custom metrics: what only this fleet's devices report.

Source: AWS IoT developer guide, dd-detect-custom-metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics.behaviors import METRICS

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS custom_metric (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, display TEXT, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID
"""

_METRICS: Final = Named("custom_metric", "custommetric", "The custom metric {} cannot be found")


@operation("iot:CreateCustomMetric")
def create_custom_metric(
    store: Store,
    *,
    metricName: str,
    metricType: str,
    clientRequestToken: str,  # noqa: ARG001  the name says already whether it is the same
    displayName: str | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Define a metric; its name and type stay."""
    if metricName.startswith("aws:") or metricName in METRICS:
        raise invalid("The name of a custom metric cannot begin with aws:")
    if _METRICS.find(store, metricName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"The custom metric {metricName} already exists",
            resourceId=metricName,
            resourceArn=_METRICS.arn(store, metricName),
        )
    now = store.now()
    store.execute("INSERT INTO custom_metric VALUES (?, ?, ?, ?, ?)", metricName, metricType, displayName, now, now)
    put_tags(store, _METRICS.arn(store, metricName), tags)
    return {"metricName": metricName, "metricArn": _METRICS.arn(store, metricName)}


@operation("iot:UpdateCustomMetric")
def update_custom_metric(store: Store, metricName: str, displayName: str) -> dict[str, Any]:
    """Give a metric another name to be shown by."""
    _METRICS.known(store, metricName)
    sql = "UPDATE custom_metric SET display = ?, modified = ? WHERE name = ?"
    store.execute(sql, displayName, store.now(), metricName)
    return _described(store, _METRICS.known(store, metricName))


@operation("iot:DescribeCustomMetric")
def describe_custom_metric(store: Store, metricName: str) -> dict[str, Any]:
    """What is known of a metric."""
    return _described(store, _METRICS.known(store, metricName))


@operation("iot:ListCustomMetrics")
def list_custom_metrics(store: Store, maxResults: int | None = None, nextToken: str | None = None) -> dict[str, Any]:
    """Custom metrics by name."""
    rows, token = page(store, "SELECT name FROM custom_metric", [], by=("name",), size=maxResults, token=nextToken)
    return {"metricNames": [row["name"] for row in rows], "nextToken": token}


@operation("iot:DeleteCustomMetric")
def delete_custom_metric(store: Store, metricName: str) -> None:
    """Delete a metric that no security profile uses, with all that was measured of it."""
    used = store.row(
        "SELECT profile FROM security_profile_metric WHERE metric = ? LIMIT 1",
        metricName,
    )
    if used:
        raise invalid(f"The custom metric {metricName} is used by the security profile {used['profile']}")
    forget_tags(store, _METRICS.arn(store, metricName))
    store.execute("DELETE FROM detect_value WHERE metric = ?", metricName)
    store.execute("DELETE FROM custom_metric WHERE name = ?", metricName)


def types(store: Store) -> dict[str, str]:
    """The types of the custom metrics, by name."""
    return {row["name"]: row["type"] for row in store.rows("SELECT name, type FROM custom_metric")}


def _described(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "metricName": row["name"],
        "metricArn": _METRICS.arn(store, row["name"]),
        "metricType": row["type"],
        "displayName": row["display"],
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
    }


taggable("custommetric", _METRICS.exists)
