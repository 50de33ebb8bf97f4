"""A stage, and a platform of one's own: these tests count every certificate of the account."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iotctl.local.state import State
from iotctl.target import Platform
from tests.conftest import clean_environment
from tests.faults.invariants import Account, Declared, Watch
from tests.faults.stage import Job, Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The fork server."""
    with Stage() as started:
        yield started


@pytest.fixture(scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a platform that only these tests use: with several workers each has its own."""
    home = tmp_path_factory.mktemp("own")
    environment = {**os.environ, **clean_environment(home)}
    local = [sys.executable, "-m", "iotctl", "local"]
    up = subprocess.run(
        [*local, "up", "--detach", "--ports", "auto"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert up.returncode == 0, up.stderr
    yield home
    subprocess.run([*local, "down"], env=environment, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def own(own_home: Path) -> Platform:
    """The platform of these tests."""
    found = State(own_home / "iotctl" / "local").platform()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def account(own: Platform) -> Account:
    """What it holds."""
    return Account(own)


@pytest.fixture(scope="session")
def environment(own_home: Path, own: Platform) -> dict[str, str]:
    """The environment of a process that acts on it."""
    return {
        **clean_environment(own_home),
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": own.http_url,
        "AWS_ACCESS_KEY_ID": own.access_key_id,
        "AWS_SECRET_ACCESS_KEY": own.secret_access_key,
        "AWS_REGION": own.region,
    }


@pytest.fixture
def watch(tmp_path: Path, account: Account) -> Callable[[int], Watch]:
    """A fresh fleet of so many things, watched: `watch(3)`."""
    return lambda count: Watch(Declared.fresh(tmp_path, count), account)


@pytest.fixture(scope="session")
def job(environment: dict[str, str]) -> Callable[..., Job]:
    """The job that onboards a fleet: `job(declared, at=7, strike="full", AWS_ENDPOINT_URL=…)`."""

    def make(declared: Declared, *, strike: str = "kill", at: int | str = 0, **other: Any) -> Job:
        read_timeout = other.pop("read_timeout", 0)
        argv = [*declared.apply, *other.pop("more", ())]
        program = other.pop("program", "iotctl.cli:run")
        variables = {**environment, **other}
        return Job(argv, str(declared.cwd), variables, strike, at, program, read_timeout)

    return make
