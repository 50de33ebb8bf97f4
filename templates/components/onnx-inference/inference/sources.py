"""Where inputs come from: an MQTT topic, a directory that files arrive in, a stream of lines.

Files and streams wait: nothing of them is lost, and an input that was under way when the program ended is inferred on
again. So does a topic over MQTT at QoS 1: an input is acknowledged when its prediction is out, and what is not goes to
the next start of the program, be it another release. A topic at QoS 0, and any topic through Greengrass IPC, cannot
wait: where the model is slower than what comes, the oldest inputs are dropped, and counted; what is sent while the
program restarts nobody keeps.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import fnmatch
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Callable

from inference.child import Item

if TYPE_CHECKING:
    from inference.configuration import Source
from inference.log import say
from inference.outbox import Transport

_LARGEST = 64 << 20
_LONGEST_LINE = 1 << 20
_SAVE_SECONDS = 1.0


class Inbox:
    """Inputs that wait for the model, bounded in number and bytes.

    Attributes:
        dropped: those that a topic brought while it was full.
        ended: the source has no more.
        left: what its sources keep stays with them.

    """

    def __init__(self, wake: Callable[[], Any], most: int = 1000, most_bytes: int = _LARGEST) -> None:
        self._wake, self._most, self._most_bytes = wake, most, most_bytes
        self._items: collections.deque[Item] = collections.deque()
        self._bytes = 0
        self._room = threading.Condition()
        self.dropped = 0
        self.ended = False
        self.left = False

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: Item) -> None:
        """Add one at once; where there is no room the oldest go, and at the end of the program this one."""
        with self._room:
            if self.left:
                self.dropped += 1
                return
            while self._items and self._full(item):
                self._bytes -= len(self._items.popleft().payload)
                self.dropped += 1
            self._add(item)

    def hold(self, item: Item) -> None:
        """Add one of a source that keeps it, and stops by itself when it keeps many."""
        with self._room:
            if not self.left:
                self._add(item)

    def put(self, item: Item) -> None:
        """Add one of a source that keeps it, when there is room."""
        with self._room:
            while self._items and self._full(item) and not self.left:
                self._room.wait()
            if not self.left:
                self._add(item)

    def leave(self) -> None:
        """From now on only what nobody else has is handed out."""
        with self._room:
            self.left = True
            self._items = collections.deque(item for item in self._items if not item.done)
            self._bytes = sum(len(item.payload) for item in self._items)
            self._room.notify_all()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._wake()

    def take(self, count: int) -> list[Item]:
        """The next ones."""
        if not self._items or count <= 0:
            return []
        with self._room:
            taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
            self._bytes -= sum(len(item.payload) for item in taken)
            self._room.notify()
        return taken

    def _full(self, item: Item) -> bool:
        return len(self._items) >= self._most or self._bytes + len(item.payload) > self._most_bytes

    def _add(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += len(item.payload)
        if len(self._items) == 1:
            self._wake()


def start(source: Source, inbox: Inbox, transport: Transport, work: str) -> Callable[[], None]:
    """Let a source bring its inputs, on a thread of its own; what notes, at the end, which of them are done."""
    if source.kind == "topic":

        def received(_: str, payload: bytes, done: Any = None, over: Any = None) -> None:
            if done:
                inbox.hold(Item(payload, "", done, over=over))
            else:
                inbox.offer(Item(payload))

        transport.subscribe(source.topic, received, source.qos)
    elif source.kind == "directory":
        directory = Directory(source, inbox, work)
        threading.Thread(target=directory.watch, name="directory", daemon=True).start()
        return directory.save
    elif source.kind == "stream":
        stream = Stream(source, inbox, work)
        threading.Thread(target=stream.read, name="stream", daemon=True).start()
        return stream.save
    return lambda: None


class _Marks:
    """What is done, remembered across restarts; written at most once a second."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0
        self.value: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            self.value = found if isinstance(found, dict) else {}

    def save(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if now or moment - self._written > _SAVE_SECONDS:
            self._written = moment
            with open(self._path + ".new", "w", encoding="utf-8") as file:
                json.dump(self.value, file)
            os.replace(self._path + ".new", self._path)


class Directory:
    """Files that arrive; one is read when its size has not changed between two looks."""

    def __init__(self, source: Source, inbox: Inbox, work: str) -> None:
        self._source, self._inbox = source, inbox
        self._marks = _Marks(os.path.join(work, "directory.json"))
        self._before: dict[str, list[int]] = {}
        self._under_way: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        """Of the marks: what is done is told from other threads."""

    def watch(self) -> None:
        """Look again and again: Python itself has no watcher of files, and a core needs no package for this."""
        while True:
            self.look()
            time.sleep(self._source.poll)

    def save(self) -> None:
        """Note what is done, now."""
        with self._lock:
            self._marks.save(now=True)

    def look(self) -> None:
        """Take in what has arrived, in the order of time."""
        found = dict(self._files())
        done = self._marks.value
        with self._lock:
            for name in [name for name in done if name not in found]:
                done.pop(name, None)
        for name, state in sorted(found.items(), key=lambda entry: (entry[1][1], entry[0])):
            if self._before.get(name) == state and done.get(name) != state and self._under_way.get(name) != state:
                self._take(name, state)
        self._before = found

    def _files(self) -> Iterator[tuple[str, list[int]]]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._source.path) as entries:
            for entry in entries:
                if fnmatch.fnmatch(entry.name, self._source.pattern) and not entry.name.startswith("."):
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            yield entry.name, [status.st_size, status.st_mtime_ns]

    def _take(self, name: str, state: list[int]) -> None:
        path = os.path.join(self._source.path, name)
        if state[0] > _LARGEST:
            say(f"{path} has {state[0]} bytes, more than {_LARGEST}: left out")
            with self._lock:
                self._marks.value[name] = state
            return
        try:
            with open(path, "rb") as file:
                payload = file.read(_LARGEST)
        except OSError as error:
            say(f"{path} cannot be read: {error.strerror}")
            return
        self._under_way[name] = state
        self._inbox.put(Item(payload, name, lambda: self._done(name, state)))

    def _done(self, name: str, state: list[int]) -> None:
        path = os.path.join(self._source.path, name)
        with contextlib.suppress(OSError):
            if self._source.after == "delete":
                os.unlink(path)
            elif self._source.after == "move":
                os.makedirs(os.path.join(self._source.path, "done"), exist_ok=True)
                os.replace(path, os.path.join(self._source.path, "done", name))
            else:
                with self._lock:
                    self._marks.value[name] = state
                    self._marks.save()
        self._under_way.pop(name, None)


class Stream:
    """Lines of a file, a FIFO or stdin: each one is an input."""

    def __init__(self, source: Source, inbox: Inbox, work: str) -> None:
        self._source, self._inbox = source, inbox
        self._marks = _Marks(os.path.join(work, "stream.json"))
        self._columns: list[str] | None = None

    def read(self) -> None:
        """To the end, and on where more may come."""
        path = self._source.path
        while True:
            try:
                if path == "-":
                    self._lines(sys.stdin.buffer, 0)
                else:
                    with open(path, "rb") as file:
                        self._file(file)
            except OSError as error:
                say(f"{path} cannot be read: {error.strerror}")
            if path == "-" or not self._source.follow:
                return self._inbox.end()
            time.sleep(self._source.poll)  # it may be there again later: logs are rolled

    def save(self) -> None:
        """Note what is done, now."""
        self._marks.save(now=True)

    def _file(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return self._lines(file, 0)
        if self._source.header:
            self._header(file.readline(_LONGEST_LINE))
        known = self._marks.value
        if known.get("inode") == status.st_ino and known.get("offset", 0) <= status.st_size:
            file.seek(max(known["offset"], file.tell()))
        known["inode"] = status.st_ino
        while True:
            self._lines(file, file.tell())
            size = os.stat(self._source.path)
            if not self._source.follow or size.st_ino != status.st_ino or size.st_size < file.tell():
                return None
            time.sleep(self._source.poll)  # until something is added

    def _lines(self, file: BinaryIO, offset: int) -> None:
        partial = b""
        while True:
            line = file.readline(_LONGEST_LINE)
            if not line:
                break
            if not line.endswith(b"\n") and len(line) < _LONGEST_LINE and self._regular_and_followed(file):
                partial = line
                break
            offset += len(line)
            self._line(line.strip(), offset)
        if partial:
            file.seek(offset)

    def _regular_and_followed(self, file: BinaryIO) -> bool:
        """Whether the rest of a line may still come."""
        return self._source.follow and self._source.path != "-" and stat.S_ISREG(os.fstat(file.fileno()).st_mode)

    def _line(self, line: bytes, offset: int) -> None:
        if not line:
            return
        if self._source.header and self._columns is None:
            self._header(line)
            return
        if self._columns is not None:
            values = next(csv.reader([line.decode("utf-8", "replace")]))
            line = json.dumps(dict(zip(self._columns, values))).encode()
        self._inbox.put(Item(line, "", lambda: self._done(offset)))

    def _header(self, line: bytes) -> None:
        self._columns = next(csv.reader([line.decode("utf-8-sig", "replace").strip()]), [])

    def _done(self, offset: int) -> None:
        if "inode" in self._marks.value:
            self._marks.value["offset"] = offset
            self._marks.save()
