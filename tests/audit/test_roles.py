"""IAM roles of role aliases and identity pools: read whole, judged by Defender's checks, skipped where not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.audit.roles import Roles
from iotctl.errors import Denied, Error, NotFound
from iotctl.kept import Kept
from iotctl.reading import Reading
from iotctl.semantics.checks import Rules, judge, load
from iotctl.semantics.checks.fleet import Fleet
from iotctl.target import Target
from iotctl.world import World

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/service-role/cores"
WIDE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", "iot:*"], "Resource": "*"}]}
LOGS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}]}


class Account:
    """An account with one role alias and one identity pool, whose answers are AWS's shapes."""

    def __init__(self) -> None:
        self.refused: dict[str, Error] = {}

    def call(self, op: str, *, once: bool = False, **params: Any) -> dict[str, Any]:
        if op in self.refused:
            raise self.refused[op]
        now = clock.now()
        answers: dict[str, Any] = {
            "iot:ListRoleAliases": {"roleAliases": ["cores"]},
            "iot:DescribeRoleAlias": {
                "roleAliasDescription": {"roleAliasArn": "arn:aws:iot:x:1:rolealias/cores", "roleArn": ROLE}
            },
            "iam:ListRolePolicies": {"PolicyNames": ["inline"]},
            "iam:GetRolePolicy": {"PolicyDocument": WIDE},
            "iam:ListAttachedRolePolicies": {"AttachedPolicies": [{"PolicyName": "m", "PolicyArn": "arn:m"}]},
            "iam:GetPolicy": {"Policy": {"DefaultVersionId": "v3"}},
            "iam:GetPolicyVersion": {"PolicyVersion": {"Document": LOGS}},
            "iam:GenerateServiceLastAccessedDetails": {"JobId": "job"},
            "iam:GetServiceLastAccessedDetails": {
                "JobStatus": "COMPLETED",
                "ServicesLastAccessed": [
                    {"ServiceNamespace": "iot", "LastAuthenticated": now - timedelta(days=3)},
                    {"ServiceNamespace": "s3", "LastAuthenticated": now - timedelta(days=380)},
                    {"ServiceNamespace": "logs"},
                ],
            },
            "cognito-identity:ListIdentityPools": {"IdentityPools": [{"IdentityPoolId": "x:pool"}]},
            "cognito-identity:GetIdentityPoolRoles": {
                "Roles": {"authenticated": ROLE, "unauthenticated": ROLE},
                "RoleMappings": {"p": {"RulesConfiguration": {"Rules": [{"RoleARN": f"{ROLE}-2"}]}}},
            },
        }
        found: dict[str, Any] = answers[op]
        return found

    def pages(self, op: str, **params: Any) -> Iterator[dict[str, Any]]:
        yield self.call(op, **params)


@pytest.fixture
def account() -> Account:
    """An account whose every answer is given."""
    return Account()


def judged(account: Account, home: Path) -> dict[str, tuple[str, str, set[str]]]:
    """How the checks of roles end: state, reason, and the codes of what they found."""
    world = World(call=account.call, members=lambda _: frozenset())
    with Kept(home, Target("aws", "123456789012", "eu-north-1")) as kept:
        reading = Reading(account, world, kept, lambda _: None)  # type: ignore[arg-type]  # what it asks of an account
        roles = Roles(reading, usage=True)
        aliases, pools = list(roles.aliases()), list(roles.pools())
    fleet = Fleet(clock.now(), role_aliases=aliases, identity_pools=pools, unread=reading.unread, beyond=reading.beyond)
    checks = [one for one in load().values() if one.of in {"role_aliases", "identity_pools"}]
    findings, verdicts = judge(fleet, Rules(), checks)
    return {
        one.check.name: (one.state, one.reason, {found.flaw.reason for found in findings if found.check is one.check})
        for one in verdicts
    }


def test_a_role_is_judged_by_all_its_policies(account: Account, tmp_path: Path) -> None:
    """Inline and managed ones; what it may use and did not for a year, by IAM's report; pools by all their roles."""
    ended = judged(account, tmp_path)

    assert {"finding"} == {state for state, _, _ in ended.values()}
    assert {"ALLOWS_ACCESS_TO_UNUSED_SERVICES"} == ended["IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK"][2]
    broad = ended["IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK"][2]
    assert {"ALLOWS_BROAD_ACCESS_TO_USED_SERVICES", "ALLOWS_BROAD_ACCESS_TO_IOT_DATA_PLANE_ACTIONS"} <= broad
    assert "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS" in ended["UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK"][2]


@pytest.mark.parametrize(
    ("op", "skipped"),
    [
        ("iam:ListRolePolicies", 4),
        ("iam:GetPolicyVersion", 4),
        ("iam:GenerateServiceLastAccessedDetails", 1),
        ("cognito-identity:ListIdentityPools", 2),
    ],
)
def test_what_may_not_be_read_is_skipped(account: Account, tmp_path: Path, op: str, skipped: int) -> None:
    """Not every audit may read IAM: no finding is made up, none is called clean, and the permission is named."""
    account.refused[op] = Denied(f"{op} is not allowed", code="AccessDenied")
    ended = judged(account, tmp_path)

    assert [f"{op} is not allowed"] * skipped == [reason for state, reason, _ in ended.values() if state == "skipped"]


def test_a_role_that_is_gone_grants_nothing(account: Account, tmp_path: Path) -> None:
    """A role alias may outlive its role: nothing is found, and nothing is missing."""
    for op in ("iam:ListRolePolicies", "iam:ListAttachedRolePolicies"):
        account.refused[op] = NotFound(f"{op}: not found")
    assert {("pass", "")} == {(state, reason) for state, reason, _ in judged(account, tmp_path).values()}
