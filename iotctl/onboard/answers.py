"""Answers of onboard's commands: what apply would do, what a run did, what has arrived."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from iotctl import bundle
from iotctl.errors import Exit
from iotctl.onboard import observe
from iotctl.result import Column, Result, Table

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from iotctl.context import Context
    from iotctl.journal import Run
    from iotctl.onboard.fleet import Fleet
    from iotctl.onboard.request import Request
    from iotctl.plan import Plan, Step


def findings(context: Context, request: Request, rows: Fleet, planned: Plan) -> Generator[dict[str, Any], None, Result]:
    """What apply would do with each thing, as it is found; and the plan as a whole."""
    actions: Counter[str] = Counter()
    for finding in observe.things(context.world(planned.quotas), rows, request.directory, request.ways):
        actions[finding.action] += 1
        yield {"thingName": finding.thing_name, "action": finding.action, "line": finding.line, "why": finding.why}
    notes = [", ".join(f"{number:,} {action}" for action, number in sorted(actions.items()))]
    notes += [
        f"shared, to be made: {step.op} {_what(step)}" for step in planned.shared if not step.op.startswith("file:")
    ]
    notes += [f"warning: {warning}" for warning in planned.warnings]
    notes.append(f"calls: {', '.join(f'{op} {number:,}' for op, number in planned.operations().items())}")
    notes += [pace] if (pace := planned.pace()) else []
    notes.append(f"IAM actions: {' '.join(planned.iam_actions())}")
    return Result(
        {**planned.to_json(), "actions": dict(actions), "request": request.to_json()},
        notes=tuple(notes),
        exit=Exit.CONFLICT if actions["conflict"] else Exit.OK,
    )


def _what(step: Step) -> str:
    """What a shared step makes: the name comes first in its parameters; a CA has none, and is known by its content."""
    name = next(iter(step.params.values()))
    return name if isinstance(name, str) else "of the fleet CA, unless it is registered already"


def things(run: Run, rows: Sequence[Mapping[str, Any]], directory: Path) -> Result:
    """What a run did with each of its things; and how their keys are opened, where they are encrypted."""
    encrypted = any(bundle.has_encrypted_key(directory, row["thingName"]) for row in rows[:1])
    opens = "its keys are encrypted: onboard doctor and local devices take --passphrase-file FILE"
    return Result(
        {"runId": run.run_id, **run.counts, "rows": rows},
        Table(_columns("thingName", "state", "line", "certificateId", "message"), rows),
        notes=(opens,) if encrypted else (),
        exit=Exit.OK if run.counts.get("done", 0) == run.things else Exit.PARTIAL,
    )


def _columns(*keys: str) -> tuple[Column, ...]:
    titles = {"thingName": "THING", "certificateId": "CERTIFICATE"}
    return tuple(Column(key, titles.get(key, key.upper())) for key in keys)


def arrivals(found: Iterable[dict[str, Any]], run: str) -> Result:
    """Which things of just-in-time provisioning are there by now."""
    rows = sorted(found, key=lambda row: row["line"])
    counts = Counter(row["state"] for row in rows)
    return Result(
        {"runId": run, **counts, "rows": rows},
        Table(_columns("thingName", "state", "line", "certificateId"), rows),
        notes=(", ".join(f"{number:,} {state}" for state, number in sorted(counts.items())),),
        exit=Exit.OK if set(counts) <= {"registered"} else Exit.PARTIAL,
    )


def runs(known: list[Any]) -> Result:
    """The runs on a bundles directory, with their counts."""
    rows = [
        {
            "runId": run.run_id,
            "started": run.started,
            "ended": run.ended,
            "things": run.things,
            "done": run.counts.get("done", 0),
            "conflict": run.counts.get("conflict", 0),
            "failed": run.counts.get("failed", 0),
            "planned": run.counts["planned"],
            "accountId": run.target["accountId"],
            "region": run.target["region"],
        }
        for run in known
    ]
    titles = {"runId": "RUN", "accountId": "ACCOUNT"}
    columns = tuple(
        Column(key, titles.get(key, key.upper()))
        for key in ("runId", "started", "things", "done", "conflict", "failed", "planned", "accountId")
    )
    return Result({"runs": rows}, Table(columns, rows))
