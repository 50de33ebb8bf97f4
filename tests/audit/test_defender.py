"""Device Defender as the engine: what it changes and restores, and that it finds what ours finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import aws
from iotctl.audit import configuring, defender, history, translating
from iotctl.audit.verdict import Audit
from iotctl.context import Context
from iotctl.errors import Exit, Temporary, Usage
from iotctl.journal import Journal
from iotctl.semantics.checks import Finding, Flaw, Rules, Verdict, load
from iotctl.semantics.checks import State as Ended
from iotctl.target import Platform
from tests.audit.test_cli import FOUND, found
from tests.local.conftest import client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]

THEIRS = [one for one in load().values() if not one.ours]
EXPIRING, LOGGING = "DEVICE_CERTIFICATE_EXPIRING_CHECK", "LOGGING_DISABLED_CHECK"
POLICY = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
SHARED = "DEVICE_CERTIFICATE_SHARED_CHECK"
ROLE = "arn:aws:iam::123456789012:role/iotctl-audit"


def held(*enabled: str, role: str = "", **settings: dict[str, str]) -> dict[str, Any]:
    """The answer of DescribeAccountAuditConfiguration."""
    checks: dict[str, Any] = {one.name: {"enabled": one.name in enabled} for one in THEIRS}
    for name, one in settings.items():
        checks[name]["configuration"] = one
    return {**({"roleArn": role} if role else {}), "auditCheckConfigurations": checks}


def test_what_has_to_change() -> None:
    """What is not enabled, but for what looks at a history; a role where there is none; thresholds that differ."""
    checks = [load()[name] for name in (EXPIRING, LOGGING, SHARED)]
    nothing = configuring.change(held(EXPIRING, LOGGING, role=ROLE), checks, Rules(), "r")
    assert not nothing
    all_of_it = configuring.change(held(), checks, Rules(expiring_days=60), "r")
    setting = {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "60"}
    assert configuring.Change((EXPIRING, LOGGING), {EXPIRING: setting}, "r") == all_of_it
    assert all(word in all_of_it.words() for word in (EXPIRING, LOGGING, "60", "the role r"))
    assert "enable 2 checks" in all_of_it.words(short=True)
    with pytest.raises(Usage, match="30 to 3652 days"):
        configuring.change(held(), checks, Rules(expiring_days=7), "r")
    same = held(EXPIRING, LOGGING, role=ROLE, DEVICE_CERTIFICATE_EXPIRING_CHECK=setting)
    assert not configuring.change(same, checks, Rules(expiring_days=60), "r")


def test_a_role_alone_is_not_configured() -> None:
    """AWS takes a first configuration only with a check that is enabled; for a look at a history none is."""
    assert not configuring.change(held(), [load()[SHARED]], Rules(), "r")


def test_the_example_of_the_reference() -> None:
    """`aws iot list-audit-findings` of a shared certificate: the client ids and the times are beside the words."""

    def connection(**times: str) -> dict[str, Any]:
        return {"resourceType": "CLIENT_ID", "resourceIdentifier": {"clientId": "ZipxgAIl"}, "additionalInfo": times}

    listed = {
        "checkName": SHARED,
        "nonCompliantResource": {
            "resourceType": "DEVICE_CERTIFICATE",
            "resourceIdentifier": {"deviceCertificateId": "b193"},
        },
        "relatedResources": [
            connection(CONNECTION_TIME="1560086374068"),
            connection(CONNECTION_TIME="1560081552187", DISCONNECTION_TIME="1560086371552"),
        ],
        "reasonForNonCompliance": "Certificate shared by one or more devices.",
        "reasonForNonComplianceCode": "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES",
    }
    flaw = translating.flaw(listed, {"b193": ("press-1",)})
    assert "Certificate shared by one or more devices: client ids ZipxgAIl" == flaw.actual
    assert (1560086374, ("press-1",)) == (flaw.since and int(flaw.since.timestamp()), flaw.things)
    assert flaw.mend.endswith("--certificate-id b193 --new-status REVOKED")
    ended = {
        **listed,
        "checkName": EXPIRING,
        "relatedResources": None,
        "reasonForNonComplianceCode": "CERTIFICATE_PAST_EXPIRATION",
    }
    ended["nonCompliantResource"] = {**listed["nonCompliantResource"], "additionalInfo": {"EXPIRATION_TIME": "1000"}}
    assert datetime.fromtimestamp(1, UTC) == translating.flaw(ended, {}).since


def test_what_it_alone_can_see_is_mended_by_choice(iotctl: Iotctl, iot: Any, home: Path) -> None:
    """How devices connected is not looked at again: as it was found the certificate goes off, if that is said."""
    (arn,) = iot.list_thing_principals(thingName="p1")["principals"]
    resource = {"deviceCertificateId": arn.rpartition("/")[2]}
    reason = "CERTIFICATE_SHARED_BY_MULTIPLE_DEVICES"
    seen = Finding(load()[SHARED], Flaw(reason, resource, "one", "two", "by hand", things=("p1",)))
    audit = Audit((seen,), (), (), datetime.now(UTC))
    with Journal(home) as journal:
        target = Context(local=True).target
        history.record(journal, history.Series("audit run --engine defender", "x", target), audit, Exit.DIFFERS)
    fix = ("audit", "fix", seen.finding_id, "--dry-run")
    assert (2, True) == ((alone := iotctl(*fix)).code, "--deactivate" in alone.stderr)
    ran = iotctl(*fix, "--deactivate")
    assert (0, True) == (ran.code, "deactivate 1 certificate of p1" in ran.stderr), ran.stderr


def test_every_check_has_words_for_what_should_be() -> None:
    """Device Defender says only what is."""
    assert {one.name for one in THEIRS} == set(translating.EXPECTED)


def test_how_it_is_taken_back() -> None:
    """As it was, the default where no setting was; where nothing was configured nothing is again."""
    setting = {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "60"}
    changed = configuring.Change((LOGGING,), {EXPIRING: setting})
    assert {
        "auditCheckConfigurations": {
            LOGGING: {"enabled": False},
            EXPIRING: {"enabled": True, "configuration": {"CERT_EXPIRATION_THRESHOLD_IN_DAYS": "30"}},
        }
    } == configuring.undone(held(EXPIRING, role=ROLE), changed)
    assert {} == configuring.undone(held(), changed)


def test_a_part_of_the_fleet() -> None:
    """Certificates of other things do not count; policies, which are of no thing, do."""
    expiring, policy = load()[EXPIRING], load()["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"]

    def finding(check: Any, resource: dict[str, Any], *things: str) -> Finding:
        return Finding(check, Flaw("R", resource, "compliant", "not", "mend", things=things))

    findings = [
        finding(expiring, {"deviceCertificateId": "c1"}, "p1"),
        finding(expiring, {"deviceCertificateId": "c2"}, "p2"),
        finding(policy, {"policyVersionIdentifier": {"policyName": "wide"}}),
    ]
    verdicts = [Verdict(expiring, Ended.FINDING, "", 9, 2), Verdict(policy, Ended.FINDING, "", 9, 1)]
    answer = defender.Answer(findings, verdicts)
    some = defender.within(answer, {"p2"})
    assert ["c2", "wide"] == [one.resource for one in some.findings]
    assert [("finding", 1), ("finding", 1)] == [(str(one.state), one.found) for one in some.verdicts]
    none = defender.within(answer, {"p3"})
    assert ["pass", "finding"] == [str(one.state) for one in none.verdicts]


@pytest.fixture
def iot(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Act on that platform; a client of it, its audits not configured."""
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "local")
    made = client(Platform.from_json(json.loads((home / "local" / "platform.json").read_bytes())))
    if made.describe_account_audit_configuration().get("roleArn"):
        made.delete_account_audit_configuration(deleteScheduledAudits=True)
    return made


def by_defender(iotctl: Iotctl, *words: str) -> Ran:
    """An audit by Device Defender, as JSON."""
    return iotctl("audit", "run", "--engine", "defender", "-o", "json", *words)


def test_it_finds_what_we_find(iotctl: Iotctl, iot: Any) -> None:
    """The same checks find the same resources, of the same things; what it has no check for is skipped, and told."""
    before = iot.describe_account_audit_configuration()
    theirs = by_defender(iotctl, "--configure")
    ours = iotctl("audit", "run", "-o", "json").envelope["data"]
    names = {one.name for one in THEIRS}
    assert (4, {one for one in FOUND if one[0] in names}) == (theirs.code, found(theirs))

    def facts(findings: list[dict[str, Any]]) -> list[Any]:
        keys = ("checkName", "severity", "reasonForNonComplianceCode", "resourceIdentifier", "thingNames")
        return sorted({json.dumps([one[key] for key in keys]) for one in findings if one["checkName"] in names})

    data = theirs.envelope["data"]
    assert facts(ours["findings"]) == facts(data["findings"])
    ended = {one["checkName"]: one["state"] for one in data["checks"]}
    assert {"skipped"} == {ended[name] for name in set(ended) - names}
    assert {"finding": 3, "pass": 10, "skipped": 4} == {
        state: [ended[name] for name in names].count(state) for state in ("finding", "pass", "skipped")
    }
    assert {key: value for key, value in before.items() if key != "ResponseMetadata"} == {
        key: value for key, value in iot.describe_account_audit_configuration().items() if key != "ResponseMetadata"
    }
    assert "COMPLETED" == iot.describe_audit_task(taskId=data["auditTaskId"])["taskStatus"]


def test_its_findings_are_mended_like_ours(iotctl: Iotctl, iot: Any) -> None:
    """Its finding of a policy does not say which statement: all that we find of the policy is meant, none is healed."""
    (one,) = by_defender(iotctl, "--configure", "--check", POLICY).envelope["data"]["findings"]
    (ours,) = iotctl("audit", "run", "--check", POLICY, "-o", "json").envelope["data"]["findings"]
    assert one["findingId"] != ours["findingId"]
    ran = iotctl("audit", "fix", one["findingId"], "--dry-run")
    assert (2, True) == (ran.code, f"{ours['findingId']}: wide is not mended" in ran.stderr)
    versions = iot.list_policy_versions(policyName="wide")["policyVersions"]
    assert ["1"] == [version["versionId"] for version in versions]


def test_without_leave_nothing_is_configured(iotctl: Iotctl, iot: Any) -> None:
    """What would be changed is named, exit 2; what is enabled already is audited, the rest is skipped."""
    refused = by_defender(iotctl, "--check", LOGGING)
    (error,) = refused.envelope["errors"]
    assert (2, "NotConfigured", True) == (refused.code, error["code"], f"enable {LOGGING}" in error["message"])
    assert iot.describe_account_audit_configuration().get("roleArn") is None
    on = {EXPIRING: {"enabled": True}}
    iot.update_account_audit_configuration(roleArn=ROLE, auditCheckConfigurations=on)
    ran = by_defender(iotctl, "--check", LOGGING, "--check", EXPIRING)
    ended = {one["checkName"]: (one["state"], one["reason"]) for one in ran.envelope["data"]["checks"]}
    assert (3, "skipped", "finding") == (ran.code, ended[LOGGING][0], ended[EXPIRING][0])
    assert "--configure" in ended[LOGGING][1]
    assert 2 == iotctl("audit", "run", "--configure").code
    assert 2 == iotctl("audit", "run", "--engine", "ours").code
    ignored = by_defender(iotctl, "--live")
    assert (2, True) == (ignored.code, "--live is about what iotctl reads" in ignored.envelope["errors"][0]["message"])


def test_a_scope_and_a_baseline(iotctl: Iotctl, iot: Any, tmp_path: Path) -> None:
    """Only certificates of these things; the baseline's thresholds are set for the audit, and taken back."""
    (tmp_path / "some").write_text("p1\n")
    scope = ("--things", str(tmp_path / "some"), "--check", EXPIRING, "--configure")
    assert 0 == by_defender(iotctl, *scope).code
    (tmp_path / "baseline.toml").write_text("version = 1\n[certificate]\nexpiring_days = 3652\n")
    ran = by_defender(iotctl, *scope, "--baseline", str(tmp_path / "baseline.toml"))
    assert (4, [["p1"]]) == (ran.code, [one["thingNames"] for one in ran.envelope["data"]["findings"]])
    assert iot.describe_account_audit_configuration().get("roleArn") is None


def test_a_page_cut_short_is_unknown(iotctl: Iotctl, iot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings that could not be listed are never taken for none: exit 3, with the operation and the reason."""

    def broken(self: aws.Aws, op: str, **more: Any) -> Iterator[dict[str, Any]]:
        raise Temporary("it is down")
        yield {}

    monkeypatch.setattr(aws.Aws, "pages", broken)
    ran = by_defender(iotctl, "--configure", "--check", EXPIRING)
    ended = [(one["state"], one["reason"]) for one in ran.envelope["data"]["checks"]]
    assert (3, [("unknown", "iot:ListAuditFindings failed: it is down")]) == (ran.code, ended)


def test_a_run_that_was_killed_is_put_right(
    iotctl: Iotctl, iot: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the configuration is restored a file says how it was; the next run with leave restores it first."""
    on = {EXPIRING: {"enabled": True}}
    iot.update_account_audit_configuration(roleArn=ROLE, auditCheckConfigurations=on)
    monkeypatch.setattr(defender, "restore", lambda *_: None)  # as if it had been killed
    assert 4 == by_defender(iotctl, "--configure", "--check", LOGGING, "--check", EXPIRING).code
    monkeypatch.undo()
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "local")

    def enabled() -> set[str]:
        checks = iot.describe_account_audit_configuration()["auditCheckConfigurations"]
        return {name for name, one in checks.items() if one["enabled"]}

    assert {EXPIRING, LOGGING} == enabled()
    told = iotctl("audit", "run", "--engine", "defender", "--check", EXPIRING)
    assert (4, True) == (told.code, "--configure restores it" in told.stderr)
    assert 4 == by_defender(iotctl, "--configure", "--check", EXPIRING).code
    assert {EXPIRING} == enabled()


def test_an_audit_that_takes_too_long(iotctl: Iotctl, iot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 13; where the configuration is restored it is canceled, else it goes on."""
    call = aws.Aws.call
    called: list[str] = []

    def slow(self: aws.Aws, op: str, **more: Any) -> dict[str, Any]:
        called.append(op)
        answer = call(self, op, **more)
        return {**answer, "taskStatus": "IN_PROGRESS"} if op == "iot:DescribeAuditTask" else answer

    monkeypatch.setattr(aws.Aws, "call", slow)
    ran = by_defender(iotctl, "--configure", "--check", LOGGING, "--timeout", "0s")
    assert (13, True) == (ran.code, "canceled" in ran.envelope["errors"][0]["message"])
    assert ["iot:CancelAuditTask", "iot:DescribeAccountAuditConfiguration", "iot:DeleteAccountAuditConfiguration"] == (
        called[-3:]
    )
    monkeypatch.undo()


def test_nothing_else_can_be_changed(home: Path) -> None:
    """The client of an audit by Device Defender refuses every other change, before it is sent."""
    platform = Platform.from_json(json.loads((home / "local" / "platform.json").read_bytes()))
    reading = aws.Aws(platform=platform)
    reading.read_only, reading.besides = True, defender.READS
    with pytest.raises(PermissionError, match="UpdateAccountAuditConfiguration"):
        reading.call("iot:UpdateAccountAuditConfiguration", roleArn=ROLE)
