"""Behaviors of security profiles: the examples of Device Defender's pages, what is refused, who conforms."""

from __future__ import annotations

from typing import Any

from iotctl.semantics.behaviors import DURATIONS, METRICS, Kind, conforms, criteria_type, faults, metric
from tests import vectors

CUSTOM = {"batteryPercentage": "number", "cells": "number-list", "networks": "string-list", "peers": "ip-address-list"}
TIMES = {"consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1}


def behavior(name: str, operator: str | None = "less-than-equals", /, **criteria: Any) -> dict[str, Any]:
    """A behavior of a metric."""
    compared = {"comparisonOperator": operator} if operator else {}
    return {"name": "b", "metric": name, "criteria": {**compared, **criteria, **TIMES}, "suppressAlerts": True}


def count(number: int) -> dict[str, Any]:
    """A threshold."""
    return {"value": {"count": number}}


# detect-cloud-side-metrics, detect-device-side-metrics, dd-detect-custom-metrics, scoping-security-behavior: the static
# examples of each metric, as they stand there.
EXAMPLES = [
    behavior("aws:message-byte-size", **count(1024)),
    behavior("aws:num-messages-sent", **count(50), durationSeconds=300),
    behavior("aws:num-messages-received", **count(50), durationSeconds=300),
    behavior("aws:num-authorization-failures", "less-than", **count(5), durationSeconds=300),
    behavior("aws:source-ip-address", "not-in-cidr-set", value={"cidrs": ["12.8.0.0/16", "15.102.16.0/24"]}),
    behavior("aws:num-connection-attempts", **count(5), durationSeconds=600),
    behavior("aws:num-disconnects", **count(5), durationSeconds=600),
    behavior("aws:all-bytes-out", **count(4096), durationSeconds=300),
    behavior("aws:all-bytes-in", **count(4096), durationSeconds=300),
    behavior("aws:num-listening-tcp-ports", **count(5), durationSeconds=300),
    behavior("aws:num-listening-udp-ports", **count(5), durationSeconds=300),
    behavior("aws:all-packets-out", **count(100), durationSeconds=300),
    behavior("aws:all-packets-in", **count(100), durationSeconds=300),
    behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": [443, 80]}),
    behavior("aws:listening-udp-ports", "in-port-set", value={"ports": [1025, 2000]}),
    behavior("aws:num-established-tcp-connections", **count(3)),
    behavior("batteryPercentage", "greater-than", value={"number": 75}),
    {**behavior("aws:message-byte-size", "less-than", **count(128)), "metricDimension": {"dimensionName": "Auth"}},
    behavior("aws:message-byte-size", statisticalThreshold={"statistic": "p90"}, durationSeconds=300),
    behavior("aws:num-disconnects", statisticalThreshold={"statistic": "p10"}, durationSeconds=300),
    behavior("aws:all-bytes-out", None, mlDetectionConfig={"confidenceLevel": "HIGH"}),
]


@vectors.rows("example", EXAMPLES)
def test_the_examples_of_the_pages_are_valid(example: dict[str, Any]) -> None:
    """Nothing is wrong with any of them."""
    assert [] == list(faults([example], CUSTOM, {"Auth"}))


@vectors.rows(
    ("bad", "says"),
    [
        ({"name": "b"}, "no metric"),
        (behavior("aws:num-messages-published", **count(1)), "there is no metric"),
        ({"name": "b", "metric": "aws:num-disconnects"}, "no criteria"),
        (behavior("aws:num-disconnects", **count(1)), "needs durationSeconds"),
        (behavior("aws:num-disconnects", **count(1), durationSeconds=301), "one of 300, 600"),
        (behavior("aws:num-disconnects", "in-port-set", **count(1), durationSeconds=300), "comparisonOperator"),
        (behavior("aws:num-disconnects", None, **count(1), durationSeconds=300), "comparisonOperator"),
        (behavior("aws:num-disconnects", durationSeconds=300), "one of value"),
        (behavior("aws:num-disconnects", value={"number": 1}, durationSeconds=300), "must hold count"),
        (behavior("aws:listening-tcp-ports", "in-port-set", value={"ports": []}), "empty"),
        (behavior("aws:source-ip-address", "in-cidr-set", value={"cidrs": ["12.8.0/16"]}), "range of addresses"),
        (
            behavior("aws:source-ip-address", "in-cidr-set", statisticalThreshold={"statistic": "p1"}),
            "only be compared",
        ),
        ({**behavior("aws:num-disconnects", **count(1)), "metricDimension": {"dimensionName": "Auth"}}, "a dimension"),
        (
            {**behavior("aws:message-byte-size", **count(1)), "metricDimension": {"dimensionName": "x"}},
            "no dimension x",
        ),
    ],
)
def test_what_is_wrong_is_said(bad: dict[str, Any], says: str) -> None:
    """In a sentence that names the behavior."""
    found = list(faults([bad], CUSTOM, {"Auth"}))
    assert any(says in one and one.startswith("Behavior b: ") for one in found), found


def test_a_name_is_there_once() -> None:
    """Two behaviors of one name cannot be told apart."""
    twice = [EXAMPLES[0], EXAMPLES[1]]
    assert ["Behavior b: the name is there twice"] == list(faults(twice, CUSTOM, ()))


@vectors.rows(
    ("operator", "wanted", "found", "good"),
    [
        ("less-than", {"count": 5}, {"count": 4}, True),
        ("less-than", {"count": 5}, {"count": 5}, False),
        ("less-than-equals", {"count": 5}, {"count": 5}, True),
        ("greater-than", {"number": 75}, {"number": 75.5}, True),
        ("greater-than-equals", {"number": 75}, {"number": 74.9}, False),
        ("in-cidr-set", {"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.1.2.3"]}, True),
        ("in-cidr-set", {"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.1.2.3", "192.168.0.1"]}, False),
        ("in-cidr-set", {"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["2001:db8::1"]}, False),
        ("in-cidr-set", {"cidrs": ["2001:db8::/32"]}, {"cidrs": ["2001:db8::1"]}, True),
        ("not-in-cidr-set", {"cidrs": ["12.8.0.0/16"]}, {"cidrs": ["12.8.4.4"]}, False),
        ("not-in-cidr-set", {"cidrs": ["12.8.0.0/16"]}, {"cidrs": ["12.9.4.4"]}, True),
        ("in-port-set", {"ports": [8888]}, {"ports": [8888, 443]}, False),  # device-defender-troubleshoot
        ("not-in-port-set", {"ports": [23, 2323]}, {"ports": [22]}, True),
        ("in-set", {"strings": ["home"]}, {"strings": ["home"]}, True),
        ("in-set", {"numbers": [1, 2]}, {"numbers": [3]}, False),
        ("not-in-set", {"strings": ["guest"]}, {"strings": ["home", "guest"]}, False),
        # An empty list of ports or addresses always conforms.
        ("in-port-set", {"ports": [80]}, {"ports": []}, True),
        ("in-cidr-set", {"cidrs": ["10.0.0.0/8"]}, {"cidrs": []}, True),
        ("not-in-port-set", {"ports": [80]}, {"ports": []}, True),
    ],
)
def test_who_conforms(operator: str, wanted: dict[str, Any], found: dict[str, Any], good: bool) -> None:
    """Every value of a list has to be in the set, or none of them."""
    assert good == conforms(operator, wanted, found)


def test_the_metrics() -> None:
    """Those of the pages, six of them the broker's own counts beside the source address; five can have a dimension."""
    assert (17, 7, 5) == (
        len(METRICS),
        sum(one.cloud for one in METRICS.values()),
        sum(one.scoped for one in METRICS.values()),
    )
    assert (300, 600, 900, 1800, 3600) == DURATIONS
    found = metric("peers", CUSTOM)
    assert found is not None
    assert (Kind.CIDRS, None) == (found.kind, metric("none", CUSTOM))
    kinds = [criteria_type(one["criteria"]) for one in EXAMPLES[-3:]]
    assert ["STATISTICAL", "STATISTICAL", "MACHINE_LEARNING"] == kinds
    assert "STATIC" == criteria_type(EXAMPLES[0]["criteria"])
