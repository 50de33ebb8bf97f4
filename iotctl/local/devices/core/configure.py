"""From component versions to units that run: configuration, variables, steps. Pure but for the paths it is told."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Any

from iotctl.local.devices.core import configuration, unit
from iotctl.local.devices.core.faults import Code, Failed
from iotctl.local.devices.core.interpolation import Scope, interpolated
from iotctl.local.devices.core.place import NUCLEUS
from iotctl.local.devices.core.resolve import Found
from iotctl.local.devices.core.state import Installed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.devices.core.document import Deployment, Wanted
    from iotctl.local.devices.core.place import Settings
    from iotctl.local.devices.core.unit import Unit


def configured(
    found: Mapping[str, Found], running: Mapping[str, Installed], deployment: Deployment
) -> dict[str, Installed]:
    """What each component is after a deployment.

    Args:
        found: the versions.
        running: what runs now.
        deployment: changes the configuration of the components that it names.

    Raises:
        Failed: a change cannot be made.

    """
    installed = {}
    for name, one in found.items():
        before, wanted = running.get(name), deployment.components.get(name)
        if wanted:
            _check(name, wanted)
        changed = before.changed if before else 0
        defaults = (one.recipe.get("ComponentConfiguration") or {}).get("DefaultConfiguration") or {}
        content = configuration.updated(
            before.configuration if before else {},
            defaults,
            wanted.reset if wanted else (),
            wanted.merge if wanted else None,
            newest=deployment.created >= changed,
        )
        newest = max(changed, deployment.created) if wanted and (wanted.merge or wanted.reset) else changed
        installed[name] = Installed(one.version, one.arn, dict(one.recipe), content, newest)
    return installed


def units(settings: Settings, platform: Mapping[str, str], installed: Mapping[str, Installed]) -> dict[str, Unit]:
    """What runs of components, everything filled in.

    Raises:
        Failed: one cannot run here.

    """
    scopes = {name: _scope(settings, name, one) for name, one in installed.items()}
    made = {}
    for name, one in installed.items():
        found = Found(name, one.version, one.arn, one.recipe)
        others = {other: scopes[other] for other in found.dependencies if other in scopes}
        content = unit.lifecycle(one.recipe, unit.manifest(found, platform))
        made[name] = unit.unit(found, interpolated(content, scopes[name], others), one.configuration)
        _check_privilege(made[name])
    return made


def _scope(settings: Settings, name: str, one: Installed) -> Scope:
    system = {
        "artifacts": {
            "path": str(settings.artifacts(name, one.version)),
            "decompressedPath": str(settings.unarchived(name, one.version)),
        },
        "work": {"path": str(settings.work(name))},
        "kernel": {"rootPath": str(settings.root)},
        "iot": {"thingName": settings.thing_name},
    }
    return Scope(system, one.configuration)


def _check(name: str, wanted: Wanted) -> None:
    """Refuse what is not this core's to do."""
    if name == NUCLEUS and (wanted.merge or wanted.reset):
        raise Failed(f"{NUCLEUS} cannot be configured: this core is not that program", Code.PLUGIN)
    user: Any = wanted.run_with.get("posixUser")
    if user and str(user).partition(":")[0] not in {getpass.getuser(), str(os.geteuid())}:
        raise Failed(f"{name} is to run as {user}, and this core runs everything as its own user", Code.RUN_WITH)
    if wanted.run_with.get("systemResourceLimits"):
        raise Failed(f"{name} is to run with systemResourceLimits, which this core cannot set", Code.RUN_WITH)


def _check_privilege(made: Unit) -> None:
    wanted = [name for name, step in made.steps.items() if step.privileged]
    if wanted and os.geteuid() != 0:
        named = ", ".join(wanted)
        raise Failed(f"{made.name} needs root for its steps {named}, and this core does not run as root", Code.RUN_WITH)
