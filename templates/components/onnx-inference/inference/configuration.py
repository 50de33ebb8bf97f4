"""The program's settings, read from the component's configuration and checked whole before anything starts."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Settings = TypeVar("_Settings")

THING = "{iot:thingName}"
"""Greengrass's recipe variable: resolved here too, as no nucleus resolves it outside of `accessControl` by default."""

STRATEGIES = ("RANDOM_SAMPLING", "LEAST_CONFIDENCE", "MARGIN", "ENTROPY")


class Wrong(ValueError):
    """A setting that is not usable, with its place."""


@dataclass(frozen=True)
class Model:
    """Which model, and its files beside it.

    Attributes:
        sha256: what the file must have.
        file: its name among the artifacts.
        labels: the file with one label a line, one for each class.
        sample: the file with an input to try it with; without one zeros are used.

    """

    name: str = ""
    release: str = ""
    sha256: str = ""
    file: str = "model.onnx"
    labels: str = ""
    sample: str = ""


@dataclass(frozen=True)
class Source:
    """Where inputs come from.

    Attributes:
        kind: `topic`, `directory` or `stream`; `none` is for a model that only runs its sample.
        topic: the topic filter.
        qos: of the subscription. 1: every input is answered, however late; 0: what is too much is dropped, the oldest
            first, and so is what is sent while the program restarts.
        path: of the directory; of the stream: a file, a FIFO, or `-` for stdin.
        pattern: of the file names in the directory.
        poll: seconds between looks at the directory or at the end of a file.
        after: what happens to a file that was inferred on: `keep`, `delete`, `move` (into `done/`).
        header: a CSV stream begins with its column names.
        follow: at the end of a file, wait for more; without it the program ends when all is done.

    """

    kind: str = "none"
    topic: str = ""
    qos: int = 1
    path: str = ""
    pattern: str = "*"
    poll: float = 0.5
    after: str = "keep"
    header: bool = False
    follow: bool = True


@dataclass(frozen=True)
class Input:
    """How the bytes of an input become what the model takes.

    Attributes:
        format: `json`, `csv`, `npy`, `image`, `bytes` (numbers of the model's own type), or `auto` by content.
        features: the fields of a JSON object (or the columns of a CSV with a header), in the model's order.
        resize: height and width of an image; none takes those of the model.
        layout: `NCHW` or `NHWC`; none follows from the model's shape.
        channels: `RGB`, `BGR` or `L`; none follows from the model's number of channels.
        scale: what every number is multiplied with, before mean and std.
        mean: subtracted, one for all or one for each channel (or feature).
        std: divided by, likewise.

    """

    format: str = "auto"
    features: tuple[str, ...] = ()
    resize: tuple[int, ...] = ()
    layout: str = ""
    channels: str = ""
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Output:
    """How what the model gives becomes predictions.

    Attributes:
        kind: `classification`, `regression`, `anomaly`, or `auto` by the model's outputs and labels.
        name: of the output to read; none takes the first of floating point numbers.
        softmax: `yes`, `no`, or `auto`: where the canary's output is no distribution already.
        top: how many labels.
        threshold: classification: labels below this confidence are left out. anomaly: the score that is one.
        direction: anomaly: `above` or `below` the threshold is one.
        width: anomaly: how far from the threshold the confidence is 0.73 (the logistic function of 1).

    """

    kind: str = "auto"
    name: str = ""
    softmax: str = "auto"
    top: int = 3
    threshold: float = 0.0
    direction: str = "above"
    width: float = 1.0


@dataclass(frozen=True)
class Batch:
    """How many inputs are run at once (models whose first dimension is free), and how long one waits for others."""

    size: int = 1
    wait_ms: float = 0.0


@dataclass(frozen=True)
class Limits:
    """What the model may take.

    Attributes:
        memory_mb: beyond Python and onnxruntime themselves.
        cpu_seconds: of one inference (a whole second at least), and of the loading.
        timeout_ms: of one inference, by the wall.
        load_seconds: of the loading, by the wall, Python's start with it.
        latency_ms: of the canary's second run; 0 sets none.

    """

    memory_mb: int = 1024
    cpu_seconds: int = 30
    timeout_ms: float = 10_000.0
    load_seconds: float = 60.0
    latency_ms: float = 0.0


@dataclass(frozen=True)
class Publish:
    """How predictions leave.

    Attributes:
        max_per_second: AWS IoT's own limit of a connection is 100; 0 sets none.
        qos: 0 or 1.

    """

    max_per_second: float = 100.0
    qos: int = 1


@dataclass(frozen=True)
class Action:
    """What is published when a condition over a prediction becomes true; a payload of None is the prediction."""

    on: str = ""
    topic: str = ""
    payload: str | None = None


@dataclass(frozen=True)
class Feedback:
    """Which inputs go back to the cloud.

    Attributes:
        bucket: of S3.
        prefix: of the keys.
        strategy: name and amount as AWS's ML feedback connector has them; None uploads all.
        topic: `feedback` gives the topics of that connector, `feedback/message/status` and `…/prediction`.
        dropped: also a status for each sample that the strategy left out.
        spool_mb: what may wait on disk while there is no connection; the oldest goes first.
        flush_seconds: a manifest is written when it is so old, or has 100 lines.

    """

    bucket: str = ""
    prefix: str = "feedback"
    strategy: Mapping[str, Any] | None = None
    topic: str = "feedback"
    dropped: bool = False
    spool_mb: float = 64.0
    flush_seconds: float = 60.0


@dataclass(frozen=True)
class Configuration:
    """All of it.

    Attributes:
        topic: of the predictions.
        interval: seconds between repeats of the sample; 0 runs it once.
        compare: run the release before beside this one, on the same inputs; every prediction then says of how many
            inputs so far both have answered (`compared`), and how often alike (`agreed`).

    """

    model: Model = Model()
    topic: str = ""
    source: Source = Source()
    interval: float = 0.0
    compare: bool = False
    input: Input = Input()
    output: Output = Output()
    batch: Batch = Batch()
    limits: Limits = Limits()
    publish: Publish = Publish()
    actions: tuple[Action, ...] = ()
    feedback: Feedback | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    """What it was read from."""


_CHOICES = {
    "source.kind": ("none", "topic", "directory", "stream"),
    "source.after": ("keep", "delete", "move"),
    "input.format": ("auto", "json", "csv", "npy", "image", "bytes"),
    "input.layout": ("", "NCHW", "NHWC"),
    "input.channels": ("", "RGB", "BGR", "L"),
    "output.kind": ("auto", "classification", "regression", "anomaly"),
    "output.softmax": ("auto", "yes", "no"),
    "output.direction": ("above", "below"),
    "publish.qos": (0, 1),
}


def parse(text: str, thing_name: str) -> Configuration:
    """The settings of a JSON document.

    Raises:
        Wrong: it is not JSON, has a setting that is not known, or one that is not usable.

    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Wrong(f"the configuration is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Wrong("the configuration is not a JSON object")
    given = dict(document)
    parts: dict[str, Any] = {
        name: _read(kind, given.pop(name, {}), name)
        for name, kind in (
            *(("model", Model), ("source", Source), ("input", Input), ("output", Output)),
            *(("batch", Batch), ("limits", Limits), ("publish", Publish)),
        )
    }
    parts["actions"] = tuple(
        _read(Action, item, f"actions[{place}]") for place, item in enumerate(given.pop("actions", None) or ())
    )
    feedback = given.pop("feedback", None)
    parts["feedback"] = None if feedback is None else _read(Feedback, feedback, "feedback")
    found = dataclasses.replace(_read(Configuration, given, "configuration"), document=document, **parts)
    _check(found)
    return _resolved(found, thing_name)


def _read(kind: type[_Settings], given: Any, where: str) -> _Settings:
    if not isinstance(given, Mapping):
        raise Wrong(f"{where} is not an object")
    known = {_camel(each.name): each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a dataclass
    values = {}
    for key, value in given.items():
        if key not in known:
            raise Wrong(f"{where}.{key} is not a setting; those are {', '.join(known)}")
        values[known[key].name] = _typed(known[key], value, f"{where}.{key}")
    return kind(**values)


def _typed(setting: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """The value as the setting has it; the type of the default is the setting's type."""
    default = setting.default
    if where in _CHOICES and value not in _CHOICES[where]:
        raise Wrong(f"{where} is {value!r}, none of {', '.join(map(repr, _CHOICES[where]))}")
    if default is None or default is dataclasses.MISSING:
        return value
    if isinstance(default, tuple):
        items = value if isinstance(value, list) else [value]
        return tuple(items)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, float) and number:
        return float(value)
    if type(value) is not type(default):
        raise Wrong(f"{where} is {value!r}, not of type {type(default).__name__}")
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _check(found: Configuration) -> None:
    model, source = found.model, found.source
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", model.name):
        raise Wrong(f"model.name {model.name!r} is not a name of letters, digits, _ and -")
    if not re.fullmatch(r"[0-9a-f]{64}", model.sha256):
        raise Wrong("model.sha256 is not the digest of a file")
    for name in (model.file, model.labels, model.sample):
        if "/" in name or name in {".", ".."}:
            raise Wrong(f"{name!r} is not the name of an artifact")
    if source.kind == "topic" and not source.topic:
        raise Wrong("source.topic is missing")
    if source.kind in {"directory", "stream"} and not source.path:
        raise Wrong("source.path is missing")
    _check_numbers(found)
    if found.feedback:
        _check_feedback(found.feedback)


def _check_numbers(found: Configuration) -> None:
    limits = found.limits
    for where, number in (
        *(("source.poll", found.source.poll), ("output.top", found.output.top), ("output.width", found.output.width)),
        *(("batch.size", found.batch.size), ("limits.memoryMb", limits.memory_mb)),
        *(("limits.cpuSeconds", limits.cpu_seconds), ("limits.timeoutMs", limits.timeout_ms)),
        ("limits.loadSeconds", limits.load_seconds),
    ):
        if number <= 0:
            raise Wrong(f"{where} is {number}, not above 0")
    for name, numbers in (("mean", found.input.mean), ("std", found.input.std), ("resize", found.input.resize)):
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise Wrong(f"input.{name} is not a list of numbers")
    if 0.0 in found.input.std:
        raise Wrong("input.std has a 0")
    if len(found.input.resize) not in {0, 2}:
        raise Wrong("input.resize is not height and width")


def _check_feedback(feedback: Feedback) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", feedback.bucket):
        raise Wrong(f"feedback.bucket {feedback.bucket!r} is not the name of a bucket (Greengrass allows no dots)")
    strategy = feedback.strategy
    if strategy is None:
        return
    name = strategy.get("strategy-name")
    amount = strategy.get("rate" if name == "RANDOM_SAMPLING" else "threshold")
    if name not in STRATEGIES:
        raise Wrong(f"feedback.strategy.strategy-name is {name!r}, none of {', '.join(STRATEGIES)}")
    if not isinstance(amount, (int, float)) or amount < 0 or (name != "ENTROPY" and amount > 1):
        raise Wrong(f"feedback.strategy of {name} has {amount!r}, outside of what it can be")


def _resolved(found: Configuration, thing_name: str) -> Configuration:
    """With the thing's name in its topics."""

    def named(topic: str) -> str:
        return topic.replace(THING, thing_name)

    feedback = found.feedback and dataclasses.replace(found.feedback, topic=named(found.feedback.topic))
    return dataclasses.replace(
        found,
        topic=named(found.topic or f"iotctl/predictions/{THING}/{found.model.name}"),
        source=dataclasses.replace(found.source, topic=named(found.source.topic)),
        actions=tuple(dataclasses.replace(action, topic=named(action.topic)) for action in found.actions),
        feedback=feedback,
    )
