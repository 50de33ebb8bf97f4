"""Role aliases: what a device names to get temporary credentials of a role.

Source: AWS IoT developer guide, authorizing-direct-aws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.named import Named
from iotctl.local.services.paging import page
from iotctl.local.services.tags import forget_tags, put_tags, taggable

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS role_alias (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, seconds INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID
"""

_ALIASES: Final = Named("role_alias", "rolealias", "Role alias {} not found")
arn, find, known = _ALIASES.arn, _ALIASES.find, _ALIASES.known

_SECONDS: Final = 3600


@operation("iot:CreateRoleAlias")
def create_role_alias(
    store: Store,
    roleAlias: str,
    roleArn: str,
    credentialDurationSeconds: int = _SECONDS,
    tags: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Create an alias of a role; the role itself is not looked at, for there is no IAM here."""
    check_role(store, roleArn)
    if find(store, roleAlias):
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Role alias {roleAlias} already exists in account",
            resourceId=roleAlias,
            resourceArn=arn(store, roleAlias),
        )
    now = store.now()
    store.execute(
        "INSERT INTO role_alias VALUES (?, ?, ?, ?, ?)", roleAlias, roleArn, credentialDurationSeconds, now, now
    )
    put_tags(store, arn(store, roleAlias), tags)
    return _named(store, roleAlias)


@operation("iot:DescribeRoleAlias")
def describe_role_alias(store: Store, roleAlias: str) -> dict[str, Any]:
    """What is known of an alias."""
    row = known(store, roleAlias)
    description = {
        **_named(store, roleAlias),
        "roleArn": row["role"],
        "owner": store.account_id,
        "credentialDurationSeconds": row["seconds"],
        "creationDate": row["created"],
        "lastModifiedDate": row["modified"],
    }
    return {"roleAliasDescription": description}


@operation("iot:UpdateRoleAlias")
def update_role_alias(
    store: Store, roleAlias: str, roleArn: str | None = None, credentialDurationSeconds: int | None = None
) -> dict[str, Any]:
    """Let an alias stand for another role, or its credentials last longer or shorter, from the next ones on."""
    known(store, roleAlias)
    if roleArn is not None:
        check_role(store, roleArn)
    store.execute(
        "UPDATE role_alias SET role = coalesce(?, role), seconds = coalesce(?, seconds), modified = ? WHERE name = ?",
        roleArn,
        credentialDurationSeconds,
        store.now(),
        roleAlias,
    )
    return _named(store, roleAlias)


@operation("iot:DeleteRoleAlias")
def delete_role_alias(store: Store, roleAlias: str) -> None:
    """Delete an alias; credentials that were given stay valid until they expire."""
    known(store, roleAlias)
    store.execute("DELETE FROM role_alias WHERE name = ?", roleAlias)
    forget_tags(store, arn(store, roleAlias))


@operation("iot:ListRoleAliases")
def list_role_aliases(
    store: Store, pageSize: int | None = None, marker: str | None = None, ascendingOrder: bool = True
) -> dict[str, Any]:
    """The names of the aliases, in order."""
    rows, token = page(
        store,
        "SELECT name FROM role_alias",
        [],
        by=("name",),
        size=pageSize,
        token=marker,
        ascending=ascendingOrder,
    )
    return {"roleAliases": [row["name"] for row in rows], "nextMarker": token}


def _named(store: Store, name: str) -> dict[str, str]:
    return {"roleAlias": name, "roleAliasArn": arn(store, name)}


def check_role(store: Store, role: str) -> None:
    """Refuse what is not the ARN of a role of this account; the role itself is not looked at.

    Raises:
        AwsError: InvalidRequestException.

    """
    if not role.startswith(f"arn:aws:iam::{store.account_id}:role/"):
        raise invalid(f"{role} is not the ARN of a role of this account")


taggable("rolealias", _ALIASES.exists)
