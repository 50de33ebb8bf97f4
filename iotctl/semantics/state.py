"""The states of a shadow as JSON objects: merged, subtracted, compared. What both the commands and the platform need.

Objects are `dict`, arrays `list`. Two values are the same when their JSON text is: 1, 1.0 and true differ, the order of
keys does not count. Source: the developer guide's device-shadow-document page ("Delta state", "Array values").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

JsonObject: TypeAlias = dict[str, Any]


class Absent(Enum):
    """The side of a difference that has no value there (null would be a value)."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


def merge(state: JsonObject, patch: JsonObject) -> JsonObject:
    """The state after a patch: objects merge deep, null removes a key, the rest replaces; nothing is shared."""
    merged = {key: _copy(value) for key, value in state.items()}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = _copy(value)
    return merged


def diff(before: JsonObject, after: JsonObject) -> JsonObject:
    """The smallest patch that makes `after` of `before` when merged; `after` holds no null, as no shadow does."""
    patch: JsonObject = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key, ABSENT)
        if isinstance(old, dict) and isinstance(value, dict):
            inner = diff(old, value)
            if inner:
                patch[key] = inner
        elif not same(old, value):
            patch[key] = _copy(value)
    return patch


def delta(desired: JsonObject, reported: JsonObject) -> JsonObject:
    """What `desired` holds and `reported` does not, by path from the root; arrays are compared and copied whole."""
    difference: JsonObject = {}
    for key, wanted in desired.items():
        actual = reported.get(key, ABSENT)
        if isinstance(wanted, dict) and isinstance(actual, dict):
            inner = delta(wanted, actual)
            if inner:
                difference[key] = inner
        elif not same(wanted, actual):
            difference[key] = wanted
    return difference


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two states differ; a side without a value there is ABSENT."""

    path: tuple[str, ...]
    left: Any
    right: Any

    @property
    def pointer(self) -> str:
        """The place as a JSON Pointer (RFC 6901)."""
        return pointer(self.path)


def differences(left: JsonObject, right: JsonObject, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Every place where two states differ, in the order of `left`, then what only `right` has; arrays as a whole."""
    for key in (*left, *(key for key in right if key not in left)):
        one, other = left.get(key, ABSENT), right.get(key, ABSENT)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from differences(one, other, (*path, key))
        elif not same(one, other):
            yield Difference((*path, key), one, other)


def same(one: Any, other: Any) -> bool:  # noqa: ANN401  JSON is any value
    """Whether two values have the same JSON text, whatever the order of their keys."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if kind is list:
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if kind is float else bool(one == other)


def pointer(path: tuple[str, ...]) -> str:
    """A path of keys as a JSON Pointer (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def pointed(pointer: str) -> tuple[str, ...]:
    """The path of keys of a JSON Pointer.

    Raises:
        ValueError: when it is neither empty nor begins with `/`.

    """
    root, *keys = pointer.split("/")
    if root:
        raise ValueError(f"{pointer!r} is not a JSON Pointer: it begins with /")
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def _copy(value: Any) -> Any:  # noqa: ANN401  JSON is any value
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
