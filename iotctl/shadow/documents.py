"""Shadows as they are read: one, or those of many things at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotctl import engine, text
from iotctl.errors import Error, NotFound
from iotctl.plan import Ref, Step
from iotctl.semantics.state import ABSENT, JsonObject, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.aws import Aws
    from iotctl.engine import World
    from iotctl.scope import Things


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow as it was read; `document` is None where the thing has none of this name."""

    thing_name: str
    document: JsonObject | None

    def section(self, name: str) -> JsonObject:
        """`desired` or `reported`; empty where absent."""
        found: JsonObject = ((self.document or {}).get("state") or {}).get(name) or {}
        return found


def read(aws: Aws, thing_name: str, shadow_name: str | None = None) -> Shadow:
    """One shadow."""
    try:
        answer = aws.call("iot-data:GetThingShadow", thingName=thing_name, **_named(shadow_name))
    except NotFound:
        return Shadow(thing_name, None)
    return _shadow(thing_name, answer)


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
            yield _shadow(row["thingName"], answer)


def names(aws: Aws, thing_name: str) -> list[str]:
    """The names of a thing's named shadows."""
    op = "iot-data:ListNamedShadowsForThing"
    return [name for page in aws.pages(op, thingName=thing_name) for name in page.get("results", ())]


def rows(thing_name: str, left: JsonObject, right: JsonObject, titles: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Where two states differ, a row for each place: its path, and both values; an absent side is left out."""
    for difference in differences(left, right):
        values = zip(titles, (difference.left, difference.right), strict=True)
        yield {
            "thingName": thing_name,
            "path": difference.pointer,
            **{title: value for title, value in values if value is not ABSENT},
        }


def _shadow(thing_name: str, answer: dict[str, Any]) -> Shadow:
    return Shadow(thing_name, text.loads(answer["payload"], name=f"the shadow of {thing_name}"))


def _named(shadow_name: str | None) -> dict[str, Any]:
    return {"shadowName": shadow_name} if shadow_name else {}
