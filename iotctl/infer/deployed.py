"""The deployment of a target as a value, and the next one made of it. Pure.

CreateDeployment replaces everything that a target has, so what is there is always taken along: the other components
with their versions, configurations and users, the policies, the job configuration, the tags, the parent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RESET: Final = ("/accessControl", "/inference")
"""What a recipe of ours sets. Greengrass keeps a component's configuration when its version changes, and would give
the new model the old one's digest: so it is reset to the new recipe's defaults, before the operator's own changes are
merged (developer guide, update-component-configurations)."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The deployment of a target, as it is now.

    Attributes:
        arn: of the target.
        deployment_id: empty where nothing was ever deployed to it.
        status: ACTIVE, COMPLETED, CANCELED, FAILED or INACTIVE.
        components: CreateDeployment's own, by name.
        policies: its `deploymentPolicies`.
        job_configuration: its `iotJobConfiguration`.
        parent: the target of the deployment that it is a part of; empty where it is none.

    """

    arn: str
    deployment_id: str = ""
    name: str = ""
    revision: str = ""
    status: str = ""
    components: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=dict)
    job_configuration: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""

    @property
    def target(self) -> str:
        """The name of the thing or thing group."""
        return self.arn.rpartition("/")[2]

    @property
    def is_group(self) -> bool:
        """Whether the target is a thing group."""
        return ":thinggroup/" in self.arn

    @property
    def stands(self) -> bool:
        """Whether cores have it, or will get it."""
        return self.status in {"ACTIVE", "COMPLETED"}

    def version_of(self, component: str) -> str:
        """The version of a component that it brings; empty where it does not."""
        return str(self.components.get(component, {}).get("componentVersion", ""))


def bringing(now: Deployed, component: str, version: str, *, compare: bool = False) -> dict[str, Any]:
    """CreateDeployment's parameters: what is there, with a version of a model's component in its place.

    Args:
        now: the target's deployment.
        component: the model's.
        version: of it.
        compare: the program compares with the release before.

    """
    before = now.components.get(component, {})
    change = dict(before.get("configurationUpdate") or {})
    change["reset"] = list(dict.fromkeys([*(change.get("reset") or ()), *RESET]))
    if compare:
        merge = json.loads(change.get("merge") or "{}")
        merge["inference"] = {**merge.get("inference", {}), "compare": True}
        change["merge"] = json.dumps(merge)
    made = {**before, "componentVersion": version, "configurationUpdate": change}
    return parameters(replace(now, components={**now.components, component: made}))


def parameters(wanted: Deployed) -> dict[str, Any]:
    """CreateDeployment's parameters for a deployment."""
    found = {
        "targetArn": wanted.arn,
        "deploymentName": wanted.name or f"iotctl-{wanted.target}",
        "components": wanted.components,
        "deploymentPolicies": wanted.policies,
        "iotJobConfiguration": wanted.job_configuration,
        "parentTargetArn": wanted.parent,
        # AWS's own tags cannot be given.
        "tags": {key: value for key, value in wanted.tags.items() if not key.startswith("aws:")},
    }
    return {key: value for key, value in found.items() if value}


def part_of(canary: Deployed, parent: Deployed) -> Deployed:
    """A sub-deployment with what its parent brings; its policies and tags are its own where it was there before."""
    given = canary if canary.deployment_id else parent
    name = canary.name or f"{parent.name or f'iotctl-{parent.target}'}-canary"
    return replace(given, arn=canary.arn, name=name, components=parent.components, parent=parent.arn)


def same(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a deployment's components are these already."""
    return _plain(before) == _plain(wanted)


def _plain(components: Mapping[str, Any]) -> dict[str, Any]:
    """Components without what is empty, their merges as JSON and not as text."""
    found = {}
    for name, one in components.items():
        change = one.get("configurationUpdate") or {}
        found[name] = {
            "version": one["componentVersion"],
            "runWith": one.get("runWith") or {},
            "reset": sorted(change.get("reset") or ()),
            "merge": json.loads(change.get("merge") or "{}"),
        }
    return found
