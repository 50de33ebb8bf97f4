"""Devices of the session's platform: registered things with a certificate, and paho as their MQTT client."""

from __future__ import annotations

import contextlib
import json
import queue
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as paho

from iotctl import pki, templates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paho.mqtt.properties import Properties

    from iotctl.target import Platform

PATIENCE = 10.0


class _Named(ssl.SSLContext):
    """TLS that asks for a name (SNI), as every client of AWS does; an address, as this platform's endpoint, is none."""

    def wrap_socket(self, sock: Any, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, *arguments, **options | {"server_hostname": "localhost"})


@dataclass(frozen=True)
class Device:
    """A registered thing and the files of its certificate."""

    name: str
    certificate_id: str
    arn: str
    certificate: Path
    key: Path

    def tls(self, platform: Platform) -> ssl.SSLContext:
        """TLS as this device."""
        context = _Named(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(platform.ca_file)
        context.load_cert_chain(self.certificate, self.key)
        return context


def register(iot: Any, signer: pki.Authority, directory: Path, name: str, policy: str | None = None) -> Device:
    """Register a thing with a new certificate and a policy; without one that of the template `thing`."""
    issued = signer.issue(name)
    arn = iot.register_certificate_without_ca(certificatePem=issued.certificate_pem, status="ACTIVE")["certificateArn"]
    iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName=name, principal=arn)
    iot.attach_policy(policyName=policy or thing_policy(iot, arn), target=arn)
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_text(issued.certificate_pem)
    key.write_bytes(issued.private_key_pem)
    return Device(name, issued.certificate_id, arn, certificate, key)


def thing_policy(iot: Any, arn: str) -> str:
    """The policy of the template `thing` that ships, created where it is not there."""
    _, partition, _, region, account, _ = arn.split(":", 5)
    document = templates.render_json("policies", "thing", partition=partition, region=region, account=account)
    with contextlib.suppress(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_policy(policyName="iotctl-test-thing", policyDocument=json.dumps(document))
    return "iotctl-test-thing"


def create_policy(iot: Any, *statements: dict[str, Any]) -> str:
    """Create a policy of these statements; its name."""
    name = f"policy-{uuid.uuid4().hex[:10]}"
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    iot.create_policy(policyName=name, policyDocument=json.dumps(document))
    return name


def allow(*actions: str, resource: str = "*", **condition: Any) -> dict[str, Any]:
    """A statement that allows actions."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


@dataclass(frozen=True)
class Received:
    """A message as it came."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None

    @property
    def json(self) -> Any:
        """The payload."""
        return json.loads(self.payload)


class Mqtt:
    """A device on paho, connected while it is a context."""

    def __init__(
        self,
        platform: Platform,
        device: Device,
        client_id: str | None = None,
        *,
        version: int = paho.MQTTv311,
        clean: bool = True,
        will: str | None = None,
    ) -> None:
        options = {} if version == paho.MQTTv5 else {"clean_session": clean}
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id or device.name, protocol=version, **options
        )
        self._client.tls_set_context(device.tls(platform))
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._connected.put(code)
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: self._ended.put(code)
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.put(codes)
        self._client.on_message = self._came
        if will:
            self._client.will_set(will, b"gone", 1)
        self._name = device.name
        self._port = platform.mqtt_port
        self._connected: queue.Queue[Any] = queue.Queue()
        self._ended: queue.Queue[Any] = queue.Queue()
        self._granted: queue.Queue[Any] = queue.Queue()
        self._inbox: queue.Queue[Received] = queue.Queue()

    def __enter__(self) -> Self:
        try:
            code = self.connect()
            assert not code.is_failure, code
        except BaseException:
            self._client.loop_stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def connect(self) -> Any:
        """Connect; the CONNACK's reason code."""
        self._client.connect("127.0.0.1", self._port, keepalive=60)
        self._client.loop_start()
        return self._connected.get(timeout=PATIENCE)

    def subscribe(self, *filters: str, qos: int = 1) -> list[bool]:
        """Subscribe; which of the filters were granted."""
        self._client.subscribe([(name, qos) for name in filters])
        return [not code.is_failure for code in self._granted.get(timeout=PATIENCE)]

    def publish(self, topic: str, payload: Any = b"", qos: int = 1, **options: Any) -> None:
        """Publish and wait for the PUBACK; anything but bytes is written as JSON."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, content, qos, **options).wait_for_publish(PATIENCE)

    def acknowledged(self, topic: str, payload: Any, over: threading.Event) -> bool:
        """Publish; whether the PUBACK came before the connection, or all, was over."""
        message = self._client.publish(topic, json.dumps(payload).encode(), 1)
        while not over.is_set():
            try:
                message.wait_for_publish(0.05)
            except RuntimeError:
                return False
            if message.is_published():
                return True
        return False

    def send(self, topic: str, payload: bytes = b"") -> None:
        """Publish without waiting."""
        self._client.publish(topic, payload, 1)

    def next(self) -> Received:
        """The next message that came."""
        return self._inbox.get(timeout=PATIENCE)

    def take(self, number: int) -> list[Received]:
        """The next messages that came."""
        return [self.next() for _ in range(number)]

    def rest(self) -> list[Received]:
        """What came and was not looked at."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._inbox.get_nowait())
        return found

    def settle(self) -> None:
        """Wait until all that was on its way to this device has come: what is sent later comes later."""
        self.subscribe(f"$aws/things/{self._name}/shadow/get/accepted")

    def ended(self) -> Any:
        """Wait for the end of the connection; its reason code."""
        return self._ended.get(timeout=PATIENCE)

    def _came(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        properties = getattr(message, "properties", None)
        self._inbox.put(Received(message.topic, message.payload, message.qos, message.retain, properties))


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What a condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
