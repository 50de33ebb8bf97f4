"""Tags."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.conftest import Name, refused

DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'


def arns(iot: Any, name: Name, tags: list[dict[str, str]]) -> list[str]:
    """One resource of every kind that is made with tags."""
    return [
        iot.create_thing_group(thingGroupName=name("g"), tags=tags)["thingGroupArn"],
        iot.create_thing_type(thingTypeName=name("t"), tags=tags)["thingTypeArn"],
        iot.create_billing_group(billingGroupName=name("b"), tags=tags)["billingGroupArn"],
        iot.create_policy(policyName=name("p"), policyDocument=DOCUMENT, tags=tags)["policyArn"],
    ]


def tags_of(iot: Any, arn: str) -> dict[str, str]:
    """The tags of a resource by key."""
    return {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}


def test_tags_are_set_changed_and_removed(iot: Any, name: Name) -> None:
    """Every kind of resource keeps the tags it was made with, takes more, and loses them."""
    for arn in arns(iot, name, [{"Key": "run", "Value": "1"}]):
        iot.tag_resource(resourceArn=arn, tags=[{"Key": "run", "Value": "2"}, {"Key": "größe", "Value": ""}])
        assert tags_of(iot, arn) == {"run": "2", "größe": ""}
        iot.untag_resource(resourceArn=arn, tagKeys=["run", "never there"])
        assert tags_of(iot, arn) == {"größe": ""}


def test_fifty_tags(iot: Any, name: Name) -> None:
    """The fifty-first tag is LimitExceededException (410), and changes nothing."""
    arn = iot.create_thing_group(thingGroupName=name("g"))["thingGroupArn"]
    tags = [{"Key": str(number), "Value": ""} for number in range(51)]
    refusal = refused(iot.tag_resource, resourceArn=arn, tags=tags)
    assert (refusal.code, refusal.status) == ("LimitExceededException", 410)
    assert tags_of(iot, arn) == {}


@pytest.mark.parametrize(
    "tags", [[{"Key": "aws:x", "Value": "1"}], [{"Key": "a"}, {"Key": "a"}], [{"Key": "a\x01"}], [{}]]
)
def test_bad_tags(iot: Any, name: Name, tags: list[dict[str, str]]) -> None:
    """Reserved, repeated, malformed and keyless tags are refused."""
    assert refused(iot.create_thing_group, thingGroupName=name("g"), tags=tags).code == "InvalidRequestException"


def test_what_has_no_tags(iot: Any, name: Name) -> None:
    """A thing cannot have tags, and a missing resource is ResourceNotFoundException."""
    thing = iot.create_thing(thingName=name("t"))["thingArn"]
    group = iot.create_thing_group(thingGroupName=name("g"))["thingGroupArn"]
    for bad in (thing, "nonsense", group.replace("us-east-1", "eu-west-1")):
        assert refused(iot.list_tags_for_resource, resourceArn=bad).code == "InvalidRequestException"
    assert refused(iot.list_tags_for_resource, resourceArn=group + "x").code == "ResourceNotFoundException"


def test_tags_go_with_their_resource(iot: Any, name: Name) -> None:
    """A resource of the same name begins without the tags of the one before."""
    tags = [{"Key": "run", "Value": "1"}]
    iot.create_thing_group(thingGroupName=name("g"), tags=tags)
    assert refused(iot.create_thing_group, thingGroupName=name("g")).code == "ResourceAlreadyExistsException"
    iot.delete_thing_group(thingGroupName=name("g"))
    arn = iot.create_thing_group(thingGroupName=name("g"))["thingGroupArn"]
    assert tags_of(iot, arn) == {}
