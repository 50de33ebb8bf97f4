"""Isolation, the command line as a function, and a local platform for the whole session."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from iotctl import cli, clock
from iotctl.target import Platform
from tests import botocores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.cores import RunningCore

# A run starts hundreds of processes: where Python is told to write no bytecode each compiles all that it imports, which
# takes longer than what it then does. The workers, started later, take both from here.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("suite", max_examples=100, derandomize=True, deadline=None, print_blob=True)
settings.register_profile("long", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Ran:
    """How one command line ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON envelope on stdout."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


class FirstAlone:
    """Lets one worker collect before the others: it writes the bytecode of the tests, and they need only read it.

    On a fresh checkout pytest compiles each test module, which takes three times what reading it takes; all workers at
    once would each do it.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._lock = tempfile.NamedTemporaryFile()  # noqa: SIM115  held as long as the run
        config.add_cleanup(self._lock.close)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._nodes: list[Any] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start: all but the first will wait."""
        if self._nodes:
            node.workerinput["first_alone"] = self._lock.name
        self._nodes.append(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """The first one is done."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self) -> None:
        """It will never be done."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)


def pytest_configure(config: pytest.Config) -> None:
    """Where there are workers, this is the process that starts them, or one of them."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FirstAlone(config))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Wait for the first worker's collection, in the others."""
    if lock := getattr(session.config, "workerinput", {}).get("first_alone"):
        with Path(lock).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    return (yield)


@pytest.fixture(scope="session", autouse=True)
def shared_models() -> None:
    """AWS's service models are read once."""
    botocores.share()


@pytest.fixture(autouse=True)
def isolation(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No AWS files or variables of the developer's, a home of its own, no colours, a clock that nobody turned."""
    clock.turn(clock.Course())
    for name in list(os.environ):
        if name.startswith(("AWS_", "IOTCTL_", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in clean_environment(tmp_path_factory.mktemp("home")).items():
        monkeypatch.setenv(name, value)


def clean_environment(home: Path) -> dict[str, str]:
    """What a command's environment holds in every test."""
    return {
        "HOME": str(home),
        "IOTCTL_HOME": str(home / "iotctl"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
        "NO_COLOR": "1",
        "COLUMNS": "80",
    }


@pytest.fixture
def iotctl() -> Callable[..., Ran]:
    """Run a command line in this process; what it wrote is checked to be safe for a terminal and free of secrets."""
    return run_iotctl


def run_iotctl(*argv: str, stdin: str | None = None) -> Ran:
    """Run a command line in this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO((stdin or "").encode())))
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = cli.run(argv)
    finally:
        sys.stdin = before
    ran = Ran(int(code), stdout.getvalue(), stderr.getvalue())
    for written in (ran.stdout, ran.stderr):
        assert not _CONTROL.search(written), f"a control character reached the output of {argv}"
        assert "PRIVATE KEY" not in written, f"a private key reached the output of {argv}"
        assert "Traceback" not in written, f"a traceback reached the output of {argv}"
    return ran


@pytest.fixture(scope="session")
def platform_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The IOTCTL_HOME of a platform that runs for the whole session, in a process of its own."""
    home = tmp_path_factory.mktemp("platform")
    environment = {**os.environ, **clean_environment(home)}
    up = subprocess.run(
        [sys.executable, "-m", "iotctl", "local", "up", "--detach", "--ports", "auto"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert up.returncode == 0, up.stderr
    yield home / "iotctl"
    subprocess.run([sys.executable, "-m", "iotctl", "local", "down"], env=environment, check=True, timeout=60)


@pytest.fixture(scope="session")
def running(platform_home: Path) -> Platform:
    """The session's platform, as its state file names it."""
    return Platform.from_json(json.loads((platform_home / "local" / "platform.json").read_bytes()))


@pytest.fixture
def platform(running: Platform, platform_home: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The session's platform, with every command and SDK of this test acting on it (`--local` is not needed)."""
    monkeypatch.setenv("IOTCTL_HOME", str(platform_home))
    monkeypatch.setenv("IOTCTL_TARGET", "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.http_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", running.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", running.secret_access_key)
    monkeypatch.setenv("AWS_REGION", running.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", running.region)
    return running


@pytest.fixture
def start_core(running: Platform, tmp_path: Path) -> Iterator[Callable[..., RunningCore]]:
    """Start a Greengrass core device on the session's platform: `start_core("cam-1", "group", …)`; it ends by itself.

    It makes its own thing, certificate, policy and role alias, and the groups. `core.until("connected")` waits for what
    it tells, as `iotctl local core` prints it; `core.log(COMPONENT)` is what a component has written.
    """
    from tests.cores import make

    cores: list[RunningCore] = []

    def start(name: str, *groups: str) -> RunningCore:
        core = make(running, tmp_path / "core-home", name, *groups)
        cores.append(core)
        core.start()
        return core

    yield start
    for core in cores:
        core.stop()
