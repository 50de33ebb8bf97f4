"""Client devices of a core: which they are, how they reach it, and how they find it.

Source: developer guide, interact-with-local-iot-devices. The CAs of cores (PutCertificateAuthorities) are not kept
here, so discovery names none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import operation, things
from iotctl.local.services.greengrass import names
from iotctl.local.services.greengrass.core_devices import known
from iotctl.local.services.greengrass.names import not_found, validation

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_client (
    core TEXT NOT NULL, thing_name TEXT NOT NULL, associated REAL NOT NULL,
    PRIMARY KEY (core, thing_name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS greengrass_client_by_thing ON greengrass_client (thing_name, core);
CREATE TABLE IF NOT EXISTS greengrass_connectivity (
    thing_name TEXT PRIMARY KEY, version INTEGER NOT NULL, places TEXT NOT NULL
) WITHOUT ROWID
"""

_GROUP: Final = "greengrassV2-coreDevice-"
_WIRE: Final = {"id": "Id", "hostAddress": "HostAddress", "portNumber": "PortNumber", "metadata": "Metadata"}


@operation("greengrassv2:BatchAssociateClientDeviceWithCoreDevice")
def batch_associate_client_device_with_core_device(
    store: Store, coreDeviceThingName: str, entries: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Let client devices find a core; again is no error."""
    known(store, coreDeviceThingName)
    errors = []
    for entry in entries or ():
        thing_name = entry["thingName"]
        if things.find(store, thing_name) is None:
            message = f"Thing {thing_name} cannot be found"
            errors.append({"thingName": thing_name, "code": "ResourceNotFoundException", "message": message})
            continue
        store.execute(
            "INSERT OR IGNORE INTO greengrass_client VALUES (?, ?, ?)", coreDeviceThingName, thing_name, store.now()
        )
    return {"errorEntries": errors}


@operation("greengrassv2:BatchDisassociateClientDeviceFromCoreDevice")
def batch_disassociate_client_device_from_core_device(
    store: Store, coreDeviceThingName: str, entries: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Let client devices find a core no more; one that does not is no error."""
    known(store, coreDeviceThingName)
    for entry in entries or ():
        store.execute(
            "DELETE FROM greengrass_client WHERE core = ? AND thing_name = ?", coreDeviceThingName, entry["thingName"]
        )
    return {"errorEntries": []}


@operation("greengrassv2:ListClientDevicesAssociatedWithCoreDevice")
def list_client_devices_associated_with_core_device(
    store: Store, coreDeviceThingName: str, maxResults: int | None = None, nextToken: str | None = None
) -> dict[str, Any]:
    """The client devices of a core, by name."""
    known(store, coreDeviceThingName)
    select = "SELECT * FROM greengrass_client WHERE core = ?"
    rows, token = names.page(store, select, [coreDeviceThingName], by=("thing_name",), size=maxResults, token=nextToken)
    found = [{"thingName": row["thing_name"], "associationTimestamp": row["associated"]} for row in rows]
    return {"associatedClientDevices": found, "nextToken": token}


@operation("greengrassv2:GetConnectivityInfo")
def get_connectivity_info(store: Store, thingName: str) -> dict[str, Any]:
    """Where client devices reach a core."""
    _known_thing(store, thingName)
    return {"connectivityInfo": _places(store, thingName)}


@operation("greengrassv2:UpdateConnectivityInfo")
def update_connectivity_info(store: Store, thingName: str, connectivityInfo: list[dict[str, Any]]) -> dict[str, Any]:
    """Say where client devices reach a core, in place of what was said before."""
    _known_thing(store, thingName)
    store.execute(
        "INSERT INTO greengrass_connectivity VALUES (?, 1, ?)"
        " ON CONFLICT DO UPDATE SET version = version + 1, places = excluded.places",
        thingName,
        json.dumps(connectivityInfo),
    )
    row = store.row("SELECT version FROM greengrass_connectivity WHERE thing_name = ?", thingName)
    return {"version": str(row["version"]) if row else None}


@operation("greengrassv2-data:Discover")
def discover(store: Store, thingName: str) -> dict[str, Any]:
    """The cores of a client device, each as a group of its own, and where they are reached."""
    rows = store.rows("SELECT core FROM greengrass_client WHERE thing_name = ? ORDER BY core", thingName)
    if not rows:
        raise not_found("CoreDevice", thingName)
    return {"GGGroups": [_group(store, row["core"]) for row in rows]}


def _group(store: Store, core: str) -> dict[str, Any]:
    connectivity = [{_WIRE[key]: value for key, value in place.items()} for place in _places(store, core)]
    cores = [{"thingArn": things.arn(store, core), "Connectivity": connectivity}]
    return {"GGGroupId": f"{_GROUP}{core}", "Cores": cores, "CAs": []}


def _places(store: Store, thing_name: str) -> list[dict[str, Any]]:
    row = store.row("SELECT places FROM greengrass_connectivity WHERE thing_name = ?", thing_name)
    found: list[dict[str, Any]] = json.loads(row["places"]) if row else []
    return found


def _known_thing(store: Store, thing_name: str) -> None:
    """Both operations declare no error but for a bad request."""
    if things.find(store, thing_name) is None:
        raise validation(f"Thing {thing_name} cannot be found")
