"""A core device as a stream of rows, until Ctrl-C, SIGTERM or the end of its time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

from iotctl import files
from iotctl.local.devices.core.agent import Agent
from iotctl.local.devices.core.supervisor import STEADY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.local.devices.core.agent import Row
    from iotctl.local.devices.core.place import Settings

_GATHER_SECONDS: Final = 0.02  # rows that come together are written together


def run(
    settings: Settings,
    *,
    seconds: float = 0.0,
    began: Callable[[Callable[[], object]], object] | None = None,
    steady: float = STEADY_SECONDS,
    first_wait: float = 1.0,
) -> Iterator[list[Row]]:
    """Run a core.

    Args:
        settings: who it is.
        seconds: end after so long; 0: never.
        began: is given what ends it, to be called from any thread.
        steady: seconds that a component has been up before a deployment counts it.
        first_wait: seconds before the first of what is tried again.

    Yields:
        Rows: thingName, time, event, componentName, detail, deploymentId.

    Raises:
        Locked: it runs already. Integrity: its state is damaged.

    """
    files.private_directory(settings.root)
    with files.run_lock(settings.root / "lock", f"local core {settings.thing_name}"), asyncio.Runner() as runner:
        running = _Running()
        runner.run(running.start(settings, seconds, steady, first_wait))
        if began is not None:
            began(partial(runner.get_loop().call_soon_threadsafe, running.end))
        try:
            while not running.ended.is_set():
                yield runner.run(running.news())
        finally:
            runner.run(running.stop())
        yield running.rows


class _Running:
    """One run of a core on one event loop."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.rows: list[Row] = []
        self._stirred = asyncio.Event()
        self._tasks: list[asyncio.Future[None]] = []

    async def start(self, settings: Settings, seconds: float, steady: float, first_wait: float) -> None:
        """Let it begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Signals reach the main thread only; elsewhere the caller's own end ends this.
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self.end)
        if seconds:
            loop.call_later(seconds, self.end)
        agent = Agent(settings, self._say, steady=steady, first_wait=first_wait)
        work = asyncio.ensure_future(agent.run())
        work.add_done_callback(lambda _: self.end())
        self._tasks = [work]

    async def news(self) -> list[Row]:
        """The next rows, when there are some; none when it ends."""
        await self._stirred.wait()
        await asyncio.sleep(_GATHER_SECONDS)
        self._stirred.clear()
        rows, self.rows = self.rows, []
        return rows

    async def stop(self) -> None:
        """End it.

        Raises:
            BaseException: what ended it when nobody asked for that.

        """
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _say(self, row: Row) -> None:
        self.rows.append(row)
        self._stirred.set()

    def end(self) -> None:
        """It is over."""
        self.ended.set()
        self._stirred.set()
