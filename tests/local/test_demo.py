"""The guided tour, as the README's first command runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.conftest import clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tour_runs_to_its_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """200 things out of a CSV, seen by an AWS client; twenty connect and converge; with --clean all of it is gone."""
    ran = subprocess.run(
        [sys.executable, "-m", "iotctl", "local", "demo", "--clean"],
        env={**os.environ, **clean_environment(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = ran.stdout.splitlines()

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "200 done of 200 things" in ran.stdout
    assert "200" == lines[lines.index("$ aws iot list-things --query 'length(things)'") + 1]
    assert "0 of 20 things deviate" in lines
    assert [tmp_path / "iotctl"] == list(tmp_path.iterdir())
    assert [] == list((tmp_path / "iotctl").iterdir())
