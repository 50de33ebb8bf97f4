"""Devices and operators on the platform: MQTT, HTTPS with a certificate, MQTT over WebSocket, and who may do what."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import paho.mqtt.client as paho
import pytest
from awscrt import auth, mqtt
from awsiot import mqtt_connection_builder
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from iotctl import pki
from iotctl.errors import Local
from iotctl.local import process
from iotctl.local.platform import bound, open_store
from iotctl.local.services import OPERATIONS
from tests.local.clients import Device, Mqtt, allow, create_policy, register, until
from tests.local.conftest import Name, Raw, client, refused, without_metadata

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.conftest import Ran

NewDevice = Callable[..., Device]
EVERYTHING = allow("iot:*")


@contextlib.contextmanager
def over_https(platform: Platform, device: Device | None) -> Any:
    """Send requests over HTTPS with a device's certificate, or without one."""
    tls = device.tls(platform) if device else ssl.create_default_context(cafile=platform.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", platform.https_port, context=tls, timeout=10)

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Raw:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Raw(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())

    with contextlib.closing(connection):
        yield ask


# --- a thing is itself, and no other


def test_a_thing_may_be_itself_only(running: Platform, device: NewDevice) -> None:
    """With the policy template `thing`: another client id is refused at CONNECT."""
    pump, valve = device("pump"), device("valve")
    with Mqtt(running, pump):
        pass
    with pytest.raises(AssertionError, match="Not authorized"), Mqtt(running, pump, valve.name):
        pass


def test_a_thing_may_not_listen_to_another(running: Platform, device: NewDevice) -> None:
    """Its own topics are granted, those of another thing and wildcards over things are not."""
    pump, valve = device("pump"), device("valve")
    with Mqtt(running, pump) as connected:
        granted = connected.subscribe(
            f"$aws/things/{pump.name}/shadow/update/delta",
            f"$aws/things/{valve.name}/shadow/update/delta",
            "$aws/things/+/shadow/update/delta",
            "#",
        )
    assert [True, False, False, False] == granted


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
def test_a_thing_may_not_touch_the_shadow_of_another(
    running: Platform, device: NewDevice, data: Any, verb: str
) -> None:
    """The connection that tries ends, and nothing has changed."""
    pump, valve = device("pump"), device("valve")
    data.update_thing_shadow(thingName=valve.name, payload=b'{"state":{"desired":{"a":1}}}')
    with Mqtt(running, pump) as connected:
        connected.send(f"$aws/things/{valve.name}/shadow/{verb}", b'{"state":{"desired":{"a":2}}}')
        connected.ended()
    document = json.loads(data.get_thing_shadow(thingName=valve.name)["payload"].read())
    assert ({"a": 1}, 1) == (document["state"]["desired"], document["version"])


def test_what_a_policy_does_not_let_receive_does_not_arrive(running: Platform, device: NewDevice, iot: Any) -> None:
    """A subscription alone is not enough: iot:Receive is asked for each topic."""
    policy = create_policy(
        iot,
        allow("iot:Connect", "iot:Subscribe", "iot:Publish"),
        allow("iot:Receive", resource="arn:aws:iot:*:*:topic/open/*"),
    )
    pump = device(policy=policy)
    with Mqtt(running, pump) as connected:
        connected.subscribe("#")
        connected.publish("closed/1", b"no")
        connected.publish("open/1", b"yes")
        assert "open/1" == connected.next().topic


def test_a_changed_policy_counts_at_once_on_live_connections(running: Platform, device: NewDevice, iot: Any) -> None:
    """What was allowed a moment ago is refused after the policy was detached, and the other way round."""
    first = create_policy(iot, allow("iot:Connect", "iot:Subscribe", "iot:Receive"), allow("iot:Publish"))
    pump = device(policy=first)
    with Mqtt(running, pump) as connected:
        connected.subscribe("a")
        connected.publish("a", b"1")
        assert b"1" == connected.next().payload
        second = create_policy(iot, {**allow("iot:Receive"), "Effect": "Deny"})
        iot.attach_policy(policyName=second, target=pump.arn)
        connected.publish("a", b"2")
        iot.detach_policy(policyName=second, target=pump.arn)
        connected.publish("a", b"3")
        assert b"3" == connected.next().payload
        iot.detach_policy(policyName=first, target=pump.arn)
        connected.send("a", b"4")
        connected.ended()


def test_a_changed_thing_counts_at_once(running: Platform, device: NewDevice, iot: Any) -> None:
    """An attribute that a policy names is looked at again when the thing is updated."""
    topic = "arn:aws:iot:*:*:topic*/hall/${iot:Connection.Thing.Attributes[hall]}"
    policy = create_policy(
        iot, allow("iot:Connect"), allow("iot:Publish", "iot:Subscribe", "iot:Receive", resource=topic)
    )
    pump = device(policy=policy)
    with Mqtt(running, pump) as connected:
        before = connected.subscribe("hall/3")
        iot.update_thing(thingName=pump.name, attributePayload={"attributes": {"hall": "3"}})
        after = connected.subscribe("hall/3")
    assert ([False], [True]) == (before, after)


# --- certificates


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_certificate_that_is_no_longer_active_loses_its_connections(
    running: Platform, device: NewDevice, iot: Any, status: str
) -> None:
    """Within a second, and it cannot connect again until it is ACTIVE."""
    pump = device()
    with Mqtt(running, pump) as connected:
        begun = time.monotonic()
        iot.update_certificate(certificateId=pump.certificate_id, newStatus=status)
        connected.ended()
        assert time.monotonic() - begun < 1
    with pytest.raises(AssertionError), Mqtt(running, pump):
        pass
    with over_https(running, pump) as ask:
        found = ask("GET", f"/things/{pump.name}/shadow")
        assert (403, "ForbiddenException") == (found.status, found.error)
    iot.update_certificate(certificateId=pump.certificate_id, newStatus="ACTIVE")
    with Mqtt(running, pump):
        pass


def test_a_certificate_that_nobody_registered_does_not_get_in(
    running: Platform, device: NewDevice, signer: pki.Authority, tmp_path: Path
) -> None:
    """Not even one of the same CA and the same name: TLS refuses it, over MQTT and HTTPS."""
    pump = device()
    issued = signer.issue(pump.name)
    stranger = Device(pump.name, issued.certificate_id, "", tmp_path / "s.pem", tmp_path / "s.key")
    stranger.certificate.write_text(issued.certificate_pem)
    stranger.key.write_bytes(issued.private_key_pem)
    for port in (running.mqtt_port, running.https_port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            greet(running, stranger, port)


def greet(platform: Platform, device: Device, port: int) -> None:
    """Send something with a device's certificate and wait for an answer; raises where there is none."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        device.tls(platform).wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
        if tls.recv(1) == b"":
            raise ConnectionResetError


def test_a_deleted_certificate_does_not_get_in(running: Platform, device: NewDevice, iot: Any) -> None:
    """Its connections ended when it was deactivated; once deleted it is a stranger."""
    pump = device()
    with Mqtt(running, pump) as connected:
        iot.update_certificate(certificateId=pump.certificate_id, newStatus="INACTIVE")
        connected.ended()
    iot.detach_thing_principal(thingName=pump.name, principal=pump.arn)
    iot.delete_certificate(certificateId=pump.certificate_id, forceDelete=True)
    with pytest.raises((AssertionError, ssl.SSLError, OSError)), Mqtt(running, pump):
        pass


def test_the_platforms_own_certificates_get_in(running: Platform, iot: Any, name: Name, tmp_path: Path) -> None:
    """CreateKeysAndCertificate gives what a device needs."""
    made = iot.create_keys_and_certificate(setAsActive=True)
    pump = Device(name("p"), made["certificateId"], made["certificateArn"], tmp_path / "c.pem", tmp_path / "c.key")
    pump.certificate.write_text(made["certificatePem"])
    pump.key.write_text(made["keyPair"]["PrivateKey"])
    iot.attach_policy(policyName=create_policy(iot, EVERYTHING), target=pump.arn)
    with Mqtt(running, pump) as connected:
        connected.subscribe("a")
        connected.publish("a", b"1")
        assert b"1" == connected.next().payload


def test_onboarded_devices_connect(
    platform: Platform, iotctl: Callable[..., Ran], name: Name, tmp_path: Path, data: Any
) -> None:
    """The bundle that `iotctl onboard apply` writes is all that a device needs to report its state."""
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(f"thing_name,shadow:speed\n{name('a')},3\n{name('b')},4\n")
    ran = iotctl("onboard", "apply", str(fleet), "--bundles", str(tmp_path / "bundles"), "--yes")
    assert 0 == ran.code, ran.stderr
    thing = name("a")
    folder = tmp_path / "bundles" / "devices" / thing
    pump = Device(thing, "", "", folder / "certificate.pem.crt", folder / "private.pem.key")
    with Mqtt(platform, pump) as connected:
        connected.subscribe(f"$aws/things/{thing}/shadow/get/accepted")
        connected.publish(f"$aws/things/{thing}/shadow/get")
        assert {"speed": 3} == connected.next().json["state"]["delta"]
        connected.publish(f"$aws/things/{thing}/shadow/update", {"state": {"reported": {"speed": 3}}})
        connected.send(f"$aws/things/{name('b')}/shadow/get")
        connected.ended()
    document = json.loads(data.get_thing_shadow(thingName=thing)["payload"].read())
    assert {"desired": {"speed": 3}, "reported": {"speed": 3}} == document["state"]


# --- HTTPS


def test_a_device_publishes_over_https(running: Platform, device: NewDevice, iot: Any) -> None:
    """POST /topics/…?qos=1 with a certificate, the topic encoded or not; its policy decides."""
    policy = create_policy(
        iot,
        allow("iot:Connect", "iot:Subscribe", "iot:Receive"),
        allow("iot:Publish", resource="arn:aws:iot:*:*:topic/open/*"),
    )
    pump = device(policy=policy)
    with Mqtt(running, pump) as connected, over_https(running, pump) as ask:
        connected.subscribe("open/#")
        plain = ask("POST", "/topics/open/a/b?qos=1", b"plain")
        encoded = ask("POST", f"/topics/{quote('open/ä', safe='')}?qos=1", b"encoded")
        closed = ask("POST", "/topics/closed/a?qos=1", b"no")
        found = [(one.topic, one.payload, one.qos) for one in connected.take(2)]
    assert (200, 200, 403, "ForbiddenException") == (plain.status, encoded.status, closed.status, closed.error)
    assert [("open/a/b", b"plain", 1), ("open/ä", b"encoded", 1)] == found


def test_the_https_port_speaks_mqtt_to_who_asks_for_it(running: Platform, device: NewDevice) -> None:
    """As AWS's port 443, by ALPN: AWS IoT Device Client connects to no other."""
    pump = device("pump")
    tls = pump.tls(running)
    tls.set_alpn_protocols(["x-amzn-mqtt-ca"])
    name = pump.name.encode()
    connect = b"\0\4MQTT\4\2\0\x3c" + len(name).to_bytes(2, "big") + name
    with socket.create_connection(("127.0.0.1", running.https_port), 10) as plain, tls.wrap_socket(plain) as secure:
        secure.sendall(b"\x10" + bytes([len(connect)]) + connect)
        assert (b"\x20\2\0\0", "x-amzn-mqtt-ca") == (secure.recv(4), secure.selected_alpn_protocol())


def test_a_device_has_its_shadow_over_https(running: Platform, device: NewDevice, iot: Any) -> None:
    """GET, POST and DELETE of the classic and of a named shadow, each by its own permission."""
    mine = "arn:aws:iot:*:*:thing/${iot:Certificate.Subject.CommonName}"
    policy = create_policy(
        iot,
        allow("iot:GetThingShadow", "iot:UpdateThingShadow", resource=mine),
        allow("iot:UpdateThingShadow", "iot:DeleteThingShadow", resource=f"{mine}/config"),
    )
    pump = device(policy=policy)
    with over_https(running, pump) as ask:
        shadow = f"/things/{pump.name}/shadow"
        statuses = [
            ask("POST", shadow, b'{"state":{"reported":{"a":1}}}').status,
            ask("GET", shadow).status,
            ask("DELETE", shadow).status,
            ask("POST", f"{shadow}?name=config", b'{"state":{}}').status,
            ask("GET", f"{shadow}?name=config").status,
            ask("DELETE", f"{shadow}?name=config").status,
            ask("GET", "/things/another/shadow").status,
            ask("GET", f"/api/things/shadow/ListNamedShadowsForThing/{pump.name}").status,
        ]
    assert [200, 200, 403, 200, 403, 200, 403, 403] == statuses


def test_https_serves_every_api_with_a_signature(running: Platform, name: Name) -> None:
    """boto3 on the HTTPS port, with the platform's CA; without a signature or a certificate it is refused."""
    made = boto3.client(
        "iot-data",
        endpoint_url=f"https://localhost:{running.https_port}",
        region_name=running.region,
        aws_access_key_id=running.access_key_id,
        aws_secret_access_key=running.secret_access_key,
        verify=running.ca_file,
    )
    made.update_thing_shadow(thingName=name("t"), payload=b'{"state":{}}')
    with over_https(running, None) as ask:
        found = ask("GET", f"/things/{name('t')}/shadow")
    assert (403, "MissingAuthenticationTokenException") == (found.status, found.error)


def test_a_certificate_opens_nothing_but_the_data_plane(running: Platform, device: NewDevice, iot: Any) -> None:
    """The registry is not for devices, whatever their policy says."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    with over_https(running, pump) as ask:
        assert 404 == ask("GET", "/things").status
        assert 403 == ask("GET", f"/connections/{pump.name}").status


# --- publish, retained messages, connections over HTTP


def test_what_http_publishes_has_its_mqtt5_properties(
    running: Platform, device: NewDevice, iot: Any, data: Any
) -> None:
    """Subscribers that speak MQTT 5 get them as they were given."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    with Mqtt(running, pump, version=paho.MQTTv5) as connected:
        connected.subscribe("a/b")
        data.publish(
            topic="a/b",
            qos=1,
            payload=b"hello",
            userProperties=[{"one": "1"}, {"two": "2"}],
            payloadFormatIndicator="UTF8_DATA",
            contentType="text/plain",
            responseTopic="c",
            correlationData="aWQ=",
            messageExpiry=60,
        )
        found = connected.next()
    assert found.properties is not None
    expected = {
        "PayloadFormatIndicator": 1,
        "MessageExpiryInterval": 60,
        "ContentType": "text/plain",
        "ResponseTopic": "c",
        "CorrelationData": "6964",
        "UserProperty": [("one", "1"), ("two", "2")],
    }
    assert (b"hello", expected) == (found.payload, found.properties.json())


def test_retained_messages_over_mqtt_and_http(
    running: Platform, device: NewDevice, iot: Any, data: Any, name: Name
) -> None:
    """What a device retains HTTP answers, what HTTP retains a device gets; an empty one ends it."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    topic = f"retained/{name('t')}"
    user = Properties(PacketTypes.PUBLISH)
    user.UserProperty = ("k", "v")
    with Mqtt(running, pump, version=paho.MQTTv5) as connected:
        connected.publish(topic, b"one", retain=True, properties=user)
        kept = data.get_retained_message(topic=topic)
        data.publish(topic=topic, qos=0, retain=True, payload=b"second")
        connected.subscribe(topic)
        came = connected.next()
    listed = [one for one in pages(data) if one["topic"] == topic]
    data.publish(topic=topic, retain=True)
    gone = refused(data.get_retained_message, topic=topic)
    assert (b"one", 1, b'[{"k": "v"}]') == (kept["payload"], kept["qos"], kept["userProperties"])
    assert (b"second", True) == (came.payload, came.retain)
    assert [(6, 0)] == [(one["payloadSize"], one["qos"]) for one in listed]
    assert ("ResourceNotFoundException", 404) == (gone.code, gone.status)


def pages(data: Any) -> list[dict[str, Any]]:
    """Every retained message, in pages of one."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = data.list_retained_messages(maxResults=1, **token)
        found += answer["retainedTopics"]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}


@pytest.mark.parametrize(
    ("topic", "code", "status"),
    [
        ("a/+", "InvalidRequestException", 400),
        ("/".join("abcdefghi"), "InvalidRequestException", 400),
        ("$aws/things/t/shadow/update/accepted", "ForbiddenException", 403),
    ],
)
def test_http_does_not_publish_where_mqtt_could_not(data: Any, topic: str, code: str, status: int) -> None:
    """Wildcards, too many slashes, and topics that only AWS publishes on."""
    found = refused(data.publish, topic=topic, payload=b"x")
    assert (code, status) == (found.code, found.status)


def test_a_request_over_http_publish_reaches_the_service(data: Any, name: Name) -> None:
    """Publishing to a shadow's update topic updates it, before the answer is there."""
    data.publish(topic=f"$aws/things/{name('t')}/shadow/update", payload=b'{"state":{"reported":{"a":1}}}')
    assert {"reported": {"a": 1}} == json.loads(data.get_thing_shadow(thingName=name("t"))["payload"].read())["state"]


def test_connections_are_described_and_deleted(running: Platform, device: NewDevice, data: Any) -> None:
    """GetConnection, ListSubscriptions and DeleteConnection know who is there."""
    pump = device()
    filters = [f"$aws/things/{pump.name}/shadow/{verb}" for verb in ("get/accepted", "update/delta")]
    with Mqtt(running, pump) as connected:
        connected.subscribe(*filters)
        described = without_metadata(data.get_connection(clientId=pump.name, includeSocketInformation=True))
        listed = data.list_subscriptions(clientId=pump.name)["subscriptions"]
        data.delete_connection(clientId=pump.name)
        connected.ended()
    described.pop("connectedSince")
    described.pop("sourcePort")
    expected = {
        "clientId": pump.name,
        "connected": True,
        "cleanSession": True,
        "sessionExpiry": 0,
        "keepAliveDuration": 60,
        "sourceIp": "127.0.0.1",
        "targetIp": "127.0.0.1",
        "targetPort": running.mqtt_port,
    }
    assert expected == described
    assert [{"topicFilter": name, "qos": 1} for name in filters] == listed
    assert 404 == refused(data.delete_connection, clientId=pump.name).status


# --- operators and lifecycle events


@pytest.fixture
def operator(running: Platform, name: Name) -> Any:
    """An operator over WebSocket, with AWS's SDK and the platform's credentials."""
    made = mqtt_connection_builder.websockets_with_default_aws_signing(
        endpoint="localhost",
        port=running.https_port,
        region=running.region,
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            running.access_key_id, running.secret_access_key, "session-token"
        ),
        ca_filepath=running.ca_file,
        client_id=name("operator"),
        clean_session=True,
    )
    made.connect().result(15)
    yield made
    made.disconnect().result(15)


def listen(operator: mqtt.Connection, topic: str, number: int = 1) -> Future[list[dict[str, Any]]]:
    """The next messages of a topic, as JSON."""
    done: Future[list[dict[str, Any]]] = Future()
    found: list[dict[str, Any]] = []

    def came(payload: bytes, **_: Any) -> None:
        found.append(json.loads(payload))
        if len(found) == number:
            done.set_result(found)

    operator.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE, came)[0].result(15)
    return done


def test_an_operator_over_websocket_sees_a_shadow_change(operator: Any, data: Any, name: Name) -> None:
    """MQTT over WebSocket, presigned: the operator hears of any thing, and may update any."""
    heard = listen(operator, f"$aws/things/{name('t')}/shadow/update/documents", 2)
    data.update_thing_shadow(thingName=name("t"), payload=b'{"state":{"desired":{"a":1}}}')
    operator.publish(
        f"$aws/things/{name('t')}/shadow/update", '{"state":{"reported":{"a":1}}}', mqtt.QoS.AT_LEAST_ONCE
    )[0].result(15)
    assert [1, 2] == [one["current"]["version"] for one in heard.result(15)]


@pytest.mark.parametrize(("query", "reason"), [("", "not signed"), ("?X-Amz-Algorithm=AWS4-HMAC-SHA256", "not signed")])
def test_a_websocket_without_a_signature_is_refused(running: Platform, query: str, reason: str) -> None:
    """Nobody gets in without the platform's key, and neither does a web page."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    with over_https(running, None) as ask:
        found = ask("GET", f"/mqtt{query}", **upgrade)
        page = ask("GET", f"/mqtt{query}", **upgrade, Origin="https://example.com")
    assert (403, 403) == (found.status, page.status)
    assert reason in found.json["message"]


def test_lifecycle_events_tell_who_comes_and_goes(running: Platform, device: NewDevice, operator: Any) -> None:
    """Connected, subscribed, disconnected: with the principal, and the reason of the end."""
    pump = device()
    topics = [f"$aws/events/presence/{kind}/{pump.name}" for kind in ("connected", "disconnected")]
    came, gone = (listen(operator, topic) for topic in topics)
    subscribed = listen(operator, f"$aws/events/subscriptions/subscribed/{pump.name}")
    topic = f"$aws/things/{pump.name}/shadow/update/delta"
    with Mqtt(running, pump) as connected:
        connected.subscribe(topic)
    first, second, third = came.result(15)[0], subscribed.result(15)[0], gone.result(15)[0]
    assert (pump.name, pump.certificate_id, 0) == tuple(
        first[key] for key in ("clientId", "principalIdentifier", "versionNumber")
    )
    assert "thingName" not in first
    assert [topic] == second["topics"]
    assert ("CLIENT_INITIATED_DISCONNECT", True) == (third["disconnectReason"], third["clientInitiatedDisconnect"])


def test_lifecycle_events_name_an_exclusive_thing(
    running: Platform, device: NewDevice, iot: Any, operator: Any, name: Name
) -> None:
    """A certificate that is exclusively a thing's: the events say which, whatever the client id."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    iot.detach_thing_principal(thingName=pump.name, principal=pump.arn)
    iot.attach_thing_principal(thingName=pump.name, principal=pump.arn, thingPrincipalType="EXCLUSIVE_THING")
    client_id = name("another-id")
    events = [listen(operator, f"$aws/events/presence/{kind}/{client_id}") for kind in ("connected", "disconnected")]
    with Mqtt(running, pump, client_id):
        pass
    assert [pump.name, pump.name] == [event.result(15)[0]["thingName"] for event in events]


def test_a_last_will_goes_out(running: Platform, device: NewDevice, iot: Any, operator: Any, name: Name) -> None:
    """When a device is lost its will is published, also when its certificate was the reason."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    came: Future[bytes] = Future()
    operator.subscribe(name("will"), mqtt.QoS.AT_LEAST_ONCE, lambda payload, **_: came.set_result(payload))[0].result(
        15
    )
    with Mqtt(running, pump, will=name("will")) as connected:
        iot.update_certificate(certificateId=pump.certificate_id, newStatus="INACTIVE")
        connected.ended()
    assert b"gone" == came.result(15)


def test_basic_ingest_is_accepted(running: Platform, device: NewDevice, iot: Any) -> None:
    """A message to $aws/rules/… is acknowledged, and subscribers do not get it."""
    pump = device(policy=create_policy(iot, EVERYTHING))
    with Mqtt(running, pump) as connected:
        connected.subscribe("a/b", "$aws/rules/#", "mark")
        connected.publish("$aws/rules/mine/a/b", b"1")
        connected.publish("mark", b"2")
        assert "mark" == connected.next().topic


# --- the process


@pytest.mark.parametrize("which", ["mqtt", "https"])
def test_a_port_in_use_is_named(iotctl: Callable[..., Ran], which: str) -> None:
    """`local up` says which port is taken, and which option chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = [f"--{name}-port={port if name == which else 0}" for name in ("http", "mqtt", "https")]
        ran = iotctl("local", "up", "--detach", *options)
    assert 12 == ran.code
    assert f"port {port}" in ran.stderr
    assert f"--{which}-port" in ran.stderr


def test_a_port_that_is_not_for_this_user_says_how_it_becomes_so() -> None:
    """AWS's own port, 443, as a user who is not root."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 443:
        pytest.skip("every user may listen on it here")
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(Local, match=r"443 on .+ not for this user") as refused, bound("https", 443):
            pass
    finally:
        os.seteuid(user)
    assert "PortDenied" == refused.value.code
    assert "ip_unprivileged_port_start=443" in refused.value.hint


def test_a_certificate_committed_right_before_a_kill_gets_in(
    own_platform: Any, signer: pki.Authority, tmp_path: Path
) -> None:
    """It was registered, and the platform killed before TLS knew: the next start tells TLS."""
    state, platform = own_platform
    register(client(platform), signer, tmp_path, "before")
    process.stop(state)
    issued = signer.issue("pump")
    store = open_store(state)
    with store.transaction():
        arn = OPERATIONS["iot:RegisterCertificateWithoutCA"](
            store, certificatePem=issued.certificate_pem, status="ACTIVE"
        )["certificateArn"]
    store.close()
    ports = state.ports()
    assert ports is not None
    again = process.background(state, ports, None)
    pump = Device("pump", issued.certificate_id, arn, tmp_path / "p.pem", tmp_path / "p.key")
    pump.certificate.write_text(issued.certificate_pem)
    pump.key.write_bytes(issued.private_key_pem)
    client(again).attach_policy(policyName=create_policy(client(again), EVERYTHING), target=arn)
    with Mqtt(again, pump):
        pass


def test_devices_are_back_after_a_restart(own_platform: Any, signer: pki.Authority, tmp_path: Path) -> None:
    """Certificates, policies, sessions and what was queued in them outlive a kill."""
    state, platform = own_platform
    pump = register(client(platform), signer, tmp_path, "pump")
    topic = "$aws/things/pump/shadow/update/delta"
    with Mqtt(platform, pump, clean=False) as connected:
        connected.subscribe(topic)
    client(platform, "iot-data").update_thing_shadow(thingName="pump", payload=b'{"state":{"desired":{"a":1}}}')
    os.kill(platform.pid, signal.SIGKILL)
    until(lambda: not state.running())
    ports = state.ports()
    assert ports is not None
    again = process.background(state, ports, None)
    with Mqtt(again, pump, clean=False) as connected:
        assert {"a": 1} == connected.next().json["state"]
