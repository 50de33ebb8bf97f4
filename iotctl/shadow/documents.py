"""One thing's shadows as they are read, and where two states differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotctl import text
from iotctl.errors import NotFound
from iotctl.semantics.state import ABSENT, JsonObject, differences
from iotctl.shadows import Shadow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.aws import Aws


def read(aws: Aws, thing_name: str, shadow_name: str | None = None) -> Shadow:
    """One shadow."""
    try:
        answer = aws.call("iot-data:GetThingShadow", thingName=thing_name, **_named(shadow_name))
    except NotFound:
        return Shadow(thing_name, None)
    return _shadow(thing_name, answer)


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
