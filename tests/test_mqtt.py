"""The MQTT door against the platform: operators over WebSocket, devices with mutual TLS, losses told."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl import clock, pki
from iotctl.errors import Auth, Temporary
from iotctl.mqtt import QUEUED, Connection, Message, Notice
from iotctl.target import Platform
from tests.conftest import clean_environment
from tests.local.clients import register

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.local.clients import Device


def operator(platform: Platform, **changes: Any) -> Connection:
    """An operator's connection to a platform; `changes` spoil it."""
    settings: dict[str, Any] = {
        "region": platform.region,
        "credentials": lambda: (platform.access_key_id, platform.secret_access_key, None),
        "ca_file": platform.ca_file,
        "paced": False,
    }
    port, endpoint = changes.pop("port", platform.https_port), changes.pop("endpoint", "127.0.0.1")
    return Connection.operator(endpoint, port, **(settings | changes))


@pytest.fixture
def device(platform: Platform, tmp_path: Path) -> Device:
    """A thing that may only act as itself."""
    name = f"mqtt-{uuid.uuid4().hex[:8]}"
    return register(boto3.client("iot"), pki.Authority.create("factory"), tmp_path, name)


def as_device(platform: Platform, device: Device, **more: Any) -> Connection:
    """The device's own connection."""
    return Connection.device(
        "127.0.0.1",
        platform.mqtt_port,
        device.name,
        certificate=device.certificate,
        key=device.key,
        ca_file=platform.ca_file,
        paced=False,
        **more,
    )


def taken(connection: Connection, number: int, seconds: float = 10) -> list[Message | Notice]:
    """The next so many items."""
    found = list(itertools.islice(connection.listen(until=clock.monotonic() + seconds), number))
    assert number == len(found), found
    return found


def test_an_operator_and_a_device_hear_each_other(platform: Platform, device: Device) -> None:
    """Messages go both ways between the two doors, whole and in order."""
    topic = f"things/{device.name}/x"
    payloads = [bytes([number, 0, 255]) for number in range(20)]
    with operator(platform) as one, as_device(platform, device) as other:
        one.subscribe([f"things/{device.name}/+"])
        other.subscribe([f"things/{device.name}/in"])
        for payload in payloads:
            other.publish(topic, payload).result(10)
        one.publish(f"things/{device.name}/in", b"hello").result(10)

        heard = [item for item in taken(one, 21) if isinstance(item, Message) and item.topic == topic]
        assert payloads == [message.payload for message in heard]
        assert [Message(f"things/{device.name}/in", b"hello", retained=False)] == taken(other, 1)


def test_more_filters_than_one_subscribe_may_hold(platform: Platform) -> None:
    """AWS takes eight filters in a SUBSCRIBE; thirty are sent in four, and all of them count."""
    tag = uuid.uuid4().hex[:8]
    with operator(platform) as connection:
        connection.subscribe([f"{tag}/{number}" for number in range(30)])
        connection.publish(f"{tag}/29", b"last").result(10)

        assert [b"last"] == [item.payload for item in taken(connection, 1) if isinstance(item, Message)]


def test_a_filter_that_the_policy_refuses_is_named(platform: Platform, device: Device) -> None:
    """The refusal says which filter, and is one of permission."""
    with as_device(platform, device) as connection, pytest.raises(Auth, match="things/another/#") as raised:
        connection.subscribe(["things/another/#"])
    assert ("SubscribeRefused", "things/another/#") == (raised.value.code, raised.value.on)


@pytest.mark.parametrize("what", ["secret", "ca", "certificate"])
def test_what_is_refused_is_refused_at_once(platform: Platform, device: Device, tmp_path: Path, what: str) -> None:
    """A wrong secret, a CA that did not sign the server, an inactive certificate: no retries, and the reason."""
    (tmp_path / "other.pem").write_text(pki.Authority.create("another").certificate_pem)
    boto3.client("iot").update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    connection = {
        "secret": lambda: operator(platform, credentials=lambda: (platform.access_key_id, "wrong", None)),
        "ca": lambda: operator(platform, ca_file=str(tmp_path / "other.pem")),
        "certificate": lambda: as_device(platform, device),
    }[what]()
    started = clock.monotonic()

    with pytest.raises(Auth), connection:
        pass
    assert clock.monotonic() - started < 10


def test_what_cannot_be_reached_is_temporary(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the wait is bounded, and the error is one that may pass."""
    monkeypatch.setattr("iotctl.mqtt.CONNECT_SECONDS", 2.5)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    with pytest.raises(Temporary, match="did not accept an MQTT connection"), operator(platform, port=port):
        pass


def test_a_sign_in_that_has_expired_is_told_at_once_and_printed_by_nobody(
    platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    """Credentials that cannot be renewed are the operator's matter, in words: awscrt would print a traceback a try."""

    def expired() -> tuple[str, str, None]:
        raise Auth("the sign-in has expired", code="ExpiredToken", hint="aws sso login")

    with pytest.raises(Auth, match="the sign-in has expired"), operator(platform, credentials=expired):
        pass

    assert ("", "") == tuple(capfd.readouterr())


def test_a_slow_reader_is_told_what_it_missed(platform: Platform) -> None:
    """Beyond the queue the oldest messages go, and their number is told: nothing is lost in silence."""
    topic, extra = f"flood/{uuid.uuid4().hex[:8]}", 50
    with operator(platform) as connection:
        connection.subscribe([topic])
        sent = [connection.publish(topic, b"%d" % number) for number in range(QUEUED + extra)]
        for each in sent:
            each.result(20)
        connection.publish(topic, b"end").result(10)
        items: list[Message | Notice] = []
        for item in connection.listen(until=clock.monotonic() + 10):
            items.append(item)
            if isinstance(item, Message) and item.payload == b"end":
                break

    heard = [item for item in items if isinstance(item, Message)]
    told = sum(int(item.detail.split()[0]) for item in items if isinstance(item, Notice) and item.kind == "dropped")
    assert QUEUED + extra + 1 == len(heard) + told
    assert told > 0


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[tuple[Platform, dict[str, str]]]:
    """A platform that the test may stop and start."""
    environment = {**os.environ, **clean_environment(tmp_path)}
    control("up", environment)
    yield state(tmp_path), environment
    control("down", environment)


def control(verb: str, environment: dict[str, str]) -> None:
    """Start or stop the platform of an environment."""
    options = ["--detach", "--ports", "auto"] if verb == "up" else []
    command = [sys.executable, "-m", "iotctl", "local", verb, *options]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


def state(home: Path) -> Platform:
    """The platform as its state file names it."""
    return Platform.from_json(json.loads((home / "iotctl" / "local" / "platform.json").read_bytes()))


def test_a_connection_that_was_lost_comes_back_and_says_so(own_platform: tuple[Platform, dict[str, str]]) -> None:
    """The platform goes and comes: lost, back, subscribed again, with more filters than one SUBSCRIBE may hold."""
    platform, environment = own_platform
    with operator(platform) as connection:
        connection.subscribe([*(f"more/{number}" for number in range(20)), "news"])
        control("down", environment)
        control("up", environment)
        lost, back = taken(connection, 2, seconds=30)
        assert ("lost", "back") == (getattr(lost, "kind", ""), getattr(back, "kind", ""))
        with operator(platform) as other:
            heard: list[Message | Notice] = []
            while not heard:
                # The subscription is made again just after the connection: until then nobody hears it.
                other.publish("news", b"again").result(10)
                heard = list(itertools.islice(connection.listen(until=clock.monotonic() + 1), 1))

        assert [Message("news", b"again", retained=False)] == heard
