"""Values of a service model's shapes: read from JSON and checked, written back to it. Compiled once per shape.

A reader turns what arrived into AWS's own Python value (blobs are bytes, timestamps seconds since 1970), leaves out
what the model does not know, and collects every problem in AWS's words: `Value 'x y' at 'thingName' failed to satisfy
constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.gateway.patterns import compiled

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, Shape, StructureShape

Reader = Callable[[Any, str, list[str]], Any]
"""(what arrived, its path, the problems so far) -> the value; a problem is appended, never raised."""

Writer = Callable[[Any], Any]
"""A Python value -> what JSON holds of it."""

_SHOWN: Final = 256
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def problem(value: Any, path: str, constraint: str) -> str:  # noqa: ANN401  whatever arrived
    """One constraint that a value does not satisfy, in AWS's words."""
    shown = "null" if value is None else f"'{str(value)[:_SHOWN]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def reader(shape: Shape) -> Reader:
    """How values of a shape are read."""
    return _reader(shape, {})


def writer(shape: Shape) -> Writer:
    """How values of a shape are written; None stands for an absent member."""
    return _writer(shape, {})


def timestamp(value: Any) -> float | None:  # noqa: ANN401  whatever arrived
    """Seconds since 1970 of a number or an ISO 8601 text; None if it is neither."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _reader(shape: Shape, known: dict[str, Reader]) -> Reader:
    if shape.name in known:
        return known[shape.name]
    if shape.metadata.get("document"):
        return lambda value, _path, _problems: value

    # A shape may hold itself: until it is compiled, its place is held by a function that looks it up.
    def later(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        return known[shape.name](value, path, problems)

    known[shape.name] = later
    known[shape.name] = _READERS[shape.type_name](shape, known)
    return known[shape.name]


def _structure(shape: StructureShape, known: dict[str, Reader]) -> Reader:
    members = [(name, wire_name(name, member), _reader(member, known)) for name, member in shape.members.items()]
    required = tuple(shape.required_members)

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not dict:
            problems.append(problem(value, path, "Member must be an object"))
            return value
        prefix = f"{path}." if path else ""
        result = {}
        for name, key, read_member in members:
            given = value.get(key)
            if given is not None:
                result[name] = read_member(given, prefix + name, problems)
        problems += [problem(None, prefix + name, "Member must not be null") for name in required if name not in result]
        return result

    return read


def _list(shape: ListShape, known: dict[str, Reader]) -> Reader:
    read_member = _reader(shape.member, known)
    lengths = _lengths(shape)

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not list:
            problems.append(problem(value, path, "Member must be a list"))
            return value
        problems += [problem(value, path, wrong) for wrong in lengths(len(value))]
        return [read_member(item, f"{path}.{number}.member", problems) for number, item in enumerate(value, 1)]

    return read


def _map(shape: MapShape, known: dict[str, Reader]) -> Reader:
    read_key, read_value = _reader(shape.key, known), _reader(shape.value, known)
    lengths = _lengths(shape)

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not dict:
            problems.append(problem(value, path, "Member must be an object"))
            return value
        problems += [problem(value, path, wrong) for wrong in lengths(len(value))]
        result = {}
        for key, item in value.items():
            if item is not None:
                read_key(key, f"{path}.{str(key)[:_SHOWN]}.key", problems)
                result[key] = read_value(item, f"{path}.{str(key)[:_SHOWN]}.member", problems)
        return result

    return read


def _string(shape: Shape, _known: dict[str, Reader]) -> Reader:
    lengths = _lengths(shape)
    pattern = shape.metadata.get("pattern")
    enum: list[str] = shape.metadata.get("enum") or []
    allowed = frozenset(enum) if enum else None
    secret = bool(shape.metadata.get("sensitive"))
    match = compiled(pattern).fullmatch if pattern else None

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not str:
            problems.append(problem(value, path, "Member must be a string"))
            return value
        wrong = lengths(len(value))
        if not value.isascii() and _SURROGATE.search(value):
            wrong.append("Member must be Unicode text")
        if allowed is not None and value not in allowed:
            wrong.append(f"Member must satisfy enum value set: [{', '.join(enum)}]")
        if match is not None and not match(value):
            wrong.append(f"Member must satisfy regular expression pattern: {pattern}")
        if wrong:
            problems += [problem("***" if secret else value, path, constraint) for constraint in wrong]
        return value

    return read


def _lengths(shape: Shape) -> Callable[[int], list[str]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")

    def check(length: int) -> list[str]:
        wrong = []
        if least is not None and length < least:
            wrong.append(f"Member must have length greater than or equal to {least}")
        if most is not None and length > most:
            wrong.append(f"Member must have length less than or equal to {most}")
        return wrong

    return check


def _number(kinds: tuple[type, ...], word: str, bits: int, shape: Shape, _known: dict[str, Reader]) -> Reader:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    span = 1 << (bits - 1)

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) not in kinds or not -span <= value < span:
            problems.append(problem(value, path, f"Member must be {word}"))
            return value
        if least is not None and value < least:
            problems.append(problem(value, path, f"Member must have value greater than or equal to {least}"))
        if most is not None and value > most:
            problems.append(problem(value, path, f"Member must have value less than or equal to {most}"))
        return value

    return read


def _boolean(_shape: Shape, _known: dict[str, Reader]) -> Reader:
    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        if type(value) is not bool:
            problems.append(problem(value, path, "Member must be a boolean"))
        return value

    return read


def _timestamp(_shape: Shape, _known: dict[str, Reader]) -> Reader:
    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        moment = timestamp(value)
        if moment is None:
            problems.append(problem(value, path, "Member must be a timestamp"))
        return moment

    return read


def _blob(shape: Shape, _known: dict[str, Reader]) -> Reader:
    lengths = _lengths(shape)

    def read(value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401  whatever arrived
        try:
            data = value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            problems.append(problem("***", path, "Member must be base64"))
            return b""
        problems += [problem("***", path, wrong) for wrong in lengths(len(data))]
        return data

    return read


_FLOAT: Final = functools.partial(_number, (int, float), "a number", 1024)
_READERS: Final[dict[str, Callable[[Any, dict[str, Reader]], Reader]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "character": _string,
    "boolean": _boolean,
    "integer": functools.partial(_number, (int,), "an integer of 32 bits", 32),
    "long": functools.partial(_number, (int,), "an integer of 64 bits", 64),
    "float": _FLOAT,
    "double": _FLOAT,
    "timestamp": _timestamp,
    "blob": _blob,
}


def wire_name(name: str, member: Shape) -> str:
    """What a member is called on the wire."""
    found: str = member.serialization.get("name", name)
    return found


def _writer(shape: Shape, known: dict[str, Writer]) -> Writer:
    if shape.name in known:
        return known[shape.name]
    if shape.metadata.get("document"):
        return lambda value: value

    def later(value: Any) -> Any:  # noqa: ANN401  AWS's own shapes
        return known[shape.name](value)

    known[shape.name] = later
    compile_writer = _WRITERS.get(shape.type_name)
    known[shape.name] = compile_writer(shape, known) if compile_writer else _as_it_is
    return known[shape.name]


def _write_structure(shape: StructureShape, known: dict[str, Writer]) -> Writer:
    members = {name: (wire_name(name, member), _writer(member, known)) for name, member in shape.members.items()}

    def write(value: Any) -> dict[str, Any]:  # noqa: ANN401  AWS's own members
        result = {}
        for name, given in value.items():
            if given is not None:
                key, write_member = members[name]
                result[key] = write_member(given)
        return result

    return write


def _write_list(shape: ListShape, known: dict[str, Writer]) -> Writer:
    write_member = _writer(shape.member, known)
    return lambda value: [write_member(item) for item in value]


def _write_map(shape: MapShape, known: dict[str, Writer]) -> Writer:
    write_value = _writer(shape.value, known)
    return lambda value: {key: write_value(item) for key, item in value.items() if item is not None}


def _as_it_is(value: Any) -> Any:  # noqa: ANN401  JSON's own
    return value


_WRITERS: Final[dict[str, Callable[[Any, dict[str, Writer]], Writer]]] = {
    "structure": _write_structure,
    "list": _write_list,
    "map": _write_map,
    "timestamp": lambda shape, _known: (
        (lambda value: datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if shape.serialization.get("timestampFormat") == "iso8601"
        else (lambda value: round(value, 3))
    ),
    "blob": lambda _shape, _known: lambda value: base64.b64encode(value).decode(),
}
