"""When a job may be rolled out: start and end, and maintenance windows that recur by a cron expression.

A cron expression has six fields, in UTC: minutes, hours, day of month, month, day of week, year; alone or as
`cron(0 2 ? * MON-FRI *)`. `*` and `?` are any value; lists, ranges and steps; names of months and days; `L` is the last
day of the month, `6L` its last Friday, `6#3` its third, `15W` the weekday nearest to the 15th; Sunday is 1. Sources:
AWS IoT API reference, SchedulingConfig and MaintenanceWindow; developer guide, iot-jobs-lifecycle; the fields as
Amazon EventBridge's "Cron expressions" page defines them for all of AWS.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOONEST: Final = timedelta(minutes=30)
"""From now to the start, and from the start to the end, at least."""
LATEST_START: Final = timedelta(days=365)
LATEST_END: Final = timedelta(days=730)
SHOWN_WINDOWS: Final = 7
"""The next maintenance windows that DescribeJob shows."""

_MONTHS: Final = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_LONGEST_WINDOW: Final = timedelta(minutes=1430)
_SEARCHED: Final = timedelta(days=366 * 9)  # February 29th can be eight years away


class ScheduleError(ValueError):
    """A schedule that AWS IoT does not take; the text says why."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression: `of_month` and `of_week` are kept as they were written, for they depend on the month."""

    minutes: frozenset[int]
    hours: frozenset[int]
    of_month: str
    months: frozenset[int]
    of_week: str
    years: frozenset[int]

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times that it names, from a moment (UTC, itself included) on, as far as nine years ahead."""
        day = moment.date()
        while day <= (moment + _SEARCHED).date():
            if self._names(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = datetime.combine(day, time(hour, minute), UTC)
                        if found >= moment:
                            yield found
            day += timedelta(days=1)

    def _names(self, day: date) -> bool:
        if day.month not in self.months or day.year not in self.years:
            return False
        return day.day in _days_of_month(self.of_month, day) and _is_day_of_week(self.of_week, day)


@dataclass(frozen=True, slots=True)
class Window:
    """A recurring maintenance window."""

    starts: Cron
    duration: timedelta

    def open_at(self, moment: datetime) -> datetime | None:
        """When the window that is open at a moment closes; None: none is open."""
        opened = None
        for start in self.starts.after(moment - self.duration + timedelta(microseconds=1)):
            if start > moment:
                break
            opened = start
        return opened + self.duration if opened else None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job may be rolled out; times are in UTC."""

    start: datetime | None = None
    end: datetime | None = None
    end_behavior: str = "STOP_ROLLOUT"
    windows: tuple[Window, ...] = ()

    def is_open(self, moment: datetime) -> bool:
        """Whether things may be notified at a moment."""
        if (self.start and moment < self.start) or (self.end and moment >= self.end):
            return False
        return not self.windows or any(window.open_at(moment) for window in self.windows)

    def next_change(self, moment: datetime) -> datetime | None:
        """When `is_open` next has to be asked again; None: never."""
        if self.start and moment < self.start:
            return self.start
        changes = [self.end] if self.end and moment < self.end else []
        if not self.end or moment < self.end:
            for window in self.windows:
                closing = window.open_at(moment)
                following = closing or next(window.starts.after(moment), None)
                if following:
                    changes.append(following)
        return min(changes, default=None)

    def upcoming(self, moment: datetime) -> list[datetime]:
        """The starts of the next maintenance windows, as many as DescribeJob shows."""
        begin = max(moment, self.start) if self.start else moment
        starts = {start for window in self.windows for start in islice(window.starts.after(begin), SHOWN_WINDOWS)}
        return [start for start in sorted(starts) if self.end is None or start < self.end][:SHOWN_WINDOWS]


def schedule(configuration: Mapping[str, Any] | None) -> Schedule:
    """The schedule of a `schedulingConfig`.

    Raises:
        ScheduleError: a time or a cron expression cannot be read, or a window is too long.

    """
    given = configuration or {}
    windows = []
    for window in given.get("maintenanceWindows", ()):
        duration = timedelta(minutes=window["durationInMinutes"])
        if not timedelta() < duration <= _LONGEST_WINDOW:
            raise ScheduleError("durationInMinutes must be between 1 and 1430")
        windows.append(Window(cron(window["startTime"]), duration))
    return Schedule(
        _moment(given.get("startTime")),
        _moment(given.get("endTime")),
        given.get("endBehavior", "STOP_ROLLOUT"),
        tuple(windows),
    )


def check(wanted: Schedule, now: datetime) -> None:
    """Check a new job's schedule against the time.

    Raises:
        ScheduleError: it starts or ends too soon or too late.

    """
    if wanted.start and not SOONEST <= wanted.start - now <= LATEST_START:
        raise ScheduleError("startTime must be at least 30 minutes and at most a year ahead")
    if wanted.end and wanted.end - (wanted.start or now) < SOONEST:
        raise ScheduleError("endTime must be at least 30 minutes after the start")
    if wanted.end and wanted.end - now > LATEST_END:
        raise ScheduleError("endTime must be at most two years ahead")


def cron(text: str) -> Cron:
    """Read a cron expression.

    Raises:
        ScheduleError: it is not one.

    """
    inner = text.strip()
    if inner.startswith("cron(") and inner.endswith(")"):
        inner = inner[5:-1]
    fields = inner.upper().split()
    if len(fields) != 6:
        raise ScheduleError(f"a cron expression has six fields, not {len(fields)}: {text!r}")
    minutes, hours, of_month, months, of_week, years = fields
    try:
        found = Cron(
            _values(minutes, 0, 59),
            _values(hours, 0, 23),
            of_month,
            _values(months, 1, 12, _MONTHS),
            of_week,
            _values(years, 1970, 2199),
        )
        for day in (date(2024, 1, 1), date(2024, 2, 1)):
            _days_of_month(of_month, day)
            _is_day_of_week(of_week, day)
    except ValueError as error:
        raise ScheduleError(f"{text!r} is not a cron expression: {error}") from error
    return found


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(f"{text!r} is not a date and time such as 2030-01-31T23:59Z") from error


def _values(field: str, least: int, most: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    """The numbers that a field names, within its bounds."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in {"*", "?"}:
            low, high = least, most
        else:
            low = _number(first, names)
            high = _number(last, names) if dash else (most if slash else low)
        if not least <= low <= high <= most or (slash and int(step) < 1):
            raise ValueError(f"{part} is not between {least} and {most}")
        found.update(range(low, high + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, names: Mapping[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def _days_of_month(field: str, day: date) -> frozenset[int]:
    """The days of the month of `day` that the field names."""
    last = calendar.monthrange(day.year, day.month)[1]
    if field == "L":
        return frozenset((last,))
    if field.endswith("W"):
        wanted = int(field[:-1])
        if not 1 <= wanted <= 31:
            raise ValueError(f"{field} is not a day of a month")
        return frozenset((_nearest_weekday(day.replace(day=wanted)),)) if wanted <= last else frozenset()
    return _values(field, 1, 31)


def _nearest_weekday(day: date) -> int:
    """The day of the month of the weekday next to a day, in the same month."""
    last = calendar.monthrange(day.year, day.month)[1]
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)
    if not 1 <= day.day + shift <= last:
        shift = 2 if shift < 0 else -2
    return day.day + shift


def _is_day_of_week(field: str, day: date) -> bool:
    number = day.isoweekday() % 7 + 1
    if "#" in field:
        name, _, nth = field.partition("#")
        (wanted,) = _values(name, 1, 7, _DAYS)
        if not 1 <= int(nth) <= 5:
            raise ValueError(f"no month has a {nth}th week")
        return number == wanted and (day.day - 1) // 7 + 1 == int(nth)
    if field == "L":
        return number == 7
    if field.endswith("L"):
        (wanted,) = _values(field[:-1], 1, 7, _DAYS)
        return number == wanted and day.day + 7 > calendar.monthrange(day.year, day.month)[1]
    return number in _values(field, 1, 7, _DAYS)
