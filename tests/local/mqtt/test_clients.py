"""The clients that people use: paho, and AWS's own, over mutual TLS and over WebSocket."""

from __future__ import annotations

import asyncio
import queue
import ssl
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
from aiohttp import web
from awscrt import auth, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

from iotctl import clock
from iotctl.local.gateway.mqtt.packets import V5
from iotctl.local.gateway.websocket import Refusal, serve_websocket, verify_presigned

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.mqtt.conftest import Gateway

    Eventually = Callable[[Callable[[], bool]], None]

PATIENCE = 10
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_paho(gateway: Gateway, version: int) -> None:
    """Paho connects, subscribes, publishes and receives, with QoS 1 and a retained message."""
    protocol = paho.MQTTv5 if version == V5 else paho.MQTTv311
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "paho", protocol=protocol)
    identity = gateway.identity
    client.tls_set(str(gateway.authority.certificate.certificate), str(identity.certificate), str(identity.key))
    came: queue.Queue[Any] = queue.Queue()
    client.on_subscribe = lambda *_: came.put("subscribed")
    client.on_message = lambda *arguments: came.put((arguments[2].topic, arguments[2].payload, arguments[2].retain))
    client.on_connect = lambda *_: client.subscribe("a/b", 1)
    client.connect("localhost", gateway.port)
    client.loop_start()
    try:
        assert "subscribed" == came.get(timeout=PATIENCE)
        client.publish("a/b", b"1", 1, retain=True).wait_for_publish(PATIENCE)
        assert ("a/b", b"1", False) == came.get(timeout=PATIENCE)
        client.subscribe("a/b", 1)
        assert {"subscribed", ("a/b", b"1", True)} == {came.get(timeout=PATIENCE) for _ in range(2)}
    finally:
        client.disconnect()
        client.loop_stop()


def exchange_311(connection: mqtt.Connection) -> None:
    """Connect, subscribe, publish, receive, go, with AWS's client of MQTT 3.1.1."""
    came: queue.Queue[Any] = queue.Queue()
    connection.connect().result(PATIENCE)
    subscribed, _ = connection.subscribe("a/+", mqtt.QoS.AT_LEAST_ONCE, lambda **fields: came.put(fields["payload"]))
    assert mqtt.QoS.AT_LEAST_ONCE == subscribed.result(PATIENCE)["qos"]
    connection.publish("a/b", b"hello", mqtt.QoS.AT_LEAST_ONCE)[0].result(PATIENCE)
    assert b"hello" == came.get(timeout=PATIENCE)
    connection.disconnect().result(PATIENCE)


def exchange_5(build: Callable[..., mqtt5.Client]) -> None:
    """The same with AWS's client of MQTT 5."""
    came: queue.Queue[Any] = queue.Queue()
    client = build(
        on_lifecycle_connection_success=lambda data: came.put(data.negotiated_settings.server_keep_alive_sec),
        on_lifecycle_connection_failure=lambda data: came.put(data.exception),
        on_lifecycle_stopped=lambda _: came.put("stopped"),
        on_publish_received=lambda data: came.put(data.publish_packet.payload),
    )
    client.start()
    assert 1200 == came.get(timeout=PATIENCE)
    subscription = mqtt5.Subscription("a/+", mqtt5.QoS.AT_LEAST_ONCE)
    codes = client.subscribe(mqtt5.SubscribePacket(subscriptions=[subscription])).result(PATIENCE).reason_codes
    assert [mqtt5.SubackReasonCode.GRANTED_QOS_1] == codes
    client.publish(mqtt5.PublishPacket(b"hello", mqtt5.QoS.AT_LEAST_ONCE, topic="a/b")).result(PATIENCE)
    assert b"hello" == came.get(timeout=PATIENCE)
    client.stop()
    assert "stopped" == came.get(timeout=PATIENCE)


def test_aws_mutual_tls(gateway: Gateway, version: int) -> None:
    """AWS's clients of both versions connect with a certificate; their user name is ignored."""
    identity = gateway.identity
    options = {
        "cert_filepath": str(identity.certificate),
        "pri_key_filepath": str(identity.key),
        "ca_filepath": str(gateway.authority.certificate.certificate),
        "endpoint": "localhost",
        "port": gateway.port,
        "client_id": "aws",
    }
    if version == V5:
        exchange_5(lambda **callbacks: mqtt5_client_builder.mtls_from_path(**options, **callbacks))
    else:
        exchange_311(mqtt_connection_builder.mtls_from_path(**options))


@pytest.fixture
def websocket_port(gateway: Gateway) -> int:
    """The port of a WebSocket listener of the broker that knows one access key."""

    async def mqtt_over_websocket(request: web.Request) -> web.StreamResponse:
        secrets = {KEY_ID: SECRET}
        who = verify_presigned(request.url.raw_query_string, request.headers, secrets.get, clock.now())
        if isinstance(who, Refusal):
            return web.Response(status=403, text=who.reason)
        return await serve_websocket(request, gateway.broker, who)

    async def listen() -> int:
        app = web.Application()
        app.router.add_get("/mqtt", mqtt_over_websocket)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(gateway.server.certificate, gateway.server.key)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        gateway.cleanups.append(runner.cleanup)
        return int(runner.addresses[0][1])

    return asyncio.run_coroutine_threadsafe(listen(), gateway.loop).result(PATIENCE)


def websocket(gateway: Gateway, version: int, port: int, secret: str, token: str | None = None) -> Any:
    """A builder of AWS's client over WebSocket."""
    options = {
        "credentials_provider": auth.AwsCredentialsProvider.new_static(KEY_ID, secret, token),
        "region": "us-east-1",
        "ca_filepath": str(gateway.authority.certificate.certificate),
        "endpoint": "localhost",
        "port": port,
        "client_id": "operator",
    }
    if version == V5:
        return lambda **callbacks: mqtt5_client_builder.websockets_with_default_aws_signing(**options, **callbacks)
    return mqtt_connection_builder.websockets_with_default_aws_signing(**options)


@pytest.mark.parametrize("token", [None, "a/token+="])
def test_aws_websocket(gateway: Gateway, websocket_port: int, version: int, token: str | None) -> None:
    """AWS's clients of both versions connect over WebSocket with an access key, with a session token too."""
    client = websocket(gateway, version, websocket_port, SECRET, token)
    exchange_5(client) if version == V5 else exchange_311(client)


def test_wrong_secret(gateway: Gateway, websocket_port: int) -> None:
    """A signature with another secret is refused before there is a connection."""
    with pytest.raises(Exception, match="WEBSOCKET_UPGRADE_FAILURE"):
        websocket(gateway, 4, websocket_port, "another").connect().result(PATIENCE)
    assert set() == gateway.broker._connections
