"""Thing groups: static ones and their hierarchy, and what dynamic ones (`index/`) have in common with them.

Source: AWS IoT developer guide, thing-groups: one direct parent, fixed when the group is made; 7 levels; 100 direct
children.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, attributes, events, invalid, operation
from iotctl.local.services.named import Named
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
CREATE INDEX IF NOT EXISTS thing_group_by_parent ON thing_group (parent, name);
CREATE TABLE IF NOT EXISTS dynamic_group (
    name TEXT PRIMARY KEY REFERENCES thing_group (name), query TEXT NOT NULL, number INTEGER NOT NULL
) WITHOUT ROWID
"""
# `number` orders the dynamic groups by age.

DESCENDANTS: Final = """
WITH RECURSIVE descendant (name) AS (
    SELECT name FROM thing_group WHERE name = ?
    UNION ALL
    SELECT thing_group.name FROM thing_group JOIN descendant ON thing_group.parent = descendant.name
) SELECT name FROM descendant
"""
"""The group itself and every group below it."""

_GROUPS: Final = Named("thing_group", "thinggroup", "Thing group {} not found")
arn, find, known = _GROUPS.arn, _GROUPS.find, _GROUPS.known

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
    query = query_of(store, thingGroupName)
    dynamic = {"indexName": "AWS_Things", "queryString": query, "queryVersion": "2017-09-30", "status": "ACTIVE"}
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
        **(dynamic if query is not None else {}),
    }


@operation("iot:UpdateThingGroup")
def update_thing_group(
    store: Store, thingGroupName: str, thingGroupProperties: Mapping[str, Any], expectedVersion: int | None = None
) -> dict[str, Any]:
    """Change the description or the attributes; the version grows by one."""
    only_static(store, thingGroupName)
    return changed(store, thingGroupName, thingGroupProperties, expectedVersion)


def changed(store: Store, name: str, properties: Mapping[str, Any], version: int | None) -> dict[str, Any]:
    """Change the description or the attributes of a group of either kind."""
    row = known(store, name)
    _expected(row, version)
    payload = properties.get("attributePayload")
    held = attributes.applied(attributes.read(row["attributes"]), payload)
    attributes.limited(held, attributes.OF_GROUP, f"Thing group {name}")
    store.execute(
        "UPDATE thing_group SET description = ?, attributes = ?, version = version + 1 WHERE name = ?",
        properties.get("thingGroupDescription", row["description"]),
        attributes.written(held),
        name,
    )
    _event(store, name, "UPDATED")
    return {"version": row["version"] + 1}


@operation("iot:DeleteThingGroup")
def delete_thing_group(store: Store, thingGroupName: str, expectedVersion: int | None = None) -> None:
    """Delete a group without children; its things stay. One that does not exist is no error."""
    if find(store, thingGroupName):
        only_static(store, thingGroupName)
        delete(store, thingGroupName, expectedVersion)


def delete(store: Store, name: str, version: int | None) -> None:
    """Delete a group of either kind."""
    _expected(known(store, name), version)
    if store.row("SELECT 1 FROM thing_group WHERE parent = ?", name):
        raise invalid(f"Cannot delete thing group : {name} when there are still child groups attached to it.")
    _event(store, name, "DELETED")
    _hierarchy_event(store, name, "REMOVED")
    store.publish(f"$local/thing-group/{name}", {"operation": "DELETED"})
    store.execute("DELETE FROM thing_group_member WHERE group_name = ?", name)
    store.execute("DELETE FROM policy_attachment WHERE target = ?", arn(store, name))
    store.execute("DELETE FROM thing_group WHERE name = ?", name)
    forget_tags(store, arn(store, name))


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


def name_and_arn(store: Store, name: str) -> dict[str, str]:
    """A group as the listings show it."""
    return {"groupName": name, "groupArn": arn(store, name)}


def query_of(store: Store, name: str) -> str | None:
    """The query of a dynamic group; None: it is a static one."""
    row = store.row("SELECT query FROM dynamic_group WHERE name = ?", name)
    return row["query"] if row else None


def only_static(store: Store, name: str) -> None:
    """Refuse a dynamic group.

    Raises:
        AwsError: InvalidRequestException.

    """
    if query_of(store, name) is not None:
        raise invalid(f"Thing group {name} is a dynamic thing group, for which this operation is not supported")


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
    only_static(store, parent)
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


taggable("thinggroup", _GROUPS.exists)
