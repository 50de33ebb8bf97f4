"""Core devices for operators, as they last reported; and, for a core itself, the groups that it is in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from iotctl.local.services import operation, thing_groups
from iotctl.local.services.greengrass import names
from iotctl.local.services.greengrass.names import not_found
from iotctl.local.services.group_members import groups_of
from iotctl.local.services.tags import forget_tags, held_tags

if TYPE_CHECKING:
    import sqlite3

    from iotctl.local.store import Store


@operation("greengrassv2:GetCoreDevice")
def get_core_device(store: Store, coreDeviceThingName: str) -> dict[str, Any]:
    """What a core device last reported of itself."""
    row = known(store, coreDeviceThingName)
    return {
        **_listed(row),
        "coreVersion": row["version"] or None,
        "tags": held_tags(store, arn_of(store, coreDeviceThingName)),
    }


@operation("greengrassv2:ListCoreDevices")
def list_core_devices(
    store: Store,
    *,
    thingGroupArn: str | None = None,
    status: str | None = None,
    runtime: str | None = None,
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """Core devices by name: all, those of a group, those of a status."""
    select, parameters = "SELECT * FROM greengrass_core WHERE true", list[Any]()
    for column, value in {"status": status, "runtime": runtime}.items():
        if value is not None:
            select += f" AND {column} = ?"
            parameters.append(value)
    if thingGroupArn is not None:
        group = names.target(store, thingGroupArn).known(store)
        select += (
            f" AND name IN (SELECT thing_name FROM thing_group_member WHERE group_name IN ({thing_groups.DESCENDANTS}))"  # noqa: S608  a constant
        )
        parameters.append(group.name)
    rows, token = names.page(store, select, parameters, by=("name",), size=maxResults, token=nextToken)
    return {"coreDevices": [_listed(row) for row in rows], "nextToken": token}


@operation("greengrassv2:ListInstalledComponents")
def list_installed_components(
    store: Store,
    coreDeviceThingName: str,
    topologyFilter: str = "ROOT",
    maxResults: int | None = None,
    nextToken: str | None = None,
) -> dict[str, Any]:
    """The components of a core: those that deployments name, or with their dependencies."""
    known(store, coreDeviceThingName)
    select = "SELECT * FROM greengrass_installed WHERE core = ?"
    if topologyFilter == "ROOT":
        select += " AND root"
    rows, token = names.page(store, select, [coreDeviceThingName], by=("name",), size=maxResults, token=nextToken)
    installed = [
        {
            "componentName": row["name"],
            "componentVersion": row["version"] or None,
            "lifecycleState": row["state"],
            "lifecycleStateDetails": row["details"] or None,
            "isRoot": bool(row["root"]),
            "lastStatusChangeTimestamp": row["changed"],
            "lastReportedTimestamp": row["reported"],
            "lastInstallationSource": row["source"],
            "lifecycleStatusCodes": json.loads(row["codes"]),
        }
        for row in rows
    ]
    return {"installedComponents": installed, "nextToken": token}


@operation("greengrassv2:DeleteCoreDevice")
def delete_core_device(store: Store, coreDeviceThingName: str) -> None:
    """Remove a core device from the list; its thing stays, and it is back with its next report."""
    known(store, coreDeviceThingName)
    store.execute("DELETE FROM greengrass_core WHERE name = ?", coreDeviceThingName)
    store.execute("DELETE FROM greengrass_client WHERE core = ?", coreDeviceThingName)
    forget_tags(store, arn_of(store, coreDeviceThingName))


@operation("greengrassv2-data:ListThingGroupsForCoreDevice")
def list_thing_groups_for_core_device(store: Store, coreDeviceThingName: str) -> dict[str, Any]:
    """The groups that a thing is in, and those above them: what its core may have deployments of."""
    found = dict.fromkeys(groups_of(store, coreDeviceThingName))
    return {
        "thingGroups": [
            {
                "thingGroupName": name,
                "thingGroupArn": thing_groups.arn(store, name),
                "rootThingGroupArn": thing_groups.arn(store, thing_groups.ancestors(store, name)[-1]),
            }
            for name in found
        ]
    }


def arn_of(store: Store, name: str) -> str:
    """The ARN of a core device."""
    return names.arn(store, f"coreDevices:{name}")


def known(store: Store, name: str) -> sqlite3.Row:
    """The row of a core device.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    row = store.row("SELECT * FROM greengrass_core WHERE name = ?", name)
    if row is None:
        raise not_found("CoreDevice", name)
    return row


def _listed(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "coreDeviceThingName": row["name"],
        "status": row["status"],
        "lastStatusUpdateTimestamp": row["updated"],
        **{key: row[key] or None for key in ("platform", "architecture", "runtime")},
    }
