"""The trust directory: files as OpenSSL wants them, and the TLS that a server offers."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from iotctl.local.gateway.trust import TrustDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.mqtt.conftest import Authority, Gateway


def numbers(directory: Path) -> list[str]:
    """What follows the subject hash in the names of the files."""
    return sorted(path.name.partition(".")[2] for path in directory.iterdir())


def test_files(tmp_path: Path, authority: Authority) -> None:
    """Certificates of one subject are numbered without gaps; adding one twice is adding it once."""
    trust = TrustDirectory(tmp_path / "trust")
    same = [authority.issue("same").der for _ in range(3)]
    for certificate in (*same, *same):
        trust.add(certificate)
    assert ["0", "1", "2"] == numbers(tmp_path / "trust")
    trust.remove(same[0])
    trust.remove(same[0])
    assert ["0", "1"] == numbers(tmp_path / "trust")
    trust.remove(same[1])
    trust.remove(same[2])
    assert [] == numbers(tmp_path / "trust")


@pytest.mark.parametrize(("offered", "chosen"), [(["x-amzn-mqtt-ca"], "x-amzn-mqtt-ca"), (["other"], None), ([], None)])
def test_alpn(gateway: Gateway, offered: list[str], chosen: str | None) -> None:
    """A client that offers AWS's protocol name has it chosen; others are served all the same."""
    context = ssl.create_default_context(cafile=gateway.authority.certificate.certificate)
    context.load_cert_chain(gateway.identity.certificate, gateway.identity.key)
    if offered:
        context.set_alpn_protocols(offered)
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 5) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        assert chosen == tls.selected_alpn_protocol()


@pytest.mark.parametrize("server_name", ["127.0.0.1", "a.b.iot.us-east-1.amazonaws.com", "localhost"])
def test_any_server_name(gateway: Gateway, server_name: str) -> None:
    """No server name is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(gateway.authority.certificate.certificate)
    context.load_cert_chain(gateway.identity.certificate, gateway.identity.key)
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 5) as sock,
        context.wrap_socket(sock, server_hostname=server_name) as tls,
    ):
        assert "TLSv1.3" == tls.version()
