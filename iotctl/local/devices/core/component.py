"""One component at work: installed, started, restarted when it fails, given up after three failures.

Its states and their changes are the nucleus' (Lifecycle, GenericExternalService): NEW, INSTALLED, STARTING, RUNNING,
STOPPING, FINISHED, ERRORED, BROKEN. As there, `install` runs at every start of the core, a component without `run` and
`startup` is FINISHED, and errors count by the state in which they happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final

from iotctl import clock, files
from iotctl.local.devices.core import processes
from iotctl.local.devices.core.processes import Child
from iotctl.text import redact, sanitize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from iotctl.local.devices.core.unit import Step, Unit

FAILURES: Final = 3
"""So many in one state, each within `error_reset` seconds of the last, and it is BROKEN."""
UP: Final = frozenset({"RUNNING", "FINISHED"})
"""The states in which others may rely on it."""


class _StepError(Exception):
    """A step went wrong.

    Attributes:
        state: in which it did.
        code: as the nucleus reports it.

    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason
        self.state = {"INSTALL": "NEW", "RUN": "RUNNING"}.get(code.partition("_")[0], "STARTING")


class Component:
    """A component at work.

    Args:
        unit: what it is.
        environment: of its scripts, before what the recipe sets.
        work: the working directory.
        log: what it writes.
        ready: waits until what it depends on is up.
        changed: called after every change of its state.
        faulty: called with what should never be raised here.

    Attributes:
        state: as it is reported.
        reason: of ERRORED and BROKEN.
        codes: the same for machines.
        since: of the state, on the monotonic clock.

    """

    def __init__(
        self,
        unit: Unit,
        environment: Mapping[str, str],
        work: Path,
        log: Path,
        ready: Callable[[Unit], Awaitable[None]],
        changed: Callable[[Component], None],
        faulty: Callable[[BaseException], object],
    ) -> None:
        self.unit = unit
        self.state = "NEW"
        self.reason = ""
        self.codes: tuple[str, ...] = ()
        self.since = clock.monotonic()
        self._environment = environment
        self._work = work
        self._log = log
        self._ready = ready
        self._changed = changed
        self._faulty = faulty
        self._installed = False
        self._at_work = False
        self._again = asyncio.Event()
        self._failures: dict[str, list[float]] = {}
        self._child: Child | None = None
        self._written = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, *, installed: bool = False) -> None:
        """Begin."""
        self._installed = installed
        self._task = asyncio.get_running_loop().create_task(self._live(), name=self.unit.name)
        self._task.add_done_callback(self._over)

    @property
    def is_installed(self) -> bool:
        """Whether its install script has ended well."""
        return self._installed

    def restart(self) -> None:
        """Stop and start again, where it is at work; it is not installed again."""
        if self.state in {"STARTING", "RUNNING"}:
            self._again.set()

    async def stop(self) -> None:
        """End it: its shutdown script, then its processes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def uninstall(self) -> None:
        """Stop it for good: its uninstall script runs last."""
        await self.stop()
        if self._installed and "uninstall" in self.unit.steps:
            with contextlib.suppress(_StepError):
                await self._to_its_end("uninstall", "UNINSTALL")
            await self._sweep()

    async def _live(self) -> None:
        try:
            while True:
                self._again.clear()
                work = asyncio.ensure_future(self._work_on())
                again = asyncio.ensure_future(self._again.wait())
                try:
                    await asyncio.wait({work, again}, return_when=asyncio.FIRST_COMPLETED)
                    if work.done():
                        work.result()
                        await again
                finally:
                    for each in (work, again):
                        each.cancel()
                    await asyncio.gather(work, again, return_exceptions=True)
                await self._end()
        finally:
            await self._end()

    async def _work_on(self) -> None:
        """From where it is until it is FINISHED or BROKEN."""
        while True:
            try:
                await self._once()
            except _StepError as error:
                if self._failed(error):
                    self._at_work = False
                    await self._sweep()
                    return
                await self._recover()
            else:
                return

    async def _once(self) -> None:
        if not self._installed:
            self._become("NEW")
            if "install" in self.unit.steps:
                await self._to_its_end("install", "INSTALL")
            self._installed = True
            self._failures.pop("NEW", None)
        self._become("INSTALLED")
        await self._ready(self.unit)
        self._become("STARTING")
        self._at_work = True
        startup = self.unit.steps.get("startup")
        if startup is not None and not processes.skipped(startup):
            await self._to_its_end("startup", "STARTUP", keeps=True)
            self._failures.pop("STARTING", None)
            self._become("RUNNING")
            await asyncio.Event().wait()  # what it started is watched by nobody, as on a nucleus
        run = self.unit.steps.get("run")
        if run is not None and not processes.skipped(run):
            await self._run(run)
            self._failures.pop("RUNNING", None)
            await self._end()
        self._become("FINISHED")

    async def _run(self, step: Step) -> None:
        child = self._child = await self._spawn(step, "RUN")
        self._become("RUNNING")
        try:
            async with asyncio.timeout(step.timeout):
                code = await child.ended()
        except TimeoutError:
            raise _StepError("RUN_TIMEOUT", f"run did not end within {step.timeout:g} s") from None
        if code:
            raise _StepError("RUN_ERROR", f"run {_ended(code)}")

    async def _to_its_end(self, name: str, word: str, *, keeps: bool = False) -> None:
        """Run a step whose end is waited for; what it started goes on where it `keeps` it."""
        step = self.unit.steps[name]
        if processes.skipped(step):
            return
        child = self._child = await self._spawn(step, word)
        try:
            async with asyncio.timeout(step.timeout):
                code = await child.ended()
        except TimeoutError:
            raise _StepError(f"{word}_TIMEOUT", f"{name} did not end within {step.timeout:g} s") from None
        if code or not keeps:
            await self._sweep()
        if code:
            raise _StepError(f"{word}_ERROR", f"{name} {_ended(code)}")

    async def _spawn(self, step: Step, word: str) -> Child:
        try:
            for place in (self._work, self._log.parent):
                place.mkdir(files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            environment = {**self._environment, **step.environment}
            self._written = processes.size(self._log)
            return await Child.start(step.script, environment, self._work, self._log)
        except (OSError, ValueError) as error:
            said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise _StepError(f"{word}_IO_ERROR", f"it cannot be started: {said}") from error

    def _failed(self, error: _StepError) -> bool:
        """Count a failure; whether it is the last."""
        now = clock.monotonic()
        before = self._failures.get(error.state, [])
        if before and now - before[-1] >= self.unit.error_reset:
            before = []
        self._failures[error.state] = [*before, now]
        written = processes.last_lines(self._log, self._written)
        self.reason = redact(sanitize(f"{error.reason}; it wrote: {written}" if written else error.reason))
        self.codes = (error.code,)
        broken = len(self._failures[error.state]) >= FAILURES
        self._become("BROKEN" if broken else "ERRORED")
        return broken

    async def _recover(self) -> None:
        """End what is left, and run the script for after a failure; how that ends does not matter."""
        await self._sweep()
        if "recover" in self.unit.steps:
            with contextlib.suppress(_StepError):
                await self._to_its_end("recover", "RECOVER")
        await self._end()

    async def _end(self) -> None:
        """Run the shutdown script of what was at work, and end its processes."""
        if self._at_work:
            self._at_work = False
            self._become("STOPPING")
            child, self._child = self._child, None
            try:
                if "shutdown" in self.unit.steps:
                    with contextlib.suppress(_StepError):
                        await self._to_its_end("shutdown", "SHUTDOWN")
            finally:
                await self._sweep()
                if child is not None:
                    await child.end()
        await self._sweep()

    async def _sweep(self) -> None:
        # Who is cancelled meanwhile sweeps again.
        if self._child is not None:
            await self._child.end()
            self._child = None

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()):
            self._faulty(fault)

    def _become(self, state: str) -> None:
        if state == self.state and state != "NEW":
            return
        if state not in {"ERRORED", "BROKEN"}:
            self.codes, self.reason = (), ""
        self.state, self.since = state, clock.monotonic()
        self._changed(self)


def _ended(code: int) -> str:
    return f"ended with code {code}" if code > 0 else f"was ended by signal {-code}"
