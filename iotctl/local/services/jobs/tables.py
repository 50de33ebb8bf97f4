"""What is kept of jobs: their configuration, targets, the things that wait to be notified, and executions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import not_found

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, target_selection TEXT NOT NULL, namespace TEXT NOT NULL,
    document TEXT NOT NULL, configuration TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, completed REAL,
    reason_code TEXT, comment TEXT, forced INTEGER NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0,
    notified INTEGER NOT NULL DEFAULT 0, due REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_by_time ON job (created, id);
CREATE INDEX IF NOT EXISTS job_by_due ON job (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS job_target (
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE, arn TEXT NOT NULL, number INTEGER NOT NULL,
    group_name TEXT,
    PRIMARY KEY (job_id, arn)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_target_by_group ON job_target (group_name, job_id) WHERE group_name IS NOT NULL;
CREATE TABLE IF NOT EXISTS job_waiting (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE, thing_name TEXT NOT NULL,
    UNIQUE (job_id, thing_name)
);
CREATE INDEX IF NOT EXISTS job_waiting_by_thing ON job_waiting (thing_name);
CREATE TABLE IF NOT EXISTS job_rollout (
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE, until REAL NOT NULL, things INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS job_rollout_by_job ON job_rollout (job_id, until);
CREATE TABLE IF NOT EXISTS job_execution (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL REFERENCES job (id), thing_name TEXT NOT NULL,
    namespace TEXT NOT NULL, status TEXT NOT NULL, execution_number INTEGER NOT NULL, version INTEGER NOT NULL,
    queued REAL NOT NULL, started REAL, updated REAL NOT NULL, details TEXT NOT NULL, forced INTEGER NOT NULL DEFAULT 0,
    retries TEXT NOT NULL DEFAULT '{}', last_failure TEXT, progress_due REAL, step_due REAL, due REAL,
    UNIQUE (thing_name, job_id)
);
CREATE INDEX IF NOT EXISTS job_execution_pending ON job_execution (thing_name, namespace, queued, number)
    WHERE status IN ('QUEUED', 'IN_PROGRESS');
CREATE INDEX IF NOT EXISTS job_execution_by_job ON job_execution (job_id, thing_name);
CREATE INDEX IF NOT EXISTS job_execution_by_status ON job_execution (job_id, status, last_failure);
CREATE INDEX IF NOT EXISTS job_execution_by_due ON job_execution (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS job_template (
    id TEXT PRIMARY KEY, description TEXT NOT NULL, document TEXT NOT NULL, configuration TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID
"""
# `due` is when the job or the execution has to be looked at next; `ended` is set once a job's endTime has passed; what
# was rolled out counts for the rate `until` a minute later.


@dataclass(frozen=True, slots=True)
class Job:
    """A job; `configuration` has CreateJob's own members."""

    id: str
    status: str
    target_selection: str
    namespace: str
    document: str
    configuration: Mapping[str, Any]
    created: float
    updated: float
    completed: float | None
    reason_code: str | None
    comment: str | None
    forced: bool
    ended: bool
    notified: int
    due: float | None

    @property
    def active(self) -> bool:
        """Whether things may still get it, now or later."""
        return self.status in {"IN_PROGRESS", "SCHEDULED"} and not self.ended

    @property
    def continuous(self) -> bool:
        """Whether things that join its groups get it too."""
        return self.target_selection == "CONTINUOUS"


@dataclass(frozen=True, slots=True)
class Execution:
    """A job on one thing; `retries` counts the attempts after each kind of failure."""

    number: int
    job_id: str
    thing_name: str
    namespace: str
    status: str
    execution_number: int
    version: int
    queued: float
    started: float | None
    updated: float
    details: Mapping[str, str]
    forced: bool
    retries: Mapping[str, int]
    last_failure: str | None
    progress_due: float | None
    step_due: float | None
    due: float | None


def arn(store: Store, job_id: str) -> str:
    """The ARN of a job."""
    return store.arn(f"job/{job_id}")


def find(store: Store, job_id: str) -> Job | None:
    """A job, if there is one."""
    row = store.row("SELECT * FROM job WHERE id = ?", job_id)
    return _job(row) if row else None


def known(store: Store, job_id: str) -> Job:
    """A job.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    found = find(store, job_id)
    if found is None:
        raise not_found(f"Job {job_id} cannot be found")
    return found


def execution(store: Store, thing_name: str, job_id: str, execution_number: int | None = None) -> Execution | None:
    """The latest execution of a job on a thing, if there is one and it has the number."""
    row = store.row("SELECT * FROM job_execution WHERE thing_name = ? AND job_id = ?", thing_name, job_id)
    if row is None or execution_number not in {None, row["execution_number"]}:
        return None
    return execution_of(row)


def known_execution(store: Store, thing_name: str, job_id: str, execution_number: int | None = None) -> Execution:
    """The latest execution of a job on a thing.

    Raises:
        AwsError: ResourceNotFoundException.

    """
    found = execution(store, thing_name, job_id, execution_number)
    if found is None:
        raise not_found(f"The job execution of {job_id} on {thing_name} cannot be found")
    return found


def pending(store: Store, thing_name: str, namespace: str) -> list[Execution]:
    """What a thing has to do: IN_PROGRESS first, then QUEUED, each in the order in which it was queued."""
    rows = store.rows(
        "SELECT * FROM job_execution WHERE thing_name = ? AND namespace = ? AND status IN ('QUEUED', 'IN_PROGRESS')"
        " ORDER BY status, queued, number",
        thing_name,
        namespace,
    )
    return [execution_of(row) for row in rows]


def queue_of(store: Store, thing_name: str, namespace: str) -> list[tuple[str, int]]:
    """The job id and the number of each execution that is `pending`, in the same order."""
    rows = store.rows(
        "SELECT job_id, execution_number FROM job_execution WHERE thing_name = ? AND namespace = ?"
        " AND status IN ('QUEUED', 'IN_PROGRESS') ORDER BY status, queued, number",
        thing_name,
        namespace,
    )
    return [(row["job_id"], row["execution_number"]) for row in rows]


def has_failed(store: Store, job_id: str) -> bool:
    """Whether a thing has failed a job, even if it tries again."""
    return (
        store.row(
            "SELECT 1 FROM job_execution WHERE job_id = ? AND status IN ('FAILED', 'REJECTED', 'TIMED_OUT')"
            " UNION ALL SELECT 1 FROM job_execution WHERE job_id = ? AND status IN ('QUEUED', 'IN_PROGRESS')"
            " AND last_failure > '' LIMIT 1",
            job_id,
            job_id,
        )
        is not None
    )


def things_by_status(store: Store, job_id: str) -> dict[str, int]:
    """How many things of a job are in each status."""
    rows = store.rows("SELECT status, count(*) AS things FROM job_execution WHERE job_id = ? GROUP BY status", job_id)
    return {row["status"]: row["things"] for row in rows}


def targets(store: Store, job_id: str) -> list[str]:
    """The ARNs of a job's targets, in the order in which they were given."""
    rows = store.rows("SELECT arn FROM job_target WHERE job_id = ? ORDER BY number", job_id)
    return [row["arn"] for row in rows]


def waiting(store: Store, job_id: str) -> bool:
    """Whether things of a job wait to be notified."""
    return store.row("SELECT 1 FROM job_waiting WHERE job_id = ? LIMIT 1", job_id) is not None


def unfinished(store: Store, job_id: str) -> bool:
    """Whether a thing still has to execute a job."""
    return (
        store.row(
            "SELECT 1 FROM job_execution WHERE job_id = ? AND status IN ('QUEUED', 'IN_PROGRESS') LIMIT 1", job_id
        )
        is not None
    )


def wake(store: Store, job_id: str, due: float | None) -> None:
    """Set when a job has to be looked at next; whoever waits for what is due looks again."""
    store.execute("UPDATE job SET due = ? WHERE id = ?", due, job_id)
    if due is not None:
        announce(store, job_id)


def announce(store: Store, job_id: str) -> None:
    """Let whoever waits for what is due look again: something of a job is due at another time than before."""
    store.publish(f"$local/due/{job_id}", {})


def execution_of(row: sqlite3.Row) -> Execution:
    """An execution's row as a value."""
    values = dict(row)
    for name in ("details", "retries"):
        values[name] = json.loads(values[name]) if values[name] != "{}" else {}
    values["forced"] = bool(values["forced"])
    return Execution(**values)


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    values["configuration"] = json.loads(values["configuration"])
    values["forced"], values["ended"] = bool(values["forced"]), bool(values["ended"])
    return Job(**values)
