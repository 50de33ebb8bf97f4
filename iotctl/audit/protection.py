"""Security profiles of Device Defender as a TOML file declares them.

version = 1
[profile.presses]
targets = ["group:presses"]            # or all, registered, unregistered
keep = ["aws:num-messages-sent"]
[profile.presses.behavior.ports]
metric = "aws:listening-tcp-ports"
in-port-set = [443, 8883]              # AWS's own operator; a percentile is written "p90"
[profile.presses.behavior.chatter]
metric = "aws:num-messages-sent"
less-than-equals = 50
over = "5m"                            # also alarm-after, clear-after, quiet, ml, dimension, outside
[metric.batteryPercentage]
type = "number"                        # also display
[dimension.auth]
topics = ["device/+/auth"]
[alert]                                # where alarms are told
topic = "arn:aws:sns:…"
role = "arn:aws:iam::…"
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import text
from iotctl.audit import tables
from iotctl.audit.tables import Tables
from iotctl.errors import BadInput, Usage
from iotctl.semantics import behaviors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VERSION: Final = 1

_TOP: Final = ("version", "profile", "metric", "dimension", "alert")
_PROFILE: Final = ("description", "targets", "keep", "behavior")
_OPERATORS: Final = (
    *("less-than", "less-than-equals", "greater-than", "greater-than-equals"),
    *("in-cidr-set", "not-in-cidr-set", "in-port-set", "not-in-port-set", "in-set", "not-in-set"),
)
_BEHAVIOR: Final = (
    *("metric", "over", "alarm-after", "clear-after", "quiet", "ml", "dimension", "outside"),
    *_OPERATORS,
)
_TARGETS: Final = {
    "all": "all/things",
    "registered": "all/registered-things",
    "unregistered": "all/unregistered-things",
}
_PERCENTILE: Final = re.compile(r"p(0|0\.1|0\.01|1|10|50|90|99|99\.9|99\.99|100)")
_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A security profile as it is declared.

    Attributes:
        targets: the resources of the ARNs that it is about: thinggroup/NAME, all/things.
        behaviors: as AWS takes them.
        retain: MetricToRetain.

    """

    name: str
    description: str
    targets: tuple[str, ...]
    behaviors: tuple[Mapping[str, Any], ...]
    retain: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file declares.

    Attributes:
        metrics: the type and the display name of custom metrics, by name.
        dimensions: topic filters, by name.
        alert: AlertTargets; empty: alarms are told nobody.

    """

    profiles: tuple[Profile, ...]
    metrics: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alert: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read(path: Path) -> Declared:
    """What a file declares.

    Raises:
        BadInput: with every fault of it at once.
        Usage: it cannot be read, or is not TOML.

    """
    document = tables.document(path)
    reading = _Reading(str(path), "BadProfile")
    declared = reading.declared(document)
    if reading.faults:
        raise BadInput(f"{path} declares no usable security profiles", tuple(reading.faults), on=str(path))
    return declared


class _Reading(Tables):
    """Goes through a document and gathers what is wrong with it."""

    def declared(self, document: Mapping[str, Any]) -> Declared:
        self.known(document, _TOP, "")
        if document.get("version") != VERSION:
            self.fault("version", f"it is not {VERSION}: the first line is version = {VERSION}")
        metrics = dict(self._metrics(document))
        dimensions = {
            name: tuple(self.texts(f"{where}.topics", one.get("topics")))
            for name, where, one in self._each(document, "dimension", ("topics",))
        }
        types = {name: kind for name, (kind, _) in metrics.items()}
        profiles = tuple(
            self._profile(name, where, one, types, dimensions)
            for name, where, one in self._each(document, "profile", _PROFILE)
        )
        if not profiles:
            self.fault("profile", "there is none: [profile.NAME]")
        return Declared(profiles, metrics, dimensions, self._alert(document))

    def _metrics(self, document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
        for name, where, one in self._each(document, "metric", ("type", "display")):
            if one.get("type") not in behaviors.CUSTOM:
                self.fault(f"{where}.type", f"it is one of {', '.join(behaviors.CUSTOM)}")
            yield name, (str(one.get("type")), str(one.get("display", "")))

    def _profile(
        self,
        name: str,
        where: str,
        one: Mapping[str, Any],
        types: Mapping[str, str],
        dimensions: Mapping[str, tuple[str, ...]],
    ) -> Profile:
        made = [self._behavior(*each) for each in self._each(one, "behavior", _BEHAVIOR, f"{where}.")]
        for fault in behaviors.faults([each for each in made if each], types, dimensions):
            self.fault(where, fault.replace("durationSeconds", "over"))  # what the file calls it
        keep = self.texts(f"{where}.keep", one.get("keep", []))
        for metric in keep:
            if behaviors.metric(metric, types) is None:
                self.fault(f"{where}.keep", f"there is no metric {metric}")
        return Profile(
            name,
            str(one.get("description", "")),
            tuple(self._targets(f"{where}.targets", one.get("targets"))),
            tuple(each for each in made if each),
            tuple({"metric": metric} for metric in keep),
        )

    def _behavior(self, name: str, where: str, one: Mapping[str, Any]) -> dict[str, Any]:
        used = [key for key in _OPERATORS if key in one]
        if len(used) + ("ml" in one) != 1:
            self.fault(where, 'it has just one comparison, for example less-than-equals = 50, or ml = "HIGH"')
            return {}
        criteria: dict[str, Any] = {"mlDetectionConfig": {"confidenceLevel": str(one["ml"])}} if "ml" in one else {}
        if used:
            criteria = {"comparisonOperator": used[0], **_threshold(used[0], one[used[0]], str(one.get("metric")))}
        if "over" in one:
            criteria["durationSeconds"] = int(self._seconds(f"{where}.over", one["over"]))
        for key, member in (("alarm-after", "ToAlarm"), ("clear-after", "ToClear")):
            if key in one:
                criteria[f"consecutiveDatapoints{member}"] = self.whole(
                    f"{where}.{key}", one[key], 1, 10, "a number of datapoints from 1 to 10"
                )
        found: dict[str, Any] = {"name": name, "metric": one.get("metric", ""), "criteria": criteria}
        if "dimension" in one:
            operator = "NOT_IN" if one.get("outside") is True else "IN"
            found["metricDimension"] = {"dimensionName": str(one["dimension"]), "operator": operator}
        if "quiet" in one:
            found["suppressAlerts"] = one["quiet"] is True
        return found

    def _targets(self, where: str, value: Any) -> Iterator[str]:  # noqa: ANN401  TOML is any value
        for target in self.texts(where, value):
            kind, colon, name = target.partition(":")
            if target in _TARGETS:
                yield _TARGETS[target]
            elif colon and kind == "group" and _NAME.fullmatch(name):
                yield f"thinggroup/{name}"
            else:
                self.fault(where, f"{target!r} is not group:NAME, {', '.join(_TARGETS)}")

    def _alert(self, document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        if "alert" not in document:
            return {}
        alert = document["alert"]
        if not isinstance(alert, dict) or set(alert) != {"topic", "role"}:
            self.fault("alert", "it has topic and role, two ARNs")
            return {}
        return {"SNS": {"alertTargetArn": str(alert["topic"]), "roleArn": str(alert["role"])}}

    def _each(
        self, document: Mapping[str, Any], name: str, known: tuple[str, ...], above: str = ""
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The name, the place and the table of each [name.NAME]."""
        tables = document.get(name, {})
        if not isinstance(tables, dict):
            self.fault(above + name, f"it is not a table: [{above}{name}.NAME]")
            return
        for key, table in tables.items():
            where = f"{above}{name}.{key}"
            if not _NAME.fullmatch(key):
                self.fault(where, "a name has letters, digits, : _ and -, at most 128")
            elif not isinstance(table, dict):
                self.fault(where, f"it is not a table: [{where}]")
            else:
                self.known(table, known, where)
                yield key, where, table

    def _seconds(self, where: str, value: Any) -> float:  # noqa: ANN401  TOML is any value
        try:
            return text.seconds(str(value))
        except Usage as error:
            self.fault(where, error.message)
            return behaviors.DURATIONS[0]


def _threshold(operator: str, value: Any, metric: str) -> dict[str, Any]:  # noqa: ANN401  TOML is any value
    """The threshold of a comparison, as AWS has it; what does not fit the metric is found by `behaviors.faults`."""
    if isinstance(value, str) and _PERCENTILE.fullmatch(value):
        return {"statisticalThreshold": {"statistic": value}}
    if "cidr" in operator:
        return {"value": {"cidrs": value}}
    if "port" in operator:
        return {"value": {"ports": value}}
    if operator.endswith("in-set"):
        numbers = isinstance(value, list) and all(isinstance(each, int | float) for each in value)
        return {"value": {"numbers" if numbers else "strings": value}}
    known = behaviors.METRICS.get(metric)
    return {"value": {"count" if known else "number": value}}
