"""`shadow diff -g` over 2,000 things against a sequential boto3 loop that reads the same shadows (pytest -m bench -s).

Both are whole processes, in turns, against one platform: straight, where both are bound by the SDK's work on one core,
and through a relay that takes 20 ms for a round trip, as a near AWS region does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iotctl.target import Platform

pytestmark = pytest.mark.bench

THINGS = 2000
ROUNDS = 3

PLAIN_LOOP = """
import json, boto3
iot, data = boto3.client("iot"), boto3.client("iot-data")
pages = iot.get_paginator("list_things_in_thing_group").paginate(thingGroupName="diff", recursive=True)
for name in [name for page in pages for name in page["things"]]:
    state = json.loads(data.get_thing_shadow(thingName=name)["payload"].read())["state"]
    if "delta" in state:
        print(name, state["delta"])
"""


def test_diff_of_a_group_against_a_plain_loop(platform: Platform, tmp_path: Path) -> None:
    """Who deviates among 2,000 things; the ratio is the median of the rounds."""
    prepare()
    rounds("straight, the index off", tmp_path, platform.http_url)
    with relay(platform.http_url) as url:
        rounds("20 ms away, the index off", tmp_path, url, number=1)
    switch_on()
    rounds("straight, out of the index", tmp_path, platform.http_url)
    with relay(platform.http_url) as url:
        rounds("20 ms away, out of the index", tmp_path, url, number=1)


def prepare() -> None:
    """2,000 things in a group, every hundredth of them behind."""
    iot, data = boto3.client("iot"), boto3.client("iot-data")
    iot.create_thing_group(thingGroupName="diff")
    for number in range(THINGS):
        iot.create_thing(thingName=f"diff-{number}")
        iot.add_thing_to_thing_group(thingName=f"diff-{number}", thingGroupName="diff")
        state = {"desired": {"rate": 5}, "reported": {"rate": 4 if number % 100 == 0 else 5}}
        data.update_thing_shadow(thingName=f"diff-{number}", payload=json.dumps({"state": state}))


def switch_on() -> None:
    """Index the shadows, and wait until it is done."""
    iot = boto3.client("iot")
    iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "REGISTRY_AND_SHADOW"})
    while iot.describe_index(indexName="AWS_Things")["indexStatus"] != "ACTIVE":
        time.sleep(0.1)  # AWS tells nobody when an index is ready


def rounds(where: str, directory: Path, url: str, number: int = ROUNDS) -> None:
    """Both in turns, and their ratio."""
    environment = {**os.environ, "AWS_ENDPOINT_URL": url, "IOTCTL_TARGET": ""}
    ratios, seconds = [], []
    for _ in range(number):
        plain = timed([sys.executable, "-c", PLAIN_LOOP], directory, environment)
        ours = timed([sys.executable, "-m", "iotctl", "shadow", "diff", "-g", "diff"], directory, environment)
        ratios.append(plain / ours)
        seconds.append(ours)
    print(
        f"\nshadow diff -g, {THINGS} things, {where}: {statistics.median(seconds):.2f} s;"
        f" {statistics.median(ratios):.1f} times as fast as a sequential boto3 loop (median of {number})"
    )


@contextlib.contextmanager
def relay(url: str) -> Iterator[str]:
    """A relay to the platform that holds everything back for 10 ms, each way."""
    ready: Future[tuple[int, asyncio.AbstractEventLoop]] = Future()
    upstream = int(url.rpartition(":")[2])

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, old: bytes, new: bytes) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            loop.call_later(0.01, writer.write, data.replace(old, new) if old else data)
        loop.call_later(0.01, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", upstream)
        ours = b"ost: 127.0.0.1:%d" % writer.get_extra_info("sockname")[1]
        theirs = b"ost: 127.0.0.1:%d" % upstream
        await asyncio.gather(forward(reader, back, ours, theirs), forward(there, writer, b"", b""))

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop()))
        await server.serve_forever()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            asyncio.run(serve())

    threading.Thread(target=run, daemon=True).start()
    port, loop = ready.result(10)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(loop.stop)


def timed(command: list[str], directory: Path, environment: dict[str, str]) -> float:
    """Wall seconds of a whole process, which must find the twenty that deviate."""
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=directory, env=environment, check=False, capture_output=True, text=True)
    assert 0 == ran.returncode, ran.stderr
    assert 20 == len(ran.stdout.splitlines())
    return time.perf_counter() - started
