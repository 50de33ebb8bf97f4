"""Rates: how many requests or messages a second are let through."""

from __future__ import annotations

import math

from iotctl import clock


def bucket(rate: float | None) -> Bucket | None:
    """A bucket for a rate; none where nothing is limited."""
    return None if rate is None else Bucket(rate)


class Bucket:
    """A token bucket that holds what one second brings.

    Args:
        rate: tokens a second.

    """

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, math.floor(rate))
        self._left = self._most
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
