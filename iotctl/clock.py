"""Now, monotonic, sleep: the one clock, so that tests and `local up --clock-speed N` can turn it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def epoch() -> float:
    """The time in seconds since 1970, UTC."""
    return time.time()


def monotonic() -> float:
    """Seconds that only ever grow; their zero means nothing."""
    return time.monotonic()


def busy() -> float:
    """Seconds that this thread has had of a processor; their zero means nothing."""
    return time.thread_time()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def iso(moment: datetime) -> str:
    """A moment as AWS and ISO 8601 write it, in UTC to the second: 2026-01-31T23:59:59Z."""
    return moment.astimezone(UTC).strftime(_ISO)


def moment(written: str) -> datetime:
    """The moment that `iso` wrote.

    Raises:
        ValueError: it is not written like that.

    """
    found = datetime.strptime(written, _ISO).replace(tzinfo=UTC)
    if iso(found) != written:
        raise ValueError(f"{written!r} is not a moment such as 2026-01-31T23:59:59Z")
    return found
