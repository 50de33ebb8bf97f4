"""The platform killed and started again: what it acknowledged is there, and a run that it interrupted resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from iotctl.local.state import State
from iotctl.target import Platform
from tests.conftest import clean_environment
from tests.faults.invariants import Account, Declared, Watch
from tests.faults.stage import Job, Stage

if TYPE_CHECKING:
    from pathlib import Path


def local(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`iotctl local …` with this home."""
    environment = {**os.environ, **clean_environment(home)}
    return subprocess.run(
        [sys.executable, "-m", "iotctl", "local", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def up(home: Path) -> Platform:
    """The platform of this home, started."""
    started = local(home, "up", "--detach", "--ports", "auto")
    assert 0 == started.returncode, started.stderr
    found = State(home / "iotctl" / "local").platform()
    assert found is not None
    return found


def test_a_platform_killed_during_a_run_comes_back_with_all_it_acknowledged(tmp_path: Path, stage: Stage) -> None:
    """Killed in the middle of a run: the run fails and says so, `up` finds state and ports as they were, it resumes."""
    home = tmp_path / "home"
    home.mkdir()
    platform = up(home)
    try:
        account = Account(platform)
        fleet = Watch(Declared.fresh(tmp_path, 2), account)
        environment = {**clean_environment(home), "PATH": os.environ["PATH"], "IOTCTL_TARGET": "local"}
        job = Job(fleet.declared.apply, str(fleet.declared.cwd), environment)
        attach = f"http.client.send PUT /things/{fleet.declared.things[1]}"
        running = stage.start(Job(job.argv, job.cwd, environment, strike="stop", at=attach)).until_stopped()
        os.kill(platform.pid, signal.SIGKILL)
        running.resume()
        assert (3, "Unreachable") == ((ended := running.end()).code, ended.envelope["errors"][0]["code"])

        stale = local(home, "status")
        assert (12, True) == (stale.returncode, "no local platform is running" in stale.stderr)
        without = stage.run(job)
        assert (12, "NotRunning") == (without.code, without.envelope["errors"][0]["code"])

        again = up(home)
        assert (platform.http_url, platform.account_id) == (again.http_url, again.account_id)
        assert [] == fleet.now()
        assert 0 == stage.run(job).code
        assert [] == fleet.ended()
    finally:
        local(home, "down")
