"""The life of an execution, and what follows from its end for its job: a retry, the abort, the completion."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from iotctl.local.services.jobs import notices, tables
from iotctl.semantics import rollout
from iotctl.semantics.rollout import MINUTE, PENDING, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.services.jobs.tables import Execution, Job
    from iotctl.local.store import Store

_ABORTED: Final = "The abort criteria of the job were met"


def queue(store: Store, job: Job, thing_name: str) -> None:
    """Queue a job on a thing: its first execution, or the next where one has ended; nothing while one is pending."""
    before = tables.execution(store, thing_name, job.id)
    if before is None or before.status in TERMINAL:
        with notices.telling(store, thing_name, job.namespace):
            _insert(store, job, thing_name, before)


def change(
    store: Store,
    execution: Execution,
    status: str,
    *,
    details: Mapping[str, str] | None = None,
    step_minutes: int | None = None,
    forced: bool = False,
) -> Execution:
    """Set the status of an execution: its version grows, its timers follow, its device and its job hear of it.

    Args:
        store: where.
        execution: as it is now.
        status: the new one, already allowed.
        details: the new status details; None: those it has.
        step_minutes: as `rollout.step_due` takes it.
        forced: whether it is canceled with force.

    Raises:
        RolloutError: the step timer is out of bounds.

    """
    job, now = tables.known(store, execution.job_id), store.now()
    started, progress, step = execution.started, None, None
    if status == "IN_PROGRESS":
        progress, step = execution.progress_due, rollout.step_due(step_minutes, now, execution.step_due)
        if started is None:
            started = now
            minutes = rollout.in_progress_minutes(job.configuration.get("timeoutConfig"))
            progress = None if minutes is None else now + minutes * MINUTE
    due = min((timer for timer in (progress, step) if timer is not None), default=None)
    with notices.telling(store, execution.thing_name, execution.namespace):
        store.execute(
            "UPDATE job_execution SET status = ?, version = version + 1, started = ?, updated = ?, details = ?,"
            " forced = ?, progress_due = ?, step_due = ?, due = ? WHERE number = ?",
            status,
            started,
            now,
            json.dumps(execution.details if details is None else details),
            int(forced),
            progress,
            step,
            due,
            execution.number,
        )
        changed = replace(
            execution,
            status=status,
            version=execution.version + 1,
            started=started,
            updated=now,
            details=execution.details if details is None else details,
            forced=forced,
            progress_due=progress,
            step_due=step,
            due=due,
        )
        if status in TERMINAL:
            _ended(store, job, changed)
    if due != execution.due and due is not None:
        tables.announce(store, job.id)
    if status in TERMINAL:
        _settle(store, job)
    if status == "SUCCEEDED":
        _hasten(store, job)
    return changed


def delete(store: Store, execution: Execution) -> None:
    """Remove an execution, whatever its status is."""
    with notices.telling(store, execution.thing_name, execution.namespace):
        store.execute("DELETE FROM job_execution WHERE number = ?", execution.number)
    notices.execution_event(store, execution, "deleted")


def cancel(
    store: Store, job: Job, *, forced: bool = False, reason_code: str | None = None, comment: str | None = None
) -> None:
    """Cancel a job: what waits or is queued is not done; with force what is in progress neither."""
    now = store.now()
    store.execute(
        "UPDATE job SET status = 'CANCELED', updated = ?, completed = ?, due = NULL, forced = ?,"
        " reason_code = coalesce(?, reason_code), comment = coalesce(?, comment) WHERE id = ?",
        now,
        now,
        int(forced),
        reason_code,
        comment,
        job.id,
    )
    canceled = tables.known(store, job.id)
    notices.job_event(store, canceled, "cancellation_in_progress", "CANCELLATION_IN_PROGRESS")
    store.execute("DELETE FROM job_waiting WHERE job_id = ?", job.id)
    statuses = "('QUEUED', 'IN_PROGRESS')" if forced else "('QUEUED')"
    rows = store.rows(f"SELECT * FROM job_execution WHERE job_id = ? AND status IN {statuses}", job.id)  # noqa: S608  one of two constants
    for row in rows:
        change(store, tables.execution_of(row), "CANCELED", forced=forced)
    notices.job_event(store, canceled, "canceled", "CANCELED")


def settle(store: Store, job_id: str) -> None:
    """Draw the consequences for a job of what has ended: abort it, or complete it."""
    _settle(store, tables.known(store, job_id))


def _settle(store: Store, job: Job) -> None:
    if job.status not in {"IN_PROGRESS", "SCHEDULED"}:
        return
    job_id = job.id
    criteria = rollout.abort_criteria(job.configuration.get("abortConfig"))
    if criteria and tables.has_failed(store, job_id):
        outcomes = _outcomes(store, job_id)
        if any(criterion.met(outcomes) for criterion in criteria):
            cancel(store, job, comment=_ABORTED)
            return
    open_ended = job.continuous and not job.ended
    if not (open_ended or tables.unfinished(store, job_id) or tables.waiting(store, job_id)):
        now = store.now()
        store.execute(
            "UPDATE job SET status = 'COMPLETED', updated = ?, completed = ?, due = NULL WHERE id = ?", now, now, job_id
        )
        notices.job_event(store, tables.known(store, job_id), "completed", "COMPLETED")


def _outcomes(store: Store, job_id: str) -> dict[str, int]:
    """How many things of a job ended in each status; one that tries again has failed until it succeeds."""
    rows = store.rows(
        "SELECT status, last_failure, count(*) AS things FROM job_execution WHERE job_id = ?"
        " GROUP BY status, last_failure",
        job_id,
    )
    found: dict[str, int] = {}
    for row in rows:
        outcome = row["last_failure"] or row["status"] if row["status"] in PENDING else row["status"]
        found[outcome] = found.get(outcome, 0) + row["things"]
    return found


def _hasten(store: Store, job: Job) -> None:
    """Look at a rollout again that goes faster with each success."""
    if job.active and tables.waiting(store, job.id):
        rate = rollout.rollout(job.configuration.get("jobExecutionsRolloutConfig"))
        if rate.succeeded:
            tables.wake(store, job.id, store.now())


def _ended(store: Store, job: Job, execution: Execution) -> None:
    notices.execution_event(store, execution, execution.status.lower())
    allowed = rollout.retries(job.configuration.get("jobExecutionsRetryConfig"))
    if job.active and rollout.retried(allowed, execution.status, execution.retries):
        retries = {**execution.retries, execution.status: execution.retries.get(execution.status, 0) + 1}
        _insert(store, job, execution.thing_name, execution, retries)


def _insert(
    store: Store, job: Job, thing_name: str, before: Execution | None, retries: Mapping[str, int] | None = None
) -> None:
    """A queued execution in place of the one before, with the next number."""
    now = store.now()
    store.execute(
        "INSERT OR REPLACE INTO job_execution (job_id, thing_name, namespace, status, execution_number, version,"
        " queued, updated, details, retries, last_failure) VALUES (?, ?, ?, 'QUEUED', ?, 1, ?, ?, '{}', ?, ?)",
        job.id,
        thing_name,
        job.namespace,
        before.execution_number + 1 if before else 1,
        now,
        now,
        json.dumps(retries or {}),
        before.status if before and retries else None,
    )
