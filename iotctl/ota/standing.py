"""Where the things of a whole rollout stand, and what it comes to: running, passed or failed, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Exit, Usage
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotctl.ota.executions import Job, Phase

ALL: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the things of a rollout stand: each is counted once, however often it was tried again.

    Attributes:
        things: all of them, as far as is known.
        succeeded: have it.
        failed: got it and did not make it (FAILED, REJECTED, TIMED_OUT).
        running: are at it.
        unreached: have not begun.
        canceled: had it taken away before they ended.
        coming: those of the unreached that may still begin.
        is_whole: whether no more things can turn up.

    """

    things: int = 0
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    unreached: int = 0
    canceled: int = 0
    coming: int = 0
    is_whole: bool = True

    @property
    def share(self) -> Decimal:
        """Percent of the things that have it; none of none is 0."""
        return Decimal(self.succeeded * 100) / self.things if self.things else Decimal(0)

    def reaches(self, share: Decimal) -> bool:
        """Whether enough things have it."""
        return self.things > 0 and self.succeeded * 100 >= share * self.things

    def can_reach(self, share: Decimal) -> bool:
        """Whether enough things would have it if every one that is not lost made it."""
        possible = self.succeeded + self.running + self.coming
        return not self.is_whole or possible * 100 >= share * self.things

    def to_json(self) -> dict[str, Any]:
        """The standing as the envelope holds it; `share` in percent."""
        return {
            "things": self.things,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "inProgress": self.running,
            "neverReached": self.unreached,
            "canceled": self.canceled,
            "share": float(round(self.share, 2)),
        }


def standing(phases: Sequence[Phase]) -> Standing:
    """Where the things of a rollout stand.

    A retry is for things that failed before, so it adds no things: its things are failed no more, they are where it
    has them. A fleet job is for the whole scope, so the canaries are among its things.
    """
    main = _main(phases)
    jobs = [main, *(phase.job for phase in phases if phase.is_retry)]
    return Standing(
        things=main.total,
        succeeded=sum(job.counts.succeeded for job in jobs),
        failed=max(0, sum(job.counts.failures for job in jobs) - sum(job.total for job in jobs[1:])),
        running=sum(job.counts.in_progress for job in jobs),
        unreached=sum(job.unreached for job in jobs),
        canceled=sum(job.counts.canceled for job in jobs),
        coming=sum(job.coming for job in jobs),
        is_whole=main.total_is_known,
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rollout is judged by.

    Attributes:
        share: percent of its things that must have succeeded.
        deadline: when it is judged, come what may, in seconds since 1970; None: never.
        more: whether another phase is still to come after those that are there.
        stopped: when someone said that it does not come, as ISO 8601; empty: nobody has.

    """

    share: Decimal = ALL
    deadline: float | None = None
    more: bool = False
    stopped: str = ""


class State(StrEnum):
    """What a rollout comes to."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


_EXITS: Final = {State.RUNNING: Exit.TIMEOUT, State.PASSED: Exit.OK, State.FAILED: Exit.ROLLOUT_FAILED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rollout comes to as it is now.

    Attributes:
        state: running, passed or failed.
        reason: why, in words.

    """

    state: State
    reason: str

    @property
    def exit(self) -> Exit:
        """The exit code of whoever ends with it."""
        return _EXITS[self.state]


def verdict(phases: Sequence[Phase], terms: Terms, now: float, *, last: bool = False) -> Verdict:
    """Judge a rollout.

    It is over when its jobs are, when the deadline has come, or when what is still open can change nothing: it was
    offered to everything, nothing is at it, and enough have it, or enough can not have it any more. What its abort
    criteria stopped has failed, unless what failed in it is tried again, and that was not stopped by them too.

    Args:
        phases: its jobs, in the order in which they were made; one at least.
        terms: what it is judged by.
        now: in seconds since 1970.
        last: it will not be looked at again: what is certain counts, even while things are at it.

    """
    found, open_jobs = standing(phases), [job for job in _counting(phases) if not job.is_over]
    reached, told = found.reaches(terms.share), _told(found, terms.share)
    if terms.stopped:
        return Verdict(State.FAILED, f"it was stopped before the fleet, at {terms.stopped}: {told}")
    latest = _counting(phases)[-1]
    if _main(phases).is_aborted and latest.is_aborted:
        return Verdict(State.FAILED, f"{_stopped(latest)}: {told}")
    if not open_jobs:
        return _ended(phases, found, terms, told)
    if terms.deadline is not None and now >= terms.deadline:
        return _ended(phases, found, terms, f"at the deadline {told}")
    busy = any(job.rolling or job.counts.in_progress for job in open_jobs)
    if not found.can_reach(terms.share) and (last or not busy or _main(phases).status == "CANCELED"):
        return Verdict(State.FAILED, f"{told}: it cannot be reached any more")
    return _ended(phases, found, terms, told) if reached and not busy else Verdict(State.RUNNING, told)


def percent(given: str, option: str = "--pass") -> Decimal:
    """A share as people type it: `97%`, `97`, `99.5 %`.

    Raises:
        Usage: it is none, or not above 0 and up to 100.

    """
    try:
        share = Decimal(given.strip().removesuffix("%").strip())
    except InvalidOperation:
        share = Decimal(0)
    if not share.is_finite() or not 0 < share <= ALL:
        raise Usage(f"{option} {given!r} is not a share of things", hint=f"for example {option} 97%")
    return share


def _main(phases: Sequence[Phase]) -> Job:
    """The job whose things are the rollout's: the fleet's; the canary's while that is all there is."""
    return next(phase.job for phase in reversed(phases) if not phase.is_retry)


def _counting(phases: Sequence[Phase]) -> list[Job]:
    """The jobs that decide: that one, and those that retried what failed in it."""
    return [_main(phases), *(phase.job for phase in phases if phase.is_retry)]


def _ended(phases: Sequence[Phase], found: Standing, terms: Terms, told: str) -> Verdict:
    job = _main(phases)
    if not found.things:
        return Verdict(State.FAILED, f"{job.job_id} was for no thing at all")
    if found.reaches(terms.share) and not (terms.more and job.status == "CANCELED"):
        if terms.more:
            return Verdict(State.RUNNING, f"{phases[-1].name} done, the next phase is to come: {told}")
        return Verdict(State.PASSED, told)
    if job.status == "CANCELED":
        return Verdict(State.FAILED, f"{_stopped(job)}: {told}")
    return Verdict(State.FAILED, told)


def _stopped(job: Job) -> str:
    """Who stopped a job that was canceled, in words."""
    if job.is_aborted:
        return f"its abort criteria stopped {job.job_id}"
    return f"{job.job_id} was canceled" + (f" ({job.comment})" if job.comment else "")


def _told(found: Standing, share: Decimal) -> str:
    words = [f"{found.succeeded:,} of {count(found.things, 'thing')} succeeded ({_number(found.share)} %)"]
    words += [f"{number:,} {what}" for number, what in _parts(found) if number]
    wanted = "" if share == ALL else f"; {_number(share)} % is asked for"
    return ", ".join(words) + wanted


def _parts(found: Standing) -> Iterator[tuple[int, str]]:
    yield found.failed, "failed"
    yield found.running, "in progress"
    yield found.unreached, "never reached"
    yield found.canceled, "canceled"


def _number(share: Decimal) -> str:
    """At most two digits, never rounded up: 99.999 is not 100."""
    floored = share.quantize(Decimal("0.01"), rounding="ROUND_FLOOR")
    return f"{floored.normalize():f}"
