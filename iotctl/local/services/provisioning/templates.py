"""Provisioning templates and their versions.

Sources: the service model's words on each operation; AWS IoT developer guide, provision-template. A template holds five
versions (AWS IoT Core quotas). Pre-provisioning hooks are Lambda functions, which are not a part of this platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, not_found, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.role_aliases import check_role
from iotctl.local.services.tags import forget_tags, put_tags, taggable
from iotctl.semantics import provisioning
from iotctl.semantics.intrinsics import TemplateError
from iotctl.semantics.provisioning import Kind

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store
    from iotctl.semantics.provisioning import Template

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS provisioning_template (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, description TEXT, role TEXT NOT NULL, enabled INTEGER NOT NULL,
    default_version INTEGER NOT NULL, last_version INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS provisioning_template_version (
    template TEXT NOT NULL REFERENCES provisioning_template (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (template, version)
) WITHOUT ROWID
"""

_TEMPLATES: Final = Named("provisioning_template", "provisioningtemplate", "Template {} not found")
arn, find, known = _TEMPLATES.arn, _TEMPLATES.find, _TEMPLATES.known

_MOST_VERSIONS: Final = 5


@operation("iot:CreateProvisioningTemplate")
def create_provisioning_template(
    store: Store,
    *,
    templateName: str,
    templateBody: str,
    provisioningRoleArn: str,
    description: str | None = None,
    enabled: bool = False,
    preProvisioningHook: dict[str, str] | None = None,
    tags: list[dict[str, str]] | None = None,
    type: str = Kind.FLEET.value,  # noqa: A002  AWS's own name
) -> dict[str, Any]:
    """Create a template, whose first version is its default; it is not enabled unless `enabled` says so."""
    _no_hook(preProvisioningHook)
    read(templateBody, Kind(type))
    check_role(store, provisioningRoleArn)
    if find(store, templateName):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Template with name {templateName} already exists",
            resourceId=templateName,
            resourceArn=arn(store, templateName),
        )
    now = store.now()
    store.execute(
        "INSERT INTO provisioning_template VALUES (?, ?, ?, ?, ?, 1, 0, ?, ?)",
        templateName,
        type,
        description,
        provisioningRoleArn,
        enabled,
        now,
        now,
    )
    _add_version(store, templateName, templateBody)
    put_tags(store, arn(store, templateName), tags)
    return {"templateArn": arn(store, templateName), "templateName": templateName, "defaultVersionId": 1}


@operation("iot:DescribeProvisioningTemplate")
def describe_provisioning_template(store: Store, templateName: str) -> dict[str, Any]:
    """A template with the body of its default version."""
    row = known(store, templateName)
    return {
        **_listed(store, row),
        "defaultVersionId": row["default_version"],
        "templateBody": _version(store, templateName, row["default_version"])["body"],
        "provisioningRoleArn": row["role"],
    }


@operation("iot:ListProvisioningTemplates")
def list_provisioning_templates(
    store: Store, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """Templates by name."""
    rows, token = page(store, "SELECT * FROM provisioning_template", [], by=("name",), size=maxResults, token=nextToken)
    return {"templates": [_listed(store, row) for row in rows], "nextToken": token}


@operation("iot:UpdateProvisioningTemplate")
def update_provisioning_template(
    store: Store,
    *,
    templateName: str,
    description: str | None = None,
    enabled: bool | None = None,
    defaultVersionId: int | None = None,
    provisioningRoleArn: str | None = None,
    preProvisioningHook: dict[str, str] | None = None,
    removePreProvisioningHook: bool = False,  # noqa: ARG001  there is none to be removed
) -> None:
    """Change what is said of a template; its bodies are its versions' and do not change."""
    known(store, templateName)
    _no_hook(preProvisioningHook)
    if provisioningRoleArn is not None:
        check_role(store, provisioningRoleArn)
    if defaultVersionId is not None:
        _version(store, templateName, defaultVersionId)
    store.execute(
        "UPDATE provisioning_template SET description = coalesce(?, description), enabled = coalesce(?, enabled),"
        " default_version = coalesce(?, default_version), role = coalesce(?, role), modified = ? WHERE name = ?",
        description,
        enabled,
        defaultVersionId,
        provisioningRoleArn,
        store.now(),
        templateName,
    )


@operation("iot:DeleteProvisioningTemplate")
def delete_provisioning_template(store: Store, templateName: str) -> None:
    """Delete a template with all its versions; one that a CA certificate registers devices by is refused."""
    known(store, templateName)
    if store.row("SELECT 1 FROM ca_registration WHERE template = ?", templateName):
        message = f"Template {templateName} cannot be deleted: a CA certificate registers devices by it"
        raise AwsError("DeleteConflictException", message)
    store.execute("DELETE FROM provisioning_template WHERE name = ?", templateName)
    forget_tags(store, arn(store, templateName))


@operation("iot:CreateProvisioningTemplateVersion")
def create_provisioning_template_version(
    store: Store, templateName: str, templateBody: str, setAsDefault: bool = False
) -> dict[str, Any]:
    """Add a version to a template."""
    row = known(store, templateName)
    read(templateBody, Kind(row["type"]))
    held = store.row("SELECT count(*) AS n FROM provisioning_template_version WHERE template = ?", templateName)
    if held and held["n"] >= _MOST_VERSIONS:
        message = f"Template {templateName} already has the maximum number of versions ({_MOST_VERSIONS})"
        raise AwsError("VersionsLimitExceededException", message)
    version = _add_version(store, templateName, templateBody)
    if setAsDefault:
        store.execute("UPDATE provisioning_template SET default_version = ? WHERE name = ?", version, templateName)
    return {
        "templateArn": arn(store, templateName),
        "templateName": templateName,
        "versionId": version,
        "isDefaultVersion": setAsDefault,
    }


@operation("iot:DescribeProvisioningTemplateVersion")
def describe_provisioning_template_version(store: Store, templateName: str, versionId: int) -> dict[str, Any]:
    """One version of a template."""
    row = known(store, templateName)
    version = _version(store, templateName, versionId)
    return {**_listed_version(version, row["default_version"]), "templateBody": version["body"]}


@operation("iot:ListProvisioningTemplateVersions")
def list_provisioning_template_versions(
    store: Store, templateName: str, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """The versions of a template, the oldest first."""
    row = known(store, templateName)
    rows, token = page(
        store,
        "SELECT version, created FROM provisioning_template_version WHERE template = ?",
        [templateName],
        by=("version",),
        size=maxResults,
        token=nextToken,
    )
    return {"versions": [_listed_version(one, row["default_version"]) for one in rows], "nextToken": token}


@operation("iot:DeleteProvisioningTemplateVersion")
def delete_provisioning_template_version(store: Store, templateName: str, versionId: int) -> None:
    """Delete a version that is not the default one."""
    row = known(store, templateName)
    _version(store, templateName, versionId)
    if versionId == row["default_version"]:
        message = f"Cannot delete the default version of a template (name={templateName}, version={versionId})"
        raise AwsError("DeleteConflictException", message)
    store.execute(
        "DELETE FROM provisioning_template_version WHERE template = ? AND version = ?", templateName, versionId
    )


def in_effect(store: Store, row: sqlite3.Row) -> Template:
    """The template of a row's default version."""
    body = _version(store, row["name"], row["default_version"])["body"]
    return provisioning.parse(body, Kind(row["type"]))


def read(body: str, kind: Kind) -> Template:
    """A template's body, read.

    Raises:
        AwsError: InvalidRequestException, with AWS's words.

    """
    try:
        return provisioning.parse(body, kind)
    except TemplateError as error:
        raise invalid(f"Invalid registration template. {error}") from error


def _version(store: Store, name: str, version: int) -> sqlite3.Row:
    row = store.row("SELECT * FROM provisioning_template_version WHERE template = ? AND version = ?", name, version)
    if row is None:
        raise not_found(f"Version {version} of template {name} not found")
    return row


def _add_version(store: Store, name: str, body: str) -> int:
    version = int(known(store, name)["last_version"]) + 1
    now = store.now()
    store.execute("INSERT INTO provisioning_template_version VALUES (?, ?, ?, ?)", name, version, body, now)
    store.execute("UPDATE provisioning_template SET last_version = ?, modified = ? WHERE name = ?", version, now, name)
    return version


def _listed(store: Store, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "templateArn": arn(store, row["name"]),
        "templateName": row["name"],
        "description": row["description"],
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
        "enabled": bool(row["enabled"]),
        "type": row["type"],
    }


def _listed_version(row: sqlite3.Row, default: int) -> dict[str, Any]:
    return {
        "versionId": row["version"],
        "creationDate": row["created"],
        "isDefaultVersion": row["version"] == default,
    }


def _no_hook(hook: dict[str, str] | None) -> None:
    if hook is not None:
        message = "Pre-provisioning hooks are Lambda functions, which are not a part of the local platform"
        raise AwsError("NotImplementedException", message)


taggable("provisioningtemplate", _TEMPLATES.exists)
