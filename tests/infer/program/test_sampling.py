"""Which inputs go back: the connector's four strategies, and the page's own example."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference.sampling import chooser, entropy, margin


def test_entropy_is_the_documentations_example() -> None:
    """0.5, 0.25, 0.25 -> 1.03972."""
    assert math.isclose(1.03972, entropy([0.5, 0.25, 0.25]), abs_tol=5e-6)
    assert 0.0 == entropy([1.0, 0.0])
    assert math.isclose(0.5, margin([0.75, 0.25, 0.0]))


@pytest.mark.parametrize(
    ("strategy", "sure", "unsure"),
    [
        ({"strategy-name": "LEAST_CONFIDENCE", "threshold": 0.6}, False, True),
        ({"strategy-name": "MARGIN", "threshold": 0.2}, False, True),
        ({"strategy-name": "ENTROPY", "threshold": 0.5}, False, True),
        (None, True, True),
    ],
)
def test_the_unsure_are_chosen(strategy: dict[str, Any] | None, sure: bool, unsure: bool) -> None:
    """And without a strategy everything."""
    choose = chooser(strategy)
    assert (sure, unsure) == (choose([0.95, 0.05]), choose([0.6, 0.4]))


def test_random_sampling_looks_at_nothing_else() -> None:
    """A number below the rate; never at 0, always at 1."""
    numbers = iter([0.04, 0.05, 0.9])
    choose = chooser({"strategy-name": "RANDOM_SAMPLING", "rate": 0.05}, lambda: next(numbers))
    assert [True, False, False] == [choose(()) for _ in range(3)]
    assert not any(chooser({"strategy-name": "RANDOM_SAMPLING", "rate": 0})(()) for _ in range(100))
    assert all(chooser({"strategy-name": "RANDOM_SAMPLING", "rate": 1})(()) for _ in range(100))


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=20))
def test_entropy_is_between_none_and_all(weights: list[float]) -> None:
    """At most the logarithm of the number of classes; a scaled distribution has the same."""
    found = entropy(weights)
    assert -1e-9 <= found <= math.log(len(weights)) + 1e-9
    assert math.isclose(found, entropy([weight * 2 for weight in weights]), rel_tol=1e-9)


def test_what_has_no_distribution_is_not_chosen_by_one() -> None:
    """A regression."""
    assert not chooser({"strategy-name": "ENTROPY", "threshold": 0})(())
