"""What of a recipe runs on this core: the manifest for its platform, the steps of its lifecycle. Pure.

Source: the developer guide's component-recipe-reference page; the nucleus' RecipeLoader, Lifecycle and
GenericExternalService. The names of steps are read without regard to case, as the nucleus does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core.faults import Code, Failed
from iotctl.semantics.recipe import fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.devices.core.resolve import Found

STEPS: Final = ("install", "startup", "run", "shutdown", "recover", "uninstall")
TIMEOUTS: Final = {"install": 120.0, "startup": 120.0, "shutdown": 15.0, "recover": 60.0, "uninstall": 120.0}
"""Seconds that a step has by default; `run` has no end."""
MQTT: Final = "aws.greengrass.ipc.mqttproxy"

_ALL: Final = "all"
_GENERIC: Final = "aws.greengrass.generic"
_SKIP: Final = re.compile(r"(!?)\s*(onpath|exists)\s+(\S.*)")
_ERROR_RESET_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a lifecycle.

    Attributes:
        script: for the shell.
        timeout: seconds; None: no end.
        skip_if: `onpath PROGRAM` or `exists FILE`, with `!` before it the opposite; empty: never.
        privileged: it runs as root.

    """

    script: str
    timeout: float | None
    skip_if: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A component as it runs: everything is filled in.

    Attributes:
        steps: by name: install, startup or run, shutdown, recover, uninstall.
        hard: the components that must be up while this one is.
        error_reset: seconds without an error after which earlier ones do not count.
        needs_ipc: its recipe asks for Greengrass IPC's access to MQTT, which this core gives by environment variables.

    """

    name: str
    version: str
    steps: Mapping[str, Step]
    hard: tuple[str, ...] = ()
    error_reset: float = _ERROR_RESET_SECONDS
    needs_ipc: bool = False

    def installs_as(self, other: Unit) -> bool:
        """Whether the other one is installed where this one is: it need not be installed again."""
        return (self.version, self.steps.get("install")) == (other.version, other.steps.get("install"))


def manifest(found: Found, platform: Mapping[str, str]) -> Mapping[str, Any]:
    """The first manifest of a component that is for this platform.

    Raises:
        Failed: none is; or it asks for something that this core has not.

    """
    manifests: list[dict[str, Any]] = found.recipe.get("Manifests") or [{}]
    for one in manifests:
        if fits(one.get("Platform") or {}, platform):
            _check(found, one)
            return one
    shown = ", ".join(f"{key} {value}" for key, value in platform.items())
    raise Failed(f"{found.name} {found.version} has no manifest for this core ({shown})", Code.NO_VERSION)


def lifecycle(recipe: Mapping[str, Any], chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """The lifecycle of a manifest, or the recipe's own, of which the manifest's selections are taken."""
    own: Mapping[str, Any] = chosen.get("Lifecycle") or {}
    if own:
        return own
    manifests = recipe.get("Manifests") or ()
    keywords = {_ALL, *(word for one in manifests for word in one.get("Selections") or ())}
    selected = _selected(recipe.get("Lifecycle") or {}, keywords, chosen.get("Selections") or ())
    return selected if isinstance(selected, dict) else {}


def unit(found: Found, filled: Mapping[str, Any], configuration: Mapping[str, Any]) -> Unit:
    """A component as it runs.

    Args:
        found: its version.
        filled: its lifecycle, the variables replaced.
        configuration: of it.

    Raises:
        Failed: a step cannot be read.

    """
    named = {key.lower(): value for key, value in filled.items()}
    common = _environment(found.name, named.get("setenv"))
    steps = {}
    for name in STEPS:
        if named.get(name):
            one = _step(found.name, name, named[name], common)
            if one.script.strip():
                steps[name] = one
    if named.get("bootstrap"):
        raise Failed(
            f"{found.name} has the lifecycle step bootstrap, which restarts the core: this one cannot", Code.PLUGIN
        )
    return Unit(
        found.name,
        found.version,
        steps,
        found.hard,
        _seconds(found.name, named.get("errorresettime"), _ERROR_RESET_SECONDS),
        MQTT in (configuration.get("accessControl") or {}),
    )


def _check(found: Found, chosen: Mapping[str, Any]) -> None:
    """Refuse what needs more than child processes."""
    kind = found.recipe.get("ComponentType", _GENERIC)
    if found.arn and kind != _GENERIC:
        raise Failed(f"{found.name} is a {kind}: this core runs generic components only", Code.PLUGIN)
    for artifact in chosen.get("Artifacts") or ():
        uri = str(artifact.get("Uri", artifact.get("URI")))
        if uri.startswith("docker:"):
            raise Failed(f"{found.name} needs Docker ({uri}), which this core has not", Code.DOCKER)
    defaults = (found.recipe.get("ComponentConfiguration") or {}).get("DefaultConfiguration") or {}
    services = sorted(set(defaults.get("accessControl") or {}) - {MQTT})
    if services:
        named = ", ".join(services)
        raise Failed(f"{found.name} needs Greengrass IPC ({named}), which this core has not", Code.PLUGIN)


def _selected(source: Any, keywords: set[str], selections: Any) -> Any:  # noqa: ANN401  a part of a lifecycle
    """A lifecycle whose parts may stand under selections, the most wanted first (nucleus: filterPlatform)."""
    if not isinstance(source, dict):
        return source
    if keywords & set(source):
        chosen: Any = next((source[word] for word in (*selections, _ALL) if word in source), {})
        return _selected(chosen, keywords, selections)
    return {key: _selected(value, keywords, selections) for key, value in source.items()}


def _step(component: str, name: str, given: Any, common: Mapping[str, str]) -> Step:  # noqa: ANN401  checked here
    if isinstance(given, str):
        return Step(given, TIMEOUTS.get(name), environment=common)
    if not isinstance(given, dict):
        raise Failed(f"the step {name} of {component} must be a script, or an object that holds one", Code.RECIPE)
    named = {key.lower(): value for key, value in given.items()}
    skip_if, script = str(named.get("skipif") or "").strip(), named.get("script")
    if not isinstance(script, str):
        raise Failed(f"the step {name} of {component} has no Script", Code.RECIPE)
    if skip_if and not _SKIP.fullmatch(skip_if):
        raise Failed(f"Skipif of {component} must be 'onpath PROGRAM' or 'exists FILE', not {skip_if!r}", Code.RECIPE)
    return Step(
        script,
        _seconds(component, named.get("timeout"), TIMEOUTS.get(name)),
        skip_if,
        {**common, **_environment(component, named.get("setenv"))},
        str(named.get("requiresprivilege", "")).lower() == "true",
    )


def skip_condition(text: str) -> tuple[bool, str, str]:
    """Whether a `skip_if` is the opposite, its operator and its operand."""
    found = _SKIP.fullmatch(text)
    assert found, "it was checked"
    return bool(found[1]), found[2], found[3].strip()


def _environment(component: str, given: Any) -> dict[str, str]:  # noqa: ANN401  checked here
    if given is None:
        return {}
    if not isinstance(given, dict) or any(isinstance(value, dict | list) for value in given.values()):
        raise Failed(f"Setenv of {component} must be an object of texts", Code.RECIPE)
    return {key: value if isinstance(value, str) else str(value) for key, value in given.items()}


def _seconds(component: str, given: Any, default: Any) -> Any:  # noqa: ANN401  a number, or a text of one
    if given is None:
        return default
    try:
        return float(given)
    except (TypeError, ValueError) as error:
        raise Failed(f"a time of {component} is no number of seconds: {given!r}", Code.RECIPE) from error
