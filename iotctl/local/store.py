"""The SQLite store and its outbox: one file, one connection, one thread.

An operation changes the store and leaves events in the outbox, in one transaction. After the commit they are handed
over; a rollback forgets them with the change that caused them.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.errors import Local
from iotctl.target import LOCAL_KEY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

DEFAULT_REGION: Final = "us-east-1"
_FORMAT: Final = 1
_STATEMENTS: Final = 512  # more than all services have, so that none is prepared twice
_ACCESS_KEY_LENGTH: Final = 20
_WORD: Final = string.ascii_uppercase + string.digits

_META: Final = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


@dataclass(frozen=True, slots=True)
class Event:
    """A message for the broker, or, on a topic that begins with `$local/`, for the services of the platform alone.

    Attributes:
        topic: where it is published.
        payload: its bytes.
        to: the one client id that gets it, whether subscribed or not; empty: every subscriber.
        subscribed: the one client gets it by a subscription of its own, where it has one.

    """

    topic: str
    payload: bytes
    to: str = ""
    subscribed: bool = False


class Store:
    """The platform's state.

    Attributes:
        connection: the one connection, in autocommit mode, for parts that keep tables of their own beside the services.
        directory: where the file is; the platform's CA is beside it.
        account_id: twelve digits, made when the state was.
        region: of every ARN; fixed when the state was made.
        access_key_id: the one access key of this platform.
        secret_access_key: its secret.
        on_commit: called after a commit that left events in the outbox.
        heard: whether anybody would get a message of a topic: what nobody hears need not be written.
        rate: how many calls a second of an operation are let through; None: as many as there are.
        delays: kind of change -> seconds after which it is seen (`iotctl local up --delay`); absent: at once.

    """

    def __init__(self, path: Path, schemas: Iterable[str], *, region: str | None = None) -> None:
        """Open the store, or make it.

        Args:
            path: the file.
            schemas: `CREATE TABLE IF NOT EXISTS` statements, one text for each service.
            region: for a new state; an old one must be of the same region when it is given.

        Raises:
            Local: the file is damaged, of another format or of another region.

        """
        self.directory = path.parent
        self.on_commit: Callable[[], None] | None = None
        self.heard: Callable[[str], bool] = lambda _: True
        self.rate: Callable[[str], float | None] = lambda _: None
        self.delays: Mapping[str, float] = {}
        self._depth = 0
        self._pending: list[Event] = []
        self._outbox: list[Event] = []
        # It holds a secret: nobody else reads it, nor its write-ahead log, to which SQLite gives the same mode.
        path.touch(mode=0o600)
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=_STATEMENTS)
        self.connection.row_factory = sqlite3.Row
        self._do = self.connection.execute
        try:
            self._open(schemas, region)
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise Local(
                f"the local platform's state {path} cannot be read", cause=str(error), hint="iotctl local reset"
            ) from error
        except Local:
            self.connection.close()
            raise

    def close(self) -> None:
        """Write everything to the one file and let go of it."""
        self.connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it; inside another transaction it is a part of that one."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._do("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._do("COMMIT")
        except BaseException:
            self._pending.clear()
            if self.connection.in_transaction:
                self._do("ROLLBACK")
            raise
        finally:
            self._depth = 0
        if self._pending:
            self._outbox += self._pending
            self._pending.clear()
            if self.on_commit:
                self.on_commit()

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of a transaction that may fail alone: what it did and left in the outbox is taken back with it."""
        with self.transaction():
            before = len(self._pending)
            self._do("SAVEPOINT attempt")
            try:
                yield
            except BaseException:
                del self._pending[before:]
                if self.connection.in_transaction:
                    self._do("ROLLBACK TO attempt")
                raise
            finally:
                if self.connection.in_transaction:
                    self._do("RELEASE attempt")

    def execute(self, sql: str, *parameters: Any) -> int:  # noqa: ANN401  whatever SQLite stores
        """Run one statement; how many rows it changed."""
        return self._do(sql, parameters).rowcount

    def row(self, sql: str, *parameters: Any) -> sqlite3.Row | None:  # noqa: ANN401  whatever SQLite stores
        """The first row, if there is one."""
        found: sqlite3.Row | None = self._do(sql, parameters).fetchone()
        return found

    def rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:  # noqa: ANN401  whatever SQLite stores
        """Every row."""
        return self._do(sql, parameters).fetchall()

    def publish(
        self, topic: str, payload: bytes | Mapping[str, Any], *, to: str = "", subscribed: bool = False
    ) -> None:
        """Leave an event in the outbox of the running transaction; outside one it leaves at once.

        Args:
            topic: a topic; one that begins with `$local/` stays among the platform's services.
            payload: bytes as they are; anything else is written as JSON.
            to: the one client id that gets it.
            subscribed: it gets it by a subscription of its own, where it has one.

        """
        content = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
        event = Event(topic, content, to, subscribed)
        if self._depth:
            self._pending.append(event)
            return
        self._outbox.append(event)
        if self.on_commit:
            self.on_commit()

    def drain(self) -> list[Event]:
        """The events of the transactions committed since the last call, in order."""
        events, self._outbox = self._outbox, []
        return events

    def now(self) -> float:
        """The platform's time, in seconds since 1970."""
        return clock.epoch()

    def arn(self, resource: str, service: str = "iot") -> str:
        """The ARN of a resource here: `arn("thing/pump-7")`."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def _open(self, schemas: Iterable[str], region: str | None) -> None:
        self._do("PRAGMA busy_timeout = 5000")
        self._do("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; only a power cut can take the last commits (docs of SQLite, "WAL mode").
        self._do("PRAGMA synchronous = NORMAL")
        self._do("PRAGMA foreign_keys = ON")
        found = int(self._do("PRAGMA user_version").fetchone()[0])
        if found not in {0, _FORMAT}:
            raise Local(f"the local platform's state is of format {found}, not {_FORMAT}", hint="iotctl local reset")
        with self.transaction():
            self._do(_META)
            for schema in schemas:
                for statement in filter(str.strip, schema.split(";")):
                    self._do(statement)
            self._do(f"PRAGMA user_version = {_FORMAT}")
            self.account_id = self._kept("account_id", lambda: _random(string.digits[1:], 12))
            self.access_key_id = self._kept("access_key_id", _new_access_key)
            self.secret_access_key = self._kept(
                "secret_access_key", lambda: _random(string.ascii_letters + string.digits, 40)
            )
            self.region = self._kept("region", lambda: region or DEFAULT_REGION)
        if region and region != self.region:
            raise Local(
                f"this local platform is of the region {self.region}, not {region}",
                hint="leave --region out, or begin anew: iotctl local reset",
            )

    def _kept(self, key: str, made: Callable[[], str]) -> str:
        found = self.row("SELECT value FROM meta WHERE key = ?", key)
        if found:
            return str(found["value"])
        value = made()
        self._do("INSERT INTO meta VALUES (?, ?)", (key, value))
        return value


def _new_access_key() -> str:
    return LOCAL_KEY_PREFIX + _random(_WORD, _ACCESS_KEY_LENGTH - len(LOCAL_KEY_PREFIX))


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
