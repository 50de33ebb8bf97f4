"""All components of a core: each waits for what it depends on, and restarts when that does."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from iotctl import clock
from iotctl.local.devices.core.component import UP, Component
from iotctl.local.devices.core.faults import Code, Failed
from iotctl.local.devices.core.unit import MQTT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotctl.local.devices.core.place import Settings
    from iotctl.local.devices.core.unit import Unit

STEADY_SECONDS: Final = 1.0
"""A component that has just been started may still fall over: the nucleus looks once a second, too."""


class Supervisor:
    """The components that run.

    Args:
        settings: where they work.
        environment: of a component's scripts, by its name and its token.
        changed: called after every change of a component's state.
        faulty: called with what should never be raised.
        steady: seconds that a component has been up before that counts.

    """

    def __init__(
        self,
        settings: Settings,
        environment: Callable[[str, str], Mapping[str, str]],
        changed: Callable[[Component], None],
        faulty: Callable[[BaseException], object],
        steady: float = STEADY_SECONDS,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._on_change = changed
        self._faulty = faulty
        self._steady = steady
        self._components: dict[str, Component] = {}
        self._tokens: dict[str, str] = {}
        self._gone: dict[str, str] = {}
        self._stirred = asyncio.Event()

    @property
    def components(self) -> Mapping[str, Component]:
        """Those that run, by name."""
        return self._components

    @property
    def units(self) -> dict[str, Unit]:
        """What runs."""
        return {name: one.unit for name, one in self._components.items()}

    def take_gone(self) -> dict[str, str]:
        """The components that were removed since this was last asked, with their versions."""
        found = {name: version for name, version in self._gone.items() if name not in self._components}
        self._gone = {}
        return found

    def knows(self, token: str) -> bool:
        """Whether a token is that of a component of this core."""
        return any(secrets.compare_digest(token.encode(), one.encode()) for one in self._tokens.values())

    async def apply(self, wanted: Mapping[str, Unit]) -> None:
        """Start what is new, and what has changed in place of what it was; what is not wanted goes on for now."""
        changed: dict[str, bool] = {}
        for name, unit in wanted.items():
            running = self._components.get(name)
            good = running is not None and running.state != "BROKEN"
            if running is None or not good or running.unit != unit:
                changed[name] = running is not None and good and running.is_installed and running.unit.installs_as(unit)
        await asyncio.gather(*(self._components[name].stop() for name in changed if name in self._components))
        for name, installed in changed.items():
            self._start(wanted[name], installed=installed)

    async def remove_others(self, wanted: Iterable[str]) -> list[str]:
        """Uninstall what is not wanted; its names."""
        gone = [name for name in self._components if name not in set(wanted)]
        await asyncio.gather(*(self._components[name].uninstall() for name in gone))
        for name in gone:
            self._gone[name] = self._components.pop(name).unit.version
            self._tokens.pop(name, None)
        return gone

    async def settled(self, names: Iterable[str]) -> None:
        """Wait until components are up, and have been for a moment.

        Raises:
            Failed: one is broken.

        """
        watched = list(names)
        while True:
            stirred = self._stirred
            missing = False
            wait: float | None = None
            for name in watched:
                one = self._components[name]
                if one.state == "BROKEN":
                    raise Failed(_broken(one), Code.UPDATE, Code.BROKEN)
                missing = missing or one.state not in UP
                if one.state == "RUNNING" and "run" in one.unit.steps:
                    left = one.since + self._steady - clock.monotonic()
                    wait = max(wait or 0.0, left) if left > 0 else wait
            if not missing and wait is None:
                return
            try:
                async with asyncio.timeout(None if missing else wait):
                    await stirred.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """End all of them, those that rely on others first."""
        left = dict(self._components)
        while left:
            relied_on = {other for one in left.values() for other in one.unit.hard if other in left}
            free = [name for name in left if name not in relied_on] or list(left)
            await asyncio.gather(*(left.pop(name).stop() for name in free))
        self._components.clear()

    def _start(self, unit: Unit, *, installed: bool) -> None:
        token = self._tokens.setdefault(unit.name, secrets.token_hex(16))
        component = self._components[unit.name] = Component(
            unit,
            self._environment(unit.name, token),
            self._settings.work(unit.name),
            self._settings.log(unit.name),
            self._ready,
            self._changed,
            self._faulty,
        )
        component.start(installed=installed)

    async def _ready(self, unit: Unit) -> None:
        """Wait until everything that a component must have is up; what is not here is a part of this core."""
        while True:
            stirred = self._stirred
            needed = [self._components[name] for name in unit.hard if name in self._components]
            if all(one.state in UP for one in needed):
                return
            await stirred.wait()

    def _changed(self, component: Component) -> None:
        self._stirred.set()
        self._stirred = asyncio.Event()
        if component.state in {"ERRORED", "BROKEN", "NEW", "INSTALLED"}:
            for one in list(self._components.values()):
                if component.unit.name in one.unit.hard:
                    one.restart()
        self._on_change(component)


def _broken(component: Component) -> str:
    unit = component.unit
    said = f"{unit.name} {unit.version} is broken: {component.reason}"
    if unit.needs_ipc:
        said += f" (it asks for Greengrass IPC's {MQTT}, in place of which this core gives MQTT by IOTCTL_MQTT_*)"
    return said
