"""How a rollout looks on a terminal: it fits, whatever it has to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.ota import table
from iotctl.ota.executions import Counts, Job, Phase
from iotctl.ota.progress import Speed
from iotctl.ota.reasons import Failed, groups

ROWS = [
    table.row(Phase("canary", Job("r-canary", "COMPLETED", Counts(succeeded=20)))),
    table.row(
        Phase("fleet", Job("r-fleet", "IN_PROGRESS", Counts(succeeded=250, failed=2, queued=48), 500, rolling=True))
    ),
]


def test_what_a_terminal_shows() -> None:
    """A line for each phase, a bar over the last, and why things failed."""
    failures = groups([Failed("a", "r-fleet", "FAILED", {"reason": "DISK"})], {"FAILED": 2})
    seen = table.view("r   8s", ROWS, failures, 140, 20)

    assert "r   8s" == seen[0]
    assert ["PHASE", "STATUS", "THINGS", "SUCCEEDED", "RUNNING", "FAILED"] == seen[2].split()[:6]
    assert ["fleet", "IN_PROGRESS", "500", "250", "0", "2", "0", "0", "0", "248"] == seen[4].split()
    assert f"{'█' * 20}{'·' * 20}  50 %" == seen[5]
    assert ["  1 FAILED DISK (a)", "  1 FAILED reason not read"] == seen[7:]


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 30))
def test_it_fits(columns: int, lines: int, reasons: int) -> None:
    """No line is too wide; failures that do not fit are counted; a screen of ten lines is enough for the rest."""
    failed = [Failed(f"t{one}", "r-fleet", "FAILED", {"reason": f"R{one}"}) for one in range(reasons)]
    seen = table.view("r", ROWS, groups(failed), columns, lines)

    assert all(len(line) <= columns for line in seen)
    assert len(seen) <= max(lines, 8)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0, "0s"), (59.6, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (90_061, "25h01m")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    """In two units."""
    assert shown == table.duration(seconds)


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(1, 80))
def test_a_bar_is_full_only_when_all_have_it(done: int, things: int, width: int) -> None:
    """Never rounded up."""
    drawn = table.bar({"succeeded": min(done, things), "things": things}, width)
    assert (done >= things) == drawn.startswith("█" * width)
    assert (done >= things) == drawn.endswith("100 %")


def test_a_pace_is_told_once_it_is_known() -> None:
    """Not at the first look."""
    job = Job("j", "IN_PROGRESS", Counts(succeeded=10, in_progress=10))
    speed = Speed()
    assert {"perMinute": None, "secondsLeft": None} == table.pace(job, None)
    speed.feed(0, Job("j", "IN_PROGRESS", Counts(in_progress=20)))
    speed.feed(60, job)
    assert {"perMinute": 10, "secondsLeft": 60} == table.pace(job, speed)
