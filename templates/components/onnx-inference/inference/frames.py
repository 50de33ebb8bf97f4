"""What agent and worker say to each other over a socket pair: a length, a kind, and bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<IB")

# From the agent.
LOAD, ACTIVATE, INPUT, SAMPLE = 1, 2, 3, 4
# From the worker.
READY, REFUSED, PREDICTION, FAULT = 11, 12, 13, 14

# The first byte of a prediction: what the sampling strategy said.
UNASKED, SAMPLED, DROPPED = 0, 1, 2

Frame = tuple[int, bytes]


def pack(kind: int, payload: bytes = b"") -> bytes:
    """A frame as it is sent."""
    return _HEADER.pack(len(payload), kind) + payload


class Unpacker:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now."""
        content = bytes(self._rest) + data if self._rest else data
        place, end, size = 0, len(content), _HEADER.size
        while end - place >= size:
            length, kind = _HEADER.unpack_from(content, place)
            if end - place < size + length:
                break
            yield kind, content[place + size : place + size + length]
            place += size + length
        self._rest = bytearray(content[place:])
