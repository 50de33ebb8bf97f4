"""The component's log is what it writes to stderr."""

from __future__ import annotations

import sys


def say(words: str) -> None:
    """Write a line."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
