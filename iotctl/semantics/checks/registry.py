"""Checks of our own that need no declaration: things without what a thing should have, and things gone quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from iotctl.semantics.checks import Flaw, Rules, Severity, argument, check, option
from iotctl.semantics.state import delta

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.semantics.checks.fleet import Fleet, Thing


@check("THING_WITHOUT_CERTIFICATE_CHECK", severity=Severity.LOW, of="things", needs=("principals",), ours=True)
def thing_without_certificate(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A thing has no certificate: nothing can connect as it."""
    if not one.certificates:
        yield _flaw(one, "THING_HAS_NO_CERTIFICATE", "a certificate", "none", mend="iotctl onboard apply FLEET.csv")


@check("THING_OUTSIDE_GROUPS_CHECK", severity=Severity.LOW, of="things", needs=("groups",), ours=True)
def thing_outside_groups(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A thing is in no thing group: rollouts, policies and changes that go to groups pass it by."""
    if not one.groups:
        mend = f"aws iot add-thing-to-thing-group {option('thing-name', one.name)} --thing-group-name GROUP"
        yield _flaw(one, "THING_IN_NO_GROUP", "in a thing group", "in none", mend=mend)


@check("STUCK_DESIRED_STATE_CHECK", severity=Severity.MEDIUM, of="things", needs=("shadows",), ours=True)
def stuck_desired_state(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """Something was desired of a thing long ago, and it has not reported it: it cannot, or it does not listen."""
    limit = fleet.now - timedelta(seconds=rules.stuck_seconds)
    for name, document in sorted(one.shadows.items()):
        state = document.get("state") or {}
        behind = delta(state.get("desired") or {}, state.get("reported") or {})
        if not behind:
            continue
        times = (document.get("metadata") or {}).get("desired") or {}
        for path, value in _leaves(behind):
            at = _timestamp(times, path)
            if at is not None and at <= limit:
                reported = _at(state.get("reported") or {}, path)
                where = f"{name or 'classic'} {'.'.join(path)}"
                yield _flaw(
                    one,
                    "DESIRED_STATE_NOT_REPORTED",
                    f"{where} = {value!r}",
                    "not reported" if reported is None else repr(reported),
                    since=at,
                    mend=f"iotctl shadow diff{f' --name {name}' if name else ''} {argument(one.name)}",
                    key=where,
                )


@check(
    "SILENT_DEVICE_CHECK",
    severity=Severity.MEDIUM,
    of="things",
    needs=("connectivity", "shadows", "principals"),
    ours=True,
)
def silent_device(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A device has neither connected nor reported anything for long, or never since it was registered.

    Where connections were indexed only lately, one that AWS knows nothing of may have connected before.
    """
    if one.connectivity and one.connectivity.connected:
        return
    limit = fleet.now - timedelta(seconds=rules.silent_seconds)
    seen = [at for document in one.shadows.values() if (at := _last_report(document))]
    if one.connectivity and one.connectivity.since:
        seen.append(one.connectivity.since)
    last = max(seen, default=one.registered)
    if last is not None and last <= limit:
        yield _flaw(
            one,
            "DEVICE_SILENT",
            f"a sign of life within {rules.silent_seconds / 86400:g} days",
            f"{'last seen' if seen else 'not seen since it was registered'} {last:%Y-%m-%d %H:%M}",
            since=last,
            mend=f"iotctl shadow get {argument(one.name)}",
        )


def _flaw(
    one: Thing,
    reason: str,
    expected: str,
    actual: str,
    *,
    mend: str,
    since: datetime | None = None,
    key: str = "",
) -> Flaw:
    return Flaw(reason, {"thingName": one.name}, expected, actual, mend, since, (one.name,), key)


def _leaves(value: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _leaves(item, (*above, key))
        else:
            yield (*above, key), item


def _at(value: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401  JSON is any value
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _timestamp(metadata: Mapping[str, Any], path: tuple[str, ...]) -> datetime | None:
    return _latest(_at(metadata, path))


def _last_report(document: Mapping[str, Any]) -> datetime | None:
    return _latest((document.get("metadata") or {}).get("reported"))


def _latest(metadata: Any) -> datetime | None:  # noqa: ANN401  JSON is any value
    """The latest `timestamp` in a piece of a shadow's metadata (arrays have one for each element)."""
    waiting, found = [metadata], list[float]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            at = item.get("timestamp")
            if isinstance(at, int | float) and not isinstance(at, bool):
                found.append(at)
            waiting += [value for key, value in item.items() if key != "timestamp" or isinstance(value, dict)]
        elif isinstance(item, list):
            waiting += item
    return datetime.fromtimestamp(max(found), UTC) if found else None
