"""When scheduled audits run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from iotctl.semantics.frequency import FrequencyError, check, following
from tests import vectors


@vectors.rows(
    ("after", "frequency", "week", "month", "expected"),
    [
        ("2026-01-31T00:00", "DAILY", None, None, "2026-02-01"),
        ("2026-06-01T12:00", "WEEKLY", "MON", None, "2026-06-08"),  # a Monday: the next one
        ("2026-06-01T12:00", "WEEKLY", "TUE", None, "2026-06-02"),
        ("2026-06-01T12:00", "BIWEEKLY", "SUN", None, "2026-06-07"),
        ("2026-06-01T12:00", "MONTHLY", None, "1", "2026-07-01"),
        ("2026-06-01T12:00", "MONTHLY", None, "2", "2026-06-02"),
        ("2026-02-10T00:00", "MONTHLY", None, "31", "2026-02-28"),
        ("2028-02-10T00:00", "MONTHLY", None, "LAST", "2028-02-29"),
        ("2026-12-31T23:59", "MONTHLY", None, "31", "2027-01-31"),
        ("2026-12-15T00:00", "MONTHLY", None, "3", "2027-01-03"),
    ],
)
def test_the_first_run(after: str, frequency: str, week: str | None, month: str | None, expected: str) -> None:
    """The next such midnight, later than now; a day that a month lacks is its last one."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert datetime.fromisoformat(expected).replace(tzinfo=UTC) == following(moment, frequency, week, month)


def test_the_runs_after_it() -> None:
    """Each is one period after the one before; a biweekly one leaves a week out."""
    monday = datetime(2026, 6, 1, tzinfo=UTC)
    assert datetime(2026, 6, 15, tzinfo=UTC) == following(monday, "BIWEEKLY", "MON", first=False)
    assert datetime(2026, 6, 8, tzinfo=UTC) == following(monday, "WEEKLY", "MON", first=False)
    assert datetime(2026, 7, 1, tzinfo=UTC) == following(monday, "MONTHLY", None, "1", first=False)


@vectors.rows(
    ("frequency", "week", "month", "says"),
    [
        ("WEEKLY", None, None, "dayOfWeek is required"),
        ("BIWEEKLY", None, "1", "dayOfMonth cannot"),
        ("MONTHLY", None, None, "dayOfMonth is required"),
        ("MONTHLY", "MON", "1", "dayOfWeek cannot"),
        ("DAILY", "MON", None, "dayOfWeek cannot"),
    ],
)
def test_a_day_that_does_not_fit(frequency: str, week: str | None, month: str | None, says: str) -> None:
    """Each frequency takes its own day, and needs it."""
    with pytest.raises(FrequencyError, match=says):
        check(frequency, week, month)
