"""Behaviors of Device Defender's security profiles: which metrics there are, what may be said of them, who conforms.

Sources: AWS IoT developer guide, detect-behaviors, detect-cloud-side-metrics, detect-device-side-metrics,
dd-detect-custom-metrics, scoping-security-behavior; API reference, BehaviorCriteria.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

DURATIONS: Final = (300, 600, 900, 1800, 3600)
"""Seconds over which a behavior is evaluated."""

_NUMERIC: Final = ("less-than", "less-than-equals", "greater-than", "greater-than-equals")
_CIDRS: Final = ("in-cidr-set", "not-in-cidr-set")
_PORTS: Final = ("in-port-set", "not-in-port-set")
_SETS: Final = ("in-set", "not-in-set")


class Kind(StrEnum):
    """What a metric measures: the member of MetricValue that holds it."""

    COUNT = "count"
    CIDRS = "cidrs"
    PORTS = "ports"
    NUMBER = "number"
    NUMBERS = "numbers"
    STRINGS = "strings"


_OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.COUNT: _NUMERIC,
    Kind.CIDRS: _CIDRS,
    Kind.PORTS: _PORTS,
    Kind.NUMBER: _NUMERIC,
    Kind.NUMBERS: _SETS,
    Kind.STRINGS: _SETS,
}
CUSTOM: Final = {
    "number": Kind.NUMBER,
    "number-list": Kind.NUMBERS,
    "string-list": Kind.STRINGS,
    "ip-address-list": Kind.CIDRS,
}
"""The kind of each type of custom metric."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        kind: what it measures.
        cloud: whether AWS IoT itself measures it, or the device reports it.
        timed: whether it is counted over a duration, which a static threshold then needs.
        scoped: whether a dimension narrows it down to some topics.

    """

    kind: Kind
    cloud: bool = False
    timed: bool = False
    scoped: bool = False


METRICS: Final[dict[str, Metric]] = {
    "aws:message-byte-size": Metric(Kind.COUNT, cloud=True, scoped=True),
    "aws:num-messages-sent": Metric(Kind.COUNT, cloud=True, timed=True, scoped=True),
    "aws:num-messages-received": Metric(Kind.COUNT, cloud=True, timed=True, scoped=True),
    "aws:num-authorization-failures": Metric(Kind.COUNT, cloud=True, timed=True, scoped=True),
    "aws:num-connection-attempts": Metric(Kind.COUNT, cloud=True, timed=True),
    "aws:num-disconnects": Metric(Kind.COUNT, cloud=True, timed=True),
    "aws:source-ip-address": Metric(Kind.CIDRS, cloud=True, scoped=True),
    "aws:all-bytes-out": Metric(Kind.COUNT, timed=True),
    "aws:all-bytes-in": Metric(Kind.COUNT, timed=True),
    "aws:all-packets-out": Metric(Kind.COUNT, timed=True),
    "aws:all-packets-in": Metric(Kind.COUNT, timed=True),
    "aws:num-listening-tcp-ports": Metric(Kind.COUNT),
    "aws:num-listening-udp-ports": Metric(Kind.COUNT),
    "aws:num-established-tcp-connections": Metric(Kind.COUNT),
    "aws:listening-tcp-ports": Metric(Kind.PORTS),
    "aws:listening-udp-ports": Metric(Kind.PORTS),
    "aws:destination-ip-addresses": Metric(Kind.CIDRS),
}
"""The metrics that AWS defines, by name."""


def metric(name: str, custom: Mapping[str, str]) -> Metric | None:
    """A metric by name; `custom`: the types of custom metrics by theirs. None: there is none of this name."""
    return METRICS.get(name) or (Metric(CUSTOM[custom[name]]) if name in custom else None)


def faults(
    behaviors: Collection[Mapping[str, Any]], custom: Mapping[str, str], dimensions: Collection[str]
) -> Iterator[str]:
    """What is wrong with behaviors beyond the service model, each in a sentence.

    Args:
        behaviors: as CreateSecurityProfile takes them.
        custom: the types of the account's custom metrics, by name.
        dimensions: the names of its dimensions.

    """
    names = [one["name"] for one in behaviors]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"Behavior {name}: the name is there twice"
    for one in behaviors:
        for fault in _faults(one, custom, dimensions):
            yield f"Behavior {one['name']}: {fault}"


def conforms(operator: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a measured value is as a static threshold wants it.

    An empty list of ports or addresses always conforms (device-defender-troubleshoot).

    Args:
        operator: the comparisonOperator.
        wanted: the MetricValue of the criteria.
        found: the MetricValue that was measured.

    """
    match operator:
        case "less-than" | "less-than-equals" | "greater-than" | "greater-than-equals":
            return _compared(operator, _number(found), _number(wanted))
        case "in-cidr-set" | "not-in-cidr-set":
            networks = [ipaddress.ip_network(cidr, strict=False) for cidr in wanted.get("cidrs", ())]
            inside = [any(_inside(address, one) for one in networks) for address in found.get("cidrs", ())]
        case "in-port-set" | "not-in-port-set":
            inside = [port in wanted.get("ports", ()) for port in found.get("ports", ())]
        case _:
            member = "strings" if "strings" in wanted else "numbers"
            inside = [value in wanted.get(member, ()) for value in found.get(member, ())]
    return not any(inside) if operator.startswith("not-") else all(inside)


def criteria_type(criteria: Mapping[str, Any]) -> str:
    """The BehaviorCriteriaType: STATIC, STATISTICAL or MACHINE_LEARNING."""
    if "mlDetectionConfig" in criteria:
        return "MACHINE_LEARNING"
    return "STATISTICAL" if "statisticalThreshold" in criteria else "STATIC"


def _faults(one: Mapping[str, Any], custom: Mapping[str, str], dimensions: Collection[str]) -> Iterator[str]:
    found = metric(one.get("metric", ""), custom)
    if found is None:
        yield f"there is no metric {one['metric']}" if one.get("metric") else "it has no metric"
        return
    dimension = one.get("metricDimension", {}).get("dimensionName")
    if dimension is not None and not found.scoped:
        yield f"{one['metric']} cannot have a dimension"
    elif dimension is not None and dimension not in dimensions:
        yield f"there is no dimension {dimension}"
    criteria = one.get("criteria")
    if not criteria:
        yield "it has no criteria"
        return
    thresholds = [key for key in ("value", "statisticalThreshold", "mlDetectionConfig") if key in criteria]
    if len(thresholds) != 1:
        yield "its criteria need one of value, statisticalThreshold and mlDetectionConfig"
        return
    numeric = found.kind in {Kind.COUNT, Kind.NUMBER}
    if thresholds != ["value"] and not numeric:
        yield f"{one['metric']} can only be compared with a value"
    if thresholds != ["mlDetectionConfig"] and criteria.get("comparisonOperator") not in _OPERATORS[found.kind]:
        yield f"comparisonOperator must be one of {', '.join(_OPERATORS[found.kind])}"
    if thresholds == ["value"]:
        yield from _value_faults(criteria["value"], found.kind)
    duration = criteria.get("durationSeconds")
    if duration is not None and duration not in DURATIONS:
        yield f"durationSeconds must be one of {', '.join(map(str, DURATIONS))}"
    if duration is None and (thresholds == ["statisticalThreshold"] or (found.timed and thresholds == ["value"])):
        yield "it needs durationSeconds"


def _value_faults(value: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    if list(value) != [kind.value]:
        yield f"value must hold {kind.value} and nothing else"
        return
    given = value[kind.value]
    if kind in {Kind.CIDRS, Kind.PORTS, Kind.NUMBERS, Kind.STRINGS} and not given:
        yield f"{kind.value} is empty"
    if kind is Kind.CIDRS:
        yield from (f"{cidr} is not a range of addresses" for cidr in given if not _is_network(cidr))


def _is_network(cidr: str) -> bool:
    try:
        ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
    return True


def _inside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(address) in network


def _number(value: Mapping[str, Any]) -> float:
    number: float = value["count"] if "count" in value else value["number"]
    return number


def _compared(operator: str, found: float, wanted: float) -> bool:
    if operator.startswith("less-than"):
        return found < wanted or (operator.endswith("equals") and found == wanted)
    return found > wanted or (operator.endswith("equals") and found == wanted)
