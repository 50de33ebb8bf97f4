"""The entries of the thing index: what is searched, and what is shown, of each thing.

A thing is looked at again whenever it, its groups, its shadows or its connection changed; the index follows the rest of
the platform within a moment, never inside a change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import attributes, group_members, shadows, things
from iotctl.semantics import document
from iotctl.semantics.query import Scalar, folded, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.services.index.configuration import Configuration
    from iotctl.local.store import Store
    from iotctl.semantics.document import Document

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS index_thing (name TEXT PRIMARY KEY, entry TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS index_value (
    thing_name TEXT NOT NULL REFERENCES index_thing (name) ON DELETE CASCADE,
    field TEXT NOT NULL, value TEXT NOT NULL, number REAL, words INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS index_value_by_thing ON index_value (thing_name);
CREATE INDEX IF NOT EXISTS index_value_by_field ON index_value (field, value, thing_name);
CREATE INDEX IF NOT EXISTS index_value_by_number ON index_value (field, number, thing_name) WHERE number IS NOT NULL;
CREATE INDEX IF NOT EXISTS index_value_by_value ON index_value (value, thing_name);
CREATE INDEX IF NOT EXISTS index_value_of_words ON index_value (field, thing_name) WHERE words;
CREATE TABLE IF NOT EXISTS index_connection (
    client_id TEXT PRIMARY KEY, connected INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT
) WITHOUT ROWID
"""
# `at` is in milliseconds since 1970. `words`: whether the value has several.

_SIMPLE: Final = (str, int, float, bool)


def enter(store: Store, configuration: Configuration, name: str) -> bool:
    """Make the entry of a thing anew; whether there is such a thing."""
    store.execute("DELETE FROM index_value WHERE thing_name = ?", name)
    row = things.find(store, name)
    if row is None:
        store.execute("DELETE FROM index_thing WHERE name = ?", name)
        return False
    entry: dict[str, Any] = {
        "thingName": name,
        "thingId": row["id"],
        "thingTypeName": row["type_name"],
        "thingGroupNames": sorted(set(group_members.groups_of(store, name))),
        "attributes": attributes.read(row["attributes"]),
    }
    if shown := _shadows(store, configuration, name):
        entry["shadow"] = shown
    if configuration.connectivity:
        # Also of a thing that never connected: "set to false with no additional session details" (SearchIndex).
        entry["connectivity"] = connectivity(store, name) or {"connected": False}
    values = [(name, field, folded(value), number_of(value), _has_words(value)) for field, value in _fields(entry)]
    if "shadow" in entry:
        entry["shadow"] = json.dumps(entry["shadow"], separators=(",", ":"))
    store.execute(
        "INSERT INTO index_thing VALUES (?, ?) ON CONFLICT DO UPDATE SET entry = excluded.entry",
        name,
        json.dumps({key: value for key, value in entry.items() if value not in (None, [], {})}),
    )
    store.connection.executemany("INSERT INTO index_value VALUES (?, ?, ?, ?, ?)", values)
    return True


def forget(store: Store, configuration: Configuration) -> None:
    """Empty what is no longer indexed; what is indexed is entered again over what there was."""
    if not configuration.on:
        for table in ("index_value", "index_thing"):
            store.execute(f"DELETE FROM {table}")  # noqa: S608  one of two constants
    if not configuration.connectivity:
        store.execute("DELETE FROM index_connection")


def everything(store: Store) -> list[str]:
    """Every thing of the registry, and every one that has an entry."""
    return [row["name"] for row in store.rows("SELECT name FROM thing UNION SELECT name FROM index_thing")]


def members(store: Store, group: str) -> list[str]:
    """The things whose entries name a group."""
    sql = "SELECT thing_name FROM index_value WHERE field = 'thingGroupNames' AND value = ?"
    return [row["thing_name"] for row in store.rows(sql, folded(group))]


def all_disconnected(store: Store, at: int, reason: str) -> None:
    """Keep that every connection ended: the platform did."""
    store.execute("UPDATE index_connection SET connected = 0, at = ?, reason = ? WHERE connected", at, reason)


def connection_changed(store: Store, client_id: str, at: int, reason: str | None) -> None:
    """Keep that a client connected (no reason), or why its connection ended."""
    store.execute(
        "INSERT INTO index_connection VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET connected = excluded.connected, at = excluded.at, reason = excluded.reason",
        client_id,
        int(reason is None),
        at,
        reason,
    )


def connectivity(store: Store, client_id: str) -> dict[str, Any] | None:
    """Whether a client is connected and since when, as the index shows it; None: it never was."""
    row = store.row("SELECT * FROM index_connection WHERE client_id = ?", client_id)
    if row is None:
        return None
    found = {"connected": bool(row["connected"]), "timestamp": row["at"]}
    return found if row["reason"] is None else {**found, "disconnectReason": row["reason"]}


def _shadows(store: Store, configuration: Configuration, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if configuration.shadow and (classic := shadows.find(store, name)):
        shown |= _shown(store, classic)
    named = {each: _shown(store, found) for each in configuration.named if (found := shadows.find(store, name, each))}
    return {**shown, "name": named} if named else shown


def _shown(store: Store, found: Document) -> dict[str, Any]:
    payload = document.get_payload(found, int(store.now()))
    state = payload["state"]
    return {**state, "metadata": payload["metadata"], "hasDelta": "delta" in state, "version": payload["version"]}


def _fields(entry: dict[str, Any]) -> Iterator[tuple[str, Scalar]]:
    for key, value in entry.items():
        yield from _leaves(key, value)


def _leaves(field: str, value: Any) -> Iterator[tuple[str, Scalar]]:  # noqa: ANN401  JSON is any value
    """The leaves of a value by the path to them; an array of simple values is one field with each of them."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not (field.startswith("shadow") and key == "version"):
                yield from _leaves(f"{field}.{key}", item)
    elif isinstance(value, list):
        if all(isinstance(item, _SIMPLE) for item in value):
            yield from ((field, item) for item in value)
    elif isinstance(value, _SIMPLE):
        yield field, value


def _has_words(value: Scalar) -> bool:
    return isinstance(value, str) and len(value.split()) > 1
