"""CBOR (RFC 8949), as far as it stands for JSON: what devices send to AWS IoT in place of it, and get. Pure.

Written: the shortest definite-length form. Read: any form, indefinite lengths and short floats too; tags are skipped.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEPEST: Final = 32
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_SIMPLES: Final[Mapping[int, Any]] = {20: False, 21: True, 22: None, 23: None}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}


class CborError(ValueError):
    """Bytes that are not one value of CBOR, or hold what JSON has no word for."""


def encode(value: Any) -> bytes:  # noqa: ANN401  any JSON
    """A JSON value (and bytes) as CBOR.

    Raises:
        CborError: a value is of another type.

    """
    written = bytearray()
    _write(value, written)
    return bytes(written)


def decode(data: bytes) -> Any:  # noqa: ANN401  any JSON
    """The one value of these bytes; byte strings stay bytes, undefined is None.

    Raises:
        CborError: they are damaged, go on after the value, nest too deeply, or a map has a key twice or one that is
            no text.

    """
    reader = _Reader(data)
    value = reader.value(_DEEPEST)
    if reader.at != len(data):
        raise CborError(f"there are {len(data) - reader.at} bytes after the value")
    return value


def _write(value: Any, to: bytearray) -> None:  # noqa: ANN401  any JSON
    match value:
        case None | bool():
            to.append(_SIMPLE << 5 | {None: 22, True: 21, False: 20}[value])
        case int() if value >= 0:
            _head(_UNSIGNED, value, to)
        case int():
            _head(_NEGATIVE, -1 - value, to)
        case float():
            to.append(_SIMPLE << 5 | 27)
            to += struct.pack(">d", value)
        case bytes():
            _head(_BYTES, len(value), to)
            to += value
        case str():
            text = value.encode(errors="surrogatepass")
            _head(_TEXT, len(text), to)
            to += text
        case list() | tuple():
            _head(_ARRAY, len(value), to)
            for one in value:
                _write(one, to)
        case dict():
            _head(_MAP, len(value), to)
            for key, one in value.items():
                _write(key, to)
                _write(one, to)
        case _:
            raise CborError(f"a {type(value).__name__} has no CBOR here")


def _head(kind: int, number: int, to: bytearray) -> None:
    if number < 24:
        to.append(kind << 5 | number)
        return
    for extra, size in enumerate((1, 2, 4, 8)):
        if number < 1 << 8 * size:
            to.append(kind << 5 | 24 + extra)
            to += number.to_bytes(size)
            return
    raise CborError("an integer of more than 64 bits has no CBOR here")


class _Reader:
    """Bytes, and how far they are read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def value(self, depth: int) -> Any:  # noqa: ANN401  any JSON
        if depth == 0:
            raise CborError(f"it is nested more than {_DEEPEST} levels deep")
        first = self._take(1)[0]
        kind, extra = first >> 5, first & 31
        if kind == _SIMPLE:
            return self._simple(extra)
        if extra == _INDEFINITE and kind in {_BYTES, _TEXT, _ARRAY, _MAP}:
            return self._indefinite(kind, depth)
        number = self._number(extra)
        match kind:
            case 0:
                return number
            case 1:
                return -1 - number
            case 2:
                return self._take(number)
            case 3:
                return self._text(number)
            case 4:
                self._enough(number)
                return [self.value(depth - 1) for _ in range(number)]
            case 5:
                self._enough(2 * number)
                return self._map(iter(range(number)), depth)
        return self.value(depth - 1)  # a tag says how to understand what follows, not what it is

    def _map(self, times: Any, depth: int) -> dict[str, Any]:  # noqa: ANN401  an iterator
        found: dict[str, Any] = {}
        for _ in times:
            key = self.value(depth - 1)
            if not isinstance(key, str):
                raise CborError("a key of a map is no text")
            if key in found:
                raise CborError(f"the key {key!r} is there twice")
            found[key] = self.value(depth - 1)
        return found

    def _indefinite(self, kind: int, depth: int) -> Any:  # noqa: ANN401  any JSON
        if kind == _MAP:
            return self._map(iter(self._goes_on, False), depth)
        parts = []
        while self._goes_on():
            if kind != _ARRAY and self._data[self.at] >> 5 != kind:
                raise CborError("a string of indefinite length has a part of another type")
            if kind != _ARRAY and self._data[self.at] & 31 == _INDEFINITE:
                raise CborError("a string of indefinite length has a part of indefinite length")
            parts.append(self.value(depth - 1))
        if kind == _ARRAY:
            return parts
        return "".join(parts) if kind == _TEXT else b"".join(parts)

    def _goes_on(self) -> bool:
        """Whether something comes before the break, which is taken."""
        if self.at == len(self._data):
            raise CborError("it ends before its end")
        if self._data[self.at] != _BREAK:
            return True
        self.at += 1
        return False

    def _simple(self, extra: int) -> Any:  # noqa: ANN401  any JSON
        if extra in _SIMPLES:
            return _SIMPLES[extra]
        if extra in _FLOATS:
            return struct.unpack(_FLOATS[extra], self._take(1 << extra - 24))[0]
        raise CborError(f"the simple value {extra} has no meaning here")

    def _number(self, extra: int) -> int:
        if extra < 24:
            return extra
        if extra > 27:
            raise CborError("a length of a form that is reserved")
        return int.from_bytes(self._take(1 << extra - 24))

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise CborError("a text is not UTF-8") from error

    def _take(self, number: int) -> bytes:
        self._enough(number)
        self.at += number
        return self._data[self.at - number : self.at]

    def _enough(self, number: int) -> None:
        if number > len(self._data) - self.at:
            raise CborError("it ends before its end")
