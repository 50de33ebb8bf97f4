"""`onboard check` of a million rows, against reading them with Python's csv module (run: pytest -m bench -s)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.bench

ROWS = 1_000_000
READ = (
    "import csv, sys\nwith open(sys.argv[1], newline='') as stream:\n    print(sum(1 for _ in csv.DictReader(stream)))"
)


def test_check_of_a_million_rows(tmp_path: Path) -> None:
    """Memory and seconds of whole processes; the same rows, by csv.DictReader, are the baseline."""
    path = tmp_path / "fleet.csv"
    with path.open("w") as stream:
        stream.write("thing_name,thing_type,thing_groups,attr:site,attr:serial\n")
        stream.writelines(f"press-{number:07d},press,oslo;presses,oslo,{number}\n" for number in range(ROWS))
    wall, busy, memory = measured([sys.executable, "-m", "iotctl", "onboard", "check", str(path), "-q"])
    _, plain, _ = measured([sys.executable, "-c", READ, str(path)])
    print(
        f"\nonboard check of {ROWS:,} rows: {busy:.1f} s of processor ({wall:.1f} s in all), {memory / 1024:.0f} MiB;"
        f" {busy / plain:.1f} times csv.DictReader's {plain:.1f} s"
    )


def measured(command: list[str]) -> tuple[float, float, int]:
    """Wall seconds, processor seconds and KiB at most, of a whole process."""
    started = os.times()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return os.times().elapsed - started.elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss
