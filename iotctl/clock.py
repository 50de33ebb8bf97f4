"""Now, monotonic, sleep: the one clock, so that tests and `local up --clock-speed N` can turn it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Course:
    """How this clock goes: at the real time `since` it showed `at`, and from there on it goes `speed` times as fast.

    Both are in seconds since 1970.
    """

    since: float = 0.0
    at: float = 0.0
    speed: float = 1.0

    def shown(self, real: float) -> float:
        """What this clock shows at a real time."""
        return self.at + (real - self.since) * self.speed


_course = Course()


def course() -> Course:
    """How this clock goes."""
    return _course


def turn(to: Course) -> None:
    """Let the time of this process be another's: what is measured by `monotonic` and slept stays real."""
    global _course  # noqa: PLW0603  there is one clock
    _course = to


def now() -> datetime:
    """The time, in UTC."""
    return datetime.fromtimestamp(epoch(), UTC)


def epoch() -> float:
    """The time in seconds since 1970, UTC."""
    return _course.shown(time.time())


def real_now() -> datetime:
    """The time of the world outside, in UTC: what TLS, certificates and signatures go by."""
    return datetime.now(UTC)


def real_seconds(seconds: float) -> float:
    """How long so many seconds of this clock take."""
    return seconds / _course.speed


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
    found = datetime.fromisoformat(written)
    if found.tzinfo is not UTC or iso(found) != written:
        raise ValueError(f"{written!r} is not a moment such as 2026-01-31T23:59:59Z")
    return found
