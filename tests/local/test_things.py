"""Things: CreateThing, DescribeThing, UpdateThing, DeleteThing, ListThings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.conftest import Name, refused, without_metadata

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_new_thing_is_described(iot: Any, name: Name) -> None:
    """DescribeThing answers what CreateThing was given, at version 1."""
    created = iot.create_thing(thingName=name("pump"), attributePayload={"attributes": {"serial": "7"}})
    described = without_metadata(iot.describe_thing(thingName=name("pump")))
    expected = {
        "defaultClientId": name("pump"),
        "thingName": name("pump"),
        "thingId": created["thingId"],
        "thingArn": created["thingArn"],
        "attributes": {"serial": "7"},
        "version": 1,
    }
    assert expected == described


def test_the_same_thing_again_is_success(iot: Any, name: Name) -> None:
    """CreateThing with the same configuration answers the same thing."""
    first = iot.create_thing(thingName=name("pump"), attributePayload={"attributes": {"a": "1"}})
    again = iot.create_thing(thingName=name("pump"), attributePayload={"attributes": {"a": "1"}})
    assert first["thingId"] == again["thingId"]


def test_another_configuration_is_refused_and_nothing_is_lost(iot: Any, name: Name) -> None:
    """CreateThing with other attributes is ResourceAlreadyExistsException, and names what is there."""
    first = iot.create_thing(thingName=name("pump"), attributePayload={"attributes": {"a": "1"}})
    refusal = refused(iot.create_thing, thingName=name("pump"), attributePayload={"attributes": {"a": "2"}})
    assert (refusal.code, refusal.status) == ("ResourceAlreadyExistsException", 409)
    assert {"resourceArn": first["thingArn"], "resourceId": first["thingId"]} == refusal.members
    assert iot.describe_thing(thingName=name("pump"))["attributes"] == {"a": "1"}


@pytest.mark.parametrize("bad", ["../../etc", "bad name with spaces!", "pümp", "🚰", "a" * 129, "a\n", "a/b"])
def test_bad_names_are_refused(iot: Any, bad: str) -> None:
    """A name outside the model's pattern or length is InvalidRequestException that quotes AWS's words."""
    refusal = refused(iot.create_thing, thingName=bad)
    assert (refusal.code, refusal.status) == ("InvalidRequestException", 400)
    assert "at 'thingName' failed to satisfy constraint: Member must" in refusal.message


def test_attributes_are_limited_without_a_type(iot: Any, name: Name) -> None:
    """A thing without a type has three attributes at most."""
    four = {"attributes": dict.fromkeys("abcd", "1")}
    assert refused(iot.create_thing, thingName=name("t"), attributePayload=four).code == "InvalidRequestException"


def test_attributes_are_limited_with_a_type(iot: Any, name: Name) -> None:
    """A thing with a type has fifty attributes at most."""
    iot.create_thing_type(thingTypeName=name("type"))
    fifty = {f"a{number}": "1" for number in range(50)}
    typed = {"thingTypeName": name("type")}
    iot.create_thing(thingName=name("t"), attributePayload={"attributes": fifty}, **typed)
    more = {"attributes": {**fifty, "one-more": "1"}}
    assert (
        refused(iot.create_thing, thingName=name("u"), attributePayload=more, **typed).code == "InvalidRequestException"
    )
    refusal = refused(iot.update_thing, thingName=name("t"), removeThingType=True)
    assert refusal.code == "InvalidRequestException"


def test_update_replaces_merges_and_removes_attributes(iot: Any, name: Name) -> None:
    """Attributes are replaced, merged with `merge`, and removed by an empty value."""
    iot.create_thing(thingName=name("t"), attributePayload={"attributes": {"a": "1", "b": "2"}})
    iot.update_thing(thingName=name("t"), attributePayload={"attributes": {"b": "", "c": "3"}, "merge": True})
    assert iot.describe_thing(thingName=name("t"))["attributes"] == {"a": "1", "c": "3"}
    iot.update_thing(thingName=name("t"), attributePayload={"attributes": {"d": "4"}})
    assert iot.describe_thing(thingName=name("t"))["attributes"] == {"d": "4"}


def test_the_version_grows_and_is_checked(iot: Any, name: Name) -> None:
    """Every update adds one to the version, and a wrong expectation is VersionConflictException."""
    iot.create_thing(thingName=name("t"))
    iot.update_thing(thingName=name("t"), attributePayload={"attributes": {"a": "1"}}, expectedVersion=1)
    assert iot.describe_thing(thingName=name("t"))["version"] == 2
    refusal = refused(iot.update_thing, thingName=name("t"), attributePayload={"attributes": {}}, expectedVersion=1)
    assert (refusal.code, refusal.status) == ("VersionConflictException", 409)
    assert refused(iot.delete_thing, thingName=name("t"), expectedVersion=1).code == "VersionConflictException"


def test_the_type_is_changed_and_removed(iot: Any, name: Name) -> None:
    """UpdateThing gives a thing a type, takes it away, and refuses both at once."""
    iot.create_thing_type(thingTypeName=name("type"))
    iot.create_thing(thingName=name("t"))
    iot.update_thing(thingName=name("t"), thingTypeName=name("type"))
    assert name("type") == iot.describe_thing(thingName=name("t"))["thingTypeName"]
    both = refused(iot.update_thing, thingName=name("t"), thingTypeName=name("type"), removeThingType=True)
    assert both.code == "InvalidRequestException"
    iot.update_thing(thingName=name("t"), removeThingType=True)
    assert "thingTypeName" not in iot.describe_thing(thingName=name("t"))


def test_what_a_thing_refers_to_must_exist(iot: Any, name: Name) -> None:
    """A missing type or billing group is ResourceNotFoundException, and no thing is made."""
    for missing in ({"thingTypeName": name("none")}, {"billingGroupName": name("none")}):
        refusal = refused(iot.create_thing, thingName=name("t"), **missing)
        assert (refusal.code, refusal.status) == ("ResourceNotFoundException", 404)
    assert refused(iot.describe_thing, thingName=name("t")).code == "ResourceNotFoundException"


def test_a_missing_thing_is_deleted_without_an_error(iot: Any, name: Name) -> None:
    """DeleteThing of a thing that does not exist succeeds."""
    iot.delete_thing(thingName=name("none"))
    assert refused(iot.update_thing, thingName=name("none")).code == "ResourceNotFoundException"


def test_a_thing_with_a_principal_is_not_deleted(
    iot: Any, name: Name, certificate: Callable[..., dict[str, str]]
) -> None:
    """DeleteThing is refused while a principal is attached."""
    principal = certificate()["certificateArn"]
    iot.create_thing(thingName=name("t"))
    iot.attach_thing_principal(thingName=name("t"), principal=principal)
    assert refused(iot.delete_thing, thingName=name("t")).code == "InvalidRequestException"
    iot.detach_thing_principal(thingName=name("t"), principal=principal)
    iot.delete_thing(thingName=name("t"))


def test_a_deleted_thing_leaves_its_groups(iot: Any, name: Name) -> None:
    """What had the thing has it no more."""
    iot.create_thing(thingName=name("t"))
    iot.create_thing_group(thingGroupName=name("g"))
    iot.add_thing_to_thing_group(thingName=name("t"), thingGroupName=name("g"))
    iot.delete_thing(thingName=name("t"))
    assert iot.list_things_in_thing_group(thingGroupName=name("g"))["things"] == []


def test_things_are_found_by_attribute_and_type(iot: Any, name: Name) -> None:
    """ListThings filters by attribute, by a prefix of its value, and by type."""
    iot.create_thing_type(thingTypeName=name("type"))
    key = name("colour")
    iot.create_thing(thingName=name("r"), attributePayload={"attributes": {key: "red"}}, thingTypeName=name("type"))
    iot.create_thing(thingName=name("s"), attributePayload={"attributes": {key: "rose"}})
    iot.create_thing(thingName=name("b"), attributePayload={"attributes": {key: "blue"}})

    def found(**filters: Any) -> list[str]:
        return sorted(thing["thingName"] for thing in iot.list_things(**filters)["things"])

    assert [name("r")] == found(attributeName=key, attributeValue="red")
    assert [name("r"), name("s")] == found(attributeName=key, attributeValue="r", usePrefixAttributeValue=True)
    assert [name("b"), name("r"), name("s")] == found(attributeName=key)
    assert [name("r")] == found(thingTypeName=name("type"))
    assert found(thingTypeName=name("type"), attributeName=key, attributeValue="blue") == []
    assert refused(iot.list_things, attributeValue="red").code == "InvalidRequestException"
