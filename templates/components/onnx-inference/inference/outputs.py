"""What the model gives -> predictions: labels with confidence, values, or whether something is an anomaly.

A finisher returns the predictions as JSON text, made by hand: `json.dumps` alone would take longer than a small model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

from inference.inputs import Feed, Spec

if TYPE_CHECKING:
    from inference.configuration import Output

_MANY = 64
"""Classes from which numpy is quicker than plain Python."""
_SUM_OFF = 1e-3


class Wrong(ValueError):
    """Why an output is no prediction."""


class Finished(NamedTuple):
    """The predictions as a JSON array, and the distribution that sampling looks at."""

    predictions: str
    distribution: Sequence[float]


Finisher = Callable[[Any, int, Feed], Finished]
"""Of the chosen output, the row in it, and the input it belongs to."""


class Reader(NamedTuple):
    """How the outputs of one model are read.

    Attributes:
        output: the name of the one that is read.
        kind: what it is read as.

    """

    output: str
    kind: str
    finish: Finisher


def reader(
    outputs: Sequence[Spec], inputs: Sequence[Spec], settings: Output, labels: Sequence[str], canary: Sequence[Any]
) -> Reader:
    """How to read a model, seen from what it gave for the canary's input.

    Raises:
        Wrong: the output has not the declared shape, is not finite, or does not fit the labels.

    """
    place = _chosen(outputs, settings)
    output, value = outputs[place], canary[place]
    if output.type.startswith("seq(map("):
        return Reader(output.name, "classification", _mapped(settings, labels))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise Wrong(f"the output {output.name} is {output.type}, which has no numbers; output.name names another")
    _check(output, value)
    batched = bool(value.ndim) and value.shape[0] == 1
    values: list[float] = _values(value, 0, batched=batched)
    kind = settings.kind if settings.kind != "auto" else _kind(values, labels)
    if kind == "regression":
        names = labels if len(labels) == len(values) else _numbered(output.name, len(values))
        return Reader(output.name, kind, _regression([json.dumps(name) for name in names], batched=batched))
    if kind == "anomaly":
        reconstructs = len(values) > 1 and len(inputs) == 1
        if len(values) != 1 and not reconstructs:
            raise Wrong(f"an anomaly score is one number; {output.name} has {len(values)}")
        return Reader(output.name, kind, _anomaly(settings, labels, reconstructs=reconstructs, batched=batched))
    return Reader(output.name, kind, _classification(settings, labels, values, output, batched=batched))


def softmax(values: Sequence[float]) -> list[float]:
    """A distribution of scores; large ones do not overflow."""
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    total = sum(powers)
    return [power / total for power in powers]


def top(values: Sequence[float], count: int) -> list[int]:
    """The places of the largest values, the largest first; of equal ones the first."""
    if len(values) > _MANY:
        array = np.asarray(values)
        found = np.argsort(-array, kind="stable")[:count]
        return [int(place) for place in found]
    if count == 1:
        return [values.index(max(values))] if isinstance(values, list) else [int(np.argmax(values))]
    return sorted(range(len(values)), key=values.__getitem__, reverse=True)[:count]


def is_distribution(values: Sequence[float]) -> bool:
    """Whether they are probabilities already."""
    return min(values) >= 0.0 and max(values) <= 1.0 + _SUM_OFF and abs(sum(values) - 1.0) <= _SUM_OFF


def anomaly_confidence(score: float, threshold: float, width: float, direction: str) -> float:
    """How sure it is an anomaly: 0.5 at the threshold, 0.73 one width beyond it (the logistic function)."""
    distance = (score - threshold) / width
    distance = max(-700.0, min(700.0, distance if direction == "above" else -distance))
    return 1.0 / (1.0 + math.exp(-distance))


def _chosen(outputs: Sequence[Spec], settings: Output) -> int:
    names = [output.name for output in outputs]
    if settings.name:
        if settings.name not in names:
            raise Wrong(f"there is no output {settings.name!r}; those are {', '.join(names)}")
        return names.index(settings.name)
    for wanted in ("tensor(float", "tensor(double", "seq(map(", "tensor("):
        for place, output in enumerate(outputs):
            if output.type.startswith(wanted):
                return place
    raise Wrong(f"none of the outputs is of numbers: {', '.join(output.type for output in outputs)}")


def _check(output: Spec, value: Any) -> None:
    declared = output.shape
    fits = len(declared) == value.ndim and all(size in {None, actual} for size, actual in zip(declared, value.shape))
    if declared and not fits:
        shown = ["?" if size is None else size for size in declared]
        raise Wrong(f"the output {output.name} has the shape {list(value.shape)}; the model declares {shown}")
    if not np.isfinite(value).all():
        raise Wrong(f"the output {output.name} is not finite: it has NaN or infinity")
    if not value.size:
        raise Wrong(f"the output {output.name} is empty")


def _kind(values: Sequence[float], labels: Sequence[str]) -> str:
    if len(labels) > 1:
        return "classification"
    return "classification" if len(values) > 1 and is_distribution(values) else "regression"


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}[{place}]" for place in range(count)]


def _values(array: Any, row: int, *, batched: bool) -> list[float]:
    found: list[float] = (array[row] if batched else array).ravel().tolist()
    return found


def _finite(values: Sequence[float]) -> None:
    total = sum(values)
    if total - total != 0.0:
        raise Wrong("the output is not finite: it has NaN or infinity")


def _regression(names: Sequence[str], *, batched: bool) -> Finisher:
    heads = [f'{{"label":{name},"value":' for name in names]

    def finish(array: Any, row: int, _feed: Feed) -> Finished:
        values = _values(array, row, batched=batched)
        _finite(values)
        shown = ",".join(f"{head}{value:.7g}}}" for head, value in zip(heads, values))
        return Finished(f"[{shown}]", ())

    return finish


def _anomaly(settings: Output, labels: Sequence[str], *, reconstructs: bool, batched: bool) -> Finisher:
    normal, anomaly = (json.dumps(label) for label in (labels if len(labels) == 2 else ("normal", "anomaly")))
    threshold, width, direction = settings.threshold, settings.width, settings.direction

    def finish(array: Any, row: int, feed: Feed) -> Finished:
        if reconstructs:
            (given,) = feed.values()
            score = float(np.mean(np.square(array[row].ravel() - given[row if len(given) > 1 else 0].ravel())))
        else:
            (score,) = _values(array, row, batched=batched)
        _finite((score,))
        sure = anomaly_confidence(score, threshold, width, direction)
        label, confidence = (anomaly, sure) if sure >= 0.5 else (normal, 1.0 - sure)
        text = f'[{{"label":{label},"confidence":{confidence:.6g},"value":{score:.7g}}}]'
        return Finished(text, (sure, 1.0 - sure))

    return finish


def _classification(
    settings: Output, labels: Sequence[str], values: Sequence[float], output: Spec, *, batched: bool
) -> Finisher:
    single = len(values) == 1 and len(labels) == 2
    if labels and not single and len(values) != len(labels):
        raise Wrong(f"the output {output.name} has {len(values)} classes, and there are {len(labels)} labels")
    names = labels or [str(place) for place in range(len(values))]
    heads = [f'{{"label":{json.dumps(name)},"confidence":' for name in names]
    score = {"yes": True, "no": False}.get(settings.softmax)
    scores = score if score is not None else not (0.0 <= values[0] <= 1.0 if single else is_distribution(values))
    count, least = min(settings.top, len(heads)), settings.threshold

    def finish(array: Any, row: int, _feed: Feed) -> Finished:
        found = _values(array, row, batched=batched)
        _finite(found)
        if single:
            sure = anomaly_confidence(found[0], 0.0, 1.0, "above") if scores else found[0]
            found = [1.0 - sure, sure]
        elif scores:
            found = softmax(found)
        return Finished(_shown(found, heads, count, least), found)

    return finish


def _shown(values: Sequence[float], heads: Sequence[str], count: int, least: float) -> str:
    places = top(values, count)
    return f"[{','.join([f'{heads[place]}{values[place]:.6g}}}' for place in places if values[place] >= least])}]"


def _mapped(settings: Output, labels: Sequence[str]) -> Finisher:
    """scikit-learn's converter, by default: a sequence of maps from class to probability."""

    def finish(rows: Any, row: int, _feed: Feed) -> Finished:
        found = rows[row]
        values = list(found.values())
        _finite(values)
        names: Sequence[Any] = labels if len(labels) == len(values) else list(found)
        heads = [f'{{"label":{json.dumps(str(name))},"confidence":' for name in names]
        return Finished(_shown(values, heads, min(settings.top, len(values)), settings.threshold), values)

    return finish
