"""A core device of the session's platform that runs in a thread of the test, and what it has told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iotctl.local.devices.core import provision
from iotctl.local.devices.core.run import run
from tests.local.clients import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.local.devices.core.place import Settings
    from iotctl.target import Platform

STEADY = 0.05
"""Seconds that `run` has gone on before a deployment of a test counts it: tests of failures use `startup`."""


@dataclass
class RunningCore:
    """A core device at work; `rows` are what `iotctl local core` prints, and grow."""

    settings: Settings
    rows: list[dict[str, Any]] = field(default_factory=list)
    _end: list[Callable[[], object]] = field(default_factory=list)
    _fault: list[BaseException] = field(default_factory=list)
    _thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Its thing."""
        return self.settings.thing_name

    @property
    def root(self) -> Path:
        """Its own directory: packages, work, logs, state.json."""
        return self.settings.root

    def log(self, component: str) -> str:
        """What a component has written."""
        return self.settings.log(component).read_text()

    def start(self) -> None:
        """Run it (again)."""
        began = threading.Event()

        def begin(end: Callable[[], object]) -> None:
            self._end.append(end)
            began.set()

        def work() -> None:
            try:
                for rows in run(self.settings, steady=STEADY, first_wait=0.05, began=begin):
                    self.rows.extend(rows)
            except BaseException as error:  # noqa: BLE001  raised to the test by `stop`
                self._fault.append(error)
            finally:
                began.set()

        self._thread = threading.Thread(target=work, name=f"core {self.name}")
        self._thread.start()
        began.wait()

    def stop(self) -> None:
        """End it, with all that it runs; whatever went wrong in it is raised."""
        if self._thread is not None:
            if self._end:
                self._end.pop()()
            self._thread.join()
            self._thread = None
        if self._fault:
            raise self._fault.pop()

    def told(self, event: str, text: str = "") -> list[dict[str, Any]]:
        """The rows of an event that hold a text, among component, detail and deployment id."""
        return [
            row
            for row in list(self.rows)
            if row["event"] == event and text in f"{row['componentName']} {row['detail']} {row['deploymentId']}"
        ]

    def until(self, event: str, text: str = "", *, seconds: float = 20.0, after: int = 0) -> dict[str, Any]:
        """Wait for an event, the one after so many of its kind; its row."""

        def found() -> list[dict[str, Any]]:
            if self._fault:
                self.stop()
            return self.told(event, text)[after:]

        rows: list[dict[str, Any]] = until(found, seconds)
        return rows[0]


def make(platform: Platform, home: Path, name: str, *groups: str) -> RunningCore:
    """A core with a thing and a certificate of its own, not yet running."""
    return RunningCore(provision.provision(platform, home, name, groups))
