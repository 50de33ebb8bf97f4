"""The program through Greengrass IPC: AWS's own client, a socket, and a nucleus of ours at its other end."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infer import models
from tests.infer.program.conftest import PROGRAM
from tests.infer.program.nucleus import Nucleus

INPUTS, PREDICTIONS, SHADOW = "in/cam-1", "out/cam-1", "$aws/things/cam-1/shadow/name/iotctl-models/update"


@pytest.fixture
def configuration(tmp_path: Path) -> dict[str, Any]:
    """Of a component whose model gives every number back."""
    content = models.echo()
    (tmp_path / "model.onnx").write_bytes(content)
    model = {"name": "echo", "release": "1.0.0", "sha256": hashlib.sha256(content).hexdigest()}
    source = {"kind": "topic", "topic": INPUTS}
    return {"inference": {"model": model, "source": source, "topic": PREDICTIONS}}


def started(place: Path, *, unresolved: str = "{configuration:/inference}") -> subprocess.Popen[str]:
    """The component's run step, in the environment that a nucleus gives."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROGRAM),
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(place / "ipc.socket"),
        "SVCUID": "a token",
        "AWS_IOT_THING_NAME": "cam-1",
        "IOTCTL_ARTIFACTS": str(place),
        "IOTCTL_WORK": str(place / "work"),
        "IOTCTL_INFERENCE": unresolved,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "inference", "run"], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def program(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that end with the test."""
    found: list[subprocess.Popen[str]] = []
    yield found
    for each in found:
        each.kill()
        each.communicate()


def predictions(nucleus: Nucleus, count: int) -> list[Any]:
    """The next predictions; what it says of itself goes by."""
    found = []
    while len(found) < count:
        topic, qos, payload = nucleus.published.get(timeout=20)
        assert "1" == qos
        if topic == PREDICTIONS:
            found.append(json.loads(payload))
        else:
            assert topic == SHADOW
    return found


def test_the_program_at_work_on_a_nucleus(
    tmp_path: Path, configuration: dict[str, Any], program: list[subprocess.Popen[str]]
) -> None:
    """It asks for what the nucleus left unresolved, subscribes, predicts, keeps what cannot be sent; ends when told."""
    with Nucleus(tmp_path / "ipc.socket", configuration, (INPUTS, PREDICTIONS, SHADOW)) as nucleus:
        program.append(started(tmp_path))
        assert (INPUTS, "1") == nucleus.subscribed.get(timeout=20)
        (sample,) = predictions(nucleus, 1)
        assert (True, "1.0.0") == (sample["sample"], sample["modelVersion"])
        for number in range(3):
            nucleus.send(INPUTS, b"[%d]" % number)
        assert [0, 1, 2] == [one["predictions"][0]["value"] for one in predictions(nucleus, 3)]
        nucleus.offline = True
        nucleus.send(INPUTS, b"[3]")
        assert nucleus.refused.wait(20)
        nucleus.offline = False
        assert [3] == [one["predictions"][0]["value"] for one in predictions(nucleus, 1)]
        program[0].terminate()
        _, said = program[0].communicate(timeout=20)
    assert (0, "a token", True) == (program[0].returncode, nucleus.token, "echo 1.0.0" in said)
    assert nucleus.published.empty()


def test_a_nucleus_that_refuses_or_goes_away(
    tmp_path: Path, configuration: dict[str, Any], program: list[subprocess.Popen[str]]
) -> None:
    """A subscription that accessControl does not grant ends it with the reason, and so does the nucleus' end."""
    with Nucleus(tmp_path / "ipc.socket", configuration, (PREDICTIONS,)) as nucleus:
        program.append(started(tmp_path))
        _, said = program[0].communicate(timeout=20)
        assert (1, True) == (program[0].returncode, f"refuses a subscription to {INPUTS}: not authorised" in said)
        assert nucleus.subscribed.empty()

        nucleus._granted = (INPUTS, PREDICTIONS, SHADOW)
        program.append(started(tmp_path, unresolved=json.dumps(configuration["inference"])))
        nucleus.subscribed.get(timeout=20)
        predictions(nucleus, 1)
        nucleus.hang_up()
        _, said = program[1].communicate(timeout=20)
    assert (1, True) == (program[1].returncode, "the connection to the Greengrass nucleus is gone" in said)
    with pytest.raises(queue.Empty):
        nucleus.published.get_nowait()
