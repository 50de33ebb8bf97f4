"""Which things were handed to AWS to be given a certificate: noted, durably, before they are.

AWS makes another certificate each time it is asked with the same CSR. So what may have been asked for already, by a run
whose end was not seen, is looked at before it is asked for again.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from iotctl import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def note(directory: Path, run_id: str, thing_names: Sequence[str]) -> None:
    """Add to what a run has handed over.

    Raises:
        Local: it cannot be written.

    """
    path = _path(directory, run_id)
    with files.explained(path):
        path.parent.mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as notes:
            # A line that a crash cut off is ended by the empty one.
            notes.write(b"\n" + "".join(json.dumps(name) + "\n" for name in thing_names).encode())
            notes.flush()
            os.fsync(notes.fileno())
        files.sync_directory(path.parent)


def noted(directory: Path, run_id: str) -> frozenset[str]:
    """The things that a run has handed over, all of which may have been registered, or none."""
    try:
        lines = _path(directory, run_id).read_bytes().splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for line in lines if (name := _name(line)))


def _name(line: bytes) -> str:
    try:
        return str(json.loads(line))
    except ValueError:
        return ""


def _path(directory: Path, run_id: str) -> Path:
    return directory / "runs" / f"{run_id}.submitted"
