"""Things: created, described, updated, deleted, listed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, attributes, events, invalid, not_found, operation, thing_types
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thing (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, type_name TEXT REFERENCES thing_type (name),
    billing_group TEXT REFERENCES billing_group (name), attributes TEXT NOT NULL, version INTEGER NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thing_by_type ON thing (type_name, name) WHERE type_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS thing_by_billing_group ON thing (billing_group, name) WHERE billing_group IS NOT NULL;
CREATE TABLE IF NOT EXISTS thing_attribute (
    name TEXT NOT NULL, value TEXT NOT NULL, thing_name TEXT NOT NULL REFERENCES thing (name) ON DELETE CASCADE,
    PRIMARY KEY (name, value, thing_name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thing_attribute_by_thing ON thing_attribute (thing_name)
"""

_THINGS: Final = Named("thing", "thing", "Thing {} not found")
arn, find, known = _THINGS.arn, _THINGS.find, _THINGS.known

_AFTER_EVERY_VALUE: Final = "\U0010ffff"


@operation("iot:CreateThing")
def create_thing(
    store: Store,
    thingName: str,
    thingTypeName: str | None = None,
    attributePayload: dict[str, Any] | None = None,
    billingGroupName: str | None = None,
) -> dict[str, Any]:
    """Create a thing; again with the same configuration is success, with another one it is refused."""
    wanted = attributes.applied({}, attributePayload)
    found = find(store, thingName)
    if found is None:
        identity = str(uuid.uuid4())
        _limited(thingName, thingTypeName, wanted)
        if thingTypeName:
            thing_types.usable(store, thingTypeName)
        if billingGroupName and not store.row("SELECT 1 FROM billing_group WHERE name = ?", billingGroupName):
            raise not_found(f"Billing group {billingGroupName} not found")
        store.execute(
            "INSERT INTO thing VALUES (?, ?, ?, ?, ?, 1, ?)",
            thingName,
            identity,
            thingTypeName,
            billingGroupName,
            attributes.written(wanted),
            store.now(),
        )
        _index(store, thingName, wanted)
        _changed(store, thingName, "CREATED")
        _type_event(store, thingName, identity, thingTypeName, "CREATED")
    elif (thingTypeName, billingGroupName, attributes.written(wanted)) == (
        found["type_name"],
        found["billing_group"],
        found["attributes"],
    ):
        identity = found["id"]
    else:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Thing {thingName} already exists in account with different attributes",
            resourceId=found["id"],
            resourceArn=arn(store, thingName),
        )
    return {"thingName": thingName, "thingArn": arn(store, thingName), "thingId": identity}


@operation("iot:DescribeThing")
def describe_thing(store: Store, thingName: str) -> dict[str, Any]:
    """What is known of a thing."""
    row = known(store, thingName)
    return {
        "defaultClientId": thingName,
        "thingName": thingName,
        "thingId": row["id"],
        "thingArn": arn(store, thingName),
        "thingTypeName": row["type_name"],
        "attributes": attributes.read(row["attributes"]),
        "version": row["version"],
        "billingGroupName": row["billing_group"],
    }


@operation("iot:UpdateThing")
def update_thing(
    store: Store,
    *,
    thingName: str,
    thingTypeName: str | None = None,
    attributePayload: dict[str, Any] | None = None,
    expectedVersion: int | None = None,
    removeThingType: bool = False,
) -> None:
    """Change the attributes, the type or both; the version grows by one."""
    row = known(store, thingName)
    _expected(thingName, row, expectedVersion)
    if removeThingType and thingTypeName:
        raise invalid("thingTypeName and removeThingType cannot both be specified")
    type_name = None if removeThingType else thingTypeName or row["type_name"]
    if thingTypeName and thingTypeName != row["type_name"]:
        thing_types.usable(store, thingTypeName)
    changed = attributes.applied(attributes.read(row["attributes"]), attributePayload)
    _limited(thingName, type_name, changed)
    store.execute(
        "UPDATE thing SET type_name = ?, attributes = ?, version = version + 1 WHERE name = ?",
        type_name,
        attributes.written(changed),
        thingName,
    )
    if attributePayload is not None:
        store.execute("DELETE FROM thing_attribute WHERE thing_name = ?", thingName)
        _index(store, thingName, changed)
    _changed(store, thingName, "UPDATED")
    if type_name != row["type_name"]:
        _type_event(store, thingName, row["id"], row["type_name"], "DELETED")
        _type_event(store, thingName, row["id"], type_name, "CREATED")


@operation("iot:DeleteThing")
def delete_thing(store: Store, thingName: str, expectedVersion: int | None = None) -> None:
    """Delete a thing that no principal is attached to; one that does not exist is no error. Its shadows stay."""
    row = find(store, thingName)
    if row is None:
        return
    _expected(thingName, row, expectedVersion)
    if store.row("SELECT 1 FROM thing_principal WHERE thing_name = ?", thingName):
        raise invalid(f"Cannot delete. Thing {thingName} is still attached to one or more principals")
    _changed(store, thingName, "DELETED")
    _type_event(store, thingName, row["id"], row["type_name"], "DELETED")
    store.execute("DELETE FROM thing WHERE name = ?", thingName)


@operation("iot:ListThings")
def list_things(
    store: Store,
    *,
    nextToken: str | None = None,
    maxResults: int | None = None,
    attributeName: str | None = None,
    attributeValue: str | None = None,
    thingTypeName: str | None = None,
    usePrefixAttributeValue: bool = False,
) -> dict[str, Any]:
    """Things, all of them or those with an attribute, a type or both."""
    if attributeValue is not None and attributeName is None:
        raise invalid("attributeName must be specified with attributeValue")
    where: list[str] = []
    parameters: list[Any] = []
    if thingTypeName is not None:
        where.append("type_name = ?")
        parameters.append(thingTypeName)
    select = "SELECT * FROM thing"
    by: tuple[str, ...] = ("name",)
    if attributeName is not None:
        # The attribute's index is in the order of its values, so that is the order of this listing.
        select = (
            "SELECT thing.*, found.value AS attribute_value, found.thing_name AS found_name"
            " FROM thing_attribute AS found JOIN thing ON thing.name = found.thing_name"
        )
        by = ("attribute_value", "found_name")
        where.append("found.name = ?")
        parameters.append(attributeName)
    if attributeValue is not None and usePrefixAttributeValue:
        where.append("found.value >= ? AND found.value < ?")
        parameters += [attributeValue, attributeValue + _AFTER_EVERY_VALUE]
    elif attributeValue is not None:
        by = ("found_name",)
        where.append("found.value = ?")
        parameters.append(attributeValue)
    if where:
        select = f"{select} WHERE {' AND '.join(where)}"
    rows, token = page(store, select, parameters, by=by, size=maxResults, token=nextToken)
    return {"things": [_listed(store, row) for row in rows], "nextToken": token}


def named(store: Store, name: str | None, given_arn: str | None) -> str:
    """The name of an existing thing that a request gives by name or by ARN.

    Raises:
        AwsError: neither is given, they differ, or there is no such thing.

    """
    return str(known(store, by_name_or_arn(store, "thing", name, given_arn))["name"])


def by_name_or_arn(store: Store, kind: str, name: str | None, given_arn: str | None) -> str:
    """The name in a request that takes a name, an ARN, or both.

    Raises:
        AwsError: neither is given, they differ, or the ARN is not one of this kind here.

    """
    if given_arn is None:
        if name is None:
            raise invalid(f"A {kind} name or ARN must be specified")
        return name
    prefix = store.arn(f"{kind}/")
    of_arn = given_arn.removeprefix(prefix)
    if not given_arn.startswith(prefix) or not of_arn:
        raise invalid(f"{given_arn} is not the ARN of a {kind} of this account and region")
    if name is not None and name != of_arn:
        raise invalid(f"The name {name} and the ARN {given_arn} are of two {kind}s")
    return of_arn


def _limited(name: str, type_name: str | None, wanted: Mapping[str, str]) -> None:
    most = attributes.WITH_TYPE if type_name else attributes.WITHOUT_TYPE
    attributes.limited(wanted, most, f"Thing {name} {'with' if type_name else 'without'} a thing type")


def _expected(name: str, row: sqlite3.Row, version: int | None) -> None:
    if version is not None and version != row["version"]:
        raise AwsError("VersionConflictException", f"The version of thing {name} is {row['version']}, not {version}")


def _index(store: Store, name: str, wanted: Mapping[str, str]) -> None:
    for attribute, value in wanted.items():
        store.execute("INSERT INTO thing_attribute VALUES (?, ?, ?)", attribute, value, name)


def _listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "thingName": row["name"],
        "thingTypeName": row["type_name"],
        "thingArn": arn(store, row["name"]),
        "attributes": attributes.read(row["attributes"]),
        "version": row["version"],
    }


def _changed(store: Store, name: str, operation_name: str) -> None:
    store.publish(f"$local/thing/{name}", {"operation": operation_name})
    if not events.enabled(store, "THING"):
        return
    row = known(store, name)
    facts = {
        "thingId": row["id"],
        "thingName": name,
        "versionNumber": row["version"],
        "thingTypeName": row["type_name"],
        "attributes": attributes.read(row["attributes"]),
    }
    events.publish(store, "THING", f"thing/{name}/{operation_name.lower()}", operation_name, facts)


def _type_event(store: Store, name: str, identity: str, type_name: str | None, operation_name: str) -> None:
    if type_name:
        facts = {"thingId": identity, "thingName": name, "thingTypeName": type_name}
        topic = f"thingTypeAssociation/thing/{name}/{type_name}"
        events.publish(store, "THING_TYPE_ASSOCIATION", topic, operation_name, facts)
