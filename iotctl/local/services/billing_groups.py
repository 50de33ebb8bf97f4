"""Billing groups: a thing is in one at most."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, held_tags, put_tags, requested_tags, taggable
from iotctl.local.services.things import by_name_or_arn, named

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS billing_group (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, description TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID
"""

_GROUPS: Final = Named("billing_group", "billinggroup", "Billing group {} not found")


@operation("iot:CreateBillingGroup")
def create_billing_group(
    store: Store,
    billingGroupName: str,
    billingGroupProperties: dict[str, str] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create a billing group; again with the same configuration is success."""
    description = (billingGroupProperties or {}).get("billingGroupDescription", "")
    arn = _GROUPS.arn(store, billingGroupName)
    found = _GROUPS.find(store, billingGroupName)
    if found is None:
        identity = str(uuid.uuid4())
        store.execute(
            "INSERT INTO billing_group VALUES (?, ?, ?, 1, ?)", billingGroupName, identity, description, store.now()
        )
        put_tags(store, arn, tags)
    elif found["description"] == description and held_tags(store, arn) == requested_tags(tags):
        identity = found["id"]
    else:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Billing group {billingGroupName} already exists in account with different properties",
            resourceId=found["id"],
            resourceArn=arn,
        )
    return {"billingGroupName": billingGroupName, "billingGroupArn": arn, "billingGroupId": identity}


@operation("iot:DescribeBillingGroup")
def describe_billing_group(store: Store, billingGroupName: str) -> dict[str, Any]:
    """What is known of a billing group."""
    row = _GROUPS.known(store, billingGroupName)
    return {
        "billingGroupName": billingGroupName,
        "billingGroupId": row["id"],
        "billingGroupArn": _GROUPS.arn(store, billingGroupName),
        "version": row["version"],
        "billingGroupProperties": {"billingGroupDescription": row["description"]} if row["description"] else {},
        "billingGroupMetadata": {"creationDate": row["created"]},
    }


@operation("iot:UpdateBillingGroup")
def update_billing_group(
    store: Store, billingGroupName: str, billingGroupProperties: dict[str, str], expectedVersion: int | None = None
) -> dict[str, Any]:
    """Change the description; the version grows by one."""
    row = _GROUPS.known(store, billingGroupName)
    _expected(row, expectedVersion)
    description = billingGroupProperties.get("billingGroupDescription", row["description"])
    store.execute(
        "UPDATE billing_group SET description = ?, version = version + 1 WHERE name = ?", description, billingGroupName
    )
    return {"version": row["version"] + 1}


@operation("iot:DeleteBillingGroup")
def delete_billing_group(store: Store, billingGroupName: str, expectedVersion: int | None = None) -> None:
    """Delete a billing group; its things stay, in none. One that does not exist is no error."""
    row = _GROUPS.find(store, billingGroupName)
    if row is None:
        return
    _expected(row, expectedVersion)
    store.execute("UPDATE thing SET billing_group = NULL WHERE billing_group = ?", billingGroupName)
    store.execute("DELETE FROM billing_group WHERE name = ?", billingGroupName)
    forget_tags(store, _GROUPS.arn(store, billingGroupName))


@operation("iot:ListBillingGroups")
def list_billing_groups(
    store: Store, nextToken: str | None = None, maxResults: int | None = None, namePrefixFilter: str | None = None
) -> dict[str, Any]:
    """Billing groups by name, all or those whose name begins as given."""
    prefix = namePrefixFilter or ""
    rows, token = page(
        store,
        "SELECT name FROM billing_group WHERE name >= ? AND substr(name, 1, ?) = ?",
        [prefix, len(prefix), prefix],
        by=("name",),
        size=maxResults,
        token=nextToken,
    )
    groups = [{"groupName": row["name"], "groupArn": _GROUPS.arn(store, row["name"])} for row in rows]
    return {"billingGroups": groups, "nextToken": token}


@operation("iot:AddThingToBillingGroup")
def add_thing_to_billing_group(
    store: Store,
    *,
    billingGroupName: str | None = None,
    billingGroupArn: str | None = None,
    thingName: str | None = None,
    thingArn: str | None = None,
) -> None:
    """Put a thing in a billing group; it leaves the one it was in."""
    group = by_name_or_arn(store, "billinggroup", billingGroupName, billingGroupArn)
    _GROUPS.known(store, group)
    thing = named(store, thingName, thingArn)
    store.execute("UPDATE thing SET billing_group = ? WHERE name = ?", group, thing)
    store.publish(f"$local/thing/{thing}", {"operation": "UPDATED"})


@operation("iot:RemoveThingFromBillingGroup")
def remove_thing_from_billing_group(
    store: Store,
    *,
    billingGroupName: str | None = None,
    billingGroupArn: str | None = None,
    thingName: str | None = None,
    thingArn: str | None = None,
) -> None:
    """Take a thing out of a billing group; one that is not in it is no error."""
    group = by_name_or_arn(store, "billinggroup", billingGroupName, billingGroupArn)
    _GROUPS.known(store, group)
    thing = named(store, thingName, thingArn)
    if store.execute("UPDATE thing SET billing_group = NULL WHERE name = ? AND billing_group = ?", thing, group):
        store.publish(f"$local/thing/{thing}", {"operation": "UPDATED"})


@operation("iot:ListThingsInBillingGroup")
def list_things_in_billing_group(
    store: Store, billingGroupName: str, nextToken: str | None = None, maxResults: int | None = None
) -> dict[str, Any]:
    """The things of a billing group by name."""
    _GROUPS.known(store, billingGroupName)
    rows, token = page(
        store,
        "SELECT name FROM thing WHERE billing_group = ?",
        [billingGroupName],
        by=("name",),
        size=maxResults,
        token=nextToken,
    )
    return {"things": [row["name"] for row in rows], "nextToken": token}


def _expected(row: sqlite3.Row, version: int | None) -> None:
    if version is not None and version != row["version"]:
        message = f"The version of billing group {row['name']} is {row['version']}, not {version}"
        raise AwsError("VersionConflictException", message)


taggable("billinggroup", _GROUPS.exists)
