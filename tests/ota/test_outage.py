"""A watcher whose other side dies under it: it says so, goes on, and its verdict is what came of it all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from iotctl.local import process
from tests.local.clients import until
from tests.local.conftest import client, own_platform

if TYPE_CHECKING:
    from iotctl.local.state import State
    from iotctl.target import Platform

__all__ = ["own_platform"]
pytestmark = pytest.mark.campaign
KINDS = ("JOB", "JOB_EXECUTION")


@pytest.mark.parametrize("events", [True, False], ids=["events", "polling"])
def test_the_platform_is_killed_while_it_is_watched(own_platform: tuple[State, Platform], events: bool) -> None:
    """SIGKILL, and up again once the watcher has noticed: no row is wrong, nothing is lost, and it ends with 0."""
    state, platform = own_platform
    iot, devices = client(platform), client(platform, "iot-jobs-data")
    iot.update_event_configurations(eventConfigurations={kind: {"Enabled": events} for kind in KINDS})
    arns = [iot.create_thing(thingName=f"t{number}")["thingArn"] for number in range(4)]
    iot.create_job(jobId="j", targets=arns, document="{}")
    devices.update_job_execution(jobId="j", thingName="t0", status="SUCCEEDED")
    environment = {**os.environ, "IOTCTL_HOME": str(state.directory.parent), "IOTCTL_TARGET": "local"}
    words = (sys.executable, "-m", "iotctl", "ota", "watch", "j", "-o", "json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        lines = [json.loads(watching.stdout.readline())]
        ports = state.ports()
        assert ports is not None
        os.kill(platform.pid, signal.SIGKILL)
        until(lambda: not state.running(), 10)
        while lines[-1]["type"] != "unreachable":
            lines.append(json.loads(watching.stdout.readline()))
        up = process.background(state, ports, None)
        devices = client(up, "iot-jobs-data")
        for number in range(1, 4):
            devices.update_job_execution(jobId="j", thingName=f"t{number}", status="SUCCEEDED")
        lines += [json.loads(line) for line in watching.stdout]
        code = watching.wait(60)

    counts = [line["succeeded"] for line in lines if line["type"] == "row"]
    assert (0, 4, sorted(counts)) == (code, counts[-1], counts)
    assert "passed" == lines[-1]["data"]["verdict"]["state"]
