"""Presigned URLs: which are accepted, and what a WebSocket that does not behave gets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iotctl.local.gateway.mqtt.codec import encode
from iotctl.local.gateway.mqtt.packets import V311, Connack, Connect, Publish, Subscribe, SubscriptionRequest, Will
from iotctl.local.gateway.mqtt.session import Principal
from iotctl.local.gateway.websocket import Refusal, serve_websocket, verify_presigned

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.mqtt.conftest import Gateway

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "localhost:8443"


def presigned(
    *,
    service: str = "iotdevicegateway",
    region: str = "us-east-1",
    token: str | None = None,
    expires: int = 60,
    host: str = HOST,
) -> str:
    """The query of a URL that botocore presigned now."""
    request = AWSRequest("GET", f"wss://{host}/mqtt")
    SigV4QueryAuth(Credentials(KEY_ID, SECRET, token), service, region, expires).add_auth(request)
    return request.url.partition("?")[2]


def verify(query: str, host: str = HOST, after: float = 0) -> Principal | Refusal:
    """The answer to a query, so many seconds later."""
    now = datetime.now(UTC) + timedelta(seconds=after)
    return verify_presigned(query, {"host": host}, {KEY_ID: SECRET}.get, now, "us-east-1")


@pytest.mark.parametrize("token", [None, "tok/en+="])
def test_accepted(token: str | None) -> None:
    """What botocore signs is who it says; a token that is signed as the standard says is no obstacle."""
    assert Principal(KEY_ID, certificate=False) == verify(presigned(token=token))


@pytest.mark.parametrize(
    ("query", "host", "after", "reason"),
    [
        (str, HOST, 0, "not signed"),
        (presigned, "localhost:1", 0, "does not match"),
        (presigned, "no UTF-8: \udcff", 0, "does not match"),
        (presigned, HOST, 61, "expired"),
        (presigned, HOST, -400, "in the future"),
        (lambda: presigned(service="iot"), HOST, 0, "not signed for"),
        (lambda: presigned(region="eu-west-1"), HOST, 0, "for the region eu-west-1"),
        (lambda: presigned() + "&extra=1", HOST, 0, "does not match"),
        (lambda: presigned() + "&X-Amz-Date=20200101T000000Z", HOST, 0, "twice"),
        (lambda: presigned().replace("X-Amz-Expires=60", "X-Amz-Expires=600000"), HOST, 0, "does not match"),
        (lambda: presigned().replace("X-Amz-Expires=60", "X-Amz-Expires=x"), HOST, 0, "not what it should be"),
        (lambda: presigned().replace(KEY_ID, "AKIANOBODY"), HOST, 0, "unknown"),
        (lambda: presigned().rpartition("=")[0] + "=é", HOST, 0, "does not match"),
    ],
)
def test_refused(query: Callable[[], str], host: str, after: float, reason: str) -> None:
    """A query that says something else than what was signed, or too late, is refused, and says why."""
    answer = verify(query(), host, after)
    assert isinstance(answer, Refusal)
    assert reason in answer.reason


def run(gateway: Gateway, scenario: Callable[[aiohttp.ClientWebSocketResponse], Any]) -> Any:
    """Let a scenario talk to the broker over a WebSocket in the broker's loop."""

    async def upgrade(request: web.Request) -> web.StreamResponse:
        return await serve_websocket(request, gateway.broker, Principal(KEY_ID, certificate=False))

    async def go() -> Any:
        app = web.Application()
        app.router.add_get("/mqtt", upgrade)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"ws://127.0.0.1:{runner.addresses[0][1]}/mqtt"
            async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["mqtt"]) as socket:
                assert "mqtt" == socket.protocol
                return await scenario(socket)
        finally:
            await runner.cleanup()

    return asyncio.run_coroutine_threadsafe(go(), gateway.loop).result(20)


def test_packets_across_frames(gateway: Gateway) -> None:
    """A packet may come in several frames."""

    async def scenario(socket: aiohttp.ClientWebSocketResponse) -> bytes:
        for byte in encode(Connect(V311, "c"), V311):
            await socket.send_bytes(bytes((byte,)))
        return (await socket.receive()).data

    assert encode(Connack(False, 0), V311) == run(gateway, scenario)


def test_text_frame(gateway: Gateway) -> None:
    """A text frame is a protocol error: the connection is closed."""

    async def scenario(socket: aiohttp.ClientWebSocketResponse) -> Any:
        await socket.send_str("x")
        return (await socket.receive()).type

    assert aiohttp.WSMsgType.CLOSE == run(gateway, scenario)


@pytest.mark.parametrize("how", ["close frame", "reset", "end of stream", "no frame", "text frame"])
def test_close_frame_is_a_goodbye(gateway: Gateway, how: str) -> None:
    """After a close frame the will is not published, after a connection that ends in any other way it is."""
    watcher = gateway.client("watcher")
    watcher.subscribe("wills", "$aws/events/presence/disconnected/c")

    async def scenario(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_bytes(encode(Connect(V311, "c", will=Will("wills", b"")), V311))
        await socket.receive()
        transport = socket._response.connection.transport
        if how == "close frame":
            await socket.close()
        elif how == "reset":
            transport.abort()
        elif how == "end of stream":
            transport.close()
        elif how == "no frame":
            transport.write(b"\xff" * 8)
        else:
            await socket.send_str("x")
        await socket.receive()

    run(gateway, scenario)
    topics = [watcher.receive().topic]
    topics += [each.topic for each in watcher.quiet()]
    assert ["$aws/events/presence/disconnected/c", *([] if how == "close frame" else ["wills"])] == topics


def test_much_over_a_websocket(gateway: Gateway) -> None:
    """Megabytes go through in order; the client that does not read at first loses nothing of QoS 1."""
    writer = gateway.client("writer")

    async def scenario(socket: aiohttp.ClientWebSocketResponse) -> int:
        await socket.send_bytes(encode(Connect(V311, "c"), V311))
        await socket.send_bytes(encode(Subscribe(1, (SubscriptionRequest("a"),)), V311))
        await socket.receive()
        await asyncio.to_thread(lambda: [writer.publish("a", b"x" * 50_000, 0) for _ in range(20)])
        await asyncio.to_thread(writer.quiet)
        received = len((await socket.receive()).data)
        while received < 20 * 50_000:
            received += len((await socket.receive()).data)
        return received

    size = len(encode(Publish("a", b"x" * 50_000), V311))
    assert run(gateway, scenario) in range(20 * 50_000, 20 * size + 6)
