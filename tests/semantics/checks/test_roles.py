"""Checks of roles: the examples of the pages on role aliases, on their unused services, and on Cognito roles."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from iotctl.semantics.checks import Rules, judge, load
from iotctl.semantics.checks.fleet import Fleet, IdentityPool, Role, RoleAlias
from tests import vectors

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ARN = "arn:aws:iot:us-east-1:123456789012:"
ALIAS = "IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK"
UNUSED = "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK"
SIGNED_IN = "AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK"
GUEST = "UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK"
BROAD_READ = "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS"
OTHER_ADMIN = "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS"
WRITE = "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS"
DATA_PLANE = "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"
USED = "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES"
AUDITING = "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES"
ADMIN = "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS"
READS = ["iot:DescribeThing", "iot:ListJobExecutionsForThing", "iot:ListThingGroupsForThing", "iot:ListThingPrincipals"]
ATTACHED = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}


def role(action: str | list[str], resource: str | list[str] = "*", used: set[str] | None = None, **more: Any) -> Role:
    """A role with one statement."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return Role("arn:aws:iam::123456789012:role/device", (document,), None if used is None else frozenset(used))


def reasons(check: str, one: Role) -> set[str]:
    """The reason codes of a check about a role."""
    fleet = Fleet(
        NOW,
        role_aliases=[RoleAlias(f"{ARN}rolealias/device", one)],
        identity_pools=[IdentityPool("pool", authenticated=check == SIGNED_IN, role=one)],
    )
    findings, _ = judge(fleet, Rules(), [load()[check]])
    return {finding.flaw.reason for finding in findings}


@vectors.rows(
    ("action", "used", "expected"),
    [
        ("dynamodb:*", {"dynamodb"}, {USED}),
        ("dynamodb:*", {"iot"}, set()),
        ("dynamodb:PutItem", {"dynamodb"}, set()),
        ("iam:GetRole", {"iot"}, {AUDITING}),
        ("cloudtrail:LookupEvents", {"iot"}, {AUDITING}),
        ("guardduty:ListFindings", {"iot"}, {AUDITING}),
        ("iam:*", {"iam"}, {USED, AUDITING}),
        ("iot:*", {"iot"}, {USED, BROAD_READ, OTHER_ADMIN, WRITE, DATA_PLANE}),
        ("*", {"s3"}, {USED, AUDITING, BROAD_READ, OTHER_ADMIN, WRITE, DATA_PLANE}),
        ("iot:CreateThing", {"iot"}, {WRITE}),
        ("iot:CreatePolicy", {"iot"}, {OTHER_ADMIN}),
        ("iot:SomethingNew", {"iot"}, {OTHER_ADMIN}),
        ("s3:GetObject", {"s3"}, set()),
    ],
)
def test_roles_of_role_aliases(action: str, used: set[str], expected: set[str]) -> None:
    """Administration of used services, security services, and more of AWS IoT than a device needs."""
    assert expected == reasons(ALIAS, role(action, used=used))


def test_a_grant_is_broad_where_usage_was_not_read() -> None:
    """What could not be read never makes a role look better."""
    assert {USED} == reasons(ALIAS, role("dynamodb:*"))


@vectors.rows(
    ("action", "used", "expected"),
    [
        (["iot:Publish", "iam:GetRole", "dynamodb:PutItem"], {"iot"}, 2),
        (["iot:Publish", "s3:GetObject"], {"iot", "s3"}, 0),
    ],
)
def test_services_that_are_not_used(action: list[str], used: set[str], expected: int) -> None:
    """The page's example: only AWS IoT is used, and iam and dynamodb are granted as well."""
    fleet = Fleet(NOW, role_aliases=[RoleAlias("alias", role(action, used=used))])
    findings, _ = judge(fleet, Rules(), [load()[UNUSED]])

    assert expected == len(findings)
    assert {finding.flaw.reason for finding in findings} <= {"ALLOWS_ACCESS_TO_UNUSED_SERVICES"}


@vectors.rows(
    ("action", "resource", "expected"),
    [
        (READS, f"{ARN}thing/*", {BROAD_READ}),
        (READS, f"{ARN}/thing/MyThing", set()),
        (READS, f"{ARN}/thing/MyThing*", set()),
        (READS, f"{ARN}thing/MyThing*", set()),
        ("iot:AddThingToThingGroup", f"{ARN}thing/one", {WRITE}),
        ("iot:UpdateThing", f"{ARN}thing/one", {WRITE}),
        ("iot:ListThings", "*", {WRITE}),
        ("iot:CreateJob", f"{ARN}job/one", {OTHER_ADMIN}),
        ("iot:Publish", f"{ARN}topic/$aws/things/MyThing/shadow/*", set()),
    ],
)
def test_roles_of_signed_in_users(action: str | list[str], resource: str, expected: set[str]) -> None:
    """The examples of audit-chk-auth-cognito-role-permissive."""
    assert expected == reasons(SIGNED_IN, role(action, resource))


@vectors.rows(
    ("action", "resource", "more", "expected"),
    [
        (READS, f"{ARN}/thing/MyThing", {}, {ADMIN}),
        ("iot:CreateThing", f"{ARN}thing/one", {}, {ADMIN}),
        ("iot:Connect", f"{ARN}client/*", {}, {DATA_PLANE}),
        ("iot:Connect", f"{ARN}client/${{iot:ClientId}}", {}, {DATA_PLANE}),
        ("iot:Connect", f"{ARN}client/${{iot:Connection.Thing.ThingName}}", {"Condition": ATTACHED}, set()),
        ("iot:Publish", f"{ARN}topic/$aws/things/*/shadow/update", {}, {DATA_PLANE}),
        ("iot:Publish", f"{ARN}topic/$aws/things/*", {}, {DATA_PLANE}),
        ("iot:Publish", f"{ARN}topic/$aws/things/${{iot:Connection.Thing.ThingName}}/shadow/*", {}, set()),
        ("iot:Subscribe", f"{ARN}topicfilter/$aws/things/*", {}, {DATA_PLANE}),
        ("iot:Subscribe", f"{ARN}topicfilter/$aws/things/+/shadow/update", {}, {DATA_PLANE}),
        ("iot:Receive", f"{ARN}topic/$aws/things/*", {}, set()),
        ("iot:GetThingShadow", f"{ARN}thing/*", {}, {DATA_PLANE}),
        ("iot:GetThingShadow", [f"{ARN}/thing/MyThing1", f"{ARN}/thing/MyThing2"], {}, set()),
    ],
)
def test_roles_of_guests(
    action: str | list[str], resource: str | list[str], more: dict[str, Any], expected: set[str]
) -> None:
    """The examples of audit-chk-unauth-cognito-role-permissive."""
    assert expected == reasons(GUEST, role(action, resource, **more))


# The actions and resources that both pages list, beside those above.
WRITES = (
    *("AddThingToThingGroup", "AttachThingPrincipal", "CreateThing", "DeleteThing", "DetachThingPrincipal"),
    *("ListThings", "ListThingsInThingGroup", "RegisterThing", "RemoveThingFromThingGroup", "UpdateThing"),
    "UpdateThingGroupsForThing",
)
SHADOWS_AND_JOBS = [
    *("iot:DeleteThingShadow", "iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DescribeJobExecution"),
    *("iot:GetPendingJobExecutions", "iot:StartNextPendingJobExecution", "iot:UpdateJobExecution"),
]
OWN = "${iot:Connection.Thing.ThingName}"


@vectors.rows("action", WRITES)
def test_managing_even_one_thing_is_too_much(action: str) -> None:
    """audit-chk-auth-cognito-role-permissive and audit-chk-unauth-…, "Manage or modify things"."""
    one = role(f"iot:{action}", f"{ARN}thing/one")
    assert ({WRITE}, {ADMIN}) == (reasons(SIGNED_IN, one), reasons(GUEST, one))


@vectors.rows(
    ("action", "resource", "more", "good"),
    [
        ("iot:Connect", f"{ARN}client/*", {}, False),
        ("iot:Connect", f"{ARN}client/${{iot:ClientId}}", {}, False),
        ("iot:Connect", f"{ARN}client/{OWN}", {"Condition": ATTACHED}, True),
        ("iot:Publish", f"{ARN}topic/$aws/things/*/shadow/update", {}, False),
        ("iot:Publish", f"{ARN}topic/$aws/things/*", {}, False),
        ("iot:Publish", f"{ARN}topic/$aws/things/{OWN}/shadow/*", {}, True),
        ("iot:Subscribe", f"{ARN}topicfilter/$aws/things/*", {}, False),
        ("iot:Subscribe", f"{ARN}topicfilter/$aws/things/#", {}, False),
        ("iot:Subscribe", f"{ARN}topicfilter/$aws/things/+/shadow/update", {}, False),
        (
            "iot:Subscribe",
            [f"{ARN}topicfilter/$aws/things/{OWN}/shadow/*", f"{ARN}topicfilter/$aws/things/{OWN}/jobs/*"],
            {},
            True,
        ),
        ("iot:Receive", f"{ARN}topicfilter/$aws/things/*", {}, True),
        (SHADOWS_AND_JOBS, f"{ARN}thing/*", {}, False),
        *((action, f"{ARN}thing/*", {}, False) for action in SHADOWS_AND_JOBS),
        (SHADOWS_AND_JOBS, [f"{ARN}/thing/MyThing1", f"{ARN}/thing/MyThing2"], {}, True),
    ],
)
def test_topics_shadows_and_jobs_of_cognito_roles(
    action: str | list[str], resource: str | list[str], more: dict[str, Any], good: bool
) -> None:
    """Both pages have the same examples, with the same verdicts."""
    one = role(action, resource, **more)
    expected = set() if good else {DATA_PLANE}
    assert (expected, expected) == (reasons(SIGNED_IN, one), reasons(GUEST, one))


@vectors.rows("service", ["iam", "cloudtrail", "guardduty", "inspector", "trustedadvisor"])
def test_security_services_that_no_device_needs(service: str) -> None:
    """audit-chk-iot-role-alias-permissive names five of them."""
    assert {AUDITING} == reasons(ALIAS, role(f"{service}:Describe", used={"iot"}))


def test_a_role_alias_reads_the_metadata_of_any_thing() -> None:
    """audit-chk-iot-role-alias-permissive, "broad access to thing metadata actions"."""
    assert {BROAD_READ} == reasons(ALIAS, role(READS, f"{ARN}thing/*", used={"iot"}))
    assert set() == reasons(ALIAS, role(READS, f"{ARN}thing/MyThing*", used={"iot"}))
