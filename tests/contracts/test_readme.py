"""README.md cannot lie: its commands run, its tables are the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl.cli import CAPABILITIES
from iotctl.errors import Exit
from tests.conftest import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ran

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"(<!-- \w+ -->\n)?```console\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_are_one_line_each() -> None:
    """A fresh machine needs two lines to paste: the demo and the tests."""
    marked = {marker.strip("<!- >\n"): text for marker, text in BLOCKS if marker}

    assert ["demo", "tests"] == sorted(marked)
    for text in marked.values():
        assert text.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")
        assert 1 == len(text.strip().splitlines())


@pytest.mark.parametrize("text", [text for marker, text in BLOCKS if not marker])
def test_a_console_block_runs(text: str, tmp_path: Path) -> None:
    """Every other console block is a session that works as it stands, from an empty home."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **clean_environment(tmp_path), "PATH": path}
    # The block's platform takes the ports that were chosen here, so that tests may run beside each other.
    prepared = "iotctl local up --detach --ports auto >/dev/null 2>&1; iotctl local down >/dev/null 2>&1\n"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", prepared + text],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert 0 == ran.returncode, f"{text}\n{ran.stdout}\n{ran.stderr}"


def test_the_example_fleet_file_is_good(iotctl: Callable[..., Ran], tmp_path: Path) -> None:
    """The CSV that the README shows passes `onboard check`."""
    example = re.search(r"```text\n(thing_name.*?)```", README, re.DOTALL)
    assert example
    (tmp_path / "fleet.csv").write_text(example[1])

    assert 0 == iotctl("onboard", "check", str(tmp_path / "fleet.csv")).code


def test_every_exit_code_is_explained() -> None:
    """The table of exit codes says what `errors.Exit` says."""
    table = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", README, re.MULTILINE))
    merged = {Exit.INTERRUPTED, Exit.TERMINATED}

    assert {str(int(code)): code.meaning for code in Exit if code not in merged} == table


def test_every_capability_is_described() -> None:
    """Every command group that exists is in the README."""
    assert [name for name in CAPABILITIES if f"`iotctl {name} " not in README] == []
