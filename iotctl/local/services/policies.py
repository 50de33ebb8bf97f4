"""Policies and their versions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, not_found, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics import policy

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS policy (
    name TEXT PRIMARY KEY, default_version INTEGER NOT NULL, last_version INTEGER NOT NULL, generation TEXT NOT NULL,
    created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS policy_by_creation ON policy (created, name);
CREATE TABLE IF NOT EXISTS policy_version (
    policy_name TEXT NOT NULL REFERENCES policy (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    document TEXT NOT NULL, generation TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (policy_name, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS policy_detached (
    policy_name TEXT PRIMARY KEY REFERENCES policy (name) ON DELETE CASCADE, at REAL NOT NULL
) WITHOUT ROWID
"""

_POLICIES: Final = Named("policy", "policy", "Policy not found (name={})")
known, exists = _POLICIES.known, _POLICIES.exists

_MOST_VERSIONS: Final = 5


@operation("iot:CreatePolicy")
def create_policy(
    store: Store, policyName: str, policyDocument: str, tags: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Create a policy; unlike things, the same again is refused."""
    _parsed(policyDocument)
    if _POLICIES.find(store, policyName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Policy cannot be created - name already exists (name={policyName})",
            resourceId=policyName,
            resourceArn=_POLICIES.arn(store, policyName),
        )
    now = store.now()
    store.execute("INSERT INTO policy VALUES (?, 1, 0, ?, ?, ?)", policyName, str(uuid.uuid4()), now, now)
    _add_version(store, policyName, policyDocument)
    put_tags(store, _POLICIES.arn(store, policyName), tags)
    return {
        "policyName": policyName,
        "policyArn": _POLICIES.arn(store, policyName),
        "policyDocument": policyDocument,
        "policyVersionId": "1",
    }


@operation("iot:GetPolicy")
def get_policy(store: Store, policyName: str) -> dict[str, Any]:
    """A policy with the document of its default version."""
    row = known(store, policyName)
    return {
        "policyName": policyName,
        "policyArn": _POLICIES.arn(store, policyName),
        "policyDocument": _version(store, policyName, row["default_version"])["document"],
        "defaultVersionId": str(row["default_version"]),
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
        "generationId": row["generation"],
    }


@operation("iot:DeletePolicy")
def delete_policy(store: Store, policyName: str) -> None:
    """Delete a policy that has its default version only and is attached to nothing."""
    known(store, policyName)
    if len(_versions(store, policyName)) > 1:
        message = (
            f"Cannot delete the policy because it has one or more policy versions attached to it (name={policyName})"
        )
        raise AwsError("DeleteConflictException", message)
    # "It can take up to five minutes after a policy is detached before it's ready to be deleted" (the API reference).
    since = store.now() - store.delays.get("delete-policy", 0.0)
    lately = store.row("SELECT 1 FROM policy_detached WHERE policy_name = ? AND at > ?", policyName, since)
    if lately or store.row("SELECT 1 FROM policy_attachment WHERE policy_name = ?", policyName):
        message = (
            f"The policy cannot be deleted as the policy is attached to one or more principals (name={policyName})"
        )
        raise AwsError("DeleteConflictException", message)
    store.execute("DELETE FROM policy WHERE name = ?", policyName)
    forget_tags(store, _POLICIES.arn(store, policyName))


@operation("iot:ListPolicies")
def list_policies(
    store: Store, marker: str | None = None, pageSize: int | None = None, ascendingOrder: bool = False
) -> dict[str, Any]:
    """Policies by creation, the newest first unless asked otherwise."""
    rows, token = page(
        store,
        "SELECT name, created FROM policy",
        [],
        by=("created", "name"),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"policies": [listed(store, row["name"]) for row in rows], "nextMarker": token}


@operation("iot:CreatePolicyVersion")
def create_policy_version(
    store: Store, policyName: str, policyDocument: str, setAsDefault: bool = False
) -> dict[str, Any]:
    """Add a version to a policy, of which it holds five."""
    _parsed(policyDocument)
    known(store, policyName)
    if len(_versions(store, policyName)) >= _MOST_VERSIONS:
        message = f"The policy {policyName} already has the maximum number of versions ({_MOST_VERSIONS})"
        raise AwsError("VersionsLimitExceededException", message)
    version = _add_version(store, policyName, policyDocument)
    if setAsDefault:
        _set_default(store, policyName, version)
    return {
        "policyArn": _POLICIES.arn(store, policyName),
        "policyDocument": policyDocument,
        "policyVersionId": str(version),
        "isDefaultVersion": setAsDefault,
    }


@operation("iot:GetPolicyVersion")
def get_policy_version(store: Store, policyName: str, policyVersionId: str) -> dict[str, Any]:
    """One version of a policy."""
    row = known(store, policyName)
    version = _version(store, policyName, policyVersionId)
    return {
        "policyArn": _POLICIES.arn(store, policyName),
        "policyName": policyName,
        "policyDocument": version["document"],
        "policyVersionId": policyVersionId,
        "isDefaultVersion": version["version"] == row["default_version"],
        "creationDate": version["created"],
        "lastModifiedDate": version["created"],
        "generationId": version["generation"],
    }


@operation("iot:DeletePolicyVersion")
def delete_policy_version(store: Store, policyName: str, policyVersionId: str) -> None:
    """Delete a version that is not the default one."""
    row = known(store, policyName)
    version = _version(store, policyName, policyVersionId)["version"]
    if version == row["default_version"]:
        message = f"Cannot delete the default version of a policy (name={policyName}, version={version})"
        raise AwsError("DeleteConflictException", message)
    store.execute("DELETE FROM policy_version WHERE policy_name = ? AND version = ?", policyName, version)


@operation("iot:ListPolicyVersions")
def list_policy_versions(store: Store, policyName: str) -> dict[str, Any]:
    """The versions of a policy, the newest first."""
    row = known(store, policyName)
    versions = [
        {
            "versionId": str(version["version"]),
            "isDefaultVersion": version["version"] == row["default_version"],
            "createDate": version["created"],
        }
        for version in _versions(store, policyName)
    ]
    return {"policyVersions": versions}


@operation("iot:SetDefaultPolicyVersion")
def set_default_policy_version(store: Store, policyName: str, policyVersionId: str) -> None:
    """Let another version be the one in effect."""
    known(store, policyName)
    _set_default(store, policyName, _version(store, policyName, policyVersionId)["version"])


def listed(store: Store, name: str) -> dict[str, str]:
    """A policy as the listings show it."""
    return {"policyName": name, "policyArn": _POLICIES.arn(store, name)}


def document(store: Store, name: str) -> str:
    """The document of a policy's default version: the one in effect."""
    return str(_version(store, name, known(store, name)["default_version"])["document"])


def detached(store: Store, name: str, target: str) -> None:
    """Note that a policy is no longer attached to a target."""
    store.execute("INSERT OR REPLACE INTO policy_detached VALUES (?, ?)", name, store.now())
    changed(store, name, target)


def changed(store: Store, name: str, target: str | None = None) -> None:
    """Tell the platform that what a policy allows is no longer what it was; `target`: only to this one."""
    store.publish(f"$local/policy/{name}", {"target": target})


def _parsed(document: str) -> None:
    try:
        policy.parse(document)
    except policy.PolicyError as error:
        raise AwsError("MalformedPolicyException", str(error)) from error


def _versions(store: Store, name: str) -> list[sqlite3.Row]:
    return store.rows("SELECT * FROM policy_version WHERE policy_name = ? ORDER BY version DESC", name)


def _version(store: Store, name: str, version: str | int) -> sqlite3.Row:
    # As texts: an id may have more digits than any number that SQLite holds.
    row = store.row(
        "SELECT * FROM policy_version WHERE policy_name = ? AND CAST(version AS TEXT) = ?", name, str(version)
    )
    if row is None:
        raise not_found(f"Policy version not found (name={name}, version={version})")
    return row


def _add_version(store: Store, name: str, document: str) -> int:
    version = int(known(store, name)["last_version"]) + 1
    now = store.now()
    store.execute("INSERT INTO policy_version VALUES (?, ?, ?, ?, ?)", name, version, document, str(uuid.uuid4()), now)
    store.execute("UPDATE policy SET last_version = ?, modified = ? WHERE name = ?", version, now, name)
    return version


def _set_default(store: Store, name: str, version: int) -> None:
    store.execute("UPDATE policy SET default_version = ?, modified = ? WHERE name = ?", version, store.now(), name)
    changed(store, name)


taggable("policy", exists)
