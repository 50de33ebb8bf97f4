"""Ten thousand devices onboarded, taken back, onboarded again: counts right, nothing left over, memory flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from iotctl.target import Platform

pytestmark = pytest.mark.campaign

DEVICES = int(os.environ.get("IOTCTL_CAMPAIGN_DEVICES", "10000"))
FLAT = 64 * 1024
"""KiB by which a run of the whole fleet may be larger than one of 100 devices."""


def run(directory: Path, *words: str) -> tuple[dict[str, Any], int]:
    """A whole process: the envelope's data, and its memory at most, in KiB."""
    with (directory / "stdout").open("w") as stdout, (directory / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "iotctl", "onboard", *words, "-y", "-o", "json"],
            cwd=directory,
            stdout=stdout,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (directory / "stderr").read_text()[-2000:]
    data = json.loads((directory / "stdout").read_text())["data"]
    print(f"\n{words[0]}: {data['done']:,} of {data['things']:,}, {usage.ru_maxrss / 1024:.0f} MiB", end="")
    return data, usage.ru_maxrss


def left() -> dict[str, int]:
    """How much of everything the account holds."""
    iot = boto3.client("iot")

    def count(operation: str, key: str) -> int:
        return sum(len(page[key]) for page in iot.get_paginator(operation).paginate())

    return {
        "things": count("list_things", "things"),
        "certificates": count("list_certificates", "certificates"),
        "groups": count("list_thing_groups", "thingGroups"),
        "policies": count("list_policies", "policies"),
    }


def test_a_fleet_there_and_back_and_there_again(platform: Platform, tmp_path: Path) -> None:
    """Each time all of it; the second onboarding is another one, with new keys, by the same run id."""
    few, whole = tmp_path / "few", tmp_path / "whole"
    for place, number in ((few, 100), (whole, DEVICES)):
        place.mkdir()
        rows = "".join(f"{place.name}-{n},camp-{place.name},oslo\n" for n in range(number))
        (place / "fleet.csv").write_text(f"thing_name,thing_groups,attr:site\n{rows}")
    before = left()
    _, small = run(few, "apply", "fleet.csv")
    (record,) = (few / "fleet-fleet" / "runs").iterdir()
    run(few, "undo", record.stem)
    assert before == left()
    keys: set[bytes] = set()
    for turn in (1, 2):
        done, large = run(whole, "apply", "fleet.csv")
        assert (DEVICES, 0, 0) == (done["done"], done["failed"], done["conflict"])
        assert {**before, "things": before["things"] + DEVICES, "certificates": before["certificates"] + DEVICES} == {
            **left(),
            "groups": before["groups"],
            "policies": before["policies"],
        }
        keys.update((place / "private.pem.key").read_bytes() for place in (whole / "fleet-fleet" / "devices").iterdir())
        assert turn * DEVICES == len(keys)
        undone, back = run(whole, "undo", done["runId"])
        assert DEVICES == undone["done"]
        assert before == left()
        assert turn * DEVICES == len(list((whole / "fleet-fleet" / "revoked").iterdir()))
        assert [] == list((whole / "fleet-fleet" / "devices").iterdir())
        assert max(large, back) - small < FLAT
