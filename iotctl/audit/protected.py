"""What the account has of the security profiles that a file declares. Read-only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotctl.audit.protection import Declared
    from iotctl.aws import Aws


_GROUP: Final = "thinggroup/"


@dataclass(frozen=True, slots=True)
class Held:
    """What the account has of what is declared.

    Attributes:
        profiles: DescribeSecurityProfile's answers, by name.
        targets: the ARNs that each of them is attached to.
        metrics: the types of custom metrics, by name.
        dimensions: topic filters, by name.

    """

    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=dict)


def held(aws: Aws, declared: Declared) -> Held:
    """Read what there is of what is declared.

    Raises:
        NotFound: a thing group that a profile is about is not there.
        Error: it cannot be read.

    """
    for group in sorted({one for profile in declared.profiles for one in profile.targets if one.startswith(_GROUP)}):
        if _found(aws, "iot:DescribeThingGroup", thingGroupName=group.removeprefix(_GROUP)) is None:
            name = group.removeprefix(_GROUP)
            raise NotFound(f"there is no thing group {name}; nothing was changed", on=name)
    profiles, targets = {}, {}
    for one in declared.profiles:
        found = _found(aws, "iot:DescribeSecurityProfile", securityProfileName=one.name)
        if found is not None:
            profiles[one.name] = found
            pages = aws.pages("iot:ListTargetsForSecurityProfile", securityProfileName=one.name, maxResults=250)
            targets[one.name] = [each["arn"] for page in pages for each in page.get("securityProfileTargets", ())]
    metrics = {
        name: found["metricType"]
        for name in declared.metrics
        if (found := _found(aws, "iot:DescribeCustomMetric", metricName=name)) is not None
    }
    dimensions = {
        name: found["stringValues"]
        for name in declared.dimensions
        if (found := _found(aws, "iot:DescribeDimension", name=name)) is not None
    }
    return Held(profiles, targets, metrics, dimensions)


def _found(aws: Aws, op: str, **params: Any) -> dict[str, Any] | None:  # noqa: ANN401  AWS's own parameters
    try:
        return aws.call(op, **params)
    except NotFound:
        return None
