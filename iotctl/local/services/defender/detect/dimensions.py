"""Dimensions: topic filters that narrow a metric down.

Source: AWS IoT developer guide, scoping-security-behavior.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics import topics

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dimension (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, filters TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID
"""

_DIMENSIONS: Final = Named("dimension", "dimension", "The dimension {} cannot be found")

CLIENT_ID: Final = "${iot:ClientId}"
"""What stands for the client id of the device that is measured."""


@operation("iot:CreateDimension")
def create_dimension(
    store: Store,
    *,
    name: str,
    type: str,  # noqa: A002  AWS's own name
    stringValues: list[str],
    clientRequestToken: str,  # noqa: ARG001  the name and the filters say already whether it is the same
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Define a dimension; again with the same filters is success, as the client cannot tell whether it arrived."""
    filters = _checked(stringValues)
    found = _DIMENSIONS.find(store, name)
    if found and found["filters"] != filters:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"The dimension {name} already exists",
            resourceId=name,
            resourceArn=_DIMENSIONS.arn(store, name),
        )
    if not found:
        now = store.now()
        store.execute("INSERT INTO dimension VALUES (?, ?, ?, ?, ?)", name, type, filters, now, now)
        put_tags(store, _DIMENSIONS.arn(store, name), tags)
    return {"name": name, "arn": _DIMENSIONS.arn(store, name)}


@operation("iot:UpdateDimension")
def update_dimension(store: Store, name: str, stringValues: list[str]) -> dict[str, Any]:
    """Give a dimension other filters."""
    _DIMENSIONS.known(store, name)
    filters = _checked(stringValues)
    store.execute("UPDATE dimension SET filters = ?, modified = ? WHERE name = ?", filters, store.now(), name)
    store.publish("$local/detect/dimension", {})
    return _described(store, _DIMENSIONS.known(store, name))


@operation("iot:DescribeDimension")
def describe_dimension(store: Store, name: str) -> dict[str, Any]:
    """What is known of a dimension."""
    return _described(store, _DIMENSIONS.known(store, name))


@operation("iot:ListDimensions")
def list_dimensions(store: Store, maxResults: int | None = None, nextToken: str | None = None) -> dict[str, Any]:
    """Dimensions by name."""
    rows, token = page(store, "SELECT name FROM dimension", [], by=("name",), size=maxResults, token=nextToken)
    return {"dimensionNames": [row["name"] for row in rows], "nextToken": token}


@operation("iot:DeleteDimension")
def delete_dimension(store: Store, name: str) -> None:
    """Delete a dimension that no security profile uses."""
    used = store.row("SELECT profile FROM security_profile_metric WHERE dimension = ? LIMIT 1", name)
    if used:
        raise invalid(f"The dimension {name} is used by the security profile {used['profile']}")
    forget_tags(store, _DIMENSIONS.arn(store, name))
    store.execute("DELETE FROM dimension WHERE name = ?", name)


def filters(store: Store) -> dict[str, tuple[str, ...]]:
    """The topic filters of each dimension."""
    return {row["name"]: tuple(json.loads(row["filters"])) for row in store.rows("SELECT name, filters FROM dimension")}


def _checked(values: list[str]) -> str:
    for value in values:
        try:
            topics.check_filter(value.replace(CLIENT_ID, "c"))
        except topics.TopicError as error:
            raise invalid(f"{value} is not a topic filter: {error}") from error
    return json.dumps(values)


def _described(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "arn": _DIMENSIONS.arn(store, row["name"]),
        "type": row["type"],
        "stringValues": json.loads(row["filters"]),
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
    }


taggable("dimension", _DIMENSIONS.exists)
