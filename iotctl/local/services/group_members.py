"""Which things are in which thing groups.

Source: AWS IoT developer guide, thing-groups: at most 10 groups a thing, and one of a hierarchy.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import events, invalid, operation, things
from iotctl.local.services.paging import page
from iotctl.local.services.thing_groups import DESCENDANTS, ancestors, arn, known, name_and_arn, only_static

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing_group_member (
    thing_name TEXT NOT NULL REFERENCES thing (name) ON DELETE CASCADE,
    group_name TEXT NOT NULL REFERENCES thing_group (name), id TEXT NOT NULL,
    PRIMARY KEY (thing_name, group_name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thing_group_member_by_group ON thing_group_member (group_name, thing_name)
"""

_MOST_GROUPS: Final = 10


@operation("iot:AddThingToThingGroup")
def add_thing_to_thing_group(
    store: Store,
    *,
    thingGroupName: str | None = None,
    thingGroupArn: str | None = None,
    thingName: str | None = None,
    thingArn: str | None = None,
    overrideDynamicGroups: bool = False,
) -> None:
    """Put a thing in a group; again is no error."""
    group = things.by_name_or_arn(store, "thinggroup", thingGroupName, thingGroupArn)
    _add(store, things.named(store, thingName, thingArn), group, override=overrideDynamicGroups)


@operation("iot:RemoveThingFromThingGroup")
def remove_thing_from_thing_group(
    store: Store,
    *,
    thingGroupName: str | None = None,
    thingGroupArn: str | None = None,
    thingName: str | None = None,
    thingArn: str | None = None,
) -> None:
    """Take a thing out of a group; one that is not in it is no error."""
    group = things.by_name_or_arn(store, "thinggroup", thingGroupName, thingGroupArn)
    _remove(store, things.named(store, thingName, thingArn), group)


@operation("iot:UpdateThingGroupsForThing")
def update_thing_groups_for_thing(
    store: Store,
    thingName: str | None = None,
    thingGroupsToAdd: list[str] | None = None,
    thingGroupsToRemove: list[str] | None = None,
    overrideDynamicGroups: bool = False,
) -> None:
    """Take a thing out of groups and put it in others, all or nothing."""
    thing = things.named(store, thingName, None)
    for group in thingGroupsToRemove or ():
        _remove(store, thing, group)
    for group in thingGroupsToAdd or ():
        _add(store, thing, group, override=overrideDynamicGroups)


@operation("iot:ListThingGroupsForThing")
def list_thing_groups_for_thing(
    store: Store, thingName: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The groups of a thing by name, the groups above them included."""
    things.known(store, thingName)
    select = """
        WITH RECURSIVE above (name) AS (
            SELECT group_name FROM thing_group_member WHERE thing_name = ?
            UNION
            SELECT thing_group.parent FROM thing_group JOIN above ON thing_group.name = above.name
            WHERE thing_group.parent IS NOT NULL
        ) SELECT name FROM above
    """
    rows, token = page(store, select, [thingName], by=("name",), size=maxResults, token=nextToken)
    return {"thingGroups": [name_and_arn(store, row["name"]) for row in rows], "nextToken": token}


@operation("iot:ListThingsInThingGroup")
def list_things_in_thing_group(
    store: Store,
    thingGroupName: str,
    recursive: bool = False,
    nextToken: str | None = None,
    maxResults: int | None = None,
) -> dict[str, Any]:
    """The things of a group; with `recursive` those of every group below it too."""
    known(store, thingGroupName)
    groups = f"group_name IN ({DESCENDANTS})" if recursive else "group_name = ?"
    rows, token = page(
        store,
        f"SELECT group_name, thing_name FROM thing_group_member WHERE {groups}",  # noqa: S608  one of two constants
        [thingGroupName],
        by=("group_name", "thing_name") if recursive else ("thing_name",),
        size=maxResults,
        token=nextToken,
    )
    return {"things": [row["thing_name"] for row in rows], "nextToken": token}


def groups_of(store: Store, thing: str) -> list[str]:
    """The names of a thing's groups and of every group above them; a thing that does not exist has none."""
    rows = store.rows("SELECT group_name FROM thing_group_member WHERE thing_name = ?", thing)
    return [name for row in rows for name in ancestors(store, row["group_name"])]


def static_groups_of(store: Store, thing: str) -> list[str]:
    """The groups that a thing was put in, without those that found it by their query."""
    return [row["group_name"] for row in _held(store, thing) if row["number"] is None]


def join(store: Store, thing: str, group: str) -> None:
    """Put a thing in a dynamic group whose query finds it.

    A thing in as many groups as it can be is not added, unless it is in a younger dynamic group, which it then leaves.
    """
    held = _held(store, thing)
    if any(row["group_name"] == group for row in held):
        return
    if len(held) >= _MOST_GROUPS:
        number = store.row("SELECT number FROM dynamic_group WHERE name = ?", group)
        youngest = _youngest(held)
        if youngest is None or number is None or youngest["number"] < number["number"]:
            return
        leave(store, thing, youngest["group_name"])
    _put(store, thing, group)


def leave(store: Store, thing: str, group: str) -> None:
    """Take a thing out of a group; one that is not in it is no error."""
    row = store.row("SELECT id FROM thing_group_member WHERE thing_name = ? AND group_name = ?", thing, group)
    if row:
        store.execute("DELETE FROM thing_group_member WHERE thing_name = ? AND group_name = ?", thing, group)
        _changed(store, thing, group, row["id"], "REMOVED")


def _add(store: Store, thing: str, group: str, *, override: bool) -> None:
    wanted = known(store, group)
    only_static(store, group)
    held = _held(store, thing)
    if any(row["group_name"] == group for row in held):
        return
    for row in held:
        if row["root"] == wanted["root"]:
            message = f"Thing {thing} is in the group {row['group_name']}, which is of the same hierarchy as {group}"
            raise invalid(message)
    if len(held) >= _MOST_GROUPS:
        youngest = _youngest(held)
        if not override or youngest is None:
            raise invalid(f"Thing {thing} cannot be in more than {_MOST_GROUPS} thing groups")
        leave(store, thing, youngest["group_name"])
    _put(store, thing, group)


def _remove(store: Store, thing: str, group: str) -> None:
    known(store, group)
    only_static(store, group)
    leave(store, thing, group)


def _held(store: Store, thing: str) -> list[sqlite3.Row]:
    return store.rows(
        "SELECT group_name, root, number FROM thing_group_member"
        " JOIN thing_group ON thing_group.name = group_name LEFT JOIN dynamic_group ON dynamic_group.name = group_name"
        " WHERE thing_name = ?",
        thing,
    )


def _youngest(held: list[sqlite3.Row]) -> sqlite3.Row | None:
    """The dynamic group that was made last, if there is a dynamic one among them."""
    return max((row for row in held if row["number"] is not None), key=lambda row: int(row["number"]), default=None)


def _put(store: Store, thing: str, group: str) -> None:
    membership = str(uuid.uuid4())
    store.execute("INSERT INTO thing_group_member VALUES (?, ?, ?)", thing, group, membership)
    _changed(store, thing, group, membership, "ADDED")


def _changed(store: Store, thing: str, group: str, membership: str, operation_name: str) -> None:
    store.publish(f"$local/membership/{group}/{thing}", {"operation": operation_name})
    if not events.enabled(store, "THING_GROUP_MEMBERSHIP"):
        return
    facts = {
        "groupArn": arn(store, group),
        "groupId": known(store, group)["id"],
        "thingArn": things.arn(store, thing),
        "thingId": things.known(store, thing)["id"],
        "membershipId": membership,
    }
    topic = f"thingGroupMembership/thingGroup/{group}/thing/{thing}/{operation_name.lower()}"
    events.publish(store, "THING_GROUP_MEMBERSHIP", topic, operation_name, facts)
