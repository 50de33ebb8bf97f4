"""What a rollout's jobs have besides `iotctl.jobs`: when they run, presigned URLs, canaries. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Usage
from iotctl.jobs import MOST_TARGETS
from iotctl.ota.standing import percent
from iotctl.semantics.schedule import ScheduleError, cron

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from iotctl.upload import Place

LARGEST_DOCUMENT: Final = 32_768
"""Bytes of a job document."""
MOST_PLACEHOLDERS: Final = 10

_PLACEHOLDER: Final = re.compile(r"\$\{aws:iot:s3-presigned-url(?:-v2)?:[^}]*\}")


@dataclass(frozen=True, slots=True)
class Times:
    """When a rollout may go on.

    Attributes:
        start: when its first job starts; None: at once.
        end: when its fleet job ends; None: never.
        end_behavior: what becomes of those that have not ended then.
        windows: cron expression and minutes of each maintenance window.

    """

    start: datetime | None = None
    end: datetime | None = None
    end_behavior: str = "STOP_ROLLOUT"
    windows: tuple[tuple[str, int], ...] = ()

    def scheduling(self, *, first: bool, last: bool) -> dict[str, Any] | None:
        """The schedulingConfig of a job; None: it has none.

        Args:
            first: whether the rollout begins with it.
            last: whether it ends with it.

        """
        found: dict[str, Any] = {}
        if self.start and first:
            found["startTime"] = clock.iso(self.start)
        if self.end and last:
            found |= {"endTime": clock.iso(self.end), "endBehavior": self.end_behavior}
        if self.windows:
            found["maintenanceWindows"] = [
                {"startTime": f"cron({starts})", "durationInMinutes": minutes} for starts, minutes in self.windows
            ]
        return found or None


def placeholder(place: Place) -> str:
    """What AWS IoT replaces by a presigned URL, each time a device asks for the document."""
    return f"${{aws:iot:s3-presigned-url-v2:{place.url}}}"


def placeholders(document: str) -> int:
    """How many presigned URLs a document asks for."""
    return len(_PLACEHOLDER.findall(document))


def spread(things: Sequence[str], number: int) -> list[str]:
    """So many things out of all, spread over them: sorted names put neighbours (a site, a batch) side by side.

    Always the same ones for the same things; the first is among them.
    """
    number = min(number, len(things))
    return [things[position * len(things) // number] for position in range(number)]


def canary_size(written: str, things: int) -> int:
    """How many things of all a canary has: `20`, or `2%` (rounded up).

    Raises:
        Usage: it is neither, more than a job can be made for by name, or not fewer than all.

    """
    if written.endswith("%"):
        number = math.ceil(things * percent(written, "--canary") / 100)
    elif re.fullmatch(r"[0-9]{1,6}", written):
        number = int(written)
    else:
        raise Usage(f"--canary {written!r} is not a number or a share of things", hint="for example --canary 20, or 2%")
    if number < 1:
        raise Usage("a canary has one thing at least", hint="leave --canary away to begin with all")
    if number > MOST_TARGETS:
        share = f" ({written} of {things:,})" if written.endswith("%") else ""
        raise Usage(
            f"a canary of {number:,} things{share} is more than a job can be made for by name: {MOST_TARGETS}",
            hint=f"--canary {MOST_TARGETS}",
        )
    if number >= things:
        raise Usage(
            f"a canary of {number:,} is all of the {text.count(things, 'thing')}",
            hint="leave --canary away, or name fewer",
        )
    return number


def window(written: str) -> tuple[str, int]:
    """A maintenance window as people type it, `0 2 ? * SUN * for 4h`: cron expression (UTC) and minutes.

    Raises:
        Usage: it is none, or longer than AWS allows (1,430 minutes).

    """
    starts, word, duration = written.rpartition(" for ")
    if not word:
        raise Usage(f"--window {written!r} has no duration", hint="for example --window '0 2 ? * SUN * for 4h' (UTC)")
    starts = starts.strip().removeprefix("cron(").removesuffix(")")
    try:
        cron(starts)
    except ScheduleError as error:
        raise Usage(f"--window: {error}", hint="for example --window '0 2 ? * SUN * for 4h' (UTC)") from error
    minutes = text.seconds(duration) / 60
    if minutes != int(minutes) or not 1 <= minutes <= 1430:
        raise Usage(f"--window {written!r}: a window has 1 to 1,430 whole minutes")
    return starts, int(minutes)
