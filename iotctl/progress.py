"""How far a run is, in words: things, rate, what is left, and the quota that binds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iotctl import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.lines import Flow


class Progress:
    """One run as it goes on.

    Args:
        things: how many there are.
        noun: what they are.
        needs: how many calls of each operation they need.
        before: how many were done before it began (a resumed run).
        began: the clock, when it began.

    """

    def __init__(self, things: int, noun: str, needs: Mapping[str, int], *, before: int, began: float) -> None:
        self._things = things
        self._noun = noun
        self._before = before
        self._began = began
        share = (things - before) / things if things else 0.0
        self._needs = {op: number * share for op, number in needs.items()}

    def words(self, states: Mapping[str, int], flows: Mapping[str, Flow], now: float) -> str:
        """A line: `1,200 of 10,000 things (2 failed), 9.9 a second; 15 min left; CreateThing binds (9.9/s)`."""
        settled = sum(states.values())
        rate = (settled - self._before) / max(now - self._began, 0.001)
        others = ", ".join(f"{number:,} {state}" for state, number in states.items() if number and state != "done")
        besides = f" ({others})" if others else ""
        told = [f"{settled:,} of {text.count(self._things, self._noun)}{besides}, {rate:,.1f} a second"]
        binding, seconds = self.outlook(flows)
        if not binding and rate:
            seconds = (self._things - settled) / rate
        if settled < self._things and seconds:
            told.append(f"{text.lasting(seconds)} left")
        if binding:
            throttled = flows[binding].throttled
            refused = f", {throttled:,} throttled" if throttled else ""
            told.append(f"{_short(binding)} binds ({flows[binding].rate:,.1f}/s{refused})")
        return "; ".join(told)

    def stages(self, flows: Mapping[str, Flow]) -> str:
        """How many calls of each operation are made: `CreateThing 120 · AttachPolicy 96`."""
        return " · ".join(f"{_short(op)} {flows[op].done:,}" for op in self._needs if op in flows)

    def outlook(self, flows: Mapping[str, Flow]) -> tuple[str, float]:
        """The operation whose quota binds, and the seconds that its calls still take; empty where none does."""
        left = {
            op: (number - flows[op].done) / flows[op].rate
            for op, number in self._needs.items()
            if op in flows and number > flows[op].done and flows[op].rate < math.inf
        }
        binding = max(left, key=lambda op: left[op], default="")
        return binding, left.get(binding, 0.0)


def _short(op: str) -> str:
    return op.partition(":")[2]
