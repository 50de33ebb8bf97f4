"""One thing that a device needs to connect, looked at: what was found, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from iotctl.errors import Denied, Error, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class State(StrEnum):
    """How a check ended.

    `unknown` could not be read, although it should have been; `skipped` is not about this device, or needs what an
    earlier check found to be missing.
    """

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """A check and its verdict.

    Attributes:
        check: its name, the same in every version.
        detail: what was found.
        fix: what to type or to do next; empty where nothing is to be mended.

    """

    check: str
    state: State
    detail: str
    fix: str = ""


def ok(check: str, detail: str) -> Check:
    """What is as it must be."""
    return Check(check, State.OK, detail)


def problem(check: str, detail: str, fix: str) -> Check:
    """What keeps a device away, and what mends it."""
    return Check(check, State.PROBLEM, detail, fix)


def unknown(check: str, detail: str, fix: str = "") -> Check:
    """What could not be read."""
    return Check(check, State.UNKNOWN, detail, fix)


def skipped(check: str, detail: str, fix: str = "") -> Check:
    """What was not looked at, and why."""
    return Check(check, State.SKIPPED, detail, fix)


def unread(check: str, error: Error) -> Check:
    """What a read that failed leaves unknown."""
    if isinstance(error, Unsupported):
        return skipped(check, f"not to be had here: {error.message}")
    if isinstance(error, Denied):
        return unknown(check, error.message, error.hint)
    return unknown(check, f"{error.message}{f' ({error.cause})' if error.cause else ''}", error.hint)


def guarded(check: str, look: Callable[[], Check | Iterable[Check]]) -> Iterator[Check]:
    """What a look finds; a read that fails leaves this one check unknown, and the others go on."""
    try:
        found = look()
        yield from [found] if isinstance(found, Check) else found
    except Error as error:
        yield unread(check, error)
