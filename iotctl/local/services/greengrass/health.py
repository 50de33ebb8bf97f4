"""What core devices report of themselves, on `$aws/things/THING/greengrassv2/health/json`.

A COMPLETE report names every component, a PARTIAL one those that changed; a component that is UNINSTALLED is gone. A
report may come in chunks, of which the first begins it. Sources: FleetStatusDetails of the nucleus,
fleet_status_service.c of nucleus lite.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import Usage
from iotctl.local.services import on
from iotctl.local.services.greengrass import records
from iotctl.local.services.things import find as find_thing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.services import Message
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_core (
    name TEXT PRIMARY KEY, version TEXT NOT NULL, platform TEXT NOT NULL, architecture TEXT NOT NULL,
    runtime TEXT NOT NULL, status TEXT NOT NULL, sequence INTEGER NOT NULL, reported REAL NOT NULL,
    updated REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS greengrass_installed (
    core TEXT NOT NULL REFERENCES greengrass_core (name) ON DELETE CASCADE, name TEXT NOT NULL, version TEXT NOT NULL,
    state TEXT NOT NULL, details TEXT NOT NULL, codes TEXT NOT NULL, root INTEGER NOT NULL, source TEXT NOT NULL,
    changed REAL NOT NULL, reported REAL NOT NULL,
    PRIMARY KEY (core, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS greengrass_said (
    core TEXT NOT NULL REFERENCES greengrass_core (name) ON DELETE CASCADE, configuration TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (core, configuration)
) WITHOUT ROWID
"""
# `reported` is the core's own time, `updated` and `changed` are the platform's.

LOCAL: Final = "LOCAL"
"""The source of a component that no deployment of this platform brought."""

_STATES: Final = frozenset({"NEW", "INSTALLED", "STARTING", "RUNNING", "STOPPING", "ERRORED", "BROKEN", "FINISHED"})
_GONE: Final = "UNINSTALLED"
_HEALTH: Final = ("HEALTHY", "UNHEALTHY")
_LONGEST: Final = 255
_LONGEST_DETAILS: Final = 1000
_MOST: Final = 1000
_LARGEST: Final = 2**63 - 1  # what SQLite holds


class _BadReport(ValueError):
    """A report that is none: it is left alone, as AWS answers none."""


@on("$aws/things/+/greengrassv2/health/json")
def on_health(store: Store, message: Message) -> None:
    """Keep what a core reports."""
    name = message.topic.split("/")[2]
    if find_thing(store, name) is None:
        return
    try:
        report = _object(text.loads(message.payload, name="the report"))
        sequence, at = _number(report.get("sequenceNumber"), int), _number(report.get("timestamp"), int, float)
        if report.get("overallDeviceStatus") not in _HEALTH:
            return
        components = [_object(one) for one in _list(report.get("components"))]
        for one in components:
            _object(one.get("componentStatusDetails") or {})
        deployment = _object(report.get("deploymentInformation") or {})
        chunk = _object(report.get("chunkInfo") or {})
    except (ValueError, Usage):
        return
    before = store.row("SELECT sequence, reported FROM greengrass_core WHERE name = ?", name)
    if before and sequence < before["sequence"] and at / 1000 < before["reported"]:
        return
    _keep_core(store, name, report, sequence, at / 1000)
    begins = chunk.get("chunkId", 1) == 1
    if report.get("messageType") == "COMPLETE" and begins:
        _forget_others(
            store, name, {_text(one.get("componentName")) for one in components}, whole="chunkId" not in chunk
        )
    for one in components:
        _keep_component(store, name, one)
    _keep_said(store, name, deployment)


def is_core(store: Store, name: str) -> bool:
    """Whether a thing has reported as a core device, and was not deleted since."""
    return store.row("SELECT 1 FROM greengrass_core WHERE name = ?", name) is not None


def said_of(store: Store, core: str, configuration_arn: str) -> dict[str, Any]:
    """The status details that a core last reported of a deployment, by its configuration's ARN."""
    row = store.row("SELECT details FROM greengrass_said WHERE core = ? AND configuration = ?", core, configuration_arn)
    found: dict[str, Any] = json.loads(row["details"]) if row else {}
    return found


def _keep_core(store: Store, name: str, report: Mapping[str, Any], sequence: int, at: float) -> None:
    store.execute(
        "INSERT INTO greengrass_core VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " version = excluded.version, platform = excluded.platform, architecture = excluded.architecture,"
        " runtime = excluded.runtime, status = excluded.status, sequence = excluded.sequence,"
        " reported = excluded.reported, updated = excluded.updated",
        name,
        *(_text(report.get(key)) for key in ("ggcVersion", "platform", "architecture", "runtime")),
        report["overallDeviceStatus"],
        sequence,
        at,
        store.now(),
    )


def _forget_others(store: Store, core: str, named: set[str], *, whole: bool) -> None:
    """Forget what a complete report does not name; where only its first part is here, everything."""
    for row in store.rows("SELECT name FROM greengrass_installed WHERE core = ?", core):
        if not whole or row["name"] not in named:
            store.execute("DELETE FROM greengrass_installed WHERE core = ? AND name = ?", core, row["name"])


def _keep_component(store: Store, core: str, one: Mapping[str, Any]) -> None:
    name, state, version = (_text(one.get(key)) for key in ("componentName", "status", "version"))
    if state == _GONE:
        store.execute("DELETE FROM greengrass_installed WHERE core = ? AND name = ?", core, name)
        return
    if not name or state not in _STATES:
        return
    details = one.get("componentStatusDetails") or {}
    before = store.row("SELECT * FROM greengrass_installed WHERE core = ? AND name = ?", core, name)
    now = store.now()
    same = before and (before["version"], before["state"]) == (version, state)
    store.execute(
        "INSERT OR REPLACE INTO greengrass_installed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        core,
        name,
        version,
        state,
        _text(details.get("statusReason"), _LONGEST_DETAILS),
        json.dumps([_text(code) for code in _list(details.get("statusCodes"))]),
        int(bool(one.get("isRoot"))),
        _source(store, [_text(arn) for arn in _list(one.get("fleetConfigArns"))]),
        before["changed"] if before and same else now,
        now,
    )


def _source(store: Store, configuration_arns: list[str]) -> str:
    """The id of the last of the deployments that brought a component."""
    found = [one for arn in configuration_arns if (one := records.of_configuration(store, arn))]
    return max(found, key=lambda one: one.created).id if found else LOCAL


def _keep_said(store: Store, core: str, deployment: Mapping[str, Any]) -> None:
    configuration = _text(deployment.get("fleetConfigurationArnForStatus"), _LONGEST_DETAILS)
    details = deployment.get("statusDetails")
    if isinstance(details, dict) and records.of_configuration(store, configuration):
        store.execute(
            "INSERT OR REPLACE INTO greengrass_said VALUES (?, ?, ?)", core, configuration, json.dumps(details)
        )


def _object(value: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a device sent
    if not isinstance(value, dict):
        raise _BadReport
    return value


def _number(value: Any, *kinds: type) -> Any:  # noqa: ANN401  whatever a device sent
    if type(value) not in kinds or abs(value) > _LARGEST:
        raise _BadReport
    return value


def _list(value: Any) -> list[Any]:  # noqa: ANN401  whatever a device sent
    return value[:_MOST] if isinstance(value, list) else []


def _text(value: Any, longest: int = _LONGEST) -> str:  # noqa: ANN401  whatever a device sent
    return value[:longest] if isinstance(value, str) else ""
