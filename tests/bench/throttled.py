"""A server that answers like AWS IoT's registry and throttles like it: a token bucket for each operation, and latency.

`python -m tests.bench.throttled RATE LATENCY` prints its port; on `GET /counts` it says what it was asked.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

ACCOUNT: Final = "123456789012"
OPERATIONS: Final = (
    ("POST", "/things/", "CreateThing"),
    ("POST", "/certificate/register-no-ca", "RegisterCertificateWithoutCA"),
    ("PUT", "/target-policies/", "AttachPolicy"),
    ("PUT", "/things/", "AttachThingPrincipal"),
)


@dataclass(slots=True)
class Bucket:
    """So many tokens a second, and as many at once."""

    rate: float
    tokens: float
    filled: float

    def take(self) -> bool:
        """Whether a token was there."""
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Server:
    """The server of one strategy."""

    def __init__(self, rate: float, latency: float) -> None:
        self._latency = latency
        self._buckets = {name: Bucket(rate, rate, time.monotonic()) for _, _, name in OPERATIONS}
        self._counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, answer = self._answer(method, path, body)
                if path != "/counts":
                    await asyncio.sleep(self._latency)
                kind = "ThrottlingException" if status == 429 else "ResourceNotFoundException"
                failed = f"x-amzn-ErrorType: {kind}\r\n" if status >= 400 else ""
                writer.write(
                    f"HTTP/1.1 {status} X\r\nx-amzn-RequestId: 1\r\n{failed}"
                    f"Content-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
                await writer.drain()
        writer.close()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/counts":
            return 200, json.dumps(self._counts).encode()
        name = next((name for verb, begin, name in OPERATIONS if method == verb and path.startswith(begin)), None)
        if name is None:
            return 404, b'{"message": "not there"}'
        if not self._buckets[name].take():
            self._counts["throttled"] += 1
            return 429, b'{"message": "Rate exceeded"}'
        self._counts[name] += 1
        if name == "RegisterCertificateWithoutCA":
            pem = "".join(json.loads(body)["certificatePem"].split("-----")[2].split())
            certificate_id = hashlib.sha256(base64.b64decode(pem)).hexdigest()
            arn = f"arn:aws:iot:us-east-1:{ACCOUNT}:cert/{certificate_id}"
            return 200, json.dumps({"certificateId": certificate_id, "certificateArn": arn}).encode()
        return 200, json.dumps({"thingName": path.split("/")[2]} if name == "CreateThing" else {}).encode()


async def main(rate: float, latency: float) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Server(rate, latency).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
