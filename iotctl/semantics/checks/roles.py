"""Checks of IAM roles that devices and their users act as: of role aliases, and of Cognito identity pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotctl.semantics import policy
from iotctl.semantics.checks import Flaw, Related, Rules, Severity, check
from iotctl.semantics.policy_lint import ANY_THING, BROAD_ACCESS, broad_access, overly_permissive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.semantics.checks.fleet import Fleet, IdentityPool, Role, RoleAlias
    from iotctl.semantics.policy_pattern import Pattern

IAM_POLICY_CHARACTERS: Final = 10_240
"""The longest policy of a role, white space not counted (IAM quotas)."""

_ADMIN: Final = "ALLOWS_ACCESS_TO_IOT_ADMIN_ACTIONS"
_BROAD_READ: Final = "ALLOWS_BROAD_ACCESS_TO_IOT_THING_ADMIN_READ_ACTIONS"
_NON_THING_ADMIN: Final = "ALLOWS_ACCESS_TO_IOT_NON_THING_ADMIN_ACTIONS"
_THING_WRITE: Final = "ALLOWS_ACCESS_TO_IOT_THING_ADMIN_WRITE_ACTIONS"

_WRITES: Final = tuple(
    f"iot:{name}"
    for name in (
        *("AddThingToThingGroup", "AttachThingPrincipal", "CreateThing", "DeleteThing", "DetachThingPrincipal"),
        *("ListThings", "ListThingsInThingGroup", "RegisterThing", "RemoveThingFromThingGroup", "UpdateThing"),
        "UpdateThingGroupsForThing",
    )
)
_READS: Final = tuple(
    f"iot:{name}"
    for name in ("DescribeThing", "ListJobExecutionsForThing", "ListThingGroupsForThing", "ListThingPrincipals")
)
_DATA_PLANE: Final = tuple(
    f"iot:{name}"
    for name in (
        *("Connect", "Publish", "Receive", "RetainPublish", "Subscribe", "AssumeRoleWithCertificate"),
        *("DeleteThingShadow", "GetThingShadow", "UpdateThingShadow", "ListNamedShadowsForThing"),
        *("GetRetainedMessage", "ListRetainedMessages"),
        *("DescribeJobExecution", "GetPendingJobExecutions", "StartNextPendingJobExecution", "UpdateJobExecution"),
    )
)
# Of every kind of what else there is, so that a wildcard for one of them is seen.
_OTHERS: Final = tuple(
    f"iot:{name}"
    for name in (
        *("AttachPolicy", "CreatePolicy", "GetPolicy", "ListPolicies", "SetDefaultPolicyVersion", "DeletePolicy"),
        *("RegisterCertificate", "UpdateCertificate", "DescribeCertificate", "ListCertificates", "DeleteCertificate"),
        *("CreateJob", "DescribeJob", "ListJobs", "CancelJob", "UpdateJob", "DeleteJob", "AssociateTargetsWithJob"),
        *("CreateThingGroup", "DescribeThingGroup", "ListThingGroups", "UpdateThingGroup", "DeleteThingGroup"),
        *("CreateThingType", "DescribeThingType", "ListThingTypes", "DeprecateThingType", "DeleteThingType"),
        *("CreateTopicRule", "GetTopicRule", "ListTopicRules", "ReplaceTopicRule", "DeleteTopicRule"),
        *("CreateRoleAlias", "DescribeRoleAlias", "UpdateRoleAlias", "SearchIndex", "TagResource", "UntagResource"),
        *("DescribeEndpoint", "SetLoggingOptions", "SetV2LoggingOptions", "StartOnDemandAuditTask", "CreateStream"),
    )
)
_AUDITING_SERVICES: Final = ("iam", "cloudtrail", "guardduty", "inspector", "inspector2", "trustedadvisor")


@check("IOT_ROLE_ALIAS_OVERLY_PERMISSIVE_CHECK", severity=Severity.CRITICAL, of="role_aliases")
def role_alias_overly_permissive(one: RoleAlias, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The role of a role alias may administer what devices use, read or change any thing, or look at security logs."""
    used = one.role.used_services
    for policies in _documents(one.role):
        for service, pattern in sorted(_services(policies)):
            if pattern == "*" and (used is None or service in {"*", *used}):
                known = "" if used is not None else "; which services are used was not read"
                yield _of_alias(one, "ALLOWS_BROAD_ACCESS_TO_USED_SERVICES", "single actions", f"{service}:*{known}")
            if service in _AUDITING_SERVICES or service == "*":
                actual = f"{service}:{pattern}"
                yield _of_alias(one, "ALLOWS_ACCESS_TO_SECURITY_AUDITING_SERVICES", "no access to them", actual)
        for reason, actual in (*_thing_administration(policies), *_broad_data_plane(policies)):
            yield _of_alias(one, reason, "what the device itself needs", actual)


@check(
    "IOT_ROLE_ALIAS_ALLOWS_ACCESS_TO_UNUSED_SERVICES_CHECK",
    severity=Severity.MEDIUM,
    of="role_aliases",
    needs=("used_services",),
)
def role_alias_unused_services(one: RoleAlias, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The role of a role alias may use services that its devices did not use for a year."""
    used = one.role.used_services or frozenset()
    granted = {service for policies in _documents(one.role) for service, _ in _services(policies)}
    for service in sorted(granted - used):
        yield _of_alias(one, "ALLOWS_ACCESS_TO_UNUSED_SERVICES", "no more than is used", f"{service}, not used")


@check("AUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", severity=Severity.CRITICAL, of="identity_pools")
def authenticated_cognito_role(one: IdentityPool, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The role of an identity pool's signed-in users may manage things, or reach those of everybody.

    The page calls broad access to MQTT topics, shadows and jobs noncompliant and lists no reason code for it: it is
    found under that of the other checks.
    """
    if not one.authenticated:
        return
    for policies in _documents(one.role):
        for reason, actual in (*_thing_administration(policies), *_broad_data_plane(policies)):
            yield _of_pool(one, reason, actual)


@check("UNAUTHENTICATED_COGNITO_ROLE_OVERLY_PERMISSIVE_CHECK", severity=Severity.CRITICAL, of="identity_pools")
def unauthenticated_cognito_role(one: IdentityPool, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """The role of an identity pool's guests may administer AWS IoT, or reach the shadows and jobs of any thing."""
    if one.authenticated:
        return
    for policies in _documents(one.role):
        for action in (*_WRITES, *_READS, *_OTHERS):
            if _allows(policies, action):
                yield _of_pool(one, _ADMIN, action)
                break
        for reason, actual in _broad_data_plane(policies):
            yield _of_pool(one, reason, actual)


def _documents(role: Role) -> Iterator[policy.Policy]:
    """The role's policies, read; IAM stores none that cannot be."""
    for document in role.documents:
        yield policy.parse(document, longest=IAM_POLICY_CHARACTERS)


def _thing_administration(policies: policy.Policy) -> Iterator[tuple[str, str]]:
    """Reason code and action for what no device should do, each reason once."""
    if action := next((name for name in _WRITES if _allows(policies, name)), None):
        yield _THING_WRITE, action
    if action := next((name for name in _others(policies) if _allows(policies, name)), None):
        yield _NON_THING_ADMIN, action
    if found := next(broad_access(policies, dict.fromkeys(_READS, ANY_THING)), None):
        _, resource, action = found
        yield _BROAD_READ, f"{action} on {resource}"


def _broad_data_plane(policies: policy.Policy) -> Iterator[tuple[str, str]]:
    if flaw := next(overly_permissive(policies), None):
        yield BROAD_ACCESS, flaw.message


def _others(policies: policy.Policy) -> Iterator[str]:
    """Actions of AWS IoT that are neither of the data plane nor about single things: samples, and those named."""
    yield from _OTHERS
    known = {name.casefold() for name in (*_WRITES, *_READS, *_DATA_PLANE)}
    for statement in policies.statements:
        for pattern in statement.actions:
            name = pattern.exact
            if name and name.startswith("iot:") and name not in known and not statement.not_action:
                yield name


def _allows(policies: policy.Policy, action: str) -> bool:
    """Whether the action is allowed on any resource at all."""
    denied = any(
        s.deny and not s.conditions and not s.not_resource and s.is_about(action) and _everything(s)
        for s in policies.statements
    )
    return not denied and any(not s.deny and s.is_about(action) for s in policies.statements)


def _everything(statement: policy.Statement) -> bool:
    return any(resource.text == "*" for resource in statement.resources)


def _services(policies: policy.Policy) -> set[tuple[str, str]]:
    """The services and actions that are allowed: ("s3", "getobject"), ("s3", "*"), ("*", "*")."""
    found = set()
    for statement in policies.statements:
        if statement.deny:
            continue
        if statement.not_action:
            found.add(("*", "*"))
            continue
        found |= {_granted(pattern) for pattern in statement.actions}
    return found


def _granted(pattern: Pattern) -> tuple[str, str]:
    service, colon, name = (pattern.chunks[0].plain or "").partition(":")
    if not colon:
        return "*", "*"
    return service, name if pattern.exact is not None else f"{name}*"


def _of_alias(one: RoleAlias, reason: str, expected: str, actual: str) -> Flaw:
    return Flaw(
        reason,
        {"roleAliasArn": one.arn},
        expected=expected,
        actual=actual,
        mend=f"narrow the policies of {one.role.arn}",
        key=actual,
        related=(Related("IAM_ROLE", {"iamRoleArn": one.role.arn}),),
    )


def _of_pool(one: IdentityPool, reason: str, actual: str) -> Flaw:
    return Flaw(
        reason,
        {"cognitoIdentityPoolId": one.pool_id},
        expected="what the device itself needs",
        actual=actual,
        mend=f"narrow the policies of {one.role.arn}",
        key=actual,
        related=(Related("IAM_ROLE", {"iamRoleArn": one.role.arn}),),
    )
