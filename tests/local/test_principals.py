"""AttachThingPrincipal and its listings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.local.conftest import Name, refused

Register = Callable[..., dict[str, str]]


def test_attaching_again_is_no_error(iot: Any, name: Name, certificate: Register) -> None:
    """AttachThingPrincipal can be repeated, and the listings show one attachment."""
    principal = certificate()["certificateArn"]
    iot.create_thing(thingName=name("t"))
    for _ in range(2):
        iot.attach_thing_principal(thingName=name("t"), principal=principal)
    assert [principal] == iot.list_thing_principals(thingName=name("t"))["principals"]
    assert [name("t")] == iot.list_principal_things(principal=principal)["things"]


def test_an_exclusive_principal_has_one_thing(iot: Any, name: Name, certificate: Register) -> None:
    """An exclusive attachment refuses a second thing, whichever was first."""
    principal = certificate()["certificateArn"]
    iot.create_thing(thingName=name("a"))
    iot.create_thing(thingName=name("b"))
    exclusive = {"principal": principal, "thingPrincipalType": "EXCLUSIVE_THING"}
    iot.attach_thing_principal(thingName=name("a"), **exclusive)
    iot.attach_thing_principal(thingName=name("a"), **exclusive)
    assert refused(iot.attach_thing_principal, thingName=name("b"), **exclusive).code == "InvalidRequestException"
    refusal = refused(iot.attach_thing_principal, thingName=name("b"), principal=principal)
    assert refusal.code == "InvalidRequestException"
    iot.detach_thing_principal(thingName=name("a"), principal=principal)
    iot.attach_thing_principal(thingName=name("b"), principal=principal)
    assert refused(iot.attach_thing_principal, thingName=name("a"), **exclusive).code == "InvalidRequestException"


def test_the_kind_of_attachment_is_listed(iot: Any, name: Name, certificate: Register) -> None:
    """The V2 listings tell how a principal is attached, and filter by it."""
    one, other = certificate()["certificateArn"], certificate()["certificateArn"]
    iot.create_thing(thingName=name("t"))
    iot.attach_thing_principal(thingName=name("t"), principal=one, thingPrincipalType="EXCLUSIVE_THING")
    iot.attach_thing_principal(thingName=name("t"), principal=other)
    listed = iot.list_thing_principals_v2(thingName=name("t"), thingPrincipalType="EXCLUSIVE_THING")
    assert [{"principal": one, "thingPrincipalType": "EXCLUSIVE_THING"}] == listed["thingPrincipalObjects"]
    things = iot.list_principal_things_v2(principal=other)["principalThingObjects"]
    assert [{"thingName": name("t"), "thingPrincipalType": "NON_EXCLUSIVE_THING"}] == things


def test_unknown_principals_and_things_are_refused(iot: Any, name: Name, certificate: Register) -> None:
    """What does not exist is ResourceNotFoundException, what is no principal InvalidRequestException."""
    arn = certificate()["certificateArn"]
    missing = arn[:-4] + "0000"
    iot.create_thing(thingName=name("t"))
    assert (
        refused(iot.attach_thing_principal, thingName=name("none"), principal=arn).code == "ResourceNotFoundException"
    )
    assert (
        refused(iot.attach_thing_principal, thingName=name("t"), principal=missing).code == "ResourceNotFoundException"
    )
    assert refused(iot.detach_thing_principal, thingName=name("t"), principal=arn).code == "ResourceNotFoundException"
    for bad in ("nobody", arn.replace(":iot:", ":iam:"), arn.replace("us-east-1", "eu-west-1")):
        assert refused(iot.attach_thing_principal, thingName=name("t"), principal=bad).code == "InvalidRequestException"


@pytest.mark.parametrize("kind", ["EXCLUSIVE", ""])
def test_the_kind_is_an_enum(iot: Any, name: Name, certificate: Register, kind: str) -> None:
    """Another word for the kind of attachment is refused with AWS's words."""
    refusal = refused(
        iot.attach_thing_principal,
        thingName=name("t"),
        principal=certificate()["certificateArn"],
        thingPrincipalType=kind,
    )
    assert "Member must satisfy enum value set: [EXCLUSIVE_THING, NON_EXCLUSIVE_THING]" in refusal.message
