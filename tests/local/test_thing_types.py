"""Thing types: created, deprecated, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.local.services import AwsError
from iotctl.local.services.thing_types import create_thing_type, delete_thing_type, deprecate_thing_type
from iotctl.local.services.things import create_thing
from tests.local.conftest import Name, refused, without_metadata

if TYPE_CHECKING:
    from iotctl.local.store import Store

PROPERTIES = {"thingTypeDescription": "a pump", "searchableAttributes": ["model", "serial"]}


def test_the_same_type_again_is_success(iot: Any, name: Name) -> None:
    """The same properties are success, in any order of the attributes; other ones are refused."""
    first = iot.create_thing_type(thingTypeName=name("t"), thingTypeProperties=PROPERTIES)
    other_order = {**PROPERTIES, "searchableAttributes": ["serial", "model"]}
    again = iot.create_thing_type(thingTypeName=name("t"), thingTypeProperties=other_order)
    assert without_metadata(first) == without_metadata(again)
    refusal = refused(iot.create_thing_type, thingTypeName=name("t"), thingTypeProperties={})
    assert (refusal.code, refusal.status) == ("ResourceAlreadyExistsException", 409)
    assert first["thingTypeArn"] == refusal.members["resourceArn"]


def test_a_type_is_described(iot: Any, name: Name) -> None:
    """DescribeThingType and ListThingTypes answer what was given."""
    made = iot.create_thing_type(thingTypeName=name("t"), thingTypeProperties=PROPERTIES)
    described = iot.describe_thing_type(thingTypeName=name("t"))
    assert described["thingTypeProperties"] == PROPERTIES
    assert (made["thingTypeId"], False) == (described["thingTypeId"], described["thingTypeMetadata"]["deprecated"])
    listed = iot.list_thing_types(thingTypeName=name("t"))["thingTypes"]
    assert [name("t")] == [one["thingTypeName"] for one in listed]


def test_a_deprecated_type_takes_no_new_things(iot: Any, name: Name) -> None:
    """A deprecation refuses new things until it is taken back."""
    iot.create_thing_type(thingTypeName=name("t"))
    iot.deprecate_thing_type(thingTypeName=name("t"))
    assert "deprecationDate" in iot.describe_thing_type(thingTypeName=name("t"))["thingTypeMetadata"]
    refusal = refused(iot.create_thing, thingName=name("x"), thingTypeName=name("t"))
    assert refusal.code == "InvalidRequestException"
    iot.deprecate_thing_type(thingTypeName=name("t"), undoDeprecate=True)
    iot.create_thing(thingName=name("x"), thingTypeName=name("t"))


def test_a_type_is_updated(iot: Any, name: Name) -> None:
    """UpdateThingType changes what it names."""
    iot.create_thing_type(thingTypeName=name("t"), thingTypeProperties=PROPERTIES)
    iot.update_thing_type(thingTypeName=name("t"), thingTypeProperties={"thingTypeDescription": "new"})
    found = iot.describe_thing_type(thingTypeName=name("t"))["thingTypeProperties"]
    assert found == {**PROPERTIES, "thingTypeDescription": "new"}


def test_too_many_searchable_attributes(iot: Any, name: Name) -> None:
    """A type has three searchable attributes at most."""
    properties = {"searchableAttributes": ["a", "b", "c", "d"]}
    refusal = refused(iot.create_thing_type, thingTypeName=name("t"), thingTypeProperties=properties)
    assert refusal.code == "InvalidRequestException"


def test_a_type_is_deleted_five_minutes_after_its_deprecation(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be deprecated, five minutes must pass, and no thing may have it."""
    create_thing_type(store, "t")
    create_thing_type(store, "used")
    create_thing(store, "x", thingTypeName="used")
    with pytest.raises(AwsError, match="deprecated first"):
        delete_thing_type(store, "t")
    for kind in ("t", "used"):
        deprecate_thing_type(store, kind)
    with pytest.raises(AwsError, match="5 minutes"):
        delete_thing_type(store, "t")
    later = clock.epoch() + 301
    monkeypatch.setattr(clock, "epoch", lambda: later)
    delete_thing_type(store, "t")
    with pytest.raises(AwsError, match="not found"):
        delete_thing_type(store, "t")
    with pytest.raises(AwsError, match="there are things"):
        delete_thing_type(store, "used")
