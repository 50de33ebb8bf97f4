"""The platform as a process: up, down, status, env, logs, reset; crashes; ports."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from iotctl.errors import Local
from iotctl.local import process
from iotctl.local.state import Ports, State
from tests.local.clients import until
from tests.local.conftest import client, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.conftest import Ran

AUTO = Ports(0, 0, 0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """A home of one's own; what runs there at the end is stopped."""
    monkeypatch.setenv("IOTCTL_HOME", str(tmp_path / "home"))
    state = State.here()
    yield state
    if state.running():
        process.stop(state)


def test_the_commands_of_a_platform(home: State, iotctl: Callable[..., Ran]) -> None:
    """Up, up again, status, env, logs, down, down again: each says what is so, with its exit code."""
    first = iotctl("local", "up", "--detach", "--ports", "auto", "-o", "json")
    again = iotctl("local", "up", "-o", "json")
    status = iotctl("local", "status", "-o", "json")
    assert [first.code, again.code, status.code] == [0, 0, 0]
    assert first.envelope["data"] == again.envelope["data"] == status.envelope["data"]
    keys = {"httpUrl", "mqttPort", "httpsPort", "caFile", "accountId", "region", "pid", "conditions"}
    assert keys == set(status.envelope["data"])
    assert "running already" in iotctl("local", "up").stderr

    exports = iotctl("local", "env").stdout
    shell = f"set -e; {exports} env"
    environment = dict(
        line.partition("=")[::2] for line in subprocess.check_output(["sh", "-c", shell], text=True).splitlines()
    )
    assert first.envelope["data"]["httpUrl"] == environment["AWS_ENDPOINT_URL"]
    assert environment["AWS_ACCESS_KEY_ID"].startswith("IOTCTLLOCAL")
    assert Path(environment["AWS_CA_BUNDLE"]).read_text().startswith("-----BEGIN CERTIFICATE")

    running = state_of(home)
    send(running, "GET", "/things/nobody")
    log = iotctl("local", "logs").stdout
    assert "GET iot:DescribeThing 404" in log
    assert running.access_key_id not in log
    assert "Authorization" not in log

    assert iotctl("local", "down").code == 0
    for command in ("down", "status", "env"):
        ended = iotctl("local", command)
        assert (ended.code, "iotctl local up --detach" in ended.stderr) == (12, True)


def state_of(state: State) -> Platform:
    """The platform that runs on a state."""
    found = state.platform()
    assert found is not None
    return found


def test_the_aws_cli_works(home: State, iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS CLI, told by `local env`, acts on the platform."""
    data = iotctl("local", "up", "-d", "--ports", "auto", "-o", "json").envelope["data"]
    for line in iotctl("local", "env").stdout.splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
    aws = [sys.executable, "-m", "awscli"]
    made = json.loads(subprocess.check_output([*aws, "iot", "create-thing", "--thing-name", "pump-7"]))
    assert f"arn:aws:iot:us-east-1:{data['accountId']}:thing/pump-7" == made["thingArn"]
    listed = json.loads(subprocess.check_output([*aws, "iot", "list-things"]))
    assert [thing["thingName"] for thing in listed["things"]] == ["pump-7"]


def test_nothing_acknowledged_is_lost(home: State) -> None:
    """Killed under load again and again, everything that was answered is there, and nothing is damaged."""
    acknowledged: list[str] = []
    for run in range(3):
        running = process.background(home, AUTO, None)
        iot = client(running)

        def load(worker: int, run: int = run, iot: Any = iot) -> None:
            for number in range(10_000):
                name = f"r{run}-{worker}-{number}"
                try:
                    iot.create_thing(thingName=name, attributePayload={"attributes": {"n": str(number)}})
                except (ClientError, BotoCoreError):
                    return
                acknowledged.append(name)

        before = len(acknowledged)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            workers = [pool.submit(load, worker) for worker in range(2)]
            until(lambda before=before: len(acknowledged) > before + 50)
            os.kill(running.pid, signal.SIGKILL)
            concurrent.futures.wait(workers)
        until(lambda: not home.running())
    running = process.background(home, AUTO, None)
    iot = client(running)
    pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 250})
    found = {thing["thingName"] for page in pages for thing in page["things"]}
    assert set() == set(acknowledged) - found
    assert len(acknowledged) > 150


def test_a_killed_platform_comes_back_as_itself(home: State) -> None:
    """After kill -9 the stale description is no platform; `up` makes it the same account, key, CA and ports."""
    before = process.background(home, AUTO, None)
    ca = Path(before.ca_file).read_bytes()
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: not home.running())
    assert home.description.exists()
    assert (home.platform(), home.pid()) == (None, None)
    with pytest.raises(Local, match="no local platform is running"):
        process.stop(home)
    after = process.background(home, home.ports() or AUTO, None)
    same = ("http_url", "mqtt_port", "https_port", "account_id", "access_key_id", "secret_access_key", "ca_file")
    assert [getattr(before, name) for name in same] == [getattr(after, name) for name in same]
    assert before.pid != after.pid
    assert ca == Path(after.ca_file).read_bytes()


def test_many_ups_are_one_platform(home: State) -> None:
    """Several `up --detach` at the same moment end with one process that all of them name."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: process.background(home, AUTO, None), range(4)))
    assert len({platform.pid for platform in found}) == 1


@pytest.mark.parametrize("part", ["http", "mqtt", "https"])
def test_a_port_in_use_is_named(home: State, iotctl: Callable[..., Ran], part: str) -> None:
    """Exit 12: which port, who needs it, and the option that changes it; nothing is left running."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = iotctl("local", "up", "--detach", "--ports", "auto", f"--{part}-port", str(port))
    assert ended.code == 12
    assert f"port {port} on 127.0.0.1 cannot be used for {part.upper()}" in ended.stderr
    assert f"--{part}-port NUMBER" in ended.stderr
    assert not home.running()


def test_reset_forgets_everything_but_the_ports(home: State, iotctl: Callable[..., Ran]) -> None:
    """Refused while it runs; afterwards another account and CA on the same ports."""
    before = process.background(home, AUTO, None)
    client(before).create_thing(thingName="gone")
    refused = iotctl("local", "reset")
    assert (refused.code, "iotctl local down" in refused.stderr) == (12, True)
    process.stop(home)
    assert iotctl("local", "reset").code == 0
    assert {"lock", "ports.json"} == {path.name for path in home.directory.iterdir()}
    after = process.background(home, home.ports() or AUTO, None)
    assert (before.http_url, before.mqtt_port) == (after.http_url, after.mqtt_port)
    assert before.account_id != after.account_id
    assert client(after).list_things()["things"] == []


def test_the_state_is_private(home: State) -> None:
    """Only the certificates can be read by others, and the directory keeps them out anyway."""
    process.background(home, AUTO, None)
    assert stat.S_IMODE(home.directory.stat().st_mode) == 0o700
    others = {path.name for path in home.directory.rglob("*") if path.is_file() and path.stat().st_mode & 0o077}
    assert {"ca.pem", "server.pem"} == others


def test_a_damaged_state_is_told(home: State, iotctl: Callable[..., Ran]) -> None:
    """A store that cannot be read is exit 12 with the way out, from the background too."""
    home.directory.mkdir(parents=True, mode=0o700)
    home.database.write_bytes(b"garbage" * 1000)
    ended = iotctl("local", "up", "--detach", "--ports", "auto")
    assert (ended.code, "iotctl local reset" in ended.stderr) == (12, True)


def test_only_the_own_process_is_ended(home: State) -> None:
    """A description that names another process ends nothing."""
    process.background(home, AUTO, None)
    described = json.loads(home.description.read_text())
    with subprocess.Popen(["sleep", "60"]) as bystander:
        home.description.write_text(json.dumps({**described, "pid": bystander.pid}))
        with pytest.raises(Local, match="not the platform described"):
            process.stop(home)
        assert bystander.poll() is None
        bystander.kill()
    home.description.write_text(json.dumps(described))


def test_in_the_foreground(home: State) -> None:
    """`up` says where it is, runs until SIGTERM, and ends with 0 and without a description."""
    command = [sys.executable, "-m", "iotctl", "local", "up", "--ports", "auto", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        row = json.loads(running.stdout.readline())
        assert ("row", row["httpUrl"]) == (row["type"], state_of(home).http_url)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(20) == 0
        assert json.loads(running.stdout.read())["type"] == "result"
    assert not home.description.exists()


def test_the_log_is_followed(home: State) -> None:
    """`logs -f` goes on with lines that are written later."""
    home.directory.mkdir(parents=True)
    home.log.write_text("first\n")
    lines = process.log_lines(home, follow=True)
    assert next(lines) == "first"
    timer = threading.Timer(0.05, lambda: home.log.write_text("first\nsecond\n"))
    timer.start()
    assert next(lines) == "second"
    timer.join()


def test_a_missing_extra_is_named(home: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiohttp, the error says what to install."""
    for name in [
        name for name in sys.modules if name.startswith(("iotctl.local.platform", "iotctl.local.gateway.http"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    import iotctl.local

    monkeypatch.delattr(iotctl.local, "platform", raising=False)
    with pytest.raises(Local, match="aiohttp") as caught:
        next(process.foreground(home, AUTO, None))
    assert caught.value.hint == "pip install 'iotctl[local]'"
