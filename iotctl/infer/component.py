"""A model and how it is to run -> the Greengrass component that runs it: recipe, artifacts, configuration. Pure.

Source of the recipe: the Greengrass developer guide's component-recipe-reference page, and what the nucleus lite asks
for besides (aws-greengrass-lite docs/RECIPE_SUPPORT_CHANGES.md): its keys are case-sensitive, and every platform names
a runtime.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from iotctl import templates
from iotctl.errors import Usage
from iotctl.infer.actions import THING, Action
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PREFIX: Final = "iotctl.model."
"""Of a component's name; the model's name follows."""
ARCHITECTURES: Final = ("amd64", "aarch64", "arm")
"""As Greengrass names them; a manifest each where their files are not the same."""
RUNTIMES: Final = ("system", "pip", "wheels")
SHADOW: Final = "iotctl-models"
"""The named shadow in which a core reports what runs on it, by digest."""
PACKAGES: Final = "numpy onnxruntime awsiotsdk"

_PROGRAM: Final = ("components/onnx-inference", "inference")
_LONGEST_NAME: Final = 128 - len(PREFIX)
_TEMPLATE: Final = "components/onnx-inference"
_TOKENS: Final = {"aws.greengrass.TokenExchangeService": {"VersionRequirement": "^2.0.0", "DependencyType": "HARD"}}
"""What a component depends on that asks for credentials: without it the nucleus tells it of no place to get them."""
_PUBLISH: Final = "aws.greengrass#PublishToIoTCore"
_SUBSCRIBE: Final = "aws.greengrass#SubscribeToIoTCore"


class Model(Protocol):
    """What a component needs to know of a model."""

    @property
    def name(self) -> str:
        """A topic level: letters, digits, `_` and `-`."""

    @property
    def release(self) -> str:
        """A semantic version."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def sha256(self) -> str:
        """Of the file."""

    @property
    def size(self) -> int:
        """Of the file, in bytes."""

    @property
    def labels(self) -> Sequence[str]:
        """One for each class; empty when there are none."""

    @property
    def sample(self) -> bytes | None:
        """An input to try it with."""

    @property
    def sample_name(self) -> str:
        """The name of the file that the sample came from: its suffix says how to read it."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the component, by its content.

    Attributes:
        name: of the file on the core device.
        source: where its bytes are.
        architectures: whose manifests have it.

    """

    name: str
    sha256: str
    size: int
    source: Path | bytes
    architectures: tuple[str, ...] = ARCHITECTURES

    @property
    def key(self) -> str:
        """Of the S3 object: by content, so that the same bytes are uploaded once and never replaced."""
        return f"models/{self.sha256}/{self.name}"


@dataclass(frozen=True, slots=True)
class Feedback:
    """Which inputs go back to the cloud, for labelling and retraining.

    Attributes:
        bucket: of S3; the core's token-exchange role must be allowed to put objects there.
        strategy: None uploads all; else RANDOM_SAMPLING, LEAST_CONFIDENCE, MARGIN or ENTROPY.
        amount: the rate (random) or the threshold (the others).
        prefix: of the keys.

    """

    bucket: str
    strategy: str | None = None
    amount: float = 0.0
    prefix: str = "feedback"


@dataclass(frozen=True, slots=True)
class Options:
    """How the model is to run.

    Attributes:
        topic: of the predictions; empty is `iotctl/predictions/<thing>/<model>`.
        source: `topic:FILTER`, `directory:PATH` or `stream:PATH` (`stream:-` is the component's stdin); empty is
            `topic:iotctl/inputs/<thing>/<model>`.
        interval: seconds between repeats of the sample; 0 runs it once.
        runtime: how Python's packages reach the core: `system` (there already), `pip`, or `wheels` (artifacts).
        wheels: the files of `wheels`, each with the architectures that it is for.
        actions: what predictions set off.
        feedback: what goes back to the cloud.
        settings: more of the program's settings, merged over what follows from the rest: `input`, `output`, `batch`,
            `limits`, `publish` (templates/components/onnx-inference/inference/configuration.py has them all).

    """

    topic: str = ""
    source: str = ""
    interval: float = 0.0
    runtime: str = "system"
    wheels: tuple[Artifact, ...] = ()
    actions: tuple[Action, ...] = ()
    feedback: Feedback | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Component:
    """What Greengrass is given.

    Attributes:
        name: of the component.
        version: the model's release.
        artifacts: every file to upload.
        configuration: the recipe's default configuration.
        publishes: the topics that the recipe lets it publish to.
        subscribes: the topic filters that the recipe lets it subscribe to.

    """

    name: str
    version: str
    artifacts: tuple[Artifact, ...]
    configuration: Mapping[str, Any]
    publishes: tuple[str, ...]
    subscribes: tuple[str, ...]
    runtime: str

    def recipe(self, bucket: str) -> dict[str, Any]:
        """The recipe, its artifacts in a bucket."""
        recipe = templates.render_json(
            _TEMPLATE,
            "recipe",
            component=self.name,
            version=self.version,
            model=self.name.removeprefix(PREFIX),
            install=_install(self.runtime),
            python=_python(self.runtime),
        )
        recipe["ComponentConfiguration"]["DefaultConfiguration"] = copy.deepcopy(dict(self.configuration))
        if "feedback" in self.configuration["inference"]:
            recipe["ComponentDependencies"] = copy.deepcopy(_TOKENS)
        (manifest,) = recipe["Manifests"]
        recipe["Manifests"] = [self._manifest(manifest, bucket, machines) for machines in self._machines()]
        return recipe

    def _machines(self) -> list[str | None]:
        """The architectures with a manifest of their own; None: one manifest is for all.

        As few as can be: nucleus lite refuses a recipe of more than 255 keys, values and entries together.
        """
        special = {
            one
            for artifact in self.artifacts
            if len(artifact.architectures) < len(ARCHITECTURES)
            for one in artifact.architectures
        }
        return [machine for machine in ARCHITECTURES if machine in special] or [None]

    def _manifest(self, manifest: Mapping[str, Any], bucket: str, architecture: str | None) -> dict[str, Any]:
        made: dict[str, Any] = copy.deepcopy(dict(manifest))
        if architecture is not None:
            made["Platform"]["architecture"] = architecture
        # What is not said is as it should be: not unpacked, to be read by the component's own user, not to be run.
        made["Artifacts"] = [
            {"Uri": f"s3://{bucket}/{artifact.key}"}
            for artifact in self.artifacts
            if architecture is None or architecture in artifact.architectures
        ]
        return made


def component(model: Model, options: Options) -> Component:
    """The component that runs a model.

    Raises:
        Usage: an option is not usable.

    """
    if options.runtime not in RUNTIMES:
        raise Usage(f"unknown runtime {options.runtime!r}", hint=f"--runtime {'|'.join(RUNTIMES)}")
    if options.runtime == "wheels" and not options.wheels:
        raise Usage("--runtime wheels needs the wheels", hint=f"pip download {PACKAGES} -d wheels/")
    if len(model.name) > _LONGEST_NAME:
        raise Usage(f"the model's name has {len(model.name)} characters, more than {_LONGEST_NAME}")
    name = PREFIX + model.name
    files = tuple(_files(model, options))
    inference = _inference(model, options)
    publishes = tuple(dict.fromkeys(_publishes(options, inference)))
    subscribes = (inference["source"]["topic"],) if inference["source"]["kind"] == "topic" else ()
    configuration = {"accessControl": _access(name, publishes, subscribes), "inference": inference}
    return Component(name, model.release, files, configuration, publishes, subscribes, options.runtime)


def file(name: str, content: bytes) -> Artifact:
    """An artifact of bytes that are at hand."""
    return Artifact(name, hashlib.sha256(content).hexdigest(), len(content), content)


def _files(model: Model, options: Options) -> Iterator[Artifact]:
    yield Artifact("model.onnx", model.sha256, model.size, model.path)
    yield file("inference.zip", templates.archive(*_PROGRAM))
    if model.labels:
        yield file("labels.txt", "".join(f"{label}\n" for label in model.labels).encode())
    if model.sample is not None:
        yield file(_sample_name(model), model.sample)
    yield from options.wheels if options.runtime == "wheels" else ()


def _sample_name(model: Model) -> str:
    _, dot, suffix = model.sample_name.rpartition(".")
    return f"sample.{suffix}" if dot and suffix.isalnum() else "sample"


def _inference(model: Model, options: Options) -> dict[str, Any]:
    """The program's settings: what follows from the options, and over it what was given as settings."""
    found: dict[str, Any] = {
        "model": {
            "name": model.name,
            "release": model.release,
            "sha256": model.sha256,
            "file": "model.onnx",
            **({"labels": "labels.txt"} if model.labels else {}),
            **({"sample": _sample_name(model)} if model.sample is not None else {}),
        },
        "topic": options.topic or f"iotctl/predictions/{THING}/{model.name}",
        "source": _source(options.source or f"topic:iotctl/inputs/{THING}/{model.name}"),
        "interval": options.interval,
        "actions": [action.to_json() for action in options.actions],
    }
    if options.feedback:
        found["feedback"] = _feedback(model, options.feedback)
    for key, value in options.settings.items():
        if key in {"model", "actions"}:
            raise Usage(f"the setting {key!r} follows from the options", on=key)
        before = found.get(key)
        found[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def _source(words: str) -> dict[str, Any]:
    kind, _, rest = words.partition(":")
    if kind == "topic" and rest:
        try:
            topics.check_filter(rest)
        except topics.TopicError as error:
            raise Usage(f"the source {words!r} is not a topic filter that AWS IoT takes: {error}") from error
        return {"kind": kind, "topic": rest}
    if kind in {"directory", "stream"} and rest:
        return {"kind": kind, "path": rest}
    raise Usage(f"the source {words!r} is none that is known", hint="topic:FILTER, directory:PATH or stream:PATH")


def _feedback(model: Model, feedback: Feedback) -> dict[str, Any]:
    """In the names of AWS's ML feedback connector."""
    amount = "rate" if feedback.strategy == "RANDOM_SAMPLING" else "threshold"
    strategy = {"strategy-name": feedback.strategy, amount: feedback.amount} if feedback.strategy else None
    return {
        "bucket": feedback.bucket,
        "prefix": feedback.prefix,
        "strategy": strategy,
        "topic": f"iotctl/feedback/{THING}/{model.name}",
    }


def _publishes(options: Options, inference: Mapping[str, Any]) -> Iterator[str]:
    yield inference["topic"]
    yield topics.shadow(THING, "update", SHADOW)
    yield from (action.topic for action in options.actions)
    if options.feedback:
        yield from (f"{inference['feedback']['topic']}/message/{kind}" for kind in ("status", "prediction"))


def _access(name: str, publishes: Sequence[str], subscribes: Sequence[str]) -> dict[str, Any]:
    granted = {
        f"{name}:mqttproxy:1": {
            "policyDescription": "Publishes predictions, what runs here, and what its actions set off.",
            "operations": [_PUBLISH],
            "resources": list(publishes),
        }
    }
    if subscribes:
        granted[f"{name}:mqttproxy:2"] = {
            "policyDescription": "Receives its inputs.",
            "operations": [_SUBSCRIBE],
            "resources": list(subscribes),
        }
    return {"aws.greengrass.ipc.mqttproxy": granted}


def _python(runtime: str) -> str:
    return "python3" if runtime == "system" else "{work:path}/venv/bin/python"


def _install(runtime: str) -> str:
    """What prepares the core and lets a bad model fail its deployment: the canary runs before anything is replaced."""
    check = f"{_python(runtime)} -m inference check"
    if runtime == "system":
        return check
    source = f"--no-index --find-links {{artifacts:path}} {PACKAGES}" if runtime == "wheels" else PACKAGES
    venv = "python3 -m venv {work:path}/venv"
    return f"{venv} && {{work:path}}/venv/bin/python -m pip install --quiet --upgrade {source} && {check}"
