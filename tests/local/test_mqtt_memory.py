"""What hostile and slow clients cost the platform: the memory of its process stays bounded."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.packets import Connect, Subscribe, SubscriptionRequest
from iotctl.mqtt import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.local.clients import Device

V311 = 4
BOUND = 48 * 1024  # KiB; what is sent is several times as much

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc"
)


def resident(pid: int) -> int:
    """The resident memory of a process, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def connected(platform: Platform, device: Device) -> ssl.SSLSocket:
    """A bare connection of a device, its CONNECT answered."""
    plain = socket.create_connection(("127.0.0.1", platform.mqtt_port), timeout=10)
    client = device.tls(platform).wrap_socket(plain, server_hostname="127.0.0.1")
    client.sendall(encode(Connect(V311, device.name, keep_alive=600), V311))
    assert b"\x20\x02\x00\x00" == client.recv(4)
    return client


def test_a_reader_that_does_not_read(running: Platform, device: Callable[..., Device]) -> None:
    """160 MB for a subscriber that reads nothing: it loses them, and the platform does not keep them."""
    deaf = device()
    before = resident(running.pid)
    operator = Connection.operator(
        "127.0.0.1",
        running.https_port,
        region=running.region,
        credentials=lambda: (running.access_key_id, running.secret_access_key, None),
        ca_file=running.ca_file,
        paced=False,
    )
    with contextlib.closing(connected(running, deaf)) as client, operator:
        client.sendall(encode(Subscribe(1, (SubscriptionRequest(f"things/{deaf.name}/#", 1),)), V311))
        assert 0x90 == client.recv(5)[0]
        for _ in range(16):
            sent = [operator.publish(f"things/{deaf.name}/flood", b"x" * 100_000, qos=1) for _ in range(100)]
            for each in sent:
                each.result(30)
        grown = resident(running.pid) - before

    assert grown < BOUND


def test_packets_that_never_end(running: Platform, device: Callable[..., Device]) -> None:
    """Fifty connections announce the largest packet there is and send a little of it: announcing costs nothing."""
    before = resident(running.pid)
    with contextlib.ExitStack() as open_ones:
        for _ in range(50):
            client = open_ones.enter_context(contextlib.closing(connected(running, device())))
            with contextlib.suppress(OSError):
                client.sendall(b"\x30\xff\xff\xff\x7f" + b"\x00\x03a/b" + b"x" * 50_000)
        grown = resident(running.pid) - before

    assert grown < BOUND
