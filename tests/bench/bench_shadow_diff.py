"""`shadow diff -g` over 2,000 things against a sequential boto3 loop that reads the same shadows (pytest -m bench -s).

Both are whole processes, in turns, against one platform.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
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
    iot, data = boto3.client("iot"), boto3.client("iot-data")
    iot.create_thing_group(thingGroupName="diff")
    for number in range(THINGS):
        iot.create_thing(thingName=f"diff-{number}")
        iot.add_thing_to_thing_group(thingName=f"diff-{number}", thingGroupName="diff")
        state = {"desired": {"rate": 5}, "reported": {"rate": 4 if number % 100 == 0 else 5}}
        data.update_thing_shadow(thingName=f"diff-{number}", payload=json.dumps({"state": state}))
    ratios, seconds = [], []
    for _ in range(ROUNDS):
        plain = timed([sys.executable, "-c", PLAIN_LOOP], tmp_path)
        ours = timed([sys.executable, "-m", "iotctl", "shadow", "diff", "-g", "diff"], tmp_path)
        ratios.append(plain / ours)
        seconds.append(ours)
    print(
        f"\nshadow diff -g, {THINGS} things: {statistics.median(seconds):.2f} s;"
        f" {statistics.median(ratios):.1f} times as fast as a sequential boto3 loop (median of {ROUNDS}: {ratios})"
    )


def timed(command: list[str], directory: Path) -> float:
    """Wall seconds of a whole process, which must find the twenty that deviate."""
    started = time.perf_counter()
    ran = subprocess.run(command, cwd=directory, env=dict(os.environ), check=True, capture_output=True, text=True)
    assert 20 == len(ran.stdout.splitlines())
    return time.perf_counter() - started
