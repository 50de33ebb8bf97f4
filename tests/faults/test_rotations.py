"""`onboard certs rotate`, killed before each of its changes in turn, and with its devices and the platform at random.

The device is never shut out.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from iotctl import bundle
from iotctl.local.devices.fleet import CREDENTIALS, STATE
from iotctl.pki.certificates import read
from iotctl.target import Platform
from tests.conftest import clean_environment
from tests.faults.invariants import Account
from tests.faults.stage import Ended, Job, Stage
from tests.faults.test_platform_crash import local, up


def own_of(bundles: Path, name: str) -> str:
    """The certificate that a device would connect with if it started now."""
    first = bundle.load(bundles / "devices" / name)
    current = bundles / STATE / name / CREDENTIALS / first.certificate_id[:32] / "current"
    found = (current / "certificate.pem.crt").read_text() if current.exists() else ""
    return read(found).certificate_id if found else first.certificate_id


@dataclass(frozen=True)
class World:
    """An operator's directory with one onboarded thing, whose device runs beside."""

    stage: Stage
    directory: Path
    environment: dict[str, str]
    name: str
    iot: Any

    @property
    def bundles(self) -> Path:
        """Where its bundles are."""
        return self.directory / "out"

    def run(self, *words: str, at: int | str = 0) -> Ended:
        """`iotctl onboard …`, killed at a moment."""
        argv = ("onboard", *words, "--bundles", "out", "-y", "-o", "json")
        return self.stage.run(Job(argv, str(self.directory), self.environment, "kill", at))

    def rotate(self, at: int | str = 0) -> Ended:
        """`iotctl onboard certs rotate THING`."""
        return self.run("certs", "rotate", self.name, "--wait", "30s", at=at)

    def states(self) -> dict[str, str]:
        """The certificates of the thing, and whether they are active."""
        ids = [arn.rpartition("/")[2] for arn in self.iot.list_thing_principals(thingName=self.name)["principals"]]
        described = (self.iot.describe_certificate(certificateId=one)["certificateDescription"] for one in ids)
        return {one["certificateId"]: one["status"] for one in described}

    def certificates(self) -> set[str]:
        """All certificates of the account."""
        pages = self.iot.get_paginator("list_certificates").paginate()
        return {one["certificateId"] for page in pages for one in page["certificates"]}

    def own(self) -> str:
        """The certificate that the device would connect with if it started now."""
        return own_of(self.bundles, self.name)

    def changes(self) -> tuple[str, ...]:
        """How the moments before each change are described, in order."""
        send, thing, bundles = "http.client.send", f"/things/{self.name}", self.bundles
        return (
            f"open {bundles}/runs/",
            f"{send} PUT /jobs/",
            f"os.mkdir {bundles}/.staging/",
            f"os.rename {bundles}/.staging/",
            f"{send} POST /certificate/register-no-ca",
            f"{send} PUT {thing}/principals",
            f"{send} PUT /target-policies/",
            f"{send} POST {thing}/shadow",
            f"{send} PATCH {thing}",
            f"{send} PUT /certificates/",
            f"{send} DELETE {thing}/shadow",
            f"os.rename {bundles}/rotating/",
        )


@pytest.fixture
def world(stage: Stage, own: Platform, environment: dict[str, str], tmp_path: Path) -> Iterator[World]:
    """One thing, onboarded, and its device."""
    iot = boto3.client(
        "iot",
        endpoint_url=own.http_url,
        region_name=own.region,
        aws_access_key_id=own.access_key_id,
        aws_secret_access_key=own.secret_access_key,
    )
    made = World(stage, tmp_path, {**environment, "IOTCTL_TARGET": "local"}, f"k-{uuid.uuid4().hex[:8]}", iot)
    (tmp_path / "fleet.csv").write_text(f"thing_name\n{made.name}\n")
    there = made.certificates()
    onboarded = made.run("apply", "fleet.csv")
    assert 0 == onboarded.code, onboarded.stderr
    device = subprocess.Popen(
        [sys.executable, "-m", "iotctl", "local", "devices", "1", "--bundles", "out"],
        cwd=tmp_path,
        env={**os.environ, **made.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield made
    device.kill()
    device.wait()
    assert 0 == made.run("undo", onboarded.envelope["data"]["runId"]).code
    assert [] == [*(made.bundles / "devices").iterdir(), *(made.bundles / "rotating").iterdir()]
    assert there == made.certificates()


def test_a_rotation_that_is_killed_before_each_change(world: World) -> None:
    """The certificate that the device has is active at every moment; in the end there is one new one, by one job."""
    (before,), there = world.states(), world.certificates()
    for moment in world.changes():
        killed = world.rotate(at=moment)
        assert (moment, -9, True) == (moment, killed.code, killed.struck), killed.stderr
        states = world.states()
        assert (moment, "ACTIVE") == (moment, states[world.own()])
        assert (moment, True) == (moment, len(states) <= 2)
    ended = world.rotate()
    assert (0, 1) == (ended.code, ended.envelope["data"]["done"]), ended.stderr
    own = world.own()
    assert {before: "INACTIVE", own: "ACTIVE"} == world.states()
    assert own == bundle.load(bundle.newest(world.bundles / "devices" / world.name)).certificate_id
    assert own == world.iot.describe_thing(thingName=world.name)["attributes"]["iotctl-cert"]
    run = ended.envelope["data"]["runId"]
    mine = [job["jobId"] for job in world.iot.list_jobs()["jobs"] if run in job["jobId"]]
    assert [f"iotctl-rotate-{run}-1"] == mine
    assert {own} == world.certificates() - there
    # The onboarding is taken back while another rotation is in the middle: the thing claims what is not its bundle yet.
    assert -9 == world.rotate(at="http.client.send PUT /certificates/").code
    assert 1 == len(list((world.bundles / "rotating").iterdir()))
    assert world.own() == world.iot.describe_thing(thingName=world.name)["attributes"]["iotctl-cert"] != own


class Device:
    """All devices of a directory, in one process that may be killed."""

    def __init__(self, directory: Path, things: int, environment: dict[str, str]) -> None:
        self._words = [sys.executable, "-m", "iotctl", "local", "devices", str(things), "--bundles", "out"]
        self._directory, self._environment = directory, environment
        self._start()

    def _start(self) -> None:
        void = subprocess.DEVNULL
        self._process = subprocess.Popen(
            self._words, cwd=self._directory, env=self._environment, stdout=void, stderr=void
        )

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def again(self) -> None:
        """Kill it, and switch it on."""
        self.end()
        self._start()


def locked_out(account: Account, bundles: Path, names: list[str]) -> list[str]:
    """The devices that could not connect if they started now."""
    found = []
    for name in names:
        own, thing = own_of(bundles, name), account.thing(name)
        assert thing is not None
        if thing["certificates"].get(own) != ("ACTIVE", ["iotctl-thing"]):
            found.append(f"{name} has {own[:12]}, and the account {thing['certificates']}")
    return found


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_a_rotation_whose_parts_are_killed_at_random(seed: int, tmp_path: Path, stage: Stage) -> None:
    """The operator, all the devices or the platform, again and again: nobody is shut out, and it comes to its end."""
    dice, home, names = random.Random(seed), tmp_path / "home", [f"r-{seed}-{number}" for number in range(5)]
    home.mkdir()
    platform = up(home)
    environment = {**clean_environment(home), "PATH": os.environ["PATH"], "IOTCTL_TARGET": "local"}
    (tmp_path / "fleet.csv").write_text("\n".join(["thing_name", *names]) + "\n")
    (tmp_path / "names").write_text("\n".join(names) + "\n")

    def job(*words: str) -> Job:
        return Job(("onboard", *words, "--bundles", "out", "-y", "-o", "json"), str(tmp_path), environment)

    rotate = job("certs", "rotate", "--things", "names", "--wait", "60s")
    assert 0 == stage.run(job("apply", "fleet.csv")).code
    device, killed = Device(tmp_path, len(names), {**os.environ, **environment}), {"run": 0, "device": 0, "platform": 0}
    try:
        for number in range(12):
            running = stage.start(rotate)
            # The time of the kill is the experiment's random variable, not a wait for something.
            time.sleep(dice.uniform(0.2, 5))
            victim = dice.choice(tuple(killed))
            killed[victim] += 1
            if victim == "device":
                device.again()
                time.sleep(dice.uniform(0, 3))
            elif victim == "platform":
                os.kill(platform.pid, signal.SIGKILL)
                running.end()
                platform = up(home)
            running.kill()
            assert (number, victim, []) == (number, victim, locked_out(Account(platform), tmp_path / "out", names))
        for _ in range(3):
            ended = stage.run(rotate)
            if ended.code == 0:
                break
        assert (0, killed) == (ended.code, killed), ended.stdout + ended.stderr
        account = Account(platform)
        assert [] == locked_out(account, tmp_path / "out", names)
        for name in names:
            thing = account.thing(name)
            assert thing is not None
            states = [state for state, _ in thing["certificates"].values()]
            assert (name, 1) == (name, states.count("ACTIVE"))
            assert own_of(tmp_path / "out", name) == thing["attributes"]["iotctl-cert"]
            assert (
                own_of(tmp_path / "out", name)
                == bundle.load(bundle.newest(tmp_path / "out" / "devices" / name)).certificate_id
            )
        attached = {one for name in names for one in (account.thing(name) or {})["certificates"]}
        assert attached == account.certificates()
    finally:
        device.end()
        local(home, "down")
