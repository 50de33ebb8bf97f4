"""A simulated device on a light connection, of which one process has thousands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from iotctl.local.devices.agent import Install, Pause, Reboot
from iotctl.local.devices.credentials import Work
from iotctl.local.devices.link import Link
from iotctl.local.devices.renewal import Reconnect
from iotctl.local.devices.thing import Publish, Told, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotctl.errors import Error
    from iotctl.local.devices.credentials import Credentials, Worked
    from iotctl.local.devices.device import Action, Device
    from iotctl.local.devices.installer import Outcome
    from iotctl.local.devices.tally import Tally


class Light:
    """A device on a light connection.

    Args:
        credentials: who connects, and where.
        device: what acts.
        tally: is told what happens.
        gate: how many connect at one time.
        install: installs a job document, and calls back with the outcome.
        in_thread: calls a function with a value, and calls back with what it returns.

    """

    __slots__ = ("_credentials", "_device", "_in_thread", "_install", "_leaving", "_tally", "link")

    def __init__(
        self,
        credentials: Credentials,
        device: Device,
        tally: Tally,
        gate: asyncio.Semaphore,
        install: Callable[[Mapping[str, Any], Callable[[Outcome], None]], None],
        in_thread: Callable[[Callable[[Work], Worked], Work, Callable[[Worked], None]], None],
    ) -> None:
        self._credentials = credentials
        self._device = device
        self._tally = tally
        self._install = install
        self._in_thread = in_thread
        self._leaving = False
        self.link = Link(
            credentials.identity(),
            device.filters,
            gate=gate,
            on_up=self._up,
            on_message=lambda topic, payload: self._perform(device.received(topic, payload)),
            on_down=self._down,
        )

    def _up(self) -> None:
        self._credentials.connected()
        self._tally.up(self._device.name)
        renewed = self._credentials.renewed
        self._perform(self._device.connected(self.link.identity.certificate_id, renewed=renewed))

    def _down(self, error: Error) -> None:
        self._tally.down(self._device.name, error)
        if not self._leaving:
            self._credentials.down()
        self._leaving = False
        self.link.identity = self._credentials.identity()

    def _due(self, shadow_name: str | None) -> None:
        self._perform(self._device.due(shadow_name))

    def _resume(self) -> None:
        self._perform(self._device.resume())

    def _installed(self, outcome: Outcome) -> None:
        self._perform(self._device.installed(outcome))

    def _worked(self, done: Worked) -> None:
        self._perform(self._device.worked(done))

    def _perform(self, actions: Iterable[Action]) -> None:
        later = asyncio.get_running_loop().call_later
        for action in actions:
            match action:
                case Publish(topic, payload):
                    self.link.publish(topic, payload)
                case Wait(seconds, shadow_name):
                    later(seconds, self._due, shadow_name)
                case Told():
                    self._tally.told(self._device.name, action)
                case Install(document):
                    self._install(document, self._installed)
                case Work():
                    self._in_thread(self._credentials.perform, action, self._worked)
                case Reconnect():
                    self._leaving = True
                    self.link.leave()
                case Pause(seconds):
                    later(seconds, self._resume)
                case Reboot(seconds):
                    self._device.rebooted()
                    self.link.drop(seconds)
