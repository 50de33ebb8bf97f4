"""A seeded sample of moments of a fleet: killed, interrupted, out of space; each time it resumes."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.invariants import Watch
    from tests.faults.stage import Job, Stage

THINGS = 3
SAMPLE = {"kill": 8, "interrupt": 6, "terminate": 3, "full": 6, "read-only": 2}
CODES = {"kill": -9, "interrupt": 130, "terminate": 143, "full": 12, "read-only": 12}


@pytest.mark.parametrize("strike", CODES)
def test_a_fleet_struck_at_a_sample_of_moments_resumes(
    strike: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Whatever stops the run, wherever: its exit code says what, nothing is half made, and the next run ends well."""
    whole = watch(THINGS)
    # An error is for a file's moment; one that is never reached lets the run end, and counts them.
    moments = stage.run(job(whole.declared, strike=strike, at=10**6)).moments
    assert [] == whole.ended()
    chosen = random.Random(f"{strike} 1").sample(range(1, len(moments) + 1), SAMPLE[strike])
    for point in sorted(chosen):
        struck_once_then_resumed(strike, point, stage, watch, job)


@pytest.mark.campaign
@pytest.mark.parametrize("strike", CODES)
def test_a_fleet_struck_at_every_moment_resumes(
    strike: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """The same at every moment there is."""
    whole = watch(THINGS)
    moments = stage.run(job(whole.declared, strike=strike, at=10**6)).moments
    for point in range(1, len(moments) + 1):
        struck_once_then_resumed(strike, point, stage, watch, job)


def struck_once_then_resumed(
    strike: str, point: int, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Strike a fresh fleet at one moment, then run it to its end."""
    fleet = watch(THINGS)
    first = stage.run(job(fleet.declared, strike=strike, at=point))
    at = f"{strike} at {point}"
    assert (at, True) == (at, first.struck)
    at = next((f"{at}: {moment}" for number, moment in enumerate(first.moments, 1) if number == point), at)
    # Before there is anything to drain the signal ends the process itself, of which a shell says the same code.
    code = 143 if first.code == -signal.SIGTERM else first.code
    assert (at, CODES[strike]) == (at, code), first.stderr
    assert "a bug in iotctl" not in first.stdout + first.stderr
    assert (at, []) == (at, fleet.now())
    again = stage.run(job(fleet.declared))
    assert (at, 0) == (at, again.code), again.stderr
    assert (at, []) == (at, fleet.ended())
