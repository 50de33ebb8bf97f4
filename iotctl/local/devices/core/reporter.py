"""When a core reports its health: at each connect, after a deployment, after changes, once a day.

While there is no connection nothing is reported; at the next one everything is.
Source: the nucleus' FleetStatusService.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from iotctl import clock
from iotctl.local.devices.core import health
from iotctl.semantics import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from iotctl.local.devices.core.state import Report, State
    from iotctl.local.devices.core.supervisor import Supervisor

_GATHER_SECONDS: Final = 0.3  # changes of state that come together are reported together
_RELAXED_SECONDS: Final = 10.0  # between reports of nothing but changes of state, as with the nucleus


class Reporter:
    """Reports what runs.

    Args:
        core: who reports.
        state: the groups, and the numbers of reports.
        supervisor: what runs.
        publish: a topic and a payload.
        connected: whether there is a connection.
        deploying: whether a deployment is under way: its end is reported with what it changed.

    """

    def __init__(
        self,
        core: health.Core,
        state: State,
        supervisor: Supervisor,
        publish: Callable[[str, bytes], None],
        connected: Callable[[], bool],
        deploying: Callable[[], bool],
    ) -> None:
        self._core = core
        self._state = state
        self._supervisor = supervisor
        self._publish = publish
        self._connected = connected
        self._deploying = deploying
        self._launched = False
        self._changed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._reported = -_RELAXED_SECONDS

    def up(self) -> None:
        """There is a connection: everything is reported, and how deployments ended that the cloud may not know of."""
        self._report("RECONNECT" if self._launched else "NUCLEUS_LAUNCH", self._supervisor.components)
        self._launched = True
        for report in self._state.reports:
            self.deployment(report)

    def deployment(self, report: Report) -> None:
        """A deployment has ended."""
        trigger = "THING_GROUP_DEPLOYMENT" if report.job_id else "THING_DEPLOYMENT"
        self._report(trigger, self._supervisor.components, report)

    def complete(self) -> None:
        """It is time for a complete report."""
        self._report("CADENCE", self._supervisor.components)

    def changed(self, name: str) -> None:
        """A component is in another state; that is reported soon."""
        self._changed.add(name)
        if self._timer is None:
            wait = max(_GATHER_SECONDS, _RELAXED_SECONDS - (clock.monotonic() - self._reported))
            self._timer = asyncio.get_running_loop().call_later(wait, self._report_changes)

    def _report_changes(self) -> None:
        self._timer = None
        if self._changed and not self._deploying():
            self._report("COMPONENT_STATUS_CHANGE", self._changed)

    def _report(self, trigger: str, names: Iterable[str], deployment: Report | None = None) -> None:
        if not self._connected():
            return
        state, running = self._state, self._supervisor.components
        needs = {name: one.recipe.get("ComponentDependencies") or () for name, one in state.components.items()}
        arns = health.origins(state.groups, needs)
        roots = {name for group in state.groups.values() for name in group.components}
        told = [
            health.details(running[name], arns.get(name, ()), root=name in roots)
            for name in sorted(names)
            if name in running
        ]
        told += [health.gone(name, version) for name, version in self._supervisor.take_gone().items()]
        information = None
        if deployment:
            information = health.information(deployment, (one["componentName"] for one in told))
        for payload in health.messages(
            self._core,
            trigger,
            told,
            healthy=not any(one.state == "BROKEN" for one in running.values()),
            deployment=information,
            sequence=state.sequence,
            now=clock.epoch(),
        ):
            self._publish(topics.greengrass_health(self._core.thing_name), payload)
        self._changed.clear()
        self._reported = clock.monotonic()
