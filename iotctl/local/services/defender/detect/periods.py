"""What the broker counted of a device in a period of five minutes becomes datapoints.

A behavior with a longer duration is looked at when that many periods are over. Source: AWS IoT developer guide,
detect-cloud-side-metrics, scoping-security-behavior.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services.defender.detect import dimensions, profiles, targets, values, violations
from iotctl.semantics.behaviors import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotctl.local.store import Store

PERIOD: Final = 300
"""Seconds."""

_COUNTED: Final = {
    "aws:num-messages-sent": "sent",
    "aws:num-messages-received": "received",
    "aws:num-authorization-failures": "refused",
    "aws:num-connection-attempts": "attempts",
    "aws:num-disconnects": "ends",
}


@dataclass(slots=True)
class Counts:
    """What one client did, on all topics or on those of a dimension.

    Attributes:
        least: the smallest message that it sent, in bytes; None: it sent none.
        largest: the largest.
        addresses: from where it connected, or was connected.

    """

    sent: int = 0
    received: int = 0
    refused: int = 0
    attempts: int = 0
    ends: int = 0
    least: int | None = None
    largest: int = 0
    addresses: set[str] = field(default_factory=set)

    def add_sent(self, size: int) -> None:
        """Count a message."""
        self.sent += 1
        self.largest = max(self.largest, size)
        self.least = size if self.least is None else min(self.least, size)


@dataclass(slots=True)
class Tally:
    """What one client did in a period: on all topics, and on those of each dimension (IN) and all others (NOT_IN)."""

    all: Counts = field(default_factory=Counts)
    scoped: dict[tuple[str, str], Counts] = field(default_factory=dict)

    def of(self, dimension: str, operator: str) -> Counts:
        """The counts of a dimension; of none where it is empty."""
        return self.scoped.setdefault((dimension, operator), Counts()) if dimension else self.all


def wanted(store: Store) -> dict[str, tuple[str, ...]] | None:
    """The filters of the dimensions that are counted by; None: nothing of what the broker counts is measured."""
    scopes = {scope for one in targets.attached(store) for scope in one.measured()}
    counted = {(name, dimension) for name, dimension, _ in scopes if name in METRICS and METRICS[name].cloud}
    if not counted:
        return None
    filters = dimensions.filters(store)
    return {dimension: filters[dimension] for _, dimension in counted if dimension in filters}


def record(store: Store, device: str, tally: Tally, ends: float) -> None:
    """Keep what a device did in the period that ends, and compare it with how it should behave."""
    applying = targets.profiles_of(store, device)
    for scope in {scope for one in applying for scope in one.measured() if METRICS.get(scope[0])}:
        if METRICS[scope[0]].cloud and (value := measured(scope[0], tally.of(*scope[1:]))) is not None:
            values.keep(store, device, scope, ends, value)
    for profile in applying:
        for behavior in profile.behaviors:
            scope, criteria = profiles.scope_of(behavior), behavior["criteria"]
            what = METRICS.get(scope[0])
            duration = criteria.get("durationSeconds", PERIOD)
            if what is None or not what.cloud or ends % duration:
                continue
            if found := values.since(store, device, scope, ends - duration):
                value = values.together(found, criteria["comparisonOperator"])
                violations.datapoint(store, profile, behavior, device, value)


def measured(name: str, counts: Counts) -> Mapping[str, Any] | None:
    """The MetricValue of a metric; None: there was nothing to measure. Pure."""
    if name == "aws:message-byte-size":
        return None if counts.least is None else {"count": counts.largest, "least": counts.least}
    if name == "aws:source-ip-address":
        return {"cidrs": sorted(counts.addresses)} if counts.addresses else None
    return {"count": getattr(counts, _COUNTED[name])}
