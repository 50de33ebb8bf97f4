"""Who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def test_the_layers_hold() -> None:
    """import-linter's contracts in pyproject.toml, all of them."""
    tool = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([str(tool), "--no-cache"], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stdout
    assert " 0 broken." in ran.stdout


@pytest.mark.parametrize(
    ("package", "doors"),
    [
        ("typer", {"options.py", "cli.py"}),
        ("rich", {"output.py"}),
        ("boto3", {"aws"}),
        ("botocore", {"aws", "gateway"}),
        ("awscrt", {"mqtt.py"}),
        ("awsiot", {"mqtt.py"}),
        ("cryptography", {"pki"}),
        ("jinja2", {"templates.py"}),
        ("tenacity", {"engine.py"}),
        ("aiohttp", {"gateway"}),
    ],
)
def test_every_package_has_one_door(package: str, doors: set[str]) -> None:
    """Imported in one module (typer: in two kinds of them; aiohttp: in the gateway's directory) and nowhere else."""
    source = _ROOT / "iotctl"
    found = {
        path.relative_to(source)
        for path in source.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.strip().startswith((f"import {package}", f"from {package}."))
        or line.strip().startswith(f"from {package} ")
    }
    assert set() == {path for path in found if path.name not in doors and not doors & set(path.parts)}


@pytest.mark.parametrize("word", ["datetime.now(", "time.time(", "time.sleep(", "time.monotonic("])
def test_only_the_clock_tells_the_time(word: str) -> None:
    """So that tests and `--clock-speed` can turn it."""
    source = _ROOT / "iotctl"
    paths = [path for path in source.rglob("*.py") if word in path.read_text("utf-8")]
    assert [source / "clock.py"] == paths or [] == [path for path in paths if path.name != "clock.py"]
