"""Static thing groups and their hierarchy.

Source: AWS IoT developer guide, thing-groups: one direct parent, fixed when the group is made; 7 levels; 100 direct
children.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, attributes, events, invalid, not_found, operation
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, held_tags, put_tags, requested_tags, taggable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing_group (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, parent TEXT REFERENCES thing_group (name), root TEXT NOT NULL,
    description TEXT NOT NULL, attributes TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thing_group_by_parent ON thing_group (parent, name)
"""

DESCENDANTS: Final = """
WITH RECURSIVE descendant (name) AS (
    SELECT name FROM thing_group WHERE name = ?
    UNION ALL
    SELECT thing_group.name FROM thing_group JOIN descendant ON thing_group.parent = descendant.name
) SELECT name FROM descendant
"""
"""The group itself and every group below it."""

_DEEPEST: Final = 7
_MOST_CHILDREN: Final = 100


@operation("iot:CreateThingGroup")
def create_thing_group(
    store: Store,
    thingGroupName: str,
    parentGroupName: str | None = None,
    thingGroupProperties: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create a group, below another or at the top; again with the same configuration is success."""
    properties = thingGroupProperties or {}
    description = properties.get("thingGroupDescription", "")
    wanted = attributes.applied({}, properties.get("attributePayload"))
    found = find(store, thingGroupName)
    if found is None:
        identity = str(uuid.uuid4())
        attributes.limited(wanted, attributes.OF_GROUP, f"Thing group {thingGroupName}")
        root = _root_for_child(store, parentGroupName) if parentGroupName else thingGroupName
        store.execute(
            "INSERT INTO thing_group VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
            thingGroupName,
            identity,
            parentGroupName,
            root,
            description,
            attributes.written(wanted),
            store.now(),
        )
        put_tags(store, arn(store, thingGroupName), tags)
        _event(store, thingGroupName, "CREATED")
        _hierarchy_event(store, thingGroupName, "ADDED")
    elif (
        (found["parent"], found["description"], found["attributes"])
        == (parentGroupName, description, attributes.written(wanted))
    ) and held_tags(store, arn(store, thingGroupName)) == requested_tags(tags):
        identity = found["id"]
    else:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Thing group {thingGroupName} already exists in account with different properties",
            resourceId=found["id"],
            resourceArn=arn(store, thingGroupName),
        )
    return {"thingGroupName": thingGroupName, "thingGroupArn": arn(store, thingGroupName), "thingGroupId": identity}


@operation("iot:DescribeThingGroup")
def describe_thing_group(store: Store, thingGroupName: str) -> dict[str, Any]:
    """What is known of a group, with the groups above it from the root down."""
    row = known(store, thingGroupName)
    metadata: dict[str, Any] = {"parentGroupName": row["parent"], "creationDate": row["created"]}
    if row["parent"]:
        above = reversed(ancestors(store, thingGroupName)[1:])
        metadata["rootToParentThingGroups"] = [name_and_arn(store, name) for name in above]
    properties: dict[str, Any] = {"thingGroupDescription": row["description"] or None}
    if held := attributes.read(row["attributes"]):
        properties["attributePayload"] = {"attributes": held}
    return {
        "thingGroupName": thingGroupName,
        "thingGroupId": row["id"],
        "thingGroupArn": arn(store, thingGroupName),
        "version": row["version"],
        "thingGroupProperties": properties,
        "thingGroupMetadata": metadata,
    }


@operation("iot:UpdateThingGroup")
def update_thing_group(
    store: Store, thingGroupName: str, thingGroupProperties: Mapping[str, Any], expectedVersion: int | None = None
) -> dict[str, Any]:
    """Change the description or the attributes; the version grows by one."""
    row = known(store, thingGroupName)
    _expected(row, expectedVersion)
    payload = thingGroupProperties.get("attributePayload")
    changed = attributes.applied(attributes.read(row["attributes"]), payload)
    attributes.limited(changed, attributes.OF_GROUP, f"Thing group {thingGroupName}")
    store.execute(
        "UPDATE thing_group SET description = ?, attributes = ?, version = version + 1 WHERE name = ?",
        thingGroupProperties.get("thingGroupDescription", row["description"]),
        attributes.written(changed),
        thingGroupName,
    )
    _event(store, thingGroupName, "UPDATED")
    return {"version": row["version"] + 1}


@operation("iot:DeleteThingGroup")
def delete_thing_group(store: Store, thingGroupName: str, expectedVersion: int | None = None) -> None:
    """Delete a group without children; its things stay. One that does not exist is no error."""
    row = find(store, thingGroupName)
    if row is None:
        return
    _expected(row, expectedVersion)
    if store.row("SELECT 1 FROM thing_group WHERE parent = ?", thingGroupName):
        raise invalid(f"Cannot delete thing group : {thingGroupName} when there are still child groups attached to it.")
    _event(store, thingGroupName, "DELETED")
    _hierarchy_event(store, thingGroupName, "REMOVED")
    store.publish(f"$local/thing-group/{thingGroupName}", {"operation": "DELETED"})
    store.execute("DELETE FROM thing_group_member WHERE group_name = ?", thingGroupName)
    store.execute("DELETE FROM policy_attachment WHERE target = ?", arn(store, thingGroupName))
    store.execute("DELETE FROM thing_group WHERE name = ?", thingGroupName)
    forget_tags(store, arn(store, thingGroupName))


@operation("iot:ListThingGroups")
def list_thing_groups(
    store: Store,
    *,
    nextToken: str | None = None,
    maxResults: int | None = None,
    parentGroup: str | None = None,
    namePrefixFilter: str | None = None,
    recursive: bool | None = None,
) -> dict[str, Any]:
    """Groups by name: all, the children of one, or all below it; the roots only when asked not to recurse."""
    where: list[str] = []
    parameters: list[Any] = []
    if parentGroup is not None:
        known(store, parentGroup)
        where.append(f"name IN ({DESCENDANTS}) AND name <> ?" if recursive else "parent = ?")
        parameters += [parentGroup, parentGroup] if recursive else [parentGroup]
    elif recursive is False:
        where.append("parent IS NULL")
    if namePrefixFilter is not None:
        where.append("name >= ? AND substr(name, 1, ?) = ?")
        parameters += [namePrefixFilter, len(namePrefixFilter), namePrefixFilter]
    condition = f"WHERE {' AND '.join(where)}" if where else ""
    select = f"SELECT name FROM thing_group {condition}"  # noqa: S608  the conditions are constants of this function
    rows, token = page(store, select, parameters, by=("name",), size=maxResults, token=nextToken)
    return {"thingGroups": [name_and_arn(store, row["name"]) for row in rows], "nextToken": token}


def arn(store: Store, name: str) -> str:
    """The ARN of a thing group."""
    return store.arn(f"thinggroup/{name}")


def name_and_arn(store: Store, name: str) -> dict[str, str]:
    """A group as the listings show it."""
    return {"groupName": name, "groupArn": arn(store, name)}


def find(store: Store, name: str) -> sqlite3.Row | None:
    """The row of a group, if there is one."""
    return store.row("SELECT * FROM thing_group WHERE name = ?", name)


def known(store: Store, name: str) -> sqlite3.Row:
    """The row of a group.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = find(store, name)
    if row is None:
        raise not_found(f"Thing group {name} not found")
    return row


def ancestors(store: Store, name: str) -> list[str]:
    """The group itself and every group above it, the root last."""
    names: list[str] = []
    above: str | None = name
    while above is not None:
        names.append(above)
        above = known(store, above)["parent"]
    return names


def _root_for_child(store: Store, parent: str) -> str:
    """The root of a new child of `parent`, if the hierarchy takes one more."""
    row = known(store, parent)
    if len(ancestors(store, parent)) >= _DEEPEST:
        raise invalid(f"A thing group hierarchy cannot be deeper than {_DEEPEST} levels")
    children = store.row("SELECT count(*) AS n FROM thing_group WHERE parent = ?", parent)
    if children and children["n"] >= _MOST_CHILDREN:
        raise invalid(f"Thing group {parent} cannot have more than {_MOST_CHILDREN} direct child groups")
    return str(row["root"])


def _expected(row: sqlite3.Row, version: int | None) -> None:
    if version is not None and version != row["version"]:
        message = f"The version of thing group {row['name']} is {row['version']}, not {version}"
        raise AwsError("VersionConflictException", message)


def _event(store: Store, name: str, operation_name: str) -> None:
    if not events.enabled(store, "THING_GROUP"):
        return
    row = known(store, name)
    parent = find(store, row["parent"]) if row["parent"] else None
    facts = {
        "thingGroupId": row["id"],
        "thingGroupName": name,
        "versionNumber": row["version"],
        "parentGroupName": row["parent"],
        "parentGroupId": parent["id"] if parent else None,
        "description": row["description"] or None,
        "rootToParentThingGroups": [
            {"groupArn": arn(store, above), "groupName": above} for above in ancestors(store, name)[1:]
        ]
        or None,
        "attributes": json.loads(row["attributes"]),
    }
    events.publish(store, "THING_GROUP", f"thingGroup/{name}/{operation_name.lower()}", operation_name, facts)


def _hierarchy_event(store: Store, name: str, operation_name: str) -> None:
    if not events.enabled(store, "THING_GROUP_HIERARCHY"):
        return
    row = known(store, name)
    if row["parent"]:
        parent = known(store, row["parent"])
        topic = f"thingGroupHierarchy/thingGroup/{parent['name']}/childThingGroup/{name}/{operation_name.lower()}"
        facts = {
            "thingGroupId": parent["id"],
            "thingGroupName": parent["name"],
            "childGroupId": row["id"],
            "childGroupName": name,
        }
        events.publish(store, "THING_GROUP_HIERARCHY", topic, operation_name, facts)


def _exists(store: Store, name: str) -> bool:
    return find(store, name) is not None


taggable("thinggroup", _exists)
