"""What is made in a bundles directory and is not whole yet: `<bundles>/.staging/`. It appears by one durable rename."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from iotctl import files
from iotctl.errors import Local

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def clear_staging(bundles: Path) -> None:
    """Remove what a crash left half made: it was never registered."""
    shutil.rmtree(bundles / ".staging", ignore_errors=True)
    staging_directory(bundles)


def staging_directory(bundles: Path) -> Path:
    """Where it is, made where there is none."""
    staging = bundles / ".staging"
    staging.mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)
    return staging


def publish(bundles: Path, staged: Mapping[Path, Path]) -> None:
    """Make the staged directories durable, then give them their names, then make the names durable.

    Args:
        bundles: the directory of the bundles.
        staged: where each is now, and the name that it gets.

    Raises:
        Local: a name was taken meanwhile.

    """
    files.sync_file_system(bundles)
    for staging, place in staged.items():
        try:
            staging.rename(place)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise Local(f"{place} appeared while this run made it", hint="run the same command again") from error
            raise
    for parent in {place.parent for place in staged.values()}:
        files.sync_directory(parent)
