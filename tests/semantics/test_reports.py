"""Metrics reports: the two documents of the specification, and what is not well-formed."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import cbor
from iotctl.semantics.reports import ReportError, read, report_id
from tests import vectors

CUSTOM: dict[str, Any] = {
    "MyMetricOfType_Number": [{"number": 1}],
    "MyMetricOfType_NumberList": [{"number_list": [1, 2, 3]}],
    "MyMetricOfType_StringList": [{"string_list": ["value_1", "value_2"]}],
    "MyMetricOfType_IpList": [{"ip_list": ["172.0.0.0", "172.0.0.10"]}],
}
LONG: dict[str, Any] = {
    "header": {"report_id": 1530304554, "version": "1.0"},
    "metrics": {
        "listening_tcp_ports": {
            "ports": [{"interface": "eth0", "port": port} for port in (24800, 22, 53)],
            "total": 3,
        },
        "listening_udp_ports": {"ports": [{"interface": "eth0", "port": port} for port in (5353, 67)], "total": 2},
        "network_stats": {
            "bytes_in": 29358693495,
            "bytes_out": 26485035,
            "packets_in": 10013573555,
            "packets_out": 11382615,
        },
        "tcp_connections": {
            "established_connections": {
                "connections": [
                    {"local_interface": "eth0", "local_port": 80, "remote_addr": "192.168.0.1:8000"},
                    {"local_interface": "eth0", "local_port": 80, "remote_addr": "192.168.0.1:8000"},
                ],
                "total": 2,
            }
        },
    },
    "custom_metrics": CUSTOM,
}
SHORT: dict[str, Any] = {
    "hed": {"rid": 1530304554, "v": "1.0"},
    "met": {
        "tp": {"pts": [{"if": "eth0", "pt": port} for port in (24800, 22, 53)], "t": 3},
        "up": {"pts": [{"if": "eth0", "pt": port} for port in (5353, 67)], "t": 2},
        "ns": {"bi": 29358693495, "bo": 26485035, "pi": 10013573555, "po": 11382615},
        "tc": {"ec": {"cs": [{"li": "eth0", "lp": 80, "rad": "192.168.0.1:8000"}] * 2, "t": 2}},
    },
    "cmet": CUSTOM,
}
VALUES = {
    "aws:all-bytes-in": {"count": 29358693495},
    "aws:all-bytes-out": {"count": 26485035},
    "aws:all-packets-in": {"count": 10013573555},
    "aws:all-packets-out": {"count": 11382615},
    "aws:listening-tcp-ports": {"ports": [24800, 22, 53]},
    "aws:num-listening-tcp-ports": {"count": 3},
    "aws:listening-udp-ports": {"ports": [5353, 67]},
    "aws:num-listening-udp-ports": {"count": 2},
    "aws:destination-ip-addresses": {"cidrs": ["192.168.0.1"]},
    "aws:num-established-tcp-connections": {"count": 2},
    "MyMetricOfType_Number": {"number": 1},
    "MyMetricOfType_NumberList": {"numbers": [1, 2, 3]},
    "MyMetricOfType_StringList": {"strings": ["value_1", "value_2"]},
    "MyMetricOfType_IpList": {"cidrs": ["172.0.0.0", "172.0.0.10"]},
}


@vectors.rows("document", [LONG, SHORT])
def test_the_documents_of_the_specification(document: dict[str, Any]) -> None:
    """Long and short names say the same, in JSON and in CBOR."""
    for content in (document, cbor.decode(cbor.encode(document))):
        found = read(content)
        assert (1530304554, VALUES) == (found.report_id, found.values)
        assert {"number", "number-list", "string-list", "ip-address-list"} == set(found.custom.values())


def test_one_block_is_enough() -> None:
    """Metrics or custom metrics; a total without a list, a list without a total, IPv6."""
    assert {"n": {"number": 0.5}} == read({"hed": LONG["header"], "cmet": {"n": [{"number": 0.5}]}}).values
    assert {} == read({"header": LONG["header"], "metrics": {}}).values
    block = {"tp": {"t": 4}, "tc": {"ec": {"cs": [{"rad": "[2001:db8::1]:443"}, {"rad": "2001:db8::2:443"}]}}}
    assert {
        "aws:num-listening-tcp-ports": {"count": 4},
        "aws:destination-ip-addresses": {"cidrs": ["2001:db8::1", "2001:db8::2"]},
        "aws:num-established-tcp-connections": {"count": 2},
    } == read({"hed": {"rid": 1, "v": "1.0"}, "met": block}).values


def broken(path: str, value: Any) -> dict[str, Any]:
    """The long document with one member changed; None removes it."""
    found = copy.deepcopy(LONG)
    place: Any = found
    *above, last = path.split(".")
    for step in above:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return found


@vectors.rows(
    "content",
    [
        None,
        [],
        "report",
        {},
        {"header": LONG["header"]},
        broken("header", None),
        broken("header.report_id", "1"),
        broken("header.report_id", True),
        broken("header.report_id", -1),
        broken("header.report_id", 2**63),
        broken("header.version", 1.0),
        broken("header.version", "one"),
        broken("metrics", []),
        broken("metrics.network_stats.bytes_in", -1),
        broken("metrics.network_stats.bytes_in", "many"),
        broken("metrics.network_stats.bytes_in", 2**63),
        broken("metrics.listening_tcp_ports.ports", {"port": 1}),
        broken("metrics.listening_tcp_ports.ports", [{"port": 0}]),
        broken("metrics.listening_tcp_ports.ports", [{"port": 65536}]),
        broken("metrics.tcp_connections.established_connections.connections", [{"remote_addr": "192.168.0.1"}]),
        broken("metrics.tcp_connections.established_connections.connections", [{"remote_addr": "host:80"}]),
        # device-defender-troubleshoot: a number that is not in a list
        broken("custom_metrics", {"my_custom_metric": {"number": 0}}),
        broken("custom_metrics", {"m": []}),
        broken("custom_metrics", {"m": [{"number": 1}, {"number": 2}]}),
        broken("custom_metrics", {"m": [{"number": 1, "string_list": []}]}),
        broken("custom_metrics", {"m": [{"number": "1"}]}),
        broken("custom_metrics", {"m": [{"number": float("nan")}]}),
        broken("custom_metrics", {"m": [{"number": 10**400}]}),
        broken("custom_metrics", {"m": [{"number_list": [-(2**64)]}]}),
        broken("custom_metrics", {"m": [{"string_list": [1]}]}),
        broken("custom_metrics", {"m": [{"ip_list": ["nowhere"]}]}),
        broken("custom_metrics", {"m": [{"words": []}]}),
        broken("custom_metrics", {"aws:all-bytes-in": [{"number": 1}]}),
    ],
)
def test_what_is_not_well_formed(content: object) -> None:
    """It is refused, and says where."""
    with pytest.raises(ReportError, match=r"\w"):
        read(content)


@vectors.rows(
    ("content", "number"),
    [
        (LONG, 1530304554),
        (SHORT, 1530304554),
        ({"header": {"report_id": "1"}}, None),
        ({"hed": []}, None),
        ({"hed": {"rid": 2**64}}, None),
        (None, None),
    ],
)
def test_the_id_of_a_refused_report(content: object, number: int | None) -> None:
    """It is read where it can be."""
    assert number == report_id(content)


NAMES = ("hed", "met", "cmet", "rid", "v", "tp", "pts", "pt", "ns", "bi", "tc", "ec", "cs", "rad")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_device_sends(content: object) -> None:
    """It is read or refused, and nothing else happens."""
    with contextlib.suppress(ReportError):
        read(content)
    report_id(content)
