"""An artifact over HTTPS, into a file that is whole and right or is not there: it resumes, and ends.

At most one byte more than what is declared is ever read. What has come stays in `<name>.partial` and is gone on with by
HTTP ranges (RFC 9110, section 14), after a lost connection as after a restart. What a loss of power tears is found by
its digest, so nothing is synced here. It blocks: it runs in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import random
import re
import ssl
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from iotctl import files
from iotctl.errors import Interrupted
from iotctl.manifest import Reason, Rejected
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AWS_HOSTS: Final = ("*.amazonaws.com", "*.amazonaws.com.cn")
"""Where a device downloads from unless it is told otherwise."""
TRIES: Final = 5
FIRST_WAIT: Final = 1.0
"""Seconds before the second try; doubled each time, the upper half of it by chance."""

_SILENCE_SECONDS = 30.0
_BLOCK = 64 * 1024
_RANDOM = random.SystemRandom()
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_NEVER = threading.Event()


@dataclass(frozen=True, slots=True)
class Source:
    """What is downloaded.

    Attributes:
        url: https, or http of this machine; it may hold a signature, so it is never shown.
        size: bytes, exactly.
        sha256: hex.
        hosts: names that the URL's host must fit one of; `*` stands for anything.

    """

    url: str
    size: int
    sha256: str
    hosts: tuple[str, ...] = AWS_HOSTS


class Refused(Rejected):
    """The server does not give it: its status says that asking again is no use.

    Attributes:
        status: of HTTP; 403 is what S3 answers for a presigned URL that has run out.

    """

    def __init__(self, status: int, host: str) -> None:
        super().__init__(Reason.DOWNLOAD_FAILED, f"{host} answered {status}")
        self.status = status


class _LostError(Exception):
    """This try came to nothing; another one may."""


def fetch(source: Source, place: Path, *, stop: threading.Event = _NEVER, first_wait: float = FIRST_WAIT) -> None:
    """Download into a file, durably; where the right file is there already, nothing is asked.

    Raises:
        Rejected: HOST_REFUSED, ENDLESS_DATA, TRUNCATED, DIGEST_MISMATCH (nothing is left of it), DOWNLOAD_FAILED (what
            came is kept). Local: it cannot be written. Interrupted: `stop` was set; what came is kept.

    """
    address = checked(source)
    with files.explained(place):
        if place.exists() and digest(place) == source.sha256:
            return
        coming = partial(place)
        try:
            _right(source, address, coming, stop, first_wait)
        except Rejected as error:
            if error.reason is not Reason.DOWNLOAD_FAILED:
                coming.unlink(missing_ok=True)
            raise
        coming.replace(place)


def _right(source: Source, address: SplitResult, partial: Path, stop: threading.Event, first_wait: float) -> None:
    """All bytes, and the right ones. What an earlier run left may be torn: it has one more try from the beginning."""
    resumed = partial.exists()
    _complete(source, address, partial, stop, first_wait)
    if resumed and digest(partial) != source.sha256:
        partial.unlink()
        _complete(source, address, partial, stop, first_wait)
    if digest(partial) != source.sha256:
        raise Rejected(Reason.DIGEST_MISMATCH, "what came is not what the manifest names")


def checked(source: Source) -> SplitResult:
    """The URL's parts.

    Raises:
        Rejected: HOST_REFUSED.

    """
    try:
        address = urlsplit(source.url)
        host, port = address.hostname or "", address.port
    except ValueError as error:
        raise Rejected(Reason.HOST_REFUSED, "the URL cannot be read") from error
    known = any(fnmatchcase(host, pattern) for pattern in source.hosts)
    secure = address.scheme == "https" or (address.scheme == "http" and is_loopback(host))
    if not (known and secure) or port == 0 or address.username is not None:
        shown = sanitize(f"{address.scheme}://{host}")
        raise Rejected(Reason.HOST_REFUSED, f"this device does not download from {shown}")
    return address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _complete(source: Source, address: SplitResult, partial: Path, stop: threading.Event, first_wait: float) -> None:
    """Ask until all bytes are there; their digest is still to be looked at."""
    failures, there, fault = 0, size(partial), ""
    while failures < TRIES:
        longest = first_wait * 2.0**failures
        if stop.is_set() or (failures and stop.wait(_RANDOM.uniform(longest / 2, longest))):
            raise Interrupted("the download was stopped; what came is kept")
        try:
            _once(source, address, partial, stop)
        except _LostError as error:
            fault = sanitize(str(error))
        else:
            return
        before, there = there, size(partial)
        failures = 0 if there > before else failures + 1  # a slow line is not a dead one
    raise Rejected(Reason.DOWNLOAD_FAILED, f"{address.hostname} did not give it in {TRIES} tries: {fault}")


def _once(source: Source, address: SplitResult, partial: Path, stop: threading.Event) -> None:
    """One request for what is missing."""
    offset = size(partial)
    if offset > source.size:
        partial.unlink()
        offset = 0
    if offset == source.size and partial.exists():
        return
    with contextlib.closing(_connection(address)) as connection, _asked(connection, address, offset) as response:
        if response.status == 416:  # it has changed, and is shorter than what is here
            partial.unlink(missing_ok=True)
            raise _LostError("the range is not there")
        if response.status == 429 or response.status >= 500:
            raise _LostError(f"status {response.status}")
        if response.status not in {200, 206}:
            raise Refused(response.status, str(address.hostname))
        begins, total = _extent(response, offset)
        if total is not None and total != source.size:
            reason = Reason.ENDLESS_DATA if total > source.size else Reason.TRUNCATED
            raise Rejected(reason, f"it has {total:,} bytes, not the {source.size:,} that the manifest names")
        with partial.open("ab" if begins else "wb") as file:
            for block in _blocks(response, source.size - begins + 1):
                file.write(block)
                if stop.is_set():
                    break
    there = size(partial)
    if there > source.size:
        raise Rejected(Reason.ENDLESS_DATA, f"more than the {source.size:,} bytes came that the manifest names")
    if there < source.size:
        raise _LostError(f"it ended after {there:,} of {source.size:,} bytes")


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    host = str(address.hostname)
    if address.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, address.port, timeout=_SILENCE_SECONDS, context=context)
    return http.client.HTTPConnection(host, address.port, timeout=_SILENCE_SECONDS)


def _asked(connection: http.client.HTTPConnection, address: SplitResult, offset: int) -> http.client.HTTPResponse:
    """The answer's head. Redirections are not followed: S3 has none for a presigned URL."""
    path = f"{address.path or '/'}?{address.query}" if address.query else address.path or "/"
    try:
        connection.request("GET", path, headers={"Range": f"bytes={offset}-"} if offset else {})
        return connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _LostError(_words(error)) from error


def _extent(response: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
    """Where the answer's bytes begin, and how many the whole has, where the server says so."""
    if response.status == 200:
        return 0, response.length
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != offset:
        raise _LostError("another range came than was asked for")
    return offset, int(found[2])


def _blocks(response: http.client.HTTPResponse, most: int) -> Iterator[bytes]:
    """The body, `most` bytes of it at most; it ends early where the connection does."""
    while most > 0:
        try:
            block = response.read1(min(_BLOCK, most))
        except (OSError, http.client.HTTPException):
            return
        if not block:
            return
        most -= len(block)
        yield block


def _words(error: Exception) -> str:
    """An error without the URL that it may hold."""
    return str(error.strerror or error) if isinstance(error, OSError) else type(error).__name__


def partial(place: Path) -> Path:
    """Where what has come is, until all has."""
    return place.with_name(f"{place.name}.partial")


def size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
