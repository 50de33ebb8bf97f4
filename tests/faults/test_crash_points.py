"""Killed at every moment there is, then run again: exactly what was declared, and nothing else."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.invariants import Watch
    from tests.faults.stage import Job, Stage

SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_a_kill_at_every_moment_of_one_device_leaves_a_run_that_resumes(
    share: int, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Killed before every file and network operation in turn, the same command ends well, with one certificate."""
    for point in itertools.count(share + 1, SHARES):
        fleet = watch(1)
        killed = stage.run(job(fleet.declared, at=point))
        if not killed.struck:
            break
        at = f"{point}: {killed.moments[-1]}"
        assert (at, -9) == (at, killed.code)
        assert (at, []) == (at, fleet.now())
        again = stage.run(job(fleet.declared))
        assert (at, 0, "") == (at, again.code, "" if again.code == 0 else again.stderr)
        assert (at, []) == (at, fleet.ended())
    # The run was not struck: it ended by itself, so no moment of this share is left out.
    assert 0 == killed.code
    assert [] == fleet.ended()
    assert {"open", "os.mkdir", "os.rename", "sqlite3.connect", "http.client.send"} == {
        moment.partition(" ")[0] for moment in killed.moments
    }
