"""A rollout before it exists, told: the simulation, the findings; and the saved plan that `ota create --plan` takes."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.errors import BadInput, Error, Exit, Usage, worst
from iotctl.ota import draft, simulation
from iotctl.ota.lint import ERROR, NOTE, Lint, lint
from iotctl.ota.rollout import CANARY
from iotctl.result import Column, Failure, Result, Table
from iotctl.semantics.rollout import MINUTE, in_progress_minutes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iotctl.ota.draft import Facts
    from iotctl.ota.order import Order
    from iotctl.ota.rollout import Record
    from iotctl.ota.simulation import Forecast

VERSION: Final = 1
"""Of a saved plan."""
_LARGEST: Final = 1024 * 1024
_LONGEST_SHOWN: Final = 80


def planned(
    record: Record,
    found: Facts,
    order: Order,
    words: Mapping[str, Any],
    missing: Sequence[Error],
    *,
    takes: float,
    failing: Decimal,
) -> Result:
    """What `ota plan` says.

    Args:
        record: of the rollout that would be.
        found: what the order means.
        order: what was asked for.
        words: the same as it was typed.
        missing: what is not there and must be.
        takes: seconds that a device takes.
        failing: percent of the devices that fail at a bad release.

    """
    findings = _findings(record, found, order)
    rows, forecasts = _good(record, found, takes)
    stops = _bad(record, found, takes, failing)
    hang = _hanging(record, found)
    things = text.count(len(found.names), "thing")
    notes = [
        f"rollout {_named(record, found)}: {record.name} {record.release} to {record.scope}, {things}",
        f"a release at which {failing:g}% of the devices fail reaches {_reach(stops)}",
    ]
    notes += [f"one at which every device hangs reaches {_reach(hang)}"] if hang else []
    notes += [f"{each.level}: {each.message}" for each in findings]
    failures = [Failure.of(error) for error in missing]
    failures += [Failure(each.code, each.message, exit=Exit.USAGE) for each in findings if each.level == ERROR]
    data = {
        "plan": VERSION,
        "rolloutId": None if found.pretended else record.rollout_id,
        "words": dict(words),
        "observed": observed(record, found),
        "forecast": forecasts,
        "badRelease": stops | {"failing": f"{failing:g}"},
        "hangingRelease": hang or None,
        "findings": [each.to_json() for each in findings],
        "requests": record.requests,
    }
    columns = tuple(Column(key, key.upper()) for key in ("phase", "minute", "things", "perMinute", "what"))
    return Result(
        data,
        Table(columns, rows),
        notes=tuple(notes),
        failures=tuple(failures),
        exit=worst(*(failure.exit for failure in failures)),
    )


def acceptable(record: Record, found: Facts, order: Order) -> list[str]:
    """What an operator should know before saying yes.

    Raises:
        Usage: AWS would refuse it, or it cannot go well: with everything that is wrong.

    """
    findings = _findings(record, found, order)
    errors = tuple(Usage(each.message, code=each.code) for each in findings if each.level == ERROR)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BadInput(f"{len(errors)} things are wrong; nothing was begun", errors)
    return [each.message for each in findings if each.level != NOTE]


def observed(record: Record, found: Facts) -> dict[str, Any]:
    """What a saved plan was made of: it is stale where any of it has changed."""
    return {
        "accountId": found.target.account_id,
        "region": found.target.region,
        "kind": found.target.kind,
        "sha256": record.sha256,
        "things": len(found.names),
        "thingsSha256": hashlib.sha256("\n".join(found.names).encode()).hexdigest(),
        "groups": sorted(found.groups),
        "template": found.template.digest,
        "keyId": found.key_id,
    }


def refuse_stale(saved: Path, record: Record, found: Facts) -> None:
    """Refuse a saved plan that is not what would be done now. One that was made without a key goes with any.

    Raises:
        Usage: with everything that differs.

    """
    before, now = _read(saved)["observed"], observed(record, found)
    differing = [key for key in now if before.get(key) != now[key] and (key != "keyId" or before.get(key))]
    if differing:
        said = "; ".join(f"{key} was {_short(before.get(key))}, and is {_short(now[key])}" for key in differing)
        raise Usage(
            f"the plan {saved} is stale; nothing was done",
            code="StalePlan",
            cause=text.sanitize(said),
            hint="make it again: iotctl ota plan",
            on=str(saved),
        )


def words_of(saved: Path, typed: Mapping[str, Any], unsaid: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a saved plan.

    Args:
        saved: its file.
        typed: what was typed beside it.
        unsaid: the same where nothing was.

    Raises:
        Usage: it is no saved plan, or something was typed that it decides.

    """
    words = _read(saved)["words"]
    more = [key for key, value in typed.items() if value != unsaid[key]]
    if more:
        raise Usage(f"{saved} decides {', '.join(more)}: --plan goes alone, with --key-file", code="PlanDecides")
    if not isinstance(words, dict) or set(words) != set(unsaid):
        raise Usage(f"{saved} was saved by another version of iotctl", hint="make it again: iotctl ota plan")
    return words


def _read(saved: Path) -> dict[str, Any]:
    try:
        content = saved.read_bytes()[:_LARGEST]
    except OSError as error:
        raise Usage(f"{saved} cannot be read: {error.strerror}", on=str(saved)) from error
    value = text.loads(content, name=str(saved))
    value = value.get("data") or value if isinstance(value, dict) else {}
    if value.get("plan") != VERSION or not isinstance(value.get("observed"), dict):
        raise Usage(f"{saved} is no plan of a rollout", hint="iotctl ota plan … -o json > plan.json", on=str(saved))
    return value


def _findings(record: Record, found: Facts, order: Order) -> list[Lint]:
    signed = found.template.is_signed
    findings = lint(record, found.now, signed=signed, expires=draft.expiry(order, found) if signed else None)
    if signed and found.groups and order.intended is None:
        words = (
            "a device knows its groups from its bundle, as it was onboarded: one that joined the group later refuses"
            " the release as not for it; --for type=NAME or --for 'thing=*' says who may install it"
        )
        findings.append(Lint(NOTE, "GROUPS_AS_ONBOARDED", words))
    return findings


def _good(record: Record, found: Facts, takes: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The minutes worth telling if all goes well, one phase after the other."""
    rows: list[dict[str, Any]] = []
    forecasts: dict[str, Any] = {}
    begins = 0
    for phase, request in record.requests.items():
        seen = simulation.forecast(request, record.things[phase], found.now, takes=takes)
        for mark in seen.marks:
            row = {"phase": phase, "minute": begins + mark.minute, "things": mark.notified, "perMinute": mark.rate}
            if rows and {**rows[-1], **row} == rows[-1]:
                rows[-1]["what"] += f", {mark.what}"
            else:
                rows.append(row | {"what": mark.what})
        forecasts[phase] = _told(seen)
        if seen.minutes is None:
            rows.append({"phase": phase, "minute": begins, "what": "its schedule ends before it is through"})
            break
        begins += seen.minutes
        if phase == CANARY and record.goal.soak:
            begins += -int(-record.goal.soak // MINUTE)
            rows.append({"phase": phase, "minute": begins, "things": seen.reached, "what": "it has soaked"})
    return rows, forecasts


def _bad(record: Record, found: Facts, takes: float, failing: Decimal) -> dict[str, Any]:
    """How far a release comes at which so many devices fail."""
    reached = minute = 0
    for phase, request in record.requests.items():
        things = record.things[phase]
        seen = simulation.forecast(request, things, found.now, takes=takes, failing=failing)
        reached = max(reached, seen.reached)
        minute += seen.aborted if seen.aborted is not None else seen.minutes or 0
        well = things - int(things * failing / 100)
        if seen.aborted is not None or (phase == CANARY and well * 100 < record.goal.passing * things):
            by = "ABORT" if seen.aborted is not None else "CANARY"
            return {"reached": reached, "phase": phase, "minute": minute, "stoppedBy": by}
    return {"reached": reached, "phase": phase, "minute": minute, "stoppedBy": None}


def _hanging(record: Record, found: Facts) -> dict[str, Any]:
    """How far a release comes at which no device ever answers: until the first ones have timed out."""
    minutes = in_progress_minutes(record.requests[record.first].get("timeoutConfig"))
    if minutes is None:
        return {}
    if record.first == CANARY:
        return {"reached": record.things[CANARY], "phase": CANARY, "minute": minutes, "stoppedBy": "CANARY"}
    return _bad(record, found, minutes * MINUTE, Decimal(100))


def _told(seen: Forecast) -> dict[str, Any]:
    marks = [
        {"minute": mark.minute, "things": mark.notified, "perMinute": mark.rate, "what": mark.what}
        for mark in seen.marks
    ]
    return {"minutes": seen.minutes, "reached": seen.reached, "marks": marks}


def _reach(stops: Mapping[str, Any]) -> str:
    devices = text.count(stops["reached"], "device")
    if stops["stoppedBy"] is None:
        return f"{devices}: nothing stops it"
    by = (
        "the abort criteria cancel" if stops["stoppedBy"] == "ABORT" else "the canary ends without success, and with it"
    )
    return f"{devices}; after {text.count(stops['minute'], 'minute')} {by} the rollout"


def _named(record: Record, found: Facts) -> str:
    return "(without a key it has no id yet)" if found.pretended else record.rollout_id


def _short(value: object) -> str:
    """A value as words; of a long one so much that a digest is whole."""
    written = str(value)
    return written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}…"
