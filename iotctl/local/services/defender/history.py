"""How devices connected, as far as audits look at it; kept while a check that does is enabled.

Source: AWS IoT developer guide, audit-chk-conflicting-client-ids, audit-chk-device-cert-shared; AuditCommands ("When a
check is disabled, any data collected so far in relation to the check is deleted"). The two hours by which AWS looks at
shared certificates late are not waited for here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from iotctl.local.services.defender import configuration
from iotctl.semantics.checks.fleet import Sharing, Takeover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_takeover (client_id TEXT PRIMARY KEY, others TEXT NOT NULL, at REAL NOT NULL)
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_sharing (certificate_id TEXT PRIMARY KEY, others TEXT NOT NULL, at REAL NOT NULL)
WITHOUT ROWID
"""
# `others`: the principals of a client id, the client ids of a certificate; the last of them.

_TABLES: Final = {
    "CONFLICTING_CLIENT_IDS_CHECK": ("audit_takeover", "client_id"),
    "DEVICE_CERTIFICATE_SHARED_CHECK": ("audit_sharing", "certificate_id"),
}
_MOST_OTHERS: Final = 50


def wanted(store: Store) -> bool:
    """Whether any check looks at how devices connect; what was kept for one that does not any more is deleted."""
    found = configuration.configured(store)
    for name, (table, _) in _TABLES.items():
        if not found.enabled(name):
            store.execute(f"DELETE FROM {table}")  # noqa: S608  one of two constants
    return any(found.enabled(name) for name in _TABLES)


def taken_over(store: Store, client_id: str, principals: Iterable[str]) -> None:
    """A connection ended because another one came with its client id."""
    _keep(store, "CONFLICTING_CLIENT_IDS_CHECK", client_id, principals)


def shared(store: Store, certificate_id: str, client_ids: Iterable[str]) -> None:
    """Several connections at the same time use one certificate."""
    _keep(store, "DEVICE_CERTIFICATE_SHARED_CHECK", certificate_id, client_ids)


def takeovers(store: Store, since: float) -> Iterator[Takeover]:
    """Client ids that were taken over since a time, the last first."""
    for row in store.rows("SELECT * FROM audit_takeover WHERE at >= ? ORDER BY at DESC", since):
        yield Takeover(row["client_id"], tuple(json.loads(row["others"])), datetime.fromtimestamp(row["at"], UTC))


def sharings(store: Store, since: float) -> Iterator[Sharing]:
    """Certificates that several connections used at once since a time, the last first."""
    for row in store.rows("SELECT * FROM audit_sharing WHERE at >= ? ORDER BY at DESC", since):
        yield Sharing(row["certificate_id"], tuple(json.loads(row["others"])), datetime.fromtimestamp(row["at"], UTC))


def _keep(store: Store, check: str, identity: str, others: Iterable[str]) -> None:
    if not configuration.configured(store).enabled(check):
        return
    table, key = _TABLES[check]
    row = store.row(f"SELECT others FROM {table} WHERE {key} = ?", identity)  # noqa: S608  constants
    held = json.loads(row["others"]) if row else []
    known = list(dict.fromkeys([*held, *others]))[-_MOST_OTHERS:]
    store.execute(
        f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET others = excluded.others, at = excluded.at",  # noqa: S608  a constant
        identity,
        json.dumps(known),
        store.now(),
    )
