"""Fleets on the session's platform whose devices are played by the test, over AWS's own HTTP API."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from iotctl.target import Platform
from tests.botocores import client
from tests.conftest import Ran, run_iotctl

BUCKET = "pump-releases"
"""Not the account's own: that one others look for."""


@dataclass(frozen=True)
class Pumps:
    """Things of a group, an artifact and a key."""

    platform: Platform
    group: str
    names: list[str]
    directory: Path

    @property
    def key(self) -> str:
        """The file of the key that signs."""
        return str(self.directory / "signing.pem")

    @property
    def artifact(self) -> str:
        """The file that is rolled out."""
        return str(self.directory / "pump.bin")

    @property
    def common(self) -> tuple[str, ...]:
        """What every rollout of it has in common."""
        return self.artifact, "-g", self.group, "--release", "1.4.0", "--bucket", BUCKET

    def ota(self, command: str, *words: str) -> Ran:
        """`iotctl ota plan` or `create` of the artifact, for the group."""
        return run_iotctl("ota", command, *self.common, "--key-file", self.key, *words)

    def create(self, *words: str) -> str:
        """Create a rollout; its id."""
        ran = self.ota("create", *words, "-y", "-q")
        assert 0 == ran.code, ran.stderr
        return ran.stdout.strip().rpartition("-")[0]

    def step(self, rollout: str, *words: str) -> Ran:
        """`iotctl ota step`."""
        return run_iotctl("ota", "step", rollout, *words, "-y", "-o", "json")

    def play(self, *names: str, status: str = "SUCCEEDED", job_id: str = "$next") -> int:
        """Each of these devices does its next job, if it has one; how many had."""
        devices = client("iot-jobs-data")
        done = 0
        for name in names:
            if job_id == "$next":
                found = devices.start_next_pending_job_execution(thingName=name).get("execution")
                if found is None:
                    continue
                job = found["jobId"]
            else:
                job = job_id
            devices.update_job_execution(jobId=job, thingName=name, status=status)
            done += 1
        return done

    def report(self, name: str, **reported: Any) -> None:
        """A device tells its state."""
        payload = json.dumps({"state": {"reported": reported}})
        client("iot-data").update_thing_shadow(thingName=name, payload=payload)

    def targets(self, job: str) -> list[str]:
        """The names of the things that a job is for."""
        targets = client("iot").describe_job(jobId=job)["job"]["targets"]
        return [target.rpartition("/")[2] for target in targets]

    def jobs(self, rollout: str) -> list[str]:
        """The phases whose jobs are there."""
        found = []
        for phase in ("canary", "fleet"):
            with contextlib.suppress(ClientError):
                client("iot").describe_job(jobId=f"{rollout}-{phase}")
                found.append(phase)
        return found


def at_once(commands: list[tuple[str, ...]], directory: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run command lines in processes of their own, each with a home of its own, as on as many machines."""

    def run(number: int) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "IOTCTL_HOME": str(directory / f"machine-{number}")}
        del environment["IOTCTL_TARGET"]
        argv = [sys.executable, "-m", "iotctl", *commands[number], "-y"]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(run, range(len(commands))))


def onboarded(platform: Platform, directory: Path, number: int = 4) -> Pumps:
    """So many things in a group of their own, the account's bucket, a key, and an artifact that no other test has."""
    iot, tag = client("iot"), uuid.uuid4().hex[:8]
    group, names = f"pumps-{tag}", [f"pump-{tag}-{position:02}" for position in range(number)]
    iot.create_thing_group(thingGroupName=group)
    for name in names:
        iot.create_thing(thingName=name)
        iot.add_thing_to_thing_group(thingGroupName=group, thingName=name)
    with contextlib.suppress(ClientError):
        client("s3").create_bucket(Bucket=BUCKET)
    (directory / "pump.bin").write_bytes(f"firmware {tag}".encode() * 100)
    assert 0 == run_iotctl("ota", "keygen", "--out", str(directory / "signing.pem")).code
    return Pumps(platform, group, names, directory)
