"""The shadows of a scope, out of the fleet index where it holds them: 500 a call, a moment behind the shadows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import scope
from iotctl.errors import Denied, Refused
from iotctl.scope import Things
from iotctl.shadow import documents
from iotctl.shadow.documents import Shadow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotctl.aws import Aws
    from iotctl.engine import World
    from iotctl.scope import Scope

_PAGE: Final = 500
_TERMS: Final = 7  # the most that a query may have


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
        return documents.read_all(world, scope.resolve(aws, chosen), shadow_name), ""
    things = Things(sorted(found)) if chosen.search is not None else scope.resolve(aws, chosen)
    return _completed(world, things, found, shadow_name), "as the fleet index has them; --live reads the shadows"


def _completed(world: World, things: Things, found: dict[str, Shadow], shadow_name: str | None) -> Iterator[Shadow]:
    yield from (found[name] for name in things.names if name in found)
    if missing := [name for name in things.names if name not in found]:
        yield from documents.read_all(world, Things(missing), shadow_name)


def _found(aws: Aws, chosen: Scope, shadow_name: str | None) -> dict[str, Shadow]:
    """What the index has of a scope; nothing where it is off, not built, not allowed, or without these shadows."""
    try:
        queries = list(_queries(aws, chosen)) if _holds(aws, shadow_name) else []
        return {
            entry["thingName"]: _shadow(entry, shadow_name)
            for query in queries
            for page in aws.pages("iot:SearchIndex", queryString=query, maxResults=_PAGE)
            for entry in page.get("things", ())
        }
    except Denied:
        return {}
    except Refused as error:
        if error.code.startswith(("IndexNotReady", "NotImplemented")):
            return {}
        raise


def _holds(aws: Aws, shadow_name: str | None) -> bool:
    indexed = aws.call("iot:GetIndexingConfiguration").get("thingIndexingConfiguration", {})
    if shadow_name is None:
        return bool(indexed.get("thingIndexingMode") == "REGISTRY_AND_SHADOW")
    named = indexed.get("filter", {}).get("namedShadowNames", ())
    return indexed.get("namedShadowIndexingMode") == "ON" and shadow_name in named


def _queries(aws: Aws, chosen: Scope) -> Iterator[str]:
    if chosen.search is not None:
        yield chosen.search
    elif chosen.thing_group is not None:
        # Whether the index counts the groups above a thing's own among them is not documented: each is named.
        below = aws.pages("iot:ListThingGroups", parentGroup=chosen.thing_group, recursive=True, maxResults=250)
        groups = [chosen.thing_group, *(group["groupName"] for page in below for group in page.get("thingGroups", ()))]
        for start in range(0, len(groups), _TERMS):
            names = " OR ".join(f'"{group}"' for group in groups[start : start + _TERMS])
            yield f"thingGroupNames:({names})"


def _shadow(entry: dict[str, Any], shadow_name: str | None) -> Shadow:
    found = json.loads(entry.get("shadow") or "{}")
    if shadow_name is not None:
        found = found.get("name", {}).get(shadow_name, {})
    state = {key: found[key] for key in ("desired", "reported", "delta") if key in found}
    document = {"state": state, "metadata": found.get("metadata", {}), "version": found.get("version")}
    return Shadow(entry["thingName"], document if "version" in found else None)
