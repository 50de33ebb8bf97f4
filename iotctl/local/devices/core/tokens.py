"""The token exchange service: components get the role alias's credentials from the core, on this machine only.

They ask as they ask a container's credentials provider, which every AWS SDK does by itself where
AWS_CONTAINER_CREDENTIALS_FULL_URI is set. Who asks must have a component's own token.
Source: the developer guide's interact-with-aws-services page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Final

from iotctl.local.devices.core.faults import Failed, Offline

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.devices.core.presign import Credentials

PATH: Final = "/2016-11-01/credentialprovider/"

_HOST: Final = "127.0.0.1"
_LARGEST: Final = 16 * 1024
_PATIENCE_SECONDS: Final = 10.0
_REASONS: Final = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


class TokenExchange:
    """The service.

    Args:
        credentials: gives them; it blocks.
        knows: whether a token is a component's.

    """

    def __init__(self, credentials: Callable[[], Credentials], knows: Callable[[str], bool]) -> None:
        self._credentials = credentials
        self._knows = knows
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; the URL."""
        self._server = await asyncio.start_server(self._serve, _HOST, 0, limit=_LARGEST)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://localhost:{port}{PATH}"

    async def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._asking.add(task)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, content = await self._answer(head)
            body = json.dumps(content).encode()
            lines = (
                f"HTTP/1.1 {status} {_REASONS[status]}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._asking.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: str) -> tuple[int, dict[str, str]]:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method != "GET":
            return 400, {"message": "GET only"}
        if path.rstrip("/") != PATH.rstrip("/"):
            return 404, {"message": "there is nothing here"}
        if not self._knows(headers.get("authorization", "")):
            return 403, {"message": "this is not a component's token"}
        try:
            found = await asyncio.to_thread(self._credentials)
        except Offline as error:
            return 503, {"message": str(error)}
        except Failed as error:
            return 403, {"message": error.message}
        return 200, {
            "AccessKeyId": found.key_id,
            "SecretAccessKey": found.secret,
            "Token": found.token,
            "Expiration": found.expiration,
        }
