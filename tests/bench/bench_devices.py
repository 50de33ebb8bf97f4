"""Simulated devices on their light connection against awsiotsdk (run: pytest -m bench tests/bench/bench_devices.py -s).

Both carry the same things of one onboarding, subscribed to the same filters, on one platform; each in a process of its
own, in turns. Memory is what the process grew by, divided by its connections. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl.local.devices import fleet, session
from iotctl.local.devices.thing import Thing
from iotctl.mqtt import Connection
from tests.conftest import run_iotctl

if TYPE_CHECKING:
    from iotctl.target import Platform

pytestmark = pytest.mark.bench

THINGS = 1000
FEWER = 200  # for awsiotsdk
ROUNDS = 3


def test_light_connections_against_awsiotsdk(platform: Platform, tmp_path: Path) -> None:
    """Memory of a connection and connections made in a second; then all of it as the command does it."""
    csv, bundles = tmp_path / "fleet.csv", tmp_path / "fleet"
    csv.write_text("thing_name\n" + "".join(f"bench-device-{number}\n" for number in range(THINGS)))
    assert run_iotctl("onboard", "apply", str(csv), "--bundles", str(bundles), "--yes").code == 0
    found: dict[str, list[dict[str, float]]] = {"light": [], "awsiotsdk": []}
    for _ in range(ROUNDS):
        for carrier, number in (("light", THINGS), ("awsiotsdk", FEWER)):
            found[carrier].append(measured(carrier, bundles, number))
    for key, unit in (("kilobytes", "kB a connection"), ("rate", "connections/s")):
        ours, theirs = (statistics.median(each[key] for each in found[carrier]) for carrier in ("light", "awsiotsdk"))
        print(f"{unit}: {ours / theirs:.2f}x awsiotsdk ({ours:,.0f} to {theirs:,.0f})")
    print(
        f"{THINGS:,} things, connected and subscribed: {statistics.median(x['seconds'] for x in found['light']):.1f} s"
    )


def measured(carrier: str, bundles: Path, number: int) -> dict[str, float]:
    """What a child with so many connections measured."""
    words = [sys.executable, "-m", "tests.bench.bench_devices", carrier, str(bundles), str(number)]
    root = Path(__file__).parents[2]
    child = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300, cwd=root)
    answer: dict[str, float] = json.loads(child.stdout)
    return answer


def memory() -> float:
    """The resident memory of this process in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    raise ProcessLookupError


async def light(members: list[fleet.Member], number: int) -> tuple[float, float]:
    """Seconds and kB of so many light connections."""
    session.allow_thousands()
    gate = asyncio.Semaphore(fleet.CONNECTING)

    async def one(member: fleet.Member) -> session.Session:
        async with gate:
            filters = Thing(member.identity.thing_name).filters
            return await session.connect(member.identity, filters, lambda *_: None)

    before, start = memory(), time.perf_counter()
    sessions = await asyncio.gather(*map(one, members[:number]))
    seconds, grown = time.perf_counter() - start, memory() - before
    for each in sessions:
        each.abort()
    await asyncio.gather(*(each.closed for each in sessions))
    return seconds, grown


def with_sdk(members: list[fleet.Member], number: int) -> tuple[float, float]:
    """Seconds and kB of so many connections of awsiotsdk, 20 at a time."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(20) as pool:

        def one(member: fleet.Member) -> Connection:
            who = member.identity
            files = {"certificate": who.certificate, "key": who.key, "ca_file": who.ca_file}
            connection = Connection.device(who.endpoint, who.port, who.thing_name, **files, paced=False)
            connection.__enter__()
            connection.subscribe(Thing(who.thing_name).filters)
            return connection

        before, start = memory(), time.perf_counter()
        for connection in pool.map(one, members[:number]):
            stack.push(connection)
        return time.perf_counter() - start, memory() - before


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("carrier", choices=["light", "awsiotsdk"])
    parser.add_argument("bundles", type=Path)
    parser.add_argument("number", type=int)
    chosen = parser.parse_args()
    playable = fleet.members(chosen.bundles, None)
    took, used = (
        asyncio.run(light(playable, chosen.number)) if chosen.carrier == "light" else with_sdk(playable, chosen.number)
    )
    print(json.dumps({"seconds": took, "rate": chosen.number / took, "kilobytes": used / chosen.number}))
