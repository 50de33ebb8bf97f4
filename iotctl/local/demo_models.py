"""The tour goes on at the edge: a classifier on a core device, its predictions, a canary that stops a worse one.

The models are of scikit-learn's digits (.ci/digits.py made them): 8 x 8 pixels of handwriting; every tenth image was
held out, and is what the cores are sent here.
"""

from __future__ import annotations

import csv
import importlib.resources
import importlib.util
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotctl.local.demo import Line, Stage
    from iotctl.mqtt import Connection

_FILES: Final = ("digits.onnx", "digits-worse.onnx", "digits-labels.txt", "digits-sample.json")
_HELD_OUT: Final = "digits-held-out.csv"
_NEEDED: Final = ("numpy", "onnxruntime")
_CORE: Final = "edge-1"
_GROUP: Final = "edge"
_CANARY: Final = "edge-first"
_PAUSE_SECONDS: Final = 0.01
_RELAXED_SECONDS: Final = 0.025
"""Between two images while a canary is judged: most of that time it is deployed, and a hundred are enough."""


def edge(stage: Stage) -> Iterator[Line]:
    """The second half of the tour; only a word about it where what models need is not installed."""
    yield _line("")
    if not all(importlib.util.find_spec(name) for name in _NEEDED):
        yield _line("# The tour goes on with models at the edge after: pip install 'iotctl[local,ml]'")
        return
    images = _placed(stage)
    yield _line("# Models at the edge: a Greengrass core device, here.")
    yield from stage.beside("local", "core", _CORE, "-g", _GROUP, until="connected")
    yield _line("")
    yield _line(
        "# A classifier of handwritten digits: tried here, made a component, deployed, its first prediction awaited."
    )
    more = ("--labels", "digits-labels.txt", "--sample", "digits-sample.json")
    push = ("infer", "push", "-g", _GROUP, "--name", "digits", "--yes")
    yield from stage.iotctl(*push, "digits.onnx", "--release", "1.0.0", *more, "--wait")
    aws = stage.client()
    aws.call("iot:CreateThingGroup", thingGroupName=_CANARY)
    aws.call("iot:AddThingToThingGroup", thingGroupName=_CANARY, thingName=_CORE)
    worse = (*push, "digits-worse.onnx", "--release", "2.0.0", *more)
    with stage.connection() as connection:
        camera = _Camera(connection, images)
        try:
            yield from _predicted(stage, images)
            camera.pause = _RELAXED_SECONDS
            yield from _judged(stage, worse)
        finally:
            camera.stop()
    yield from _rolled_back(stage, worse)


def _predicted(stage: Stage, images: Sequence[tuple[str, bytes]]) -> Iterator[Line]:
    yield _line("")
    yield _line("# A camera sends it images that it has not seen in training.")
    yield from stage.iotctl("infer", "tail", _CORE, "--count", "3")
    words = ("infer", "tail", _CORE, "--count", str(len(images)), "-o", "json")
    rows = [json.loads(line) for line in stage.answer(*words)]
    right = sum(
        row["label"] == _truth(images, row["seq"]) for row in rows if row["type"] == "row" and "sample" not in row
    )
    yield _line("")
    yield _line(f"# Accuracy on the {len(images)} images that were held out: {right / len(images):.3f}")


def _judged(stage: Stage, worse: Sequence[str]) -> Iterator[Line]:
    yield _line("")
    yield _line("# A worse model. The canary runs it beside the good one, on the same images, and stops it (exit 10).")
    yield from stage.iotctl(
        *worse, "--canary", _CANARY, "--soak", "1s", "--predictions", "100", ends=Exit.ROLLOUT_FAILED
    )


def _rolled_back(stage: Stage, worse: Sequence[str]) -> Iterator[Line]:
    yield _line("")
    yield _line("# Without a canary it is everywhere; and then it is back as it was.")
    yield from stage.iotctl(*worse, "--wait")
    yield from stage.iotctl("infer", "rollback", "-g", _GROUP, "--yes", "--wait")
    yield from stage.iotctl("infer", "status", "-g", _GROUP)


def _placed(stage: Stage) -> list[tuple[str, bytes]]:
    """Put the files of the models into the tour's directory; the held-out images, each with the digit that it is."""
    place = importlib.resources.files("iotctl.local")
    for name in _FILES:
        (stage.directory / name).write_bytes(place.joinpath(name).read_bytes())
    _, *rows = csv.reader(place.joinpath(_HELD_OUT).read_text("utf-8").splitlines())
    return [(digit, json.dumps([int(pixel) for pixel in pixels]).encode()) for digit, *pixels in rows]


def _truth(images: Sequence[tuple[str, bytes]], seq: int) -> str:
    """What an input was: the program's first prediction, number 0, is of its sample; then it counts the camera's."""
    return images[(seq - 1) % len(images)][0]


class _Camera:
    """Sends the images to the core, one after the other, over and over.

    Attributes:
        pause: seconds between two of them.

    """

    def __init__(self, connection: Connection, images: Sequence[tuple[str, bytes]]) -> None:
        self.pause = _PAUSE_SECONDS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(connection, images), name="camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._stop.set()
        self._thread.join()

    def _send(self, connection: Connection, images: Sequence[tuple[str, bytes]]) -> None:
        topic = f"iotctl/inputs/{_CORE}/digits"
        for _, image in itertools.cycle(images):
            if self._stop.wait(self.pause):
                return
            connection.publish(topic, image)


def _line(text: str) -> dict[str, Any]:
    return {"line": text}
