"""Answers of reads that are kept on this machine: certificates for good, the rest until an audit has been through.

A certificate never changes, so each is read from AWS once. What an audit had read when it was stopped is not asked for
again by the next one within half a day: a fleet that takes hours at AWS's quotas is read in one go or in several. All
of it is a cache: where it cannot be used, more is read.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from iotctl import clock, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from iotctl.target import Target

FILE_NAME: Final = "audit.db"
GOOD_FOR: Final = timedelta(hours=12)
"""How long the answers of an audit that was stopped are good for the next one."""

CERTIFICATES: Final = "iot:DescribeCertificate"

_BATCH: Final = 200
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answer (
    target TEXT NOT NULL, op TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (target, op, key))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unfinished (target TEXT PRIMARY KEY, begun TEXT NOT NULL);
"""
# One that was stopped before it had read anything is not gone on with.
_UNFINISHED: Final = """
SELECT begun FROM unfinished AS one WHERE target = ?
AND EXISTS (SELECT 1 FROM answer WHERE answer.target = one.target AND op != ?)
"""


class Kept:
    """What is kept of one account and region. Use it as a context manager.

    Args:
        home: the tool's state directory.
        target: whose answers they are.
        fresh: begin anew, whatever an earlier audit left.
        audits: whether it is an audit that reads; else only certificates are known and kept, and one that was stopped
            is gone on with later as if nothing had been.

    Attributes:
        begun: when the audit began that is gone on with; None: this one begins.

    """

    def __init__(self, home: Path, target: Target, *, fresh: bool = False, audits: bool = True) -> None:
        self.begun: datetime | None = None
        self._audits = audits
        self._target = f"{target.kind} {target.account_id} {target.region}"
        self._waiting: list[tuple[str, str, str, str]] = []
        self._path = files.private_directory(home) / FILE_NAME
        self._connection = _open(self._path)
        self._damaged = False
        if audits:
            self._begin(fresh=fresh)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._connection.close()
        if self._damaged:
            self._path.unlink(missing_ok=True)

    def known(self, op: str, keys: Iterable[str]) -> dict[str, Any]:
        """Which of these are known already, with their values."""
        if not self._concerns(op):
            return {}
        rows: list[tuple[str, str]] = []
        with self._forgiving():
            rows = self._connection.execute(
                "SELECT key, value FROM answer WHERE target = ? AND op = ? AND key IN (SELECT value FROM json_each(?))",
                (self._target, op, json.dumps(list(keys))),
            ).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def keep(self, op: str, key: str, value: Any) -> None:  # noqa: ANN401  any JSON value
        """Keep one answer: a JSON value."""
        if not self._concerns(op):
            return
        self._waiting.append((self._target, op, key, json.dumps(value)))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def forget(self) -> None:
        """The audit is through: keep the certificates, nothing else."""
        self._waiting = [each for each in self._waiting if each[1] == CERTIFICATES]
        with self._forgiving():
            self._connection.execute("DELETE FROM answer WHERE target = ? AND op != ?", (self._target, CERTIFICATES))
            self._connection.execute("DELETE FROM unfinished WHERE target = ?", (self._target,))

    def _begin(self, *, fresh: bool) -> None:
        """Go on with an audit that was stopped, or note that one begins."""
        row = None
        with self._forgiving():
            row = self._connection.execute(_UNFINISHED, (self._target, CERTIFICATES)).fetchone()
        begun = clock.moment(row[0]) if row else None
        if begun and not fresh and clock.now() - begun < GOOD_FOR:
            self.begun = begun
        else:
            self.forget()
            now = clock.iso(clock.now())
            with self._forgiving():
                self._connection.execute("INSERT OR REPLACE INTO unfinished VALUES (?, ?)", (self._target, now))

    def _concerns(self, op: str) -> bool:
        return self._audits or op == CERTIFICATES

    def _flush(self) -> None:
        with self._forgiving():
            self._connection.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", self._waiting)
        self._waiting = []

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """A full disk, another audit that writes: what is not kept is read again. A damaged file is made anew."""
        try:
            with self._connection:
                yield
        except sqlite3.DatabaseError as error:
            self._damaged = self._damaged or not isinstance(error, sqlite3.OperationalError)


def _open(path: Path) -> sqlite3.Connection:
    """The database; one that is damaged is made anew."""
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            with files.explained(path):
                raise OSError(0, str(error), str(path)) from error
        path.unlink(missing_ok=True)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # After a power cut some answers may be missing, and are read again.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
