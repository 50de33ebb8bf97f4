"""What policies are attached to, and which of them count for a connection.

Sources: the service model's words on each operation; AWS IoT developer guide, thing-groups (two policies a group) and
limits (ten a principal).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, certificates, invalid, operation, policies, principals, thing_groups, things
from iotctl.local.services.group_members import groups_of
from iotctl.local.services.paging import page

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS policy_attachment (
    target TEXT NOT NULL, policy_name TEXT NOT NULL REFERENCES policy (name), attached REAL NOT NULL,
    PRIMARY KEY (target, policy_name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS policy_attachment_by_policy ON policy_attachment (policy_name, target)
"""

_MOST_OF_PRINCIPAL: Final = 10
_MOST_OF_GROUP: Final = 2


@operation("iot:AttachPolicy")
def attach_policy(store: Store, policyName: str, target: str) -> None:
    """Attach a policy to a certificate, a Cognito identity or a thing group; again is no error."""
    policies.known(store, policyName)
    group = _target(store, target)
    if group:
        thing_groups.only_static(store, group)
    most = _MOST_OF_GROUP if group else _MOST_OF_PRINCIPAL
    held = [row["policy_name"] for row in _attached(store, target)]
    if policyName in held:
        return
    if len(held) >= most:
        raise AwsError("LimitExceededException", f"The maximum number of policies ({most}) is attached to {target}")
    store.execute("INSERT INTO policy_attachment VALUES (?, ?, ?)", target, policyName, store.now())
    policies.changed(store, policyName, target)


@operation("iot:DetachPolicy")
def detach_policy(store: Store, policyName: str, target: str) -> None:
    """Detach a policy; one that is not attached is no error."""
    if store.execute("DELETE FROM policy_attachment WHERE target = ? AND policy_name = ?", target, policyName):
        policies.detached(store, policyName, target)


@operation("iot:AttachPrincipalPolicy")
def attach_principal_policy(store: Store, policyName: str, principal: str) -> None:
    """AttachPolicy under its old name."""
    attach_policy(store, policyName, principal)


@operation("iot:DetachPrincipalPolicy")
def detach_principal_policy(store: Store, policyName: str, principal: str) -> None:
    """DetachPolicy under its old name, which knows the policy and the principal."""
    policies.known(store, policyName)
    _target(store, principal)
    detach_policy(store, policyName, principal)


@operation("iot:ListAttachedPolicies")
def list_attached_policies(
    store: Store, target: str, recursive: bool = False, marker: str | None = None, pageSize: int | None = None
) -> dict[str, Any]:
    """The policies of a target; with `recursive` those of the groups above a group too."""
    group = _target(store, target)
    above = thing_groups.ancestors(store, group) if group and recursive else []
    targets = [target, *(thing_groups.arn(store, name) for name in above)]
    rows, token = page(
        store,
        f"SELECT DISTINCT policy_name FROM policy_attachment WHERE target IN ({', '.join('?' * len(targets))})",  # noqa: S608  only question marks
        targets,
        by=("policy_name",),
        size=pageSize,
        token=marker,
    )
    return {"policies": [policies.listed(store, row["policy_name"]) for row in rows], "nextMarker": token}


@operation("iot:ListTargetsForPolicy")
def list_targets_for_policy(
    store: Store, policyName: str, marker: str | None = None, pageSize: int | None = None
) -> dict[str, Any]:
    """What a policy is attached to."""
    policies.known(store, policyName)
    rows, token = page(
        store,
        "SELECT target FROM policy_attachment WHERE policy_name = ?",
        [policyName],
        by=("target",),
        size=pageSize,
        token=marker,
    )
    return {"targets": [row["target"] for row in rows], "nextMarker": token}


@operation("iot:ListPolicyPrincipals")
def list_policy_principals(
    store: Store,
    policyName: str,
    marker: str | None = None,
    pageSize: int | None = None,
    ascendingOrder: bool = False,
) -> dict[str, Any]:
    """The principals that a policy is attached to: ListTargetsForPolicy without the groups, under its old name."""
    policies.known(store, policyName)
    groups = thing_groups.arn(store, "")
    rows, token = page(
        store,
        "SELECT target, attached FROM policy_attachment WHERE policy_name = ? AND substr(target, 1, ?) <> ?",
        [policyName, len(groups), groups],
        by=("attached", "target"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"principals": [row["target"] for row in rows], "nextMarker": token}


@operation("iot:ListPrincipalPolicies")
def list_principal_policies(
    store: Store, principal: str, marker: str | None = None, pageSize: int | None = None, ascendingOrder: bool = False
) -> dict[str, Any]:
    """ListAttachedPolicies under its old name."""
    _target(store, principal)
    rows, token = page(
        store,
        "SELECT policy_name, attached FROM policy_attachment WHERE target = ?",
        [principal],
        by=("attached", "policy_name"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"policies": [policies.listed(store, row["policy_name"]) for row in rows], "nextMarker": token}


@operation("iot:GetEffectivePolicies")
def get_effective_policies(
    store: Store,
    principal: str | None = None,
    cognitoIdentityPoolId: str | None = None,
    thingName: str | None = None,
) -> dict[str, Any]:
    """The policies that count for a principal, and for a thing by its groups."""
    if cognitoIdentityPoolId is not None:
        raise invalid("cognitoIdentityPoolId: Cognito identity pools are not a part of the local platform")
    if principal is None and thingName is None:
        raise invalid("A principal or a thing name must be specified")
    if principal is not None:
        _target(store, principal)
    if thingName is not None:
        things.known(store, thingName)
    names = effective(store, principal, thingName)
    return {
        "effectivePolicies": [
            {**policies.listed(store, name), "policyDocument": policies.document(store, name)} for name in names
        ]
    }


def policies_of(store: Store, certificate_id: str, thing_name: str | None = None) -> list[str]:
    """The documents that decide what a connection may do.

    Args:
        store: where.
        certificate_id: of the connection's certificate.
        thing_name: the thing that the connection is of; the policies of its groups count only when the certificate is
            attached to it.

    """
    principal = certificates.arn_of(store, certificate_id)
    thing = thing_name if thing_name and principals.attached(store, principal, thing_name) else None
    return [policies.document(store, name) for name in effective(store, principal, thing)]


def effective(store: Store, principal: str | None, thing: str | None) -> list[str]:
    """The names of the policies that count for a principal, and for a thing by its groups."""
    targets = [principal] if principal else []
    targets += [thing_groups.arn(store, group) for group in groups_of(store, thing)] if thing else []
    names = [row["policy_name"] for target in targets for row in _attached(store, target)]
    return list(dict.fromkeys(names))


def _attached(store: Store, target: str) -> list[sqlite3.Row]:
    return store.rows("SELECT policy_name FROM policy_attachment WHERE target = ? ORDER BY policy_name", target)


def _target(store: Store, target: str) -> str:
    """The name of the group that a target is, empty for a principal; refused if it is neither or not there."""
    groups = thing_groups.arn(store, "")
    if not target.startswith(groups):
        certificates.principal(store, target)
        return ""
    return str(thing_groups.known(store, target.removeprefix(groups))["name"])
