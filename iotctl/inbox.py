"""What came and waits for its reader: bounded, the oldest dropped and counted where the reader does not keep up."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of the messages that wait, however few they are: one may have 128 KiB."""

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Filled by the threads of one connection or several, emptied by one reader, many at a time.

    Args:
        most: messages that may wait.

    Attributes:
        dropped: messages dropped since this was last asked and set to 0.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._messages: deque[tuple[_Item, int]] = deque()
        self._kept: list[_Item] = []
        self._bytes = 0
        self.dropped = 0

    def put(self, message: _Item, size: int) -> None:
        """Keep a message of so many bytes; the oldest go where there is no room."""
        with self._lock:
            self._messages.append((message, size))
            self._bytes += size
            while len(self._messages) > self._most or self._bytes > MOST_BYTES:
                oldest, freed = self._messages.popleft()
                self._bytes -= freed
                if freed:
                    self.dropped += 1
                else:
                    self._kept.append(oldest)
        if not self._ready.is_set():
            self._ready.set()

    def tell(self, notice: _Item) -> None:
        """Keep what must not be dropped."""
        self.put(notice, 0)

    def take(self, seconds: float) -> list[_Item]:
        """All that is there, in order; where nothing is, what comes within so many seconds, which may be nothing."""
        if not self._ready.wait(max(0.0, seconds)):
            return []
        with self._lock:
            self._ready.clear()
            kept, messages = self._kept, self._messages
            self._kept, self._messages, self._bytes = [], deque(), 0
        return [*kept, *(message for message, _ in messages)]
