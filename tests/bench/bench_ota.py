"""2,000 simulated things against the ideal of their job's own rate (run: pytest -m bench tests/bench/bench_ota.py -s).

AWS notifies 1,000 things a minute at most, so 2,000 cannot be done before the minute is over; everything above that is
the platform's, the simulated devices' and the watcher's. Nothing is asserted about time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from iotctl.semantics.rollout import MINUTE, rollout
from tests.conftest import run_iotctl
from tests.local.devices.test_fleet import playing, until

if TYPE_CHECKING:
    from iotctl.target import Platform

pytestmark = pytest.mark.bench

THINGS = 2000
CONNECTING = 240.0


def test_two_thousand_things_against_the_rate_of_their_rollout(platform: Platform, tmp_path: Path) -> None:
    """From create to verdict, with `ota watch` polling and with job events; and what the watcher costs a processor."""
    csv, bundles = tmp_path / "fleet.csv", tmp_path / "fleet"
    csv.write_text("thing_name,thing_groups\n" + "".join(f"bench-ota-{number},bench-ota\n" for number in range(THINGS)))
    assert 0 == run_iotctl("onboard", "apply", str(csv), "--bundles", str(bundles), "--yes").code
    key = tmp_path / "signing.pem"
    assert 0 == run_iotctl("ota", "keygen", "--out", str(key), "--trust", str(bundles / "trusted_keys.json")).code
    boto3.client("s3").create_bucket(Bucket="bench-ota")
    with playing("--bundles", str(bundles)) as fleet:
        deadline = time.monotonic() + CONNECTING
        while not fleet.connected(THINGS):
            assert time.monotonic() < deadline, "not connected"
            time.sleep(0.1)  # before anything is measured
        for release, events in (("1.0", False), ("2.0", True)):
            kinds = {kind: {"Enabled": events} for kind in ("JOB", "JOB_EXECUTION")}
            boto3.client("iot").update_event_configurations(eventConfigurations=kinds)
            measure(tmp_path, key, release, "with events" if events else "polling", platform.pid)
        until(lambda: len(fleet.events("job-succeeded")) == THINGS, "told")


def measure(directory: Path, key: Path, release: str, how: str, pid: int) -> None:
    """One rollout, created and watched as an operator does it; `pid` is the platform's."""
    before = busy(pid)
    artifact = directory / "fw.bin"
    artifact.write_bytes(release.encode() * 1000)
    start = time.perf_counter()
    scope = ("-g", "bench-ota", "--release", release, "--rate", "1000", "--key-file", str(key), "--bucket", "bench-ota")
    made = run_iotctl("ota", "create", str(artifact), *scope, "--yes", "-q")
    assert 0 == made.code, made.stderr
    created = time.perf_counter() - start
    name = made.stdout.strip().rpartition("-")[0]
    words = (sys.executable, "-m", "iotctl", "ota", "watch", name, "-o", "json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        ending = json.loads(watching.stdout.read().splitlines()[-1])
        _, status, used = os.wait4(watching.pid, 0)
        watching.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    assert (0, THINGS) == (watching.returncode, ending["data"]["succeeded"])
    rate = rollout(boto3.client("iot").describe_job(jobId=f"{name}-fleet")["job"].get("jobExecutionsRolloutConfig"))
    ideal = (len(list(rate.batches(THINGS))) - 1) * MINUTE
    cpu = used.ru_utime + used.ru_stime
    each = (busy(pid) - before) / THINGS * 1000
    print(
        f"\n{how}: {seconds / ideal:.3f}x the rate's own {ideal:.0f} s ({seconds:.1f} s for {THINGS:,} things,"
        f" {created:.1f} s of it `create`); the platform used {each:.1f} ms of processor for each;"
        f" the watcher used {cpu:.2f} s, {cpu / (seconds - created):.1%} of a core;"
        f" load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def busy(pid: int) -> float:
    """Seconds of processor that a process has had (proc(5)); 0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
