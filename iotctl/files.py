"""Durable, private file writes, and the run lock.

A file is complete or absent: written beside its place, synced, renamed, its directory synced (restic's recipe).
Secrets are created with their mode in the same call that creates them, so no other user ever sees them open.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from iotctl import clock
from iotctl.errors import Local, Locked

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


def state_home() -> Path:
    """The directory of this tool's own state: $IOTCTL_HOME, else the XDG state directory."""
    if home := os.environ.get("IOTCTL_HOME"):
        return Path(home).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser().absolute() / "iotctl"


def private_directory(path: Path) -> Path:
    """The directory, made if absent (0700), refused if others could tamper with it.

    Raises:
        Local: it belongs to someone else, is a symbolic link, is not a directory, or others may write to it.

    """
    with explained(path):
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise Local(f"{path} is not a directory of its own (a symbolic link or a file)", on=str(path))
    if found.st_uid != os.geteuid():
        raise Local(f"{path} belongs to another user (uid {found.st_uid})", on=str(path))
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Local(
            f"{path} is writable by others (mode {stat.S_IMODE(found.st_mode):04o})",
            hint=f"chmod 700 {path}",
            on=str(path),
        )
    return path


def ignores_case(directory: Path) -> bool:
    """Whether names that differ only in case are one file there (as on macOS by default)."""
    for place in (directory.absolute(), *directory.absolute().parents):
        other = place.with_name(place.name.swapcase())
        if place.exists() and other.name != place.name:
            return other.exists() and other.samefile(place)
    return False


def write_new(path: Path | str, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Create a file with its mode, never replacing one; the caller syncs (`sync`) before it relies on it."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Put a whole file in place of what was there, durably: after any crash it is the old one or the new one."""
    with explained(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        Path(name).replace(path)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Make everything written so far to the file system of `path` durable: one call for a batch of many files.

    Where the system call is missing (not Linux) this is `sync(2)`, which does the same for every file system.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError on this path into a Local error that says what to do.

    Raises:
        Local: disk full, permission, read-only and the like.

    """
    try:
        yield
    except OSError as error:
        hint = {
            errno.ENOSPC: "free some space, then run the same command again; it resumes",
            errno.EDQUOT: "free some space, then run the same command again; it resumes",
            errno.EACCES: "choose a directory that you may write to",
            errno.EROFS: "choose a directory on a writable file system",
        }.get(error.errno or 0, "")
        raise Local(
            f"cannot write {error.filename or path}: {error.strerror}",
            code=errno.errorcode.get(error.errno or 0, "Local"),
            hint=hint,
            on=str(path),
        ) from error


@contextlib.contextmanager
def run_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the kernel lets go of it when the process ends, however it ends.

    The file stays: its content only names the holder for the message, it is not the lock.

    Raises:
        Locked: another run holds it.

    """
    with explained(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            _take(descriptor)
        except BlockingIOError as error:
            raise Locked(
                f"another run works in {path.parent}",
                cause=_holder(descriptor),
                hint="wait for it to end, then run the same command again",
                on=str(path),
            ) from error
        started = clock.iso(clock.now())
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started, "what": what}
        with explained(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Take the lock; one that only asked whether it is held (`is_locked`) lets go within the moment that this waits."""
    for wait in (0.01, 0.05, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait is None:
                raise
            clock.sleep(wait)
        else:
            return


def is_locked(path: Path) -> bool:
    """Whether a process holds this lock file now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two that ask do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"{holder['what']}, pid {holder['pid']} on {holder['host']}, since {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "it has just started"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
