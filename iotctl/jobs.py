"""What the jobs of all capabilities share: rates that grow with success, brakes that are on unless taken off. Pure.

Where the operator says nothing: a few things at first, more as things succeed; canceled when one in ten fails; a thing
that does not end within an hour has failed. Sources: developer guide, jobs-configurations-details and create-manage-
jobs ("Presigned URLs"); API reference, CreateJob.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.rollout import MOST_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_TARGETS: Final = 100
"""Things and groups that a job can be made for."""
URL_SECONDS: Final = (60, 3600)
"""How long a presigned URL may be good for."""

_LEAST_DECIDING: Final = 5
_SHARE_DECIDING: Final = Decimal("0.01")
_SHARE_INCREASING: Final = Decimal("0.05")


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
