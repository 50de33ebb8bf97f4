"""Dynamic thing groups: their members are what their query finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from iotctl.local.services.index import configuration, dynamic_groups, entries
from tests.local.index.test_search import attributes, refusal

if TYPE_CHECKING:
    from iotctl.local.store import Store

Call = Callable[..., dict[str, Any]]


def changed(store: Store, *names: str) -> None:
    """What the platform does a moment after things changed."""
    with store.transaction():
        for name in names:
            entries.enter(store, configuration.configured(store), name)
        dynamic_groups.follow(store, names)


def members(call: Call, group: str) -> list[str]:
    """The things of a group."""
    return call("iot:ListThingsInThingGroup", thingGroupName=group)["things"]  # type: ignore[no-any-return]


def test_members_follow_the_query(store: Store, call: Call, indexed: Callable[..., None]) -> None:
    """The example of the guide: rooms that are too warm are in, and out again when they cool."""
    for name, degrees in (("attic", "61"), ("cellar", "50")):
        call("iot:CreateThing", thingName=name, attributePayload=attributes(temperature=degrees))
    indexed()

    made = call("iot:CreateDynamicThingGroup", thingGroupName="warm", queryString="attributes.temperature>60")
    assert ("AWS_Things", "2017-09-30") == (made["indexName"], made["queryVersion"])
    assert ["attic"] == members(call, "warm")

    call("iot:UpdateThing", thingName="attic", attributePayload=attributes(temperature="60"))
    call("iot:UpdateThing", thingName="cellar", attributePayload=attributes(temperature="70"))
    changed(store, "attic", "cellar")
    assert ["cellar"] == members(call, "warm")

    call("iot:UpdateDynamicThingGroup", thingGroupName="warm", queryString="attributes.temperature>50")
    assert ["attic", "cellar"] == members(call, "warm")
    described = call("iot:DescribeThingGroup", thingGroupName="warm")
    assert ("attributes.temperature>50", "ACTIVE", 2) == (
        described["queryString"],
        described["status"],
        described["version"],
    )

    call("iot:DeleteDynamicThingGroup", thingGroupName="warm")
    call("iot:DeleteDynamicThingGroup", thingGroupName="warm")
    assert "ResourceNotFoundException" == refusal(call, "iot:DescribeThingGroup", thingGroupName="warm")


def test_what_a_dynamic_group_is_not_for(store: Store, call: Call, indexed: Callable[..., None]) -> None:
    """No explicit members, no children, no policies; static and dynamic groups have operations of their own."""
    call("iot:CreateThing", thingName="attic")
    call("iot:CreateThingGroup", thingGroupName="static")
    call("iot:CreatePolicy", policyName="p", policyDocument='{"Version":"2012-10-17","Statement":[]}')
    indexed()
    made = call("iot:CreateDynamicThingGroup", thingGroupName="warm", queryString="attributes.temperature>60")

    invalid = "InvalidRequestException"
    assert invalid == refusal(call, "iot:AddThingToThingGroup", thingName="attic", thingGroupName="warm")
    assert invalid == refusal(call, "iot:RemoveThingFromThingGroup", thingName="attic", thingGroupName="warm")
    assert invalid == refusal(call, "iot:CreateThingGroup", thingGroupName="child", parentGroupName="warm")
    assert invalid == refusal(call, "iot:AttachPolicy", policyName="p", target=made["thingGroupArn"])
    assert invalid == refusal(call, "iot:UpdateThingGroup", thingGroupName="warm", thingGroupProperties={})
    assert invalid == refusal(call, "iot:DeleteThingGroup", thingGroupName="warm")
    assert invalid == refusal(call, "iot:UpdateDynamicThingGroup", thingGroupName="static", thingGroupProperties={})
    assert invalid == refusal(call, "iot:DeleteDynamicThingGroup", thingGroupName="static")
    off = {"thingIndexingMode": "OFF"}
    assert invalid == refusal(call, "iot:UpdateIndexingConfiguration", thingIndexingConfiguration=off)
    assert "InvalidQueryException" == refusal(
        call, "iot:CreateDynamicThingGroup", thingGroupName="other", queryString="thingName:*x"
    )
    assert "ResourceAlreadyExistsException" == refusal(
        call, "iot:CreateDynamicThingGroup", thingGroupName="warm", queryString="thingName:a"
    )
    assert made == call("iot:CreateDynamicThingGroup", thingGroupName="warm", queryString="attributes.temperature>60")


def test_the_index_must_be_on(call: Call) -> None:
    """The fleet indexing service must be enabled before a dynamic group is made."""
    assert "InvalidRequestException" == refusal(
        call, "iot:CreateDynamicThingGroup", thingGroupName="warm", queryString="thingName:a"
    )


def test_older_dynamic_groups_and_static_ones_on_request_take_priority(
    store: Store, call: Call, indexed: Callable[..., None]
) -> None:
    """A thing is in ten groups at most: the youngest dynamic group makes room where the guide says so."""
    call("iot:CreateThing", thingName="attic")
    indexed()
    for number in range(8):
        call("iot:CreateThingGroup", thingGroupName=f"s{number}")
        call("iot:AddThingToThingGroup", thingName="attic", thingGroupName=f"s{number}")
    for name in ("old", "young"):
        call("iot:CreateDynamicThingGroup", thingGroupName=name, queryString="thingName:attic")
    call("iot:CreateDynamicThingGroup", thingGroupName="youngest", queryString="thingName:attic")
    assert [] == members(call, "youngest")

    call("iot:CreateThingGroup", thingGroupName="s8")
    assert "InvalidRequestException" == refusal(
        call, "iot:AddThingToThingGroup", thingName="attic", thingGroupName="s8"
    )
    call("iot:AddThingToThingGroup", thingName="attic", thingGroupName="s8", overrideDynamicGroups=True)
    assert (["attic"], []) == (members(call, "old"), members(call, "young"))
