"""The guided tour, as the README's first command runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.conftest import clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tour_runs_to_its_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """200 things of a CSV; twenty converge; a model on a core, a worse one stopped, a rollback; then all is gone."""
    ran = subprocess.run(
        [sys.executable, "-m", "iotctl", "local", "demo", "--clean"],
        env={**os.environ, **clean_environment(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    lines = ran.stdout.splitlines()

    assert (0, "") == (ran.returncode, ran.stderr)
    assert "200 done of 200 things" in ran.stdout
    assert "200" == lines[lines.index("$ aws iot list-things --query 'length(things)'") + 1]
    assert "0 of 20 things deviate" in lines
    # Deterministic: the same images, the same model, as .ci/digits.py measured it.
    assert "# Accuracy on the 180 images that were held out: 0.967" in lines
    (stopped,) = [line for line in lines if "stopped digits 2.0.0" in line]
    assert 0.6 < float(re.findall(r"agreement ([\d.]+)", stopped)[0]) < 0.9
    assert ["edge-1", "digits", "1.0.0", "RUNNING"] == next(
        line.split()[:4] for line in reversed(lines) if line[:7] == "edge-1 "
    )
    assert [tmp_path / "iotctl"] == list(tmp_path.iterdir())
    assert [] == list((tmp_path / "iotctl").iterdir())
