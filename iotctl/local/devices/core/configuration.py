"""A component's configuration: reset, filled with its defaults, merged; read by JSON pointers. Pure.

Sources: the developer guide's update-component-configurations page; the nucleus' KernelConfigResolver. As there, what a
core has already is kept over the defaults of a new version, and a deployment that is older than the last one that
changed the configuration only adds what is not there.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core.faults import Code, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.semantics.state import JsonObject

_INDEX: Final = re.compile(r"0|[1-9]\d*")


def updated(
    current: Mapping[str, Any],
    defaults: Mapping[str, Any],
    reset: Sequence[str] = (),
    merge: Mapping[str, Any] | None = None,
    *,
    newest: bool = True,
) -> JsonObject:
    """What a component's configuration becomes.

    Args:
        current: as it is on the core; empty where the component is new.
        defaults: of the recipe that is installed.
        reset: JSON pointers to what goes back to its default; "" is all of it. One into an array is left alone.
        merge: laid over the result.
        newest: no later deployment has changed it before.

    Raises:
        Failed: a pointer is none.

    """
    found: JsonObject = copy.deepcopy(dict(current))
    for pointer in reset:
        path = parts(pointer)
        if not path:
            found = {}
        else:
            _remove(found, path)
    found = overlaid(defaults, found)
    if merge:
        found = overlaid(found, merge) if newest else overlaid(merge, found)
    return found


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> JsonObject:
    """Objects merged deep; everything else of `above` replaces what is below it, null and arrays too."""
    found: JsonObject = copy.deepcopy(dict(below))
    for key, value in above.items():
        inner = found.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            found[key] = overlaid(inner, value)
        else:
            found[key] = copy.deepcopy(value)
    return found


def at(value: Any, pointer: str) -> Any:  # noqa: ANN401  any JSON value
    """What a JSON pointer points to.

    Raises:
        KeyError: nothing is there. Failed: it is no pointer.

    """
    found = value
    for part in parts(pointer):
        if isinstance(found, dict):
            found = found[part]
        elif isinstance(found, list) and _INDEX.fullmatch(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            raise KeyError(pointer)
    return found


def parts(pointer: str) -> list[str]:
    """The reference tokens of a JSON pointer (RFC 6901).

    Raises:
        Failed: it is none.

    """
    if pointer and not pointer.startswith("/"):
        raise Failed(f"{pointer!r} is not a JSON pointer, such as /a/b", Code.DOCUMENT)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _remove(found: JsonObject, path: Sequence[str]) -> None:
    inner: Any = found
    for part in path[:-1]:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(path[-1], None)
