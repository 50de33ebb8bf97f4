"""What objects and parts hold: files below `<state>/s3/`, written once, durable before a row names them.

An upload that ends early leaves nothing: its file is removed at once, or by `prepare` after a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

from iotctl import files
from iotctl.local.services import AwsError, on
from iotctl.local.services.s3 import checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from iotctl.local.services import Message
    from iotctl.local.store import Store

BLOCK: Final = 1024 * 1024
"""The bytes that are handled at a time."""

_UNUSED: Final = "$local/s3/unused"


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was written, and what is known of its bytes.

    Attributes:
        file: its name in the directory.
        size: in bytes.
        md5: in hexadecimal.
        checksums: base64 by algorithm: those that were asked for.

    """

    file: str
    size: int
    md5: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of a file."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where the content of a new object or part comes from.

    Attributes:
        slices: bytes that are here, one after the other; None: the body of the request.
        algorithms: the checksums that are wanted of them.

    """

    slices: tuple[Slice, ...] | None = None
    algorithms: tuple[str, ...] = ()


SOURCES: dict[str, Callable[..., Source]] = {}
"""By operation: whether it may begin, and where its content comes from; called with the operation's parameters."""


def source(name: str) -> Callable[[Callable[..., Source]], Callable[..., Source]]:
    """Register what is asked before the content of an operation is written: `@source("s3:PutObject")`."""

    def register(function: Callable[..., Source]) -> Callable[..., Source]:
        SOURCES[name] = function
        return function

    return register


class Writing:
    """A new file while it is written; its methods block, and run on a thread where they are many."""

    def __init__(self, store: Store, algorithms: Iterable[str]) -> None:
        self._sums = {algorithm: checksums.new(algorithm) for algorithm in algorithms}
        self._md5 = md5(usedforsecurity=False)
        self.size = 0
        self._directory = directory(store)
        self._name = secrets.token_hex(16)
        self._file = open(self._directory / self._name, "xb", opener=_private)  # noqa: SIM115  closed by `finish` or `discard`; only this one takes an opener

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self.size += len(data)
        self._md5.update(data)
        for each in self._sums.values():
            each.update(data)

    def finish(self) -> Content:
        """Make it durable."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        files.sync_directory(self._directory)
        found = {algorithm: checksums.text(each.digest()) for algorithm, each in self._sums.items()}
        return Content(self._name, self.size, self._md5.hexdigest(), found)

    def discard(self) -> None:
        """Remove it."""
        self._file.close()
        (self._directory / self._name).unlink(missing_ok=True)


def copied(store: Store, slices: Iterable[Slice], algorithms: Iterable[str]) -> Content:
    """A new file of bytes that are here already; blocks until it is durable.

    Raises:
        AwsError: OperationAborted: they went away meanwhile.

    """
    writing = Writing(store, algorithms)
    try:
        for each in slices:
            for data in blocks(each):
                writing.write(data)
        return writing.finish()
    except FileNotFoundError as error:
        writing.discard()
        message = "A conflicting operation is currently in progress against this resource. Try again."
        raise AwsError("OperationAborted", message) from error
    except BaseException:
        writing.discard()
        raise


def blocks(part: Slice) -> Iterator[bytes]:
    """The bytes of a slice, block by block; the file is open from the first on."""
    with part.path.open("rb", buffering=0) as file:
        file.seek(part.start)
        left = part.length
        while left and (data := file.read(min(left, BLOCK))):
            left -= len(data)
            yield data


def directory(store: Store) -> Path:
    """Where the files are."""
    return store.directory / "s3"


def path(store: Store, file: str) -> Path:
    """A file."""
    return directory(store) / file


def forget(store: Store, file: str) -> None:
    """Remove a file once the running transaction, which took away the row that named it, is committed."""
    store.publish(_UNUSED, {"file": file})


@on(_UNUSED)
def _remove(store: Store, message: Message) -> None:
    path(store, json.loads(message.payload)["file"]).unlink(missing_ok=True)


def settle(store: Store, content: Content) -> None:
    """Remove a new file that no row came to name: its operation was refused, or done before."""
    if not _is_named(store, content.file):
        path(store, content.file).unlink(missing_ok=True)


def prepare(store: Store) -> None:
    """Make the directory, and remove from it what a crash left: files that no row names."""
    for file in list(files.private_directory(directory(store)).iterdir()):
        if not _is_named(store, file.name):
            file.unlink()
    files.sync_directory(store.directory)


@contextlib.contextmanager
def durable(store: Store) -> Iterator[None]:
    """What is committed in the block survives a power cut too, as S3 promises of every object that it acknowledged."""
    store.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        store.execute("PRAGMA synchronous = NORMAL")


def _is_named(store: Store, file: str) -> bool:
    found = store.row("SELECT 1 FROM s3_object WHERE file = ?1 UNION ALL SELECT 1 FROM s3_part WHERE file = ?1", file)
    return found is not None


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE_FILE)


def decoded(value: str) -> dict[str, Any]:
    """A JSON column."""
    found: dict[str, Any] = json.loads(value)
    return found
