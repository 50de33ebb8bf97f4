"""An onboarding on throttled servers, against what people write with boto3 (run: pytest -m bench -s; five minutes).

Four calls a device, each operation with a quota of its own. The ideal is what the quota alone allows, begun with a full
bucket of one second; each strategy is told as times the ideal, with the calls that were throttled and the devices that
failed in its first pass (whoever fails is tried again until all are done). Time begins when modules are imported and
clients made, for all alike. Each has a server and a process of its own; where they wait nearly all of their time they
run beside each other, else in turns. What of it is the machine's is seen beside `tests/test_makespan.py`: the same
runs, simulated.

Goals: known 1.05 and nothing throttled, guessed right 1.05 and 3 % throttled, found alone 1.20; no device fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from iotctl.semantics import quotas
from iotctl.target import Platform
from tests.bench.throttled import ACCOUNT
from tests.conftest import clean_environment

pytestmark = pytest.mark.bench

LATENCY: Final = 0.04
NAMES: Final = ("known", "unknown", "sequential", "pool", "adaptive")
OPERATIONS: Final = ("CreateThing", "RegisterCertificateWithoutCA", "AttachThingPrincipal", "AttachPolicy")
_POLICY: Final = "bench"


@dataclass(frozen=True, slots=True)
class Course:
    """What is run.

    Attributes:
        rate: calls a second of each operation, as the server enforces them; None: AWS's defaults, on `local`.
        start: where the strategy that is told nothing begins; None: at AWS's defaults.
        devices: how many.
        latency: seconds, of the throttled server.

    """

    rate: float | None
    start: float | None
    devices: int
    latency: float = LATENCY

    def rates(self) -> dict[str, float]:
        """The quotas, by operation."""
        return {f"iot:{op}": self.rate or quotas.DEFAULTS[f"iot:{op}"] for op in OPERATIONS}

    def starts(self) -> dict[str, float]:
        """Where the search begins, by operation."""
        return {op: self.start or rate for op, rate in self.rates().items()}

    def ideal(self) -> float:
        """Seconds that the tightest quota alone needs."""
        tightest = min(self.rates().values())
        return (self.devices - tightest) / tightest + len(OPERATIONS) * self.latency


@pytest.mark.parametrize(
    ("course", "names"),
    [
        (Course(10, 10, 500), NAMES),
        (Course(100, 100, 2000), NAMES),
        (Course(100, 10, 2000), ("unknown",)),  # a raised quota that nobody told us of
        (Course(37, 10, 700), ("unknown",)),
        (Course(None, None, 300, latency=0.0), NAMES),
    ],
    ids=lambda value: f"{value.rate or 'aws'}" if isinstance(value, Course) else "",
)
def test_makespan(course: Course, names: tuple[str, ...], tmp_path: Path) -> None:
    """Every strategy on a server of this rate."""
    where = f"{course.rate:g} calls/s of each operation" if course.rate else "local --throttle aws"
    begun = f", begun at {course.start:g}/s" if course.start else ""
    print(f"\n{course.devices} devices, {where}{begun}; ideal {course.ideal():.1f} s; load {os.getloadavg()[0]:.1f}")
    at_once = len(names) if (course.rate or 0) <= 20 else 1
    with ThreadPoolExecutor(at_once) as running:
        for line in running.map(lambda name: measured(name, course, tmp_path), names):
            print(line, flush=True)


def measured(name: str, course: Course, directory: Path) -> str:
    """One strategy in a process of its own: its line of the table."""
    # A loop takes as long for each device: a tenth of them tells.
    devices = course.devices // 10 if name == "sequential" else course.devices
    place = directory / f"{name}-{course.rate}-{course.start}"
    place.mkdir()
    with (throttled if course.rate else local)(course, place) as platform:
        asked = json.dumps([name, asdict(platform), asdict(course), devices, str(place)])
        argv = [sys.executable, "-m", "tests.bench.bench_pace"]
        ran = subprocess.run(argv, input=asked, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(ran.stdout)
        if course.rate:
            with urllib.request.urlopen(f"{platform.http_url}/counts") as answer:
                assert json.loads(answer.read()).get("throttled", 0) == found["throttled"]
    seconds = found["seconds"] * course.devices / devices
    return (
        f"  {name:<12} {seconds:7.1f} s  {seconds / course.ideal():5.2f} x ideal  {found['throttled']:5d} throttled"
        f" ({found['throttled'] / found['calls']:5.1%})  {found['failed']:4d} failed in the first pass,"
        f" {found['cpu']:.1f} s of processor"
    )


@contextlib.contextmanager
def throttled(course: Course, _: Path) -> Iterator[Platform]:
    """A server of this rate, and of nothing else."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.throttled", str(course.rate), str(course.latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        yield Platform(url, 1, 2, "", ACCOUNT, "us-east-1", 0, "IOTCTLLOCALBENCH", "secret")
    finally:
        server.kill()
        server.communicate()


@contextlib.contextmanager
def local(_: Course, place: Path) -> Iterator[Platform]:
    """A local platform that enforces AWS's default quotas."""
    environment = {**os.environ, **clean_environment(place)}
    command = [sys.executable, "-m", "iotctl", "local"]
    up = [*command, "up", "--detach", "--ports", "auto", "--throttle", "aws"]
    subprocess.run(up, env=environment, check=True, stdout=subprocess.DEVNULL)
    try:
        yield Platform.from_json(json.loads((place / "iotctl" / "local" / "platform.json").read_bytes()))
    finally:
        subprocess.run([*command, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)


class Count:
    """Every answer that a client of botocore's gets, also those that it hides by trying again."""

    def __init__(self, client: Any) -> None:
        self.calls: Counter[int] = Counter()
        client.meta.events.register("response-received.iot", self._count)

    def _count(self, response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
        if response_dict:
            self.calls[response_dict["status_code"]] += 1


def ours(platform: Platform, course: Course, name: str, devices: int, place: Path) -> dict[str, Any]:
    """The engine, with a plan of `onboard apply`."""
    from iotctl import bundle, engine, made, pki
    from iotctl.aws import Aws
    from iotctl.onboard import fleet, observe, row
    from iotctl.onboard import plan as planning
    from iotctl.onboard.resources import Missing
    from iotctl.target import Target
    from iotctl.world import World

    target = Target("local", platform.account_id, platform.region)
    aws = Aws(platform=platform)
    count = Count(aws._client("iot", once=True))
    bundles = place / "out"
    bundles.mkdir(parents=True)
    (place / "fleet.csv").write_text("thing_name\n" + "".join(f"bench-{number}\n" for number in range(devices)))
    rows = fleet.read(str(place / "fleet.csv"), row.Reading(_POLICY, observe.policy_name, pki.check_csr))
    plan = planning.onboarding(
        rows, Missing(), planning.Place(target, str(bundles), target.to_json(), "CA"), planning.Keys()
    )
    effects: dict[str, Any] = {bundle.PUBLISH: bundle.Publisher(), made.RECORD: made.record}
    known = name == "known"
    world = World(
        call=aws.call,
        members=aws.members,
        effects=effects,
        rates=course.rates() if known else {},
        starts={} if known else course.starts(),
    )
    began = time.monotonic()
    failed = sum(outcome.state != "done" for outcome in engine.run(plan, world))
    return _told(began, failed, count)


def theirs(client: Any, count: Count, name: str, devices: int) -> dict[str, Any]:
    """What people write: a loop, a pool of 32 threads, the same with botocore's adaptive mode.

    Their keys and certificates are made before, and cost them nothing; what failed is tried again until all is done.
    """
    from iotctl import pki

    authority = pki.Authority.create("bench")
    pems = [authority.issue(f"bench-{number}").certificate_pem for number in range(devices)]

    def device(number: int) -> bool:
        thing = f"bench-{number}"
        try:
            arn = _arn(client, pems[number])
            client.create_thing(thingName=thing)
            client.attach_policy(policyName=_POLICY, target=arn)
            client.attach_thing_principal(thingName=thing, principal=arn)
        except client.exceptions.ClientError:
            return False
        return True

    began = time.monotonic()
    with ThreadPoolExecutor(1 if name == "sequential" else 32) as pool:
        passes = list(again(list(range(devices)), pool, device))
    return _told(began, passes[0], count)


def _arn(client: Any, pem: str) -> str:
    """Register a certificate; one that is registered already is as good."""
    try:
        return str(client.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")["certificateArn"])
    except client.exceptions.ResourceAlreadyExistsException as error:
        return str(error.response["resourceArn"])


def again(left: list[int], pool: ThreadPoolExecutor, device: Any) -> Iterator[int]:
    """Try until nothing is left; how many were left after each pass."""
    while left:
        left = [number for number, done in zip(left, pool.map(device, left), strict=True) if not done]
        yield len(left)


def _told(began: float, failed: int, count: Count) -> dict[str, Any]:
    seconds = time.monotonic() - began
    calls = count.calls.total()
    return {
        "seconds": seconds,
        "failed": failed,
        "calls": calls,
        "throttled": count.calls[429],
        "cpu": time.process_time(),
    }


def main(name: str, platform: Platform, course: Course, devices: int, place: Path) -> dict[str, Any]:
    """Be one strategy; what it took."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "max_attempts": 10}) if name == "adaptive" else Config()
    client = boto3.client(
        "iot",
        endpoint_url=platform.http_url,
        region_name=platform.region,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key=platform.secret_access_key,
        config=config.merge(Config(max_pool_connections=32)),
    )
    if not course.rate:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
        client.create_policy(policyName=_POLICY, policyDocument=json.dumps(document))
    if name in {"known", "unknown"}:
        return ours(platform, course, name, devices, place)
    return theirs(client, Count(client), name, devices)


if __name__ == "__main__":
    word, there, what, number, directory = json.load(sys.stdin)
    print(json.dumps(main(word, Platform(**there), Course(**what), number, Path(directory))))
