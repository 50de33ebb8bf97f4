"""A fleet as it is -> the baseline that declares it: what all its things share, and those of each group. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from iotctl.audit.baseline import VERSION
from iotctl.semantics.checks.declared import OTHERS, ancestry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotctl.semantics.checks.declared import Key
    from iotctl.semantics.checks.fleet import Fleet, Thing

_SIMPLE: Final = (str, int, float, bool)


def captured(fleet: Fleet) -> str:
    """The baseline of a fleet, as TOML; judged by it right away the fleet has no drift.

    A value is declared where every thing of the fleet, or of a group and those below it, has it: what differs from
    thing to thing is not.
    """
    things = list(fleet.things)
    everywhere = _shared(things)
    members: dict[str, list[Thing]] = {}
    for thing in things:
        for outer in {outer for group in thing.groups for outer in ancestry(group, fleet.parents)}:
            members.setdefault(outer, []).append(thing)
    of_groups = {
        group: {key: value for key, value in _shared(those).items() if everywhere.get(key) != value}
        for group, those in sorted(members.items())
    }
    if things and all(_has_no_other_policy(thing, everywhere, of_groups, fleet.parents) for thing in things):
        everywhere["policies", f"!{OTHERS}"] = True
    lines = [f"version = {VERSION}"]
    keys = sorted({one.key for one in fleet.certificates if one.key and one.status == "ACTIVE"})
    if keys:
        lines += ["", "[certificate]", f"keys = {_value(keys)}"]
    for policy in sorted(fleet.policies, key=lambda one: one.name):
        if policy.document:
            document = json.dumps(json.loads(policy.document), indent=2, sort_keys=True)
            written = _value(document) if "'''" in document else f"'''\n{document}\n'''"
            lines += ["", f"[policy.{_value(policy.name)}]", f"document = {written}"]
    lines += _section("fleet", everywhere)
    for group, own in of_groups.items():
        lines += _section(f"group.{_value(group)}", own)
    return "\n".join(lines) + "\n"


def _has_no_other_policy(
    thing: Thing, everywhere: Mapping[Key, Any], of_groups: Mapping[str, Mapping[Key, Any]], parents: Mapping[str, str]
) -> bool:
    """Whether a thing has only the policies that are declared for it."""
    sections = [everywhere, *(of_groups[outer] for group in thing.groups for outer in ancestry(group, parents))]
    return {("policies", name) for name in thing.policies} <= {key for section in sections for key in section}


def _shared(things: Iterable[Thing]) -> dict[Key, Any]:
    """What all of these things have, with the same value."""
    found: dict[Key, Any] | None = None
    for thing in things:
        facts = dict(_facts(thing))
        found = facts if found is None else {key: value for key, value in found.items() if facts.get(key) == value}
    return found or {}


def _facts(thing: Thing) -> Iterator[tuple[Key, Any]]:
    if thing.type_name:
        yield ("thing_type",), thing.type_name
    yield from ((("groups", group), True) for group in thing.groups)
    yield from ((("policies", policy), True) for policy in thing.policies)
    yield from ((("attributes", name), value) for name, value in thing.attributes.items())
    for name, document in thing.shadows.items():
        desired = (document.get("state") or {}).get("desired") or {}
        yield from ((("shadow", name, *path), value) for path, value in _leaves(desired, ("desired",)))


def _leaves(value: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, Any]]:
    for key, item in value.items():
        if "." in key:
            continue  # a path could not name it
        if isinstance(item, Mapping):
            yield from _leaves(item, (*above, key))
        elif isinstance(item, _SIMPLE) or (isinstance(item, list) and all(isinstance(one, _SIMPLE) for one in item)):
            yield (*above, key), item


def _section(name: str, facts: Mapping[Key, Any]) -> list[str]:
    if not facts:
        return []
    lines = ["", f"[{name}]"]
    if type_name := facts.get(("thing_type",)):
        lines.append(f"thing_type = {_value(type_name)}")
    for kind in ("groups", "policies"):
        named = sorted((key[1] for key in facts if key[0] == kind), key=lambda name: (name[0] == "!", name))
        lines += [f"{kind} = {_value(named)}"] if named else []
    for key, value in sorted(facts.items(), key=lambda pair: pair[0]):
        if key[0] == "attributes":
            lines.append(f"attributes.{_value(key[1])} = {_value(value)}")
        elif key[0] == "shadow":
            where = f"named_shadow.{_value(key[1])}" if key[1] else "shadow"
            wanted = f"{{ equals = {_value(value)} }}" if isinstance(value, list) else _value(value)
            lines.append(f"{where}.{_value('.'.join(key[2:]))} = {wanted}")
    return lines


def _value(value: Any) -> str:  # noqa: ANN401  a simple value, or a list of such
    """A value as TOML writes it: for these kinds just as JSON does."""
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
