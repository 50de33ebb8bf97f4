"""Why things failed, grouped: one line for a thousand that failed alike. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOT_READ: Final = "reason not read"
NOT_REPORTED: Final = "no reason reported"

# What agents call it: ours and AWS's embedded OTA agent `reason`; the others as their own documents have them.
_REASONS: Final = ("reason", "errorCode", "error", "failureReason", "message")
_DETAILS: Final = ("detail", "errorMessage", "message", "stderr")
# What AWS IoT Device Client says of a job whose handler ended, whatever it ended of: an exit code of 1 is "killed by
# signal: 1" to it (source/jobs/JobEngine.cpp, getReason). Why is on the handler's stderr, as `CODE: words` from ours.
_DEVICE_CLIENTS: Final = re.compile(
    r"Job (?:exited with status|killed by signal|stopped by signal|returned with status): \d+"
)
_SAID: Final = re.compile(r"^([A-Z][A-Z0-9_]*[A-Z0-9]): *(.*)$", re.MULTILINE)
_LONGEST: Final = 120
_SHOWN_THINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Failed:
    """A thing that got a job and did not make it.

    Attributes:
        thing_name: which.
        job_id: of the job.
        status: FAILED, REJECTED or TIMED_OUT.
        details: the statusDetails that it reported; None: they were not read.

    """

    thing_name: str
    job_id: str
    status: str
    details: Mapping[str, str] | None = None

    @property
    def reason(self) -> str:
        """Why, in a word; things that failed alike have the same."""
        if self.details is None:
            return NOT_READ
        found = self._said[0] or _first(self.details, _REASONS)
        if not found and self.status == "TIMED_OUT":
            step = self.details.get("step")
            return f"did not end in time, after {_line(step)}" if step else "did not end in time"
        return found or NOT_REPORTED

    @property
    def detail(self) -> str:
        """More of it, in the thing's own words; maybe nothing."""
        found = self._said[1] or _first(self.details or {}, _DETAILS)
        return "" if found == self.reason else found

    @property
    def _said(self) -> tuple[str, str]:
        """The last `CODE: words` on the stderr of a handler of AWS IoT Device Client; else two empty texts."""
        details = self.details or {}
        if not _DEVICE_CLIENTS.fullmatch(str(details.get("reason", ""))):
            return "", ""
        lines = _SAID.findall(str(details.get("stderr", "")))
        return (_line(lines[-1][0]), _line(lines[-1][1])) if lines else ("", "")

    def to_json(self) -> dict[str, Any]:
        """The failure as the envelope holds it, with AWS's own keys."""
        value = {"thingName": self.thing_name, "jobId": self.job_id, "status": self.status, "reason": self.reason}
        return value | ({"statusDetails": dict(self.details)} if self.details else {})


@dataclass(frozen=True, slots=True)
class Group:
    """Things that failed alike.

    Attributes:
        status: of their executions.
        reason: that they share.
        detail: in the words of the first of them.
        things: their names, sorted; those whose reason was not read are counted only.
        number: how many there are.

    """

    status: str
    reason: str
    detail: str
    things: tuple[str, ...]
    number: int

    def to_json(self) -> dict[str, Any]:
        """The group as the envelope holds it."""
        return {
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "count": self.number,
            "things": list(self.things),
        }

    def __str__(self) -> str:
        """In one line: `12 FAILED DIGEST_MISMATCH: 3 bytes differ (pump-1, pump-2, pump-3, …)`."""
        shown = ", ".join(sanitize(name) for name in self.things[:_SHOWN_THINGS])
        more = ", …" if shown and self.number > _SHOWN_THINGS else ""
        said = f"{self.number:,} {self.status} {self.reason}" + (f": {self.detail}" if self.detail else "")
        return f"{said} ({shown}{more})" if shown else said


def groups(failures: Iterable[Failed], counted: Mapping[str, int] | None = None) -> list[Group]:
    """The failures by status and reason, the most frequent first.

    Args:
        failures: those that are known by name; each thing and job once.
        counted: how many there are of each status in all; what is known of fewer is a group of its own.

    """
    found: dict[tuple[str, str], list[Failed]] = {}
    for one in sorted(failures, key=lambda failure: (failure.thing_name, failure.job_id)):
        found.setdefault((one.status, one.reason), []).append(one)
    made = [
        Group(status, reason, alike[0].detail, tuple(one.thing_name for one in alike), len(alike))
        for (status, reason), alike in found.items()
    ]
    for status, number in (counted or {}).items():
        known = sum(group.number for group in made if group.status == status)
        if number > known:
            made = [*_without(made, status), _unread(made, status, number - known)]
    return sorted(made, key=lambda group: (-group.number, group.status, group.reason))


def _without(made: list[Group], status: str) -> list[Group]:
    return [group for group in made if (group.status, group.reason) != (status, NOT_READ)]


def _unread(made: list[Group], status: str, number: int) -> Group:
    """Those of a status whose reason nobody read: the known by name, and the counted."""
    known = next((group for group in made if (group.status, group.reason) == (status, NOT_READ)), None)
    things = known.things if known else ()
    return Group(status, NOT_READ, "", things, len(things) + number)


def _first(details: Mapping[str, str], keys: Iterable[str]) -> str:
    return next((line for key in keys if (line := _line(details.get(key, "")))), "")


def _line(value: object) -> str:
    cut = sanitize(str(value).strip())
    return cut if len(cut) <= _LONGEST else f"{cut[:_LONGEST]}…"
