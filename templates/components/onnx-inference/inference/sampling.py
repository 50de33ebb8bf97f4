"""Which inputs are worth labelling: the four strategies of AWS's machine learning feedback connector.

Source: the AWS IoT Greengrass developer guide (v1), ml-feedback-connector page. Its entropy is called normalized there,
but its own example (0.5, 0.25, 0.25 -> 1.03972) is Shannon's entropy in nats, not normalized: so it is here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Callable

Chooser = Callable[[Sequence[float]], bool]
"""Whether an input with this predicted distribution is sampled."""


def entropy(distribution: Sequence[float]) -> float:
    """Shannon's entropy, in nats; a distribution that does not add up to 1 is taken relative to its sum."""
    total = sum(distribution)
    if total <= 0.0:
        return 0.0
    return -sum(p / total * math.log(p / total) for p in distribution if p > 0.0)


def margin(distribution: Sequence[float]) -> float:
    """How far the likeliest is before the next."""
    first, second = sorted(distribution, reverse=True)[:2] if len(distribution) > 1 else (distribution[0], 0.0)
    return first - second


def chooser(strategy: Mapping[str, Any] | None, rand: Callable[[], float] = random.random) -> Chooser:
    """The function that decides.

    Args:
        strategy: `strategy-name`, and `rate` (random) or `threshold`; None takes all.
        rand: gives numbers in [0, 1).

    """
    if strategy is None:
        return lambda _: True
    name = strategy["strategy-name"]
    if name == "RANDOM_SAMPLING":
        rate = float(strategy["rate"])
        return lambda _: rand() < rate
    threshold = float(strategy["threshold"])
    measures: Mapping[str, Chooser] = {
        "LEAST_CONFIDENCE": lambda distribution: max(distribution) <= threshold,
        "MARGIN": lambda distribution: margin(distribution) <= threshold,
        "ENTROPY": lambda distribution: entropy(distribution) > threshold,
    }
    measure = measures[name]
    return lambda distribution: bool(distribution) and measure(distribution)
