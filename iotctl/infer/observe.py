"""What a target has deployed to it now, and what had; and the cores of it. Read-only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl import scope
from iotctl.errors import NotFound, Usage
from iotctl.infer.deployed import Deployed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws

SUB_DEPLOYMENTS_SINCE: Final = (2, 9)
"""Of the Greengrass nucleus (developer guide, create-subdeployments)."""
LITE: Final = "aws_nucleus_lite"
FEW: Final = 50
"""Cores that are looked at one by one."""


def target_arn(aws: Aws, thing: str | None, group: str | None) -> str:
    """The ARN of a core's thing or of a thing group.

    Raises:
        NotFound: there is none. Usage: it is a dynamic group.

    """
    if group is None:
        name = thing or ""
        try:
            return str(aws.call("iot:DescribeThing", thingName=name)["thingArn"])
        except NotFound as error:
            raise scope.no_thing(name, error) from error
    try:
        found = aws.call("iot:DescribeThingGroup", thingGroupName=group)
    except NotFound as error:
        raise scope.no_group(group, error) from error
    if found.get("queryString"):
        raise Usage(
            f"{group} is a dynamic thing group, which Greengrass does not deploy to",
            hint="deploy to a static one: --search QUERY --create-group NAME makes it",
        )
    return str(found["thingGroupArn"])


def deployed(aws: Aws, arn: str) -> Deployed:
    """The latest deployment of a target."""
    page = aws.call("greengrassv2:ListDeployments", targetArn=arn, historyFilter="LATEST_ONLY", maxResults=1)
    return deployment(aws, page["deployments"][0]["deploymentId"]) if page.get("deployments") else Deployed(arn)


def deployment(aws: Aws, deployment_id: str) -> Deployed:
    """A deployment."""
    found = aws.call("greengrassv2:GetDeployment", deploymentId=deployment_id)
    return Deployed(
        found["targetArn"],
        found["deploymentId"],
        found.get("deploymentName") or "",
        found.get("revisionId", ""),
        found.get("deploymentStatus", ""),
        found.get("components") or {},
        found.get("deploymentPolicies") or {},
        found.get("iotJobConfiguration") or {},
        found.get("tags") or {},
        found.get("parentTargetArn") or "",
    )


def history(aws: Aws, arn: str) -> Iterator[Deployed]:
    """Every revision of a target that is not deleted, the newest first."""
    op = "greengrassv2:ListDeployments"
    found = [one for page in aws.pages(op, targetArn=arn, historyFilter="ALL") for one in page.get("deployments", ())]
    for one in sorted(found, key=lambda one: one["creationTimestamp"], reverse=True):
        yield deployment(aws, one["deploymentId"])


def recipe(aws: Aws, component: str, version: str) -> dict[str, Any] | None:
    """The recipe of a component version; None: there is none."""
    arn = aws.target.arn(f"components:{component}:versions:{version}", "greengrass")
    try:
        found: dict[str, Any] = json.loads(
            aws.call("greengrassv2:GetComponent", arn=arn, recipeOutputFormat="JSON")["recipe"]
        )
    except NotFound:
        return None
    return found


def versions(aws: Aws, component: str) -> list[str]:
    """The versions of a component that can be deployed, the newest first."""
    arn = aws.target.arn(f"components:{component}", "greengrass")
    try:
        pages = list(aws.pages("greengrassv2:ListComponentVersions", arn=arn))
    except NotFound:
        return []
    return [one["componentVersion"] for page in pages for one in page.get("componentVersions", ())]


def cores(aws: Aws, arn: str) -> list[dict[str, Any]]:
    """The core devices of a target, as they last reported; those that never did are not among them."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind == "thinggroup":
        try:
            pages = list(aws.pages("greengrassv2:ListCoreDevices", thingGroupArn=arn, maxResults=100))
        except NotFound:
            return []
        return [core for page in pages for core in page.get("coreDevices", ())]
    try:
        found = aws.call("greengrassv2:GetCoreDevice", coreDeviceThingName=name)
    except NotFound:
        return []
    return [found]


def older_nuclei(aws: Aws, arn: str) -> list[str]:
    """The cores of a canary group that know no sub-deployments, with their versions.

    Nucleus lite knows none (as of 2.6): it takes one for a deployment of its own that conflicts with the parent's, and
    whose version stays in the way of every later deployment to the parent.
    """
    found = []
    for core in cores(aws, arn)[:FEW]:
        name = core["coreDeviceThingName"]
        if core.get("runtime") == LITE:
            found.append(f"{name} (nucleus lite)")
            continue
        version = str(aws.call("greengrassv2:GetCoreDevice", coreDeviceThingName=name).get("coreVersion") or "")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if len(numbers) == 2 and numbers < SUB_DEPLOYMENTS_SINCE:
            found.append(f"{name} ({version})")
    return found


def failed(aws: Aws, now: Deployed) -> bool:
    """Whether a core of the target has said that its deployment failed there; the first few are asked."""
    for core in cores(aws, now.arn)[:FEW]:
        pages = aws.pages("greengrassv2:ListEffectiveDeployments", coreDeviceThingName=core["coreDeviceThingName"])
        for one in (one for page in pages for one in page.get("effectiveDeployments", ())):
            if one["deploymentId"] == now.deployment_id:
                if one["coreDeviceExecutionStatus"] == "FAILED":
                    return True
                break
    return False


def members(aws: Aws, group: str) -> set[str]:
    """The things of a group and of those below it."""
    pages = aws.pages("iot:ListThingsInThingGroup", thingGroupName=group, recursive=True, maxResults=250)
    return {thing for page in pages for thing in page.get("things", ())}


def others(aws: Aws, thing_names: Sequence[str], arn: str, component: str, version: str) -> list[str]:
    """The other deployments of some cores that bring another version of a component, in words.

    Greengrass puts the version requirements of all of a core's deployments together, and cannot meet two.
    """
    found: dict[str, str] = {}
    for name in thing_names[:FEW]:
        try:
            pages = list(aws.pages("greengrassv2:ListEffectiveDeployments", coreDeviceThingName=name))
        except NotFound:
            continue
        targets = {one["targetArn"] for page in pages for one in page.get("effectiveDeployments", ())}
        for other in sorted(targets - {arn} - set(found)):
            held = deployed(aws, other)
            brought = held.version_of(component)
            # A sub-deployment of this target gives way to it.
            differs = brought and brought != version and held.parent != arn and held.stands
            found[other] = f"{held.target} brings {component} {brought} to {name}" if differs else ""
    return [words for words in found.values() if words]


def expected_digest(found: Mapping[str, Any] | None) -> str:
    """The digest of the model that a recipe of ours brings."""
    try:
        return str((found or {})["ComponentConfiguration"]["DefaultConfiguration"]["inference"]["model"]["sha256"])
    except (KeyError, TypeError):
        return ""
