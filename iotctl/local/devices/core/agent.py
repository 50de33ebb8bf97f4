"""A core device: its connection, its deployments, its components and what it reports of them, on one event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iotctl import clock, text
from iotctl.errors import Auth, Interrupted
from iotctl.local.devices.core import configure, health, place, processes
from iotctl.local.devices.core.channel import Acknowledged, Cancel, Channel, Deploy, Pause, Refuse
from iotctl.local.devices.core.cloud import Cloud
from iotctl.local.devices.core.deployer import Deployer
from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.reporter import Reporter
from iotctl.local.devices.core.state import State
from iotctl.local.devices.core.supervisor import STEADY_SECONDS, Supervisor
from iotctl.local.devices.core.tokens import TokenExchange
from iotctl.local.devices.link import Link
from iotctl.local.devices.thing import Publish, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotctl.errors import Error
    from iotctl.local.devices.core.channel import Action
    from iotctl.local.devices.core.component import Component
    from iotctl.local.devices.core.document import Deployment
    from iotctl.local.devices.core.place import Settings
    from iotctl.local.devices.core.state import Report

KEPT: Final = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME", "SHELL")
"""What components get of this process' environment, besides PATH: none of an operator's credentials."""

_TIDY_SECONDS: Final = 10.0

Row: TypeAlias = dict[str, Any]


class Agent:
    """A core device at work.

    Args:
        settings: who it is.
        say: takes a row about what happens.
        steady: seconds that a component has been up before that counts.
        first_wait: seconds before the first of what is tried again.

    """

    def __init__(
        self,
        settings: Settings,
        say: Callable[[Row], None],
        *,
        steady: float = STEADY_SECONDS,
        first_wait: float = 1.0,
    ) -> None:
        self._settings = settings
        self._say = say
        self._platform = place.here()
        self._state = State.load(settings.root)
        self._cloud = Cloud(settings, self._platform)
        self._fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = Supervisor(settings, self._environment, self._component_changed, self._faulty, steady)
        self._deployer = Deployer(
            settings, self._platform, self._cloud, self._state, self._supervisor, self._deploying_told, first_wait
        )
        self._channel = Channel(settings.thing_name, self._state.reports)
        self._tokens = TokenExchange(self._cloud.credentials, self._supervisor.knows)
        self._credentials_url = ""
        self._link = Link(
            settings.identity,
            self._channel.filters,
            gate=asyncio.Semaphore(1),
            on_up=self._up,
            on_message=lambda topic, payload: self._perform(self._channel.received(topic, payload)),
            on_down=self._down,
            first_wait=first_wait,
        )
        self._reporter = Reporter(
            health.Core(settings.thing_name, self._platform),
            self._state,
            self._supervisor,
            self._link.publish,
            lambda: self._connected,
            lambda: self._deployment is not None and not self._deployment.done(),
        )
        self._connected = False
        self._trouble = ""
        self._deployment: asyncio.Task[None] | None = None
        self._deploying = ""

    async def run(self) -> None:
        """Work until this is cancelled."""
        left = await asyncio.to_thread(processes.end_left_behind, self._settings.root)
        if left:
            self._tell("tidied", f"{text.count(len(left), 'process', 'processes')} of an earlier run ended")
        self._credentials_url = await self._tokens.start()
        link = asyncio.ensure_future(self._link.keep())
        cadence = asyncio.ensure_future(self._cadence())
        try:
            await self._launch()
            over, _ = await asyncio.wait({link, self._fault}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._deployer.stop()
            await _cancelled(self._deployment, cadence)
            await self._supervisor.stop()
            await self._tokens.stop()
            await _cancelled(link)
        for one in over:
            one.result()

    async def _launch(self) -> None:
        """Start what ran before: no connection is needed for that."""
        if not self._state.components:
            return
        try:
            wanted = configure.units(self._settings, self._platform, self._state.components)
        except Failed as error:
            self._tell("unrunnable", error.message)
            return
        await self._supervisor.apply(wanted)

    def _up(self) -> None:
        self._connected, self._trouble = True, ""
        self._tell("connected", f"as {self._settings.thing_name} to {self._settings.identity.endpoint}")
        self._reporter.up()
        self._perform(self._channel.connected())

    def _down(self, error: Error) -> None:
        was, self._connected = self._connected, False
        said = f"{error.message}: {error.cause}" if error.cause else error.message
        # What is tried again every few seconds is told once.
        if was or (said != self._trouble and isinstance(error, Auth)) or not self._trouble:
            self._trouble = said
            self._tell("offline", said)

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Publish(topic, payload):
                    self._link.publish(topic, payload)
                case Told(event, _, detail, job_id):
                    self._tell(event, detail, deployment=job_id)
                case Deploy(deployment):
                    self._tell("deployment", f"for {deployment.group}", deployment=deployment.deployment_id)
                    self._deploying = deployment.deployment_id
                    self._deployment = asyncio.ensure_future(self._deploy(deployment))
                    self._deployment.add_done_callback(self._over)
                case Refuse(report):
                    self._keep(report)
                case Cancel():
                    self._cancel()
                case Acknowledged(key):
                    self._state.reports = [one for one in self._state.reports if one.key != key]
                    self._state.save()
                case Pause(seconds):
                    asyncio.get_running_loop().call_later(seconds, self._again)

    def _again(self) -> None:
        if self._connected:
            self._perform(self._channel.connected())

    def _cancel(self) -> None:
        if self._deployer.cancel():
            self._tell("cancelling", "the deployment is no longer wanted")

    async def _deploy(self, deployment: Deployment) -> None:
        try:
            report: Report | None = await self._deployer.deploy(deployment)
        except Interrupted:
            report = None
            self._tell("cancelled", "", deployment=deployment.deployment_id)
        if report is not None:
            self._keep(report)
            self._reporter.deployment(report)
        self._perform(self._channel.ended(report))

    def _keep(self, report: Report) -> None:
        """A deployment has ended: that is known even if this process ends now."""
        self._state.reports = [*(one for one in self._state.reports if one.key != report.key), report]
        self._state.save()
        said = f"{report.detailed}: {report.cause}" if report.cause else report.detailed
        self._tell(f"deployment-{report.status.lower()}", said, deployment=report.deployment_id)

    def _deploying_told(self, event: str, detail: str) -> None:
        self._tell(event, detail, deployment=self._deploying)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()):
            self._faulty(fault)

    def _faulty(self, fault: BaseException) -> None:
        """What should never be raised ends the core; at its next start it goes on."""
        if not self._fault.done():
            self._fault.set_exception(fault)

    def _component_changed(self, component: Component) -> None:
        self._tell(component.state, component.reason, component=f"{component.unit.name} {component.unit.version}")
        self._reporter.changed(component.unit.name)

    async def _cadence(self) -> None:
        """What is due from time to time: complete reports, and logs that must not grow for ever."""
        reported = clock.monotonic()
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            for name in list(self._supervisor.components):
                await asyncio.to_thread(processes.roll, self._settings.log(name))
            if clock.monotonic() - reported >= health.CADENCE_SECONDS:
                reported = clock.monotonic()
                self._reporter.complete()

    def _environment(self, name: str, token: str) -> Mapping[str, str]:
        """What a component's scripts find in their environment."""
        identity, region = self._settings.identity, self._settings.target.region
        found = {key: os.environ[key] for key in KEPT if key in os.environ}
        # The Python that runs this core comes first: what is installed with it is there for components.
        found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        found |= {
            processes.MARK: str(self._settings.root),
            "SVCUID": token,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self._credentials_url,
            "AWS_IOT_THING_NAME": self._settings.thing_name,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "GGC_VERSION": place.NUCLEUS_VERSION,
            "GG_ROOT_CA_PATH": str(identity.ca_file),
            # In place of Greengrass IPC: MQTT of the component's own, as THING#COMPONENT.
            "IOTCTL_COMPONENT": name,
            "IOTCTL_MQTT_HOST": identity.endpoint,
            "IOTCTL_MQTT_PORT": str(identity.port),
            "IOTCTL_MQTT_CERT": str(identity.certificate),
            "IOTCTL_MQTT_KEY": str(identity.key),
            "IOTCTL_MQTT_CA": str(identity.ca_file),
        }
        return found | ({"AWS_ENDPOINT_URL_S3": self._settings.s3} if self._settings.s3 else {})

    def _tell(self, event: str, detail: str = "", *, component: str = "", deployment: str = "") -> None:
        self._say(
            {
                "thingName": self._settings.thing_name,
                "time": clock.iso(clock.now()),
                "event": event,
                "componentName": component,
                "detail": text.sanitize(detail),
                "deploymentId": deployment,
            }
        )


async def _cancelled(*tasks: asyncio.Future[None] | None) -> None:
    found = [task for task in tasks if task is not None]
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)
