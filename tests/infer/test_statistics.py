"""Figures of a fixed size: percentiles, class mix, drift."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.infer import statistics
from iotctl.infer.statistics import Latencies, Statistics, divergence

_MIXES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1).map(Counter)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentiles_are_within_their_bound(values: list[float], share: float) -> None:
    """2.5 % of the exact one, however many there were."""
    found = Latencies()
    for value in values:
        found.add(value)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert exact == pytest.approx(found.percentile(share), rel=0.026)


def test_nothing_has_no_percentile() -> None:
    """None, not zero."""
    assert None is Latencies().percentile(0.5)


@given(_MIXES, _MIXES)
def test_drift_is_a_distance(one: Counter[str], other: Counter[str]) -> None:
    """Symmetric, between 0 and 1, 0 for the same mix of any size, 1 for nothing in common."""
    assert divergence(one, other) == pytest.approx(divergence(other, one))
    assert 0.0 <= divergence(one, other) <= 1.0
    assert pytest.approx(0.0, abs=1e-12) == divergence(one, Counter({key: 3 * value for key, value in one.items()}))
    assert pytest.approx(1.0) == divergence(one, Counter({"z": 5}))


def test_drift_is_told_of_the_latest_against_the_first() -> None:
    """None while there are too few; then how far the mix went."""
    found = Statistics()
    for number in range(statistics.REFERENCE):
        found.add(float(number), "ab"[number % 2], 0.9, 1.0)
    assert None is found.drift
    for number in range(statistics.REFERENCE):
        found.add(float(number), "ab"[number % 2], 0.9, 1.0)
    assert pytest.approx(0.0, abs=1e-9) == found.drift
    for number in range(statistics.REFERENCE):
        found.add(float(number), "c", 0.9, 1.0)
    assert pytest.approx(1.0) == found.drift


def test_the_figures() -> None:
    """Rate over the time from the first to the last, shares, bins, rounded."""
    found = Statistics()
    for number in range(11):
        found.add(number / 10, "x" if number else "y", number / 10, 2.0)
    found.failed()
    assert {
        "count": 11,
        "errors": 1,
        "rate": 10.0,
        "latencyMs": {"p50": 1.99, "p90": 1.99, "p99": 1.99},
        "classMix": {"x": 0.9091, "y": 0.0909},
        "confidence": [1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
        "drift": None,
    } == {**found.to_json(), "latencyMs": {k: round(v, 2) for k, v in found.to_json()["latencyMs"].items()}}


def test_labels_are_bounded() -> None:
    """A model of a million labels takes no more room than one of a thousand."""
    found = Statistics()
    for number in range(statistics.MOST_LABELS + 500):
        found.add(0.0, str(number), None, None)
    mix = found.mix
    assert statistics.MOST_LABELS + 1 == len(mix)
    assert statistics.OTHERS == next(iter(mix))
