"""A reverse proxy on 127.0.0.1 that breaks the calls its plan names, before or after the server has applied them."""

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import urlsplit

from iotctl import clock

Plan = Callable[[int, str, str], str | None]
"""The number of the call (from 1), its method and path -> one of FAULTS, or None to let it through."""

REFUSALS: Final = {
    "throttle": (429, "ThrottlingException"),
    "fail": (500, "InternalFailureException"),
    "unavailable": (503, "ServiceUnavailableException"),
    "expired": (403, "ExpiredTokenException"),
    "denied": (403, "AccessDeniedException"),
    "limit": (410, "LimitExceededException"),
    "not-found": (404, "ResourceNotFoundException"),
    "skew": (403, "InvalidSignatureException"),
}
SKEW: Final = 1200
"""Seconds by which the clock of the server is ahead where it refuses a signature."""
FAULTS: Final = (
    *REFUSALS,
    "reset",
    "garbage",
    *(f"{way}-after" for way in ("fail", "reset", "hang", "cut", "garbage")),
)
_PORTAL: Final = b"<html><body>Please sign in to the network</body></html>"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came, and what became of it."""

    method: str
    path: str
    fault: str | None


class Proxy:
    """The proxy, in threads of this process: `with Proxy(url, plan) as proxy: … proxy.url … proxy.calls`."""

    def __init__(self, server_url: str, plan: Plan) -> None:
        self.calls: list[Call] = []
        self._plan = plan
        self._server = urlsplit(server_url)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._broken: list[BaseException] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def sent(self, method: str, path: str) -> int:
        """How many calls came with this method and a path that begins so."""
        return sum(call.method == method and call.path.startswith(path) for call in self.calls)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _any(self) -> None:
                proxy._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815  the base class's names

        class Listener(ThreadingHTTPServer):
            daemon_threads = False

            def shutdown_request(self, request: Any) -> None:
                """Close at once: the base class says an orderly end first, and a reset would not be one."""
                self.close_request(request)

            def handle_error(self, *_: object) -> None:
                """A client that went away is what these tests are about; anything else is a fault of the proxy."""
                error = sys.exception()
                if error is not None and not isinstance(error, ConnectionError):
                    proxy._broken.append(error)

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        assert [] == self._broken

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._lock:
            fault = self._plan(len(self.calls) + 1, handler.command, handler.path)
            self.calls.append(Call(handler.command, handler.path, fault))
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            date = email.utils.formatdate(clock.epoch() + SKEW, usegmt=True) if fault == "skew" else ""
            headers = {"x-amzn-ErrorType": code, **({"Date": date} if date else {})}
            _answer(handler, status, headers, json.dumps({"message": "injected"}).encode())
        elif fault == "reset":
            _reset(handler)
        elif fault == "garbage":
            _answer(handler, 200, {"Content-Type": "text/html"}, _PORTAL)
        else:
            self._break(handler, fault, *self._forward(handler, body))

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
        connection = http.client.HTTPConnection(str(self._server.hostname), self._server.port, timeout=30)
        try:
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _break(
        self, handler: BaseHTTPRequestHandler, fault: str | None, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        """Answer in the name of the server, which has applied the call."""
        match fault:
            case None:
                _answer(handler, status, headers, body)
            case "fail-after":
                _answer(handler, 500, {"x-amzn-ErrorType": "InternalFailureException"}, b'{"message": "injected"}')
            case "reset-after":
                _reset(handler)
            case "hang-after":
                self._closing.wait(60)
                handler.close_connection = True
            case "cut-after":
                # An orderly end after half of it: harder to notice than a reset.
                _answer(handler, status, headers, body, missing=len(body) // 2)
                handler.close_connection = True
            case "garbage-after":
                _answer(handler, 200, {"Content-Type": "text/html"}, _PORTAL)
            case _:
                raise ValueError(fault)


def _answer(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, Any], body: bytes, *, missing: int = 0
) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) - missing])


def _reset(handler: BaseHTTPRequestHandler) -> None:
    """Close with RST, so that the client sees a broken connection, not an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
