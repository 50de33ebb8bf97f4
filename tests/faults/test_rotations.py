"""`onboard certs rotate`, killed before each of its changes in turn: the device is never shut out."""

from __future__ import annotations

import os
import subprocess
import sys
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
from tests.faults.stage import Ended, Job, Stage


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
        first = bundle.load(self.bundles / "devices" / self.name)
        current = self.bundles / STATE / self.name / CREDENTIALS / first.certificate_id[:32] / "current"
        return (
            read((current / "certificate.pem.crt").read_text()).certificate_id
            if current.exists()
            else first.certificate_id
        )

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
