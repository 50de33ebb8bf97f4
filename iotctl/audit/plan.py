"""What mends findings -> a Plan; and what a run of one did -> the Plan that takes it back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.plan import Expect, Plan, Ref, Step, run_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from iotctl.audit.mend import Call, Mend
    from iotctl.target import Target

_MOST_TARGETS: Final = 100  # things that one job may name

_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "iot:CreatePolicy": ("policyName", "policyDocument"),
    "iot:CreatePolicyVersion": ("policyName", "policyDocument", "setAsDefault"),
    "iot:SetDefaultPolicyVersion": ("policyName", "policyVersionId"),
    "iot:DeletePolicy": ("policyName",),
    "iot:AttachPolicy": ("policyName", "target"),
    "iot:DetachPolicy": ("policyName", "target"),
    "iot:UpdateThing": ("thingName", "thingTypeName", "removeThingType", "attributePayload"),
    # A thing is in one group of a hierarchy at most, so it leaves one before it goes into another.
    "iot:RemoveThingFromThingGroup": ("thingGroupName", "thingName"),
    "iot:AddThingToThingGroup": ("thingGroupName", "thingName"),
    "iot-data:UpdateThingShadow": ("thingName", "shadowName", "payload"),
    "iot:UpdateCertificate": ("certificateId", "newStatus"),
    "iot:UpdateCACertificate": ("certificateId", "newStatus"),
    "iot:CancelJob": ("jobId", "force"),
}
"""The operations that mend and take back, in the order in which a finding that needs several has them."""

_ABSENT_IS_DONE: Final = ("iot:DeletePolicy", "iot:DetachPolicy", "iot:RemoveThingFromThingGroup")


def fixing(mends: Sequence[Mend], target: Target, *, group: str = "", job: str = "") -> Plan:
    """Mend findings.

    Args:
        mends: what is done about each.
        target: where.
        group: the quarantine, made where it is not there.
        job: a job document, for all the things that the findings are about.

    """
    run_id = _identity("audit fix", target, [[one.finding.finding_id, one.calls, group, job] for one in mends])
    rows = [_row(one, number) for number, one in enumerate(mends, 1)]
    shared = [_group(group)] if group else []
    for job_id, things, its in _jobs(mends, run_id) if job else ():
        shared.append(_job(job_id, [target.arn(f"thing/{name}") for name in things], job))
        for number in its:
            rows[number]["undo"].append(["iot:CancelJob", {"jobId": job_id, "force": True}])
    does = "; ".join(one.does for one in mends[:5]) + ("; …" if len(mends) > 5 else "")
    return Plan(
        command="audit fix",
        run_id=run_id,
        target=target,
        summary=f"mend {text.count(len(mends), 'finding')}: {does}",
        shared=tuple(shared),
        each=tuple(_steps()),
        rows=rows,
        calls=_counted(rows),
        shows={key: Ref(f"row.{key}") for key in ("checkName", "resource", "does", "undo")},
        noun="finding",
        warnings=tuple(_warnings(mends, job=job)),
    )


def undoing(run_id: str, done: Iterable[Mapping[str, Any]], target: Target) -> Plan:
    """Take back what a run of `audit fix` did.

    Args:
        run_id: the run.
        done: what the journal says of its findings that are done: thingName (their ids), resource, undo.
        target: where.

    """
    made: set[str] = set()

    def first(call: Sequence[Any]) -> bool:
        """Whether it is not made for another finding already: one job may have been for several."""
        key, before = text.canonical(list(call)), len(made)
        made.add(key)
        return len(made) > before

    rows = [
        {
            "thingName": one["thingName"],
            "line": number,
            "resource": one.get("resource", ""),
            "calls": _by_operation([(op, params) for op, params in filter(first, one["undo"])]),
        }
        for number, one in enumerate(done, 1)
    ]
    return Plan(
        command="audit undo",
        run_id=_identity("audit undo", target, [run_id, *(row["thingName"] for row in rows)]),
        target=target,
        summary=f"take back what run {run_id} did about {text.count(len(rows), 'finding')}",
        each=tuple(_steps()),
        rows=rows,
        calls=_counted(rows),
        shows={"resource": Ref("row.resource")},
        noun="finding",
    )


def _row(one: Mend, number: int) -> dict[str, Any]:
    return {
        "thingName": one.finding.finding_id,
        "line": number,
        "checkName": one.finding.check.name,
        "resource": one.finding.resource,
        "does": one.does,
        "calls": _by_operation(one.calls),
        "undo": [[op, params] for op, params in one.undo],
    }


def _by_operation(calls: Iterable[Call]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for op, params in calls:
        found.setdefault(op, []).append(params)
    return found


def _steps() -> Iterator[Step]:
    """A step for each operation, done for those calls of it that a row has."""
    for op, parameters in _PARAMETERS.items():
        yield Step(
            op,
            {name: Ref(f"item.{name}") for name in parameters},
            for_each=Ref(f"row.calls.{op}"),
            absent_is_done=op in _ABSENT_IS_DONE,
        )


def _counted(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found = dict.fromkeys(_PARAMETERS, 0)
    for row in rows:
        for op, calls in row["calls"].items():
            found[op] += len(calls)
    return found


def _group(name: str) -> Step:
    there = Expect("thingGroupName", name, op="iot:DescribeThingGroup")
    return Step("iot:CreateThingGroup", {"thingGroupName": name}, on_exists=(there,))


def _jobs(mends: Sequence[Mend], run_id: str) -> Iterator[tuple[str, list[str], list[int]]]:
    """Each job's id, its things, and the rows that are about them."""
    names = list(dict.fromkeys(name for one in mends for name in one.finding.flaw.things))
    for start in range(0, len(names), _MOST_TARGETS):
        part = names[start : start + _MOST_TARGETS]
        its = [number for number, one in enumerate(mends) if not set(part).isdisjoint(one.finding.flaw.things)]
        yield f"iotctl-fix-{run_id}-{start // _MOST_TARGETS}", part, its


def _job(job_id: str, targets: list[str], document: str) -> Step:
    return Step(
        "iot:CreateJob",
        {"jobId": job_id, "targets": targets, "document": document, "description": "iotctl audit fix"},
        # The id is of the findings and the document: one that is there is this one.
        on_exists=(Expect("job.jobId", job_id, op="iot:DescribeJob"),),
    )


def _warnings(mends: Sequence[Mend], *, job: str) -> Iterator[str]:
    off = sum(op == "iot:UpdateCertificate" for one in mends for op, _ in one.calls)
    if off:
        yield f"devices that use {'this certificate' if off == 1 else 'these certificates'} are disconnected"
    final = [one.finding.finding_id for one in mends if not one.undo and one.calls]
    if final and not job:
        yield f"what is done about {', '.join(final[:5])} cannot be taken back"


def _identity(command: str, target: Target, inputs: Sequence[Any]) -> str:
    return run_identity({"command": command, "target": target.to_json(), "inputs": list(inputs)})
