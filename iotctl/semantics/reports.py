"""Metrics reports of devices: read with long or short names, and what they say by metric.

Source: AWS IoT developer guide, detect-device-side-metrics ("Device metrics document specification"), and
device-defender-troubleshoot for how one that is not well-formed is answered.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.behaviors import CUSTOM, METRICS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHORT: Final = {
    "header": "hed",
    "metrics": "met",
    "custom_metrics": "cmet",
    "report_id": "rid",
    "version": "v",
    "tcp_connections": "tc",
    "established_connections": "ec",
    "connections": "cs",
    "remote_addr": "rad",
    "local_port": "lp",
    "local_interface": "li",
    "total": "t",
    "listening_tcp_ports": "tp",
    "listening_udp_ports": "up",
    "ports": "pts",
    "port": "pt",
    "interface": "if",
    "network_stats": "ns",
    "bytes_in": "bi",
    "bytes_out": "bo",
    "packets_in": "pi",
    "packets_out": "po",
}
_STATISTICS: Final = {
    "bytes_in": "aws:all-bytes-in",
    "bytes_out": "aws:all-bytes-out",
    "packets_in": "aws:all-packets-in",
    "packets_out": "aws:all-packets-out",
}
_CUSTOM: Final = {
    "number": "number",
    "number_list": "number-list",
    "string_list": "string-list",
    "ip_list": "ip-address-list",
}
_MOST_PORT: Final = 65_535
_LARGEST: Final = 2**63 - 1  # a MetricValue's count is a long


class ReportError(Exception):
    """A report that is not well-formed; its text says where."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        report_id: the device's number for it.
        values: MetricValues by metric; those of custom metrics too.
        custom: the type of each custom metric that it has.

    """

    report_id: int
    values: Mapping[str, Mapping[str, Any]]
    custom: Mapping[str, str]


def report_id(content: object) -> int | None:
    """The id of a report, if it has one: it is in the answer even where the rest is refused."""
    header = content.get("header", content.get("hed")) if isinstance(content, dict) else None
    found = header.get("report_id", header.get("rid")) if isinstance(header, dict) else None
    return found if type(found) is int and abs(found) <= _LARGEST else None


def read(content: object) -> Report:
    """What a report says.

    Args:
        content: JSON or CBOR as Python values.

    Raises:
        ReportError: it is not well-formed.

    """
    whole = _object(content, "the report")
    header = _object(_member(whole, "header"), "header")
    number, version = _member(header, "report_id"), _member(header, "version")
    if type(number) is not int or not 0 <= number <= _LARGEST:
        raise ReportError("report_id must be a positive integer")
    if not isinstance(version, str) or not _is_version(version):
        raise ReportError("version must be Major.Minor")
    metrics, custom = _member(whole, "metrics"), _member(whole, "custom_metrics")
    if metrics is None and custom is None:
        raise ReportError("there is neither metrics nor custom_metrics")
    values = dict(_metrics(_object(metrics, "metrics"))) if metrics is not None else {}
    types: dict[str, str] = {}
    if custom is not None:
        for name, measured in _object(custom, "custom_metrics").items():
            types[name], values[name] = _measured(name, measured)
    return Report(number, values, types)


def _metrics(block: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    statistics = _object(_member(block, "network_stats", {}), "network_stats")
    for member, name in _STATISTICS.items():
        if (count := _member(statistics, member)) is not None:
            yield name, {"count": _count(count, member)}
    for kind in ("tcp", "udp"):
        listening = _member(block, f"listening_{kind}_ports")
        if listening is not None:
            yield from _listening(kind, _object(listening, f"listening_{kind}_ports"))
    connections = _object(_member(block, "tcp_connections", {}), "tcp_connections")
    established = _member(connections, "established_connections")
    if established is not None:
        yield from _established(_object(established, "established_connections"))


def _listening(kind: str, block: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    ports = _member(block, "ports")
    if ports is not None:
        numbers = [_member(_object(one, "ports"), "port") for one in _list(ports, "ports")]
        if not all(type(one) is int and 0 < one <= _MOST_PORT for one in numbers):
            raise ReportError(f"a port is a number from 1 to {_MOST_PORT}")
        yield f"aws:listening-{kind}-ports", {"ports": numbers}
    total = _member(block, "total", None if ports is None else len(ports))
    if total is not None:
        yield f"aws:num-listening-{kind}-ports", {"count": _count(total, "total")}


def _established(block: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    connections = _member(block, "connections")
    if connections is not None:
        each = [_member(_object(one, "connections"), "remote_addr") for one in _list(connections, "connections")]
        yield "aws:destination-ip-addresses", {"cidrs": list(dict.fromkeys(_address(one) for one in each))}
    total = _member(block, "total", None if connections is None else len(connections))
    if total is not None:
        yield "aws:num-established-tcp-connections", {"count": _count(total, "total")}


def _measured(name: str, value: object) -> tuple[str, Mapping[str, Any]]:
    """The type and the value of a custom metric: a list with one object that has one member, named like the type."""
    only = _list(value, name)
    block = _object(only[0], name) if len(only) == 1 else {}
    if len(block) != 1 or next(iter(block)) not in _CUSTOM:
        raise ReportError(f"{name} must be a list with one of {', '.join(_CUSTOM)}")
    if name in METRICS:
        raise ReportError(f"{name} is not the name of a custom metric")
    ((tag, found),) = block.items()
    kind = CUSTOM[_CUSTOM[tag]]
    if kind is Kind.NUMBER:
        return _CUSTOM[tag], {"number": _number(found, name)}
    items = _list(found, name)
    if kind is Kind.NUMBERS:
        return _CUSTOM[tag], {"numbers": [_number(one, name) for one in items]}
    if not all(isinstance(one, str) for one in items):
        raise ReportError(f"{name} must be a list of strings")
    return _CUSTOM[tag], {kind.value: [_plain(one) for one in items] if kind is Kind.CIDRS else items}


def _member(block: Mapping[str, Any], name: str, default: Any = None) -> Any:  # noqa: ANN401  JSON is any value
    return block.get(name, block.get(_SHORT[name], default))


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ReportError(f"{where} must be an object")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ReportError(f"{where} must be a list")
    return value


def _count(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ReportError(f"{where} must be a number that is not negative")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReportError(f"{where} must be a number")
    if not (abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)):
        raise ReportError(f"{where} must be a number of at most 64 bits")
    return value


def _address(value: object) -> str:
    """The address of `ip:port`, IPv6 with or without brackets."""
    address, colon, port = str(value).rpartition(":")
    if not colon or not port.isdecimal():
        raise ReportError(f"remote_addr must be ip:port, not {value}")
    return _plain(address.removeprefix("[").removesuffix("]"))


def _plain(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise ReportError(f"{address} is not an IP address") from error


def _is_version(version: str) -> bool:
    major, dot, minor = version.partition(".")
    return bool(dot) and major.isdecimal() and minor.isdecimal()
