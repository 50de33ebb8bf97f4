"""A core that ends, is killed, or has no connection: it goes on with what it has, and catches up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from iotctl.local.devices.core import provision
from tests.conftest import clean_environment
from tests.local.clients import until
from tests.local.core.conftest import Operator, forever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from iotctl.target import Platform
    from tests.conftest import Ran
    from tests.cores import RunningCore
    from tests.local.conftest import Name


def test_offline_it_runs_what_it_has_and_then_catches_up(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name
) -> None:
    """Started without a connection its components run; a deployment made meanwhile is carried out when it is back."""
    app, group = name("com.example.App"), name("cores")
    operator.component(app, "1.0.0", {"install": "echo installs", **forever("one")})
    operator.component(app, "1.1.0", forever("two"))
    core = start_core(name("core"), group)
    first = operator.deploy(f"thinggroup/{group}", {app: "1.0.0"})
    core.until("deployment-succeeded", first)
    core.stop()
    second = operator.deploy(f"thinggroup/{group}", {app: "1.1.0"})
    online = core.settings
    core.settings = replace(online, identity=replace(online.identity, port=1))
    core.start()
    core.until("RUNNING", app, after=1)
    core.until("offline")
    core.stop()

    assert ["installs", "one"] * 2 == core.log(app).split()
    assert [] == core.told("deployment", second)
    core.settings = online
    core.start()
    core.until("deployment-succeeded", second)
    until(lambda: operator.effective(core.name)[second][0] == "SUCCEEDED")
    assert {app: ("1.1.0", "RUNNING")} == operator.installed(core.name)


def test_what_ended_while_the_connection_was_lost_is_told_when_it_is_back(
    start_core: Callable[..., RunningCore], operator: Operator, name: Name, platform: Platform
) -> None:
    """The report is on disk before it is sent: a core that ends before it could is asked for it again."""
    app = name("com.example.App")
    operator.component(app, "1.0.0", {"install": "while [ ! -e go ]; do sleep 0.05; done", **forever("one")})
    core = start_core(name("core"))
    core.until("connected")
    deployment = operator.deploy(f"thing/{core.name}", {app: "1.0.0"})
    core.until("NEW", app)
    certificate = core.settings.identity.certificate
    ids = operator.iot.list_thing_principals(thingName=core.name)["principals"]
    (certificate_id,) = [arn.rpartition("/")[2] for arn in ids]
    operator.iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
    core.until("offline")
    (core.settings.work(app) / "go").touch()
    core.until("deployment-succeeded", deployment)
    core.stop()

    assert certificate.exists()
    operator.iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
    assert "IN_PROGRESS" == operator.effective(core.name)[deployment][0]
    core.start()
    until(lambda: operator.effective(core.name)[deployment][0] == "COMPLETED")
    assert 1 == len(core.told("merging"))


@contextlib.contextmanager
def spawned(home: Path, platform_home: Path, name: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`iotctl local core` as a process of its own."""
    environment = {**os.environ, **clean_environment(home), "IOTCTL_HOME": str(platform_home)}
    command = [sys.executable, "-m", "iotctl", "local", "core", name, *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str], event: str) -> str:
    """Read what it prints until an event; its line."""
    assert process.stdout
    for line in process.stdout:
        if line.split("\t")[2] == event:
            return line
    raise AssertionError(f"no {event}: {process.stderr and process.stderr.read()}")


def test_killed_in_the_middle_of_a_deployment_it_does_it_again(
    tmp_path: Path, platform_home: Path, running: Platform, operator: Operator, name: Name
) -> None:
    """Nothing of its processes is left to work beside their successors; SIGTERM ends everything well."""
    app, group, core = name("com.example.App"), name("cores"), name("core")
    slow = {"install": "echo $$ installs; [ -e again ] && exit 0; touch again; exec sleep 1000"}
    operator.component(app, "1.0.0", {**slow, **forever("runs")})
    with spawned(tmp_path, platform_home, core, "-g", group) as process:
        told(process, "connected")
        deployment = operator.deploy(f"thinggroup/{group}", {app: "1.0.0"})
        told(process, "NEW")
        settings = provision.remembered(platform_home, core)
        assert settings
        pid = int(until(lambda: settings.log(app).exists() and settings.log(app).read_text()).split()[0])
        process.send_signal(signal.SIGKILL)
        process.wait()
    os.kill(pid, 0)  # an orphan
    with spawned(tmp_path, platform_home, core) as process:
        told(process, "tidied")
        assert "SUCCESSFUL" in told(process, "deployment-succeeded")
        until(lambda: operator.effective(core)[deployment][0] == "SUCCEEDED")
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)
    assert ["installs", "installs", "runs"] == [
        word for word in settings.log(app).read_text().split() if not word.isdigit()
    ]


def test_an_artifact_is_gone_on_with_where_it_was_cut_off(
    start_core: Callable[..., RunningCore], operator: Operator, platform_home: Path, name: Name
) -> None:
    """The half that an earlier run left is kept, and only the rest is asked for."""
    app, content = name("com.example.App"), os.urandom(200_000)
    uri = operator.put(f"{name('k')}/model.bin", content)
    operator.component(app, "1.0.0", {"install": "test -s {artifacts:path}/model.bin"}, uri)
    core = start_core(name("core"))
    core.until("connected")
    place = core.settings.artifacts(app, "1.0.0")
    place.mkdir(parents=True)
    (place / "model.bin.partial").write_bytes(content[:150_000])
    log = platform_home / "local" / "platform.log"
    before = log.stat().st_size
    core.until("deployment-succeeded", operator.deploy(f"thing/{core.name}", {app: "1.0.0"}))

    assert content == (place / "model.bin").read_bytes()
    asked = log.read_bytes()[before:].decode()
    assert (1, 0) == (asked.count("s3:GetObject 206"), asked.count("s3:GetObject 200"))


def test_cores_may_be_made_at_the_same_time(tmp_path: Path, running: Platform, name: Name) -> None:
    """They share a CA and a policy, and each gets a certificate of its own."""
    with ThreadPoolExecutor(4) as threads:
        made = list(
            threads.map(lambda each: provision.provision(running, tmp_path, each, [name("g")]), map(name, "abcd"))
        )
    assert 4 == len({one.identity.certificate.read_bytes() for one in made})
    assert 1 == len({one.root.parent for one in made})


def test_a_core_runs_once(
    start_core: Callable[..., RunningCore],
    iotctl: Callable[..., Ran],
    platform: Platform,
    platform_home: Path,
    name: Name,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A second one on the same directory is refused; a name that another made, and one without a bundle, too."""
    core = start_core(name("core"))
    home = core.root.parents[3]
    (home / "local").symlink_to(platform_home / "local")
    monkeypatch.setenv("IOTCTL_HOME", str(home))

    assert 11 == iotctl("local", "core", core.name, "--for", "1s").code
    monkeypatch.setenv("IOTCTL_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "other" / "local").symlink_to(home / "local")
    ran = iotctl("local", "core", core.name, "--for", "1s")
    assert (6, True) == (ran.code, "was not made for this core" in ran.stderr)
    assert 8 == iotctl("local", "core", core.name, "--bundles", str(tmp_path)).code
    assert 2 == iotctl("local", "core", core.name, "--bundles", str(tmp_path), "-g", "x").code
    assert 2 == iotctl("local", "core", "no name").code
