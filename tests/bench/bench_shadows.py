"""Committed shadow updates over MQTT against HTTP, in one run: `pytest -m bench tests/bench/bench_shadows.py -s`.

A hundred devices over mutual TLS, each with one update under way: it counts when update/accepted is there, which leaves
the platform after the commit. The baseline is the same updates over HTTP, one connection, no SDK in between. The load
generator is this process, the platform a child. Nothing is asserted about time: a slow machine is not a bug.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from iotctl import files, pki
from iotctl.local import process
from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.packets import V311, Connect, Publish, Subscribe, SubscriptionRequest
from iotctl.local.platform import open_store
from iotctl.local.services.certificates import register_certificate_without_ca
from iotctl.local.services.policies import create_policy
from iotctl.local.services.policy_attachments import attach_policy
from iotctl.local.services.principals import attach_thing_principal
from iotctl.local.services.things import create_thing
from iotctl.local.state import Ports, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.target import Platform

DEVICES = 100
UPDATES = 15_000
HTTP_UPDATES = 3_000
ROUNDS = 3

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Connect",
            "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}",
        },
        {
            "Effect": "Allow",
            "Action": ["iot:Publish", "iot:Receive"],
            "Resource": "arn:aws:iot:*:*:topic/$aws/things/${iot:Connection.Thing.ThingName}/*",
        },
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/*",
        },
    ],
}


class Device(asyncio.Protocol):
    """A device that reports, waits for the answer, and reports again."""

    def __init__(self, name: str, count: int) -> None:
        self.topic = f"$aws/things/{name}/shadow/update"
        self.ready = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self.name = name
        self.left = count
        self.sent = 0
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(encode(Connect(V311, self.name, keep_alive=1200), V311))
        answers = tuple(SubscriptionRequest(f"{self.topic}/{verb}", 0) for verb in ("accepted", "rejected", "delta"))
        transport.write(encode(Subscribe(1, answers), V311))

    def go(self) -> None:
        self.sent += 1
        payload = {"state": {"reported": {"temperature": self.sent, "mode": "auto"}}, "clientToken": str(self.sent)}
        packet = Publish(self.topic, json.dumps(payload).encode(), 1, packet_id=self.sent % 60_000 + 1)
        self.transport.write(encode(packet, V311))

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        while len(data) >= at + 2:
            length, size = 0, 1
            while data[at + size] & 0x80:
                length |= (data[at + size] & 0x7F) << 7 * (size - 1)
                size += 1
                if len(data) <= at + size:
                    self.rest = data[at:]
                    return
            length |= data[at + size] << 7 * (size - 1)
            end = at + 1 + size + length
            if len(data) < end:
                break
            self.packet(data[at] >> 4, data[at + 1 + size : end])
            at = end
        self.rest = data[at:]

    def packet(self, kind: int, body: bytes) -> None:
        if kind == 9:
            assert b"\x80" not in body[2:]
            self.ready.set_result(None)
        elif kind == 3:
            length = int.from_bytes(body[:2], "big")
            assert body[2 : 2 + length].endswith(b"/accepted"), body
            self.left -= 1
            if self.left == 0:
                self.done.set_result(None)
            elif self.sent and self.left > 0:
                self.go()


async def over_mqtt(platform: Platform, directory: Path, updates: int) -> float:
    """Committed updates a second."""
    loop = asyncio.get_running_loop()
    devices = []
    for number in range(DEVICES):
        context = ssl.create_default_context(cafile=platform.ca_file)
        context.load_cert_chain(directory / f"{number}.pem", directory / f"{number}.key")
        _, device = await loop.create_connection(
            lambda name=f"device-{number}": Device(name, updates // DEVICES),
            "127.0.0.1",
            platform.mqtt_port,
            ssl=context,
            server_hostname="localhost",
        )
        devices.append(device)
    await asyncio.gather(*(device.ready for device in devices))
    begun = time.perf_counter()
    for device in devices:
        device.go()
    await asyncio.gather(*(device.done for device in devices))
    taken = time.perf_counter() - begun
    for device in devices:
        device.transport.abort()
    return updates / taken


def over_http(platform: Platform, updates: int) -> float:
    """Committed updates a second."""
    address = urlsplit(platform.http_url)
    scope = f"Credential={platform.access_key_id}/20260101/{platform.region}/iotdata/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    with contextlib.closing(http.client.HTTPConnection(address.hostname or "", address.port)) as connection:
        begun = time.perf_counter()
        for number in range(updates):
            state = {"state": {"reported": {"temperature": number, "mode": "auto"}}, "clientToken": str(number)}
            connection.request("POST", f"/things/device-{number % DEVICES}/shadow", json.dumps(state), headers)
            response = connection.getresponse()
            assert response.read()
            assert response.status == 200
        return updates / (time.perf_counter() - begun)


@contextlib.contextmanager
def fleet(home: Path) -> Iterator[Platform]:
    """A platform with a hundred registered devices."""
    files.private_directory(home)
    state = State(files.private_directory(home / "local"))
    store = open_store(state)
    signer = pki.Authority.create("bench")
    with store.transaction():
        create_policy(store, "devices", json.dumps(POLICY))
        for number in range(DEVICES):
            issued = signer.issue(f"device-{number}")
            (home / f"{number}.pem").write_text(issued.certificate_pem)
            (home / f"{number}.key").write_bytes(issued.private_key_pem)
            arn = register_certificate_without_ca(store, issued.certificate_pem, "ACTIVE")["certificateArn"]
            create_thing(store, f"device-{number}")
            attach_thing_principal(store, f"device-{number}", arn)
            attach_policy(store, "devices", arn)
    store.close()
    found = process.background(state, Ports(0, 0, 0), None)
    try:
        yield found
    finally:
        process.stop(state)


@pytest.mark.bench
def test_shadow_updates_over_mqtt_and_http(tmp_path: Path) -> None:
    """Prints committed updates a second over MQTT and their ratio to HTTP."""
    with fleet(tmp_path / "home") as platform:
        mqtt, plain = [], []
        for _ in range(ROUNDS + 1):  # the first one warms up
            mqtt.append(asyncio.run(over_mqtt(platform, tmp_path / "home", UPDATES)))
            plain.append(over_http(platform, HTTP_UPDATES))
    ratio = statistics.median(one / other for one, other in zip(mqtt[1:], plain[1:], strict=True))
    one, other = statistics.median(mqtt[1:]), statistics.median(plain[1:])
    print(f"\nshadow updates, {DEVICES} devices: {one:,.0f}/s over MQTT, {ratio:.2f}x HTTP ({other:,.0f}/s)")
