"""Things that join or leave the groups that jobs target, and things that go away.

Source: AWS IoT developer guide, jobs-configurations-details and iot-jobs-lifecycle: whatever joins a group of a
continuous job gets it at once, whatever leaves it and has not ended becomes REMOVED, and a snapshot job stays with the
things that it began with.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from iotctl.local.services import on
from iotctl.local.services.group_members import groups_of
from iotctl.local.services.jobs import executions, tables
from iotctl.local.services.thing_groups import DESCENDANTS, ancestors
from iotctl.local.services.things import arn as thing_arn

if TYPE_CHECKING:
    from iotctl.local.services import Message
    from iotctl.local.services.jobs.tables import Job
    from iotctl.local.store import Store


@on("$local/membership/+/+")
def on_membership(store: Store, message: Message) -> None:
    """Follow a thing that joined or left a group."""
    group, thing_name = message.topic.split("/")[2:]
    joined = json.loads(message.payload)["operation"] == "ADDED"
    for name in ancestors(store, group):
        rows = store.rows("SELECT job_id FROM job_target WHERE group_name = ?", name)
        for job in (tables.known(store, row["job_id"]) for row in rows):
            if job.continuous and job.active and targeted(store, job, thing_name) == joined:
                (enlist if joined else _dismiss)(store, job, thing_name)


@on("$local/thing/+")
def on_thing(store: Store, message: Message) -> None:
    """Follow a thing that was deleted: it executes nothing any more."""
    if json.loads(message.payload)["operation"] != "DELETED":
        return
    thing_name = message.topic.rpartition("/")[2]
    waited = [row["job_id"] for row in store.rows("SELECT job_id FROM job_waiting WHERE thing_name = ?", thing_name)]
    rows = store.rows(
        "SELECT job_id FROM job_execution WHERE thing_name = ? AND status IN ('QUEUED', 'IN_PROGRESS')", thing_name
    )
    for job_id in (*waited, *(row["job_id"] for row in rows)):
        _dismiss(store, tables.known(store, job_id), thing_name)


def enlist(store: Store, job: Job, thing_name: str) -> None:
    """Give a job to a thing that joined: at once, or when the job may be rolled out."""
    if job.status == "IN_PROGRESS":
        executions.queue(store, job, thing_name)
    else:
        store.execute("INSERT OR IGNORE INTO job_waiting (job_id, thing_name) VALUES (?, ?)", job.id, thing_name)


def members(store: Store, group_name: str) -> list[str]:
    """The things of a group and of every group below it, each once."""
    rows = store.rows(
        f"SELECT DISTINCT thing_name FROM thing_group_member WHERE group_name IN ({DESCENDANTS}) ORDER BY thing_name",  # noqa: S608  a constant
        group_name,
    )
    return [row["thing_name"] for row in rows]


def targeted(store: Store, job: Job, thing_name: str) -> bool:
    """Whether a thing, or a group that it is in, is a target of a job now."""
    arns = {thing_arn(store, thing_name), *(store.arn(f"thinggroup/{name}") for name in groups_of(store, thing_name))}
    return not arns.isdisjoint(tables.targets(store, job.id))


def _dismiss(store: Store, job: Job, thing_name: str) -> None:
    """Take a job from a thing that has not ended it."""
    store.execute("DELETE FROM job_waiting WHERE job_id = ? AND thing_name = ?", job.id, thing_name)
    found = tables.execution(store, thing_name, job.id)
    if found and found.status in {"QUEUED", "IN_PROGRESS"}:
        executions.change(store, found, "REMOVED")
    else:
        executions.settle(store, job.id)
