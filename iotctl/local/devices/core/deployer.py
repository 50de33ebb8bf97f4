"""One deployment, from its document to its end: validate, resolve, download, configure, merge, track, or roll back.

What runs is replaced on disk only when a deployment has ended: a core that is killed in the middle of one starts with
what ran before, and the cloud gives it the same deployment again.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from iotctl.errors import Error, Interrupted
from iotctl.local.devices.core import artifacts, configure, unit
from iotctl.local.devices.core.artifacts import Fetcher
from iotctl.local.devices.core.cloud import patiently
from iotctl.local.devices.core.component import UP
from iotctl.local.devices.core.document import THING
from iotctl.local.devices.core.faults import Code, Failed, Rejected, Status
from iotctl.local.devices.core.place import NUCLEUS, NUCLEUS_VERSION
from iotctl.local.devices.core.resolve import Found, resolve
from iotctl.local.devices.core.state import Group, Report
from iotctl.semantics.versions import Requirement, Version, VersionError
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotctl.local.devices.core.cloud import Cloud
    from iotctl.local.devices.core.document import Deployment
    from iotctl.local.devices.core.place import Settings
    from iotctl.local.devices.core.state import Installed, State
    from iotctl.local.devices.core.supervisor import Supervisor
    from iotctl.local.devices.core.unit import Unit

OWN: Final = {NUCLEUS: NUCLEUS_VERSION, "aws.greengrass.TokenExchangeService": "2.0.3"}
"""Components of AWS's that this core stands in for: others may depend on them."""

_T = TypeVar("_T")


class Deployer:
    """Carries out deployments, one at a time.

    Args:
        settings: of the core.
        platform: its attributes.
        cloud: what it asks.
        state: what it keeps.
        supervisor: what runs.
        told: called with an event and its details, in the loop's thread.
        first_wait: seconds before the second try of what needs the cloud.

    """

    def __init__(
        self,
        settings: Settings,
        platform: Mapping[str, str],
        cloud: Cloud,
        state: State,
        supervisor: Supervisor,
        told: Callable[[str, str], None],
        first_wait: float = 1.0,
    ) -> None:
        self._settings = settings
        self._platform = platform
        self._cloud = cloud
        self._state = state
        self._supervisor = supervisor
        self._told = told
        self._first_wait = first_wait
        self._stop = threading.Event()
        self._merging = False
        self._loop = asyncio.get_running_loop()

    def cancel(self) -> bool:
        """Stop the deployment that is under way, if it has not begun to change what runs; whether it does."""
        if self._merging:
            return False
        self._stop.set()
        return True

    def stop(self) -> None:
        """The core ends: whatever is under way ends too."""
        self._stop.set()

    async def deploy(self, deployment: Deployment) -> Report:
        """Carry out a deployment.

        Returns:
            How it ended.

        Raises:
            Interrupted: it was cancelled, or the core ends.

        """
        self._stop = threading.Event()
        self._merging = False
        try:
            installed = await self._prepared(deployment)
            wanted = configure.units(self._settings, self._platform, installed)
        except Rejected as error:
            return _report(deployment, Status.REJECTED, error)
        except Failed as error:
            return _report(deployment, Status.NO_STATE_CHANGE, error)
        if self._stop.is_set():
            raise Interrupted("the deployment was cancelled")
        self._merging = True
        self._told("merging", ", ".join(f"{name} {one.version}" for name, one in installed.items()) or "no components")
        before = self._supervisor.units
        good = [name for name, one in self._supervisor.components.items() if one.state in UP]
        try:
            await self._supervisor.apply(wanted)
            await self._supervisor.settled(wanted)
        except Failed as error:
            if not deployment.rolls_back:
                await self._keep(deployment, installed)
                return _report(deployment, Status.ROLLBACK_NOT_REQUESTED, error)
            return _report(deployment, await self._rolled_back(before, good, error), error)
        await self._keep(deployment, installed)
        return _report(deployment, Status.SUCCESSFUL)

    async def _prepared(self, deployment: Deployment) -> dict[str, Installed]:
        """Everything that can be done without touching what runs."""
        check_age(deployment, self._state.groups.get(deployment.group))
        membership = await asyncio.to_thread(self._patiently, self._cloud.thing_groups)
        if membership is None:
            self._told("groups-unknown", "this core's policy does not allow greengrass:ListThingGroupsForCoreDevice")
        else:
            self._state.membership = membership
        found = await asyncio.to_thread(resolve, self._roots(deployment), self._resolved)
        self._told("resolved", ", ".join(f"{name} {one.version}" for name, one in found.items()) or "no components")
        said = partial(self._say, "waiting")
        fetcher = Fetcher(self._settings, self._cloud, self._stop, said, self._first_wait)
        for one in found.values():
            wanted = artifacts.of(one, unit.manifest(one, self._platform))
            if wanted:
                await asyncio.to_thread(_explained, partial(fetcher.fetch, one, wanted))
                self._told("downloaded", f"{one.name} {one.version}: {', '.join(each.name for each in wanted)}")
        return configure.configured(found, self._state.components, deployment)

    def _roots(self, deployment: Deployment) -> dict[str, Mapping[str, str]]:
        """What every group wants: the deployment's own first, and of the others those that this thing is still in."""
        roots: dict[str, Mapping[str, str]] = {
            deployment.group: {name: one.version for name, one in deployment.components.items()}
        }
        for name, group in self._state.groups.items():
            if name != deployment.group and (name.startswith(THING) or name in self._state.membership):
                roots[name] = group.components
        return roots

    def _resolved(self, name: str, requirements: Mapping[str, str]) -> Found:
        if name in OWN:
            return _own(name, requirements)
        return self._patiently(partial(self._cloud.resolve, name, requirements))

    def _patiently(self, act: Callable[[], _T]) -> _T:
        """In a thread: what an act gives when the cloud can be reached."""
        return patiently(act, self._stop, partial(self._say, "waiting"), self._first_wait)

    def _say(self, event: str, detail: str) -> None:
        """Tell something from a thread."""
        self._loop.call_soon_threadsafe(self._told, event, detail)

    async def _rolled_back(self, before: Mapping[str, Unit], good: Sequence[str], error: Failed) -> Status:
        """What ran before runs again; what was no good before need not be."""
        self._told("rolling-back", error.message)
        try:
            await self._supervisor.apply(before)
            await self._supervisor.settled(good)
        except Failed as again:
            self._told("not-rolled-back", again.message)
            return Status.UNABLE_TO_ROLLBACK
        finally:
            await self._supervisor.remove_others(before)
        return Status.ROLLED_BACK

    async def _keep(self, deployment: Deployment, installed: Mapping[str, Installed]) -> None:
        """What was deployed is what runs from now on."""
        await self._supervisor.remove_others(installed)
        versions = {name: one.version for name, one in deployment.components.items()}
        self._state.components = dict(installed)
        self._state.groups = {
            name: group
            for name, group in self._state.groups.items()
            if name.startswith(THING) or name in self._state.membership
        }
        self._state.groups[deployment.group] = Group(deployment.arn, deployment.created, versions)
        self._state.save()
        kept = {(name, one.version) for name, one in installed.items()}
        await asyncio.to_thread(artifacts.remove_others, self._settings, kept)


def check_age(deployment: Deployment, last: Group | None) -> None:
    """Refuse a group's deployment when a later one has been carried out: jobs may come in another order.

    Raises:
        Rejected: it is older.

    """
    if not deployment.job_id or last is None or deployment.created >= last.created:
        return
    said = f"a newer deployment of {deployment.group} is here already: {last.arn}; this is {deployment.arn}"
    raise Rejected(said, Code.STALE)


def _own(name: str, requirements: Mapping[str, str]) -> Found:
    """A component that this core stands in for."""
    version = Version.parse(OWN[name])
    for who, text in requirements.items():
        try:
            matches = Requirement.parse(text).matches(version)
        except VersionError as error:
            raise Failed(f"{who} requires {name} {text}: {error}", Code.REQUIREMENTS) from error
        if not matches:
            said = f"{who} requires {name} {text}, and this core stands in for {version} of it"
            raise Failed(said, Code.NO_VERSION, Code.REQUIREMENTS)
    return Found(name, OWN[name], "", {"ComponentName": name, "ComponentVersion": OWN[name]})


def _explained(act: Callable[[], None]) -> None:
    """Carry something out; what goes wrong on this machine is why the deployment failed.

    Raises:
        Failed: the disk is full, for example. Interrupted.

    """
    try:
        act()
    except Interrupted:
        raise
    except Error as error:
        raise Failed(error.message, Code.DOWNLOAD, Code.WRITE) from error
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}", Code.DOWNLOAD, Code.WRITE) from error


def _report(deployment: Deployment, status: Status, error: Failed | None = None) -> Report:
    first = "DEPLOYMENT_REJECTED" if status is Status.REJECTED else "DEPLOYMENT_FAILURE"
    return Report(
        deployment.job_id,
        deployment.arn,
        deployment.deployment_id,
        status.word,
        status.value,
        sanitize(error.message) if error else "",
        [first, *(code.value for code in error.codes)] if error else [],
        error.types if error else [],
        list(deployment.components),
    )
