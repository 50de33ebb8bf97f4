"""Models at the edge, in one run: `pytest -m bench tests/bench/bench_infer.py -s`.

Four questions, each a figure with its goal and a ratio to a named baseline of the same session: how long from a push
to the first prediction (to Python's own start with onnxruntime); what the agent and its worker add to a session.run;
what `infer tail` takes of a core at 20,000 messages a second, with and without its view; what a switch of models under
way misses (nothing, and that is asserted). Nothing is asserted about time: a slow machine is not a bug.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import iotctl.local
from iotctl import pki
from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.packets import V311, Connect
from iotctl.target import Platform
from tests.infer import models
from tests.local.clients import Device, Mqtt, create_policy, register
from tests.local.conftest import client

LOCAL = Path(iotctl.local.__file__).parent
PROGRAM = Path(__file__).parents[2] / "templates" / "components" / "onnx-inference"
ROUNDS = 3
PATIENCE = 30.0
STEADY = 100
"""Inputs a second while models are switched: what AWS IoT sends on a connection."""
INPUTS = 20_000
RATE = 20_000
SECONDS = 5


@pytest.mark.bench
@pytest.mark.usefixtures("platform")
def test_from_push_to_the_first_prediction(tmp_path: Path) -> None:
    """A release each round on one core: the whole command, until the prediction is there (goal: under 5 s)."""
    core = subprocess.Popen(
        [sys.executable, "-m", "iotctl", "local", "core", "bench-core"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert core.stdout
    try:
        while "connected" not in core.stdout.readline():
            assert core.poll() is None
        seconds, ratios = [], []
        for number in range(ROUNDS):
            bare = timed([sys.executable, "-c", "import onnxruntime, numpy"])
            words = (
                "infer",
                "push",
                str(LOCAL / "digits.onnx"),
                "bench-core",
                "--name",
                "bench",
                "--release",
                f"{number}.0.0",
            )
            sample = ("--sample", str(LOCAL / "digits-sample.json"), "--yes", "--wait")
            seconds.append(timed([sys.executable, "-m", "iotctl", *words, *sample]))
            ratios.append(seconds[-1] / bare)
    finally:
        core.terminate()
        core.communicate()
    shown = ", ".join(f"{each:.2f}" for each in seconds)
    print(f"\npush to first prediction: {shown} s (goal 5); {statistics.median(ratios):.1f} times `import onnxruntime`")


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["topic", "directory"])
@pytest.mark.usefixtures("platform")
def test_a_deployment_misses_no_input(running: Platform, tmp_path: Path, kind: str) -> None:
    """Numbers at a steady rate, and a new release deployed meanwhile, twice: every one predicted, and once (goal)."""
    (tmp_path / "echo.onnx").write_bytes(models.echo())
    (tmp_path / "settings.json").write_text('{"publish": {"maxPerSecond": 0}}')
    (tmp_path / "in").mkdir()
    name = f"bench-switch-{kind}"
    allowed = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    iot = client(running)
    policy = create_policy(iot, allowed)
    camera = register(iot, pki.Authority.create("Bench CA"), tmp_path, f"{name}-camera", policy)
    source = () if kind == "topic" else ("--source", f"directory:{tmp_path / 'in'}")
    ours = (sys.executable, "-m", "iotctl")
    words = (*ours, "infer", "push", str(tmp_path / "echo.onnx"), name, "--name", f"echo-{kind}")
    settings = ("--settings", str(tmp_path / "settings.json"), "--yes", "--wait")
    core = subprocess.Popen([*ours, "local", "core", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert core.stdout
    sent: list[float] = []
    seen: dict[int, list[tuple[float, str]]] = {}
    try:
        while "connected" not in core.stdout.readline():
            assert core.poll() is None
        subprocess.run([*words, "--release", "1.0.0", *source, *settings], check=True, capture_output=True)
        over = threading.Event()
        with Mqtt(running, camera) as device:
            device.subscribe(f"iotctl/predictions/{name}/echo-{kind}")

            def send() -> None:
                while not over.wait(1 / STEADY):
                    number = len(sent)
                    sent.append(time.perf_counter())
                    if kind == "topic":
                        device.send(f"iotctl/inputs/{name}/echo-{kind}", b"[%d]" % number)
                    else:
                        (tmp_path / "in" / f"{number}.json").write_text(f"[{number}]")

            def listen() -> None:
                heard = time.perf_counter()
                while not over.is_set() or (len(seen) < len(sent) and time.perf_counter() - heard < PATIENCE):
                    for message in device.rest():
                        heard = time.perf_counter()
                        prediction = message.json
                        if "sample" not in prediction:
                            number = round(prediction["predictions"][0]["value"])
                            seen.setdefault(number, []).append((heard, prediction["modelVersion"]))
                    time.sleep(0.001)  # messages come by a thread of their own: what is here is when they were seen

            threads = [threading.Thread(target=each) for each in (send, listen)]
            for thread in threads:
                thread.start()
            for version in ("2.0.0", "3.0.0"):
                subprocess.run([*words, "--release", version, *source, *settings], check=True, capture_output=True)
            over.set()
            for thread in threads:
                thread.join()
    finally:
        core.terminate()
        core.communicate()
    missed = [number for number in range(len(sent)) if number not in seen]
    doubled = [number for number, each in seen.items() if len(each) > 1]
    waits = [each[0][0] - sent[number] for number, each in seen.items()]
    by = Counter(each[0][1] for each in seen.values())
    print(
        f"\nmodel switch, {kind}: {len(sent)} inputs at {STEADY} a second through two deployments: {len(missed)} missed"
        f" (goal 0), {len(doubled)} predicted twice; by release {dict(by)};"
        f" waited {statistics.median(waits) * 1000:.0f} ms mostly, {max(waits):.2f} s at the most"
    )
    assert ([], []) == (missed, doubled)


@pytest.mark.bench
def test_what_the_agent_adds_to_a_session(tmp_path: Path) -> None:
    """The digits, one input after the other as fast as it goes: agent and worker against a loop around session.run."""
    sys.path.insert(0, str(PROGRAM))
    from inference.child import Item, Who
    from inference.configuration import parse
    from inference.releases import Releases
    from inference.runner import Runner

    content = (LOCAL / "digits.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "scratch").mkdir()
    model = {"name": "digits", "release": "1.0.0", "sha256": hashlib.sha256(content).hexdigest()}
    releases = Releases(str(tmp_path / "releases"), "bench")
    answered: list[bytes] = []
    runner = Runner(
        releases,
        Who("bench", "boot"),
        str(tmp_path / "scratch"),
        answered=lambda _, __, text: answered.append(text),
        failed=lambda *failed: pytest.fail(str(failed)),
        event=lambda *_: None,
    )
    runner.offer(releases.keep(parse(json.dumps({"model": model}), "bench"), str(tmp_path)))
    while runner.active is None:
        runner.step(0.1)
    payload = (LOCAL / "digits-sample.json").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    feed = {"pixels": np.array(json.loads(payload), np.float32).reshape(1, 64)}
    bare, ours, latencies, own = [], [], [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(INPUTS):
            session.run(["probabilities"], feed)
        bare.append((time.perf_counter() - started) / INPUTS * 1e6)
        answered.clear()
        given, started, used = 0, time.perf_counter(), time.process_time()
        while len(answered) < INPUTS:
            room = min(runner.room, INPUTS - given)
            if room:
                runner.give([Item(payload)] * room)
                given += room
            runner.step(0.01)
        ours.append((time.perf_counter() - started) / INPUTS * 1e6)
        own.append((time.process_time() - used) / INPUTS * 1e6)
        latencies.append(statistics.median(json.loads(text)["latencyMs"] for text in answered) * 1000)
    runner.close()
    whole, alone = statistics.median(ours), statistics.median(bare)
    print(
        f"\nagent and worker: {whole:.1f} us an input by the clock; {whole / alone:.1f} times session.run {alone:.1f};"
        f" the agent's own CPU time {statistics.median(own):.1f} us (goal 15);"
        f" decode, run, finish in the worker {statistics.median(latencies):.1f} us"
    )


@pytest.mark.bench
def test_tail_at_twenty_thousand_messages_a_second(platform: Platform, tmp_path: Path) -> None:
    """A paced publisher, QoS 0; the tail's own CPU time, with its view and without (goal 40 %, view + 10 %)."""
    iot, signer = client(platform), pki.Authority.create("Bench CA")
    allowed = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    device = register(iot, signer, tmp_path, "bench-tail", create_policy(iot, allowed))
    used: dict[str, list[float]] = {"view": [], "pipe": []}
    for mode, shares in used.items():
        shares.append(_tailed(platform, device, view=mode == "view"))
    view, pipe = (statistics.median(used[mode]) for mode in ("view", "pipe"))
    print(f"infer tail --stats: {pipe:.0%} of a core without its view, {view:.0%} with it: {view / pipe:.2f} times")


def _tailed(platform: Platform, device: Device, *, view: bool) -> float:
    """One tail while so many messages come: the share of a core that it takes."""
    words = [sys.executable, "-m", "iotctl", "infer", "tail", device.name, "--stats", "--for", f"{SECONDS + 8}s"]
    words += [] if view else ["-o", "json"]
    ours, its = pty.openpty()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    tail = subprocess.Popen(
        words,
        stdout=its if view else subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its)
    drained = threading.Thread(target=_drain, args=(ours,), daemon=True)
    drained.start()
    sent = _publish(platform, device)
    output, _ = tail.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not view:
        data = json.loads(output.splitlines()[-1])["data"]
        got, lost = data["predictions"], data["dropped"]
        print(f"\n{sent / SECONDS:,.0f} messages a second: {got:,} of {sent:,} received, {lost:,} dropped")
    return cpu / SECONDS


def _publish(platform: Platform, device: Device) -> int:
    """Send predictions at the rate, after the tail has had time to subscribe; how many."""
    time.sleep(3)  # it says nothing in a pipe until it has something to say
    with (
        socket.create_connection(("127.0.0.1", platform.mqtt_port)) as plain,
        device.tls(platform).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(encode(Connect(V311, device.name, keep_alive=60), V311))
        connection.recv(4)
        topic = f"iotctl/predictions/{device.name}/digits".encode()
        head = len(topic).to_bytes(2, "big") + topic
        started, sent = time.perf_counter(), 0
        # A broker that is slower holds the publisher up, and then fewer are sent in this time.
        while (elapsed := time.perf_counter() - started) < SECONDS:
            due = int(elapsed * RATE)
            if due - sent < 100:
                time.sleep(0.002)  # the rate is what is sent, not something that is waited for
                continue
            connection.sendall(b"".join(_packet(head, seq) for seq in range(sent, due)))
            sent = due
        connection.sendall(b"\xe0\x00")
    return sent


def _packet(head: bytes, seq: int) -> bytes:
    body = head + (
        b'{"thingName":"bench-tail","modelName":"digits","modelVersion":"1.0.0","modelSha256":"ab","bootId":"b","seq":%d,'
        b'"timestamp":"2026-01-01T00:00:00.000Z","latencyMs":0.5,"predictions":[{"label":"7","confidence":0.9}]}' % seq
    )
    size = len(body)
    return b"\x30" + bytes((size & 0x7F | 0x80, size >> 7)) + body


def _drain(descriptor: int) -> None:
    with open(descriptor, "rb", buffering=0) as terminal:
        try:
            while terminal.read(65536):
                pass
        except OSError:
            return


def timed(command: list[str]) -> float:
    """Seconds of one command."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
