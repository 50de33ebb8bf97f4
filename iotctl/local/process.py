"""The platform as a process: started in the background, found, stopped; its log."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files
from iotctl.errors import Error, Local, Locked
from iotctl.local.conditions import NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.local.conditions import Conditions
    from iotctl.local.state import Ports, State
    from iotctl.target import Platform

NOT_RUNNING: Final = "iotctl local up --detach"
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.02
_FOLLOW_SECONDS: Final = 0.2
_LOG_TAIL: Final = 2000


def foreground(state: State, ports: Ports, region: str | None, conditions: Conditions = NONE) -> Iterator[Platform]:
    """Run the platform in this process; it is handed out once, when it is ready.

    Raises:
        Local: the extra is missing, a port is in use, the state is damaged.
        Locked: a platform runs here.

    """
    try:
        from iotctl.local import platform
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "iotctl":
            raise
        raise Local(
            f"the local platform needs the package {error.name}",
            code="MissingExtra",
            hint="pip install 'iotctl[local]'",
        ) from error
    files.private_directory(state.directory)
    state.roll_log()
    _log_to(state)
    yield from platform.run(state, ports, region, conditions)


def background(state: State, ports: Ports, region: str | None, conditions: Conditions = NONE) -> Platform:
    """Start the platform as a process of its own, and wait until it is ready.

    Raises:
        Local: it did not start; the reason is in the message.

    """
    files.private_directory(state.directory)
    state.roll_log()
    # -P: what lies in the current directory must not pass for a module of Python.
    command = [sys.executable, "-P", "-m", "iotctl", "local", "up", "-o", "json"]
    command += [f"--{name}-port={getattr(ports, name)}" for name in ("http", "mqtt", "https")]
    command += [f"--region={region}"] if region else []
    command += conditions.words
    environment = {**os.environ, "IOTCTL_HOME": str(state.directory.parent)}
    with state.log.open("ab") as log:
        state.log.chmod(files.PRIVATE_FILE)
        began = log.tell()
        child = subprocess.Popen(
            command,
            cwd=state.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    error = _not_ready(child)
    child.returncode = 0  # it outlives this process, and is not waited for
    if error is None or error.code == Locked.word:
        # Where another `up` was quicker, its platform is the one.
        return wait_until_ready(state)
    if not error.message:
        tail = state.log.read_bytes()[began:][-_LOG_TAIL:].decode("utf-8", "replace").strip()
        error = Local("the local platform did not start", cause=tail, hint="iotctl local logs")
    raise error


def wait_until_ready(state: State) -> Platform:
    """The platform that is starting, when it is ready.

    Raises:
        Local: it is not ready in time, or it ended.

    """
    deadline = clock.monotonic() + _READY_SECONDS
    while clock.monotonic() < deadline:
        found = state.platform()
        if found:
            return found
        clock.sleep(_POLL_SECONDS)
    raise Local("the local platform did not become ready", hint="iotctl local logs")


def found(state: State) -> Platform:
    """The running platform.

    Raises:
        Local: none is running.

    """
    platform = state.platform()
    if platform is None:
        raise Local("no local platform is running", code="NotRunning", hint=NOT_RUNNING)
    return platform


def stop(state: State) -> int:
    """End the platform's own process, and no other; its pid.

    Raises:
        Local: none is running, or it does not end.

    """
    found(state)
    pid = state.pid()
    if pid is None:
        raise Local("the lock is held by a process that is not the platform described", hint="iotctl local status")
    os.kill(pid, signal.SIGTERM)
    deadline = clock.monotonic() + _STOP_SECONDS
    while state.running():
        if clock.monotonic() > deadline:
            raise Local(f"the local platform (pid {pid}) does not end", hint=f"kill -9 {pid}; nothing is lost by it")
        clock.sleep(_POLL_SECONDS)
    return pid


def reset(state: State) -> None:
    """Empty the state, but for the ports.

    Raises:
        Local: a platform is running.

    """
    files.private_directory(state.directory)
    try:
        with state.hold("iotctl local reset"):
            state.clear()
    except Locked as error:
        raise Local("the local platform is running", code="Running", hint="iotctl local down") from error


def log_lines(state: State, *, follow: bool) -> Iterator[str]:
    """The lines of the platform's log; following, those to come too, for ever."""
    try:
        file = state.log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise Local("there is no log: no platform has run here", hint=NOT_RUNNING) from error
    with file:
        part = ""
        while True:
            line = file.readline()
            if line.endswith("\n"):
                yield (part + line).rstrip("\n")
                part = ""
            elif follow:
                part += line
                clock.sleep(_FOLLOW_SECONDS)
            else:
                if part + line:
                    yield part + line
                return


def _log_to(state: State) -> None:
    """Send what the platform says to its log, and nowhere else."""
    handler = logging.FileHandler(state.log, encoding="utf-8")
    state.log.chmod(files.PRIVATE_FILE)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logger = logging.getLogger("iotctl.local")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _not_ready(child: subprocess.Popen[bytes]) -> Error | None:
    """What a started platform says first: None when one is ready, else its error, empty where it said nothing."""
    assert child.stdout is not None
    with child.stdout as output:
        readable, _, _ = select.select([output], [], [], _READY_SECONDS)
        said: dict[str, Any] = {}
        if readable:
            try:
                said = json.loads(output.readline() or b"{}")
            except ValueError:
                said = {}
    if said.get("type") == "row" or said.get("exitCode") == 0:
        return None
    first: dict[str, str] = next(iter(said.get("errors") or ()), {})
    return Local(
        first.get("message", ""), code=first.get("code", ""), cause=first.get("cause", ""), hint=first.get("hint", "")
    )
