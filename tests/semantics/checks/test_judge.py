"""Judging: every check ends in one way, nothing is clean by silence, and the order is always the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.checks import Rules, Severity, State, judge, load
from iotctl.semantics.checks.fleet import Certificate, Connectivity, Fleet, Policy, Session, Sharing, Takeover, Thing
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DEFENDER = {
    "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": "CRITICAL",
    "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK": "CRITICAL",
    "CA_CERTIFICATE_EXPIRING_CHECK": "MEDIUM",
    "CA_CERTIFICATE_KEY_QUALITY_CHECK": "CRITICAL",
    "CONFLICTING_CLIENT_IDS_CHECK": "HIGH",
    "DEVICE_CERTIFICATE_AGE_CHECK": "LOW",
    "DEVICE_CERTIFICATE_EXPIRING_CHECK": "MEDIUM",
    "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK": "CRITICAL",
    "DEVICE_CERTIFICATE_SHARED_CHECK": "CRITICAL",
    "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK": "CRITICAL",
    "IOT_POLICY_OVERLY_PERMISSIVE_CHECK": "CRITICAL",
    "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK": "MEDIUM",
    "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK": "MEDIUM",
    "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK": "CRITICAL",
    "LOGGING_DISABLED_CHECK": "LOW",
    "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK": "CRITICAL",
    "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK": "MEDIUM",
}


def test_the_checks_of_device_defender_are_all_there() -> None:
    """The seventeen, under their own identifiers and severities."""
    assert DEFENDER == {name: str(one.severity) for name, one in load().items() if not one.ours}


def test_every_check_explains_itself() -> None:
    """Its docstring is what `audit checks` prints."""
    assert [] == [one.name for one in load().values() if not one.help.endswith(".")]


def test_an_empty_fleet_is_clean() -> None:
    """Every check passes, having looked at nothing."""
    findings, verdicts = judge(Fleet(NOW), Rules(), load().values())

    assert [] == findings
    assert {State.PASS} == {verdict.state for verdict in verdicts}
    assert {0, 1} == {verdict.checked for verdict in verdicts}  # the account's settings are one


def test_what_was_not_read_is_unknown_and_what_cannot_be_is_skipped() -> None:
    """Unknown counts before skipped, and neither is ever a pass."""
    fleet = Fleet(
        NOW,
        unread={"policies": "AccessDenied", "shadows": "throttled"},
        beyond={"takeovers": "needs the broker's history", "shadows": "not asked for"},
    )

    _, verdicts = judge(fleet, Rules(), load().values())

    ended = {verdict.check.name: (verdict.state, verdict.reason) for verdict in verdicts}
    assert (State.UNKNOWN, "AccessDenied") == ended["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"]
    assert (State.SKIPPED, "needs the broker's history") == ended["CONFLICTING_CLIENT_IDS_CHECK"]
    assert (State.UNKNOWN, "throttled") == ended["STUCK_DESIRED_STATE_CHECK"]
    assert (State.PASS, "") == ended["ORPHAN_CERTIFICATE_CHECK"]


@given(st.permutations([Certificate(f"c{n}", created=NOW - timedelta(days=400)) for n in range(4)]))
def test_the_order_of_findings_is_that_of_severity_and_name(certificates: list[Certificate]) -> None:
    """Whatever the order in which they were read."""
    fleet = Fleet(NOW, certificates=certificates, logging=False)

    findings, verdicts = judge(fleet, Rules(), load().values())

    orphans = [("ORPHAN_CERTIFICATE_CHECK", f"c{n}") for n in range(4)]
    aged = [("DEVICE_CERTIFICATE_AGE_CHECK", f"c{n}") for n in range(4)]
    assert [*orphans, *aged, ("LOGGING_DISABLED_CHECK", "")] == [(f.check.name, f.resource) for f in findings]
    assert {4} == {verdict.found for verdict in verdicts if verdict.check.of == "certificates" and verdict.found}


def test_findings_keep_their_id() -> None:
    """The id is of the check, the resource and the flaw, and not of the time or of other findings."""
    certificate = Certificate("c1", not_after=NOW)
    (first,), _ = judge(Fleet(NOW, certificates=[certificate]), Rules(), [load()["DEVICE_CERTIFICATE_EXPIRING_CHECK"]])
    later = Fleet(NOW + timedelta(days=3), certificates=[certificate, Certificate("c2", not_after=NOW)])
    findings, _ = judge(later, Rules(), [load()["DEVICE_CERTIFICATE_EXPIRING_CHECK"]])

    assert first.finding_id == findings[0].finding_id
    assert first.finding_id != findings[1].finding_id
    assert len(first.finding_id) == 12


def test_findings_as_json_have_aws_keys() -> None:
    """They can be read beside those of ListAuditFindings."""
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}}
    fleet = Fleet(NOW, policies=[Policy("wide", "3", json.dumps(document))])

    findings, _ = judge(fleet, Rules(), [load()["IOT_POLICY_OVERLY_PERMISSIVE_CHECK"]])

    written = findings[0].to_json()
    assert "IOT_POLICY" == written["resourceType"]
    assert {"policyVersionIdentifier": {"policyName": "wide", "policyVersionId": "3"}} == written["resourceIdentifier"]
    assert "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS" == written["reasonForNonComplianceCode"]
    assert ("wide", Severity.CRITICAL) == (written["resource"], written["severity"])
    assert "aws iot create-policy-version --policy-name wide" in written["mend"]


def test_connections_are_judged_by_the_brokers_history() -> None:
    """A takeover is a conflicting client id, a certificate in two places is shared."""
    fleet = Fleet(
        NOW,
        takeovers=[Takeover("press-1", (Session("press-1", "cert-a"),), NOW)],
        sharings=[Sharing("cert-b", tuple(Session(name, "cert-b") for name in ("press-2", "press-3")), NOW)],
    )
    checks = [load()["CONFLICTING_CLIENT_IDS_CHECK"], load()["DEVICE_CERTIFICATE_SHARED_CHECK"]]

    findings, _ = judge(fleet, Rules(), checks)

    assert [("cert-b", "CRITICAL"), ("press-1", "HIGH")] == [(f.resource, str(f.check.severity)) for f in findings]


def shadow(age: timedelta, desired: int, reported: int) -> dict[str, object]:
    """A shadow whose rate was desired and reported so long ago."""
    at = {"timestamp": int((NOW - age).timestamp())}
    return {
        "state": {"desired": {"a": {"rate": desired}}, "reported": {"a": {"rate": reported}}},
        "metadata": {"desired": {"a": {"rate": at}}, "reported": {"a": {"rate": at}}},
        "version": 3,
    }


@vectors.rows(
    ("age", "reported", "stuck"),
    [(timedelta(hours=23), 1, False), (timedelta(hours=24), 1, True), (timedelta(hours=48), 2, False)],
)
def test_desired_state_that_is_stuck(age: timedelta, reported: int, stuck: bool) -> None:
    """Desired for longer than allowed, and not reported."""
    thing = Thing("press-1", shadows={"config": shadow(age, 2, reported)})

    findings, _ = judge(Fleet(NOW, things=[thing]), Rules(), [load()["STUCK_DESIRED_STATE_CHECK"]])

    assert ([("press-1", "config a.rate = 2", "1")] if stuck else []) == [
        (f.resource, f.flaw.expected, f.flaw.actual) for f in findings
    ]


@vectors.rows(
    ("connectivity", "reported", "silent"),
    [
        (Connectivity(connected=True, since=NOW - timedelta(days=30)), 30, False),
        (Connectivity(connected=False, since=NOW - timedelta(days=8)), 30, True),
        (Connectivity(connected=False, since=NOW - timedelta(days=8)), 1, False),
        (None, 8, True),
        (None, 6, False),
        (Connectivity(connected=False), 8, True),
        (Connectivity(connected=False), 6, False),
    ],
)
def test_devices_that_are_silent(connectivity: Connectivity | None, reported: int, silent: bool) -> None:
    """Neither connected nor heard of for a week; where AWS knows no time the last report counts."""
    thing = Thing("press-1", connectivity=connectivity, shadows={"": shadow(timedelta(days=reported), 1, 1)})

    findings, _ = judge(Fleet(NOW, things=[thing]), Rules(), [load()["SILENT_DEVICE_CHECK"]])

    assert (["press-1"] if silent else []) == [finding.resource for finding in findings]


@vectors.rows(("days", "silent"), [(6, False), (7, True)])
def test_devices_that_were_never_seen(days: int, silent: bool) -> None:
    """Nothing is known of them since they were registered; with a sign of life, that counts."""
    registered = NOW - timedelta(days=days)
    never = Thing("never", registered=registered, connectivity=Connectivity(connected=False))
    seen = Thing("seen", registered=registered, connectivity=Connectivity(connected=False, since=NOW))

    findings, _ = judge(Fleet(NOW, things=[never, seen, Thing("bare")]), Rules(), [load()["SILENT_DEVICE_CHECK"]])

    expected = [("never", registered, "not seen since it was registered 2026-05-25 00:00")] if silent else []
    assert expected == [(one.resource, one.flaw.since, one.flaw.actual) for one in findings]


def test_a_command_to_paste_runs_nothing_else() -> None:
    """A client id is whatever a device says."""
    fleet = Fleet(NOW, takeovers=[Takeover("x; rm -rf ~", (), NOW)])
    ((finding,), _) = judge(fleet, Rules(), [load()["CONFLICTING_CLIENT_IDS_CHECK"]])
    assert "--thing-name 'x; rm -rf ~'" in finding.flaw.mend
    # A thing's name may look like an option.
    ((bare, outside), _) = judge(
        Fleet(NOW, things=[Thing("--help", shadows={"config": shadow(timedelta(days=9), 2, 1)}, certificates=("c",))]),
        Rules(),
        [load()["STUCK_DESIRED_STATE_CHECK"], load()["THING_OUTSIDE_GROUPS_CHECK"]],
    )
    assert "iotctl shadow diff --name config -- --help" == bare.flaw.mend
    assert "aws iot add-thing-to-thing-group --thing-name=--help --thing-group-name GROUP" == outside.flaw.mend


def test_things_without_what_a_thing_has() -> None:
    """No certificate, no group."""
    fleet = Fleet(NOW, things=[Thing("bare"), Thing("whole", groups=("g",), certificates=("c",))])
    checks = [load()["THING_WITHOUT_CERTIFICATE_CHECK"], load()["THING_OUTSIDE_GROUPS_CHECK"]]

    findings, _ = judge(fleet, Rules(), checks)

    assert ["bare", "bare"] == [finding.resource for finding in findings]
