"""The end of Greengrass IPC that a nucleus has: just what the program asks of it, over a real socket.

AWS's SDK for Python has no server, so this speaks the wire format by itself (the event stream encoding of AWS's common
runtime: lengths, CRC-32s, typed headers, JSON); what answers, the SDK's own client must be able to read.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import socket
import struct
import threading
import zlib
from pathlib import Path
from typing import Any, Self

_PRELUDE = struct.Struct(">III")
_INT32, _STRING = 4, 7
_MESSAGE, _ERROR, _CONNECT, _CONNECT_ACK = 0, 1, 4, 5
_ACCEPTED, _LAST = 1, 2


class Nucleus:
    """A nucleus for one component.

    Args:
        path: of its socket.
        configuration: what GetConfiguration gives.
        granted: whether a topic may be published to or subscribed to (`accessControl`).

    Attributes:
        token: that the component sent.
        offline: it has no connection, and answers as nucleus lite does then; `refused` is set when it has.
        published: PublishToIoTCore requests: topic, QoS, payload.
        subscribed: SubscribeToIoTCore requests: topic, QoS.

    """

    def __init__(self, path: Path, configuration: dict[str, Any], granted: tuple[str, ...]) -> None:
        self._configuration, self._granted = configuration, granted
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, name="nucleus")
        self._peer: socket.socket | None = None
        self._streams: dict[str, int] = {}
        self._lock = threading.Lock()
        self.token = ""
        self.offline = False
        self.refused = threading.Event()
        self.published: queue.Queue[tuple[str, str, bytes]] = queue.Queue()
        self.subscribed: queue.Queue[tuple[str, str]] = queue.Queue()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self._thread.join(10)
        self._server.close()

    def send(self, topic: str, payload: bytes) -> None:
        """Hand a message to who has subscribed."""
        message = {"message": {"topicName": topic, "payload": base64.b64encode(payload).decode()}}
        self._say(self._streams[topic], "IoTCoreMessage", message)

    def hang_up(self) -> None:
        """Go away."""
        if self._peer:
            with contextlib.suppress(OSError):  # the component may be gone
                self._peer.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peer = peer
            with peer, peer.makefile("rb") as file:
                try:
                    while head := file.read(_PRELUDE.size):
                        self._take(*_parts(head, file.read(_PRELUDE.unpack(head)[0] - _PRELUDE.size)))
                except (OSError, ValueError):
                    continue

    def _take(self, headers: dict[str, Any], payload: bytes) -> None:
        if headers[":message-type"] == _CONNECT:
            assert "0.1.0" == headers[":version"]
            self.token = json.loads(payload)["authToken"]
            self._write({":message-type": _CONNECT_ACK, ":message-flags": _ACCEPTED, ":stream-id": 0})
            return
        stream, operation = headers[":stream-id"], headers.get("operation", "")
        asked = json.loads(payload) if payload else {}
        if operation == "aws.greengrass#GetConfiguration":
            value: Any = self._configuration
            for key in asked["keyPath"]:
                value = value[key]
            self._say(stream, "GetConfigurationResponse", {"componentName": "c", "value": value}, flags=_LAST)
        elif operation in {"aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"}:
            topic, word = asked["topicName"], operation.partition("#")[2]
            if topic not in self._granted:
                said = {"message": f"not authorised for {word} on {topic}"}
                self._say(stream, "UnauthorizedError", said, kind=_ERROR, flags=_LAST)
            elif word == "PublishToIoTCore" and self.offline:
                self._say(stream, "ServiceError", {"message": "Failed to publish."}, kind=_ERROR, flags=_LAST)
                self.refused.set()
            elif word == "PublishToIoTCore":
                self._say(stream, f"{word}Response", {}, flags=_LAST)
                self.published.put((topic, asked["qos"], base64.b64decode(asked["payload"])))
            else:
                self._streams[topic] = stream
                self._say(stream, f"{word}Response", {})
                self.subscribed.put((topic, asked["qos"]))

    def _say(self, stream: int, model: str, payload: Any, *, kind: int = _MESSAGE, flags: int = 0) -> None:
        headers = {":message-type": kind, ":message-flags": flags, ":stream-id": stream}
        named = {"service-model-type": f"aws.greengrass#{model}", ":content-type": "application/json"}
        self._write({**headers, **named}, json.dumps(payload).encode())

    def _write(self, headers: dict[str, Any], payload: bytes = b"") -> None:
        content = b"".join(_header(name, value) for name, value in headers.items())
        lengths = struct.pack(">II", _PRELUDE.size + len(content) + len(payload) + 4, len(content))
        whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + content + payload
        with self._lock:
            assert self._peer
            self._peer.sendall(whole + struct.pack(">I", zlib.crc32(whole)))


def _header(name: str, value: int | str) -> bytes:
    head = bytes((len(name),)) + name.encode()
    if isinstance(value, int):
        return head + struct.pack(">Bi", _INT32, value)
    return head + struct.pack(">BH", _STRING, len(value)) + value.encode()


def _parts(head: bytes, rest: bytes) -> tuple[dict[str, Any], bytes]:
    """The headers and the payload of a message, its checksums checked."""
    _, size, check = _PRELUDE.unpack(head)
    assert check == zlib.crc32(head[:8])
    assert struct.unpack(">I", rest[-4:])[0] == zlib.crc32(head + rest[:-4])
    headers: dict[str, Any] = {}
    content, place = rest[:size], 0
    while place < len(content):
        end = place + 1 + content[place]
        name, kind = content[place + 1 : end].decode(), content[end]
        if kind == _INT32:
            (headers[name],) = struct.unpack_from(">i", content, end + 1)
            place = end + 5
        else:
            assert kind == _STRING
            (length,) = struct.unpack_from(">H", content, end + 1)
            headers[name] = content[end + 3 : end + 3 + length].decode()
            place = end + 3 + length
    return headers, rest[size:-4]
