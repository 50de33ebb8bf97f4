"""An onboarding on a throttled server, against what people write with boto3 (run: pytest -m bench -s).

Four calls a device, each operation with a quota of its own. The ideal is what the quota alone allows, and each strategy
is told as times the ideal, with the calls that were throttled and the devices that failed in its first pass. Each has a
server and a process of its own; at a rate at which they wait nearly all of their time they run beside each other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bench.throttled import ACCOUNT

pytestmark = pytest.mark.bench

LATENCY: Final = 0.04
NAMES: Final = ("known", "unknown", "sequential", "pool", "adaptive")
_OPERATIONS: Final = ("CreateThing", "RegisterCertificateWithoutCA", "AttachThingPrincipal", "AttachPolicy")


@pytest.mark.parametrize(
    ("rate", "start", "devices", "names"),
    [
        (10, 10, 500, NAMES),  # the documented default
        (100, 100, 2000, ("known", "unknown", "pool", "adaptive")),  # a raised quota, told
        (100, 10, 2000, ("unknown",)),  # a raised quota that nobody told us of
        (37, 10, 700, ("unknown",)),
    ],
)
def test_makespan(rate: float, start: float, devices: int, names: tuple[str, ...], tmp_path: Path) -> None:
    """Every strategy on a server of this rate."""
    ideal = (devices - rate) / rate + len(_OPERATIONS) * LATENCY
    print(f"\n{devices} devices, {rate:g} calls/s of each operation, begun at {start:g}/s; ideal {ideal:.1f} s")
    with ThreadPoolExecutor(len(names) if rate <= 20 else 1) as running:
        for line in running.map(lambda name: measured(name, rate, start, devices, ideal, tmp_path), names):
            print(line)


def measured(name: str, rate: float, start: float, devices: int, ideal: float, directory: Path) -> str:
    """One strategy in a process of its own: its line of the table."""
    # A loop takes as long for each device: a tenth of them tells.
    share = devices // 10 if name == "sequential" else devices
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.throttled", str(rate), str(LATENCY)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        port = int(server.stdout.readline())
        argv = [sys.executable, "-m", "tests.bench.bench_pace", name, str(port), str(rate), str(start), str(share)]
        ran = subprocess.run(
            [*argv, str(directory / f"{name}-{rate}-{start}")], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(ran.stdout)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as answer:
            counts = json.loads(answer.read())
    finally:
        server.kill()
        server.communicate()
    throttled = counts.get("throttled", 0)
    calls = throttled + sum(counts.get(op, 0) for op in _OPERATIONS)
    seconds = found["seconds"] * devices / share
    return (
        f"  {name:<12} {seconds:7.1f} s  {seconds / ideal:5.2f} x ideal  {throttled:5d} throttled"
        f" ({throttled / calls:5.1%})  {found['failed']:4d} failed in the first pass, {found['cpu']:.1f} s of processor"
    )


def ours(port: int, rates: dict[str, float], starts: dict[str, float], devices: int, directory: Path) -> int:
    """The engine, with a plan of `onboard apply`; how many failed."""
    from iotctl import bundle, engine, made, pki
    from iotctl.aws import Aws
    from iotctl.onboard import fleet, observe, row
    from iotctl.onboard import plan as planning
    from iotctl.target import Platform, Target

    target = Target("local", ACCOUNT, "us-east-1")
    url = f"http://127.0.0.1:{port}"
    aws = Aws(platform=Platform(url, 1, 2, "", ACCOUNT, target.region, 0, "IOTCTLLOCALBENCH", "secret"))
    bundles = directory / "out"
    bundles.mkdir(parents=True)
    (directory / "fleet.csv").write_text("thing_name\n" + "".join(f"bench-{number}\n" for number in range(devices)))
    reading = row.Reading("bench", observe.policy_name, pki.check_csr)
    rows = fleet.read(str(directory / "fleet.csv"), reading)
    place = planning.Place(target, str(bundles), target.to_json(), "CA")
    plan = planning.onboarding(rows, planning.Missing(), place, planning.Keys())
    effects: dict[str, Any] = {bundle.PUBLISH: bundle.Publisher(), made.RECORD: made.record}
    world = engine.World(call=aws.call, members=aws.members, effects=effects, rates=rates, starts=starts)
    return sum(outcome.state != "done" for outcome in engine.run(plan, world))


def theirs(port: int, name: str, devices: int) -> int:
    """What people write: a loop, a pool of 32 threads, the same with botocore's adaptive mode; how many failed.

    Their keys and certificates are made before, and cost them nothing; what failed is tried again until all is done.
    """
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "max_attempts": 10}) if name == "adaptive" else Config()
    iot = boto3.client(
        "iot",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="A",
        aws_secret_access_key="B",
        config=config.merge(Config(max_pool_connections=32)),
    )
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    def device(number: int) -> bool:
        thing = f"bench-{number}"
        try:
            arn = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")["certificateArn"]
            iot.create_thing(thingName=thing)
            iot.attach_policy(policyName="p", target=arn)
            iot.attach_thing_principal(thingName=thing, principal=arn)
        except iot.exceptions.ClientError:
            return False
        return True

    with ThreadPoolExecutor(1 if name == "sequential" else 32) as pool:
        left = list(range(devices))
        passes = list(again(left, pool, device))
    return passes[0]


def again(left: list[int], pool: ThreadPoolExecutor, device: Any) -> Iterator[int]:
    """Try until nothing is left; how many were left after each pass."""
    while left:
        left = [number for number, done in zip(left, pool.map(device, left), strict=True) if not done]
        yield len(left)


def main(name: str, port: int, rate: float, start: float, devices: int, directory: Path) -> None:
    """Be one strategy; print what it took."""
    began = time.monotonic()
    told = dict.fromkeys((f"iot:{op}" for op in _OPERATIONS), rate if name == "known" else start)
    if name in {"known", "unknown"}:
        known = name == "known"
        failed = ours(port, told if known else {}, {} if known else told, devices, directory)
    else:
        failed = theirs(port, name, devices)
    print(json.dumps({"seconds": time.monotonic() - began, "failed": failed, "cpu": time.process_time()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
