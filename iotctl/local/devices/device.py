"""A simulated device: a thing's shadows, its jobs and its certificate on one connection, and what each must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from iotctl.local.devices import agent, renewal, thing
from iotctl.local.devices.agent import Agent, Install, Reboot
from iotctl.local.devices.credentials import Work
from iotctl.local.devices.renewal import Ended, Reconnect, Renewal
from iotctl.local.devices.thing import Thing
from iotctl.rotation import OPERATION, SHADOW
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from iotctl.local.devices.credentials import Worked
    from iotctl.local.devices.installer import Outcome
    from iotctl.local.devices.roles import Role

Action: TypeAlias = thing.Action | agent.Action | Work | Reconnect


class Device:
    """Messages in, actions out, as all of its parts."""

    __slots__ = ("_agent", "_renewal", "_thing", "name", "role")

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self.role = role
        self.rebooted()

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to; the shadow of its certificate is among its named ones."""
        return (*self._thing.filters, *self._agent.filters)

    def connected(self, certificate_id: str = "", *, renewed: bool = False) -> Sequence[Action]:
        """It is connected and subscribed, with this certificate; `renewed`: it is not the one that it began with."""
        own = self._renewal.connected(certificate_id, renewed=renewed)
        return [*self._thing.connected(), *self._agents(self._agent.connected()), *self._renewals(own)]

    def received(self, topic: str, payload: bytes) -> Sequence[Action]:
        """What it does about a message."""
        about = topics.parse_shadow(topic)
        if about is not None and (about.thing_name, about.shadow_name) == (self.name, SHADOW):
            return [*self._renewals(self._renewal.received(about.verb, payload))]
        return [*self._thing.received(topic, payload), *self._agents(self._agent.received(topic, payload))]

    def due(self, shadow_name: str | None) -> Sequence[Action]:
        """The time of a `Wait` has come."""
        return self._thing.due(shadow_name)

    def resume(self) -> Sequence[Action]:
        """The time of a `Pause` has come."""
        return [*self._agents(self._agent.resume())]

    def worked(self, done: Worked) -> Sequence[Action]:
        """A piece of work for its certificate is done."""
        return [*self._renewals(self._renewal.worked(done))]

    def installed(self, outcome: Outcome) -> Sequence[Action]:
        """An installation has ended. The shadow tells the release before the job does, for whoever waits for that."""
        actions = [*self._agents(self._agent.installed(outcome))]
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
        self._renewal = Renewal(self.name, self.role)

    def _agents(self, actions: Iterable[agent.Action]) -> Iterator[Action]:
        """The agent's, but for a job that is about its certificate."""
        for action in actions:
            if isinstance(action, Install) and action.document.get("operation") == OPERATION:
                yield from self._renewals(self._renewal.begin(action.document))
            else:
                yield action

    def _renewals(self, actions: Iterable[renewal.Action]) -> Iterator[Action]:
        for action in actions:
            if isinstance(action, Ended):
                yield from self._agents(self._agent.installed(action.outcome))
            else:
                yield action
