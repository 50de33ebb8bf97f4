"""Rollouts on simulated devices, as an operator makes them: canary, fleet, verdict; and a bad release that is stopped.

What the operator is told is checked against what the devices themselves say that they did.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl.local.devices.roles import Shares, roles
from iotctl.ota import rhythm
from iotctl.semantics.rollout import abort_criteria, earliest_abort, rollout
from tests.conftest import run_iotctl
from tests.local.clients import until as eventually
from tests.local.devices.test_fleet import playing, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran
    from tests.local.devices.test_fleet import Playing

FIRMWARE = b"firmware 2" * 500
_NUMBERS = itertools.count()


@dataclass
class Site:
    """A fleet in a group, with a key that it trusts, a bucket and an artifact."""

    names: tuple[str, ...]
    group: str
    directory: Path

    def create(self, *words: str) -> str:
        """`ota create` for the whole group; the rollout's id."""
        key, artifact = str(self.directory / "signing.pem"), str(self.directory / "fw.bin")
        common = ("-g", self.group, "--release", "2.0", "--key-file", key, "--bucket", self.group, "--yes", "-q")
        ran = run_iotctl("ota", "create", artifact, *common, *words)
        assert 0 == ran.code, ran.stderr
        return ran.stdout.strip().rpartition("-")[0]

    @contextlib.contextmanager
    def played(self, *words: str) -> Iterator[Playing]:
        """All of it at work."""
        with playing("--bundles", str(self.directory / "fleet"), *words) as fleet:
            yield fleet

    def installed(self) -> dict[str, bytes]:
        """What each thing uses, by its name; there is one artifact."""
        places = (self.directory / "fleet" / "state").glob("*/*/current/artifact")
        return {place.parents[2].name: place.read_bytes() for place in places}


@pytest.fixture
def site(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Site]:
    """Onboard a fleet; its names are the same in every run, and with them who is offline, who fails, who is first."""
    monkeypatch.setattr(rhythm, "SOONEST", 0.2)
    assert platform.http_url

    def make(things: int) -> Site:
        stem = f"rollout-{things}-{next(_NUMBERS)}"
        names = tuple(f"{stem}-{number:03}" for number in range(things))
        csv, bundles = tmp_path / "fleet.csv", tmp_path / "fleet"
        csv.write_text("thing_name,thing_groups\n" + "".join(f"{name},{stem}\n" for name in names))
        (tmp_path / "fw.bin").write_bytes(FIRMWARE)
        store = str(bundles / "trusted_keys.json")
        for words in (
            ("onboard", "apply", str(csv), "--bundles", str(bundles), "--yes"),
            ("ota", "keygen", "--out", str(tmp_path / "signing.pem"), "--trust", store),
        ):
            ran = run_iotctl(*words)
            assert 0 == ran.code, ran.stderr
        boto3.client("s3").create_bucket(Bucket=stem)
        return Site(names, stem, tmp_path)

    return make


def watched(*words: str) -> tuple[Ran, dict[str, Any]]:
    """`ota watch`, and the data of its last line."""
    ran = run_iotctl("ota", "watch", *words, "-o", "json")
    data: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])["data"]
    return ran, data


@pytest.mark.parametrize("things", [40, pytest.param(500, marks=pytest.mark.campaign)])
def test_canary_then_fleet_with_some_that_never_come(site: Callable[[int], Site], things: int) -> None:
    """Two in a hundred are always offline: nobody is lost, 97 % is enough, and who never came is told apart."""
    world = site(things)
    offline = {name for name, role in roles(world.names, Shares(offline=0.02)).items() if role.offline}
    with world.played("--offline", "2%") as fleet:
        name = world.create(
            "--canary", "20", "--pass", "97%", "--deadline", "1h", "--rate", "1000", "--gate", 'reported.fw == "2.0"'
        )
        eventually(lambda: run_iotctl("ota", "step", name, "--yes", "-q").stdout.strip() == f"{name}-fleet", 60)
        ran, data = watched(name, "--timeout", "3m")
        told = {event: fleet.events(event) for event in ("job-delivered", "job-failed", "job-rejected", "job-lost")}
        fleet.stop()

    assert (0, "passed") == (ran.code, data["verdict"]["state"])
    assert (things, things - len(offline), 0, len(offline)) == tuple(
        data[key] for key in ("things", "succeeded", "failed", "neverReached")
    )
    assert {
        "job-delivered": set(world.names) - offline,
        "job-failed": set(),
        "job-rejected": set(),
        "job-lost": set(),
    } == told
    assert dict.fromkeys(sorted(told["job-delivered"]), FIRMWARE) == dict(sorted(world.installed().items()))


@pytest.mark.parametrize(("things", "rate"), [(40, 10), pytest.param(500, 50, marks=pytest.mark.campaign)])
def test_a_bad_release_is_stopped_by_its_criteria(site: Callable[[int], Site], things: int, rate: int) -> None:
    """One device in five fails: 10, the right reasons, and no more devices than one minute of the rate have seen it."""
    world = site(things)
    failing = {name for name, role in roles(world.names, Shares(fail=0.2)).items() if role.fails}
    with world.played("--fail", "20%") as fleet:
        until(lambda: fleet.connected(things), "connected")
        name = world.create("--rate", str(rate))
        ran, data = watched(name, "--timeout", "3m")
        job = boto3.client("iot").describe_job(jobId=f"{name}-fleet")["job"]
        eventually(lambda: not watched_counts(name)["inProgress"], 30)
        ending = watched_counts(name)
        until(lambda: len(fleet.events("job-failed")) == ending["failed"], "told")
        delivered, failed = fleet.events("job-delivered"), fleet.events("job-failed")
        fleet.stop()
    batches = rollout(job["jobExecutionsRolloutConfig"]).batches(things)
    first = earliest_abort(batches, abort_criteria(job["abortConfig"]))

    assert (10, "failed", "CANCELED") == (ran.code, data["verdict"]["state"], job["status"])
    assert first is not None
    assert (0, rate) == first
    assert len(delivered) <= rate
    assert delivered & failing == failed
    assert (len(failed), len(delivered - failed)) == (ending["failed"], ending["succeeded"])
    assert [("FAILED", "SELF_CHECK_FAILED", sorted(failed))] == [
        (group["status"], group["reason"], group["things"]) for group in ending["failures"]
    ]
    assert delivered - failed == set(world.installed())


def watched_counts(name: str) -> dict[str, Any]:
    """What `ota show` tells."""
    found: dict[str, Any] = run_iotctl("ota", "show", name, "-o", "json").envelope["data"]
    return found
