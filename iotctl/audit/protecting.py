"""Security profiles as declared and as they are -> a Plan: created, changed, attached, detached. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from iotctl import text
from iotctl.errors import Conflict
from iotctl.plan import Expect, Plan, Ref, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.audit.protected import Held
    from iotctl.audit.protection import Declared, Profile
    from iotctl.target import Target


def protecting(declared: Declared, there: Held, target: Target, moment: str) -> Plan | None:
    """Make the account's security profiles as declared; others are left alone. None: they are so already.

    Args:
        declared: what should be.
        there: what is.
        target: where.
        moment: when that was read: what is to be done then is a run of its own.

    Raises:
        Conflict: a custom metric is of another type, which cannot be changed.

    """
    rows = [row for row in (_row(one, declared, there, target) for one in declared.profiles) if _does(row)]
    shared = tuple(_shared(declared, there))
    if not rows and not shared:
        return None
    for number, row in enumerate(rows, 1):
        row["line"] = number
    counts = {state: sum(row["state"] == state for row in rows) for state in ("create", "update")}
    said = [f"{state} {text.count(number, 'security profile')}" for state, number in counts.items() if number]
    for verb, preposition in (("attach", "to"), ("detach", "from")):
        if number := sum(len(row[verb]) for row in rows):
            said.append(f"{verb} {preposition} {text.count(number, 'target')}")
    said += [f"define {text.count(len(shared), 'metric or dimension', 'metrics or dimensions')}"] if shared else []
    digest = hashlib.sha256(text.canonical([target.to_json(), rows, moment]).encode()).hexdigest()
    return Plan(
        command="audit profiles",
        run_id=digest[:12],
        target=target,
        summary=", ".join(said),
        shared=shared,
        each=_STEPS,
        rows=rows,
        noun="security profile",
        calls={
            "iot:CreateSecurityProfile": counts["create"],
            "iot:UpdateSecurityProfile": counts["update"],
            "iot:AttachSecurityProfile": sum(len(row["attach"]) for row in rows),
            "iot:DetachSecurityProfile": sum(len(row["detach"]) for row in rows),
        },
    )


_NAMED = {"securityProfileName": Ref("row.thingName")}
_SAYS = {
    **_NAMED,
    "securityProfileDescription": Ref("row.description"),
    "behaviors": Ref("row.behaviors"),
    "alertTargets": Ref("row.alerts"),
    "additionalMetricsToRetainV2": Ref("row.retain"),
}
_STEPS = (
    Step(
        "iot:CreateSecurityProfile",
        _SAYS,
        when=Expect("row.state", "create"),
        on_exists=(Expect("behaviors", Ref("row.behaviors"), op="iot:DescribeSecurityProfile"),),
    ),
    Step(
        "iot:UpdateSecurityProfile",
        {
            **_SAYS,
            "deleteBehaviors": Ref("row.noBehaviors"),
            "deleteAlertTargets": Ref("row.noAlerts"),
            "deleteAdditionalMetricsToRetain": Ref("row.noRetain"),
            "expectedVersion": Ref("row.version"),
        },
        when=Expect("row.state", "update"),
    ),
    Step(
        "iot:AttachSecurityProfile",
        {**_NAMED, "securityProfileTargetArn": Ref("item")},
        for_each=Ref("row.attach"),
        hint="the thing group must be there",
    ),
    Step(
        "iot:DetachSecurityProfile",
        {**_NAMED, "securityProfileTargetArn": Ref("item")},
        for_each=Ref("row.detach"),
        absent_is_done=True,
    ),
)


def _row(one: Profile, declared: Declared, there: Held, target: Target) -> dict[str, Any]:
    """A profile with what is to be done about it."""
    found = there.profiles.get(one.name)
    wanted = {
        "description": one.description or None,
        "behaviors": [dict(each) for each in one.behaviors] or None,
        "alerts": {kind: dict(each) for kind, each in declared.alert.items()} or None,
        "retain": [dict(each) for each in one.retain] or None,
    }
    arns = [target.arn(resource) for resource in one.targets]
    attached = list(there.targets.get(one.name, ()))
    state = "create" if found is None else "same" if _same(wanted, found) else "update"
    return {
        "thingName": one.name,
        "state": state,
        **wanted,
        "noBehaviors": True if wanted["behaviors"] is None else None,
        "noAlerts": True if wanted["alerts"] is None else None,
        "noRetain": True if wanted["retain"] is None else None,
        "version": found["version"] if found else None,
        "attach": [arn for arn in arns if arn not in attached],
        "detach": [arn for arn in attached if arn not in arns],
    }


def _does(row: Mapping[str, Any]) -> bool:
    return bool(row["state"] != "same" or row["attach"] or row["detach"])


def _same(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a profile is as declared; AWS fills in what a behavior leaves out (one datapoint, no suppression)."""
    return (
        (wanted["description"] or "") == (found.get("securityProfileDescription") or "")
        and [_whole(one) for one in wanted["behaviors"] or ()] == [_whole(one) for one in found.get("behaviors", ())]
        and (wanted["alerts"] or {}) == (found.get("alertTargets") or {})
        and (wanted["retain"] or []) == [_kept(one) for one in found.get("additionalMetricsToRetainV2", ())]
    )


def _whole(behavior: Mapping[str, Any]) -> dict[str, Any]:
    criteria = {"consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1, **behavior.get("criteria", {})}
    return {"suppressAlerts": False, "exportMetric": False, **behavior, "criteria": criteria}


def _kept(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != "exportMetric"}


def _shared(declared: Declared, there: Held) -> list[Step]:
    """The steps for custom metrics and dimensions, which come before the profiles that use them."""
    steps = []
    for name, (kind, display) in declared.metrics.items():
        if name not in there.metrics:
            token = hashlib.sha256(f"{name} {kind}".encode()).hexdigest()
            parameters: dict[str, Any] = {"metricName": name, "metricType": kind, "displayName": display or None}
            expect = Expect("metricType", kind, op="iot:DescribeCustomMetric")
            parameters = {**parameters, "clientRequestToken": token}
            steps.append(Step("iot:CreateCustomMetric", parameters, on_exists=(expect,)))
        elif there.metrics[name] != kind:
            raise Conflict(
                f"the custom metric {name} is there as {there.metrics[name]}, and is declared as {kind}",
                hint="its type cannot be changed: give it another name",
                on=name,
            )
    for name, filters in declared.dimensions.items():
        if name not in there.dimensions:
            token = hashlib.sha256(text.canonical([name, filters]).encode()).hexdigest()
            made: dict[str, Any] = {
                "name": name,
                "type": "TOPIC_FILTER",
                "stringValues": list(filters),
                "clientRequestToken": token,
            }
            expect = Expect("stringValues", list(filters), op="iot:DescribeDimension")
            steps.append(Step("iot:CreateDimension", made, on_exists=(expect,)))
        elif list(there.dimensions[name]) != list(filters):
            steps.append(Step("iot:UpdateDimension", {"name": name, "stringValues": list(filters)}))
    return steps
