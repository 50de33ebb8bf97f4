"""The passphrase of encrypted private keys: read from a file or standard input, never from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from iotctl.errors import Usage

LONGEST: Final = 1023
"""Bytes; OpenSSL, which opens such keys on devices, takes no longer ones."""


def read(source: str) -> bytes:
    """The first line of a file, or of standard input (`-`), without its line end.

    Raises:
        Usage: it cannot be read, or is no passphrase.

    """
    name = "standard input" if source == "-" else source
    try:
        first = sys.stdin.buffer.readline() if source == "-" else Path(source).read_bytes().split(b"\n", 1)[0]
    except OSError as error:
        raise Usage(f"{source} cannot be read: {error.strerror}", on=source) from error
    found = first.rstrip(b"\r\n")
    if not found:
        raise Usage(f"the first line of {name} is empty: there is no passphrase", code="Passphrase", on=source)
    if len(found) > LONGEST:
        raise Usage(f"the first line of {name} is no passphrase: it has more than {LONGEST} bytes", code="Passphrase")
    return found
