"""What is kept of deployments: their revisions by target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services.greengrass import names
from iotctl.local.services.greengrass.names import Target, not_found

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_target (arn TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS greengrass_deployment (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, target TEXT NOT NULL, revision INTEGER NOT NULL,
    name TEXT NOT NULL, parent TEXT, job_id TEXT, components TEXT NOT NULL, policies TEXT NOT NULL,
    job_configuration TEXT, created REAL NOT NULL, status TEXT NOT NULL, latest INTEGER NOT NULL, outcome TEXT
);
CREATE INDEX IF NOT EXISTS greengrass_deployment_by_target ON greengrass_deployment (target, revision);
CREATE INDEX IF NOT EXISTS greengrass_deployment_by_parent ON greengrass_deployment (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS greengrass_deployment_by_job ON greengrass_deployment (job_id) WHERE job_id IS NOT NULL
"""
# `status` is what operators made of it: ACTIVE, CANCELED or INACTIVE; `outcome` is what a thing had reported when
# another revision took its shadow.


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment; `outcome` is as `outcomes.reported` has it."""

    id: str
    target: Target
    revision: int
    name: str
    parent: str | None
    job_id: str | None
    components: Mapping[str, Any]
    policies: Mapping[str, Any]
    job_configuration: Mapping[str, Any] | None
    created: float
    status: str
    latest: bool
    outcome: Mapping[str, Any] | None


def arn_of(store: Store, deployment_id: str) -> str:
    """The ARN of a deployment."""
    return names.arn(store, f"deployments:{deployment_id}")


def find(store: Store, deployment_id: str) -> Deployment | None:
    """A deployment, if there is one."""
    row = store.row("SELECT * FROM greengrass_deployment WHERE id = ?", deployment_id)
    return read(store, row) if row else None


def known(store: Store, deployment_id: str) -> Deployment:
    """A deployment.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    found = find(store, deployment_id)
    if found is None:
        raise not_found("Deployment", deployment_id)
    return found


def of_configuration(store: Store, configuration_arn: str) -> Deployment | None:
    """The deployment that a core names by its configuration's ARN; None: it is none of this platform."""
    prefix = names.arn(store, "configuration:")
    target, _, revision = configuration_arn.removeprefix(prefix).rpartition(":")
    row = store.row(
        "SELECT * FROM greengrass_deployment WHERE target = ? AND CAST(revision AS TEXT) = ?",
        store.arn(target),
        revision,
    )
    return read(store, row) if row and configuration_arn.startswith(prefix) else None


def read(store: Store, row: sqlite3.Row) -> Deployment:
    """A row as a value."""
    return Deployment(
        id=row["id"],
        target=names.target(store, row["target"]),
        revision=row["revision"],
        name=row["name"],
        parent=row["parent"],
        job_id=row["job_id"],
        components=json.loads(row["components"]),
        policies=json.loads(row["policies"]),
        job_configuration=json.loads(row["job_configuration"]) if row["job_configuration"] else None,
        created=row["created"],
        status=row["status"],
        latest=bool(row["latest"]),
        outcome=json.loads(row["outcome"]) if row["outcome"] else None,
    )


def latest_of(store: Store, target_arn: str) -> Deployment | None:
    """The latest revision of a target, if it has one."""
    row = store.row("SELECT * FROM greengrass_deployment WHERE target = ? AND latest", target_arn)
    return read(store, row) if row else None
