"""Prediction messages: what is one, what is not, and that nothing a device writes gets in the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.infer import predictions
from iotctl.infer.predictions import Prediction, Unreadable

TOPIC = "iotctl/predictions/core-1/digits"


def message(**changes: Any) -> dict[str, Any]:
    """A message as the inference program writes it."""
    return {
        "thingName": "core-1",
        "modelName": "digits",
        "modelVersion": "1.0.0",
        "modelSha256": "ab" * 32,
        "bootId": "boot-1",
        "seq": 7,
        "timestamp": "2026-01-31T12:00:00.000Z",
        "latencyMs": 0.31,
        "predictions": [{"label": "3", "confidence": 0.97}, {"label": "8", "confidence": 0.02}],
        **changes,
    }


def parsed(document: Any) -> Prediction | Unreadable | None:
    """It, from a prediction topic."""
    return predictions.parse(TOPIC, document if isinstance(document, bytes) else json.dumps(document).encode())


def test_a_message_is_a_row_with_the_first_prediction_at_its_top() -> None:
    """The members of the message itself; the others below."""
    found = parsed(message())
    assert isinstance(found, Prediction)
    row = {key: value for key, value in message().items() if key != "predictions"}
    others = [{"label": "8", "confidence": 0.02}]
    assert {**row, "label": "3", "confidence": 0.97, "predictions": others} == found.row()


def test_who_it_is_says_the_topic_not_the_message() -> None:
    """A policy guards topics; what a device writes about itself is only its word."""
    found = parsed(message(thingName="core-2", modelName="other"))
    assert isinstance(found, Prediction)
    assert ("core-1", "digits") == (found.thing_name, found.model_name)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sample": True}, {"sample": True}),
        ({"sample": "yes"}, {}),
        ({"predictions": [], "error": "wrong shape"}, {"error": "wrong shape", "label": None, "confidence": None}),
        ({"predictions": [{"label": "score", "confidence": None}]}, {"label": "score", "confidence": None}),
    ],
)
def test_samples_and_failures(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """A sample is marked; a failure has its words in place of a prediction."""
    found = parsed(message(**changes))
    assert isinstance(found, Prediction)
    row = found.row()
    assert expected == {key: row[key] for key in expected}
    assert ("sample" in expected) == row.get("sample", False)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "can't decode"),
        (b"\x00", "Expecting value"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "list indices"),
        (b'{"seq": NaN}', "NaN is not JSON"),
        ({}, "no 'seq'"),
        (message(seq=-1), "counting number"),
        (message(seq=True), "counting number"),
        (message(seq=2**64), "counting number"),
        (message(seq=1.0), "counting number"),
        (message(latencyMs="fast"), "not a number"),
        (json.dumps(message()).replace("0.31", "1e999").encode(), "not a number"),
        (message(latencyMs=1.79e308), "not a number"),
        (message(predictions=[{"label": "7", "confidence": 10**400}]), "not a number"),
        (message(predictions="x"), "no attribute"),
        (message(predictions=[{"label": 3}]), "not text"),
        (message(bootId=["x"]), "not text"),
        (b'{"seq": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_what_is_not_one_is_said_to_be_unreadable(document: Any, reason: str) -> None:
    """With the reason; never an error of another kind."""
    found = parsed(document)
    assert isinstance(found, Unreadable)
    assert reason in found.reason
    assert len(found.shown) < 300


@given(st.binary())
def test_no_bytes_are_an_error(payload: bytes) -> None:
    """Whatever comes is a prediction or unreadable."""
    assert isinstance(parsed(payload), Prediction | Unreadable)


_LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
_VALUES = st.recursive(
    _LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["label", "confidence"]), below),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(message())), _VALUES))
def test_no_members_are_an_error(changes: dict[str, Any]) -> None:
    """Of any kind and number."""
    found = parsed(message(**changes))
    assert isinstance(found, Prediction | Unreadable)
    if isinstance(found, Prediction):
        json.dumps(found.row(), allow_nan=False)


@pytest.mark.parametrize("topic", ["iotctl/predictions/core-1", "iotctl/other/core-1/m", "x", "a/predictions/c/m"])
def test_other_topics_are_passed_over(topic: str) -> None:
    """A record may hold anything."""
    assert None is predictions.parse(topic, b"{}")
