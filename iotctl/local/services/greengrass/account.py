"""The account's service role for Greengrass, and the tags of components, deployments and core devices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.local.services import operation
from iotctl.local.services.greengrass import components, health, names, records
from iotctl.local.services.greengrass.names import not_found, put_tags, validation
from iotctl.local.services.tags import held_tags

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_service_role (
    one INTEGER PRIMARY KEY CHECK (one = 1), arn TEXT NOT NULL, associated REAL NOT NULL
)
"""


@operation("greengrassv2:AssociateServiceRoleToAccount")
def associate_service_role_to_account(store: Store, roleArn: str) -> dict[str, Any]:
    """Let Greengrass use a role."""
    if not roleArn.startswith(f"arn:aws:iam::{store.account_id}:role/"):
        raise validation(f"{roleArn} is not the ARN of a role of this account")
    store.execute("INSERT OR REPLACE INTO greengrass_service_role VALUES (1, ?, ?)", roleArn, store.now())
    return {"associatedAt": clock.iso(clock.now())}


@operation("greengrassv2:DisassociateServiceRoleFromAccount")
def disassociate_service_role_from_account(store: Store) -> dict[str, Any]:
    """Let Greengrass use no role any more."""
    store.execute("DELETE FROM greengrass_service_role")
    return {"disassociatedAt": clock.iso(clock.now())}


@operation("greengrassv2:GetServiceRoleForAccount")
def get_service_role_for_account(store: Store) -> dict[str, Any]:
    """The role that Greengrass uses."""
    row = store.row("SELECT * FROM greengrass_service_role")
    if row is None:
        raise not_found("ServiceRole", store.account_id)
    return {"roleArn": row["arn"], "associatedAt": clock.iso(datetime.fromtimestamp(row["associated"], UTC))}


@operation("greengrassv2:TagResource")
def tag_resource(store: Store, resourceArn: str, tags: dict[str, str]) -> None:
    """Add or change tags."""
    put_tags(store, _known(store, resourceArn), tags)


@operation("greengrassv2:UntagResource")
def untag_resource(store: Store, resourceArn: str, tagKeys: list[str]) -> None:
    """Remove tags; one that is not there is no error."""
    arn = _known(store, resourceArn)
    for key in tagKeys:
        store.execute("DELETE FROM tag WHERE arn = ? AND key = ?", arn, key)


@operation("greengrassv2:ListTagsForResource")
def list_tags_for_resource(store: Store, resourceArn: str) -> dict[str, Any]:
    """The tags of a resource."""
    return {"tags": held_tags(store, _known(store, resourceArn))}


_EXISTS: Final[dict[str, Callable[[Store, str], bool]]] = {
    "components": lambda store, name: components.exists(store, names.arn(store, f"components:{name}")),
    "deployments": lambda store, name: records.find(store, name) is not None,
    "coreDevices": health.is_core,
}


def _known(store: Store, arn: str) -> str:
    kind, _, name = arn.removeprefix(names.arn(store, "")).partition(":")
    if not arn.startswith(names.arn(store, "")) or kind not in _EXISTS or not _EXISTS[kind](store, name):
        raise not_found("Resource", arn)
    return arn
