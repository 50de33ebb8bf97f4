"""Checks of what a baseline declares: where a fleet is not, or no longer, as it was meant to be."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.checks import Flaw, Rules, Severity, argument, check, option
from iotctl.semantics.checks.declared import FIRMWARE, MODELS, OTHERS, Key, Want
from iotctl.semantics.checks.policies import new_version
from iotctl.semantics.state import ABSENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from iotctl.semantics.checks.fleet import Fleet, Policy, Thing

_DECLARED: Final = ("baseline", "groups")


@check("POLICY_OFF_BASELINE_CHECK", severity=Severity.HIGH, of="policies", needs=("baseline",), ours=True)
def policy_off_baseline(one: Policy, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:  # noqa: ARG001
    """A policy is not the document that was declared: somebody changed what devices may do."""
    wanted = rules.baseline.policies.get(one.name) if rules.baseline else None
    if wanted is None:
        return
    if not one.document:
        yield _of_policy(one, "POLICY_ABSENT", "the declared document", "there is no such policy")
    elif json.loads(one.document) != wanted:
        yield _of_policy(one, "POLICY_DIFFERS", "the declared document", f"version {one.version_id} differs")


@check(
    "THING_POLICIES_OFF_BASELINE_CHECK",
    severity=Severity.HIGH,
    of="things",
    needs=(*_DECLARED, "policies", "principals", "targets"),
    ours=True,
)
def thing_policies_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A thing lacks a policy that was declared for it, on its certificate or its groups; or has one it should not."""
    wants = _wants(one, fleet, rules, "policy")
    for name in _lacking(wants, one.policies):
        mend = f"aws iot attach-policy {option('policy-name', name)} --target CERTIFICATE_ARN"
        actual = "none of its certificates or groups has it"
        yield _of_thing(one, "POLICY_NOT_ATTACHED", ("policy", name), f"policy {name}", actual, mend)
    for name in _beyond(wants, one.policies):
        mend = f"aws iot detach-policy {option('policy-name', name)} --target CERTIFICATE_ARN"
        actual = "one of its certificates or groups has it"
        yield _of_thing(one, "POLICY_NOT_DECLARED", ("policy", name), f"not policy {name}", actual, mend)


@check("THING_TYPE_OFF_BASELINE_CHECK", severity=Severity.MEDIUM, of="things", needs=_DECLARED, ours=True)
def thing_type_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A thing is of another thing type than was declared."""
    for key, want in _wants(one, fleet, rules, "type"):
        if not want.holds(one.type_name or ABSENT):
            mend = f"aws iot update-thing {option('thing-name', one.name)} --thing-type-name {_only(want, 'TYPE')}"
            yield _of_thing(one, "THING_TYPE_DIFFERS", key, str(want), one.type_name or "none", mend)


@check("GROUP_MEMBERSHIP_OFF_BASELINE_CHECK", severity=Severity.MEDIUM, of="things", needs=_DECLARED, ours=True)
def group_membership_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A thing is not in a group that it belongs in, or in one that it does not: it gets what others should."""
    inside = rules.baseline.inside(one.groups, fleet.parents) if rules.baseline else frozenset()
    wants = _wants(one, fleet, rules, "group")
    for group in _lacking(wants, inside):
        yield _of_membership(one, group, belongs=True)
    for group in _beyond(wants, inside):
        yield _of_membership(one, group, belongs=False)
    for rule, belongs in rules.belonging(one):
        if belongs and rule.group not in inside:
            yield _of_membership(one, rule.group, belongs=True, why=f" ({rule.where})")
        elif rule.exact and not belongs and rule.group in inside:
            yield _of_membership(one, rule.group, belongs=False, why=f" (not {rule.where})")


@check("ATTRIBUTE_OFF_BASELINE_CHECK", severity=Severity.MEDIUM, of="things", needs=_DECLARED, ours=True)
def attribute_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """An attribute of a thing is missing, or not of the value or the pattern that was declared."""
    for key, want in _wants(one, fleet, rules, "attribute"):
        value = one.attributes.get(key[1], ABSENT)
        if not want.holds(value):
            payload = json.dumps({"attributes": {key[1]: _only(want, "VALUE")}, "merge": True})
            mend = f"aws iot update-thing {option('thing-name', one.name)} --attribute-payload {shlex.quote(payload)}"
            reason = "ATTRIBUTE_MISSING" if value is ABSENT else "ATTRIBUTE_DIFFERS"
            yield _of_thing(one, reason, key, f"{key[1]}: {want}", _shown(value), mend)


@check("SHADOW_OFF_BASELINE_CHECK", severity=Severity.MEDIUM, of="things", needs=(*_DECLARED, "shadows"), ours=True)
def shadow_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """A value in a thing's shadow is missing, or not what was declared, or out of its range."""
    for key, want in _wants(one, fleet, rules, "shadow"):
        _, shadow_name, *path = key
        value = _in_shadow(one, shadow_name, tuple(path))
        if not want.holds(value):
            where = ".".join(path)
            name = f" --name {shadow_name}" if shadow_name else ""
            settable = path[0] == "desired" and want.values
            mend = (
                f"iotctl shadow set{name} {argument(one.name)} {_word('.'.join(path[1:]), want.values[0])}"
                if settable
                else f"iotctl shadow get{name} {argument(one.name)}"
            )
            reason = "SHADOW_VALUE_MISSING" if value is ABSENT else "SHADOW_VALUE_DIFFERS"
            yield _of_thing(one, reason, key, f"{where}: {want}", _shown(value), mend)


@check("VERSION_OFF_BASELINE_CHECK", severity=Severity.MEDIUM, of="things", needs=(*_DECLARED, "shadows"), ours=True)
def version_off_baseline(one: Thing, fleet: Fleet, rules: Rules) -> Iterator[Flaw]:
    """The firmware, a component or a model of a device is of another version than was declared."""
    for kind in ("firmware", "component", "model"):
        for key, want in _wants(one, fleet, rules, kind):
            value = _version(one, key)
            if not want.holds(value):
                mend = f"aws iot list-job-executions-for-thing {option('thing-name', one.name)}"
                what = " ".join(key)
                yield _of_thing(one, f"{kind.upper()}_VERSION_DIFFERS", key, f"{what} {want}", _shown(value), mend)


def _wants(one: Thing, fleet: Fleet, rules: Rules, kind: str) -> tuple[tuple[Key, Want], ...]:
    return rules.baseline.wants(one, fleet.parents).get(kind, ()) if rules.baseline else ()


def _lacking(wants: Iterable[tuple[Key, Want]], there: Collection[str]) -> Iterator[str]:
    """The names that are declared, and not there."""
    yield from (key[1] for key, want in wants if not want.absent and key[1] not in there)


def _beyond(wants: Iterable[tuple[Key, Want]], there: Iterable[str]) -> list[str]:
    """The names that are there, and declared not to be: by themselves, or as all but those that are declared."""
    absent = {key[1] for key, want in wants if want.absent}
    declared = {key[1] for key, want in wants if not want.absent}
    return sorted(name for name in there if name in absent or (OTHERS in absent and name not in declared))


def _version(one: Thing, key: Key) -> Any:  # noqa: ANN401  JSON is any value
    if key[0] == "firmware":
        return _in_shadow(one, *FIRMWARE)
    if key[0] == "component":
        return one.components.get(key[1], ABSENT)
    return _in_shadow(one, MODELS, ("reported", "models", key[1], "release"))


def _in_shadow(one: Thing, name: str, path: tuple[str, ...]) -> Any:  # noqa: ANN401  JSON is any value
    value: Any = one.shadows.get(name, {}).get("state", ABSENT)
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def _only(want: Want, any_other: str) -> str:
    """The one text that is good, an empty one where none is; else a word that stands for what a person chooses."""
    return "" if want.absent else str(want.values[0]) if len(want.values) == 1 else any_other


def _shown(value: Any) -> str:  # noqa: ANN401  JSON is any value
    text = "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _word(path: str, value: Any) -> str:  # noqa: ANN401  JSON is any value
    return shlex.quote(f"{path}={json.dumps(value)}")


def _of_thing(one: Thing, reason: str, key: Key, expected: str, actual: str, mend: str) -> Flaw:
    return Flaw(
        reason,
        {"thingName": one.name},
        expected,
        actual,
        things=(one.name,),
        mend=mend,
        key=".".join(filter(None, key)),
    )


def _of_membership(one: Thing, group: str, *, belongs: bool, why: str = "") -> Flaw:
    verb = "add-thing-to" if belongs else "remove-thing-from"
    return _of_thing(
        one,
        "NOT_IN_GROUP" if belongs else "IN_WRONG_GROUP",
        ("group", group),
        f"{'in' if belongs else 'not in'} {group}{why}",
        f"in {', '.join(one.groups) or 'none'}",
        f"aws iot {verb}-thing-group {option('thing-name', one.name)} --thing-group-name {group}",
    )


def _of_policy(one: Policy, reason: str, expected: str, actual: str) -> Flaw:
    resource = {"policyVersionIdentifier": {"policyName": one.name, "policyVersionId": one.version_id}}
    return Flaw(reason, resource, expected, actual, new_version(one.name))
