"""Which version of which component a core installs, over all its groups and all dependencies. Pure but for its lookup.

Who requires a version goes to the cloud with the requirement: a group, or a component that depends on it. The cloud
answers one version that all of them allow, whose own dependencies are required then. It ends where nothing changes.
Source: the nucleus' DependencyResolver.
"""

from __future__ import annotations

import graphlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core.faults import Code, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_LOOKUPS: Final = 1000
"""So many questions to the cloud at most: requirements that never settle end there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A component version.

    Attributes:
        arn: of it; empty where it is a part of this core.
        recipe: its content.

    """

    name: str
    version: str
    arn: str
    recipe: Mapping[str, Any]

    @property
    def dependencies(self) -> dict[str, Mapping[str, Any]]:
        """What it depends on, by name."""
        found: dict[str, Mapping[str, Any]] = dict(self.recipe.get("ComponentDependencies") or {})
        return found

    @property
    def hard(self) -> tuple[str, ...]:
        """What must be running while it is."""
        return tuple(
            name for name, one in self.dependencies.items() if one.get("DependencyType", "HARD").upper() != "SOFT"
        )


def resolve(
    roots: Mapping[str, Mapping[str, str]], lookup: Callable[[str, Mapping[str, str]], Found]
) -> dict[str, Found]:
    """Every component that the groups and their components' dependencies need, dependencies first.

    Args:
        roots: by group, the versions of the components that its deployment names; the deployment's own group first.
        lookup: the version of a component that meets all requirements, by who requires them.

    Raises:
        Failed: from the lookup; or components depend on each other in a circle.

    """
    required: dict[str, dict[str, str]] = {}
    for group, components in roots.items():
        for name, version in components.items():
            required.setdefault(name, {})[group] = version
    found: dict[str, Found] = {}
    waiting, lookups = deque(required), 0
    while waiting:
        name = waiting.popleft()
        if not required.get(name):  # nobody needs it any more
            _withdraw(required, waiting, found.pop(name, None))
            continue
        lookups += 1
        if lookups > MOST_LOOKUPS:
            raise Failed(f"the requirements of {name} and others never settle", Code.REQUIREMENTS)
        before, one = found.get(name), lookup(name, dict(required[name]))
        if one == before:
            continue
        _withdraw(required, waiting, before)
        found[name] = one
        for other, dependency in one.dependencies.items():
            required.setdefault(other, {})[name] = str(dependency.get("VersionRequirement") or "*")
            waiting.append(other)
    return {name: found[name] for name in _ordered(found)}


def _withdraw(required: dict[str, dict[str, str]], waiting: deque[str], gone: Found | None) -> None:
    """Take back what a version required that is not chosen any more."""
    for other in gone.dependencies if gone else ():
        if required.get(other, {}).pop(gone.name if gone else "", None) is not None:
            waiting.append(other)


def _ordered(found: Mapping[str, Found]) -> list[str]:
    graph = {name: sorted(one.dependencies) for name, one in sorted(found.items())}
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise Failed(f"components depend on each other in a circle: {circle}", Code.CIRCULAR) from error
