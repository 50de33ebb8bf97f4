"""What a model predicts, in numbers of a fixed size: rate, latency, class mix, confidence, drift. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any, Final

REFERENCE: Final = 500
"""Predictions that make up a class mix: the first so many are what the latest so many are compared with."""
MOST_LABELS: Final = 1000
"""Labels that are counted apart; what comes beyond is counted as `OTHERS`."""
OTHERS: Final = "(others)"
BINS: Final = 10
"""Of the confidence histogram: 0.0 to 0.1, 0.1 to 0.2, …, 0.9 to 1.0."""

_STEPS: Final = 40
"""Latency buckets for each factor of e: percentiles are within 2.5 %."""


class Latencies:
    """Percentiles of milliseconds, within 2.5 %, in a few hundred numbers however many there were."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, milliseconds: float) -> None:
        """Count one."""
        self.count += 1
        self._buckets[math.floor(math.log(max(milliseconds, 1e-6)) * _STEPS)] += 1

    def percentile(self, share: float) -> float | None:
        """The milliseconds that this share (0 to 1) of all stayed within; None of none."""
        left = max(1, math.ceil(share * self.count))
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return math.exp((bucket + 0.5) / _STEPS)
        return None


class Statistics:
    """Of one model on one core device, or of several of them together.

    Attributes:
        count: predictions.
        errors: inputs that the model failed on.

    """

    __slots__ = (
        *("_confidences", "_first_at", "_labels", "_last_at", "_latest", "_reference"),
        *("count", "errors", "latencies"),
    )

    def __init__(self) -> None:
        self.count = self.errors = 0
        self.latencies = Latencies()
        self._labels: Counter[str] = Counter()
        self._reference: Counter[str] = Counter()
        self._latest: deque[str] = deque(maxlen=REFERENCE)
        self._confidences = [0] * BINS
        self._first_at = self._last_at = 0.0

    def add(self, now: float, label: str | None, confidence: float | None, latency_ms: float | None) -> None:
        """Count a prediction."""
        if not self.count:
            self._first_at = now
        self._last_at = now
        self.count += 1
        if label is not None:
            known = label if label in self._labels or len(self._labels) < MOST_LABELS else OTHERS
            self._labels[known] += 1
            if self.count <= REFERENCE:
                self._reference[known] += 1
            else:
                self._latest.append(known)
        if confidence is not None:
            self._confidences[min(BINS - 1, max(0, int(confidence * BINS)))] += 1
        if latency_ms is not None:
            self.latencies.add(latency_ms)

    def failed(self) -> None:
        """Count an input that the model failed on."""
        self.errors += 1

    @property
    def rate(self) -> float:
        """Predictions a second, from the first to the last."""
        seconds = self._last_at - self._first_at
        return (self.count - 1) / seconds if seconds > 0 else 0.0

    @property
    def mix(self) -> dict[str, float]:
        """The share of each label, the most frequent first."""
        total = sum(self._labels.values())
        return {label: number / total for label, number in self._labels.most_common()}

    @property
    def drift(self) -> float | None:
        """How far the latest class mix is from the first: 0 (the same) to 1 (nothing in common); None: too few yet.

        The Jensen-Shannon divergence in bits: symmetric, bounded, and defined where a label is new or gone.
        """
        if len(self._latest) < REFERENCE // 5:
            return None
        return divergence(self._reference, Counter(self._latest))

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "count": self.count,
            "errors": self.errors,
            "rate": round(self.rate, 3),
            "latencyMs": {name: _rounded(self.latencies.percentile(share)) for name, share in _PERCENTILES},
            "classMix": {label: round(share, 4) for label, share in self.mix.items()},
            "confidence": list(self._confidences),
            "drift": _rounded(self.drift),
        }


def divergence(one: Counter[str], other: Counter[str]) -> float:
    """The Jensen-Shannon divergence of two class mixes, in bits: 0 to 1."""
    totals = (sum(one.values()), sum(other.values()))
    if not all(totals):
        return 0.0
    found = 0.0
    for label in one.keys() | other.keys():
        p, q = one[label] / totals[0], other[label] / totals[1]
        middle = (p + q) / 2
        found += sum(share / 2 * math.log2(share / middle) for share in (p, q) if share)
    return min(1.0, max(0.0, found))


_PERCENTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def _rounded(value: float | None) -> float | None:
    """Four significant digits."""
    return None if value is None else float(f"{value:.4g}")
