"""Simulated devices do jobs on the session's platform: over MQTT, from its S3, with a manifest that is signed."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iotctl import clock, manifest
from iotctl.local.devices.roles import Shares, roles
from iotctl.manifest import Manifest, Targets
from iotctl.pki.signing import SigningKey
from iotctl.target import Platform
from iotctl.trust import FILE, Trust, TrustedKey
from tests.botocores import client
from tests.local.clients import until as eventually
from tests.local.devices.conftest import Onboarded
from tests.local.devices.test_fleet import Playing, playing, until

FIRMWARE = b"firmware 2" * 5000
KEY = SigningKey.create()


@dataclass
class Rollouts:
    """What an operator does: signs, uploads, creates a job."""

    platform: Platform
    bucket: str
    made: Onboarded

    def job(self, job_id: str, *names: str, content: bytes = FIRMWARE, **changes: Any) -> None:
        """A job for things by name."""
        iot, digest = client("iot"), hashlib.sha256(content).hexdigest()
        client("s3").put_object(Bucket=self.bucket, Key=digest, Body=content)
        targets = Targets(thing_names=("dev-*",))
        wanted = Manifest("fw", "2.0", len(content), digest, targets, clock.now() + timedelta(days=1))
        url = f"https://{self.bucket}.s3.{self.platform.region}.amazonaws.com/{digest}"
        document = {
            "operation": "install",
            **manifest.sign(replace(wanted, **changes), KEY).to_json(),
            "url": f"${{aws:iot:s3-presigned-url-v2:{url}}}",
        }
        prefix = f"arn:aws:iot:{self.platform.region}:{self.platform.account_id}:thing/"
        iot.create_job(
            jobId=job_id,
            targets=[prefix + name for name in names or self.made.names],
            document=json.dumps(document),
            presignedUrlConfig={"roleArn": f"arn:aws:iam::{self.platform.account_id}:role/x", "expiresInSec": 600},
        )

    def ended(self, job_id: str) -> dict[str, int]:
        """Executions by their status, once none is queued or in progress."""

        def counts() -> dict[str, int]:
            details = client("iot").describe_job(jobId=job_id)["job"]["jobProcessDetails"]
            waiting = details["numberOfQueuedThings"] + details["numberOfInProgressThings"]
            names = ("numberOfSucceededThings", "numberOfFailedThings", "numberOfRejectedThings")
            return {} if waiting else {name[8:-6].lower(): details[name] for name in names if details[name]}

        found: dict[str, int] = eventually(counts, 20)
        return found

    def details(self, job_id: str, thing_name: str) -> dict[str, str]:
        """What a thing reported of a job."""
        execution = client("iot").describe_job_execution(jobId=job_id, thingName=thing_name)["execution"]
        found: dict[str, str] = execution["statusDetails"]["detailsMap"]
        return found


@pytest.fixture
def rollouts(
    platform: Platform, onboard: Callable[[int], Onboarded], name: Callable[[str], str]
) -> Callable[[int], Rollouts]:
    """Onboard so many things that trust the operator's key, with a bucket."""

    def make(number: int) -> Rollouts:
        made = onboard(number)
        Trust().with_key(TrustedKey(KEY.key_id, KEY.public_pem)).write(made.bundles / FILE)
        bucket = name("firmware")
        client("s3").create_bucket(Bucket=bucket)
        return Rollouts(platform, bucket, made)

    return make


@contextlib.contextmanager
def played(rollouts: Rollouts, *words: str) -> Iterator[Playing]:
    """Play all things of it."""
    with playing("--bundles", str(rollouts.made.bundles), *words) as found:
        yield found


def reported(thing_name: str) -> Any:
    """What a thing says that it runs."""
    document = client("iot-data").get_thing_shadow(thingName=thing_name)["payload"].read()
    return json.loads(document)["state"].get("reported", {}).get("fw")


def installed(rollouts: Rollouts, thing_name: str) -> bytes:
    """The file that a thing uses."""
    return (rollouts.made.bundles / "state" / thing_name / "fw" / "current" / "artifact").read_bytes()


def test_a_fleet_installs_and_some_of_it_fails(rollouts: Callable[[int], Rollouts], name: Callable[[str], str]) -> None:
    """Each delivery has a line; the shadow tells the release; those that fail say why, and stay as they were."""
    world, job_id = rollouts(12), name("job")
    failing = {each for each, role in roles(world.made.names, Shares(fail=0.25)).items() if role.fails}
    with played(world, "--fail", "25%") as fleet:
        until(lambda: fleet.connected(12), "connected")
        world.job(job_id)
        assert {"succeeded": 9, "failed": 3} == world.ended(job_id)
        until(lambda: len(fleet.events("job-succeeded")) == 9, "told")
        fleet.stop()
    lines = [row["thingName"] for row in fleet.rows if row.get("event") == "job-delivered" and row["jobId"] == job_id]
    assert sorted(world.made.names) == sorted(lines)
    assert failing == fleet.events("job-failed")
    for each in world.made.names:
        details = world.details(job_id, each)
        assert ("2.0", hashlib.sha256(FIRMWARE).hexdigest()) == (details["release"], details["sha256"])
        if each in failing:
            assert ("SELF_CHECK_FAILED", None) == (details["reason"], reported(each))
        else:
            assert ("2.0", FIRMWARE) == (reported(each), installed(world, each))


@pytest.mark.parametrize("number", [2, 6], ids=["awsiotsdk", "light"])
def test_reboots_and_things_that_were_away(
    rollouts: Callable[[int], Rollouts], name: Callable[[str], str], number: int
) -> None:
    """A job that came while nobody was there is done at the next start, through a reboot, and once."""
    world, job_id = rollouts(number), name("job")
    world.job(job_id)
    with played(world, "--reboot") as fleet:
        assert {"succeeded": number} == world.ended(job_id)
        until(lambda: fleet.events("back") == set(world.made.names), "back")
        fleet.stop()
    assert {"was installed already"} == {world.details(job_id, each)["step"] for each in world.made.names}
    assert {"2.0"} == {reported(each) for each in world.made.names}


def test_a_job_that_nobody_should_install(rollouts: Callable[[int], Rollouts], name: Callable[[str], str]) -> None:
    """Rejected, with the reason; and after it the next one is done."""
    world, old, good = rollouts(6), name("old"), name("good")
    with played(world) as fleet:
        world.job(old, expires=clock.now() - timedelta(seconds=1))
        world.job(good)
        assert ({"rejected": 6}, {"succeeded": 6}) == (world.ended(old), world.ended(good))
        until(lambda: len(fleet.events("job-rejected")) == 6, "told")
        fleet.stop()
    assert {"EXPIRED"} == {world.details(old, each)["reason"] for each in world.made.names}
    assert all("EXPIRED" in row["detail"] for row in fleet.rows if row.get("event") == "job-rejected")
    assert not any("X-Amz" in json.dumps(row) for row in fleet.rows)


def test_an_object_that_was_replaced_after_the_upload(
    rollouts: Callable[[int], Rollouts], name: Callable[[str], str]
) -> None:
    """Fault 51: every device finds it, and keeps nothing of it."""
    world, job_id = rollouts(6), name("job")
    world.job(job_id)
    digest = hashlib.sha256(FIRMWARE).hexdigest()
    client("s3").put_object(Bucket=world.bucket, Key=digest, Body=FIRMWARE[::-1])
    with played(world) as fleet:
        assert {"failed": 6} == world.ended(job_id)
        fleet.stop()
    assert {"DIGEST_MISMATCH"} == {world.details(job_id, each)["reason"] for each in world.made.names}
    assert [] == [path for path in (world.made.bundles / "state").rglob("*") if path.is_file()]


def test_a_fleet_without_a_trust_store_says_so(
    onboard: Callable[[int], Onboarded], rollouts: Callable[[int], Rollouts], name: Callable[[str], str], tmp_path: Path
) -> None:
    """At the start, and in the reason of every job; with `--trust` it has one."""
    world, job_id = rollouts(6), name("job")
    elsewhere = (world.made.bundles / FILE).rename(tmp_path / "keys.json")
    with played(world) as fleet:
        world.job(job_id)
        assert {"rejected": 6} == world.ended(job_id)
        fleet.stop()
        assert fleet.process.stderr is not None
        assert "no trust store" in fleet.process.stderr.read()
    assert "UNKNOWN_KEY" == world.details(job_id, world.made.names[0])["reason"]
    with played(world, "--trust", str(elsewhere)) as fleet:
        world.job(name("again"))
        until(lambda: len(fleet.events("job-succeeded")) == 6, "installed")
        fleet.stop()


def test_killed_in_the_middle_of_a_job(rollouts: Callable[[int], Rollouts], name: Callable[[str], str]) -> None:
    """The whole simulator is killed while things install; started again, it ends the job, and each has one release."""
    world, job_id = rollouts(20), name("job")
    world.job(job_id, content=FIRMWARE * 40)
    with played(world) as fleet:
        until(lambda: len(fleet.events("job-delivered")) > 3, "begun")
        fleet.process.kill()
    with played(world) as fleet:
        assert {"succeeded": 20} == world.ended(job_id)
        fleet.stop()
    assert {FIRMWARE * 40} == {installed(world, each) for each in world.made.names}
