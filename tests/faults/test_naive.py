"""The negative control: a naive onboarding under the same harness is found at fault, or the harness has gone blind."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.invariants import Watch
    from tests.faults.stage import Job, Stage

NAIVE = "tests.faults.naive:run"


def test_a_naive_onboarding_that_nothing_disturbs_is_good(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Undisturbed it makes just what is declared: what the next test finds is due to the kills."""
    fleet = watch(2)
    assert 0 == stage.run(job(fleet.declared, program=NAIVE)).code
    assert [] == fleet.ended()


def test_a_naive_onboarding_is_found_at_fault(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """CreateKeysAndCertificate for each row: killed at every third moment, it breaks what must hold."""
    faults: Counter[str] = Counter()
    for point in itertools.count(1, 3):
        fleet = watch(1)
        killed = stage.run(job(fleet.declared, program=NAIVE, at=point))
        if not killed.struck:
            break
        breaches = fleet.now()
        stage.run(job(fleet.declared, program=NAIVE))
        breaches += fleet.ended()
        faults.update({re.match("[A-Z0-9]+", breach)[0] for breach in breaches})  # type: ignore[index]  # all begin so
    assert point > 20
    # A key that is lost, a bundle in part, one that is replaced, a certificate too many.
    assert {"I1", "I2", "I3", "P1"} <= set(faults)
    assert faults["P1"] > point / 9
