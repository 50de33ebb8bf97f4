"""The whole program on the platform: a switch of models under way, as a deployment makes it, misses no input."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from inference.agent import Agent, Place
from inference.configuration import Configuration, parse
from inference.transport import connect

from iotctl import pki
from tests.infer import models
from tests.local.clients import Device, Mqtt, allow, create_policy, register
from tests.local.conftest import client

if TYPE_CHECKING:
    from iotctl.target import Platform


@pytest.fixture
def signals() -> Iterator[None]:
    """The program takes signals as its own: here they are the test's again afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def place(platform: Platform, core: Device, work: Path) -> Place:
    """The program's place on a core device without a nucleus."""
    return Place(
        {
            "AWS_IOT_THING_NAME": core.name,
            "IOTCTL_COMPONENT": "iotctl.model.echo",
            "IOTCTL_ARTIFACTS": str(work),
            "IOTCTL_WORK": str(work),
            "IOTCTL_MQTT_HOST": "localhost",
            "IOTCTL_MQTT_PORT": str(platform.mqtt_port),
            "IOTCTL_MQTT_CERT": str(core.certificate),
            "IOTCTL_MQTT_KEY": str(core.key),
            "IOTCTL_MQTT_CA": str(platform.ca_file),
        }
    )


def release(version: str, core: Device, work: Path) -> Configuration:
    """A release that gives every number back; its predictions leave as fast as they come."""
    content = models.echo()
    (work / "model.onnx").write_bytes(content)
    model = {"name": "echo", "release": version, "sha256": hashlib.sha256(content).hexdigest()}
    source = {"kind": "topic", "topic": f"in/{core.name}"}
    return parse(json.dumps({"model": model, "source": source, "publish": {"maxPerSecond": 0}}), core.name)


class Camera:
    """Sends numbers to the program, and counts what is predicted of each."""

    def __init__(self, device: Mqtt, core: str) -> None:
        self._device, self._core = device, core
        self.sent = 0
        self.predicted: Counter[int] = Counter()
        device.subscribe(f"iotctl/predictions/{core}/echo")

    def send(self, count: int) -> None:
        """The next numbers."""
        for number in range(self.sent, self.sent + count):
            self._device.send(f"in/{self._core}", b"[%d]" % number)
        self.sent += count

    def until_subscribed(self) -> None:
        """Nobody keeps what is sent before the first start; the sample comes after it has subscribed."""
        assert "sample" in self._device.next().json

    def until_seen(self) -> str:
        """Wait until the last number is predicted; the release that did."""
        while True:
            prediction = self._device.next().json
            if "sample" not in prediction:
                number = round(prediction["predictions"][0]["value"])
                self.predicted[number] += 1
                if number == self.sent - 1:
                    return str(prediction["modelVersion"])


@pytest.mark.usefixtures("signals")
def test_a_switch_of_models_misses_no_input(running: Platform, tmp_path: Path) -> None:
    """Numbers sent before, while the program ends and starts with another release, and after: each predicted once."""
    iot = client(running)
    core = register(iot, pki.Authority.create("CA"), tmp_path, "switch", create_policy(iot, allow("iot:*")))

    def run(version: str, meanwhile: Callable[[Agent], None]) -> int:
        agent = Agent(release(version, core, tmp_path), place(running, core, tmp_path))

        def beside() -> None:
            try:
                meanwhile(agent)
            finally:
                agent.stop()

        thread = threading.Thread(target=beside)
        thread.start()
        code = agent.run()
        thread.join()
        return code

    with Mqtt(running, core, "switch-camera") as device:
        camera = Camera(device, core.name)

        def first(agent: Agent) -> None:
            camera.until_subscribed()
            camera.send(50)
            assert "1.0.0" == camera.until_seen()
            camera.send(200)
            agent.stop()
            camera.send(50)

        def second(_: Agent) -> None:
            camera.send(50)
            # The release before serves until the new one has shown that it works.
            while camera.until_seen() != "2.0.0":
                camera.send(1)
            device.settle()

        assert 0 == run("1.0.0", first)
        camera.send(50)
        assert 0 == run("2.0.0", second)
        left = [message for message in device.rest() if b'"sample"' not in message.payload]
    assert ([], Counter(range(camera.sent))) == (left, camera.predicted)


def test_a_message_that_is_refused_is_told(
    running: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over MQTT 5 the broker acknowledges it, with the reason: an action that does nothing is not silent."""
    iot = client(running)
    mine = f"arn:aws:iot:{running.region}:{running.account_id}:topic/mine"
    policy = create_policy(iot, allow("iot:Connect"), allow("iot:Publish", resource=mine))
    core = register(iot, pki.Authority.create("CA"), tmp_path, "refused", policy)
    transport = connect(place(running, core, tmp_path).environment, lambda _: None)
    settled = threading.Semaphore(0)
    for topic in ("mine", "others"):
        transport.publish(topic, b"x", 1, settled.release)
        assert settled.acquire(timeout=10)
    transport.close()
    assert ["not published to others: refused (NOT_AUTHORIZED)"] == [
        line.partition(";")[0] for line in capsys.readouterr().err.splitlines()
    ]
