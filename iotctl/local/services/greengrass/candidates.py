"""ResolveComponentCandidates: the greatest version that meets every requirement and claims the core's platform.

The requirements of a core's deployments and of its components' dependencies come together in one request, by who
requires them: `{"thinggroup/A": "=1.0.0", "com.example.Other": "<2.0.0"}`; the core has put them together over all its
groups. The words of the two refusals are those that the nucleus looks for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from iotctl.local.services import AwsError, operation
from iotctl.local.services.greengrass import artifacts, components
from iotctl.local.services.greengrass.names import validation
from iotctl.semantics.recipe import LITE
from iotctl.semantics.versions import Requirement, VersionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store


@operation("greengrassv2:ResolveComponentCandidates")
def resolve_component_candidates(
    store: Store, platform: dict[str, Any] | None = None, componentCandidates: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The version of each component that a core with this platform installs, with its recipe."""
    attributes = (platform or {}).get("attributes", {})
    return {"resolvedComponentVersions": [_resolved(store, one, attributes) for one in componentCandidates or ()]}


def _resolved(store: Store, candidate: Mapping[str, Any], platform: Mapping[str, str]) -> dict[str, Any]:
    name = candidate.get("componentName", "")
    required = candidate.get("versionRequirements", {})
    try:
        requirements = [Requirement.parse(text) for text in required.values()]
    except VersionError as error:
        raise validation(f"The version requirements of {name}: {error}") from error
    fitting = [
        one
        for one in components.versions_of(store, name)
        if all(requirement.matches(one.recipe.version) for requirement in requirements)
    ]
    if not fitting:
        said = ", ".join(f"{who} requires {text}" for who, text in required.items())
        message = f"Component {name} has no usable version that satisfies all requirements: {said or 'any version'}"
        raise _not_found(message, name)
    found = next((one for one in fitting if one.recipe.runs_on(platform)), None)
    if found is None:
        shown = json.dumps(dict(platform), sort_keys=True)
        raise _not_found(f"The latest version of Component {name} doesn't claim platform {shown} compatibility", name)
    recipe = found.recipe.content
    if platform.get("runtime") == LITE:
        recipe = artifacts.through_greengrass(recipe)
    return {
        "arn": found.arn,
        "componentName": name,
        "componentVersion": str(found.recipe.content["ComponentVersion"]),
        "recipe": json.dumps(recipe, separators=(",", ":")).encode(),
        "vendorGuidance": "ACTIVE",
    }


def _not_found(message: str, name: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, resourceId=name, resourceType="Component")
