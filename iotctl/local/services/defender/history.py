"""How devices connected, as far as audits look at it; kept while a check that does is enabled.

Source: AWS IoT developer guide, audit-chk-conflicting-client-ids, audit-chk-device-cert-shared; AuditCommands ("When a
check is disabled, any data collected so far in relation to the check is deleted"). The two hours by which AWS looks at
shared certificates late are not waited for here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from iotctl.local.services.defender import configuration
from iotctl.semantics.checks.fleet import Session, Sharing, Takeover

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit_thrown_out (
    client_id TEXT NOT NULL, principal TEXT NOT NULL, connected REAL, disconnected REAL, at REAL NOT NULL,
    PRIMARY KEY (client_id, principal)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_shared_connection (
    principal TEXT NOT NULL, client_id TEXT NOT NULL, connected REAL NOT NULL, disconnected REAL, at REAL NOT NULL,
    PRIMARY KEY (principal, client_id, connected)
) WITHOUT ROWID
"""
# `principal`: of shared connections a certificate id; `at`: when it was last seen that it is so.

_CONFLICTING: Final = "CONFLICTING_CLIENT_IDS_CHECK"
_SHARED: Final = "DEVICE_CERTIFICATE_SHARED_CHECK"
_TABLES: Final = {_CONFLICTING: ("audit_thrown_out", "client_id"), _SHARED: ("audit_shared_connection", "principal")}
_MOST_SESSIONS: Final = 50
"""Connections that are kept of one client id, and of one certificate: the last."""


def wanted(store: Store) -> bool:
    """Whether any check looks at how devices connect; what was kept for one that does not any more is deleted."""
    found = configuration.configured(store)
    for name, (table, _) in _TABLES.items():
        if not found.enabled(name):
            store.execute(f"DELETE FROM {table}")  # noqa: S608  one of two constants
    return any(found.enabled(name) for name in _TABLES)


def taken_over(store: Store, client_id: str, before: str, by: str) -> None:
    """A principal's connection ended because another one came with its client id."""
    if not configuration.configured(store).enabled(_CONFLICTING):
        return
    now = store.now()
    insert = "INSERT INTO audit_thrown_out VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    store.execute(f"{insert} connected = excluded.connected, at = excluded.at", client_id, by, now, None, now)
    store.execute(f"{insert} disconnected = excluded.disconnected, at = excluded.at", client_id, before, None, now, now)
    _forget_old(store, _CONFLICTING, client_id)


def shared(store: Store, certificate_id: str, connections: Mapping[str, float]) -> None:
    """Several connections at the same time use one certificate: client ids, and when each connected."""
    if not configuration.configured(store).enabled(_SHARED):
        return
    for client_id, since in connections.items():
        store.execute(
            "INSERT INTO audit_shared_connection VALUES (?, ?, ?, NULL, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
            certificate_id,
            client_id,
            since,
            store.now(),
        )
    _forget_old(store, _SHARED, certificate_id)


def ended(store: Store, certificate_id: str, client_id: str) -> None:
    """A connection ended; of those that shared a certificate it is kept when."""
    sql = "UPDATE audit_shared_connection SET disconnected = ? WHERE principal = ? AND client_id = ?"
    store.execute(f"{sql} AND disconnected IS NULL", store.now(), certificate_id, client_id)


def all_ended(store: Store) -> None:
    """Nobody is connected: the platform has just begun."""
    store.execute("UPDATE audit_shared_connection SET disconnected = ? WHERE disconnected IS NULL", store.now())


def takeovers(store: Store, since: float) -> Iterator[Takeover]:
    """Client ids that were taken over since a time, the last first."""
    for client_id, sessions, at in _found(store, _CONFLICTING, since):
        yield Takeover(client_id, sessions, at)


def sharings(store: Store, since: float) -> Iterator[Sharing]:
    """Certificates that several connections used at once since a time, the last first."""
    for certificate_id, sessions, at in _found(store, _SHARED, since):
        yield Sharing(certificate_id, sessions, at)


def _found(store: Store, check: str, since: float) -> Iterator[tuple[str, tuple[Session, ...], datetime]]:
    table, key = _TABLES[check]
    last = f"SELECT {key} AS name, max(at) AS at FROM {table} WHERE at >= ? GROUP BY name ORDER BY 2 DESC, 1"  # noqa: S608  constants
    of_one = (
        f"SELECT * FROM {table} WHERE {key} = ? AND at >= ? ORDER BY coalesce(connected, disconnected) DESC, client_id"  # noqa: S608  constants
    )
    for row in store.rows(last, since):
        yield row["name"], tuple(map(_session, store.rows(of_one, row["name"], since))), _moment(row["at"])


def _session(row: sqlite3.Row) -> Session:
    since, until = row["connected"], row["disconnected"]
    return Session(
        row["client_id"],
        row["principal"],
        None if since is None else _moment(since),
        None if until is None else _moment(until),
    )


def _forget_old(store: Store, check: str, name: str) -> None:
    """Of one client id, or of one certificate, only the last connections stay."""
    table, key = _TABLES[check]
    other, start = ("principal", "") if key == "client_id" else ("client_id, connected", "connected DESC, ")
    store.execute(
        f"DELETE FROM {table} WHERE {key} = ? AND ({other}) NOT IN"  # noqa: S608  constants
        f" (SELECT {other} FROM {table} WHERE {key} = ? ORDER BY {start}at DESC LIMIT ?)",
        name,
        name,
        _MOST_SESSIONS,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
