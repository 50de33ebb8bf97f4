"""Whether AWS IoT logs: off until it is configured, in either version. The platform's own log is `iotctl local logs`.

Source: the service model's words on each operation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = "CREATE TABLE IF NOT EXISTS logging_options (version INTEGER PRIMARY KEY, options TEXT NOT NULL)"


@operation("iot:SetLoggingOptions")
def set_logging_options(store: Store, loggingOptionsPayload: dict[str, Any]) -> None:
    """Configure the first version."""
    _keep(store, 1, loggingOptionsPayload)


@operation("iot:GetLoggingOptions")
def get_logging_options(store: Store) -> dict[str, Any]:
    """The first version's configuration; disabled where there is none."""
    return _kept(store, 1) or {"logLevel": "DISABLED"}


@operation("iot:SetV2LoggingOptions")
def set_v2_logging_options(
    store: Store,
    roleArn: str | None = None,
    defaultLogLevel: str | None = None,
    disableAllLogs: bool = False,
    eventConfigurations: list[dict[str, Any]] | None = None,
) -> None:
    """Configure the second version; what is not named stays."""
    held = _kept(store, 2) or {}
    if roleArn is None and "roleArn" not in held:
        raise invalid("roleArn must be specified")
    changed = {
        "roleArn": roleArn,
        "defaultLogLevel": defaultLogLevel,
        "disableAllLogs": disableAllLogs,
        "eventConfigurations": eventConfigurations,
    }
    _keep(store, 2, {**held, **{key: value for key, value in changed.items() if value is not None}})


@operation("iot:GetV2LoggingOptions")
def get_v2_logging_options(
    store: Store,
    verbose: bool = False,  # noqa: ARG001  every event type that was configured is told anyway
) -> dict[str, Any]:
    """The second version's configuration."""
    held = _kept(store, 2)
    if held is None:
        raise AwsError("NotConfiguredException", "Logging options have not been configured")
    return held


def enabled(store: Store) -> bool:
    """Whether either version logs."""
    for version, level in ((2, "defaultLogLevel"), (1, "logLevel")):
        held = _kept(store, version) or {}
        if held.get("roleArn") and not held.get("disableAllLogs") and held.get(level) != "DISABLED":
            return True
    return False


def _keep(store: Store, version: int, options: dict[str, Any]) -> None:
    store.execute(
        "INSERT INTO logging_options VALUES (?, ?) ON CONFLICT DO UPDATE SET options = excluded.options",
        version,
        json.dumps(options),
    )


def _kept(store: Store, version: int) -> dict[str, Any] | None:
    row = store.row("SELECT options FROM logging_options WHERE version = ?", version)
    return json.loads(row["options"]) if row else None
