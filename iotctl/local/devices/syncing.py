"""One sync of a file system for all who wait for one: many devices on one disk that each sync a few files wait in line.

Measured: six `fsync` of each of a thousand installations at once took the disk ten seconds, these take it one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from iotctl import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class SharedSync:
    """Makes everything durable that was written before the call, for any number of threads at once.

    Whoever finds no sync under way begins one; who comes meanwhile shares the next.

    Args:
        sync: makes everything written so far to the file system of a path durable.

    """

    def __init__(self, sync: Callable[[Path], None] = files.sync_file_system) -> None:
        self._sync = sync
        self._changed = threading.Condition()
        self._begun = 0
        self._done = 0
        self._failed: dict[int, OSError] = {}

    def __call__(self, path: Path) -> None:
        """Wait until a sync that began after this call has ended.

        Raises:
            OSError: it failed.

        """
        with self._changed:
            mine = self._begun + 1
            self._changed.wait_for(lambda: self._done >= mine or self._done == self._begun)
            leads = self._done < mine
            if leads:
                self._begun = mine
        if leads:
            self._lead(mine, path)
        failed = self._failed.get(mine)
        if failed is not None:
            raise OSError(failed.errno, failed.strerror, str(path))

    def _lead(self, mine: int, path: Path) -> None:
        try:
            self._sync(path)
        except OSError as error:
            self._failed[mine] = error
        finally:
            with self._changed:
                self._done = mine
                self._changed.notify_all()


shared_sync = SharedSync()
"""Of this process."""
