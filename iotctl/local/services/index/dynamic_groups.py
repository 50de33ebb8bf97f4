"""Dynamic thing groups: their members are whatever a query finds, at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation, thing_groups
from iotctl.local.services.group_members import join, leave
from iotctl.local.services.index.configuration import THINGS, ready
from iotctl.local.services.index.search import QUERY_VERSION, condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iotctl.local.store import Store

_MOST: Final = 100


@operation("iot:CreateDynamicThingGroup")
def create_dynamic_thing_group(
    store: Store,
    *,
    thingGroupName: str,
    queryString: str,
    thingGroupProperties: dict[str, Any] | None = None,
    indexName: str = THINGS,
    queryVersion: str = QUERY_VERSION,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create a group of the things that a query finds; the index must be on and built."""
    _ready(store, indexName)
    condition(queryString, queryVersion)
    held = thing_groups.query_of(store, thingGroupName)
    if thing_groups.find(store, thingGroupName) and held != queryString:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Thing group {thingGroupName} already exists in account with different properties",
            resourceId=thing_groups.known(store, thingGroupName)["id"],
            resourceArn=thing_groups.arn(store, thingGroupName),
        )
    count = store.row("SELECT count(*) AS n, coalesce(max(number), 0) AS last FROM dynamic_group")
    assert count is not None, "an aggregate has one row"
    if held is None and count["n"] >= _MOST:
        raise AwsError("LimitExceededException", f"There are {_MOST} dynamic thing groups already")
    made = thing_groups.create_thing_group(store, thingGroupName, None, thingGroupProperties, tags)
    if held is None:
        store.execute("INSERT INTO dynamic_group VALUES (?, ?, ?)", thingGroupName, queryString, count["last"] + 1)
        follow_all(store, thingGroupName)
    return {**made, "indexName": indexName, "queryString": queryString, "queryVersion": queryVersion}


@operation("iot:UpdateDynamicThingGroup")
def update_dynamic_thing_group(
    store: Store,
    *,
    thingGroupName: str,
    thingGroupProperties: Mapping[str, Any] | None = None,
    expectedVersion: int | None = None,
    indexName: str = THINGS,
    queryString: str | None = None,
    queryVersion: str = QUERY_VERSION,
) -> dict[str, Any]:
    """Change the query or the properties; the version grows by one."""
    thing_groups.known(store, thingGroupName)
    _only_dynamic(store, thingGroupName)
    answer = thing_groups.changed(store, thingGroupName, thingGroupProperties or {}, expectedVersion)
    if queryString is not None:
        _ready(store, indexName)
        condition(queryString, queryVersion)
        store.execute("UPDATE dynamic_group SET query = ? WHERE name = ?", queryString, thingGroupName)
        follow_all(store, thingGroupName)
    return answer


@operation("iot:DeleteDynamicThingGroup")
def delete_dynamic_thing_group(store: Store, thingGroupName: str, expectedVersion: int | None = None) -> None:
    """Delete a dynamic group; one that does not exist is no error."""
    if thing_groups.find(store, thingGroupName):
        _only_dynamic(store, thingGroupName)
        store.execute("DELETE FROM dynamic_group WHERE name = ?", thingGroupName)
        thing_groups.delete(store, thingGroupName, expectedVersion)


def follow_all(store: Store, group: str) -> None:
    """Make a group's members those that its query finds."""
    where, parameters = condition(str(thing_groups.query_of(store, group)))
    wanted = {row["name"] for row in store.rows(f"SELECT name FROM index_thing WHERE {where}", *parameters)}  # noqa: S608  made of constants
    rows = store.rows("SELECT thing_name FROM thing_group_member WHERE group_name = ?", group)
    held = {row["thing_name"] for row in rows}
    for thing in sorted(held - wanted):
        leave(store, thing, group)
    for thing in sorted(wanted - held):
        join(store, thing, group)


def follow(store: Store, things: Iterable[str]) -> None:
    """Put things whose entries are new in the groups whose queries find them, and take them out of the others."""
    names = list(things)
    for row in store.rows("SELECT name, query FROM dynamic_group ORDER BY number"):
        where, parameters = condition(row["query"])
        for thing in names:
            finds = store.row(f"SELECT 1 FROM index_thing WHERE name = ? AND ({where})", thing, *parameters)  # noqa: S608  as above
            if finds:
                join(store, thing, row["name"])
            else:
                leave(store, thing, row["name"])


def _only_dynamic(store: Store, group: str) -> None:
    if thing_groups.query_of(store, group) is None:
        raise invalid(f"Thing group {group} is not a dynamic thing group")


def _ready(store: Store, index_name: str) -> None:
    """CreateDynamicThingGroup has no IndexNotReadyException among its errors.

    Raises:
        AwsError: InvalidRequestException.

    """
    try:
        ready(store, index_name)
    except AwsError as error:
        raise invalid(error.message) from error
