"""The workers of a model: real processes that crash, hang and disagree; the input is answered, the others go on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inference.child import Item, Who
from inference.configuration import parse
from inference.releases import Release, Releases
from inference.runner import CRASHED, REFUSED, RUNNING, Runner

from tests.infer import models

PATIENCE = 60.0


class Stage:
    """A runner, and what it said."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.answers: list[dict[str, Any]] = []
        self.errors: list[tuple[int, str]] = []
        self.events: list[tuple[str, str]] = []
        for name in ("artifacts", "scratch"):
            (place / name).mkdir()
        self.releases = Releases(str(place / "releases"), "core-1")
        self.runner = Runner(
            self.releases,
            Who("core-1", "boot"),
            str(place / "scratch"),
            answered=lambda _, __, text: self.answers.append(json.loads(text)),
            failed=lambda _, __, seq, reason: self.errors.append((seq, reason)),
            event=lambda kind, release, _: self.events.append((kind, release.configuration.model.release)),
        )

    def release(self, version: str, content: bytes, **more: Any) -> Release:
        """A release, kept."""
        (self.place / "artifacts" / "model.onnx").write_bytes(content)
        model = {"name": "m", "release": version, "sha256": hashlib.sha256(content).hexdigest()}
        configuration = parse(json.dumps({"model": model, **more}), "core-1")
        return self.releases.keep(configuration, str(self.place / "artifacts"))

    def until(self, condition: Callable[[], Any]) -> None:
        """Run until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.events, self.errors, self.answers)
            self.runner.step(0.05)

    def give(self, *payloads: bytes) -> None:
        """Inputs, and their answers."""
        wanted = len(self.answers) + len(self.errors) + len(payloads)
        self.runner.give([Item(payload) for payload in payloads])
        self.until(lambda: len(self.answers) + len(self.errors) >= wanted)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A runner of nothing yet."""
    found = Stage(tmp_path)
    yield found
    found.runner.close()
    assert [] == list((tmp_path / "scratch").iterdir())


def test_one_bad_input_spoils_no_other(stage: Stage) -> None:
    """It is answered with its reason and its number; a worker that dies on one starts again, and heeds no SIGTERM."""
    stage.runner.offer(stage.release("1.0.0", models.linear()))
    stage.until(lambda: stage.events)
    stage.give(b"[1, 2, 3]", b"[1, 2]", b"no", b"[3, 2, 1]")
    assert ["2", "0"] == [one["predictions"][0]["label"] for one in stage.answers]
    assert ([0, 3], [1, 2]) == ([one["seq"] for one in stage.answers], [seq for seq, _ in stage.errors])
    assert "does not fit x" in stage.errors[0][1]

    assert stage.runner.active
    os.kill(stage.runner.active.pid, signal.SIGTERM)
    os.kill(stage.runner.active.pid, signal.SIGSTOP)
    stage.runner.give([Item(b"[1, 2, 3]"), Item(b"[3, 2, 1]")])
    os.kill(stage.runner.active.pid, signal.SIGKILL)
    stage.until(lambda: len(stage.answers) + len(stage.errors) == 6)
    assert (4, "it was killed, as the kernel does when memory runs out") == stage.errors[-1]
    assert (5, "0") == (stage.answers[-1]["seq"], stage.answers[-1]["predictions"][0]["label"])
    assert [(RUNNING, "1.0.0"), (CRASHED, "1.0.0"), (RUNNING, "1.0.0")] == stage.events
    # onnxruntime would keep what its telemetry sends in HOME.
    assert [] == [path for path in (stage.place / "scratch").rglob("*") if path.is_file()]


def test_what_is_no_good_never_takes_over_and_what_is_good_compares(stage: Stage) -> None:
    """P20: NaN and a model that is cut off are refused, and the one before serves on; one that compares says so."""
    stage.runner.offer(stage.release("1.0.0", models.linear()))
    stage.until(lambda: stage.events)
    for version, content in (("2.0.0", models.nan()), ("3.0.0", models.linear()[:-9])):
        stage.runner.offer(stage.release(version, content))
        stage.until(lambda version=version: (REFUSED, version) in stage.events)
    stage.give(b"[1, 2, 3]")
    assert "1.0.0" == stage.answers[-1]["modelVersion"]

    stage.runner.offer(stage.release("4.0.0", models.linear(-2.0), compare=True))
    stage.until(lambda: (RUNNING, "4.0.0") in stage.events)
    stage.give(*[b"[1, 2, 3]"] * 3, *[b"[5, 5, 5]"] * 2)
    stage.until(lambda: stage.runner.comparison and stage.runner.comparison.compared == 5)
    assert stage.runner.comparison
    assert (5, 2) == (stage.runner.comparison.compared, stage.runner.comparison.agreed)
    assert {"4.0.0"} == {one["modelVersion"] for one in stage.answers[1:]}
    assert "compared" in stage.answers[-1]
