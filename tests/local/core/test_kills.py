"""A core that is killed at any moment, again and again: in the end it runs what was deployed last, once."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl.local.devices.core import processes, provision
from tests.local.clients import until
from tests.local.core.conftest import Operator
from tests.local.core.test_restart import spawned

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.local.conftest import Name

ROUNDS = 25
LONGEST_SECONDS = 4.0


def marked(root: Path) -> list[str]:
    """The command lines of everything that runs for a core."""
    mark, found = f"{processes.MARK}={root}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
        except OSError:
            continue
    return found


@pytest.mark.campaign
@pytest.mark.parametrize("target", ["thing", "thinggroup"])
def test_killed_at_any_moment(
    tmp_path: Path, platform_home: Path, running: Platform, operator: Operator, name: Name, target: str
) -> None:
    """Whatever was under way: the last deployment succeeds, its version runs once, and nothing of others does."""
    app, base, group, core = name("com.example.App"), name("com.example.Base"), name("cores"), name("core")
    uri = operator.put(f"{name('k')}/blob", bytes(3_000_000))
    operator.component(base, "1.0.0", {"startup": "sleep 0.2"})
    versions = [f"1.{number}.0" for number in range(ROUNDS)]
    for number, version in enumerate(versions):
        lifecycle = {"install": "sleep 0.1", "run": f"exec sleep {1000 + number}"}
        dependency = {base: {"VersionRequirement": "^1.0.0"}}
        operator.component(app, version, lifecycle, uri, ComponentDependencies=dependency)
    chance = random.Random(20261128)
    provision.provision(running, platform_home, core, [group])
    place = f"thing/{core}" if target == "thing" else f"thinggroup/{group}"
    deployment = ""
    for version in versions:
        deployment = operator.deploy(place, {app: version})
        with spawned(tmp_path, platform_home, core) as process:
            try:
                process.wait(chance.uniform(0.5, LONGEST_SECONDS))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.wait()
    settings = provision.remembered(platform_home, core)
    assert settings
    with spawned(tmp_path, platform_home, core) as process:
        ended = until(
            lambda: (found := operator.effective(core)[deployment][0]) not in {"QUEUED", "IN_PROGRESS"} and found, 60
        )
        assert ended in {"SUCCEEDED", "COMPLETED"}
        until(lambda: operator.installed(core) == {app: (versions[-1], "RUNNING"), base: ("1.0.0", "RUNNING")}, 30)
        assert [f"sleep {1000 + ROUNDS - 1}"] == marked(settings.root)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)
    until(lambda: marked(settings.root) == [])
