"""Long campaigns: killed at random times, through a network that loses answers, with and without the journal."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import Proxy
from tests.faults.test_lost_answers import is_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.faults.invariants import Watch
    from tests.faults.stage import Job, Stage

KILLS = 15
FAULTS = ("throttle", "fail", "reset", "fail-after", "reset-after", "cut-after", "garbage-after")


def killed_at_random(
    things: int,
    kills: int,
    seed: int,
    fleet: Watch,
    own: Platform,
    stage: Stage,
    job: Callable[..., Job],
    *,
    forget: bool,
) -> None:
    """Kill runs at random times until so many were killed, or the fleet is done; then let one end."""
    dice = random.Random(seed)

    def plan(_: int, method: str, path: str) -> str | None:
        return dice.choice(FAULTS) if is_change(method, path) and dice.random() < 0.05 else None

    longest, killed = 0.01 * things + 0.3, 0
    with Proxy(own.http_url, plan) as proxy:
        for _ in range(2 * kills):
            running = stage.start(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
            # The time of the kill is the experiment's random variable, not a wait for something.
            time.sleep(dice.uniform(0.05, longest))
            running.kill()
            killed += running.end().code == -9
            assert (seed, []) == (seed, fleet.now())
            if forget:
                for path in fleet.declared.bundles.glob("journal.db*"):
                    path.unlink()
            if killed == kills:
                break
        assert killed >= kills / 3
        for _ in range(3):
            ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=proxy.url))
            if ended.code != 3:  # five faults in a row on one call fail its row; the next run does it
                break
    assert (seed, 0) == (seed, ended.code), ended.stderr
    assert (seed, []) == (seed, fleet.ended())


@pytest.mark.parametrize("forget", [False, True], ids=["with-journal", "journal-deleted"])
def test_a_fleet_killed_at_random_times_ends_as_declared(
    forget: bool,
    own: Platform,
    stage: Stage,
    watch: Callable[[int], Watch],
    job: Callable[..., Job],
) -> None:
    """A short campaign: a kill lands in the middle of a commit too, where no moment is counted."""
    killed_at_random(12, 4, 7, watch(12), own, stage, job, forget=forget)


@pytest.mark.campaign
@pytest.mark.parametrize("forget", [False, True], ids=["with-journal", "journal-deleted"])
@pytest.mark.parametrize("seed", range(5))
def test_a_large_fleet_killed_at_random_times_ends_as_declared(
    seed: int,
    forget: bool,
    own: Platform,
    stage: Stage,
    watch: Callable[[int], Watch],
    job: Callable[..., Job],
) -> None:
    """Two hundred things, fifteen kills, one call in twenty broken: no breach at any time."""
    killed_at_random(200, KILLS, seed, watch(200), own, stage, job, forget=forget)
