"""Start, end and maintenance windows; cron expressions with what each field may hold."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import schedule
from iotctl.semantics.schedule import ScheduleError
from tests import vectors

MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2032, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001  hypothesis wants them without a zone


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def starts(cron: str, moment: str, number: int) -> list[str]:
    """The next times of an expression."""
    found = islice(schedule.cron(cron).after(at(moment)), number)
    return [start.strftime("%a %Y-%m-%d %H:%M") for start in found]


@vectors.rows(
    ("cron", "expected"),
    [
        ("cron(0 2 ? * MON-FRI *)", ["Mon 2026-02-02 02:00", "Tue 2026-02-03 02:00"]),
        ("0 2 ? * * *", ["Sun 2026-02-01 02:00", "Mon 2026-02-02 02:00"]),
        ("0/30 10-11 * * ? *", ["Sun 2026-02-01 10:00", "Sun 2026-02-01 10:30"]),
        ("15 10,22 1 MAR,JUN ? *", ["Sun 2026-03-01 10:15", "Sun 2026-03-01 22:15"]),
        ("0 0 L * ? *", ["Sat 2026-02-28 00:00", "Tue 2026-03-31 00:00"]),
        ("0 0 ? * 6L *", ["Fri 2026-02-27 00:00", "Fri 2026-03-27 00:00"]),
        ("0 0 ? * L *", ["Sat 2026-02-07 00:00", "Sat 2026-02-14 00:00"]),
        ("0 0 ? * FRI#3 *", ["Fri 2026-02-20 00:00", "Fri 2026-03-20 00:00"]),
        ("0 0 15W * ? *", ["Mon 2026-02-16 00:00", "Mon 2026-03-16 00:00"]),
        ("0 0 1W 8 ? *", ["Mon 2026-08-03 00:00", "Mon 2027-08-02 00:00"]),
        ("0 0 31W 1,10 ? *", ["Fri 2026-10-30 00:00", "Fri 2027-01-29 00:00"]),
        ("0 0 29 2 ? *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("0 0 1 1 ? 2027-2028", ["Fri 2027-01-01 00:00", "Sat 2028-01-01 00:00"]),
    ],
)
def test_cron_expressions(cron: str, expected: list[str]) -> None:
    """What each expression names after the first of February 2026, a Sunday."""
    assert expected == starts(cron, "2026-02-01T00:00", 2)


@vectors.rows(
    "cron",
    [
        *("", "0 2 * * *", "60 2 ? * * *", "0 24 ? * * *", "0 0 32 * ? *", "0 0 ? 13 ? *", "0 0 ? * 8 *"),
        *("x 0 ? * * *", "0/0 0 ? * * *", "0 0 ? * 2#6 *", "0 0 32W * ? *", "0 0 ? * MON,#2 *", "5-1 0 ? * * *"),
        "0 0 ? * * 1900",
    ],
)
def test_bad_expressions(cron: str) -> None:
    """Whatever is out of bounds or no expression at all is refused."""
    with pytest.raises(ScheduleError, match="cron expression"):
        schedule.cron(cron)


@given(st.sets(st.integers(0, 59), min_size=1), st.sets(st.integers(0, 23), min_size=1), MOMENTS)
def test_times_come_in_order_and_match(minutes: set[int], hours: set[int], moment: datetime) -> None:
    """The next times of a daily expression are after the moment, in order, and none is left out."""
    text = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * ? *"
    found = list(islice(schedule.cron(text).after(moment), 5))
    minute = timedelta(minutes=1)
    wanted, cursor = [], moment.replace(second=0, microsecond=0)
    while len(wanted) < 5:
        if cursor >= moment and cursor.minute in minutes and cursor.hour in hours:
            wanted.append(cursor)
        cursor += minute
    assert wanted == found


@given(st.integers(1, 12), st.integers(2025, 2035))
def test_the_last_day_is_the_calendar_s(month: int, year: int) -> None:
    """`L` is the last day of any month."""
    first = next(schedule.cron("0 0 L * ? *").after(datetime(year, month, 1, tzinfo=UTC)))
    assert calendar.monthrange(year, month)[1] == first.day


def nightly(**more: Any) -> schedule.Schedule:
    """Two hours from 22:00 every day."""
    return schedule.schedule({"maintenanceWindows": [{"startTime": "0 22 * * ? *", "durationInMinutes": 120}], **more})


@vectors.rows(
    ("moment", "is_open", "change"),
    [
        ("2026-02-01T21:59", False, "2026-02-01T22:00"),
        ("2026-02-01T22:00", True, "2026-02-02T00:00"),
        ("2026-02-01T23:59", True, "2026-02-02T00:00"),
        ("2026-02-02T00:00", False, "2026-02-02T22:00"),
    ],
)
def test_a_window_opens_and_closes(moment: str, is_open: bool, change: str) -> None:
    """From its start, for its duration, also over midnight."""
    assert (is_open, at(change)) == (nightly().is_open(at(moment)), nightly().next_change(at(moment)))


def test_windows_between_start_and_end() -> None:
    """No window counts before the start or after the end; the next seven are shown."""
    times = nightly(startTime="2026-02-03T00:00", endTime="2026-02-05T23:00:00+00:00")
    assert not times.is_open(at("2026-02-02T22:30"))
    assert at("2026-02-03T00:00") == times.next_change(at("2026-02-01T00:00"))
    assert at("2026-02-05T23:00") == times.next_change(at("2026-02-05T22:30"))
    assert times.next_change(at("2026-02-05T23:00")) is None
    assert [3, 4, 5] == [start.day for start in times.upcoming(at("2026-02-01T00:00"))]
    assert 7 == len(nightly().upcoming(at("2026-02-01T00:00")))


@given(MOMENTS)
def test_it_is_open_until_the_next_change(moment: datetime) -> None:
    """Between a moment and the next change nothing opens or closes."""
    change = nightly().next_change(moment)
    assert change is not None
    middle = moment + (change - moment) / 2
    assert nightly().is_open(moment) == nightly().is_open(middle)
    assert nightly().is_open(moment) != nightly().is_open(change)


@vectors.rows(
    ("start", "end", "fine"),
    [
        ("12:30", None, True),
        ("12:29", None, False),
        (None, "12:30", True),
        (None, "12:29", False),
        ("13:00", "13:30", True),
        ("13:00", "13:29", False),
    ],
)
def test_half_an_hour_ahead(start: str | None, end: str | None, fine: bool) -> None:
    """The start is 30 minutes ahead at least, and the end as much after it."""
    given_ = {name: f"2026-02-01T{time}" for name, time in (("startTime", start), ("endTime", end)) if time}
    assert fine == allowed(given_)


@vectors.rows(
    ("configuration", "fine"),
    [
        ({"startTime": "2027-02-01T12:00"}, True),
        ({"startTime": "2027-02-01T12:01"}, False),
        ({"endTime": "2028-02-01T12:00"}, True),
        ({"endTime": "2028-02-01T12:01"}, False),
    ],
)
def test_not_too_far_ahead(configuration: dict[str, Any], fine: bool) -> None:
    """The start is within a year, the end within two."""
    assert fine == allowed(configuration)


def allowed(configuration: dict[str, Any]) -> bool:
    """Whether a schedule may be that of a new job at noon of the first of February 2026."""
    try:
        schedule.check(schedule.schedule(configuration), at("2026-02-01T12:00"))
    except ScheduleError:
        return False
    return True


@vectors.rows(
    "configuration",
    [
        {"startTime": "tomorrow"},
        {"startTime": "0001-01-01T00:00+14:00"},
        {"maintenanceWindows": [{"startTime": "0 22 * * ? *", "durationInMinutes": 1431}]},
        {"maintenanceWindows": [{"startTime": "0 22 * * ? *", "durationInMinutes": 0}]},
    ],
)
def test_bad_schedules(configuration: dict[str, Any]) -> None:
    """A time that is none, and a window that is too long."""
    with pytest.raises(ScheduleError):
        schedule.schedule(configuration)
