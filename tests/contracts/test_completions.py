"""The shell completions that are checked in: current, and they work."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_FILES = {"bash": "iotctl.bash", "zsh": "_iotctl", "fish": "iotctl.fish"}


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("completions", _ROOT / ".ci" / "completions.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shell", _FILES)
def test_the_completions_are_current(shell: str) -> None:
    """Generated again they are the same: `.ci/completions.py` writes them."""
    generator = _generator()
    assert (_ROOT / "completions" / _FILES[shell]).read_text("utf-8") == getattr(generator, shell)(generator.tree())


@pytest.mark.parametrize("shell", _FILES)
def test_the_shell_can_read_them(shell: str) -> None:
    """Its own syntax check."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    command = [shell, "-n", str(_ROOT / "completions" / _FILES[shell])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("iotctl onb", {"onboard"}),
        ("iotctl onboard ch", {"check"}),
        ("iotctl onboard apply --dry", {"--dry-run"}),
        ("iotctl --local onboard ap", {"apply"}),
        ("iotctl onboard apply fleet.csv --bun", {"--bundles"}),
        ("iotctl -o j", {"json"}),
        ("iotctl onboard check --output q", {"quiet"}),
        ("iotctl account iam --reg", {"--region"}),
        ("iotctl onboard check fleet.c", {"fleet.csv"}),
    ],
)
def test_bash_completes(fleet_file: Path, line: str, expected: set[str]) -> None:
    """Commands, options, values, and files where no word fits; without starting Python."""
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    script = f"""
    source '{_ROOT}/completions/iotctl.bash'
    read -ra COMP_WORDS <<< '{line}'
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    PATH=/nonexistent _iotctl
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    assert ("", expected) == (ran.stderr, set(ran.stdout.split()))
