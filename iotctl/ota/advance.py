"""Go on with a rollout, and list them: what AWS holds of it decides, so any machine can do it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iotctl import clock
from iotctl.errors import Exit, NotFound, Usage
from iotctl.ota import agreement, observe, plan, rollout, standing, subject
from iotctl.ota.rollout import CANARY, FLEET, PHASES, parse_job_id
from iotctl.ota.step import Canary, Stage, Waiting, following, judged
from iotctl.result import Column, Result, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.aws import Aws
    from iotctl.context import Context
    from iotctl.ota.rollout import Labels, Record
    from iotctl.ota.subject import Subject
    from iotctl.plan import Plan

_OPEN = frozenset({"IN_PROGRESS", "SCHEDULED"})
_TOO_EARLY = "the approval was not noted: say yes again when it is waited for"
_COLUMNS = {"rolloutId": "ROLLOUT", "phase": "PHASE", "status": "STATUS", "createdAt": "CREATED"}


def step(context: Context, written: str, *, approve: bool) -> Plan | Result:
    """What is due of a rollout, as a plan; or what it waits for.

    Raises:
        NotFound: there is no such rollout. Integrity: its record or tags were changed.

    """
    found = subject.find(context.aws, rollout.named(written))
    labels = found.labels
    if labels is None:
        raise NotFound(f"{found.name} is no rollout", hint="iotctl ota list", on=found.name)
    if approve and labels.phase != CANARY and not any(phase.name == CANARY for phase in found.phases):
        raise Usage(f"{found.name} has no canary: there is nothing to approve")
    waits = _waits(context, found, labels, approve=approve)
    if waits.stage is not Stage.DUE:
        early = approve and found.more and not waits.stage.is_over
        return _told(found, waits, (_TOO_EARLY,) if early else ())
    record = _record(context.aws, labels)
    request = record.request(FLEET, labels.record, labels.digest)
    given = clock.iso(context.aws.now()) if approve and labels.goal.approve and not labels.approved else ""
    canary = found.described[found.main.job.job_id]["jobArn"]
    return plan.advancing(record, request, canary, context.target, approved=given)


def listed(aws: Aws, *, everything: bool) -> Result:
    """The rollouts, the newest first."""
    jobs: dict[str, dict[str, Mapping[str, Any]]] = {}
    for job in observe.rollouts(aws):
        parsed = parse_job_id(job["jobId"])
        if parsed:
            jobs.setdefault(parsed[0], {})[parsed[1]] = job
    rows = []
    for name, phases in jobs.items():
        latest = next((phase for phase in reversed(PHASES) if phase in phases), None)
        if latest is None or not (everything or _is_under_way(aws, name, phases)):
            continue
        rows.append(
            {
                "rolloutId": name,
                "phase": latest,
                "status": phases[latest]["status"],
                "createdAt": clock.iso(min(job["createdAt"] for job in phases.values())),
                "jobs": sorted(job["jobId"] for job in phases.values()),
            }
        )
    columns = tuple(Column(key, title) for key, title in _COLUMNS.items())
    notes = () if rows or everything else ("none is under way; --all shows those that have ended",)
    return Result({"rollouts": rows}, Table(columns, rows), notes=notes)


def _is_under_way(aws: Aws, name: str, phases: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a rollout goes on: with a job that does, or with a canary that went well and waits for its fleet."""
    if any(job["status"] in _OPEN for job in phases.values()):
        return True
    if FLEET in phases or phases[CANARY]["status"] != "COMPLETED":
        return False
    found = subject.find(aws, name)
    return found.labels is not None and judged(_verdict(aws, found), Stage.CANARY) is None


def _waits(context: Context, found: Subject, labels: Labels, *, approve: bool) -> Waiting:
    waits = judged(_verdict(context.aws, found), Stage.CANARY if found.more else Stage.FLEET)
    if waits is not None:
        return waits
    goal = _record(context.aws, labels).goal if labels.gate_elsewhere else labels.goal
    canary = Canary(
        things=standing.standing(found.phases).things,
        deadline=found.terms().deadline,
        approved=approve or bool(labels.approved),
        ended=lambda: observe.succeeded(context.aws, [phase.job.job_id for phase in found.counting]),
        holding=lambda names: observe.holding(context.world(), names, goal.gate),
    )
    return following(canary, goal, context.aws.now())


def _verdict(aws: Aws, found: Subject) -> standing.Verdict:
    """The verdict on what there is of it, whatever is still to come; a canary that was canceled is no good one."""
    more = found.more and found.main.job.status == "CANCELED"
    return standing.verdict(found.phases, replace(found.terms(), more=more), aws.now().timestamp())


def _record(aws: Aws, labels: Labels) -> Record:
    found = agreement.read(aws, labels.record, labels.digest)
    if found is None:
        raise NotFound(
            f"the record of the rollout is gone: {labels.record}",
            hint="without it the fleet's job cannot be made; create the rollout anew with --again 1",
        )
    return found.record


def _told(found: Subject, waits: Waiting, notes: tuple[str, ...]) -> Result:
    """How far it is, and what is to be typed about that."""
    row = {"rolloutId": found.name, "stage": waits.stage.value, "waitsFor": waits.words}
    columns = (Column("rolloutId", "ROLLOUT"), Column("stage", "STAGE"), Column("waitsFor", "WAITS FOR"))
    jobs = {phase.name: phase.job.job_id for phase in found.phases}
    if waits.stage is Stage.UNAPPROVED:
        notes += (f"iotctl ota step {found.name} --approve says yes",)
    return Result(
        {"rolloutId": found.name, **waits.to_json(), **standing.standing(found.phases).to_json(), "jobs": jobs},
        Table(columns, [row]),
        notes=notes,
        exit=Exit.ROLLOUT_FAILED if waits.stage is Stage.FAILED else Exit.OK,
    )
