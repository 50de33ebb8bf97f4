"""What a model gives -> predictions."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference.configuration import Output
from inference.inputs import Spec
from inference.outputs import Reader, Wrong, anomaly_confidence, reader, softmax, top

X = Spec("x", "tensor(float)", (None, 2))


def read(
    values: Any, labels: tuple[str, ...] = (), *, shape: tuple[int | None, ...] | None = None, **settings: Any
) -> Reader:
    """How a model is read that gave these values for its canary."""
    array = np.array(values, np.float32)
    spec = Spec("y", "tensor(float)", (None, *array.shape[1:]) if shape is None else shape)
    return reader([spec], [X], Output(**settings), labels, [array])


def said(found: Reader, values: Any, feed: Any = None) -> list[dict[str, Any]]:
    """The predictions of an output."""
    loaded: list[dict[str, Any]] = json.loads(found.finish(np.array(values, np.float32), 0, feed or {}).predictions)
    return loaded


def test_scores_become_labels_with_confidence() -> None:
    """A softmax where they are no distribution yet; the best three."""
    found = read([[1.0, 3.0, 2.0, 0.0]], ("a", "b", "c", "d"))
    predictions = said(found, [[1.0, 3.0, 2.0, 0.0]])
    assert ("classification", ["b", "c", "a"]) == (found.kind, [one["label"] for one in predictions])
    assert math.isclose(0.6439, predictions[0]["confidence"], abs_tol=1e-4)
    assert [{"label": "b", "confidence": 0.75}] == said(read([[0.25, 0.75]], ("a", "b"), top=1), [[0.25, 0.75]])


def test_what_is_a_distribution_stays_one() -> None:
    """Unless it is said to be scores; without labels classes are numbers; below the threshold there are none."""
    assert [{"label": "1", "confidence": 0.75}, {"label": "0", "confidence": 0.25}] == said(
        read([[0.25, 0.75]]), [[0.25, 0.75]]
    )
    assert 0.63 > said(read([[0.25, 0.75]], softmax="yes"), [[0.25, 0.75]])[0]["confidence"]
    assert [] == said(read([[0.25, 0.75]], threshold=0.8), [[0.25, 0.75]])


def test_one_number_and_two_labels_are_a_yes_or_no() -> None:
    """The number is how sure the second is; a score goes through the logistic function."""
    assert [{"label": "yes", "confidence": 0.9}, {"label": "no", "confidence": 0.1}] == said(
        read([[0.5]], ("no", "yes")), [[0.9]]
    )
    assert "no" == said(read([[-7.0]], ("no", "yes")), [[-3.0]])[0]["label"]


def test_numbers_are_values() -> None:
    """Named by labels, or by the output."""
    assert [{"label": "y", "value": 21.5}] == said(read([[21.5]]), [[21.5]])
    assert ["y[0]", "y[1]"] == [one["label"] for one in said(read([[21.5, 7.0]]), [[21.5, 7.0]])]
    assert ["t"] == [one["label"] for one in said(read([[1.5]], ("t",), kind="regression"), [[1.5]])]


def test_a_score_is_an_anomaly_beyond_its_threshold() -> None:
    """Sure by the logistic function of the distance; `below` turns it round."""
    found = read([[0.0]], kind="anomaly", threshold=2.0, width=1.0)
    (one,) = said(found, [[3.0]])
    assert ("anomaly", 3.0) == (one["label"], one["value"])
    assert math.isclose(0.731, one["confidence"], abs_tol=1e-3)
    assert "normal" == said(found, [[1.0]])[0]["label"]
    assert "anomaly" == said(read([[0.0]], kind="anomaly", threshold=2.0, direction="below"), [[1.0]])[0]["label"]


def test_an_autoencoders_score_is_its_error() -> None:
    """The mean of the squared differences between what it got and what it gave."""
    found = read([[0.0, 0.0]], kind="anomaly", threshold=1.0)
    given_ = {"x": np.array([[1.0, 3.0]], np.float32)}
    assert ("anomaly", 5.0) == (
        said(found, [[0.0, 0.0]], given_)[0]["label"],
        said(found, [[0.0, 0.0]], given_)[0]["value"],
    )


def test_maps_of_classes_are_read_as_they_are() -> None:
    """As scikit-learn's converter gives them by default."""
    found = reader([Spec("p", "seq(map(int64,tensor(float)))", ())], [X], Output(), (), [[{3: 0.2, 8: 0.8}]])
    predictions = json.loads(found.finish([{3: 0.2, 8: 0.8}], 0, {}).predictions)
    assert [("8", 0.8), ("3", 0.2)] == [(one["label"], one["confidence"]) for one in predictions]


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        ([[float("nan"), 1.0]], {}, "not finite"),
        ([[1.0, float("inf")]], {}, "not finite"),
        ([[1.0, 2.0]], {"shape": (None, 3)}, "the model declares"),
        ([[1.0, 2.0, 3.0]], {"labels": ("a", "b")}, "3 classes, and there are 2 labels"),
        ([[1.0]], {"name": "other"}, "no output 'other'"),
        ([[]], {}, "is empty"),
        (np.zeros((1, 3)).tolist(), {"kind": "anomaly", "name": "y", "inputs": 2}, "an anomaly score is one number"),
    ],
)
def test_a_canary_that_is_no_good_is_refused(values: Any, options: dict[str, Any], reason: str) -> None:
    """With its reason, before the model takes over."""
    number = options.pop("inputs", 1)
    labels, shape = options.pop("labels", ()), options.pop("shape", None)
    array = np.array(values, np.float32)
    spec = Spec("y", "tensor(float)", (None, *array.shape[1:]) if shape is None else shape)
    with pytest.raises(Wrong, match=reason):
        reader([spec], [X] * number, Output(**options), labels, [array])


def test_nan_later_on_is_an_error_of_that_input() -> None:
    """Not a prediction."""
    for found in (read([[0.2, 0.8]]), read([[3.0]])):
        with pytest.raises(Wrong, match="not finite"):
            found.finish(np.array([[np.nan, 0.5]], np.float32), 0, {})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100), st.integers(1, 5))
def test_the_top_is_the_top(values: list[float], count: int) -> None:
    """Largest first, of equal ones the first, however many there are; and a softmax is a distribution."""
    places = top(values, count)
    assert sorted(range(len(values)), key=lambda place: (-values[place], place))[:count] == places
    assert math.isclose(1.0, sum(softmax(values)), rel_tol=1e-9)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(1e-3, 1e6))
def test_confidence_has_two_sides(score: float, threshold: float, width: float) -> None:
    """How sure it is of an anomaly above is how unsure it is of one below."""
    above, below = (anomaly_confidence(score, threshold, width, side) for side in ("above", "below"))
    assert 0.0 <= above <= 1.0
    assert math.isclose(1.0, above + below, abs_tol=1e-9)
