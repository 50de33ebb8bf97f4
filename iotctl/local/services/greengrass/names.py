"""ARNs and targets of Greengrass, and its own words for errors and pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, paging, thing_groups, things
from iotctl.local.services import tags as all_tags

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from iotctl.local.store import Store

NAMESPACE: Final = "aws-gg-deployment"
"""The namespace of the jobs that deploy to thing groups."""
SHADOW: Final = "AWSManagedGreengrassV2Deployment"
"""The named shadow that deploys to one thing."""

_PAGE: Final = 50
_COMPONENT: Final = re.compile(r"components:([^:]+)(?::versions:([^:]+))?")


def validation(message: str) -> AwsError:
    """ValidationException."""
    return AwsError("ValidationException", message, reason="OTHER")


def not_found(kind: str, identity: str) -> AwsError:
    """ResourceNotFoundException of a Component, a Deployment, a CoreDevice, ..."""
    message = f"{kind} {identity} cannot be found"
    return AwsError("ResourceNotFoundException", message, resourceId=identity, resourceType=kind)


def conflict(kind: str, identity: str, message: str) -> AwsError:
    """ConflictException."""
    return AwsError("ConflictException", message, resourceId=identity, resourceType=kind)


@dataclass(frozen=True, slots=True)
class Target:
    """What a deployment is for.

    Attributes:
        kind: thing or thinggroup.
        name: of the thing or the thing group.

    """

    arn: str
    kind: str
    name: str

    @property
    def is_group(self) -> bool:
        """Whether it is a thing group."""
        return self.kind == "thinggroup"

    def known(self, store: Store) -> Target:
        """Itself, if there is such a thing or group.

        Raises:
            AwsError: ResourceNotFoundException.

        """
        find = thing_groups.find if self.is_group else things.find
        if find(store, self.name) is None:
            raise not_found("ThingGroup" if self.is_group else "Thing", self.name)
        return self


def target(store: Store, arn: str) -> Target:
    """The target that an ARN names.

    Raises:
        AwsError: ValidationException.

    """
    kind, _, name = arn.removeprefix(store.arn("")).partition("/")
    if not arn.startswith(store.arn("")) or kind not in {"thing", "thinggroup"} or not name:
        raise validation(f"{arn} is not the ARN of a thing or a thing group of this account and region")
    return Target(arn, kind, name)


def arn(store: Store, resource: str) -> str:
    """The ARN of a resource of Greengrass: `components:NAME:versions:1.0.0`, `deployments:ID`, `coreDevices:NAME`."""
    return store.arn(resource, "greengrass")


def component_of(store: Store, given: str) -> tuple[str, str]:
    """The name and the version, maybe empty, of a component that an ARN names.

    Raises:
        AwsError: ResourceNotFoundException: it is of another account or region, so there is none here.

    """
    found = _COMPONENT.fullmatch(given.removeprefix(arn(store, "")))
    if found is None:
        raise not_found("Component", given)
    return found[1], found[2] or ""


def page(
    store: Store,
    select: str,
    parameters: Sequence[Any],
    *,
    by: tuple[str, ...],
    size: int | None,
    token: str | None,
    ascending: bool = True,
) -> tuple[list[sqlite3.Row], str | None]:
    """A page as `paging.page` has it, of 50 by default, refused in Greengrass' words."""
    try:
        return paging.page(store, select, parameters, by=by, size=size or _PAGE, token=token, ascending=ascending)
    except AwsError as error:
        raise validation(error.message) from error


def put_tags(store: Store, resource_arn: str, tags: Mapping[str, str] | None) -> None:
    """Set tags of a resource.

    Raises:
        AwsError: ValidationException: a key of AWS's own, or more tags than a resource holds.

    """
    try:
        all_tags.put_tags(store, resource_arn, [{"Key": key, "Value": value} for key, value in (tags or {}).items()])
    except AwsError as error:
        raise validation(error.message) from error
