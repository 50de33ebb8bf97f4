"""The requests of a rollout's jobs: rates that grow with success, brakes that are on unless taken off. Pure.

Where the operator says nothing: a few things at first, more as things succeed; canceled when one in ten fails; a thing
that does not end within an hour has failed. Sources: developer guide, jobs-configurations-details and create-manage-
jobs ("Presigned URLs"); API reference, CreateJob.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Usage
from iotctl.ota.standing import percent
from iotctl.semantics.rollout import MOST_PER_MINUTE
from iotctl.semantics.schedule import ScheduleError, cron

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from iotctl.upload import Place

MOST_TARGETS: Final = 100
"""Things and groups that a job can be made for."""
LARGEST_DOCUMENT: Final = 32_768
"""Bytes of a job document."""
MOST_PLACEHOLDERS: Final = 10
URL_SECONDS: Final = (60, 3600)
"""How long a presigned URL may be good for."""

_LEAST_DECIDING: Final = 5
_SHARE_DECIDING: Final = Decimal("0.01")
_SHARE_INCREASING: Final = Decimal("0.05")
_PLACEHOLDER: Final = re.compile(r"\$\{aws:iot:s3-presigned-url(?:-v2)?:[^}]*\}")


@dataclass(frozen=True, slots=True)
class Brakes:
    """What holds a rollout back.

    Attributes:
        rate: things a minute at first.
        most: things a minute that are never exceeded; not more than `rate`: it stays as it is.
        factor: what the rate is multiplied by at each increase.
        increase_after: things that must succeed for each increase; 0: a twentieth of all, or `rate` if that is more.
        abort_at: percent of the things that have ended which must fail for the job to be canceled; None: never.
        abort_after: things that must have ended before that is decided; 0: a hundredth of all, or five.
        minutes: how long a thing may take once it has begun; 0: for ever.
        retries: how often a thing that failed, or took too long, tries again.

    """

    rate: int = 50
    most: int = MOST_PER_MINUTE
    factor: Decimal = Decimal(2)
    increase_after: int = 0
    abort_at: Decimal | None = Decimal(10)
    abort_after: int = 0
    minutes: int = 60
    retries: int = 0

    def rollout(self, things: int) -> dict[str, Any]:
        """The jobExecutionsRolloutConfig for so many things."""
        if self.most <= self.rate:
            return {"maximumPerMinute": self.rate}
        increase = self.increase_after or max(self.rate, math.ceil(things * _SHARE_INCREASING))
        return {
            "maximumPerMinute": self.most,
            "exponentialRate": {
                "baseRatePerMinute": self.rate,
                "incrementFactor": float(self.factor),
                "rateIncreaseCriteria": {"numberOfSucceededThings": increase},
            },
        }

    def abort(self, things: int) -> dict[str, Any] | None:
        """The abortConfig for so many things: every kind of failure counts; None: it has none."""
        if self.abort_at is None:
            return None
        # More than there are would never be reached.
        after = min(max(_LEAST_DECIDING, math.ceil(things * _SHARE_DECIDING)), things)
        criterion = {
            "failureType": "ALL",
            "action": "CANCEL",
            "thresholdPercentage": float(self.abort_at),
            "minNumberOfExecutedThings": self.abort_after or after,
        }
        return {"criteriaList": [criterion]}

    def timeout(self) -> dict[str, Any] | None:
        """The timeoutConfig; None: it has none."""
        return {"inProgressTimeoutInMinutes": self.minutes} if self.minutes else None

    def retry(self) -> dict[str, Any] | None:
        """The jobExecutionsRetryConfig; None: it has none."""
        if not self.retries:
            return None
        kind = "ALL" if self.minutes else "FAILED"
        return {"criteriaList": [{"failureType": kind, "numberOfRetries": self.retries}]}


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


def request(
    targets: Sequence[str],
    things: int,
    brakes: Brakes,
    *,
    scheduling: Mapping[str, Any] | None = None,
    role: str = "",
    url_seconds: int = URL_SECONDS[1],
    description: str = "",
    continuous: bool = False,
    template: str = "",
    parameters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """CreateJob's parameters but for the id, the document and the tags; only those that are set.

    Args:
        targets: ARNs of things and thing groups.
        things: how many things they are.
        brakes: what holds it back.
        scheduling: of `Times`.
        role: that AWS IoT presigns URLs with; empty: the document has none.
        url_seconds: how long those are good for, each time a device asks.
        description: for people.
        continuous: whether things that join the groups later get it too.
        template: the ARN of a job template that brings the document.
        parameters: of a template that AWS manages.

    """
    presigned = {"roleArn": role, "expiresInSec": url_seconds} if role else None
    wanted: dict[str, Any] = {
        "targets": list(targets),
        "targetSelection": "CONTINUOUS" if continuous else "SNAPSHOT",
        "description": description or None,
        "presignedUrlConfig": presigned,
        "jobExecutionsRolloutConfig": brakes.rollout(things),
        "abortConfig": brakes.abort(things),
        "timeoutConfig": brakes.timeout(),
        "jobExecutionsRetryConfig": brakes.retry(),
        "schedulingConfig": scheduling,
        "jobTemplateArn": template or None,
        "documentParameters": dict(parameters) if parameters else None,
    }
    return {key: value for key, value in wanted.items() if value is not None}


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
