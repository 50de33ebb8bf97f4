"""The deployment document that a core device receives: in a job of its group, or in its own shadow.

Sources: nucleus and nucleus lite, which read it (DeploymentDocumentConverter; deployment_queue.c).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services.greengrass.names import arn, validation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.services.greengrass.names import Target
    from iotctl.local.store import Store

LARGEST: Final = {"thinggroup": 31 * 1024, "thing": 7 * 1024}
"""Bytes of a document that arrives whole; a larger one AWS lets the core download (device-auth page)."""

_POLICIES: Final[dict[str, Any]] = {
    "failureHandlingPolicy": "ROLLBACK",
    "componentUpdatePolicy": {"timeoutInSeconds": 60, "action": "NOTIFY_COMPONENTS"},
    "configurationValidationPolicy": {"timeoutInSeconds": 30},
}


def policies(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The policies of a deployment, AWS's defaults where it has none."""
    found = {**_POLICIES, **(given or {})}
    for name in ("componentUpdatePolicy", "configurationValidationPolicy"):
        found[name] = {**_POLICIES[name], **found[name]}
    return found


def configuration_arn(store: Store, target: Target, revision: int) -> str:
    """The name of a revision of a target's deployment, as cores report it."""
    return arn(store, f"configuration:{target.kind}/{target.name}:{revision}")


def document(
    store: Store,
    target: Target,
    *,
    deployment_id: str,
    revision: int,
    components: Mapping[str, Any],
    policies: Mapping[str, Any],
    parent: Target | None = None,
    root: Target | None = None,
) -> dict[str, Any]:
    """What a core receives.

    Args:
        store: where, for the ARNs and the time.
        target: of the deployment.
        deployment_id: its id.
        revision: of the target.
        components: CreateDeployment's own.
        policies: as `policies` has them.
        parent: of a sub-deployment, whose components it replaces on the cores of its target.
        root: the group at the top of its parents.

    Raises:
        AwsError: ValidationException: it is too large, or a merge is no JSON object.

    """
    capabilities = []
    if parent is not None:
        capabilities.append("SUB_DEPLOYMENTS")
    if any(one.get("runWith", {}).get("systemResourceLimits") for one in components.values()):
        capabilities.append("LINUX_RESOURCE_LIMITS")
    update = policies["componentUpdatePolicy"]
    found: dict[str, Any] = {
        "deploymentId": deployment_id,
        "configurationArn": configuration_arn(store, target, revision),
        "components": {name: _component(name, one) for name, one in components.items()},
        "creationTimestamp": int(store.now() * 1000),
        "failureHandlingPolicy": policies["failureHandlingPolicy"],
        "componentUpdatePolicy": {"timeout": update["timeoutInSeconds"], "action": update["action"]},
        "configurationValidationPolicy": {"timeout": policies["configurationValidationPolicy"]["timeoutInSeconds"]},
    }
    if capabilities:
        found["requiredCapabilities"] = capabilities
    if parent is not None and root is not None:
        found |= {"parentTargetArn": parent.arn, "onBehalfOf": root.arn}
    size, most = len(json.dumps(found).encode()), LARGEST[target.kind]
    if size > most:
        raise validation(
            f"The deployment document has {size} bytes, more than the {most} that arrive whole at a {target.kind};"
            " GetDeploymentConfiguration, by which a core downloads a larger one, is not built in the local platform"
        )
    return found


def _component(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"version": given["componentVersion"]}
    change = given.get("configurationUpdate")
    if change:
        found["configurationUpdate"] = {}
        if "merge" in change:
            found["configurationUpdate"]["merge"] = _object(name, change["merge"])
        if "reset" in change:
            found["configurationUpdate"]["reset"] = change["reset"]
    if given.get("runWith"):
        found["runWith"] = given["runWith"]
    return found


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise validation(f"configurationUpdate.merge of {name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise validation(f"configurationUpdate.merge of {name} is not a JSON object")
    return found
