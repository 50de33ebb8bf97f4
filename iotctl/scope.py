"""Which things: THING, --thing-group, --search, --things -> thing names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import BadInput, Denied, Error, NoIndex, NotFound, Refused, Unsupported, Usage
from iotctl.semantics import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.aws import Aws

SEARCH_PAGE: Final = 100
"""Things that one call of SearchIndex asks for ("this maximum number cannot exceed 100", the service model)."""

_SWITCH_ON: Final = (
    "aws iot update-indexing-configuration --thing-indexing-configuration"
    " thingIndexingMode=REGISTRY_AND_SHADOW,thingConnectivityIndexingMode=STATUS"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The words that name things; exactly one of them is given.

    Attributes:
        thing: one name.
        thing_group: everything in it and in the groups below it.
        search: a fleet index query.
        things: a file with one name a line, or "-" for standard input.

    """

    thing: str | None = None
    thing_group: str | None = None
    search: str | None = None
    things: str | None = None

    def __post_init__(self) -> None:
        """Refuse none and several.

        Raises:
            Usage: always with what to give.

        """
        given = [value for value in (self.thing, self.thing_group, self.search, self.things) if value is not None]
        if len(given) != 1:
            what = "no things are named" if not given else "things are named in more than one way"
            raise Usage(what, hint="give one of: THING, --thing-group NAME, --search QUERY, --things FILE")

    @property
    def is_one(self) -> bool:
        """Whether it is a single thing, named as such."""
        return self.thing is not None

    def __str__(self) -> str:
        """The scope in words."""
        if self.thing is not None:
            return self.thing
        if self.thing_group is not None:
            return f"thing group {self.thing_group}"
        return f"search {self.search!r}" if self.search is not None else f"things in {self.things}"


class Things:
    """Thing names as the rows of a plan."""

    def __init__(self, thing_names: list[str]) -> None:
        self.names = thing_names

    def __len__(self) -> int:
        """How many."""
        return len(self.names)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """A row for each."""
        for number, name in enumerate(self.names, 1):
            yield {"thingName": name, "line": number}


def resolve(aws: Aws, scope: Scope) -> Things:
    """The names of a scope, each once; sorted, but for a file, whose order stays.

    Raises:
        NotFound: the group does not exist, or the scope is empty.
        Usage: a name is not a thing name, or the fleet index is off.

    """
    if scope.thing is not None:
        found = [scope.thing]
        _check([(scope.thing, "")])
    elif scope.thing_group is not None:
        found = sorted(_members(aws, scope.thing_group))
    elif scope.search is not None:
        found = sorted(_searched(aws, scope.search))
    else:
        found = _listed(scope.things or "-")
    if not found:
        raise NotFound(f"{scope} holds no things")
    return Things(list(dict.fromkeys(found)))


def existing(aws: Aws, scope: Scope) -> Things:
    """The names of a scope, as `resolve` gives them; a thing that is named alone must be there.

    Who may not ask (iot:DescribeThing) is not told.

    Raises:
        NotFound: it does not exist, or the scope is empty. Usage: see `resolve`.

    """
    found = resolve(aws, scope)
    if scope.thing is not None:
        try:
            aws.call("iot:DescribeThing", thingName=scope.thing)
        except NotFound as error:
            raise no_thing(scope.thing, error) from error
        except Denied:
            return found
    return found


def no_thing(name: str, error: NotFound) -> NotFound:
    """What AWS says in the names of its operations, in words."""
    return NotFound(f"there is no thing {name}", code=error.code, cause=error.cause, on=name)


def no_group(name: str, error: NotFound) -> NotFound:
    """The same of a thing group."""
    hint = "iotctl onboard, or aws iot create-thing-group, makes one; aws iot list-thing-groups names them"
    return NotFound(f"there is no thing group {name}", code=error.code, cause=error.cause, hint=hint, on=name)


def _members(aws: Aws, group: str) -> Iterator[str]:
    op = "iot:ListThingsInThingGroup"
    try:
        for page in aws.pages(op, thingGroupName=group, recursive=True, maxResults=250):
            yield from page.get("things", ())
    except NotFound as error:
        raise no_group(group, error) from error


def _searched(aws: Aws, query: str) -> Iterator[str]:
    try:
        for page in aws.pages("iot:SearchIndex", queryString=query, maxResults=SEARCH_PAGE):
            yield from (thing["thingName"] for thing in page.get("things", ()))
    except Refused as error:
        raise not_searched(query, error) from error


def not_searched(query: str, error: Refused) -> Usage:
    """Why a fleet index query was not answered, in words."""
    if isinstance(error, NoIndex | Unsupported):
        what = "the fleet index cannot be asked"
        hint = f"switch it on ({_SWITCH_ON}) and try again once it is built, or use --thing-group or --things"
    else:
        what = f"--search {query!r} is not a fleet index query"
        hint = "for example: --search 'attributes.site:oslo AND connectivity.connected:false'"
    return Usage(what, code=error.code, cause=error.cause, hint=hint)


def _listed(source: str) -> list[str]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{source} cannot be read as a list of thing names: {error}", on=source) from error
    where = "standard input" if source == "-" else source
    lines = [(line.strip(), f"{where}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    _check(lines)
    return [name for name, _ in lines]


def _check(lines: list[tuple[str, str]]) -> None:
    faults: list[Error] = []
    for name, where in lines:
        if fault := names.THING_NAME.fault(name):
            faults.append(Usage(f"{where}: {fault}" if where else fault, code="BadName", on=where))
    if len(faults) == 1 and not lines[0][1]:
        raise faults[0]
    if faults:
        raise BadInput(f"{len(faults)} names are not thing names; nothing was called", tuple(faults))
