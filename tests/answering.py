"""A server in AWS's place that answers what it is told, for what the local platform has not: IAM, and garbage."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iotctl.aws import Aws
from iotctl.target import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENT_ERRORS = {"x-amzn-requestid": "req-1", "content-type": "application/json"}


@dataclass
class Server:
    """A server on this machine; `answers` are given one by one, the last for ever."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, status: int, body: object, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {**_CLIENT_ERRORS, **headers}, content))

    def aws(self) -> Aws:
        key, secret = "IOTCTLLOCAL0123456789", "s3cr3t-canary"
        return Aws(platform=Platform(self.url, 0, 0, "", "123456789012", "us-east-1", 0, key, secret))


@contextlib.contextmanager
def answering() -> Iterator[Server]:
    """Start one, and end it."""
    told = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, headers, body = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            self.send_response_only(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  the names that the standard library calls

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        told.url = f"http://127.0.0.1:{serving.server_address[1]}"
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            serving.shutdown()
            thread.join()
