"""The changes of shadows as they happen, one row for each place that changed; what may be missing is told between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Usage
from iotctl.mqtt import Notice
from iotctl.result import Remark
from iotctl.semantics import topics
from iotctl.semantics.state import ABSENT, JsonObject, differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotctl.context import Context
    from iotctl.mqtt import Message
    from iotctl.semantics.state import Difference

_FEW: Final = 20


def changes(
    context: Context, thing_names: Sequence[str], shadow_name: str | None, *, count: int | None, seconds: float
) -> Iterator[dict[str, Any] | Remark]:
    """Follow the shadows of these things.

    Args:
        context: of the command.
        thing_names: whose.
        shadow_name: only this named shadow; else the classic one and every named one.
        count: end after so many rows.
        seconds: end after so long; 0: never.

    Yields:
        time, thingName, shadowName, section, path, before, after, version; a remark where the connection was lost or
        came back, where this reader was too slow, and of a message that is no change of a shadow.

    """
    wanted = frozenset(thing_names)
    with context.operator() as connection:
        connection.subscribe(_filters(thing_names, shadow_name))
        until = clock.monotonic() + seconds if seconds else None
        left = count
        for item in connection.listen(until=until):
            rows = [_remark(item)] if isinstance(item, Notice) else read(item, wanted)
            for row in rows:
                yield row
                if left is not None and not isinstance(row, Remark):
                    left -= 1
                    if not left:
                        return


def _filters(thing_names: Sequence[str], shadow_name: str | None) -> list[str]:
    """A filter for each thing where they are few; else one for all, and the others' messages are passed over."""
    whose = thing_names if len(thing_names) <= _FEW else ["+"]
    shadows = [shadow_name] if shadow_name else [None, "+"]
    return [topics.shadow(name, "update/documents", shadow) for name in whose for shadow in shadows]


def read(message: Message, wanted: frozenset[str]) -> Iterator[dict[str, Any] | Remark]:
    """What a message tells of these things: a row for each place that changed."""
    about = topics.parse_shadow(message.topic)
    if about is None or about.thing_name not in wanted:
        return
    try:
        document = text.loads(message.payload)
        states = [(document.get(which) or {}).get("state") or {} for which in ("previous", "current")]
        version, found = document["current"]["version"], list(_differences(*states))
    except (Usage, AttributeError, KeyError, TypeError):
        yield _remark(Notice("unreadable", f"{about.thing_name}: {text.shown(message.payload, 200)}"))
        return
    for section, difference in found:
        yield {
            "time": clock.iso(clock.now()),
            "thingName": about.thing_name,
            "shadowName": about.shadow_name or "",
            "section": section,
            "path": difference.pointer,
            "before": None if difference.left is ABSENT else difference.left,
            "after": None if difference.right is ABSENT else difference.right,
            "version": version,
        }


def _differences(before: JsonObject, after: JsonObject) -> Iterator[tuple[str, Difference]]:
    """The places in which two states differ, by section."""
    for section in ("desired", "reported"):
        for difference in differences(before.get(section) or {}, after.get(section) or {}):
            yield section, difference


def _remark(notice: Notice) -> Remark:
    """What a reader must know, in the words that `infer tail` has for it."""
    kind = {"lost": "disconnected", "back": "reconnected"}.get(notice.kind, notice.kind)
    return Remark(kind, f"{kind}: {notice.detail}", {"time": clock.iso(clock.now()), "detail": notice.detail})
