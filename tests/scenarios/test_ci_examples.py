"""The README's examples for CI do what they say: on simulated devices, with shorter waits, good release and bad."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import run_iotctl
from tests.local.devices.test_fleet import playing, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.target import Platform

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
THINGS = 24
_SHORTER = {"--soak 30m": "--soak 1s", "--timeout 10m": "--timeout 2s"}


@dataclass(frozen=True)
class Job:
    """A CI job's checkout, and the group that it rolls out to."""

    directory: Path
    group: str

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the README as a CI system does: no terminal, nothing to answer."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def example(language: str) -> str:
    """The code block of a language under "In CI"."""
    section = README.partition("### In CI")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def job(platform: Platform, tmp_path: Path) -> Iterator[Job]:
    """A checkout with the script, an artifact, and devices at work that trust the key of `signing.pem`."""
    group = f"pumps-{uuid.uuid4().hex[:8]}"
    bundles = tmp_path / "fleet"
    (tmp_path / "fleet.csv").write_text(
        "thing_name,thing_groups\n" + "".join(f"{group}-{number:02},{group}\n" for number in range(THINGS))
    )
    (tmp_path / "pump.bin").write_bytes(group.encode() * 100)
    for words in (
        ("onboard", "apply", str(tmp_path / "fleet.csv"), "--bundles", str(bundles), "--yes"),
        ("ota", "keygen", "--out", str(tmp_path / "signing.pem"), "--trust", str(bundles / "trusted_keys.json")),
    ):
        ran = run_iotctl(*words)
        assert 0 == ran.code, ran.stderr

    script = example("bash").replace("-g pumps", f"-g {group}")
    for long, short in _SHORTER.items():
        assert long in script
        script = script.replace(long, short)
    (tmp_path / "roll-out.sh").write_text(script)
    (tmp_path / "roll-out.sh").chmod(0o755)
    with playing("--bundles", str(bundles)) as fleet:
        until(lambda: fleet.connected(THINGS), "connected")
        yield Job(tmp_path, group)


def test_the_script_rolls_out(job: Job) -> None:
    """0, through the canary; once more it is the same rollout, which has passed already."""
    ran = job.run("./roll-out.sh 1.4.0")
    assert 0 == ran.returncode, ran.stderr
    root = ET.parse(job.directory / "rollout.xml").getroot()
    suites = [str(suite.get("name")).partition(" ")[0] for suite in root]
    assert (["canary", "fleet", "verdict"], 0) == (suites, sum(int(suite.get("failures", 0)) for suite in root))
    again = job.run("./roll-out.sh 1.4.0")
    assert (0, ran.stdout.splitlines()[-1].split("\t")[:5]) == (
        again.returncode,
        again.stdout.splitlines()[-1].split("\t")[:5],
    )


def test_the_step_of_github_actions(job: Job) -> None:
    """With a key that the devices do not trust it ends with 10; the key is nowhere in what it wrote, and gone after."""
    run = re.search(r"run: \|\n((?: {4}.*\n)+)", example("yaml"))
    assert run
    other = job.directory / "other.pem"
    assert 0 == run_iotctl("ota", "keygen", "--out", str(other)).code
    key = other.read_text()
    ran = job.run(re.sub("^ {4}", "", run[1], flags=re.MULTILINE), SIGNING_KEY=key.strip(), RELEASE="1.5.0")
    assert (10, False) == (ran.returncode, (job.directory / "signing.pem").exists())
    assert "UNKNOWN_KEY" in ran.stderr
    assert key.splitlines()[1] not in ran.stdout + ran.stderr
