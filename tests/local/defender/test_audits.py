"""Audits: the configuration, tasks and their checks, schedules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from iotctl.local.gateway.mqtt.broker import ConnectionState
from iotctl.local.gateway.mqtt.interfaces import Incoming
from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES
from iotctl.local.services.defender import configuration, due, history, running
from iotctl.local.witness import Witness
from iotctl.semantics.checks import load
from tests.local.defender.conftest import ROLE

if TYPE_CHECKING:
    from tests.local.defender.conftest import World

LOGGING = "LOGGING_DISABLED_CHECK"
EXPIRING = "DEVICE_CERTIFICATE_EXPIRING_CHECK"
CA_EXPIRING = "CA_CERTIFICATE_EXPIRING_CHECK"
AGE = "DEVICE_CERTIFICATE_AGE_CHECK"
POLICY = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
DAY = 86400.0


def test_the_configuration(world: World) -> None:
    """All 17 checks, off at first; the first change needs a role and a check; what is not named stays."""
    everything = world.call("DescribeAccountAuditConfiguration")
    checks = everything["auditCheckConfigurations"]
    assert (17, None, {False}) == (len(checks), everything["roleArn"], {one["enabled"] for one in checks.values()})
    change = "UpdateAccountAuditConfiguration"
    one = {LOGGING: {"enabled": True}}
    assert "InvalidRequestException" == world.refused(change, roleArn=ROLE)
    assert "InvalidRequestException" == world.refused(change, auditCheckConfigurations=one)
    assert "ResourceNotFoundException" == world.refused("DeleteAccountAuditConfiguration")
    world.call(change, roleArn=ROLE, auditCheckConfigurations=one)
    world.enable(AGE, DEVICE_CERTIFICATE_AGE_CHECK={"CERT_AGE_THRESHOLD_IN_DAYS": "30"})
    found = world.call("DescribeAccountAuditConfiguration")
    assert ROLE == found["roleArn"]
    assert {LOGGING, AGE} == {name for name, one in found["auditCheckConfigurations"].items() if one["enabled"]}
    assert {"CERT_AGE_THRESHOLD_IN_DAYS": "30"} == found["auditCheckConfigurations"][AGE]["configuration"]
    world.call("DeleteAccountAuditConfiguration")
    assert everything == world.call("DescribeAccountAuditConfiguration")


def test_what_a_configuration_is_not(world: World) -> None:
    """Checks that do not exist (ours among them), and settings of other checks or out of range, are refused."""
    change = "UpdateAccountAuditConfiguration"
    ours = next(name for name, one in load().items() if one.ours)
    bad = [
        {"NO_SUCH_CHECK": {"enabled": True}},
        {ours: {"enabled": True}},
        {AGE: {"enabled": True, "configuration": {"CERT_AGE_THRESHOLD_IN_DAYS": "29"}}},
        {AGE: {"enabled": True, "configuration": {"CERT_AGE_THRESHOLD_IN_DAYS": "a year"}}},
        {EXPIRING: {"enabled": True, "configuration": {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "29"}}},
        {EXPIRING: {"enabled": True, "configuration": {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "3653"}}},
        {LOGGING: {"enabled": True, "configuration": {"CERT_AGE_THRESHOLD_IN_DAYS": "30"}}},
    ]
    for one in bad:
        assert "InvalidRequestException" == world.refused(change, roleArn=ROLE, auditCheckConfigurations=one)


def test_an_audit_on_demand(world: World) -> None:
    """Only of checks that are enabled; each ends compliant or not, with how many it looked at, and says why."""
    assert "InvalidRequestException" == world.refused("StartOnDemandAuditTask", targetCheckNames=[LOGGING])
    world.enable(LOGGING, EXPIRING)
    ending, _ = world.certificate("ending", days=10), world.certificate("good")
    assert "InvalidRequestException" == world.refused("StartOnDemandAuditTask", targetCheckNames=[LOGGING, POLICY])
    task = world.audit(EXPIRING, LOGGING)
    assert ("COMPLETED", "ON_DEMAND_AUDIT_TASK") == (task["taskStatus"], task["taskType"])
    assert (2, 2, 0) == tuple(
        task["taskStatistics"][name] for name in ("totalChecks", "nonCompliantChecks", "failedChecks")
    )
    details = task["auditDetails"][EXPIRING]
    assert ("COMPLETED_NON_COMPLIANT", False, 2, 1, 0) == (
        details["checkRunStatus"],
        details["checkCompliant"],
        details["totalResourcesCount"],
        details["nonCompliantResourcesCount"],
        details["suppressedNonCompliantResourcesCount"],
    )
    found = world.findings(task["taskId"], checkName=EXPIRING)
    assert [{"deviceCertificateId": ending}] == [one["nonCompliantResource"]["resourceIdentifier"] for one in found]
    assert ("MEDIUM", "CERTIFICATE_APPROACHING_EXPIRATION", False) == (
        found[0]["severity"],
        found[0]["reasonForNonComplianceCode"],
        found[0]["isSuppressed"],
    )
    ends = int(found[0]["nonCompliantResource"]["additionalInfo"]["EXPIRATION_TIME"]) / 1000
    assert abs(ends - world.time - 10 * DAY) < 2 * 3600
    assert found[0] == world.call("DescribeAuditFinding", findingId=found[0]["findingId"])["finding"]
    assert "ResourceNotFoundException" == world.refused("DescribeAuditFinding", findingId="0" * 32)


def test_the_settings_of_checks(world: World) -> None:
    """A certificate becomes old, or near its end, by the days that were set; a CA has its own thirty."""
    world.certificate(days=100)
    world.enable(
        AGE,
        EXPIRING,
        DEVICE_CERTIFICATE_AGE_CHECK={"CERT_AGE_THRESHOLD_IN_DAYS": "40"},
        DEVICE_CERTIFICATE_EXPIRING_CHECK={"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "50"},
    )
    rules = configuration.configured(world.store).rules
    assert (40, 50, 30) == (rules(AGE).age_days, rules(EXPIRING).expiring_days, rules(CA_EXPIRING).expiring_days)
    found = []
    for _ in range(3):
        task = world.audit(AGE, EXPIRING)
        found.append(sorted(one["reasonForNonComplianceCode"] for one in world.findings(task["taskId"])))
        world.later(days=45)
    assert [
        [],
        ["CERTIFICATE_PAST_AGE_THRESHOLD"],
        ["CERTIFICATE_APPROACHING_EXPIRATION", "CERTIFICATE_PAST_AGE_THRESHOLD"],
    ] == found


def test_a_batch_at_a_time(world: World) -> None:
    """Certificates are collected before they are judged: until then the check waits, and a cancel ends it."""
    world.enable(EXPIRING, LOGGING)
    world.certificate()
    started = [world.call("StartOnDemandAuditTask", targetCheckNames=[EXPIRING, LOGGING])["taskId"] for _ in range(2)]
    details = world.call("DescribeAuditTask", taskId=started[1])["auditDetails"]
    assert "WAITING_FOR_DATA_COLLECTION" == details[EXPIRING]["checkRunStatus"]
    assert "IN_PROGRESS" == details[LOGGING]["checkRunStatus"]
    world.call("CancelAuditTask", taskId=started[1])
    world.later()
    ended = [world.call("DescribeAuditTask", taskId=one) for one in started]
    assert ["COMPLETED", "CANCELED"] == [one["taskStatus"] for one in ended]
    assert 2 == ended[1]["taskStatistics"]["canceledChecks"]
    assert "InvalidRequestException" == world.refused("CancelAuditTask", taskId=started[1])
    assert "ResourceNotFoundException" == world.refused("CancelAuditTask", taskId="none")
    for _ in range(10):
        world.call("StartOnDemandAuditTask", targetCheckNames=[LOGGING])
    assert "LimitExceededException" == world.refused("StartOnDemandAuditTask", targetCheckNames=[LOGGING])


def test_what_cannot_be_read_is_never_compliant(world: World) -> None:
    """A role's policies (there is no IAM here), a check that is disabled meanwhile: FAILED, and why."""
    alias = "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK"
    world.enable(alias, LOGGING, POLICY)
    assert "COMPLETED_COMPLIANT" == world.audit(alias)["auditDetails"][alias]["checkRunStatus"]
    world.call("CreateRoleAlias", roleAlias="core", roleArn=f"arn:aws:iam::{world.store.account_id}:role/core")
    task = world.audit(alias)
    details = task["auditDetails"][alias]
    assert ("FAILED", "FAILED", "INSUFFICIENT_PERMISSIONS") == (
        task["taskStatus"],
        details["checkRunStatus"],
        details["errorCode"],
    )
    assert "no IAM" in details["message"]
    task_id = world.call("StartOnDemandAuditTask", targetCheckNames=[LOGGING, POLICY])["taskId"]
    disabled = {LOGGING: {"enabled": False}}
    world.call("UpdateAccountAuditConfiguration", auditCheckConfigurations=disabled)
    world.later()
    ended = world.call("DescribeAuditTask", taskId=task_id)
    assert ("COMPLETED", "AUDIT_CHECK_DISABLED") == (ended["taskStatus"], ended["auditDetails"][LOGGING]["errorCode"])


def test_audits_are_listed(world: World) -> None:
    """The newest first, by time, kind and status; not from before what is kept, after which they are gone."""
    world.enable(LOGGING)
    first = world.audit(LOGGING)["taskId"]
    world.later(days=1)
    second = world.audit(LOGGING)["taskId"]
    span = {"startTime": world.time - 30 * DAY, "endTime": world.time}

    def ids(**more: str) -> list[str]:
        return [one["taskId"] for one in world.call("ListAuditTasks", **{**span, **more})["tasks"]]

    assert [second, first] == ids()
    assert [] == ids(taskStatus="FAILED")
    assert [] == ids(taskType="SCHEDULED_AUDIT_TASK")
    page = world.call("ListAuditTasks", **span, maxResults=1)
    assert (
        first == world.call("ListAuditTasks", **span, maxResults=1, nextToken=page["nextToken"])["tasks"][0]["taskId"]
    )
    assert "InvalidRequestException" == world.refused("ListAuditTasks", startTime=0, endTime=world.time)
    assert 1 == len(world.findings(first))
    world.later(days=91)
    world.audit(LOGGING)
    assert "ResourceNotFoundException" == world.refused("DescribeAuditTask", taskId=first)
    assert "InvalidRequestException" == world.refused("ListAuditFindings")
    assert 1 == len(world.call("ListAuditFindings", startTime=0, endTime=world.time)["findings"])


def test_a_schedule(world: World) -> None:
    """Begun at its time, once however long nothing ran; it keeps its check from being disabled."""
    world.enable(LOGGING, EXPIRING)
    made = world.call(
        "CreateScheduledAudit", frequency="DAILY", targetCheckNames=[LOGGING], scheduledAuditName="nightly"
    )
    assert made["scheduledAuditArn"].endswith(":scheduledaudit/nightly")
    off = {"auditCheckConfigurations": {LOGGING: {"enabled": False}}}
    assert "InvalidRequestException" == world.refused("UpdateAccountAuditConfiguration", **off)
    assert "InvalidRequestException" == world.refused("DeleteAccountAuditConfiguration")
    span = {"startTime": world.time, "endTime": world.time + 30 * DAY, "maxResults": 250}
    world.later(days=3)
    assert 3 == len(world.call("ListAuditTasks", **span, taskType="SCHEDULED_AUDIT_TASK")["tasks"])
    world.time += 5 * DAY  # nothing runs
    world.later()
    tasks = world.call("ListAuditTasks", **span)["tasks"]
    assert 4 == len(tasks)
    found = world.call("DescribeAuditTask", taskId=tasks[0]["taskId"])
    assert ("nightly", "COMPLETED") == (found["scheduledAuditName"], found["taskStatus"])
    tomorrow = datetime.fromtimestamp(world.time, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (tomorrow + timedelta(days=1)).timestamp() == due.next_due(world.store)
    world.call("DeleteAccountAuditConfiguration", deleteScheduledAudits=True)
    assert [] == world.call("ListScheduledAudits")["scheduledAudits"]
    assert due.next_due(world.store) is None


def test_schedules_are_changed(world: World) -> None:
    """Another frequency brings its own day; five at most."""
    world.enable(LOGGING, EXPIRING)
    create = {"targetCheckNames": [LOGGING], "frequency": "DAILY"}
    for number in range(5):
        world.call("CreateScheduledAudit", **create, scheduledAuditName=f"a{number}")
    assert "LimitExceededException" == world.refused("CreateScheduledAudit", **create, scheduledAuditName="a5")
    assert "ResourceAlreadyExistsException" == world.refused("CreateScheduledAudit", **create, scheduledAuditName="a0")
    bad = {**create, "scheduledAuditName": "b", "frequency": "WEEKLY"}
    assert "InvalidRequestException" == world.refused("CreateScheduledAudit", **bad)
    change = "UpdateScheduledAudit"
    assert "InvalidRequestException" == world.refused(change, scheduledAuditName="a0", frequency="MONTHLY")
    world.call(change, scheduledAuditName="a0", frequency="MONTHLY", dayOfMonth="LAST", targetCheckNames=[EXPIRING])
    world.call(change, scheduledAuditName="a0", dayOfMonth="1")
    found = world.call("DescribeScheduledAudit", scheduledAuditName="a0")
    assert ("MONTHLY", "1", None, [EXPIRING]) == (
        found["frequency"],
        found["dayOfMonth"],
        found["dayOfWeek"],
        found["targetCheckNames"],
    )
    world.call("DeleteScheduledAudit", scheduledAuditName="a0")
    assert "ResourceNotFoundException" == world.refused("DeleteScheduledAudit", scheduledAuditName="a0")
    assert ["a1", "a2", "a3", "a4"] == [
        one["scheduledAuditName"] for one in world.call("ListScheduledAudits")["scheduledAudits"]
    ]


def test_how_devices_connected(world: World) -> None:
    """Kept from when a check is enabled until it is disabled; a scheduled audit looks back to the one before it."""
    taken, shared = "CONFLICTING_CLIENT_IDS_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK"
    store = world.store
    ids = ["1" * 64, "2" * 64]
    history.taken_over(store, "p", *ids)
    world.enable(taken, shared, LOGGING)
    assert 0 == world.audit(taken)["auditDetails"][taken]["totalResourcesCount"]
    history.taken_over(store, "p", *ids)
    history.shared(store, ids[0], {"a": world.time - 9, "b": world.time - 6})
    history.ended(store, ids[0], "a")
    history.shared(store, ids[0], {"b": world.time - 6, "c": world.time - 3})
    found = {one["checkName"]: one for one in world.findings(world.audit(taken, shared)["taskId"])}
    assert {"clientId": "p"} == found[taken]["nonCompliantResource"]["resourceIdentifier"]
    principals = {one["resourceIdentifier"]["deviceCertificateId"]: one for one in found[taken]["relatedResources"]}
    times = {identity: set(one["additionalInfo"]) for identity, one in principals.items()}
    assert {ids[0]: {"DISCONNECTION_TIME"}, ids[1]: {"CONNECTION_TIME"}} == times
    related = world.call("ListRelatedResourcesForAuditFinding", findingId=found[shared]["findingId"], maxResults=2)
    rest = world.call(
        "ListRelatedResourcesForAuditFinding", findingId=found[shared]["findingId"], nextToken=related["nextToken"]
    )
    clients = [*related["relatedResources"], *rest["relatedResources"]]
    now = int(world.time * 1000)
    assert [
        ("c", {"CONNECTION_TIME": str(now - 3000)}),
        ("b", {"CONNECTION_TIME": str(now - 6000)}),
        ("a", {"CONNECTION_TIME": str(now - 9000), "DISCONNECTION_TIME": str(now)}),
    ] == [(one["resourceIdentifier"]["clientId"], one["additionalInfo"]) for one in clients]
    schedule = {"frequency": "DAILY", "targetCheckNames": [taken], "scheduledAuditName": "n"}
    world.later(days=1)
    world.call("CreateScheduledAudit", **schedule)
    world.later(days=1)
    tasks = world.call("ListAuditTasks", startTime=world.time - DAY, endTime=world.time)["tasks"]
    assert [] == world.findings(tasks[0]["taskId"])
    assert 1 == len(world.findings(world.audit(taken)["taskId"]))
    world.later(days=31)
    assert [] == world.findings(world.audit(taken)["taskId"])


def test_an_interrupted_check_is_done_again(world: World) -> None:
    """A platform that ended in the middle of an audit goes on with it."""
    world.enable(LOGGING, EXPIRING)
    task_id = world.call("StartOnDemandAuditTask", targetCheckNames=[LOGGING, EXPIRING])["taskId"]
    due.run_due(world.store)
    assert running.next_due(world.store) is not None
    world.later()
    assert "COMPLETED" == world.call("DescribeAuditTask", taskId=task_id)["taskStatus"]
    assert running.next_due(world.store) is None


def test_only_certificates_are_shared(world: World) -> None:
    """An operator's access key may be in many connections; a client id that is taken over is one, whoever it is."""
    world.enable("CONFLICTING_CLIENT_IDS_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK")
    handlers: dict[str, Any] = {}

    class Crowded:
        """A broker, as far as a witness asks it: everybody is there twice."""

        def __init__(self) -> None:
            self.router = self

        def on(self, topic: str, handler: Any) -> Any:
            handlers[topic.split("/")[3]] = handler
            return lambda: handlers.pop(topic.split("/")[3])

        def clients_of(self, _: str) -> list[str]:
            return ["a", "b"]

        def connection(self, client_id: str) -> ConnectionState:
            return ConnectionState(None, connected=True, clean_session=True, session_expiry=0)  # type: ignore[arg-type]

    def says(kind: str, principal: str, client: Any = None) -> None:
        event = {"clientId": "c", "principalIdentifier": principal, "disconnectReason": "DUPLICATE_CLIENTID"}
        handlers[kind](Incoming("t", json.dumps(event).encode(), client, 0, False, NO_PROPERTIES))

    witness = Witness(world.store, Crowded())  # type: ignore[arg-type]  as far as it asks
    witness.look()
    says("disconnected", "LKIAEXAMPLE")
    says("connected", "LKIAEXAMPLE")
    says("connected", "1" * 64)
    says("connected", "2" * 64, client=object())  # a client's own message says nothing
    assert ["1" * 64] == [one.certificate_id for one in history.sharings(world.store, 0)]
    (takeover,) = history.takeovers(world.store, 0)
    assert ("c", ["LKIAEXAMPLE"]) == (takeover.client_id, [one.principal for one in takeover.sessions])
    disabled = {
        name: {"enabled": False} for name in ("CONFLICTING_CLIENT_IDS_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK")
    }
    world.call("UpdateAccountAuditConfiguration", auditCheckConfigurations=disabled)
    witness.look()
    assert {} == handlers
    assert [] == [*history.sharings(world.store, 0), *history.takeovers(world.store, 0)]
