"""Failures by reason, and how fast a job goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.ota.executions import Counts, Job
from iotctl.ota.progress import Speed
from iotctl.ota.reasons import NOT_READ, Failed, Group, groups
from iotctl.semantics.rollout import Rollout

failures = st.lists(
    st.builds(
        Failed,
        st.sampled_from([f"t{number}" for number in range(30)]),
        st.just("j"),
        st.sampled_from(["FAILED", "REJECTED", "TIMED_OUT"]),
        st.none() | st.dictionaries(st.sampled_from(["reason", "detail", "step"]), st.text(max_size=5)),
    ),
    unique_by=lambda failed: failed.thing_name,
)


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("FAILED", {"reason": "DIGEST_MISMATCH", "detail": "3 bytes differ"}, ("DIGEST_MISMATCH", "3 bytes differ")),
        ("FAILED", {"errorCode": "ERR_DOWNLOAD_FAILED", "errorMessage": "404"}, ("ERR_DOWNLOAD_FAILED", "404")),
        ("FAILED", {}, ("no reason reported", "")),
        ("FAILED", None, (NOT_READ, "")),
        ("TIMED_OUT", {"step": "started"}, ("did not end in time, after started", "")),
        ("TIMED_OUT", {}, ("did not end in time", "")),
        ("FAILED", {"message": "boom"}, ("boom", "")),
        ("FAILED", {"reason": "\x1b[2Jx"}, ("\\x1b[2Jx", "")),
        # As AWS IoT Device Client v1.10 reports: our handler that exits 1, another that exits 7, one that is not there.
        (
            "FAILED",
            {"reason": "Job killed by signal: 1", "stderr": "note: x\nKEY_REVOKED: the key 61d4 has been revoked\n"},
            ("KEY_REVOKED", "the key 61d4 has been revoked"),
        ),
        ("FAILED", {"reason": "Job killed by signal: 7", "stderr": "oops\n"}, ("Job killed by signal: 7", "oops")),
        ("FAILED", {"reason": "Job killed by signal: 1"}, ("Job killed by signal: 1", "")),
        # As other agents do.
        ("FAILED", {"reason": "DISK", "stderr": "SPACE: none is left\n"}, ("DISK", "SPACE: none is left")),
        ("FAILED", {"reason": " \n", "error": "E7"}, ("E7", "")),
    ],
)
def test_why(status: str, details: dict[str, str] | None, expected: tuple[str, str]) -> None:
    """Ours, other agents', none at all; nothing that drives a terminal."""
    failed = Failed("t", "j", status, details)
    assert expected == (failed.reason, failed.detail)


def test_a_group_is_one_line() -> None:
    """How many, why, and the first of them."""
    found = groups([Failed(f"pump-{number}", "j", "FAILED", {"reason": "DISK"}) for number in range(5, 0, -1)])
    assert ["5 FAILED DISK (pump-1, pump-2, pump-3, …)"] == [str(group) for group in found]


def test_what_nobody_read_is_not_left_out() -> None:
    """Five failed, two are known: the others are told as what they are, once."""
    known = [Failed("a", "j", "FAILED", {"reason": "DISK"}), Failed("b", "j", "FAILED")]

    assert [Group("FAILED", NOT_READ, "", ("b",), 4), Group("FAILED", "DISK", "", ("a",), 1)] == groups(
        known, {"FAILED": 5, "REJECTED": 0}
    )


@given(failures, st.dictionaries(st.sampled_from(["FAILED", "REJECTED", "TIMED_OUT"]), st.integers(0, 60)))
def test_groups_lose_nobody(given_failures: list[Failed], more: dict[str, int]) -> None:
    """Every thing is in one group, every count is met, the largest comes first."""
    known = {status: sum(failed.status == status for failed in given_failures) for status in more}
    counted = {status: known[status] + number for status, number in more.items()}
    found = groups(given_failures, counted)

    assert sorted(failed.thing_name for failed in given_failures) == sorted(
        name for group in found for name in group.things
    )
    for status, number in counted.items():
        assert number == sum(group.number for group in found if group.status == status)
    assert sorted((group.number for group in found), reverse=True) == [group.number for group in found]


def running(done: int, total: int, *, rate: Rollout | None = None) -> Job:
    """A job of which so many have it; where a rate is given, the rest waits to be notified."""
    if rate:
        return Job("j", "IN_PROGRESS", Counts(succeeded=done), total, rolling=True, rate=rate)
    return Job("j", "IN_PROGRESS", Counts(succeeded=done, in_progress=total - done), total)


def test_the_rate_is_that_of_the_last_minute() -> None:
    """Ten a second for half an hour, then nothing: after a minute of nothing it is nothing."""
    speed, job = Speed(), running(0, 100_000)
    assert (0.0, None) == (speed.per_minute, speed.seconds_left(job))
    for second in range(1800):
        job = running(second * 10, 100_000)
        speed.feed(second, job)
    assert (600.0, (100_000 - 17_990) / 10) == (speed.per_minute, speed.seconds_left(job))
    for second in range(1800, 1862):
        speed.feed(second, job)
    assert (0.0, None) == (speed.per_minute, speed.seconds_left(job))


def test_a_rollout_is_not_done_before_its_last_thing_is_notified() -> None:
    """The configured rate bounds the estimate: 900 things at 100 a minute, however fast the first 100 were."""
    speed, rate = Speed(), Rollout(100, most=100)
    for second in range(3):
        speed.feed(second, running(second * 50, 1000, rate=rate))
    assert 9 * 60.0 == speed.seconds_left(running(100, 1000, rate=rate))


def test_nothing_is_left_of_a_job_that_is_over() -> None:
    """And of one whose things nobody has counted nothing is promised."""
    speed = Speed()
    for second in range(3):
        speed.feed(second, running(second, 10))
    assert 0.0 == speed.seconds_left(Job("j", "COMPLETED", Counts(succeeded=9, failed=1)))
    assert None is speed.seconds_left(Job("j", "IN_PROGRESS", Counts(succeeded=2, queued=1), rolling=True))
