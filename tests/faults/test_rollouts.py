"""`ota create` and `ota step`, killed at every moment from which something has changed, then run again."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from iotctl.target import Platform
from tests.faults.stage import Ended, Job, Stage

BUCKET = "crash-releases"


@dataclass(frozen=True)
class World:
    """An operator's directory, and what the account holds, by boto3."""

    stage: Stage
    directory: Path
    environment: dict[str, str]
    group: str
    iot: Any
    s3: Any
    data: Any

    def run(self, *words: str, at: int | str = 0) -> Ended:
        """`iotctl ota …`, killed at a moment; its home is below its directory, so that the journal counts too."""
        variables = {**self.environment, "IOTCTL_HOME": str(self.directory / "home")}
        return self.stage.run(Job(("ota", *words, "-y", "-q"), str(self.directory), variables, "kill", at))

    def artifact(self) -> tuple[str, str]:
        """A file that is like no other, and its digest."""
        content = uuid.uuid4().hex.encode()
        path = self.directory / "pump.bin"
        path.write_bytes(content)
        return str(path), hashlib.sha256(content).hexdigest()

    def jobs(self, release: str) -> list[str]:
        """The ids of the jobs of a release."""
        pages = self.iot.get_paginator("list_jobs").paginate()
        start = f"firmware-{release.replace('.', '-')}-"
        return sorted(job["jobId"] for page in pages for job in page["jobs"] if job["jobId"].startswith(start))

    def faults(self, release: str, digest: str) -> list[str]:
        """What must never be: a job without its artifact and its record, or with another document."""
        found = []
        for job in self.jobs(release):
            keys = [
                one["Key"] for one in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"ota/{digest}").get("Contents", ())
            ]
            record = f"ota/{digest}/rollouts/{job.rpartition('-')[0]}.json"
            if sorted(keys) != sorted([f"ota/{digest}/pump.bin", record]):
                found.append(f"{job}: there are {keys}")
                continue
            content = self.s3.get_object(Bucket=BUCKET, Key=record)["Body"].read()
            if json.loads(content)["document"] != self.iot.get_job_document(jobId=job)["document"]:
                found.append(f"{job}: its document is not the record's")
            tags = self.iot.list_tags_for_resource(resourceArn=self.iot.describe_job(jobId=job)["job"]["jobArn"])[
                "tags"
            ]
            if {"Key": "iotctl:record-sha256", "Value": hashlib.sha256(content).hexdigest()} not in tags:
                found.append(f"{job}: its tags name another record")
        return found


@pytest.fixture
def world(stage: Stage, own: Platform, environment: dict[str, str], tmp_path: Path) -> World:
    """A group of two things, a bucket and a key."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=own.http_url,
            region_name=own.region,
            aws_access_key_id=own.access_key_id,
            aws_secret_access_key=own.secret_access_key,
        )

    made = World(
        stage, tmp_path, environment, f"g{uuid.uuid4().hex[:8]}", client("iot"), client("s3"), client("iot-jobs-data")
    )
    made.iot.create_thing_group(thingGroupName=made.group)
    for name in (f"{made.group}-1", f"{made.group}-2"):
        made.iot.create_thing(thingName=name)
        made.iot.add_thing_to_thing_group(thingGroupName=made.group, thingName=name)
    try:
        made.s3.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        assert "BucketAlreadyOwnedByYou" in str(error)  # noqa: PT017  another test has made it
    assert 0 == made.run("keygen", "--out", str(tmp_path / "signing.pem")).code
    return made


def _create(world: World, artifact: str, release: str) -> tuple[str, ...]:
    options = ("--release", release, "--canary", "1", "--approve", "--bucket", BUCKET)
    return ("create", artifact, "-g", world.group, *options, "--key-file", str(world.directory / "signing.pem"))


def _releases() -> Callable[[], str]:
    """Numbers that no other test has: the ids of jobs begin with them."""
    first = uuid.uuid4().int % 10**9
    counter = iter(range(10**6))
    return lambda: f"{first}.{next(counter)}"


def _first_change(moments: tuple[str, ...]) -> int:
    """The number of the first moment that changes something in the account; a kill before it changes nothing."""
    changes = ("http.client.send PUT", "http.client.send POST /tags")
    return next(number for number, moment in enumerate(moments, 1) if moment.startswith(changes))


def test_a_rollout_that_is_killed_while_it_is_made_is_made_once(world: World) -> None:
    """At every moment from the upload on: no job without artifact and record; run again, there is one job."""
    release = _releases()
    one = release()
    artifact, digest = world.artifact()
    whole = world.run(*_create(world, artifact, one))
    assert (0, []) == (whole.code, world.faults(one, digest)), whole.stderr
    for point in itertools.count(_first_change(whole.moments)):
        this = release()
        artifact, digest = world.artifact()
        killed = world.run(*_create(world, artifact, this), at=point)
        if not killed.struck:
            break
        at = f"{point}: {killed.moments[-1]}"
        assert (at, -9, []) == (at, killed.code, world.faults(this, digest))
        again = world.run(*_create(world, artifact, this))
        assert (at, 0) == (at, again.code), again.stderr
        assert (at, 1, []) == (at, len(world.jobs(this)), world.faults(this, digest))
    # The run was not struck: it ended by itself, so no moment is left out.
    assert 0 == killed.code
    assert point > _first_change(whole.moments) + 4


def test_a_step_that_is_killed_is_made_once(world: World) -> None:
    """At every moment from the approval on: run again the fleet's job is there, and it is one; a third time nothing."""
    release = _releases()

    def due() -> tuple[str, str, str]:
        this = release()
        artifact, digest = world.artifact()
        made = world.run(*_create(world, artifact, this))
        assert 0 == made.code, made.stderr
        job = made.stdout.strip()
        world.data.update_job_execution(jobId=job, thingName=f"{world.group}-1", status="SUCCEEDED")
        return job.rpartition("-")[0], this, digest

    rollout, this, digest = due()
    whole = world.run("step", rollout, "--approve")
    assert (0, 2) == (whole.code, len(world.jobs(this))), whole.stderr
    for point in itertools.count(_first_change(whole.moments)):
        rollout, this, digest = due()
        killed = world.run("step", rollout, "--approve", at=point)
        if not killed.struck:
            break
        at = f"{point}: {killed.moments[-1]}"
        assert (at, -9, []) == (at, killed.code, world.faults(this, digest))
        for _ in range(2):
            # Where the yes was noted before the kill, it need not be said again.
            again = world.run("step", rollout, "--approve")
            assert (at, 0) == (at, again.code), again.stderr
        expected = [f"{rollout}-canary", f"{rollout}-fleet"]
        assert (at, expected, []) == (at, world.jobs(this), world.faults(this, digest))
    assert 0 == killed.code
    assert point > _first_change(whole.moments) + 2
