"""A script of a component as a child process: in a session of its own, so that all that it starts ends with it.

What it writes goes to a file. Every process bears the core's directory in its environment: after a core was killed, the
next one finds what is left of it by that, and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iotctl import files
from iotctl.local.devices.core.unit import skip_condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.devices.core.unit import Step

MARK: Final = "IOTCTL_CORE_ROOT"
"""The environment variable that says which core a process belongs to."""
GRACE_SECONDS: Final = 5.0
"""What a process has to end after SIGTERM, as with the nucleus."""
LOG_LIMIT: Final = 10 * 1024 * 1024
_SHELL: Final = "/bin/sh"


class Child:
    """A running script."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str) -> None:
        self._process = process
        self._mark = mark

    @classmethod
    async def start(cls, script: str, environment: Mapping[str, str], work: Path, log: Path) -> Child:
        """Run a script; what it writes is added to `log`.

        Raises:
            OSError: it cannot be started.

        """
        roll(log)
        descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, files.PRIVATE_FILE)
        try:
            starting = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    _SHELL,
                    "-c",
                    script,
                    cwd=work,
                    env=dict(environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=descriptor,
                    stderr=descriptor,
                    start_new_session=True,
                )
            )
            try:
                return cls(await asyncio.shield(starting), environment[MARK])
            except asyncio.CancelledError:
                # It may have begun: whoever gives up while it does must not leave it behind.
                await cls(await starting, environment[MARK]).end(0.0)
                raise
        finally:
            os.close(descriptor)

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative where a signal ended it."""
        return await self._process.wait()

    async def end(self, grace: float = GRACE_SECONDS) -> None:
        """End it and all that it started: SIGTERM, and after `grace` seconds SIGKILL."""
        if self._process.returncode is not None:
            # It ended before, maybe long before: its number may be another's by now.
            await asyncio.to_thread(_kill_marked, self._mark, self._process.pid)
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def skipped(step: Step) -> bool:
    """Whether a step is not to be run here."""
    if not step.skip_if:
        return False
    opposite, operator, operand = skip_condition(step.skip_if)
    found = shutil.which(operand) is not None if operator == "onpath" else Path(operand).expanduser().exists()
    return found is not opposite


def roll(log: Path) -> None:
    """Begin a new log where the old one is large; one old log is kept."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)  # whoever writes to it goes on at its new end (O_APPEND)


def size(log: Path) -> int:
    """How much a component has written."""
    return log.stat().st_size if log.exists() else 0


def last_lines(log: Path, since: int, most: int = 400) -> str:
    """The end of what a component wrote since its log had so many bytes, in one line."""
    try:
        with log.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            file.seek(max(end - most, since if since <= end else 0))
            return " | ".join(file.read(most).decode("utf-8", "replace").split("\n")).strip(" |")
    except OSError:
        return ""


def end_left_behind(root: Path) -> list[int]:
    """Kill what a core that was killed left running, and wait for nobody; the process ids.

    Where there is no /proc, nothing is found.
    """
    return _kill_marked(str(root))


def _kill_marked(mark: str, group: int | None = None) -> list[int]:
    """Kill every process with a core's mark, or those of them that are in a process group."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        # The environment of another user's process cannot be read, and none of them is this core's.
        with contextlib.suppress(OSError):
            if group is not None and os.getpgid(pid) != group:
                continue
            if wanted in (place / "environ").read_bytes().split(b"\0") and pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
                found.append(pid)
    return found
