"""Read-only: the IAM roles that devices and their users act as, with the policies of each."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, engine
from iotctl.errors import Error
from iotctl.semantics.checks.fleet import IdentityPool, Role, RoleAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.reading import Reading

_USED_WITHIN: Final = timedelta(days=365)
"""A service that was not used for so long is unused (the audit-chk-role-alias-unused-svcs page)."""

_REPORT_SECONDS: Final = 60.0


class Roles:
    """Reads roles, each once.

    Args:
        reading: how; a permission that is missing leaves the checks of roles skipped: not every audit may read IAM.
        usage: also which services each role used.

    """

    def __init__(self, reading: Reading, *, usage: bool) -> None:
        self._reading = reading
        self._usage = usage
        self._known: dict[str, Role] = {}

    def aliases(self) -> Iterator[RoleAlias]:
        """The role aliases of the credential provider, with their roles."""
        names = list(self._reading.listed("role_aliases", "iot:ListRoleAliases", "roleAliases", pageSize=250))
        for _, found in self._reading.each("role_aliases", "iot:DescribeRoleAlias", "roleAlias", names, _alias):
            yield RoleAlias(found["roleAliasArn"], self._role("role_aliases", found["roleArn"]))

    def pools(self) -> Iterator[IdentityPool]:
        """The Cognito identity pools, with the roles of their users.

        Device Defender looks at those that connected in the past 31 days; who connected is not to be had here, so
        this is all of them.
        """
        attribute, op = "identity_pools", "cognito-identity:ListIdentityPools"
        for pool in self._reading.listed(attribute, op, "IdentityPools", ours=False, MaxResults=60):
            pool_id = pool["IdentityPoolId"]
            op = "cognito-identity:GetIdentityPoolRoles"
            answer = self._reading.one(attribute, op, ours=False, IdentityPoolId=pool_id) or {}
            for authenticated, arn in sorted(set(_roles_of(answer))):
                yield IdentityPool(pool_id, authenticated, self._role(attribute, arn))

    def _role(self, attribute: str, arn: str) -> Role:
        found = self._known.get(arn)
        if found is None:
            used = self._used(arn) if self._usage else None
            found = self._known[arn] = Role(arn, tuple(self._documents(attribute, arn)), used)
        return found

    def _documents(self, attribute: str, arn: str) -> Iterator[str]:
        """Every policy of a role, inline and managed."""
        reading, name = self._reading, arn.rpartition("/")[2]
        for policy in reading.listed(attribute, "iam:ListRolePolicies", "PolicyNames", ours=False, RoleName=name):
            op = "iam:GetRolePolicy"
            answer = reading.one(attribute, op, ours=False, RoleName=name, PolicyName=policy)
            if answer:
                yield json.dumps(answer["PolicyDocument"])
        op, member = "iam:ListAttachedRolePolicies", "AttachedPolicies"
        for policy in reading.listed(attribute, op, member, ours=False, RoleName=name):
            managed = reading.one(attribute, "iam:GetPolicy", ours=False, PolicyArn=policy["PolicyArn"])
            if not managed:
                continue
            version = managed["Policy"]["DefaultVersionId"]
            op = "iam:GetPolicyVersion"
            answer = reading.one(attribute, op, ours=False, PolicyArn=policy["PolicyArn"], VersionId=version)
            if answer:
                yield json.dumps(answer["PolicyVersion"]["Document"])

    def _used(self, arn: str) -> frozenset[str] | None:
        """The services that a role used within a year, by IAM's own report; None where it cannot be had."""
        attribute, op = "used_services", "iam:GenerateServiceLastAccessedDetails"
        job = self._reading.one(attribute, op, ours=False, Arn=arn)
        if job is None:
            return None
        op = "iam:GetServiceLastAccessedDetails"
        try:
            engine.poll(
                lambda: self._reading.aws.call(op, JobId=job["JobId"]),
                lambda answer: answer["JobStatus"] != "IN_PROGRESS",
                seconds=_REPORT_SECONDS,
                what="IAM's report of the services that were used",
            )
        except Error as error:
            self._reading.missed(attribute, op, error, ours=False)
            return None
        services = self._reading.listed(attribute, op, "ServicesLastAccessed", ours=False, JobId=job["JobId"])
        since = clock.now() - _USED_WITHIN
        return frozenset(
            one["ServiceNamespace"]
            for one in services
            if one.get("LastAuthenticated") and one["LastAuthenticated"] >= since
        )


def _alias(answer: dict[str, Any]) -> dict[str, str]:
    described = answer["roleAliasDescription"]
    return {key: described[key] for key in ("roleAliasArn", "roleArn")}


def _roles_of(answer: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Whether its users signed in, and the ARN, of every role that a pool gives: the two of its own, and by rules."""
    for kind, arn in answer.get("Roles", {}).items():
        yield kind == "authenticated", arn
    for mapping in answer.get("RoleMappings", {}).values():
        for rule in mapping.get("RulesConfiguration", {}).get("Rules", ()):
            yield True, rule["RoleARN"]
