"""What the cores of a canary predicted, and whether it is good enough to go on. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from iotctl.infer import predictions
from iotctl.infer.predictions import Prediction
from iotctl.infer.statistics import Latencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.expression import Expression

FACTS = ("predictions", "errorRate", "latencyMs", "agreement", "confidence")
"""What `--promote-if` may ask for."""


class Tally:
    """The predictions of one release of a model, from all cores of a canary.

    Attributes:
        predictions: answered inputs, good or bad; samples do not count.
        first: the first message of the release, its sample as a rule; None: there was none yet.
        cores: who sent any.

    """

    def __init__(self, release: str, sha256: str) -> None:
        self._release, self._sha256 = release, sha256
        self.predictions = self._errors = 0
        self.first: Prediction | None = None
        self.cores: set[str] = set()
        self._latencies = Latencies()
        self._confidence = 0.0
        self._confidences = 0
        self._compared: dict[tuple[str, str], tuple[int, int]] = {}

    def feed(self, topic: str, payload: bytes) -> bool:
        """Count a message; whether it is one of this release."""
        found = predictions.parse(topic, payload)
        if not isinstance(found, Prediction):
            return False
        if found.model_version != self._release or found.model_sha256 != self._sha256:
            return False
        self.first = self.first or found
        self.cores.add(found.thing_name)
        if not found.sample:
            self._count(found, payload)
        return True

    def facts(self) -> dict[str, Any]:
        """What is known: shares from 0 to 1, the latency that 95 % stayed within, the mean confidence."""
        compared, agreed = (sum(pair[place] for pair in self._compared.values()) for place in (0, 1))
        latency = self._latencies.percentile(0.95)
        found: dict[str, Any] = {"predictions": self.predictions}
        if self.predictions:
            found["errorRate"] = round(self._errors / self.predictions, 4)
        if latency is not None:
            found["latencyMs"] = round(latency, 3)
        if compared:
            found["agreement"] = round(agreed / compared, 4)
            found["compared"] = compared
        if self._confidences:
            found["confidence"] = round(self._confidence / self._confidences, 4)
        return found

    def _count(self, found: Prediction, payload: bytes) -> None:
        self.predictions += 1
        if found.error:
            self._errors += 1
        if found.latency_ms is not None:
            self._latencies.add(found.latency_ms)
        if found.confidence is not None:
            self._confidence += found.confidence
            self._confidences += 1
        said = json.loads(payload)
        pair = (said.get("compared"), said.get("agreed"))
        if all(type(number) is int for number in pair) and 0 <= pair[1] <= pair[0]:
            # Each start of the program counts from 0; what arrives late says less than is known already.
            key = (found.thing_name, found.boot_id)
            self._compared[key] = max(self._compared.get(key, (0, 0)), pair)


def fault(facts: Mapping[str, Any], condition: Expression) -> str:
    """Why the facts do not meet a condition; nothing where they do."""
    if condition.holds(facts):
        return ""
    return f"not {condition.text}: {described(facts)}"


def described(facts: Mapping[str, Any]) -> str:
    """The facts in words."""
    known = ", ".join(f"{name} {facts[name]:g}" for name in FACTS if name in facts)
    return known if "agreement" in facts else f"{known}, agreement unknown: nothing was compared"
