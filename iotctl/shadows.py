"""The shadows of many things: from the fleet index where it has them (100 a call, a moment behind), else one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import engine, scope, text
from iotctl.errors import Denied, Error, NoIndex, NotFound, Refused, Unsupported
from iotctl.plan import Ref, Step
from iotctl.scope import Things

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotctl.aws import Aws
    from iotctl.scope import Scope
    from iotctl.semantics.state import JsonObject
    from iotctl.world import World

_TERMS: Final = 7  # the most that a query may have


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow as it was read; `document` is None where the thing has none of this name."""

    thing_name: str
    document: JsonObject | None

    def section(self, name: str) -> JsonObject:
        """`desired` or `reported`; empty where absent."""
        found: JsonObject = ((self.document or {}).get("state") or {}).get(name) or {}
        return found


@dataclass(frozen=True, slots=True)
class Held:
    """What the fleet index has of things, besides the registry.

    Attributes:
        classic: the classic shadow.
        named: the named shadows.
        connectivity: whether they are connected, and since when.

    """

    classic: bool = False
    named: frozenset[str] = frozenset()
    connectivity: bool = False

    def has(self, shadow_name: str | None) -> bool:
        """Whether it has the shadows of this name; empty or None: the classic ones."""
        return shadow_name in self.named if shadow_name else self.classic


def of_scope(
    aws: Aws, world: World, chosen: Scope, shadow_name: str | None, *, live: bool
) -> tuple[Iterable[Shadow], str]:
    """The shadows of the things of a scope; and in words where they are from, empty where they were read themselves.

    Which things a group has is asked of the registry, and of those that the index does not have yet the shadows are
    read.

    Raises:
        NotFound: the group does not exist, or the scope is empty.
        Usage: a name is not a thing name, or the fleet index cannot be asked for the things.

    """
    found = {} if live or chosen.is_one else _found(aws, chosen, shadow_name)
    if not found:
        return read_all(world, scope.resolve(aws, chosen), shadow_name), ""
    things = Things(sorted(found)) if chosen.search is not None else scope.resolve(aws, chosen)
    return _completed(world, things, found, shadow_name), "as the fleet index has them; --live reads the shadows"


def read_all(world: World, things: Things, shadow_name: str | None = None) -> Iterator[Shadow]:
    """The shadows of many things, as they come; one that cannot be read ends it.

    Raises:
        Error: why one could not be read: a fleet that was not seen whole is not told as if it had been.

    """
    step = Step("iot-data:GetThingShadow", {"thingName": Ref("row.thingName"), "shadowName": shadow_name})
    for row, answer in engine.answers(step, things, world):
        if isinstance(answer, NotFound):
            yield Shadow(row["thingName"], None)
        elif isinstance(answer, Error):
            raise answer
        else:
            yield Shadow(row["thingName"], text.loads(answer["payload"], name=f"the shadow of {row['thingName']}"))


def held(aws: Aws) -> Held:
    """What the fleet index has; nothing where it is off, or may not be asked."""
    try:
        indexed = aws.call("iot:GetIndexingConfiguration").get("thingIndexingConfiguration", {})
    except Denied:
        return Held()
    return Held(
        classic=indexed.get("thingIndexingMode") == "REGISTRY_AND_SHADOW",
        named=frozenset(
            indexed.get("filter", {}).get("namedShadowNames", ())
            if indexed.get("namedShadowIndexingMode") == "ON"
            else ()
        ),
        connectivity=indexed.get("thingConnectivityIndexingMode") == "STATUS",
    )


def entries(aws: Aws, chosen: Scope | None) -> Iterator[dict[str, Any]]:
    """What the index has of the things of a scope, None: of every thing; nothing where it is not built or not allowed.

    Those of a list of names, or of one, are not asked for: a query has few terms.
    """
    try:
        for query in _queries(aws, chosen):
            for page in aws.pages("iot:SearchIndex", queryString=query, maxResults=scope.SEARCH_PAGE):
                yield from page.get("things", ())
    except Denied:
        return
    except Refused as error:
        if not isinstance(error, NoIndex | Unsupported):
            raise scope.not_searched(query, error) from error


def document(entry: dict[str, Any], shadow_name: str | None) -> JsonObject | None:
    """The shadow of this name in an entry of the index, as GetThingShadow answers it; None where there is none."""
    found = json.loads(entry.get("shadow") or "{}")
    if shadow_name:
        found = found.get("name", {}).get(shadow_name, {})
    if "version" not in found:
        return None
    state = {key: found[key] for key in ("desired", "reported", "delta") if key in found}
    return {"state": state, "metadata": found.get("metadata", {}), "version": found["version"]}


def _found(aws: Aws, chosen: Scope, shadow_name: str | None) -> dict[str, Shadow]:
    if not held(aws).has(shadow_name):
        return {}
    return {
        entry["thingName"]: Shadow(entry["thingName"], document(entry, shadow_name)) for entry in entries(aws, chosen)
    }


def _completed(world: World, things: Things, found: dict[str, Shadow], shadow_name: str | None) -> Iterator[Shadow]:
    yield from (found[name] for name in things.names if name in found)
    if missing := [name for name in things.names if name not in found]:
        yield from read_all(world, Things(missing), shadow_name)


def _queries(aws: Aws, chosen: Scope | None) -> Iterator[str]:
    if chosen is None:
        yield "*"  # "matches all things" (the developer guide's query-syntax page)
    elif chosen.search is not None:
        yield chosen.search
    elif chosen.thing_group is not None:
        # Whether the index counts the groups above a thing's own among them is not documented: each is named.
        below = aws.pages("iot:ListThingGroups", parentGroup=chosen.thing_group, recursive=True, maxResults=250)
        groups = [chosen.thing_group, *(group["groupName"] for page in below for group in page.get("thingGroups", ()))]
        for start in range(0, len(groups), _TERMS):
            names = " OR ".join(f'"{group}"' for group in groups[start : start + _TERMS])
            yield f"thingGroupNames:({names})"
