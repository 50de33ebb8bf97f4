"""Registry events: which are switched on, and their messages on `$aws/events/…`.

Source: AWS IoT developer guide, registry-events. Beside them every change leaves a message under `$local/`, always, for
the services of the platform that follow the registry.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS event_configuration (
    type TEXT PRIMARY KEY, enabled INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL
) WITHOUT ROWID
"""

TYPES: Final = (
    "CA_CERTIFICATE",
    "CERTIFICATE",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "THING",
    "THING_GROUP",
    "THING_GROUP_HIERARCHY",
    "THING_GROUP_MEMBERSHIP",
    "THING_TYPE",
    "THING_TYPE_ASSOCIATION",
)


@operation("iot:DescribeEventConfigurations")
def describe_event_configurations(store: Store) -> dict[str, Any]:
    """Which event types are switched on; all are off at first."""
    rows = {row["type"]: row for row in store.rows("SELECT * FROM event_configuration")}
    return {
        "eventConfigurations": {name: {"Enabled": bool(name in rows and rows[name]["enabled"])} for name in TYPES},
        "creationDate": min((row["created"] for row in rows.values()), default=None),
        "lastModifiedDate": max((row["modified"] for row in rows.values()), default=None),
    }


@operation("iot:UpdateEventConfigurations")
def update_event_configurations(
    store: Store, eventConfigurations: Mapping[str, Mapping[str, bool]] | None = None
) -> None:
    """Switch event types on or off; those not named stay as they are."""
    now = store.now()
    for name, configuration in (eventConfigurations or {}).items():
        store.execute(
            "INSERT INTO event_configuration VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET enabled = excluded.enabled, modified = excluded.modified",
            name,
            int(configuration.get("Enabled", False)),
            now,
            now,
        )


def enabled(store: Store, kind: str) -> bool:
    """Whether an event type is switched on."""
    return store.row("SELECT 1 FROM event_configuration WHERE type = ? AND enabled", kind) is not None


def publish(store: Store, kind: str, topic: str, operation_name: str, facts: Mapping[str, Any]) -> None:
    """Publish a registry event if its type is switched on.

    Args:
        store: where.
        kind: THING, THING_GROUP, ...
        topic: after `$aws/events/`.
        operation_name: CREATED, UPDATED, DELETED, ADDED, REMOVED.
        facts: what the event holds beside its type, id, time, account and operation.

    """
    if enabled(store, kind):
        head = {
            "eventType": f"{kind}_EVENT",
            "eventId": str(uuid.uuid4()),
            "timestamp": int(store.now() * 1000),
            "operation": operation_name,
            "accountId": store.account_id,
        }
        store.publish(f"$aws/events/{topic}", {**head, **facts})
