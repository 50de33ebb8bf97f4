"""Every listing is paginated, completely and without doubles; a foreign token is refused."""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.local.services import OPERATIONS
from iotctl.pki import certificates as x509
from tests.local.clients import until
from tests.local.conftest import client, refused

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, signer: pki.Authority) -> Any:
    """A platform with seven of everything: its client and the names to ask for."""
    from iotctl.local import process
    from iotctl.local.state import Ports, State

    state = State(tmp_path_factory.mktemp("fleet") / "local")
    state.directory.mkdir(mode=0o700)
    iot = client(process.background(state, Ports(0, 0, 0), None))
    iot.create_billing_group(billingGroupName="bill")
    iot.create_thing_group(thingGroupName="root")
    iot.create_thing_type(thingTypeName="kind")
    iot.create_policy(policyName="held", policyDocument=DOCUMENT)
    site = iot.describe_thing_group(thingGroupName="root")["thingGroupArn"]
    arns = []
    for number in range(7):
        name = f"n{number}"
        pem = signer.issue(uuid.uuid4().hex).certificate_pem
        arns.append(iot.register_certificate_without_ca(certificatePem=pem)["certificateArn"])
        iot.create_thing_type(thingTypeName=name)
        iot.create_thing_group(thingGroupName=name, parentGroupName="root")
        iot.create_thing_group(thingGroupName=f"top{number}")
        iot.create_billing_group(billingGroupName=name)
        iot.create_policy(policyName=name, policyDocument=DOCUMENT)
        iot.create_thing(
            thingName=name,
            thingTypeName="kind",
            billingGroupName="bill",
            attributePayload={"attributes": {"colour": f"red{number % 2}"}},
        )
        iot.add_thing_to_thing_group(thingName=name, thingGroupName=name)
        iot.add_thing_to_thing_group(thingName="n0", thingGroupName=f"top{number}")
        iot.attach_policy(policyName="held", target=arns[-1])
        iot.attach_policy(policyName=name, target=arns[0])
        iot.attach_thing_principal(thingName="n0", principal=arns[-1])
        iot.attach_thing_principal(thingName=name, principal=arns[0])
        iot.create_job_template(jobTemplateId=name, description="d", document="{}")
        account = arns[-1].split(":")[4]
        iot.create_role_alias(roleAlias=name, roleArn=f"arn:aws:iam::{account}:role/{name}")
    iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "REGISTRY"})
    until(lambda: iot.describe_index(indexName="AWS_Things")["indexStatus"] == "ACTIVE")
    authorities = [pki.Authority.create(f"ca{number}") for number in range(7)]
    for authority in authorities:
        iot.register_ca_certificate(
            caCertificate=authority.certificate_pem, certificateMode="SNI_ONLY", setAsActive=True
        )
    for number in range(7):
        pem = authorities[0].issue(f"n{number}").certificate_pem
        iot.register_certificate(certificatePem=pem)
    arns += [site, x509.read(authorities[0].certificate_pem).certificate_id]
    for number in range(7):
        iot.create_job(jobId=f"n{number}", targets=[site], document="{}")
    _defend(iot, site)
    _provision(iot, account)
    yield iot, arns
    process.stop(state)


def _defend(iot: Any, group: str) -> None:
    """Seven of everything that Device Defender keeps, attached to one group and to one profile."""
    iot.update_account_audit_configuration(
        roleArn=f"arn:aws:iam::{group.split(':')[4]}:role/r",
        auditCheckConfigurations={"LOGGING_DISABLED_CHECK": {"enabled": True}},
    )
    for number in range(7):
        name = f"n{number}"
        iot.create_dimension(name=name, type="TOPIC_FILTER", stringValues=[name], clientRequestToken=name)
        iot.create_custom_metric(metricName=name, metricType="number", clientRequestToken=name)
        iot.create_mitigation_action(
            actionName=name,
            roleArn=f"arn:aws:iam::{group.split(':')[4]}:role/r",
            actionParams={"replaceDefaultPolicyVersionParams": {"templateName": "BLANK_POLICY"}},
        )
        iot.create_security_profile(securityProfileName=name)
        iot.attach_security_profile(
            securityProfileName="n0", securityProfileTargetArn=group.replace("thinggroup/root", f"thinggroup/{name}")
        )
    for number in range(5):  # AWS allows no more of these
        iot.create_scheduled_audit(
            scheduledAuditName=f"n{number}", frequency="DAILY", targetCheckNames=["LOGGING_DISABLED_CHECK"]
        )
        iot.attach_security_profile(securityProfileName=f"n{number}", securityProfileTargetArn=group)


def _provision(iot: Any, account: str) -> None:
    """Seven provisioning templates, one of them with five versions."""
    thing = '{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"N"}}}'
    body = f'{{"Parameters":{{"N":{{"Type":"String"}}}},"Resources":{{"thing":{thing}}}}}'
    for number in range(7):
        iot.create_provisioning_template(
            templateName=f"n{number}", templateBody=body, provisioningRoleArn=f"arn:aws:iam::{account}:role/r"
        )
    for _ in range(4):
        iot.create_provisioning_template_version(templateName="n0", templateBody=body)


LISTINGS: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("list_things", "things", "next", {}, 7),
    ("list_things", "things", "next", {"thingTypeName": "kind"}, 7),
    ("list_things", "things", "next", {"attributeName": "colour"}, 7),
    ("list_things", "things", "next", {"attributeName": "colour", "attributeValue": "red0"}, 4),
    ("list_thing_types", "thingTypes", "next", {}, 8),
    ("list_thing_groups", "thingGroups", "next", {}, 15),
    ("list_thing_groups", "thingGroups", "next", {"parentGroup": "root", "recursive": True}, 7),
    ("list_thing_groups_for_thing", "thingGroups", "next", {"thingName": "n0"}, 9),
    ("list_things_in_thing_group", "things", "next", {"thingGroupName": "root", "recursive": True}, 7),
    ("list_billing_groups", "billingGroups", "next", {}, 8),
    ("list_things_in_billing_group", "things", "next", {"billingGroupName": "bill"}, 7),
    ("list_thing_principals", "principals", "next", {"thingName": "n0"}, 7),
    ("list_thing_principals_v2", "thingPrincipalObjects", "next", {"thingName": "n0"}, 7),
    ("list_principal_things", "things", "next", {"principal": 0}, 7),
    ("list_principal_things_v2", "principalThingObjects", "next", {"principal": 0}, 7),
    ("list_certificates", "certificates", "marker", {}, 14),
    ("list_certificates", "certificates", "marker", {"ascendingOrder": True}, 14),
    ("list_ca_certificates", "certificates", "marker", {}, 7),
    ("list_certificates_by_ca", "certificates", "marker", {"caCertificateId": -1}, 7),
    ("list_policies", "policies", "marker", {}, 8),
    ("list_policies", "policies", "marker", {"ascendingOrder": True}, 8),
    ("list_attached_policies", "policies", "marker", {"target": 0}, 8),
    ("list_principal_policies", "policies", "marker", {"principal": 0}, 8),
    ("list_targets_for_policy", "targets", "marker", {"policyName": "held"}, 7),
    ("list_jobs", "jobs", "next", {}, 7),
    ("list_job_templates", "jobTemplates", "next", {}, 7),
    ("list_managed_job_templates", "managedJobTemplates", "next", {}, 7),
    ("list_job_executions_for_job", "executionSummaries", "next", {"jobId": "n1"}, 7),
    ("list_job_executions_for_thing", "executionSummaries", "next", {"thingName": "n1"}, 7),
    ("list_role_aliases", "roleAliases", "marker", {}, 7),
    ("list_role_aliases", "roleAliases", "marker", {"ascendingOrder": True}, 7),
    ("search_index", "things", "next", {"queryString": "thingName:n*"}, 7),
    ("list_policy_principals", "principals", "marker", {"policyName": "held"}, 7),
    ("list_dimensions", "dimensionNames", "next", {}, 7),
    ("list_custom_metrics", "metricNames", "next", {}, 7),
    ("list_scheduled_audits", "scheduledAudits", "next", {}, 5),
    ("list_mitigation_actions", "actionIdentifiers", "next", {}, 7),
    ("list_security_profiles", "securityProfileIdentifiers", "next", {}, 7),
    ("list_targets_for_security_profile", "securityProfileTargets", "next", {"securityProfileName": "n0"}, 8),
    ("list_security_profiles_for_target", "securityProfileTargetMappings", "next", {"securityProfileTargetArn": -2}, 5),
    ("list_provisioning_templates", "templates", "next", {}, 7),
    ("list_provisioning_template_versions", "versions", "next", {"templateName": "n0"}, 5),
]

_AFTER_SOMETHING_HAPPENED = {
    *("listactiveviolations", "listviolationevents", "listmetricvalues", "listauditfindings", "listaudittasks"),
    *("listauditmitigationactionsexecutions", "listauditmitigationactionstasks", "listauditsuppressions"),
    *("listdetectmitigationactionsexecutions", "listdetectmitigationactionstasks"),
    *("listrelatedresourcesforauditfinding", "listthingregistrationtasks", "listthingregistrationtaskreports"),
}
"""They list what audits, alarms and tasks have left; the tests of these make it."""

_WORDS = {"next": ("maxResults", "nextToken", "nextToken"), "marker": ("pageSize", "marker", "nextMarker")}


def pages(method: Callable[..., Any], style: str, size: int, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Every page of a listing."""
    size_word, token_word, answer_word = _WORDS[style]
    found = [method(**parameters, **{size_word: size})]
    while token := found[-1].get(answer_word):
        found.append(method(**parameters, **{size_word: size, token_word: token}))
    return found


@pytest.mark.parametrize(("operation", "key", "style", "parameters", "total"), LISTINGS)
def test_a_listing_in_pages_is_the_listing(
    fleet: Any, operation: str, key: str, style: str, parameters: dict[str, Any], total: int
) -> None:
    """Pages of three hold at most three each, every item once, in the order of the whole."""
    iot, arns = fleet
    given = {name: arns[value] if value in {0, -1, -2} else value for name, value in parameters.items()}
    method = getattr(iot, operation)
    found = [page[key] for page in pages(method, style, 3, given)]
    whole = pages(method, style, 250, given)
    assert len(whole) == 1
    assert whole[0][key] == [item for page in found for item in page]
    assert total == len(whole[0][key])
    assert [3] * (total // 3) + ([total % 3] if total % 3 else []) == [len(page) for page in found]


@pytest.mark.parametrize(("operation", "key", "style", "parameters", "total"), LISTINGS)
def test_a_token_of_something_else_is_refused(
    fleet: Any, operation: str, key: str, style: str, parameters: dict[str, Any], total: int
) -> None:
    """Garbage, and the token of another listing, are InvalidRequestException."""
    iot, arns = fleet
    given = {name: arns[value] if value in {0, -1, -2} else value for name, value in parameters.items()}
    token_word = _WORDS[style][1]
    other = iot.list_things(maxResults=1, attributeName="colour", usePrefixAttributeValue=True, attributeValue="r")
    for token in ("AAAA", "W10=", other["nextToken"], _forged(other["nextToken"])):
        refusal = refused(getattr(iot, operation), **given, **{token_word: token})
        assert (refusal.code, refusal.status) == ("InvalidRequestException", 400)


def _forged(token: str) -> str:
    """A token with the checksum of another, and a place that no table holds."""
    return base64.b64encode(base64.b64decode(token)[:8] + b"[" + b"9" * 30 + b"]").decode()


def test_the_default_page(fleet: Any) -> None:
    """Without a size, a page has AWS's default of 25."""
    iot, _ = fleet
    arn = iot.create_thing_group(thingGroupName="tagged")["thingGroupArn"]
    for first in (0, 15):
        iot.tag_resource(
            resourceArn=arn, tags=[{"Key": str(number), "Value": ""} for number in range(first, first + 15)]
        )
    page = iot.list_tags_for_resource(resourceArn=arn)
    rest = iot.list_tags_for_resource(resourceArn=arn, nextToken=page["nextToken"])
    assert (len(page["tags"]), len(rest["tags"])) == (25, 5)
    assert "nextToken" not in rest
    iot.delete_thing_group(thingGroupName="tagged")


def test_no_listing_is_forgotten() -> None:
    """Every built operation with a page size is in the table above."""
    from iotctl.aws import service_model

    model = service_model("iot")
    paged = {
        name.removeprefix("iot:").lower()
        for name in OPERATIONS
        if name.startswith("iot:")
        and (shape := model.operation_model(name.removeprefix("iot:")).input_shape)
        and {"maxResults", "pageSize"} & set(shape.members)
    }
    tested = {operation.replace("_", "") for operation, *_ in LISTINGS}
    assert paged - {"listindices"} - _AFTER_SOMETHING_HAPPENED <= tested  # there are two indices at most
