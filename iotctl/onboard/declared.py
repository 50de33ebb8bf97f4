"""What the rows declare of thing types and groups, compared with what is there; nothing of it is ever changed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl import text
from iotctl.errors import BadInput, Conflict, Error, Usage
from iotctl.semantics import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.onboard.fleet import Fleet


def refuse_others(
    where: str, fleet: Fleet, types: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse to go on where something is there and is not what the rows say, all of it at once.

    Args:
        where: the account, in words.
        fleet: the rows.
        types: their thing types by name, as AWS describes them; empty: not there.
        groups: their thing groups and those above them, likewise.

    Raises:
        Conflict: with everything that differs.

    """
    different = [*_types(types), *_groups(fleet, groups)]
    if different:
        (words, hint), *more = different
        others = "".join(f"; {also}" for also, _ in more)
        raise Conflict(f"in {where} {words}{others}; nothing was changed", code="OtherDeclaration", hint=hint)


def _types(types: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, found in types.items():
        if found.get("thingTypeMetadata", {}).get("deprecated"):
            mend = f"aws iot deprecate-thing-type --thing-type-name {name} --undo-deprecate; or another thing type"
            yield f"the thing type {name} is deprecated, and takes no things", mend


def _groups(fleet: Fleet, groups: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, found in groups.items():
        if "queryString" in found:
            yield f"the thing group {name} is dynamic, and takes its things by its query", "name another thing group"
            continue
        said, actual = fleet.hierarchy.parent(name), found.get("thingGroupMetadata", {}).get("parentGroupName", "")
        if found and said and said != actual:
            below = f"below {actual}" if actual else "at the top"
            yield (
                f"the thing group {name} is {below}, and line {fleet.hierarchy.line(name)} puts it below {said}",
                "a group is never moved: write the file as it is, or name another group",
            )
        elif not found and (level := _level(fleet, groups, name)) > names.GROUP_DEPTH:
            yield f"the thing group {name} would be on level {level}; AWS has {names.GROUP_DEPTH}", "shorten its path"


def _above(found: Mapping[str, Any]) -> list[str]:
    """The groups above one that is there, from the root down."""
    return [one["groupName"] for one in found.get("thingGroupMetadata", {}).get("rootToParentThingGroups", [])]


def _level(fleet: Fleet, groups: Mapping[str, Mapping[str, Any]], name: str) -> int:
    """On which level a group that is to be made would be, 1 being the top."""
    for steps, parent in enumerate(fleet.hierarchy.above(name), 1):
        if groups[parent]:
            return len(_above(groups[parent])) + 1 + steps
    return len(fleet.hierarchy.above(name)) + 1


def _root(fleet: Fleet, groups: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """The group at the top of its hierarchy, as it is, or as it is going to be."""
    for one in (name, *fleet.hierarchy.above(name)):
        if groups[one]:
            return [*_above(groups[one]), one][0]
    return [name, *fleet.hierarchy.above(name)][-1]


def refuse_two_of_a_hierarchy(fleet: Fleet, groups: Mapping[str, Mapping[str, Any]]) -> None:
    """A thing may be in one group of a hierarchy only: AWS refuses the second, so the file is refused before.

    Raises:
        BadInput: rows name two groups of one hierarchy, with every such line.

    """
    families: dict[str, list[str]] = {}
    for name in fleet.thing_groups:
        families.setdefault(_root(fleet, groups, name), []).append(name)
    faults: list[Error] = [
        Usage(
            f"{fleet.source}:{line}: the thing groups {' and '.join(named)} are in one hierarchy (of {root})",
            code="Hierarchy",
            on=f"{fleet.source}:{line}",
        )
        for root, members in families.items()
        if len(members) > 1
        for line, named in fleet.lines_with_groups(members)
    ]
    if faults:
        shown = text.count(len(faults), "line")
        raise BadInput(
            f"{fleet.source}: {shown} with two thing groups of one hierarchy; nothing was changed", tuple(faults)
        )
