"""Provisioning templates and their versions, with boto3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.local.conftest import Name, refused, without_metadata
from tests.semantics.test_provisioning import BULK, FLEET, JUST_IN_TIME

if TYPE_CHECKING:
    pass

BODY = json.dumps(FLEET)


def create(iot: Any, name: str, role: str, **more: Any) -> dict[str, Any]:
    """Create a template."""
    given = {"templateBody": BODY, "provisioningRoleArn": role, **more}
    return without_metadata(iot.create_provisioning_template(templateName=name, **given))


def test_a_template_in_its_life(iot: Any, role: str, name: Name) -> None:
    """Created disabled, described, listed, tagged, enabled, deleted; its name is taken once."""
    made = create(iot, name("fleet"), role, description="pumps", tags=[{"Key": "site", "Value": "oslo"}])
    assert {"templateName": name("fleet"), "defaultVersionId": 1} == {
        key: made[key] for key in ("templateName", "defaultVersionId")
    }
    assert made["templateArn"].endswith(f":provisioningtemplate/{name('fleet')}")
    assert (
        "ResourceAlreadyExistsException"
        == refused(
            iot.create_provisioning_template, templateName=name("fleet"), templateBody=BODY, provisioningRoleArn=role
        ).code
    )
    assert [{"Key": "site", "Value": "oslo"}] == iot.list_tags_for_resource(resourceArn=made["templateArn"])["tags"]

    iot.update_provisioning_template(templateName=name("fleet"), enabled=True)
    described = iot.describe_provisioning_template(templateName=name("fleet"))
    assert (BODY, True, "FLEET_PROVISIONING", role, "pumps", 1) == tuple(
        described[key]
        for key in ("templateBody", "enabled", "type", "provisioningRoleArn", "description", "defaultVersionId")
    )
    listed = [one for page in iot.get_paginator("list_provisioning_templates").paginate() for one in page["templates"]]
    assert name("fleet") in {one["templateName"] for one in listed}
    iot.delete_provisioning_template(templateName=name("fleet"))
    assert "ResourceNotFoundException" == refused(iot.describe_provisioning_template, templateName=name("fleet")).code


def test_versions(iot: Any, role: str, name: Name) -> None:
    """Five at most; the default one is chosen, and cannot be deleted."""
    template = {"templateName": name("versions")}
    create(iot, name("versions"), role)
    for number in range(2, 6):
        added = iot.create_provisioning_template_version(**template, templateBody=BODY, setAsDefault=number == 3)
        assert (number, number == 3) == (added["versionId"], added["isDefaultVersion"])
    assert (
        "VersionsLimitExceededException"
        == refused(iot.create_provisioning_template_version, **template, templateBody=BODY).code
    )
    assert "DeleteConflictException" == refused(iot.delete_provisioning_template_version, **template, versionId=3).code
    iot.update_provisioning_template(**template, defaultVersionId=5)
    iot.delete_provisioning_template_version(**template, versionId=3)
    listed = iot.list_provisioning_template_versions(**template)["versions"]
    assert [(1, False), (2, False), (4, False), (5, True)] == [
        (one["versionId"], one["isDefaultVersion"]) for one in listed
    ]
    assert BODY == iot.describe_provisioning_template_version(**template, versionId=4)["templateBody"]
    for method, more in (
        (iot.describe_provisioning_template_version, {"versionId": 3}),
        (iot.update_provisioning_template, {"defaultVersionId": 3}),
    ):
        assert "ResourceNotFoundException" == refused(method, **template, **more).code


def test_what_is_refused(iot: Any, role: str, name: Name) -> None:
    """A body of the other kind, a role of another account, and a hook, which is Lambda and not built here."""
    given = {"templateName": name("refused"), "templateBody": BODY, "provisioningRoleArn": role}
    refusal = refused(iot.create_provisioning_template, **given | {"templateBody": json.dumps(BULK)})
    assert "InvalidRequestException" == refusal.code
    assert refusal.message.startswith("Invalid registration template. ")
    refusal = refused(iot.create_provisioning_template, **given, type="JITP")
    assert "InvalidRequestException" == refusal.code
    other = {"provisioningRoleArn": "arn:aws:iam::123456789012:role/x"}
    assert "InvalidRequestException" == refused(iot.create_provisioning_template, **given | other).code
    hook = {"targetArn": "arn:aws:lambda:us-east-1:1:function:f"}
    refusal = refused(iot.create_provisioning_template, **given, preProvisioningHook=hook)
    assert ("NotImplementedException", True) == (refusal.code, "Lambda" in refusal.message)
    create(iot, name("refused"), role, type="JITP", templateBody=json.dumps(JUST_IN_TIME))
    assert "JITP" == iot.describe_provisioning_template(templateName=name("refused"))["type"]
