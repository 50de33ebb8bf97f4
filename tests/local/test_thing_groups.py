"""Thing groups, their hierarchy, their members; billing groups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.conftest import Name, refused, without_metadata


@pytest.fixture
def tree(iot: Any, name: Name) -> None:
    """A hierarchy: site > hall > line, and one group beside it."""
    iot.create_thing_group(thingGroupName=name("site"))
    iot.create_thing_group(thingGroupName=name("hall"), parentGroupName=name("site"))
    iot.create_thing_group(thingGroupName=name("line"), parentGroupName=name("hall"))
    iot.create_thing_group(thingGroupName=name("beside"))
    for thing in "ab":
        iot.create_thing(thingName=name(thing))


def names(answer: dict[str, Any]) -> list[str]:
    """The names of a listing of groups."""
    return [group["groupName"] for group in answer["thingGroups"]]


def test_the_same_group_again_is_success(iot: Any, name: Name) -> None:
    """Absent and empty properties are the same; other ones are refused."""
    first = iot.create_thing_group(thingGroupName=name("g"))
    for same in ({}, {"thingGroupProperties": {}}, {"thingGroupProperties": {"attributePayload": {"attributes": {}}}}):
        assert first["thingGroupId"] == iot.create_thing_group(thingGroupName=name("g"), **same)["thingGroupId"]
    other = {"thingGroupProperties": {"thingGroupDescription": "other"}}
    refusal = refused(iot.create_thing_group, thingGroupName=name("g"), **other)
    assert (refusal.code, refusal.status) == ("ResourceAlreadyExistsException", 409)
    assert first["thingGroupArn"] == refusal.members["resourceArn"]


def test_the_groups_above_are_described(iot: Any, name: Name, tree: None) -> None:
    """DescribeThingGroup answers the parent, and the groups above from the root down."""
    metadata = iot.describe_thing_group(thingGroupName=name("line"))["thingGroupMetadata"]
    assert name("hall") == metadata["parentGroupName"]
    assert [name("site"), name("hall")] == [group["groupName"] for group in metadata["rootToParentThingGroups"]]
    assert "rootToParentThingGroups" not in iot.describe_thing_group(thingGroupName=name("site"))["thingGroupMetadata"]


def test_groups_are_listed_by_parent_and_prefix(iot: Any, name: Name, tree: None) -> None:
    """ListThingGroups answers the children, all below with `recursive`, or those of a prefix."""
    assert [name("hall")] == names(iot.list_thing_groups(parentGroup=name("site")))
    below = names(iot.list_thing_groups(parentGroup=name("site"), recursive=True))
    assert [name("hall"), name("line")] == below
    assert [name("line")] == names(iot.list_thing_groups(namePrefixFilter=name("line")))
    assert names(iot.list_thing_groups(namePrefixFilter=name("line"), recursive=False)) == []
    assert refused(iot.list_thing_groups, parentGroup=name("none")).code == "ResourceNotFoundException"


def test_a_hierarchy_has_seven_levels(iot: Any, name: Name) -> None:
    """The eighth level is refused."""
    iot.create_thing_group(thingGroupName=name("1"))
    for level in range(2, 8):
        iot.create_thing_group(thingGroupName=name(str(level)), parentGroupName=name(str(level - 1)))
    refusal = refused(iot.create_thing_group, thingGroupName=name("8"), parentGroupName=name("7"))
    assert refusal.code == "InvalidRequestException"


def test_a_group_is_updated(iot: Any, name: Name) -> None:
    """UpdateThingGroup merges or replaces attributes, answers the version and checks the one expected."""
    properties = {"thingGroupDescription": "one", "attributePayload": {"attributes": {"a": "1"}}}
    iot.create_thing_group(thingGroupName=name("g"), thingGroupProperties=properties)
    merged = {"attributePayload": {"attributes": {"b": "2"}, "merge": True}}
    updated = iot.update_thing_group(thingGroupName=name("g"), thingGroupProperties=merged, expectedVersion=1)
    assert updated["version"] == 2
    found = iot.describe_thing_group(thingGroupName=name("g"))["thingGroupProperties"]
    assert found == {"thingGroupDescription": "one", "attributePayload": {"attributes": {"a": "1", "b": "2"}}}
    refusal = refused(iot.update_thing_group, thingGroupName=name("g"), thingGroupProperties={}, expectedVersion=1)
    assert refusal.code == "VersionConflictException"


def test_a_group_with_children_is_not_deleted(iot: Any, name: Name, tree: None) -> None:
    """AWS's own words; a missing group is no error; one with things is deleted."""
    refusal = refused(iot.delete_thing_group, thingGroupName=name("hall"))
    expected = f"Cannot delete thing group : {name('hall')} when there are still child groups attached to it."
    assert ("InvalidRequestException", expected) == (refusal.code, refusal.message)
    iot.add_thing_to_thing_group(thingName=name("a"), thingGroupName=name("line"))
    iot.delete_thing_group(thingGroupName=name("line"))
    iot.delete_thing_group(thingGroupName=name("line"))
    iot.delete_thing_group(thingGroupName=name("hall"))
    assert names(iot.list_thing_groups_for_thing(thingName=name("a"))) == []


def test_members_are_listed(iot: Any, name: Name, tree: None) -> None:
    """A group's things, those below with `recursive`; a thing's groups, those above included."""
    for _ in range(2):
        iot.add_thing_to_thing_group(thingName=name("a"), thingGroupName=name("line"))
    iot.add_thing_to_thing_group(thingName=name("b"), thingGroupName=name("site"))
    assert [name("b")] == iot.list_things_in_thing_group(thingGroupName=name("site"))["things"]
    below = iot.list_things_in_thing_group(thingGroupName=name("site"), recursive=True)["things"]
    assert [name("a"), name("b")] == sorted(below)
    of_thing = names(iot.list_thing_groups_for_thing(thingName=name("a")))
    assert [name("hall"), name("line"), name("site")] == of_thing
    iot.remove_thing_from_thing_group(thingName=name("a"), thingGroupName=name("line"))
    iot.remove_thing_from_thing_group(thingName=name("a"), thingGroupName=name("line"))
    assert iot.list_things_in_thing_group(thingGroupName=name("line"))["things"] == []


def test_one_group_of_a_hierarchy(iot: Any, name: Name, tree: None) -> None:
    """A thing cannot be in two groups of one hierarchy; it can move."""
    iot.add_thing_to_thing_group(thingName=name("a"), thingGroupName=name("line"))
    refusal = refused(iot.add_thing_to_thing_group, thingName=name("a"), thingGroupName=name("site"))
    assert refusal.code == "InvalidRequestException"
    iot.update_thing_groups_for_thing(
        thingName=name("a"), thingGroupsToRemove=[name("line")], thingGroupsToAdd=[name("hall"), name("beside")]
    )
    assert {name("hall"), name("site"), name("beside")} == set(
        names(iot.list_thing_groups_for_thing(thingName=name("a")))
    )


def test_ten_groups_a_thing(iot: Any, name: Name) -> None:
    """The eleventh group is refused, and an update that would be too much changes nothing."""
    iot.create_thing(thingName=name("t"))
    for number in range(11):
        iot.create_thing_group(thingGroupName=name(f"g{number}"))
    groups = [name(f"g{number}") for number in range(11)]
    refusal = refused(iot.update_thing_groups_for_thing, thingName=name("t"), thingGroupsToAdd=groups)
    assert refusal.code == "InvalidRequestException"
    assert names(iot.list_thing_groups_for_thing(thingName=name("t"))) == []
    iot.update_thing_groups_for_thing(thingName=name("t"), thingGroupsToAdd=groups[:10])
    assert (
        refused(iot.add_thing_to_thing_group, thingName=name("t"), thingGroupName=groups[10]).code
        == "InvalidRequestException"
    )


def test_members_by_arn(iot: Any, name: Name, tree: None) -> None:
    """Things and groups can be given by ARN; a name and an ARN that differ, or neither, are refused."""
    thing = iot.describe_thing(thingName=name("a"))["thingArn"]
    group = iot.describe_thing_group(thingGroupName=name("line"))["thingGroupArn"]
    iot.add_thing_to_thing_group(thingArn=thing, thingGroupArn=group)
    assert [name("a")] == iot.list_things_in_thing_group(thingGroupName=name("line"))["things"]
    for bad in (
        {"thingArn": thing, "thingGroupArn": group, "thingName": name("b")},
        {"thingArn": group, "thingGroupArn": thing},
        {"thingName": name("a")},
        {},
    ):
        assert refused(iot.add_thing_to_thing_group, **bad).code == "InvalidRequestException"
    for missing in ({"thingName": name("none")}, {"thingName": name("a"), "thingGroupName": name("none")}):
        parameters = {"thingGroupName": name("line"), **missing}
        assert refused(iot.add_thing_to_thing_group, **parameters).code == "ResourceNotFoundException"


def test_a_billing_group(iot: Any, name: Name) -> None:
    """Created, repeated, described, updated, listed, deleted; a thing is in one at most."""
    properties = {"billingGroupProperties": {"billingGroupDescription": "one"}}
    first = iot.create_billing_group(billingGroupName=name("g"), **properties)
    again = iot.create_billing_group(billingGroupName=name("g"), **properties)
    assert without_metadata(first) == without_metadata(again)
    assert refused(iot.create_billing_group, billingGroupName=name("g")).code == "ResourceAlreadyExistsException"
    updated = iot.update_billing_group(
        billingGroupName=name("g"), billingGroupProperties={"billingGroupDescription": "two"}, expectedVersion=1
    )
    assert updated["version"] == 2
    iot.create_billing_group(billingGroupName=name("h"))
    iot.create_thing(thingName=name("t"), billingGroupName=name("g"))
    assert name("g") == iot.describe_thing(thingName=name("t"))["billingGroupName"]
    iot.add_thing_to_billing_group(thingName=name("t"), billingGroupName=name("h"))
    assert iot.list_things_in_billing_group(billingGroupName=name("g"))["things"] == []
    assert [name("t")] == iot.list_things_in_billing_group(billingGroupName=name("h"))["things"]
    iot.remove_thing_from_billing_group(thingName=name("t"), billingGroupName=name("g"))
    assert name("h") == iot.describe_thing(thingName=name("t"))["billingGroupName"]
    listed = iot.list_billing_groups(namePrefixFilter=name("g"))["billingGroups"]
    assert [first["billingGroupArn"]] == [group["groupArn"] for group in listed]
    iot.delete_billing_group(billingGroupName=name("h"))
    iot.delete_billing_group(billingGroupName=name("h"))
    assert "billingGroupName" not in iot.describe_thing(thingName=name("t"))
    assert refused(iot.describe_billing_group, billingGroupName=name("h")).code == "ResourceNotFoundException"
