"""Credentials for components: who asks rightly gets them; and sizes of artifacts as S3 answers them."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from iotctl.local.devices.core import artifacts
from iotctl.local.devices.core.artifacts import Artifact
from iotctl.local.devices.core.faults import Code, Failed, Offline
from iotctl.local.devices.core.presign import Credentials
from iotctl.local.devices.core.tokens import PATH, TokenExchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOUND = Credentials("key", "secret", "token", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC))


def asked(request: str, credentials: Callable[[], Credentials] = lambda: FOUND) -> tuple[int, dict[str, str]]:
    """What the service answers to a request that is sent as it stands."""

    async def exchange() -> bytes:
        service = TokenExchange(credentials, lambda token: token == "mine")
        port = urlsplit(await service.start()).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        await service.stop()
        return answer

    head, _, body = asyncio.run(exchange()).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def get(path: str = PATH, token: str = "mine", method: str = "GET") -> str:
    """A request."""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nauthorization: {token}\r\n\r\n"


def test_a_component_gets_credentials() -> None:
    """In the words of a container's credentials provider."""
    assert (
        200,
        {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2026-01-31T12:00:00Z"},
    ) == asked(get())


def test_who_else_asks_gets_none() -> None:
    """Another token or none, another path, another method."""
    found = [asked(get(token="other"))[0], asked(get(token=""))[0], asked(get("/"))[0], asked(get(method="POST"))[0]]
    assert [403, 403, 404, 400] == found


def test_why_there_are_none_now() -> None:
    """Offline is for later; refused is said with the reason."""

    def raising(error: Exception) -> Callable[[], Credentials]:
        def credentials() -> Credentials:
            raise error

        return credentials

    assert (503, {"message": "away"}) == asked(get(), raising(Offline("away")))
    assert (403, {"message": "no alias"}) == asked(get(), raising(Failed("no alias")))


class _S3(http.server.BaseHTTPRequestHandler):
    """Answers as the path says: `/STATUS?HEADER=VALUE`."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.send_response(int(address.path.strip("/")))
        for pair in filter(None, address.query.split("&")):
            name, _, value = pair.partition("=")
            self.send_header(name, value.replace("+", " "))
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a server that answers as it is told."""
    with http.server.HTTPServer(("127.0.0.1", 0), _S3) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


ARTIFACT = Artifact("s3://bucket/key", "key", "")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("HEAD", "/200?content-length=123", ("", 123)),
        ("GET", "/206?content-range=bytes+0-0/4567", ("", 4567)),
        ("GET", "/416?content-range=bytes+*/0", ("", 0)),
        ("HEAD", "/301?x-amz-bucket-region=eu-north-1", ("eu-north-1", 0)),
        ("HEAD", "/400?x-amz-bucket-region=eu-north-1", ("eu-north-1", 0)),
    ],
)
def test_the_size_of_an_artifact(s3: str, method: str, path: str, expected: tuple[str, int]) -> None:
    """As a whole, by a range, of an empty one; or the region in which it must be asked for."""
    assert expected == artifacts.size_of(ARTIFACT, method, s3 + path)


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/403", (Code.DOWNLOAD, Code.FORBIDDEN)),
        ("/404", (Code.DOWNLOAD, Code.NOT_FOUND)),
        ("/400", (Code.DOWNLOAD,)),
        ("/503", None),
        ("/429", None),
    ],
)
def test_why_an_artifact_has_no_size(s3: str, path: str, codes: tuple[Code, ...] | None) -> None:
    """What will not change fails; what may is tried again."""
    with pytest.raises(Failed if codes else Offline) as caught:
        artifacts.size_of(ARTIFACT, "HEAD", s3 + path)
    assert codes == getattr(caught.value, "codes", None)
