"""What a core reports of itself: `$aws/things/THING/greengrassv2/health/json`. Pure.

Sources: the nucleus' FleetStatusDetails, ComponentDetails and DeploymentInformation, and its limits of a message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.devices.core.place import NUCLEUS_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from iotctl.local.devices.core.component import Component
    from iotctl.local.devices.core.state import Group, Report

VERSION: Final = f"{NUCLEUS_VERSION}+iotctl"
"""What this core calls itself: the nucleus that it follows, and that it is not that one."""
CADENCE_SECONDS: Final = 24 * 3600.0
"""Seconds between complete reports."""

_COMPLETE: Final = frozenset({"NUCLEUS_LAUNCH", "CADENCE"})
_LARGEST: Final = 100 * 1024  # bytes of the components in a message; AWS IoT takes 128 KiB
_LONGEST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class Core:
    """Who reports.

    Attributes:
        platform: its attributes.

    """

    thing_name: str
    platform: Mapping[str, str]


def origins(groups: Mapping[str, Group], dependencies: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The configurations that brought each component: by naming it, or something that depends on it.

    Args:
        groups: what they name.
        dependencies: of each component.

    """
    found: dict[str, list[str]] = {}
    for group in groups.values():
        waiting, seen = list(group.components), set(group.components)
        while waiting:
            name = waiting.pop()
            found.setdefault(name, []).append(group.arn)
            more = [other for other in dependencies.get(name, ()) if other not in seen]
            seen.update(more)
            waiting += more
    return found


def details(component: Component, arns: Sequence[str], *, root: bool) -> dict[str, Any]:
    """A component in a report.

    Args:
        component: as it is now.
        arns: of the configurations that brought it.
        root: one of them names it.

    """
    found = {
        "componentName": component.unit.name,
        "version": component.unit.version,
        "fleetConfigArns": list(arns),
        "isRoot": root,
        "status": component.state,
    }
    if component.state in {"ERRORED", "BROKEN"}:
        reason = component.reason[:_LONGEST_REASON]
        found["componentStatusDetails"] = {"statusCodes": list(component.codes), "statusReason": reason}
    return found


def gone(name: str, version: str) -> dict[str, Any]:
    """A component that was removed, in a report."""
    return {
        "componentName": name,
        "version": version,
        "fleetConfigArns": [],
        "isRoot": False,
        "status": "UNINSTALLED",
    }


def information(report: Report, told: Iterable[str]) -> dict[str, Any]:
    """How a deployment ended, in a report of health.

    Args:
        report: of it.
        told: the components that the same report tells of.

    """
    status: dict[str, Any] = {"detailedStatus": report.detailed}
    if report.cause:
        status |= {"failureCause": report.cause, "errorStack": report.stack, "errorTypes": report.types}
    return {
        "status": report.status,
        "statusDetails": status,
        "fleetConfigurationArnForStatus": report.arn,
        "deploymentId": report.deployment_id,
        "unchangedRootComponents": [name for name in report.roots if name not in set(told)],
    }


def messages(
    core: Core,
    trigger: str,
    components: Sequence[Mapping[str, Any]],
    *,
    healthy: bool,
    deployment: Mapping[str, Any] | None,
    sequence: Callable[[], int],
    now: float,
) -> Iterator[bytes]:
    """A report, in as many messages as it needs.

    Args:
        core: who reports.
        trigger: why: NUCLEUS_LAUNCH, RECONNECT, THING_DEPLOYMENT, ... What is complete follows from it.
        components: as `details` has them.
        healthy: no component is broken.
        deployment: as `information` has it.
        sequence: the next number.
        now: seconds since 1970.

    """
    chunks = list(_chunks(components))
    for number, chunk in enumerate(chunks, 1):
        report = {
            "ggcVersion": VERSION,
            "platform": core.platform["os"],
            "architecture": core.platform["architecture"],
            "thing": core.thing_name,
            "sequenceNumber": sequence(),
            "timestamp": int(now * 1000),
            "messageType": "COMPLETE" if trigger in _COMPLETE else "PARTIAL",
            "trigger": trigger,
            "overallDeviceStatus": "HEALTHY" if healthy else "UNHEALTHY",
            "components": chunk,
        }
        if len(chunks) > 1:
            report["chunkInfo"] = {"chunkId": number, "totalChunks": len(chunks)}
        if deployment:
            report["deploymentInformation"] = dict(deployment)
        yield json.dumps(report, separators=(",", ":")).encode()


def _chunks(components: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    chunk: list[Mapping[str, Any]] = []
    size = 0
    for one in components:
        length = len(json.dumps(one))
        if chunk and size + length > _LARGEST:
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += length
    yield chunk
