r"""The regular expressions of the service models, which are Java's, as Python's: ASCII classes, `\p{…}`."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from itertools import groupby
from typing import Final

_POSIX: Final = {"Graph": r"\x21-\x7e", "Upper": "A-Z", "Digit": "0-9", "Cntrl": r"\x00-\x1f\x7f", "Alnum": "0-9A-Za-z"}
# Nine tenths of all code points need not be asked for: no character is there, in any version of Unicode so far, or they
# are for private use (both are C).
_PLANES: Final = (range(0x40000), range(0xE0000, 0xE1000))
_UNASSIGNED: Final = ((0x40000, 0xDFFFF), (0xE1000, sys.maxunicode))
_CLASS: Final = re.compile(r"\\p\{(\w+)\}")


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a service model, to be used with `fullmatch`.

    Raises:
        re.error: it is none that Python understands.

    """
    return re.compile(_CLASS.sub(lambda found: _members(found[1]), pattern), re.ASCII)


@functools.cache
def _members(name: str) -> str:
    """The characters of a POSIX class, or of a Unicode category such as L, Z, N, C, as the inside of a bracket."""
    if name in _POSIX:
        return _POSIX[name]
    ranges: list[tuple[int, int]] = []
    for category, first, last in _runs():
        if category.startswith(name):
            joined = bool(ranges) and ranges[-1][1] + 1 == first
            ranges.append((ranges.pop()[0] if joined else first, last))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@functools.cache
def _runs() -> list[tuple[str, int, int]]:
    """Every code point's category, as runs of those that share one: found once, for it holds up everything else."""
    runs: list[tuple[str, int, int]] = []
    for plane in _PLANES:
        for category, run in groupby(plane, key=lambda point: unicodedata.category(chr(point))):
            points = list(run)
            runs.append((category, points[0], points[-1]))
    runs += [("Cn", first, last) for first, last in _UNASSIGNED]
    return sorted(runs, key=lambda found: found[1])
