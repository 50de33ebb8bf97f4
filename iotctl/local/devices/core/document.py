"""The deployment document as a core receives it: in a job of its thing group, or in its own shadow. Pure.

Sources: the nucleus' DeploymentDocumentConverter; the developer guide's manage-deployments page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core.faults import Code, Failed
from iotctl.semantics.versions import Requirement, VersionError

if TYPE_CHECKING:
    from collections.abc import Mapping

CAPABILITIES: Final = frozenset({"SUB_DEPLOYMENTS"})
"""What a document may require that this core can: of AWS's other ones LINUX_RESOURCE_LIMITS and LARGE_CONFIGURATION."""
GROUP: Final = "thinggroup/"
THING: Final = "thing/"

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}")
_CONFIGURATION: Final = re.compile(r"arn:[^:]*:greengrass:[^:]*:[^:]*:configuration:(thing|thinggroup)/([^:/]+):(\d+)")
_GROUP_ARN: Final = re.compile(r"arn:[^:]*:iot:[^:]*:[^:]*:(thinggroup/[^/]+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A component that a deployment names.

    Attributes:
        version: exact, as deployments name it.
        merge: laid over its configuration.
        reset: JSON pointers to what goes back to its default first.
        run_with: as the document has it.

    """

    version: str
    merge: Mapping[str, Any] = field(default_factory=dict)
    reset: tuple[str, ...] = ()
    run_with: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment to carry out.

    Attributes:
        job_id: of the job that brought it; empty: the shadow did.
        deployment_id: as operators know it.
        arn: of its configuration: what a core reports it by.
        group: whose components it replaces: `thinggroup/NAME` or `thing/NAME`.
        created: milliseconds since 1970.
        rolls_back: where it fails.

    """

    job_id: str
    deployment_id: str
    arn: str
    group: str
    created: int
    components: Mapping[str, Wanted]
    rolls_back: bool = True

    @property
    def key(self) -> str:
        """What tells it from every other."""
        return self.job_id or self.arn


def parse(document: Mapping[str, Any], job_id: str = "") -> Deployment:
    """A document, checked.

    Raises:
        Failed: it cannot be read, or asks for what this core cannot do.

    """
    arn, deployment_id = document.get("configurationArn"), document.get("deploymentId")
    found = _CONFIGURATION.fullmatch(arn) if isinstance(arn, str) else None
    if found is None or not isinstance(deployment_id, str):
        raise Failed("the deployment document names no configurationArn or no deploymentId", Code.DOCUMENT)
    lacking = sorted(set(_strings(document.get("requiredCapabilities") or [])) - CAPABILITIES)
    if lacking:
        raise Failed(f"this core cannot do what the deployment requires: {', '.join(lacking)}", Code.CAPABILITIES)
    created = document.get("creationTimestamp")
    if type(created) is not int:
        raise Failed("the deployment document has no creationTimestamp", Code.DOCUMENT)
    components = _object(document.get("components") or {}, "components")
    return Deployment(
        job_id,
        deployment_id,
        str(arn),
        _on_behalf(document.get("onBehalfOf")) or f"{found[1]}/{found[2]}",
        created,
        {name: _wanted(name, one) for name, one in components.items()},
        document.get("failureHandlingPolicy", "ROLLBACK") != "DO_NOTHING",
    )


def _on_behalf(arn: Any) -> str:  # noqa: ANN401  checked here
    """The group at the top of a sub-deployment's parents: it is their components that it replaces."""
    if not arn:
        return ""
    found = _GROUP_ARN.fullmatch(arn) if isinstance(arn, str) else None
    if found is None:
        raise Failed("onBehalfOf of the deployment document is no thing group's ARN", Code.DOCUMENT)
    return found[1]


def _wanted(name: str, given: Any) -> Wanted:  # noqa: ANN401  checked here
    one = _object(given, name)
    version = one.get("version")
    if not _NAME.fullmatch(name) or not isinstance(version, str):
        raise Failed(f"the deployment document has no name or version of the component {name[:128]!r}", Code.DOCUMENT)
    try:
        Requirement.parse(version)
    except VersionError as error:
        raise Failed(f"the version of {name}: {error}", Code.DOCUMENT) from error
    change = _object(one.get("configurationUpdate") or {}, f"configurationUpdate of {name}")
    return Wanted(
        version,
        _object(change.get("merge") or {}, f"merge of {name}"),
        tuple(_strings(change.get("reset") or [])),
        _object(one.get("runWith") or {}, f"runWith of {name}"),
    )


def _object(value: Any, what: str) -> Mapping[str, Any]:  # noqa: ANN401  checked here
    if not isinstance(value, dict):
        raise Failed(f"{what} in the deployment document must be an object", Code.DOCUMENT)
    return value


def _strings(value: Any) -> list[str]:  # noqa: ANN401  checked here
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Failed("a list in the deployment document must be of strings", Code.DOCUMENT)
    return value
