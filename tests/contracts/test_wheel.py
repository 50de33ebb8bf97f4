"""What is installed is whole: the wheel has every file that the code reads, and the completions where shells look."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_what_the_code_reads(tmp_path: Path) -> None:
    """Templates, the root CA and the tour's fleet are inside; each shell's completion is shared data."""
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    files = [path for path in (ROOT / "templates").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    templates = {f"iotctl/{path.relative_to(ROOT)}" for path in files}
    package = {
        str(path.relative_to(ROOT)) for path in (ROOT / "iotctl").rglob("*") if path.suffix in {".py", ".pem", ".csv"}
    }

    assert templates | package <= names
    for place in (
        "bash-completion/completions/iotctl",
        "zsh/site-functions/_iotctl",
        "fish/vendor_completions.d/iotctl.fish",
    ):
        assert any(name.endswith(f".data/data/share/{place}") for name in names), place
