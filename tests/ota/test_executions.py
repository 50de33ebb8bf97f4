"""What AWS counts becomes a standing and a verdict: tables for what the guide says, properties for the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Exit, Usage
from iotctl.ota.executions import JOB, Counts, Job, Phase
from iotctl.ota.standing import State, Terms, percent, standing, verdict
from iotctl.semantics.rollout import AbortCriterion, Rollout

NOW = 1_900_000_000.0
ACTIVE = ("SCHEDULED", "IN_PROGRESS")
STATUSES = (*ACTIVE, "COMPLETED", "CANCELED", "DELETION_IN_PROGRESS")
TEN_PERCENT = AbortCriterion(frozenset({"FAILED", "REJECTED", "TIMED_OUT"}), Decimal(10), 5)


def described(**more: Any) -> dict[str, Any]:
    """A job as DescribeJob has it."""
    return {
        "jobId": "j",
        "status": "IN_PROGRESS",
        "targets": ["arn:aws:iot:eu-west-1:1:thinggroup/g"],
        "jobProcessDetails": {},
        **more,
    }


def judged(job: Job, share: int = 100, **more: Any) -> tuple[State, str]:
    """The verdict on a job that is alone."""
    last = more.pop("last", False)
    found = verdict([Phase(JOB, job)], Terms(Decimal(share), **more), NOW, last=last)
    return found.state, found.reason


def test_a_job_is_read_as_aws_describes_it() -> None:
    """Counts, rate, criteria, times; a group's size is not known, so neither is the total while it is rolled out."""
    job = Job.of(
        described(
            createdAt=datetime(2026, 1, 1, tzinfo=UTC),
            targetSelection="CONTINUOUS",
            jobProcessDetails={"processingTargets": ["x"], "numberOfQueuedThings": 3, "numberOfTimedOutThings": 2},
            jobExecutionsRolloutConfig={"maximumPerMinute": 50},
            abortConfig={
                "criteriaList": [
                    {
                        "failureType": "ALL",
                        "action": "CANCEL",
                        "thresholdPercentage": 10.0,
                        "minNumberOfExecutedThings": 5,
                    }
                ]
            },
            schedulingConfig={"startTime": "2026-01-01 01:00"},
        )
    )

    assert (Counts(queued=3, timed_out=2), True, True) == (job.counts, job.rolling, job.continuous)
    assert (Rollout(50, most=50), (TEN_PERCENT,)) == (job.rate, job.abort)
    assert 3600.0 == job.starts - job.created
    assert (5, False) == (job.total, job.total_is_known)


def test_things_that_were_not_notified_yet_are_known_where_they_are_named() -> None:
    """Targets that are things are counted; without an execution they are waiting."""
    targets = [f"arn:aws:iot:eu-west-1:1:thing/t{number}" for number in range(7)]
    job = Job.of(
        described(targets=targets, jobProcessDetails={"processingTargets": targets, "numberOfQueuedThings": 2})
    )

    assert (7, 5, 7, True) == (job.total, job.waiting, job.coming, job.total_is_known)


def test_a_job_that_aws_took_and_we_cannot_read_is_shown_all_the_same() -> None:
    """A configuration of tomorrow hides no counts."""
    job = Job.of(
        described(
            jobExecutionsRolloutConfig={"exponentialRate": {"tomorrow": 1}},
            schedulingConfig={"startTime": "tomorrow"},
            jobProcessDetails={"numberOfSucceededThings": 1},
        )
    )

    assert (1, Rollout(), 0.0) == (job.counts.succeeded, job.rate, job.starts)


@pytest.mark.parametrize(
    ("status", "counts", "share", "expected"),
    [
        ("COMPLETED", Counts(succeeded=10), 100, State.PASSED),
        ("COMPLETED", Counts(succeeded=97, failed=3), 97, State.PASSED),
        ("COMPLETED", Counts(succeeded=96, failed=4), 97, State.FAILED),
        ("COMPLETED", Counts(succeeded=9, removed=1), 100, State.PASSED),
        ("COMPLETED", Counts(), 100, State.FAILED),
        ("CANCELED", Counts(succeeded=99, canceled=1), 100, State.FAILED),
        ("CANCELED", Counts(succeeded=98, canceled=2), 97, State.PASSED),
        ("IN_PROGRESS", Counts(succeeded=98, queued=2), 97, State.PASSED),
        ("IN_PROGRESS", Counts(succeeded=98, queued=2), 100, State.RUNNING),
        ("IN_PROGRESS", Counts(succeeded=98, in_progress=2), 97, State.RUNNING),
        ("IN_PROGRESS", Counts(succeeded=90, failed=4, in_progress=6), 97, State.RUNNING),
        ("IN_PROGRESS", Counts(succeeded=96, failed=4), 97, State.FAILED),
        ("SCHEDULED", Counts(), 100, State.RUNNING),
        ("DELETION_IN_PROGRESS", Counts(succeeded=5, in_progress=5), 100, State.FAILED),
    ],
)
def test_verdicts(status: str, counts: Counts, share: int, expected: State) -> None:
    """What ends how: by the job's own end, or once what is open can change nothing."""
    rolling = status in ACTIVE and not counts.held
    assert expected == judged(Job("j", status, counts, rolling=rolling), share)[0]


def test_the_exit_code_is_the_verdict() -> None:
    """0, 10 and 13."""
    states = [
        verdict([Phase(JOB, Job("j", status, counts))], Terms(), NOW).exit
        for status, counts in (
            ("COMPLETED", Counts(succeeded=1)),
            ("COMPLETED", Counts(failed=1)),
            ("IN_PROGRESS", Counts(in_progress=1)),
        )
    ]
    assert [Exit.OK, Exit.ROLLOUT_FAILED, Exit.TIMEOUT] == states


def test_never_reached_is_told_apart_from_failed() -> None:
    """In the words of the verdict, with the share that was asked for; never rounded up."""
    job = Job("j", "IN_PROGRESS", Counts(succeeded=99_999, queued=1))
    assert "99,999 of 100,000 things succeeded (99.99 %), 1 never reached" == judged(job)[1]
    ended = judged(replace(job, counts=Counts(succeeded=9, failed=1)), 97, deadline=NOW)
    assert (
        State.FAILED,
        "at the deadline 9 of 10 things succeeded (90 %), 1 failed; 97 % is asked for",
    ) == ended


def test_the_deadline_judges_what_is_there() -> None:
    """Before it some that are at it may still make it; from then on the share decides."""
    job = Job("j", "IN_PROGRESS", Counts(succeeded=97, in_progress=3))

    assert State.RUNNING == judged(job, 97, deadline=NOW + 1)[0]
    assert State.PASSED == judged(job, 97, deadline=NOW)[0]
    assert State.FAILED == judged(job, 98, deadline=NOW)[0]


def test_a_last_look_tells_what_is_certain() -> None:
    """A rollout that cannot pass any more has failed, though things are still at it; one that can is running."""
    job = Job("j", "IN_PROGRESS", Counts(succeeded=90, failed=4, in_progress=6))

    assert State.FAILED == judged(job, 97, last=True)[0]
    assert State.RUNNING == judged(job, 96, last=True)[0]


def test_a_group_that_is_still_rolled_out_is_not_judged_by_those_that_came_first() -> None:
    """Nobody knows how many follow."""
    job = Job("j", "IN_PROGRESS", Counts(failed=3), rolling=True)

    assert State.RUNNING == judged(job, last=True)[0]
    assert State.FAILED == judged(replace(job, things=4), last=True)[0]


def test_its_criteria_stop_a_job_and_that_is_a_failure() -> None:
    """Whatever share was asked for; a cancel by hand is judged by the share."""
    aborted = Job("j", "CANCELED", Counts(succeeded=80, failed=20), abort=(TEN_PERCENT,))

    assert (State.FAILED, True) == (judged(aborted, 50)[0], "abort criteria" in judged(aborted, 50)[1])
    assert State.PASSED == judged(replace(aborted, abort=()), 50)[0]
    by_hand = Job("j", "CANCELED", Counts(succeeded=1, canceled=9), comment="not today")
    assert "j was canceled (not today)" in judged(by_hand)[1]


def test_a_canary_that_is_done_is_not_a_rollout_that_is_done() -> None:
    """Its things are not the fleet: with another phase to come it runs on; with a failed canary it does not."""
    canary = Phase("canary", Job("r-canary", "COMPLETED", Counts(succeeded=20)))
    terms = Terms(more=True)

    assert State.RUNNING == verdict([canary], terms, NOW).state
    late = verdict([canary], replace(terms, deadline=NOW), NOW)
    assert State.RUNNING == late.state
    failed = Phase("canary", replace(canary.job, counts=Counts(succeeded=19, failed=1)))
    assert State.FAILED == verdict([failed], terms, NOW).state
    fleet = Phase("fleet", Job("r-fleet", "COMPLETED", Counts(succeeded=500)))
    assert (State.PASSED, 500) == (verdict([failed, fleet], Terms(), NOW).state, standing([failed, fleet]).things)


def test_a_rollout_that_was_stopped_before_its_fleet_has_failed() -> None:
    """However well its canary went; so has one whose canary was canceled by hand."""
    canary = Phase("canary", Job("r-canary", "COMPLETED", Counts(succeeded=20)))
    stopped = verdict([canary], Terms(more=True, stopped="2026-01-01T00:00:00Z"), NOW)
    canceled = Phase("canary", replace(canary.job, status="CANCELED"))

    assert (State.FAILED, True) == (stopped.state, "stopped before the fleet" in stopped.reason)
    assert State.FAILED == verdict([canceled], Terms(more=True), NOW).state


def test_a_retry_takes_its_things_from_the_failed() -> None:
    """A thing counts once, where its last job has it."""
    fleet = Phase("fleet", Job("r-fleet", "COMPLETED", Counts(succeeded=90, failed=6, timed_out=4)))
    again = Phase("retry", Job("r-retry", "IN_PROGRESS", Counts(succeeded=7, failed=1, in_progress=2), things=10))

    found = standing([fleet, again])
    assert (100, 97, 1, 2) == (found.things, found.succeeded, found.failed, found.running)
    assert State.RUNNING == verdict([fleet, again], Terms(Decimal(97)), NOW).state
    done = Phase("retry-2", Job("r-retry-2", "COMPLETED", Counts(succeeded=1)))
    settled = Phase("retry", replace(again.job, status="COMPLETED", counts=Counts(succeeded=9, failed=1)))
    assert State.PASSED == verdict([fleet, settled, done], Terms(), NOW).state


def test_a_retry_may_still_save_what_its_criteria_stopped() -> None:
    """Its share decides again, once what failed was tried again; not if that was stopped too, or some never got it."""
    fleet = Phase("fleet", Job("r-fleet", "CANCELED", Counts(succeeded=80, failed=20), abort=(TEN_PERCENT,)))
    again = Phase("retry", Job("r-retry", "IN_PROGRESS", Counts(in_progress=20), 20, abort=(TEN_PERCENT,)))
    saved = Phase("retry", replace(again.job, status="COMPLETED", counts=Counts(succeeded=20)))
    stopped = Phase("retry", replace(again.job, status="CANCELED", counts=Counts(succeeded=10, failed=10)))
    unmet = Phase("fleet", replace(fleet.job, counts=Counts(succeeded=80, failed=20, canceled=1)))
    half = Terms(Decimal(50))

    assert State.RUNNING == verdict([fleet, again], Terms(), NOW).state
    assert State.PASSED == verdict([fleet, saved], Terms(), NOW).state
    assert State.PASSED == verdict([fleet, stopped, saved], half, NOW).state
    assert State.FAILED == verdict([unmet, saved], Terms(), NOW).state
    found = verdict([fleet, stopped], half, NOW)
    assert (State.FAILED, True) == (found.state, "its abort criteria stopped r-retry" in found.reason)


@pytest.mark.parametrize("given_share", ["0", "-1%", "101%", "x", "", "nan", "1e9"])
def test_what_is_no_share_is_refused(given_share: str) -> None:
    """Nothing of everything, more than everything, no number."""
    with pytest.raises(Usage):
        percent(given_share)


def test_a_share_is_read_as_people_type_it() -> None:
    """With the sign or without."""
    assert [Decimal(97), Decimal("99.5"), Decimal(100)] == [percent(word) for word in ("97%", " 99.5 % ", "100")]


numbers = st.integers(0, 40)
counts = st.builds(Counts, *[numbers] * 8)
shares = st.decimals(min_value=1, max_value=100, places=1)
jobs = st.builds(
    Job,
    st.just("j"),
    st.sampled_from(STATUSES),
    counts,
    things=st.none() | st.integers(0, 400),
    rolling=st.booleans(),
    abort=st.sampled_from([(), (TEN_PERCENT,)]),
)


@given(jobs)
def test_every_thing_is_counted_once(job: Job) -> None:
    """The parts of a standing make up its things, whatever AWS counts; what still may come is of the unreached."""
    found = standing([Phase(JOB, job)])
    parts = found.succeeded + found.failed + found.running + found.unreached + found.canceled

    assert (found.things, True) == (parts, 0 <= found.coming <= found.unreached)


@given(jobs, shares, st.none() | st.just(NOW), st.booleans())
def test_a_verdict_never_flatters(job: Job, share: Decimal, deadline: float | None, last: bool) -> None:
    """Passed is only what has reached its share; what may still reach it is not failed before the deadline."""
    found = standing([Phase(JOB, job)])
    state = verdict([Phase(JOB, job)], Terms(share, deadline), NOW, last=last).state

    if state is State.PASSED:
        assert found.succeeded * 100 >= share * found.things > 0
    if state is State.FAILED and job.status in ACTIVE and deadline is None:
        assert not found.can_reach(share) or not found.things
    if state is State.RUNNING:
        assert deadline is None
        assert not job.is_over


@given(jobs, shares)
def test_a_success_more_is_never_worse(job: Job, share: Decimal) -> None:
    """Where one that failed had succeeded instead, what passed still passes."""
    order = [State.FAILED, State.RUNNING, State.PASSED]
    better = replace(job.counts, failed=max(0, job.counts.failed - 1), succeeded=job.counts.succeeded + 1)
    if job.counts.failed:
        before, after = (
            verdict([Phase(JOB, replace(job, counts=each))], Terms(share), NOW).state for each in (job.counts, better)
        )
        assert order.index(after) >= order.index(before)


@given(jobs, shares)
def test_a_thing_that_never_came_did_not_fail(job: Job, share: Decimal) -> None:
    """Where things that failed had not begun instead, an active rollout that ran or passed is not worse."""
    offline = replace(job.counts, queued=job.counts.queued + job.counts.failures, failed=0, rejected=0, timed_out=0)
    before = standing([Phase(JOB, job)])
    after = standing([Phase(JOB, replace(job, counts=offline))])

    assert (0, before.failed + before.unreached) == (after.failed, after.unreached)
    assert after.share == before.share


@given(counts)
def test_counts_are_those_of_the_service(found: Counts) -> None:
    """Read back from AWS's own names."""
    names = {
        "numberOfQueuedThings": found.queued,
        "numberOfInProgressThings": found.in_progress,
        "numberOfSucceededThings": found.succeeded,
        "numberOfFailedThings": found.failed,
        "numberOfRejectedThings": found.rejected,
        "numberOfTimedOutThings": found.timed_out,
        "numberOfCanceledThings": found.canceled,
        "numberOfRemovedThings": found.removed,
    }
    assert found == Counts.of(names)
