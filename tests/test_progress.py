"""How far a run is, in words."""

from __future__ import annotations

import math

import pytest

from iotctl.lines import Flow
from iotctl.progress import Progress

NEEDS = {"iot:CreateThing": 1000, "iot:RegisterCertificateWithoutCA": 1000, "iot-data:UpdateThingShadow": 10}


def flow(done: int, rate: float, throttled: int = 0) -> Flow:
    """An operation with so many calls made."""
    return Flow(done, throttled, rate, rate)


BOUND = (
    "102 of 1,000 things (2 failed), 10.2 a second; 1 min 28 s left; "
    "RegisterCertificateWithoutCA binds (10.0/s, 3 throttled)"
)


@pytest.mark.parametrize(
    ("states", "flows", "expected"),
    [
        (
            {"done": 100, "failed": 2, "conflict": 0},
            {"iot:CreateThing": flow(300, 100.0), "iot:RegisterCertificateWithoutCA": flow(120, 10.0, 3)},
            BOUND,
        ),
        # Nothing holds the calls (the local platform): what is left is told by the things themselves.
        (
            {"done": 500},
            {"iot:CreateThing": flow(500, math.inf)},
            "500 of 1,000 things, 50.0 a second; 10 s left",
        ),
        ({"done": 0}, {}, "0 of 1,000 things, 0.0 a second"),
        ({"done": 1000}, {"iot:CreateThing": flow(1000, 10.0)}, "1,000 of 1,000 things, 100.0 a second"),
    ],
)
def test_a_line_of_progress(states: dict[str, int], flows: dict[str, Flow], expected: str) -> None:
    """How many, how fast, how long still, and which quota decides that."""
    assert expected == Progress(1000, "thing", NEEDS, before=0, began=100.0).words(states, flows, 110.0)


def test_a_resumed_run_counts_what_it_does_itself() -> None:
    """The rate and the calls that are left are those of the things that were not done before."""
    run = Progress(1000, "thing", NEEDS, before=900, began=0.0)
    line = run.words({"done": 950}, {"iot:CreateThing": flow(50, 10.0)}, 5.0)
    assert "950 of 1,000 things, 10.0 a second; 5 s left; CreateThing binds (10.0/s)" == line


def test_the_stages_are_told_in_the_order_of_the_plan() -> None:
    """Calls made of each operation; reads that a plan does not count are left out."""
    run = Progress(1000, "thing", NEEDS, before=0, began=0.0)
    flows = {"iot:DescribeThing": flow(1, 1.0), "iot:RegisterCertificateWithoutCA": flow(7, 1.0)}
    assert "CreateThing 1,200 · RegisterCertificateWithoutCA 7" == run.stages(
        {**flows, "iot:CreateThing": flow(1200, 1.0)}
    )
