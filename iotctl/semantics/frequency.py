"""When a scheduled audit of Device Defender runs: DAILY, WEEKLY, BIWEEKLY or MONTHLY.

The hour is the service's choice (developer guide, AuditCommands: "The actual start time of each audit is determined by
the system"); here it is midnight, UTC.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Final

DAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
LAST: Final = "LAST"
_WEEKLY: Final = {"WEEKLY": 7, "BIWEEKLY": 14}


class FrequencyError(Exception):
    """A frequency lacks its day, or has one that it does not take."""


def check(frequency: str, day_of_week: str | None, day_of_month: str | None) -> None:
    """Check that the day that a frequency needs is there, and no other.

    Raises:
        FrequencyError: it is not.

    """
    needs = {"MONTHLY": "dayOfMonth"}.get(frequency, "dayOfWeek" if frequency in _WEEKLY else "")
    for name, value in (("dayOfMonth", day_of_month), ("dayOfWeek", day_of_week)):
        if name == needs and value is None:
            raise FrequencyError(f"{name} is required when frequency is {frequency}")
        if name != needs and value is not None:
            raise FrequencyError(f"{name} cannot be specified when frequency is {frequency}")


def following(
    after: datetime,
    frequency: str,
    day_of_week: str | None = None,
    day_of_month: str | None = None,
    *,
    first: bool = True,
) -> datetime:
    """The next midnight, later than a moment, at which an audit runs.

    Args:
        after: the moment; for all but the first run that of the run before.
        frequency: DAILY, WEEKLY, BIWEEKLY, MONTHLY.
        day_of_week: MON … SUN, of the weekly ones.
        day_of_month: 1 … 31, or LAST; in a month that has no such day it is the last one.
        first: whether none ran before: the first run of a biweekly audit is on the next such day.

    """
    midnight = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if frequency == "DAILY":
        return midnight
    if frequency in _WEEKLY:
        found = midnight + timedelta(days=(DAYS.index(day_of_week or "") - midnight.weekday()) % 7)
        return found + timedelta(days=0 if first else _WEEKLY[frequency] - 7)
    found = _in_month(midnight.year, midnight.month, day_of_month or LAST)
    if found < midnight:
        found = _in_month(midnight.year + midnight.month // 12, midnight.month % 12 + 1, day_of_month or LAST)
    return found


def _in_month(year: int, month: int, day: str) -> datetime:
    last = calendar.monthrange(year, month)[1]
    return datetime(year, month, last if day == LAST else min(int(day), last), tzinfo=UTC)
