"""What the broker must not forget: persistent sessions, their messages, retained messages.

`SessionStore` is the protocol; `SQLiteSessionStore` keeps it in tables of a connection that is given to it. Changes are
noted in memory and written by `commit`, which the broker calls once in a turn of the event loop, before anything that
was said in that turn (a PUBACK) leaves the process: a group commit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from iotctl.local.gateway.mqtt.packets import NO_PROPERTIES, Properties, SubscriptionRequest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class Message(NamedTuple):
    """A message on its way; `expires_at` in seconds since 1970, None: never."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES
    expires_at: float | None = None


class Stored(NamedTuple):
    """A message that waits for an owner; `number` orders the messages of one owner."""

    number: int
    message: Message
    identifiers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A persistent session as it was left; `subscriptions` are (request, subscription identifier or 0)."""

    client_id: str
    version: int
    expiry: int
    expires_at: float | None
    principal: str
    certificate: bool
    subscriptions: tuple[tuple[SubscriptionRequest, int], ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for an owner, and the number of its last message."""

    messages: int = 0
    size: int = 0
    last: int = 0


class SessionStore(Protocol):
    """Where sessions and retained messages outlive the process; an owner is a client id, or a shared subscription."""

    def sessions(self) -> Iterator[StoredSession]:
        """Every persistent session."""

    def save_session(self, session: StoredSession) -> None:
        """Keep a session, its subscriptions included."""

    def drop_owner(self, owner: str) -> None:
        """Forget a session and its messages, or those of a shared subscription."""

    def backlogs(self) -> dict[str, Backlog]:
        """What waits, by owner."""

    def messages(self, owner: str) -> list[Stored]:
        """The messages of an owner, oldest first."""

    def save_message(self, owner: str, stored: Stored) -> None:
        """Keep a message for an owner."""

    def drop_message(self, owner: str, number: int) -> None:
        """Forget a message that arrived."""

    def retained(self, topic: str) -> Retained | None:
        """The retained message of a topic."""

    def retained_topics(self, now: float) -> list[tuple[str, int, int, float]]:
        """(topic, payload size, QoS, seconds since 1970) of every retained message, by topic.

        Those that expired by `now` are forgotten.
        """

    def save_retained(self, topic: str, retained: Retained | None) -> None:
        """Keep the retained message of a topic; None: forget it."""

    def commit(self) -> None:
        """Write what was noted; after it, it survives the process."""


class Retained(NamedTuple):
    """A retained message and when it was stored, in seconds since 1970."""

    message: Message
    stored_at: float


_SCHEMA = """
CREATE TABLE IF NOT EXISTS mqtt_session (client_id TEXT PRIMARY KEY, version INTEGER NOT NULL, expiry INTEGER NOT NULL,
  expires_at REAL, principal TEXT NOT NULL, certificate INTEGER NOT NULL, subscriptions TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_message (owner TEXT NOT NULL, number INTEGER NOT NULL, topic TEXT NOT NULL,
  payload BLOB NOT NULL, retain INTEGER NOT NULL, properties TEXT NOT NULL, expires_at REAL, identifiers TEXT NOT NULL,
  PRIMARY KEY (owner, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_retained (topic TEXT PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL,
  properties TEXT NOT NULL, expires_at REAL, stored_at REAL NOT NULL);
"""
_SAVE_SESSION = "INSERT OR REPLACE INTO mqtt_session VALUES (?, ?, ?, ?, ?, ?, ?)"
_DROP_SESSION = "DELETE FROM mqtt_session WHERE client_id = ?"
_DROP_MESSAGES = "DELETE FROM mqtt_message WHERE owner = ?"
_SAVE_MESSAGE = "INSERT OR REPLACE INTO mqtt_message VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DROP_MESSAGE = "DELETE FROM mqtt_message WHERE owner = ? AND number = ?"
_SAVE_RETAINED = "INSERT OR REPLACE INTO mqtt_retained VALUES (?, ?, ?, ?, ?, ?)"
_DROP_EXPIRED = "DELETE FROM mqtt_retained WHERE expires_at <= ?"
_DROP_RETAINED = "DELETE FROM mqtt_retained WHERE topic = ?"


class SQLiteSessionStore:
    """Sessions and retained messages in SQLite.

    Args:
        connection: of the platform's database, in the thread of the event loop. Whoever else uses it must have ended
            its transaction when the loop turns. How durable a commit is, is what its pragmas say.

    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._noted: list[tuple[str, list[tuple[object, ...]]]] = []
        connection.executescript(_SCHEMA)

    def sessions(self) -> Iterator[StoredSession]:
        """Every persistent session."""
        for client_id, version, expiry, expires_at, principal, certificate, subscriptions in self._read(
            "SELECT * FROM mqtt_session"
        ):
            requests = tuple((SubscriptionRequest(*options), number) for *options, number in json.loads(subscriptions))
            yield StoredSession(client_id, version, expiry, expires_at, principal, bool(certificate), requests)

    def save_session(self, session: StoredSession) -> None:
        """Keep a session, its subscriptions included."""
        subscriptions = json.dumps([[*asdict(request).values(), number] for request, number in session.subscriptions])
        kept = (session.client_id, session.version, session.expiry, session.expires_at)
        self._note(_SAVE_SESSION, (*kept, session.principal, session.certificate, subscriptions))

    def drop_owner(self, owner: str) -> None:
        """Forget a session and its messages, or those of a shared subscription."""
        self._note(_DROP_SESSION, (owner,))
        self._note(_DROP_MESSAGES, (owner,))

    def backlogs(self) -> dict[str, Backlog]:
        """What waits, by owner."""
        rows = self._read("SELECT owner, COUNT(*), SUM(LENGTH(payload)), MAX(number) FROM mqtt_message GROUP BY owner")
        return {owner: Backlog(*figures) for owner, *figures in rows}

    def messages(self, owner: str) -> list[Stored]:
        """The messages of an owner, oldest first."""
        rows = self._read(
            "SELECT number, topic, payload, retain, properties, expires_at, identifiers FROM mqtt_message"
            " WHERE owner = ? ORDER BY number",
            owner,
        )
        return [
            Stored(
                number,
                Message(topic, payload, 1, bool(retain), _properties(properties), expires_at),
                tuple(json.loads(identifiers)),
            )
            for number, topic, payload, retain, properties, expires_at, identifiers in rows
        ]

    def save_message(self, owner: str, stored: Stored) -> None:
        """Keep a message for an owner."""
        number, message, identifiers = stored
        properties = _properties_text(message.properties)
        kept = (owner, number, message.topic, message.payload, message.retain, properties, message.expires_at)
        self._note(_SAVE_MESSAGE, (*kept, json.dumps(identifiers) if identifiers else "[]"))

    def drop_message(self, owner: str, number: int) -> None:
        """Forget a message that arrived."""
        self._note(_DROP_MESSAGE, (owner, number))

    def retained(self, topic: str) -> Retained | None:
        """The retained message of a topic."""
        rows = self._read(
            "SELECT payload, qos, properties, expires_at, stored_at FROM mqtt_retained WHERE topic = ?", topic
        )
        for payload, qos, properties, expires_at, stored_at in rows:
            return Retained(Message(topic, payload, qos, True, _properties(properties), expires_at), stored_at)
        return None

    def retained_topics(self, now: float) -> list[tuple[str, int, int, float]]:
        """(topic, payload size, QoS, seconds since 1970) of each retained message, by topic; the expired are out."""
        self._note(_DROP_EXPIRED, (now,))
        return list(self._read("SELECT topic, LENGTH(payload), qos, stored_at FROM mqtt_retained ORDER BY topic"))

    def save_retained(self, topic: str, retained: Retained | None) -> None:
        """Keep the retained message of a topic; None: forget it."""
        if retained is None:
            self._note(_DROP_RETAINED, (topic,))
            return
        message, stored_at = retained
        properties = _properties_text(message.properties)
        self._note(_SAVE_RETAINED, (topic, message.payload, message.qos, properties, message.expires_at, stored_at))

    def commit(self) -> None:
        """Write what was noted in one transaction; raises sqlite3.Error, and keeps the notes, where it cannot."""
        if not self._noted:
            return
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in self._noted:
                connection.executemany(statement, rows)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        self._noted.clear()

    def _note(self, statement: str, row: tuple[object, ...]) -> None:
        if self._noted and self._noted[-1][0] is statement:
            self._noted[-1][1].append(row)
        else:
            self._noted.append((statement, [row]))

    def _read(self, query: str, *parameters: object) -> sqlite3.Cursor:
        self.commit()
        return self._connection.execute(query, parameters)


def _properties_text(properties: Properties) -> str:
    """What of a message's properties is forwarded, as JSON."""
    if properties is NO_PROPERTIES:
        return "{}"
    kept = {name: value for name, value in asdict(properties).items() if value not in (None, ())}
    if properties.correlation_data is not None:
        kept["correlation_data"] = properties.correlation_data.hex()
    return json.dumps(kept)


def _properties(text: str) -> Properties:
    if text == "{}":
        return NO_PROPERTIES
    kept = json.loads(text)
    if "correlation_data" in kept:
        kept["correlation_data"] = bytes.fromhex(kept["correlation_data"])
    kept["user_properties"] = tuple((key, value) for key, value in kept.get("user_properties", ()))
    return Properties(**kept)
