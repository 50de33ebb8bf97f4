"""Whether the endpoint can be reached from this machine: its name, its port, its certificate, and the clocks.

The device's own network and clock are its own: run on the device, this is about them too.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from iotctl.onboard.doctor.check import Check, ok, problem, skipped, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS: Final = 5.0
_SKEW: Final = 300.0
"""Seconds from which on AWS refuses a signature. Mutual TLS bears more: it asks the clock for the days of a
certificate only."""

_EXPIRED, _NOT_YET, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_* codes."""

_ASKS_FOR_A_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")
"""The alerts with which a server ends a handshake that brings no certificate: by then its own has been believed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device connects, and whom it believes.

    Attributes:
        root_ca: the CA of the endpoint (PEM).
        ca_name: the file that it is in, for a person.
        new_ca: the command that puts the right one there.

    """

    endpoint: str
    port: int
    root_ca: str
    ca_name: str
    new_ca: str


def endpoint(place: Place, account: Place | None, why: str) -> Check:
    """Whether the bundle's endpoint is the account's.

    Args:
        place: of the bundle, or the account's own where there is none.
        account: as the account tells it; None: it could not be asked.
        why: it could not.

    """
    if account is None:
        return unknown("endpoint", f"the bundle names {place.endpoint}; the account's own: {why}")
    if place.endpoint.lower() != account.endpoint.lower():
        old = ", whose certificate the bundle's CA did not sign" if _is_old(place.endpoint, account.endpoint) else ""
        return problem(
            "endpoint",
            f"the bundle names {place.endpoint}{old}, and the account's is {account.endpoint}",
            f"set endpoint to {account.endpoint} in the device's config.json (a custom domain is right, too, where"
            " aws iot list-domain-configurations tells it)",
        )
    if place.port != account.port:
        return problem(
            "endpoint",
            f"the bundle names port {place.port}, and the account's is {account.port}",
            f"set mqttPort to {account.port} in the device's config.json, or: iotctl local up --mqtt-port {place.port}",
        )
    return ok("endpoint", f"{place.endpoint}:{place.port}, the account's own")


def _is_old(bundle: str, account: str) -> bool:
    """Whether it is the account's endpoint of before 2018 (iot:Data), which Amazon's CAs did not sign."""
    return bundle.lower() == account.lower().replace("-ats.", ".", 1)


def network(place: Place) -> Iterator[Check]:
    """Name, port and certificate of the endpoint, each from where the one before it left off."""
    named = name(place.endpoint)
    yield named
    if named.state != "ok":
        yield skipped("port", "needs the endpoint's address")
        yield skipped("server", "needs the endpoint's address")
        return
    reached = port(place)
    yield reached
    yield server(place) if reached.state == "ok" else skipped("server", "needs the port")


def name(endpoint: str) -> Check:
    """Whether the endpoint's name has an address."""
    try:
        ipaddress.ip_address(endpoint)
    except ValueError:
        pass
    else:
        return ok("name", f"{endpoint} is an address")
    try:
        found = {str(answer[4][0]) for answer in socket.getaddrinfo(endpoint, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        return problem(
            "name", f"{endpoint} has no address here: {error}", f"check this network's name server: nslookup {endpoint}"
        )
    return ok("name", f"{endpoint} is {', '.join(sorted(found)[:3])}")


def port(place: Place) -> Check:
    """Whether a TCP connection comes about."""
    where = f"{place.endpoint}:{place.port}"
    try:
        socket.create_connection((place.endpoint, place.port), timeout=_SECONDS).close()
    except OSError as error:
        local = place.endpoint in {"127.0.0.1", "::1", "localhost"}
        blocked = (
            f"let the firewall pass TCP {place.port} to {place.endpoint}; where only 443 is open: ALPN x-amzn-mqtt-ca"
        )
        return problem("port", f"{where}: {error}", "iotctl local up --detach" if local else blocked)
    return ok("port", f"{where} answers")


def server(place: Place) -> Check:
    """Whether the endpoint shows a certificate that the device's CA file signs, for its name, and not run out."""
    where = f"{place.endpoint}:{place.port}"
    try:
        context = ssl.create_default_context(cadata=place.root_ca)
    except (ssl.SSLError, ValueError):
        return problem("server", f"{place.ca_name} holds no CA certificate", place.new_ca)
    try:
        with (
            socket.create_connection((place.endpoint, place.port), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=place.endpoint),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        return _untrusted(place, error.verify_code, error.verify_message)
    except ssl.SSLError as error:
        if not any(alert in str(error.reason) for alert in _ASKS_FOR_A_CERTIFICATE):
            return unknown("server", f"{where}: the TLS handshake failed: {error.reason or error}")
    except OSError as error:
        return unknown("server", f"{where}: {error}")
    return ok("server", f"{place.ca_name} signs the certificate of {where}")


def _untrusted(place: Place, code: int, words: str) -> Check:
    refused = f"the certificate of {place.endpoint} is not believed: {words}"
    if code in {_EXPIRED, _NOT_YET}:
        return problem("server", refused, "set the clock of this machine; the device's own must be right to the day")
    if code in {_OTHER_HOST, _OTHER_ADDRESS}:
        return problem("server", refused, "connect to the endpoint by its own name: see the check endpoint")
    return problem("server", f"{refused} ({place.ca_name})", place.new_ca)


def clocks(seconds: float | None) -> Check:
    """Whether this machine's clock is right.

    Args:
        seconds: that it is ahead of the server's Date; None: the answer had none.

    """
    if seconds is None:
        return unknown("clock", "the server's answer has no date")
    if abs(seconds) >= _SKEW:
        return problem(
            "clock", f"this machine's clock is {seconds:+.0f} s off the server's", "set it: timedatectl set-ntp true"
        )
    return ok("clock", f"this machine's clock is within {abs(seconds) + 1:.0f} s of the server's")
