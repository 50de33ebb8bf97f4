"""Whether a file is a single-file ONNX model, seen without the onnx package and without running any of it.

It walks the protobuf wire format (onnx.proto of ONNX 1.23) for the few fields that matter: operator domains, and
tensors whose data is elsewhere. All else, the weights above all, is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Those that onnxruntime brings along; any other needs a library of code."""

_DEEPEST = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message -> field -> the message that it holds.
_INSIDE = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
}
# Message -> the field with an operator domain.
_DOMAIN = {"opset": 1, "node": 7, "function": 10}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class Unsafe(ValueError):
    """Why a file is not loaded."""


def check(content: bytes | memoryview) -> None:
    """Refuse all but a single-file ONNX model of known operator domains.

    Raises:
        Unsafe: with the reason.

    """
    try:
        fields = {field for field, _ in _fields(memoryview(content))}
        if not {1, 7} <= fields:
            raise Unsafe("it is not an ONNX model: it has no graph")
        _walk("model", memoryview(content), 0)
    except (IndexError, UnicodeDecodeError):
        raise Unsafe("it is not an ONNX model: it cannot be read as one") from None


def _walk(message: str, content: memoryview, depth: int) -> None:
    if depth > _DEEPEST:
        raise Unsafe(f"its graphs are nested more than {_DEEPEST} deep")
    inside, domain = _INSIDE.get(message, {}), _DOMAIN.get(message)
    for field, value in _fields(content):
        if field == domain:
            name = bytes(_held(value)).decode()
            if name not in DOMAINS:
                raise Unsafe(f"it uses operators of the domain {name!r}; known are {', '.join(sorted(DOMAINS - {''}))}")
        elif message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and _enum(value) == 1)):
            raise Unsafe("its weights are in other files; it must be a single file")
        elif field in inside:
            _walk(inside[field], _held(value), depth + 1)


def _enum(value: int | memoryview) -> int:
    """As protobuf reads an enumeration: its lower 32 bits."""
    return value & 0xFFFFFFFF if isinstance(value, int) else -1


def _held(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Unsafe("it is not an ONNX model: it cannot be read as one")
    return value


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field of a message: its number, and its number or bytes."""
    place, end = 0, len(content)
    while place < end:
        tag, place = _varint(content, place)
        kind = tag & 7
        if tag >> 32 or not tag >> 3:
            # A reader that keeps 32 bits of a longer tag would see another field than this one.
            raise Unsafe("it is not an ONNX model: it cannot be read as one")
        value: int | memoryview
        if kind == _VARINT:
            value, place = _varint(content, place)
        else:
            if kind == _BYTES:
                size, place = _varint(content, place)
            elif kind in {_FIXED64, _FIXED32}:
                size = 8 if kind == _FIXED64 else 4
            else:
                raise Unsafe("it is not an ONNX model: it cannot be read as one")
            if size > end - place:
                raise Unsafe("it is cut off, or no ONNX model")
            value, place = content[place : place + size], place + size
        yield tag >> 3, value


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise Unsafe("it is not an ONNX model: it cannot be read as one")
