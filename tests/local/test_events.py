"""Registry events, and what services tell each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.services import OPERATIONS, AwsError
from tests.local.conftest import client

if TYPE_CHECKING:
    from iotctl.local.store import Store


def published(store: Store, name: str, **parameters: Any) -> dict[str, dict[str, Any]]:
    """The events that an operation leaves, by topic."""
    store.drain()
    OPERATIONS[f"iot:{name}"](store, **parameters)
    return {event.topic: json.loads(event.payload) for event in store.drain()}


def switch(store: Store, *types: str) -> None:
    """Switch event types on."""
    configurations = {name: {"Enabled": True} for name in types}
    OPERATIONS["iot:UpdateEventConfigurations"](store, eventConfigurations=configurations)


def test_events_are_off_at_first(store: Store) -> None:
    """Nothing is published under $aws/events unless it was asked for; services are told all the same."""
    assert {"$local/thing/t"} == set(published(store, "CreateThing", thingName="t"))
    assert len(OPERATIONS["iot:DescribeEventConfigurations"](store)["eventConfigurations"]) == 11


def test_event_configurations_are_kept(own_platform: Any) -> None:
    """What was switched on is described, with its dates, and the rest is off."""
    iot = client(own_platform[1])
    assert "creationDate" not in iot.describe_event_configurations()
    iot.update_event_configurations(eventConfigurations={"THING": {"Enabled": True}})
    found = iot.describe_event_configurations()
    assert {"THING"} == {name for name, one in found["eventConfigurations"].items() if one["Enabled"]}
    assert found["creationDate"] == found["lastModifiedDate"]


def test_thing_events(store: Store) -> None:
    """Created, updated, deleted: the payload as the developer guide shows it."""
    switch(store, "THING")
    event = published(store, "CreateThing", thingName="t", attributePayload={"attributes": {"a": "1"}})[
        "$aws/events/thing/t/created"
    ]
    fixed = {key: event[key] for key in event if key not in {"eventId", "timestamp", "thingId"}}
    expected = {
        "eventType": "THING_EVENT",
        "operation": "CREATED",
        "accountId": store.account_id,
        "thingName": "t",
        "versionNumber": 1,
        "thingTypeName": None,
        "attributes": {"a": "1"},
    }
    assert expected == fixed
    updated = published(store, "UpdateThing", thingName="t", attributePayload={"attributes": {}})
    assert updated["$aws/events/thing/t/updated"]["versionNumber"] == 2
    assert "$aws/events/thing/t/deleted" in published(store, "DeleteThing", thingName="t")


def test_type_events(store: Store) -> None:
    """Types, and their association with things."""
    switch(store, "THING_TYPE", "THING_TYPE_ASSOCIATION")
    assert "$aws/events/thingType/k/created" in published(store, "CreateThingType", thingTypeName="k")
    associated = published(store, "CreateThing", thingName="t", thingTypeName="k")
    assert associated["$aws/events/thingTypeAssociation/thing/t/k"]["operation"] == "CREATED"
    removed = published(store, "UpdateThing", thingName="t", removeThingType=True)
    assert removed["$aws/events/thingTypeAssociation/thing/t/k"]["operation"] == "DELETED"
    deprecated = published(store, "DeprecateThingType", thingTypeName="k")["$aws/events/thingType/k/updated"]
    assert deprecated["isDeprecated"]


def test_group_events(store: Store) -> None:
    """Groups, their hierarchy and their members."""
    switch(store, "THING_GROUP", "THING_GROUP_HIERARCHY", "THING_GROUP_MEMBERSHIP")
    published(store, "CreateThingGroup", thingGroupName="site")
    made = published(store, "CreateThingGroup", thingGroupName="hall", parentGroupName="site")
    assert made["$aws/events/thingGroup/hall/created"]["parentGroupName"] == "site"
    assert made["$aws/events/thingGroupHierarchy/thingGroup/site/childThingGroup/hall/added"]["operation"] == "ADDED"
    published(store, "CreateThing", thingName="t")
    topic = "$aws/events/thingGroupMembership/thingGroup/hall/thing/t"
    added = published(store, "AddThingToThingGroup", thingName="t", thingGroupName="hall")
    removed = published(store, "RemoveThingFromThingGroup", thingName="t", thingGroupName="hall")
    assert added[f"{topic}/added"]["membershipId"] == removed[f"{topic}/removed"]["membershipId"]
    gone = published(store, "DeleteThingGroup", thingGroupName="hall")
    assert "$aws/events/thingGroup/hall/deleted" in gone
    assert "$aws/events/thingGroupHierarchy/thingGroup/site/childThingGroup/hall/removed" in gone


def test_a_refused_operation_leaves_no_event(store: Store) -> None:
    """A rollback forgets the events with the change."""
    switch(store, "THING_GROUP_MEMBERSHIP")
    for name in ("a", "b"):
        published(store, "CreateThingGroup", thingGroupName=name)
    published(store, "CreateThing", thingName="t")
    with pytest.raises(AwsError, match="Thing group none not found"):
        published(store, "UpdateThingGroupsForThing", thingName="t", thingGroupsToAdd=["a", "none"])
    assert store.drain() == []
