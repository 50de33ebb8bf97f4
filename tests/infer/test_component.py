"""A model and how it is to run -> what Greengrass is given."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from iotctl import templates
from iotctl.errors import Usage
from iotctl.infer import actions
from iotctl.infer.component import Artifact, Component, Feedback, Options, component
from iotctl.semantics import topics
from iotctl.semantics.recipe import parts, too_large_for_lite


@dataclass(frozen=True)
class Given:
    """A model as `infer push` reads one."""

    name: str = "digits"
    release: str = "1.2.0"
    path: Path = Path("digits.onnx")
    sha256: str = "ab" * 32
    size: int = 3700
    labels: tuple[str, ...] = ("no", "yes")
    sample: bytes | None = b"[1,2,3]"
    sample_name: str = "one.json"


def made(**options: Any) -> Component:
    """The component of the usual model."""
    return component(Given(), Options(**options))


def test_the_recipe_is_one_that_greengrass_takes() -> None:
    """Its keys are those of the recipe reference, in the casing nucleus lite insists on, one manifest for all."""
    recipe = made().recipe("bucket-1")

    assert ("2020-01-25", "iotctl.model.digits", "1.2.0") == tuple(
        recipe[key] for key in ("RecipeFormatVersion", "ComponentName", "ComponentVersion")
    )
    (manifest,) = recipe["Manifests"]
    assert {"os": "linux", "runtime": "*"} == manifest["Platform"]
    assert {"Setenv", "install", "run"} == set(manifest["Lifecycle"])
    assert "false" == manifest["Lifecycle"]["run"]["RequiresPrivilege"]
    assert [{"Uri"}] * 4 == [set(artifact) for artifact in manifest["Artifacts"]]
    assert f"s3://bucket-1/models/{'ab' * 32}/model.onnx" == manifest["Artifacts"][0]["Uri"]


def test_nucleus_lite_can_read_the_recipe() -> None:
    """It takes 255 keys, values and entries, and 8195 bytes: nucleus 2.6 failed one of three manifests."""
    wheels = tuple(Artifact(f"w{number}.whl", "cd" * 32, 5, Path("w.whl"), ("amd64",)) for number in range(11))
    both = (*wheels, *(replace(wheel, architectures=("arm",)) for wheel in wheels))
    feedback = Feedback("samples-1", "MARGIN", 0.1)
    action = actions.parse("confidence>0.9", "shadow:desired.running=false@press-4")

    assert "" == too_large_for_lite(made(feedback=feedback, actions=(action,) * 4).recipe("b"))
    assert "" == too_large_for_lite(made(runtime="wheels", wheels=wheels).recipe("b"))
    assert "keys, values and entries, more than 255" in too_large_for_lite(
        made(runtime="wheels", wheels=both).recipe("b")
    )
    assert "bytes, more than 8,195" in too_large_for_lite(made(topic="t" * 8000).recipe("b"))
    assert 6 == parts({"a": 1, "b": [True, "x"]})


def test_the_configuration_follows_from_model_and_options() -> None:
    """The program's settings, under one key that the recipe hands over as JSON."""
    settings = made(interval=5.0, settings={"limits": {"timeoutMs": 50}}).configuration["inference"]

    model = {"name": "digits", "release": "1.2.0", "sha256": "ab" * 32, "file": "model.onnx"}
    assert {**model, "labels": "labels.txt", "sample": "sample.json"} == settings["model"]
    assert "iotctl/predictions/{iot:thingName}/digits" == settings["topic"]
    assert {"kind": "topic", "topic": "iotctl/inputs/{iot:thingName}/digits"} == settings["source"]
    assert (5.0, {"timeoutMs": 50}) == (settings["interval"], settings["limits"])


def test_the_grant_follows_the_configured_topics() -> None:
    """What it publishes and subscribes to, its actions and feedback with it, and nothing else."""
    chosen = made(
        topic="plant/out",
        source="topic:plant/in/#",
        actions=(actions.parse("confidence>0.9", "shadow:desired.running=false@press-4"),),
        feedback=Feedback("samples-1", "MARGIN", 0.1),
    )
    granted = chosen.configuration["accessControl"]["aws.greengrass.ipc.mqttproxy"]
    publish, subscribe = granted.values()

    assert ["aws.greengrass#PublishToIoTCore"] == publish["operations"]
    assert [
        "plant/out",
        "$aws/things/{iot:thingName}/shadow/name/iotctl-models/update",
        "$aws/things/press-4/shadow/update",
        "iotctl/feedback/{iot:thingName}/digits/message/status",
        "iotctl/feedback/{iot:thingName}/digits/message/prediction",
    ] == publish["resources"]
    assert (["aws.greengrass#SubscribeToIoTCore"], ["plant/in/#"]) == (subscribe["operations"], subscribe["resources"])
    assert (tuple(publish["resources"]), ("plant/in/#",)) == (chosen.publishes, chosen.subscribes)


def test_what_goes_back_needs_credentials() -> None:
    """Greengrass tells only a component that depends on the token exchange service where credentials are."""
    assert "ComponentDependencies" not in made().recipe("b")
    needs = made(feedback=Feedback("samples-1")).recipe("b")["ComponentDependencies"]
    assert {"aws.greengrass.TokenExchangeService": {"VersionRequirement": "^2.0.0", "DependencyType": "HARD"}} == needs


def test_artifacts_are_named_by_their_content() -> None:
    """Labels and sample with them; the same model and options are the same bytes, whenever and wherever."""
    first, again = made(), made()
    assert first == again
    by_name = {artifact.name: artifact for artifact in first.artifacts}
    assert {"model.onnx", "inference.zip", "labels.txt", "sample.json"} == set(by_name)
    labels = by_name["labels.txt"]
    assert b"no\nyes\n" == labels.source
    assert f"models/{hashlib.sha256(b'no' + bytes((10,)) + b'yes' + bytes((10,))).hexdigest()}/labels.txt" == labels.key


def test_the_program_is_one_zip_that_needs_nothing_of_iotctl() -> None:
    """Python files only, in order, without times; no line imports this package."""
    content = templates.archive("components/onnx-inference", "inference")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        lines = [line.lstrip() for entry in entries for line in archive.read(entry).decode().splitlines()]
    assert sorted(entry.filename for entry in entries) == [entry.filename for entry in entries]
    assert {(1980, 1, 1, 0, 0, 0)} == {entry.date_time for entry in entries}
    assert "inference/__main__.py" in {entry.filename for entry in entries}
    assert [] == [line for line in lines if line.startswith(("import iotctl", "from iotctl"))]


def test_the_runtime_says_how_packages_reach_the_core() -> None:
    """There already; by pip into an environment of its own; or from wheels, each for its machines, offline."""
    wheel = Artifact("numpy.whl", "cd" * 32, 5, Path("numpy.whl"), ("amd64",))
    scripts = {
        runtime: made(runtime=runtime, wheels=(wheel,)).recipe("b")["Manifests"][0]["Lifecycle"]["install"]["Script"]
        for runtime in ("system", "pip", "wheels")
    }
    assert "python3 -m inference check" == scripts["system"]
    assert "pip install --quiet --upgrade numpy onnxruntime awsiotsdk && " in scripts["pip"]
    assert "--no-index --find-links {artifacts:path}" in scripts["wheels"]
    manifests = made(runtime="wheels", wheels=(wheel,)).recipe("b")["Manifests"]
    assert [("amd64", 1)] == [
        (each["Platform"]["architecture"], sum("numpy" in artifact["Uri"] for artifact in each["Artifacts"]))
        for each in manifests
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"runtime": "conda"}, "unknown runtime"),
        ({"runtime": "wheels"}, "needs the wheels"),
        ({"source": "camera:0"}, "none that is known"),
        ({"source": "topic:a/#/b"}, "not a topic filter"),
        ({"settings": {"model": {}}}, "follows from the options"),
    ],
)
def test_an_option_that_is_not_usable_is_told(options: dict[str, Any], reason: str) -> None:
    """Before anything is made."""
    with pytest.raises(Usage, match=reason):
        made(**options)


@pytest.mark.parametrize(
    ("do", "topic", "payload"),
    [
        ("shadow:desired.running=false@press-4", "$aws/things/press-4/shadow/update", {"running": False}),
        ("shadow:desired.a.b=7@p/line", "$aws/things/p/shadow/name/line/update", {"a": {"b": 7}}),
        ("shadow:desired.mode=slow", "$aws/things/{iot:thingName}/shadow/update", {"mode": "slow"}),
    ],
)
def test_an_action_sets_a_shadow(do: str, topic: str, payload: dict[str, Any]) -> None:
    """Of the thing that it names, else of the core device's own."""
    found = actions.parse("confidence>0.9", do)
    assert (topic, {"state": {"desired": payload}}) == (found.topic, json.loads(found.payload or ""))


def test_an_action_publishes() -> None:
    """A payload, or where there is none the prediction itself."""
    found = actions.parse("a", "publish:alarms/4=stop=1")
    assert ("alarms/4", "stop=1") == (found.topic, found.payload)
    assert None is actions.parse("a", "publish:alarms/4").payload


@pytest.mark.parametrize(
    ("on", "do", "reason"),
    [
        ("confidence >", "publish:a", "ends too early"),
        ("a", "run:rm", "neither shadow"),
        ("a", "shadow:running=false", "does not set desired"),
        ("a", "shadow:desired.x=1@bad name", "thing name"),
        ("a", "publish:a/#", "does not take"),
    ],
)
def test_an_action_that_cannot_be_is_told(on: str, do: str, reason: str) -> None:
    """As wrong words, with an example."""
    with pytest.raises(Usage, match=reason):
        actions.parse(on, do)


def test_the_longest_topics_are_ones_that_aws_iot_takes() -> None:
    """With the longest thing name there is."""
    for topic in made(feedback=Feedback("samples-1")).publishes:
        topics.check_topic(topic.replace("{iot:thingName}", "t" * 128))
