"""Prediction messages: what a model on a core device says, read and checked. Pure, and quick: it is done for each one.

A message is JSON on `iotctl/predictions/<thing>/<model>`: `{thingName, modelName, modelVersion, modelSha256, bootId,
seq, timestamp, latencyMs, predictions: [{label, confidence}]}`; `"sample": true` marks the trial input at the start,
`error` stands in place of predictions where the model failed on an input.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from iotctl import text
from iotctl.semantics import topics

_MOST_SEQ: Final = 2**63
_NUMBERS: Final = frozenset({int, float})
_MOST: Final = 1e15
"""Of milliseconds and confidences: figures are reckoned with what comes, and beyond any float there is no reckoning."""


class Prediction(NamedTuple):
    """One message; who and which model as its topic names them.

    Attributes:
        seq: counted by the program for each model from its start (`boot_id`) on.
        timestamp: as the device wrote it.
        label: of the first, most confident prediction.
        error: why there is no prediction, in the program's words.
        sample: the trial input: shown, but no part of any statistics.
        others: the further predictions.

    """

    thing_name: str
    model_name: str
    model_version: str
    model_sha256: str
    boot_id: str
    seq: int
    timestamp: Any
    latency_ms: float | None
    label: str | None
    confidence: float | None
    error: str
    sample: bool
    others: list[Any]

    def row(self) -> dict[str, Any]:
        """The message as a row: the members of the message itself, the first prediction at the top."""
        row = {
            "thingName": self.thing_name,
            "modelName": self.model_name,
            "modelVersion": self.model_version,
            "modelSha256": self.model_sha256,
            "bootId": self.boot_id,
            "seq": self.seq,
            "timestamp": self.timestamp,
            "latencyMs": self.latency_ms,
            "label": self.label,
            "confidence": self.confidence,
        }
        if self.others:
            row["predictions"] = self.others
        if self.error:
            row["error"] = self.error
        if self.sample:
            row["sample"] = True
        return row


class Unreadable(NamedTuple):
    """A message on a prediction topic that is none."""

    thing_name: str
    model_name: str
    reason: str
    shown: str


COLUMNS: Final = (
    *("thingName", "modelName", "modelVersion", "modelSha256", "bootId", "seq", "timestamp", "latencyMs"),
    *("label", "confidence", "error", "sample"),
)
"""The columns of a row, in the order of the pipe."""


def topic_filter(thing_name: str = "+", model_name: str = "+") -> str:
    """The topics of predictions; `+` is any."""
    return topics.predictions(thing_name, model_name)


def parse(topic: str, payload: bytes) -> Prediction | Unreadable | None:
    """A message; None where the topic is not one of predictions."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[0] != "iotctl" or levels[1] != "predictions":
        return None
    thing_name, model_name = levels[2], levels[3]
    try:
        document = _DECODER.decode(payload.decode())
        seq = document["seq"]
        predictions = document.get("predictions") or []
        first = predictions[0] if predictions else {}
        return _checked(
            Prediction(
                thing_name,
                model_name,
                document.get("modelVersion", ""),
                document.get("modelSha256", ""),
                document.get("bootId", ""),
                seq,
                document.get("timestamp"),
                document.get("latencyMs"),
                first.get("label"),
                first.get("confidence"),
                document.get("error") or "",
                document.get("sample") is True,
                predictions[1:],
            )
        )
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        return Unreadable(thing_name, model_name, text.sanitize(reason)[:200], text.shown(payload, 200))


def _checked(found: Prediction) -> Prediction:
    """The same, its members of the kind that they must be.

    Raises:
        TypeError: one is not.

    """
    seq = found.seq
    if type(seq) is not int or not 0 <= seq < _MOST_SEQ:
        raise TypeError("seq is not a counting number")
    if not _number(found.latency_ms) or not _number(found.confidence):
        raise TypeError("latencyMs or confidence is not a number that can be reckoned with")
    words = (found.model_version, found.model_sha256, found.boot_id, found.error)
    if not all(type(word) is str for word in words) or not (found.label is None or type(found.label) is str):
        raise TypeError("a name is not text")
    return found


def _number(value: object) -> bool:
    return value is None or (type(value) in _NUMBERS and -_MOST <= value <= _MOST)  # type: ignore[operator]  # a number


def _constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_constant)
