"""A simulated device: a thing's shadows and its jobs on one connection, and what one must know of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from iotctl.local.devices import agent, thing
from iotctl.local.devices.agent import Agent, Reboot
from iotctl.local.devices.thing import Thing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotctl.local.devices.installer import Outcome
    from iotctl.local.devices.roles import Role

Action: TypeAlias = thing.Action | agent.Action


class Device:
    """Messages in, actions out, as both of its parts."""

    __slots__ = ("_agent", "_thing", "name", "role")

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self.role = role
        self._thing = Thing(name, role)
        self._agent = Agent(name, role)

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to."""
        return (*self._thing.filters, *self._agent.filters)

    def connected(self) -> Sequence[Action]:
        """It is connected and subscribed."""
        return [*self._thing.connected(), *self._agent.connected()]

    def received(self, topic: str, payload: bytes) -> Sequence[Action]:
        """What it does about a message."""
        return [*self._thing.received(topic, payload), *self._agent.received(topic, payload)]

    def due(self, shadow_name: str | None) -> Sequence[Action]:
        """The time of a `Wait` has come."""
        return self._thing.due(shadow_name)

    def resume(self) -> Sequence[Action]:
        """The time of a `Pause` has come."""
        return self._agent.resume()

    def installed(self, outcome: Outcome) -> Sequence[Action]:
        """An installation has ended. The shadow tells the release before the job does, for whoever waits for that."""
        actions = self._agent.installed(outcome)
        found = outcome.installed
        if found is None or not found.reports:
            return actions
        if any(isinstance(action, Reboot) for action in actions):
            return actions
        patch: Any = found.release
        for key in reversed(found.reports.split(".")):
            patch = {key: patch}
        return [*self._thing.tell(patch), *actions]

    def rebooted(self) -> None:
        """It has lost what it had in memory."""
        self._thing = Thing(self.name, self.role)
        self._agent = Agent(self.name, self.role)
