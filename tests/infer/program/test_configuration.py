"""The program's settings, checked whole before anything starts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from inference.actions import Actions
from inference.configuration import Action, Wrong, parse

MODEL = {"name": "m", "release": "1.0.0", "sha256": "ab" * 32}


def parsed(**more: Any) -> Any:
    """The settings of a model."""
    return parse(json.dumps({"model": MODEL, **more}), "core-1")


def test_the_thing_is_in_its_topics() -> None:
    """Where no nucleus has put it."""
    found = parsed(
        source={"kind": "topic", "topic": "in/{iot:thingName}"}, actions=[{"on": "a", "topic": "x/{iot:thingName}"}]
    )
    assert ("iotctl/predictions/core-1/m", "in/core-1", "x/core-1") == (
        found.topic,
        found.source.topic,
        found.actions[0].topic,
    )
    assert 50 == parsed(limits={"timeoutMs": 50}).limits.timeout_ms


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"model": {**MODEL, "name": "a/b"}}, "model.name"),
        ({"model": {**MODEL, "sha256": "x"}}, "model.sha256"),
        ({"model": {**MODEL, "file": "../etc/passwd"}}, "not the name of an artifact"),
        ({"limits": {"memory": 1}}, "limits.memory is not a setting"),
        ({"limits": {"memoryMb": "1"}}, "not of type int"),
        ({"limits": {"timeoutMs": 0}}, "not above 0"),
        ({"source": {"kind": "camera"}}, "none of"),
        ({"source": {"kind": "topic"}}, "source.topic is missing"),
        ({"input": {"std": [1, 0.0]}}, "has a 0"),
        ({"input": {"resize": [1, 2, 3]}}, "height and width"),
        ({"feedback": {"bucket": "no.dots"}}, "no dots"),
        ({"feedback": {"bucket": "abc", "strategy": {"strategy-name": "MARGIN", "threshold": 2}}}, "outside"),
        ({"batch": [1]}, "not an object"),
    ],
)
def test_what_is_not_usable_is_told_with_its_place(more: dict[str, Any], reason: str) -> None:
    """Before anything starts."""
    with pytest.raises(Wrong, match=reason):
        parsed(**more)


def test_an_action_is_done_once_until_its_condition_was_false_again() -> None:
    """A machine is stopped once, not a hundred times a second; a sample stops nothing."""
    actions = Actions([Action('confidence > 0.9 and label == "bad"', "stop", "now"), Action("error", "failed")])

    def due(label: str, confidence: float, **more: Any) -> list[tuple[str, bytes]]:
        message = {"predictions": [{"label": label, "confidence": confidence}], **more}
        return list(actions.due(message, b"the prediction"))

    assert [] == due("bad", 0.95, sample=True)
    assert [("stop", b"now")] == due("bad", 0.95)
    assert [] == due("bad", 0.99)
    assert [] == due("good", 0.99)
    assert [("stop", b"now")] == due("bad", 0.95)
    assert [("failed", b"the prediction")] == due("good", 0.1, error="boom")
