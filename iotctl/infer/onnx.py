"""What an ONNX file says of itself, read from its bytes alone: nothing of it is loaded, and no package is needed.

It walks the protobuf wire format (onnx.proto of ONNX 1.23) for what decides whether a model may be sent to a device:
that it is one, that its weights are in it, that it needs no operators beyond those of onnxruntime; and for its inputs
and outputs. All else, the weights above all, is stepped over. The inference program looks again, on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Those that onnxruntime brings along; any other needs a library of code."""
LARGEST: Final = 2**31 - 1
"""Bytes of a protobuf message, and so of a single-file model."""

_DEEPEST: Final = 64
_MOST_PARTS: Final = 2_000_000
"""Nodes, attributes and tensors: hundreds of times what the largest published models have."""
_LONGEST_NAME: Final = 200
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message -> field -> the message that it holds.
_INSIDE: Final = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
}
# Message -> the field with an operator domain.
_DOMAIN: Final = {"opset": 1, "node": 7, "function": 10}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

_TYPES: Final = dict(
    enumerate(
        (
            *("undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool"),
            *("float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
        )
    )
)
"""TensorProto.DataType; those that came later are for weights."""

_LOOKS: Final = (
    (0, b"PK\x03\x04", "a zip file, as PyTorch (.pt), Keras and NumPy write: it may hold pickles, which run code"),
    (0, b"\x80\x02", "a Python pickle, which runs code when it is loaded"),
    (0, b"\x80\x03", "a Python pickle, which runs code when it is loaded"),
    (0, b"\x80\x04", "a Python pickle, which runs code when it is loaded"),
    (0, b"\x80\x05", "a Python pickle, which runs code when it is loaded"),
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes"),
    (0, b"\x1f\x8b", "a gzip file: give the .onnx that is in it"),
    (257, b"ustar", "a tar file: give the .onnx that is in it"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself: git lfs pull"),
)


class Refused(ValueError):
    """Why a file is not a model that is sent to a device."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or an output.

    Attributes:
        type: of its numbers, as ONNX names it: `float`, `int64`, `string`.
        shape: a size, the name of a free dimension, or None; None as a whole where the file does not say.

    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        """As people write it: `pixels float[?, 64]`."""
        sizes = "" if self.shape is None else ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.type}[{sizes}]"

    def to_json(self) -> dict[str, Any]:
        """As a plan shows it."""
        return {"name": self.name, "type": self.type, "shape": None if self.shape is None else list(self.shape)}


@dataclass(frozen=True, slots=True)
class Described:
    """What a model takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read(content: bytes | memoryview) -> Described:
    """What a model takes and gives, if it is a single-file ONNX model of known operators.

    Raises:
        Refused: it is not, with the reason.

    """
    view = memoryview(content)
    if len(view) > LARGEST:
        raise Refused(f"it has {len(view):,} bytes, more than the {LARGEST:,} of a single-file ONNX model")
    try:
        graphs = [value for field, value in _fields(view) if field == 7]
        if not graphs:
            raise Refused("it is not an ONNX model: it has no graph")
        walk = _Walk()
        walk.message("model", view, 0)
        inputs, outputs = _described(graphs)
    except (IndexError, UnicodeDecodeError, _NoModel):
        raise Refused(_unlike(view)) from None
    if not outputs:
        raise Refused("its graph has no output")
    return Described(inputs, outputs)


class _NoModel(ValueError):
    """It cannot be read as protobuf."""


class _Walk:
    """One pass over all that is not weights."""

    def __init__(self) -> None:
        self._parts = 0

    def message(self, kind: str, content: memoryview, depth: int) -> None:
        """Look at a message and at those in it."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refused(f"it has more than {_MOST_PARTS:,} nodes, attributes and tensors")
        if depth > _DEEPEST:
            raise Refused(f"its graphs are nested more than {_DEEPEST} deep")
        inside, domain = _INSIDE.get(kind, {}), _DOMAIN.get(kind)
        for field, value in _fields(content):
            if field == domain:
                _known(_text(value))
            elif kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and _enum(value) == 1)):
                raise Refused(
                    "its weights are in other files: save it as one (onnx.save_model without save_as_external_data)"
                )
            elif field in inside:
                self.message(inside[field], _held(value), depth + 1)


def _known(domain: str) -> None:
    if domain not in DOMAINS:
        known = ", ".join(sorted(DOMAINS - {""}))
        raise Refused(f"it uses operators of the domain {domain[:_LONGEST_NAME]!r}, which need code; known are {known}")


def _described(graphs: list[int | memoryview]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    held: set[str] = set()
    for graph in graphs:  # one; protobuf would merge several
        for field, value in _fields(_held(graph)):
            if field in {11, 12}:
                (inputs if field == 11 else outputs).append(_tensor(_held(value)))
            elif field == 5:
                held |= {_text(name) for number, name in _fields(_held(value)) if number == 8}
    # Older files list weights that have names among the inputs.
    return tuple(each for each in inputs if each.name not in held), tuple(outputs)


def _tensor(content: memoryview) -> Tensor:
    """A ValueInfoProto."""
    name, kind, shape = "", "unknown", None
    for field, value in _fields(content):
        if field == 1:
            name = _text(value)[:_LONGEST_NAME]
        elif field == 2:
            kind, shape = _type(_held(value))
    return Tensor(name, kind, shape)


def _type(content: memoryview) -> tuple[str, tuple[int | str | None, ...] | None]:
    """A TypeProto: what is no tensor (a sequence of maps, as scikit-learn's ZipMap gives) is named by its kind."""
    kinds = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}
    kind, shape = "unknown", None
    for field, value in _fields(content):
        if field in kinds:
            kind = kinds[field]
        elif field == 1:
            for number, part in _fields(_held(value)):
                if number == 1:
                    kind = _TYPES.get(_enum(part), "unknown")
                elif number == 2:
                    shape = tuple(_size(_held(size)) for place, size in _fields(_held(part)) if place == 1)
    return kind, shape


def _size(content: memoryview) -> int | str | None:
    found: int | str | None = None
    for field, value in _fields(content):
        if field == 1 and isinstance(value, int):
            found = value if value < 2**63 else None  # a negative number: free, by an old habit
        elif field == 2:
            found = _text(value)[:_LONGEST_NAME] or None
    return found


def _unlike(content: memoryview) -> str:
    """What a file is that is no ONNX model, where it can be told."""
    for place, magic, words in _LOOKS:
        if bytes(content[place : place + len(magic)]) == magic:
            return f"it is not an ONNX model, but {words}"
    return "it is not an ONNX model, or cut off: it cannot be read as one"


def _held(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _NoModel
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_held(value)).decode()


def _enum(value: int | memoryview) -> int:
    """As protobuf reads an enumeration: its lower 32 bits."""
    return value & 0xFFFFFFFF if isinstance(value, int) else -1


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field of a message: its number, and its number or bytes."""
    place, end = 0, len(content)
    while place < end:
        tag, place = _varint(content, place)
        kind = tag & 7
        if tag >> 32 or not tag >> 3:
            # A reader that keeps 32 bits of a longer tag would see another field than this one.
            raise _NoModel
        value: int | memoryview
        if kind == _VARINT:
            value, place = _varint(content, place)
        else:
            if kind == _BYTES:
                size, place = _varint(content, place)
            elif kind in {_FIXED64, _FIXED32}:
                size = 8 if kind == _FIXED64 else 4
            else:
                raise _NoModel
            if size > end - place:
                raise _NoModel
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
            raise _NoModel
