"""Suppressions, and mitigation actions: what they do to certificates, policies, groups and logging."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from iotctl import pki
from tests.local.defender.conftest import ROLE

if TYPE_CHECKING:
    from tests.local.defender.conftest import World

LOGGING = "LOGGING_DISABLED_CHECK"
EXPIRING = "DEVICE_CERTIFICATE_EXPIRING_CHECK"
CA_EXPIRING = "CA_CERTIFICATE_EXPIRING_CHECK"
POLICY = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
WIDE = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
DAY = 86400.0

ACTIONS: dict[str, dict[str, Any]] = {
    "off": {"updateDeviceCertificateParams": {"action": "DEACTIVATE"}},
    "ca-off": {"updateCACertificateParams": {"action": "DEACTIVATE"}},
    "quarantine": {"addThingsToThingGroupParams": {"thingGroupNames": ["quarantine"]}},
    "blank": {"replaceDefaultPolicyVersionParams": {"templateName": "BLANK_POLICY"}},
    "log": {"enableIoTLoggingParams": {"roleArnForLogging": ROLE, "logLevel": "ERROR"}},
    "tell": {"publishFindingToSnsParams": {"topicArn": "arn:aws:sns:us-east-1:123456789012:alerts"}},
}


def prepared(world: World) -> str:
    """A fleet with one fault of each kind that can be mended, audited; the id of the audit."""
    world.call("CreateThingGroup", thingGroupName="quarantine")
    world.call("CreatePolicy", policyName="wide", policyDocument=WIDE)
    world.certificate("ending", days=10)
    ending = pki.Authority.create("old factory", days=10).certificate_pem
    world.call("RegisterCACertificate", caCertificate=ending, certificateMode="SNI_ONLY", setAsActive=True)
    for name, params in ACTIONS.items():
        world.call("CreateMitigationAction", actionName=name, roleArn=ROLE, actionParams=params)
    world.enable(LOGGING, EXPIRING, CA_EXPIRING, POLICY)
    return str(world.audit(LOGGING, EXPIRING, CA_EXPIRING, POLICY)["taskId"])


def start(world: World, task_id: str, target: dict[str, Any], **mapping: list[str]) -> dict[str, Any]:
    """Start a task, let it end; what DescribeAuditMitigationActionsTask says."""
    world.call(
        "StartAuditMitigationActionsTask",
        taskId=task_id,
        target=target,
        auditCheckToActionsMapping=mapping,
        clientRequestToken=task_id,
    )
    world.later()
    return world.call("DescribeAuditMitigationActionsTask", taskId=task_id)


def executions(world: World, task_id: str, finding_id: str) -> list[tuple[str, str, str | None]]:
    """Of one finding each action, how it ended and with which error."""
    found = world.call("ListAuditMitigationActionsExecutions", taskId=task_id, findingId=finding_id)
    return [(one["actionName"], one["status"], one["errorCode"]) for one in found["actionsExecutions"]]


def test_every_action_is_done_for_real(world: World) -> None:
    """Each does what it says, and the next audit finds nothing any more."""
    audit = prepared(world)
    assert 4 == len(world.findings(audit))
    mapping = {LOGGING: ["log"], EXPIRING: ["quarantine", "off"], CA_EXPIRING: ["ca-off"], POLICY: ["blank"]}
    task = start(world, "mend", {"auditTaskId": audit}, **mapping)
    assert "COMPLETED" == task["taskStatus"]
    assert {1} == {one["succeededFindingsCount"] for one in task["taskStatistics"].values()}
    members = world.call("ListThingsInThingGroup", thingGroupName="quarantine")["things"]
    assert ["ending"] == members
    document = json.loads(world.call("GetPolicy", policyName="wide")["policyDocument"])
    assert [] == document["Statement"]
    assert ["INACTIVE"] == [one["status"] for one in world.call("ListCertificates")["certificates"]]
    assert ["INACTIVE"] == [one["status"] for one in world.call("ListCACertificates")["certificates"]]
    assert "ERROR" == world.call("GetV2LoggingOptions")["defaultLogLevel"]
    assert [] == world.findings(world.audit(LOGGING, EXPIRING, CA_EXPIRING, POLICY)["taskId"])


def test_an_action_that_fails(world: World) -> None:
    """The rest is skipped for its finding and done for the others; there is no SNS here, and that is said."""
    audit = prepared(world)
    other = world.certificate("other", days=5)
    world.audit(EXPIRING)
    found = {one["checkName"]: one["findingId"] for one in world.findings(audit)}
    task = start(world, "mend", {"auditTaskId": audit}, **{LOGGING: ["log"], EXPIRING: ["tell", "off"]})
    assert ("FAILED", 1, 1) == (
        task["taskStatus"],
        task["taskStatistics"][EXPIRING]["failedFindingsCount"],
        task["taskStatistics"][LOGGING]["succeededFindingsCount"],
    )
    assert [("tell", "FAILED", "EndpointNotFound"), ("off", "SKIPPED", None)] == executions(
        world, "mend", found[EXPIRING]
    )
    assert [("log", "COMPLETED", None)] == executions(world, "mend", found[LOGGING])
    assert "ACTIVE" == world.call("DescribeCertificate", certificateId=other)["certificateDescription"]["status"]
    for number in range(4):
        world.call("CreatePolicyVersion", policyName="wide", policyDocument=WIDE, setAsDefault=number == 3)
    task = start(world, "more", {"findingIds": [found[POLICY]]}, **{POLICY: ["blank"]})
    assert [("blank", "FAILED", "VersionsLimitExceededException")] == executions(world, "more", found[POLICY])


def test_what_of_an_action_was_done_is_taken_back_where_it_fails(world: World) -> None:
    """Two groups, of which one is not there: the thing is in none of them, and no event says it is."""
    audit = prepared(world)
    world.call("UpdateEventConfigurations", eventConfigurations={"THING_GROUP_MEMBERSHIP": {"Enabled": True}})
    groups = {"addThingsToThingGroupParams": {"thingGroupNames": ["quarantine", "nowhere"]}}
    world.call("CreateMitigationAction", actionName="both", roleArn=ROLE, actionParams=groups)
    world.store.drain()
    assert "FAILED" == start(world, "mend", {"auditTaskId": audit}, **{EXPIRING: ["both"]})["taskStatus"]
    assert ["$local/due/mend"] == [event.topic for event in world.store.drain()]
    assert [] == world.call("ListThingsInThingGroup", thingGroupName="quarantine")["things"]


def test_what_is_refused(world: World) -> None:
    """Actions that a check does not support or that do not exist, targets that say nothing or too much."""
    audit = prepared(world)

    def refused(target: dict[str, Any], mapping: dict[str, list[str]], task_id: str = "t") -> str:
        return world.refused(
            "StartAuditMitigationActionsTask",
            taskId=task_id,
            target=target,
            auditCheckToActionsMapping=mapping,
            clientRequestToken=task_id,
        )

    bad: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({"auditTaskId": audit}, {LOGGING: ["off"]}),
        ({"auditTaskId": audit}, {EXPIRING: ["blank"]}),
        ({"auditTaskId": audit}, {EXPIRING: ["none"]}),
        ({"auditTaskId": audit}, {}),
        ({"auditTaskId": audit, "findingIds": ["f"]}, {LOGGING: ["log"]}),
        ({}, {LOGGING: ["log"]}),
    ]
    assert {"InvalidRequestException"} == {refused(*one) for one in bad}
    assert "ResourceNotFoundException" == refused({"findingIds": ["f"]}, {LOGGING: ["log"]})
    start(world, "t", {"auditTaskId": audit}, **{LOGGING: ["tell"]})
    assert "TaskAlreadyExistsException" == refused({"auditTaskId": audit}, {LOGGING: ["log"]})
    assert "InvalidRequestException" == world.refused("CancelAuditMitigationActionsTask", taskId="t")
    disabled = {"enableIoTLoggingParams": {"roleArnForLogging": ROLE, "logLevel": "DISABLED"}}
    for params in (disabled, {}, {**ACTIONS["off"], **ACTIONS["log"]}):
        made = {"actionName": "x", "roleArn": ROLE, "actionParams": params}
        assert "InvalidRequestException" == world.refused("CreateMitigationAction", **made)
    assert "InvalidRequestException" == world.refused(
        "UpdateMitigationAction", actionName="off", actionParams=ACTIONS["log"]
    )


def test_tasks_are_filtered_canceled_and_listed(world: World) -> None:
    """By reason code; a cancel leaves what was done; by time, status, audit and finding."""
    audit = prepared(world)
    never = {"auditCheckToReasonCodeFilter": {EXPIRING: ["CERTIFICATE_PAST_EXPIRATION"]}}
    assert {} == start(world, "none", {"auditTaskId": audit, **never}, **{EXPIRING: ["off"]})["taskStatistics"]
    world.call(
        "StartAuditMitigationActionsTask",
        taskId="stop",
        target={"auditTaskId": audit},
        auditCheckToActionsMapping={LOGGING: ["log"]},
        clientRequestToken="stop",
    )
    world.call("CancelAuditMitigationActionsTask", taskId="stop")
    world.later()
    task = world.call("DescribeAuditMitigationActionsTask", taskId="stop")
    assert ("CANCELED", 1) == (task["taskStatus"], task["taskStatistics"][LOGGING]["canceledFindingsCount"])
    span = {"startTime": world.time - DAY, "endTime": world.time}
    finding = world.findings(audit, checkName=LOGGING)[0]["findingId"]

    def ids(**more: str) -> set[str]:
        return {one["taskId"] for one in world.call("ListAuditMitigationActionsTasks", **span, **more)["tasks"]}

    assert [{"none", "stop"}, {"stop"}, {"stop"}, set()] == [
        ids(auditTaskId=audit),
        ids(findingId=finding),
        ids(taskStatus="CANCELED"),
        ids(auditTaskId="0"),
    ]


def test_actions_are_kept(world: World) -> None:
    """Created, changed, shown, listed by type, deleted; again is no error."""
    prepared(world)
    world.call("UpdateMitigationAction", actionName="quarantine", roleArn=f"{ROLE}-2")
    found = world.call("DescribeMitigationAction", actionName="quarantine")
    assert ("ADD_THINGS_TO_THING_GROUP", f"{ROLE}-2", ACTIONS["quarantine"]) == (
        found["actionType"],
        found["roleArn"],
        found["actionParams"],
    )
    logs = world.call("ListMitigationActions", actionType="ENABLE_IOT_LOGGING")["actionIdentifiers"]
    assert ["log"] == [one["actionName"] for one in logs]
    for _ in range(2):
        world.call("DeleteMitigationAction", actionName="log")
    assert "ResourceNotFoundException" == world.refused("DescribeMitigationAction", actionName="log")
    again = {"actionName": "off", "roleArn": ROLE, "actionParams": ACTIONS["off"]}
    assert "ResourceAlreadyExistsException" == world.refused("CreateMitigationAction", **again)


def test_suppressed_findings_do_not_count(world: World) -> None:
    """They are found, marked and counted apart; nothing is done about them; when the suppression ends they count."""
    audit = prepared(world)
    (resource,) = (
        one["nonCompliantResource"]["resourceIdentifier"] for one in world.findings(audit, checkName=EXPIRING)
    )
    named = {"checkName": EXPIRING, "resourceIdentifier": resource}
    world.call(
        "CreateAuditSuppression", **named, clientRequestToken="a", expirationDate=world.time + DAY, description="known"
    )
    task = world.audit(EXPIRING)
    details = task["auditDetails"][EXPIRING]
    assert ("COMPLETED_COMPLIANT", 1, 1) == (
        details["checkRunStatus"],
        details["nonCompliantResourcesCount"],
        details["suppressedNonCompliantResourcesCount"],
    )
    kinds = [
        len(world.findings(task["taskId"], **more))
        for more in ({}, *({"listSuppressedFindings": b} for b in (True, False)))
    ]
    assert [1, 1, 0] == kinds
    assert {} == start(world, "mend", {"auditTaskId": task["taskId"]}, **{EXPIRING: ["off"]})["taskStatistics"]
    world.later(days=2)
    assert "COMPLETED_NON_COMPLIANT" == world.audit(EXPIRING)["auditDetails"][EXPIRING]["checkRunStatus"]


def test_suppressions_are_kept(world: World) -> None:
    """One of a check and a resource; until a date or for good, never both; the resource is of the check's kind."""
    account = {"checkName": LOGGING, "resourceIdentifier": {"account": world.store.account_id}}
    create = "CreateAuditSuppression"
    bad: list[dict[str, Any]] = [
        {},
        {"suppressIndefinitely": True, "expirationDate": world.time + DAY},
        {"expirationDate": world.time - DAY},
        {"suppressIndefinitely": True, "resourceIdentifier": {"clientId": "c"}},
        {"suppressIndefinitely": True, "checkName": "NONE"},
    ]
    for one in bad:
        assert "InvalidRequestException" == world.refused(create, **{**account, "clientRequestToken": "t", **one})
    world.call(create, **account, clientRequestToken="t", suppressIndefinitely=True, description="for now")
    again = {**account, "suppressIndefinitely": True}
    assert "ResourceAlreadyExistsException" == world.refused(create, **again, clientRequestToken="u")
    client = {"checkName": "CONFLICTING_CLIENT_IDS_CHECK", "resourceIdentifier": {"clientId": "c"}}
    assert "ResourceAlreadyExistsException" == world.refused(
        create, **client, suppressIndefinitely=True, clientRequestToken="t"
    )
    world.call(create, **client, clientRequestToken="u", expirationDate=world.time + DAY)
    world.call("UpdateAuditSuppression", **account, description="for good")
    found = world.call("DescribeAuditSuppression", **account)
    assert (True, None, "for good") == (found["suppressIndefinitely"], found["expirationDate"], found["description"])

    def listed(**more: Any) -> list[str]:
        return [one["checkName"] for one in world.call("ListAuditSuppressions", **more)["suppressions"]]

    assert [LOGGING, client["checkName"]] == listed()
    assert [client["checkName"], LOGGING] == listed(ascendingOrder=True)
    assert [LOGGING] == listed(checkName=LOGGING)
    assert [client["checkName"]] == listed(resourceIdentifier={"clientId": "c"})
    for _ in range(2):
        world.call("DeleteAuditSuppression", **account)
    assert "ResourceNotFoundException" == world.refused("DescribeAuditSuppression", **account)
    assert "ResourceNotFoundException" == world.refused("UpdateAuditSuppression", **account, description="x")
