"""How often two releases of a model answer alike, on the same inputs: what a canary is judged by.

The release before runs beside the new one and is only listened to here: nothing that it says is published.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_MOST = 1024
"""Inputs that only one of the two has answered; one of them has ended by then, or never keeps up."""
_NEAR = 0.05
"""Numbers that differ by no more than this share of the larger are alike."""


class Comparison:
    """The answers of two releases, put together by the input that they are to.

    Attributes:
        compared: inputs that both have answered.
        agreed: those of them that both answered alike.

    """

    def __init__(self) -> None:
        self.compared = self.agreed = 0
        self._waiting: dict[int, tuple[object, bool, Mapping[str, Any] | None]] = {}

    def add(self, item: object, answer: bytes | None, *, before: bool) -> None:
        """An answer, of the release `before` or of the one that runs; None where it could not answer."""
        first = _first(answer)
        other = self._waiting.pop(id(item), None)
        if other is None or other[1] == before:
            # The input itself is kept with it, so that no other takes its identity.
            self._waiting[id(item)] = (item, before, first)
            if len(self._waiting) > _MOST:
                self._waiting.pop(next(iter(self._waiting)))
            return
        self.compared += 1
        self.agreed += alike(first, other[2])

    def forget(self) -> None:
        """One of the two ended: what it has not answered it will not."""
        self._waiting.clear()

    def said(self, text: bytes) -> bytes:
        """A prediction that says so."""
        return b'%b,"compared":%d,"agreed":%d}' % (text[:-1], self.compared, self.agreed)


def alike(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two first predictions are the same: their labels, and where they have values those nearly."""
    if one is None or other is None or one.get("label") != other.get("label"):
        return False
    if "confidence" in one or "value" not in one or "value" not in other:
        return True
    return math.isclose(one["value"], other["value"], rel_tol=_NEAR, abs_tol=1e-9)


def _first(answer: bytes | None) -> Mapping[str, Any] | None:
    if answer is None:
        return None
    found: list[Mapping[str, Any]] = json.loads(answer)["predictions"]
    # Where every label is below the threshold there is none, which is an answer too.
    return found[0] if found else {}
