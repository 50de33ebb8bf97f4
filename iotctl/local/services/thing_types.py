"""Thing types: created, described, deprecated, deleted."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, events, invalid, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, held_tags, put_tags, requested_tags, taggable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing_type (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, properties TEXT NOT NULL, created REAL NOT NULL, deprecated REAL
) WITHOUT ROWID
"""

_TYPES: Final = Named("thing_type", "thingtype", "Thing type {} not found")
known = _TYPES.known

_SEARCHABLE: Final = 3
_DELETE_AFTER: Final = 300  # seconds after the deprecation (developer guide, thing-types)


@operation("iot:CreateThingType")
def create_thing_type(
    store: Store,
    thingTypeName: str,
    thingTypeProperties: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create a thing type; again with the same configuration is success."""
    properties = _normal(thingTypeProperties)
    arn = _TYPES.arn(store, thingTypeName)
    found = _TYPES.find(store, thingTypeName)
    if found is None:
        identity = str(uuid.uuid4())
        store.execute(
            "INSERT INTO thing_type VALUES (?, ?, ?, ?, NULL)",
            thingTypeName,
            identity,
            json.dumps(properties),
            store.now(),
        )
        put_tags(store, arn, tags)
        _event(store, thingTypeName, "CREATED")
    elif _same(json.loads(found["properties"]), properties) and held_tags(store, arn) == requested_tags(tags):
        identity = found["id"]
    else:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Thing type {thingTypeName} already exists in account with different properties",
            resourceId=found["id"],
            resourceArn=arn,
        )
    return {"thingTypeName": thingTypeName, "thingTypeArn": arn, "thingTypeId": identity}


@operation("iot:DescribeThingType")
def describe_thing_type(store: Store, thingTypeName: str) -> dict[str, Any]:
    """What is known of a thing type."""
    row = known(store, thingTypeName)
    return {**_described(store, row), "thingTypeId": row["id"]}


@operation("iot:UpdateThingType")
def update_thing_type(store: Store, thingTypeName: str, thingTypeProperties: dict[str, Any] | None = None) -> None:
    """Change the properties that are given."""
    stored = json.loads(known(store, thingTypeName)["properties"])
    changed = {**stored, **_normal(thingTypeProperties)}
    store.execute("UPDATE thing_type SET properties = ? WHERE name = ?", json.dumps(changed), thingTypeName)
    _event(store, thingTypeName, "UPDATED")


@operation("iot:DeprecateThingType")
def deprecate_thing_type(store: Store, thingTypeName: str, undoDeprecate: bool = False) -> None:
    """Let no new thing have this type, or let them again."""
    deprecated = known(store, thingTypeName)["deprecated"]
    moment = None if undoDeprecate else deprecated or store.now()
    store.execute("UPDATE thing_type SET deprecated = ? WHERE name = ?", moment, thingTypeName)
    _event(store, thingTypeName, "UPDATED")


@operation("iot:DeleteThingType")
def delete_thing_type(store: Store, thingTypeName: str) -> None:
    """Delete a thing type that was deprecated five minutes ago and that no thing has."""
    row = known(store, thingTypeName)
    if row["deprecated"] is None:
        raise invalid(f"Cannot delete thing type {thingTypeName}: it has to be deprecated first")
    if store.now() - row["deprecated"] < _DELETE_AFTER:
        raise invalid(f"Cannot delete thing type {thingTypeName}: 5 minutes must pass after it was deprecated")
    if store.row("SELECT 1 FROM thing WHERE type_name = ?", thingTypeName):
        raise invalid(f"Cannot delete thing type {thingTypeName}: there are things of this type")
    _event(store, thingTypeName, "DELETED")
    store.execute("DELETE FROM thing_type WHERE name = ?", thingTypeName)
    forget_tags(store, _TYPES.arn(store, thingTypeName))


@operation("iot:ListThingTypes")
def list_thing_types(
    store: Store, nextToken: str | None = None, maxResults: int | None = None, thingTypeName: str | None = None
) -> dict[str, Any]:
    """Thing types by name, all or the one that is named."""
    where, parameters = ("WHERE name = ?", [thingTypeName]) if thingTypeName else ("", [])
    rows, token = page(
        store,
        f"SELECT * FROM thing_type {where}",  # noqa: S608  one of two constants
        parameters,
        by=("name",),
        size=maxResults,
        token=nextToken,
    )
    return {"thingTypes": [_described(store, row) for row in rows], "nextToken": token}


def usable(store: Store, name: str) -> None:
    """Refuse a thing type for a thing unless it exists and is not deprecated.

    Raises:
        AwsError: it is missing, or deprecated.

    """
    if known(store, name)["deprecated"] is not None:
        raise invalid(f"Thing type {name} is deprecated: no new thing can be associated with it")


def _normal(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Properties without what is absent, null or empty, so that equal ones compare equal."""
    normal = {name: value for name, value in (properties or {}).items() if value}
    if len(normal.get("searchableAttributes", ())) > _SEARCHABLE:
        raise invalid(f"A thing type cannot have more than {_SEARCHABLE} searchable attributes")
    return normal


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two types are configured alike; the order of searchable attributes means nothing."""
    return _unordered(one) == _unordered(other)


def _unordered(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {**properties, "searchableAttributes": sorted(properties.get("searchableAttributes", ()))}


def _described(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "thingTypeName": row["name"],
        "thingTypeArn": _TYPES.arn(store, row["name"]),
        "thingTypeProperties": json.loads(row["properties"]),
        "thingTypeMetadata": {
            "deprecated": row["deprecated"] is not None,
            "deprecationDate": row["deprecated"],
            "creationDate": row["created"],
        },
    }


def _event(store: Store, name: str, operation_name: str) -> None:
    if not events.enabled(store, "THING_TYPE"):
        return
    row = known(store, name)
    properties = json.loads(row["properties"])
    facts = {
        "thingTypeId": row["id"],
        "thingTypeName": name,
        "isDeprecated": row["deprecated"] is not None,
        "deprecationDate": row["deprecated"] and int(row["deprecated"] * 1000),
        "searchableAttributes": properties.get("searchableAttributes", []),
        "description": properties.get("thingTypeDescription"),
    }
    events.publish(store, "THING_TYPE", f"thingType/{name}/{operation_name.lower()}", operation_name, facts)


taggable("thingtype", _TYPES.exists)
