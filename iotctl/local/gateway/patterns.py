r"""The regular expressions of the service models, which are Java's, as Python's: ASCII classes, `\p{…}`."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from itertools import groupby
from typing import Final

_POSIX: Final = {"Graph": r"\x21-\x7e", "Upper": "A-Z", "Digit": "0-9", "Cntrl": r"\x00-\x1f\x7f", "Alnum": "0-9A-Za-z"}
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
    points = range(sys.maxunicode + 1)
    runs = groupby(points, key=lambda point: unicodedata.category(chr(point)).startswith(name))
    ranges = [list(run) for inside, run in runs if inside]
    return "".join(f"\\U{run[0]:08x}-\\U{run[-1]:08x}" for run in ranges)
