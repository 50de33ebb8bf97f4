"""The deployment document: what of it counts, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from iotctl.local.devices.core.deployer import check_age
from iotctl.local.devices.core.document import Wanted, parse
from iotctl.local.devices.core.faults import Failed, Rejected
from iotctl.local.devices.core.state import Group

ARN = "arn:aws:greengrass:eu-west-1:123456789012:configuration"


def document(**more: Any) -> dict[str, Any]:
    """One as it arrives."""
    return {
        "deploymentId": "d-1",
        "configurationArn": f"{ARN}:thinggroup/cores:7",
        "creationTimestamp": 1000,
        "components": {"com.example.App": {"version": "1.0.0"}},
        **more,
    }


def test_a_document_with_everything() -> None:
    """Group, versions, changes and policy are taken out."""
    change = {"merge": {"a": 1}, "reset": ["/b"]}
    found = parse(
        document(
            components={"com.example.App": {"version": "1.0.0", "configurationUpdate": change, "runWith": {"x": 1}}},
            failureHandlingPolicy="DO_NOTHING",
        ),
        "job-1",
    )

    assert ("job-1", "thinggroup/cores", 1000, False) == (found.key, found.group, found.created, found.rolls_back)
    assert {"com.example.App": Wanted("1.0.0", {"a": 1}, ("/b",), {"x": 1})} == found.components


def test_a_sub_deployment_is_on_behalf_of_its_root() -> None:
    """Its components replace those of the group at the top of its parents."""
    more = {
        "onBehalfOf": "arn:aws:iot:eu-west-1:123456789012:thinggroup/all",
        "requiredCapabilities": ["SUB_DEPLOYMENTS"],
    }
    assert "thinggroup/all" == parse(document(**more)).group


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"configurationArn": "arn:aws:iot:x"}, "names no configurationArn"),
        ({"deploymentId": None}, "names no configurationArn or no deploymentId"),
        ({"creationTimestamp": "x"}, "no creationTimestamp"),
        ({"components": [1]}, "must be an object"),
        ({"components": {"../x": {"version": "1.0.0"}}}, "no name or version"),
        ({"components": {"A": {"version": "one"}}}, "is not a version requirement"),
        ({"components": {"A": {"version": "1.0.0", "configurationUpdate": {"reset": "/a"}}}}, "must be of strings"),
        ({"components": {"A": {"version": "1.0.0", "configurationUpdate": {"merge": [1]}}}}, "must be an object"),
        ({"onBehalfOf": "all"}, "no thing group's ARN"),
        ({"requiredCapabilities": ["LARGE_CONFIGURATION", "SUB_DEPLOYMENTS"]}, "requires: LARGE_CONFIGURATION"),
    ],
)
def test_what_is_refused(more: dict[str, Any], reason: str) -> None:
    """With the reason that the deployment then fails with."""
    with pytest.raises(Failed, match=reason):
        parse(document(**more))


def test_an_older_deployment_of_a_group_is_rejected() -> None:
    """Jobs may come in another order than they were made; the same one may come again, and a shadow is never late."""
    check_age(parse(document(), "job"), None)
    check_age(parse(document(), "job"), Group("arn", 1000, {}))
    check_age(parse(document()), Group("arn", 1001, {}))
    with pytest.raises(Rejected, match="a newer deployment of thinggroup/cores is here already: newer-arn"):
        check_age(parse(document(), "job"), Group("newer-arn", 1001, {}))
