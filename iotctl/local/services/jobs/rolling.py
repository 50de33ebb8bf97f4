"""What happens when a time has come: rollouts go on, schedules begin and end, executions time out, jobs are deleted.

All of it is in the store, so a restart changes nothing: what became due meanwhile is done at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from iotctl.local.services import things
from iotctl.local.services.jobs import executions, notices, tables
from iotctl.local.services.tags import forget_tags
from iotctl.semantics.rollout import MINUTE, rollout
from iotctl.semantics.schedule import schedule

if TYPE_CHECKING:
    from iotctl.local.services.jobs.tables import Job
    from iotctl.local.store import Store
    from iotctl.semantics.schedule import Schedule

_AT_ONCE: Final = 500
NEXT_DUE: Final = (
    "SELECT min(due) AS due FROM (SELECT min(due) AS due FROM job WHERE due IS NOT NULL"
    " UNION ALL SELECT min(due) FROM job_execution WHERE due IS NOT NULL)"
)
# Both conditions let the partial indexes be used: without them every execution there ever was is looked at.


def next_due(store: Store) -> float | None:
    """When there is something to do, in seconds since 1970; None: there is nothing."""
    row = store.row(NEXT_DUE)
    return row["due"] if row else None


def run_due(store: Store) -> None:
    """Do what is due, as much of it as may hold up everything else."""
    with store.transaction():
        now = store.now()
        for row in store.rows("SELECT id FROM job WHERE due <= ?", now):
            advance(store, row["id"])
        rows = store.rows("SELECT * FROM job_execution WHERE due <= ? ORDER BY due LIMIT ?", now, _AT_ONCE)
        for row in rows:
            executions.change(store, tables.execution_of(row), "TIMED_OUT")


def advance(store: Store, job_id: str) -> None:
    """Do what is due of a job now, and set when it is to be looked at next."""
    job = tables.known(store, job_id)
    if job.status == "DELETION_IN_PROGRESS":
        _delete(store, job)
        return
    if not job.active:
        tables.wake(store, job_id, None)
        return
    now = store.now()
    moment = datetime.fromtimestamp(now, UTC)
    times = schedule(job.configuration.get("schedulingConfig"))
    if times.end and moment >= times.end:
        _end(store, job, times)
        return
    status = "IN_PROGRESS" if times.is_open(moment) else "SCHEDULED"
    if status != job.status:
        store.execute("UPDATE job SET status = ?, updated = ? WHERE id = ?", status, now, job_id)
    change = times.next_change(moment)
    following = [change.timestamp()] if change else []
    if status == "IN_PROGRESS":
        following += _roll_out(store, job, now)
    tables.wake(store, job_id, min(following, default=None))
    executions.settle(store, job_id)


def _roll_out(store: Store, job: Job, now: float) -> list[float]:
    """Notify as many things as the rate allows; when the next can be, if more are waiting."""
    rate = rollout(job.configuration.get("jobExecutionsRolloutConfig"))
    store.execute("DELETE FROM job_rollout WHERE job_id = ? AND until <= ?", job.id, now)
    recent = store.row("SELECT total(things) AS things FROM job_rollout WHERE job_id = ?", job.id)
    succeeded = tables.things_by_status(store, job.id).get("SUCCEEDED", 0) if rate.succeeded else 0
    allowed = rate.allowance(job.notified, succeeded, int(recent["things"]) if recent else 0)
    rows = store.rows("SELECT * FROM job_waiting WHERE job_id = ? ORDER BY number LIMIT ?", job.id, allowed)
    for row in rows:
        store.execute("DELETE FROM job_waiting WHERE number = ?", row["number"])
        if things.find(store, row["thing_name"]):
            executions.queue(store, job, row["thing_name"])
    if rows:
        store.execute("INSERT INTO job_rollout VALUES (?, ?, ?)", job.id, now + MINUTE, len(rows))
        store.execute("UPDATE job SET notified = notified + ? WHERE id = ?", len(rows), job.id)
    oldest = store.row("SELECT min(until) AS until FROM job_rollout WHERE job_id = ?", job.id)
    return [oldest["until"]] if oldest and oldest["until"] is not None and tables.waiting(store, job.id) else []


def _end(store: Store, job: Job, times: Schedule) -> None:
    """The end time has come: nothing more is rolled out, and the rest is as the job's endBehavior says."""
    store.execute("DELETE FROM job_waiting WHERE job_id = ?", job.id)
    store.execute("UPDATE job SET status = 'IN_PROGRESS', ended = 1, due = NULL WHERE id = ?", job.id)
    if times.end_behavior in {"CANCEL", "FORCE_CANCEL"}:
        executions.cancel(store, job, forced=times.end_behavior == "FORCE_CANCEL")
    else:
        executions.settle(store, job.id)


def _delete(store: Store, job: Job) -> None:
    """Delete as many executions as may hold up everything else, and the job with the last of them."""
    rows = store.rows("SELECT * FROM job_execution WHERE job_id = ? LIMIT ?", job.id, _AT_ONCE)
    for row in rows:
        executions.delete(store, tables.execution_of(row))
    if len(rows) == _AT_ONCE:
        tables.wake(store, job.id, store.now())
        return
    notices.job_event(store, job, "deleted", "DELETED")
    forget_tags(store, tables.arn(store, job.id))
    store.execute("DELETE FROM job WHERE id = ?", job.id)
