"""How fast a job goes, and when it may be done. Pure: what was counted, and when."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from iotctl.ota.executions import Job

WINDOW: Final = 60.0
"""Seconds that a rate is taken over: AWS rolls out minute by minute."""
_SPACING: Final = 1.0
_MOST_MINUTES: Final = 10_080  # a week: nobody waits for what takes longer


class Speed:
    """What one job has done lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def feed(self, now: float, job: Job) -> None:
        """Take what is counted at a moment.

        Args:
            now: in seconds, of a clock that only grows.
            job: as it is then.

        """
        done = _done(job)
        if len(self._samples) > 1 and now - self._samples[-2][0] < _SPACING:
            self._samples.pop()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    @property
    def per_minute(self) -> float:
        """Things that ended in a minute, over the last one; a retry that is queued takes one back."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) * 60 / (last - first)) if last > first else 0.0

    def seconds_left(self, job: Job) -> float | None:
        """How long it takes on, at this rate and at the rate of the rollout; None: nobody can know."""
        left = job.counts.in_progress + job.coming
        if job.is_over or not left:
            return 0.0
        if not job.total_is_known or not self.per_minute:
            return None
        notified = job.counts.held if job.rolling else job.total
        rolling = _minutes(job, notified) * 60.0
        return max(rolling, left * 60 / self.per_minute)


def _done(job: Job) -> int:
    return job.counts.succeeded + job.counts.failures + job.counts.canceled


def _minutes(job: Job, notified: int) -> int:
    """The minutes until the last thing is notified, if what was notified before goes well."""
    minutes = 0
    while notified < job.total and minutes < _MOST_MINUTES:
        notified += job.rate.per_minute(notified, notified)
        minutes += 1
    return minutes
