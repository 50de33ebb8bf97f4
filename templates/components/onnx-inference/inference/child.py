"""The agent's end of a worker: start it, speak with it without ever waiting for it, and know why it ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from inference import frames

if TYPE_CHECKING:
    from inference.releases import Release

_CHUNK = 1 << 18
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_KEPT = ("LD_LIBRARY_PATH", "LANG", "LC_ALL")

_SIGNALS = {
    signal.SIGXCPU: "it took more CPU time than limits.cpuSeconds",
    signal.SIGKILL: "it was killed, as the kernel does when memory runs out",
    signal.SIGSEGV: "it crashed (segmentation fault)",
    signal.SIGABRT: "it aborted, as onnxruntime does when memory runs out",
}


class Item(NamedTuple):
    """An input on its way.

    Attributes:
        payload: its bytes.
        name: of the file it came from, if any: its suffix tells its type.
        done: called once its answer, good or bad, has gone out, from any thread; until then its source keeps it.
        sample: run the sample; there is no payload.
        over: whether its source is going to bring it again, so that an answer to this one would be a second one.

    """

    payload: bytes
    name: str = ""
    done: Any = None
    sample: bool = False
    over: Any = None


class Who(NamedTuple):
    """What every prediction says of its device."""

    thing_name: str
    boot_id: str


class Child:
    """One worker process with one release of a model."""

    def __init__(self, release: Release, who: Who, scratch: str) -> None:
        self.release = release
        self.ready: dict[str, Any] | None = None
        self.waiting: deque[Item] = deque()
        """Inputs sent and not answered, in order."""
        self.refused = ""
        self._killed = ""
        self._out = bytearray()
        self._unpacker = frames.Unpacker()
        self.since = time.monotonic()
        """When it was last heard of, or given something after being idle."""
        self._home = tempfile.mkdtemp(dir=scratch)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-B", "-m", "inference.worker", str(theirs.fileno()), str(os.getpid())],
                cwd=self._home,
                env=_environment(self._home),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        order = {
            "configuration": json.dumps(release.document),
            "path": release.model_path,
            "sample": release.sample_path,
            "labels": release.labels(),
            "thingName": who.thing_name,
            "bootId": who.boot_id,
        }
        self._send(frames.LOAD, json.dumps(order).encode())

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._out)

    def activate(self, seq: int) -> None:
        """From now on its predictions count; the first has this number."""
        self._send(frames.ACTIVATE, seq.to_bytes(8, "little"))

    def infer(self, item: Item) -> None:
        """Give it an input; `flush` sends it."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting.append(item)
        self._out += frames.pack(frames.SAMPLE if item.sample else frames.INPUT, item.payload)

    def overdue(self, now: float) -> str | None:
        """Why it has to be ended, when it takes too long."""
        limits = self.release.configuration.limits
        if self.ready is None:
            if now - self.since > limits.load_seconds:
                return f"it was not ready within limits.loadSeconds {limits.load_seconds:g}"
        elif self.waiting and (now - self.since) * 1000 > limits.timeout_ms:
            return f"an inference took more than limits.timeoutMs {limits.timeout_ms:g}"
        return None

    def kill(self, reason: str) -> None:
        """End it, for a reason."""
        self._killed = reason
        self._process.kill()

    def flush(self) -> None:
        """Send what waits, as far as it goes."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._out:
                del self._out[: self._socket.send(self._out)]

    def receive(self) -> Iterator[frames.Frame]:
        """What it says.

        Raises:
            EOFError: it ended.

        """
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self.since = time.monotonic()
        yield from self._unpacker.feed(data)

    def close(self, *, ended: bool = False) -> str:
        """End it for good; why it ended by itself, if it did (`ended`).

        It keeps nothing, so nothing is lost when it is killed, and Python takes a while to end by itself.
        """
        self._socket.close()
        if not ended:
            self._killed = self._killed or "it was ended"
            self._process.kill()
        try:
            code = self._process.wait(0.0 if self._killed else 1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
        return self._killed or self.refused or _ended(code)

    def _send(self, kind: int, payload: bytes) -> None:
        self._out += frames.pack(kind, payload)
        self.flush()


def _ended(code: int) -> str:
    if code >= 0:
        return f"its process ended (exit code {code})"
    with contextlib.suppress(ValueError):
        return _SIGNALS.get(signal.Signals(-code), f"its process was ended by {signal.Signals(-code).name}")
    return f"its process was ended by signal {-code}"


def _environment(home: str) -> dict[str, str]:
    """Of a worker: nothing of the agent's, its credentials least of all."""
    path: list[str] = [_PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # Nothing about a core's models goes to whoever made onnxruntime, and nothing is written for that.
    quiet = {"ORT_DISABLE_TELEMETRY": "1"}
    return {**kept, **threads, **quiet, "PYTHONPATH": os.pathsep.join(path), "TMPDIR": home, "HOME": home}
