"""The record of runs: a cache and a report, never the truth.

Deleting it is harmless: AWS and the bundles are asked again.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from iotctl import __version__, clock, files
from iotctl.errors import Local
from iotctl.text import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iotctl.errors import Exit
    from iotctl.plan import Plan
    from iotctl.result import Failure

FILE_NAME: Final = "journal.db"
REPORT_NAME: Final = "report.csv"

_REPORT: Final = ("thingName", "line", "state", "certificateId", "code", "message", "updated")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS run (
    id TEXT PRIMARY KEY, command TEXT NOT NULL, summary TEXT NOT NULL, target TEXT NOT NULL, things INTEGER NOT NULL,
    tool_version TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, exit_code INTEGER);
CREATE TABLE IF NOT EXISTS row (
    run TEXT NOT NULL REFERENCES run(id), thing TEXT NOT NULL, line INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'conflict', 'failed')), shown TEXT NOT NULL,
    code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', updated TEXT NOT NULL,
    PRIMARY KEY (run, thing)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS row_by_line ON row (run, line);
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one thing of a plan ended.

    Attributes:
        thing: its name.
        line: where it stands in its file; 0 where there is none.
        state: done, conflict, failed; planned where the run stopped before or within it.
        shown: what the plan wanted shown of it (`certificateId`).
        failure: why it is not done.

    """

    thing: str
    line: int
    state: str
    shown: Mapping[str, Any]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is recorded.

    Attributes:
        counts: things by state; what is not settled counts as planned.
        exit_code: None while it runs, or when it was killed.

    """

    run_id: str
    command: str
    summary: str
    target: Mapping[str, str]
    things: int
    started: str
    ended: str | None
    exit_code: int | None
    counts: Mapping[str, int]


def guarded(cell: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula: a quote before what starts like one.

    Names of AWS (letters, digits, : _ -) cannot form one, and stay as they are; removing one leading quote from any
    other cell that has one gives back what it was (OWASP ASVS 1.2.10, CWE-1236).
    """
    formula = cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\0", "'"}
    return f"'{cell}" if formula and not re.fullmatch(r"[a-zA-Z0-9:_-]*", cell) else cell


class Journal:
    """The journal of one directory; written by one thread."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self.moved_aside: Path | None = None
        with files.explained(self.path):
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise OSError(0, str(error), str(self.path)) from error
                self.moved_aside = self._move_aside()
                self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def begin(self, plan: Plan) -> bool:
        """Record that a run starts or goes on; whether it is a resume (begun before, and not ended well).

        A run that had ended well starts from its first row again: running it again is how an operator checks that
        everything still stands, and every step is safe to repeat. So does one of which nothing was left but a wait:
        what was done is awaited no more once somebody else has changed it. What a run did that this one takes back is
        no longer so, and is dropped before it begins.
        """
        waited = plan.wait is not None and self.count(plan.run_id, "done") == len(plan.rows)
        ended_well = (
            waited
            or self._connection.execute("SELECT 1 FROM run WHERE id = ? AND exit_code = 0", (plan.run_id,)).fetchone()
        )
        with self._transaction():
            stale = (plan.forgets, plan.run_id if ended_well else "")
            self._connection.executemany("DELETE FROM row WHERE run = ?", ((run_id,) for run_id in stale))
            found = self._connection.execute("SELECT 1 FROM run WHERE id = ?", (plan.run_id,)).fetchone()
            self._connection.execute(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT (id) DO UPDATE SET"
                " started = excluded.started, tool_version = excluded.tool_version, ended = NULL, exit_code = NULL",
                (
                    plan.run_id,
                    plan.command,
                    plan.summary,
                    json.dumps(plan.target.to_json()),
                    len(plan.rows),
                    __version__,
                    clock.iso(clock.now()),
                ),
            )
        return bool(found) and not ended_well

    def settled(self, run_id: str, things: Iterable[str]) -> frozenset[str]:
        """Those of these things that the run has done already."""
        found = self._connection.execute(
            "SELECT thing FROM row WHERE run = ? AND state = 'done' AND thing IN (SELECT value FROM json_each(?))",
            (run_id, json.dumps(list(things))),
        )
        return frozenset(thing for (thing,) in found)

    def count(self, run_id: str, state: str) -> int:
        """How many things of a run are in a state."""
        found = self._connection.execute("SELECT count(*) FROM row WHERE run = ? AND state = ?", (run_id, state))
        return int(found.fetchone()[0])

    def record(self, run_id: str, outcomes: Iterable[Outcome]) -> None:
        """Keep these outcomes, durably, in one transaction; what stayed planned is not recorded."""
        moment = clock.iso(clock.now())
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        run_id,
                        outcome.thing,
                        outcome.line,
                        outcome.state,
                        json.dumps(dict(outcome.shown)),
                        outcome.failure.code if outcome.failure else "",
                        redact(outcome.failure.cause or outcome.failure.message) if outcome.failure else "",
                        moment,
                    )
                    for outcome in outcomes
                    if outcome.state != "planned"
                ),
            )

    def restore(self, run_id: str, things: tuple[str, ...]) -> None:
        """Note as done what is known to be, and was lost here."""
        known = self.settled(run_id, things)
        self.record(run_id, (Outcome(thing, 0, "done", {}) for thing in things if thing not in known))

    def shown(self, run_id: str) -> dict[str, Any]:
        """What was told of the things of a run, put together."""
        rows = self._connection.execute("SELECT shown FROM row WHERE run = ? ORDER BY line", (run_id,))
        return {key: value for (text,) in rows for key, value in json.loads(text).items()}

    def finish(self, run_id: str, code: Exit) -> None:
        """Record how a run ended."""
        with self._transaction():
            self._connection.execute(
                "UPDATE run SET ended = ?, exit_code = ? WHERE id = ?", (clock.iso(clock.now()), int(code), run_id)
            )

    def runs(self) -> list[Run]:
        """Every run, the newest first."""
        found = self._connection.execute("SELECT * FROM run ORDER BY started DESC, id")
        return [self._run(values) for values in found.fetchall()]

    def rows(self, run_id: str) -> Iterator[dict[str, Any]]:
        """The settled things of a run, in the order of their file."""
        found = self._connection.execute(
            "SELECT thing, line, state, shown, code, message, updated FROM row WHERE run = ? ORDER BY line, thing",
            (run_id,),
        )
        for thing, line, state, shown, code, message, updated in found:
            yield {
                "thingName": thing,
                "line": line,
                "state": state,
                **json.loads(shown),
                "code": code,
                "message": message,
                "updated": updated,
            }

    def export(self, run_id: str, path: Path) -> None:
        """Write the settled things of a run as CSV for people, in place of an earlier report."""
        beside = path.with_name(f".{path.name}.new")
        with files.explained(path):
            with beside.open("w", encoding="utf-8", newline="") as stream:
                report = csv.writer(stream)
                report.writerow(_REPORT)
                for row in self.rows(run_id):
                    report.writerow([guarded(str(row.get(key) or "")) for key in _REPORT])
            beside.replace(path)

    @contextlib.contextmanager
    def own(self, schema: str) -> Iterator[sqlite3.Connection]:
        """A transaction on tables of a capability's own, which the schema makes where they are not there yet."""
        with self._transaction():
            for statement in schema.split(";"):
                self._connection.execute(statement)
            yield self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection:
                yield
        except sqlite3.OperationalError as error:
            raise Local(
                f"cannot write {self.path}: {error}",
                hint="free some space, then run the same command again; it resumes",
                on=str(self.path),
            ) from error

    def _run(self, values: tuple[Any, ...]) -> Run:
        run_id, command, summary, target, things, _, started, ended, exit_code = values
        counts = dict(
            self._connection.execute(
                "SELECT state, count(*) FROM row WHERE run = ? GROUP BY state", (run_id,)
            ).fetchall()
        )
        counts["planned"] = max(0, things - sum(counts.values()))
        return Run(run_id, command, summary, json.loads(target), things, started, ended, exit_code, counts)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            # On a network file system WAL is refused and the old journal mode stays: slower, as safe.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            _check(connection)
            with contextlib.suppress(OSError):
                self.path.chmod(files.PRIVATE_FILE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _move_aside(self) -> Path:
        aside = self.path.with_name(f"{FILE_NAME}.corrupt-{int(clock.epoch())}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        return aside


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
