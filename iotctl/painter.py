"""A few lines on a terminal, drawn anew in place a few times a second."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, TextIO

from iotctl import clock
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERVAL: Final = 0.2
"""Seconds between two drawings: five a second cost nothing that counts, and no eye reads faster."""

# Without wrapping, a line too wide (letters of two columns) is cut by the terminal, and the place stays known.
_UNWRAPPED: Final = "\x1b[?7l"
_WRAPPED: Final = "\x1b[?7h"


class Painter:
    """Draws what a view gives, in place of what it gave before."""

    def __init__(self, out: TextIO, view: Callable[[int, int], Sequence[str]]) -> None:
        self._out = out
        self._view = view
        self._lines = 0
        self._painted = 0.0

    def paint(self, *, now: bool = False) -> None:
        """Draw, where it is time to (or `now`)."""
        moment = clock.monotonic()
        if not now and moment - self._painted < INTERVAL:
            return
        self._painted = moment
        size = shutil.get_terminal_size()
        fitting = list(self._view(size.columns, size.lines - 1))[: size.lines - 1]
        lines = "".join(f"{sanitize(line)}\x1b[K\n" for line in fitting)
        self._out.write(f"{_UNWRAPPED}{self._up()}{lines}\x1b[J{_WRAPPED}")
        self._out.flush()
        self._lines = len(fitting)

    def clear(self) -> None:
        """Take away what was drawn, so that words can be said; the next `paint` draws again at once."""
        self._out.write(f"{self._up()}\x1b[J")
        self._out.flush()
        self._lines, self._painted = 0, 0.0

    def _up(self) -> str:
        return f"\x1b[{self._lines}F" if self._lines else "\r"
