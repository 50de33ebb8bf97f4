"""A stage for crash points: processes that have everything imported already, stopped at a chosen moment.

`python -m tests.faults.stage SOCKET` is a fork server without threads. For each job that a connection brings it forks
one process, which counts its moments with an audit hook, so that the tool itself stays as it is: a file or directory
made, opened for writing, renamed or removed below the job's directory, a database opened there, bytes handed to an HTTP
connection. At the chosen moment, before it has happened, the process is killed, stopped or interrupted, or the system
refuses it (the disk is full). So a crash point costs a sixth of a second and no start of Python. What SQLite writes
inside is not a moment: the random kills of the campaign are for that.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IOTCTL: Final = "iotctl.cli:run"
SIGNALS: Final = {
    "kill": signal.SIGKILL,
    "stop": signal.SIGSTOP,
    "interrupt": signal.SIGINT,
    "terminate": signal.SIGTERM,
}
ERRORS: Final = {"full": errno.ENOSPC, "forbidden": errno.EACCES, "read-only": errno.EROFS}
_PRELOADED: Final = (
    "jinja2",
    "urllib3",
    *(f"iotctl.{name}" for name in ("bundle", "cli", "engine", "journal", "made", "output", "scope")),
    *(f"iotctl.onboard.{name}" for name in ("cli", "effects", "fleet", "observe", "plan", "rotations", "undo", "used")),
    *(f"iotctl.ota.{name}" for name in ("cli", "advance", "draft", "effects", "observe", "plan", "report")),
)
_SERVICES: Final = ("iot", "iot-data", "s3", "service-quotas", "sts")
_OF_FILES: Final = ("open", "os.mkdir", "os.rename", "sqlite3.connect")
_PATIENCE: Final = 90.0


@dataclass(frozen=True, slots=True)
class Job:
    """One process to run.

    Attributes:
        argv: the command line, without the program.
        cwd: its directory; what happens below it is a moment.
        environment: all of it.
        strike: what happens at the moment: a key of SIGNALS; or of ERRORS, then only moments of files count.
        at: the number of the moment, from 1, or how its description begins; 0 for none.
        program: `module:function`, called with argv; what it returns is the exit code.
        read_timeout: seconds that an HTTP answer may take; 0: as the tool has it.

    """

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    strike: str = "kill"
    at: int | str = 0
    program: str = IOTCTL
    read_timeout: float = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; the negative number of the signal that ended it.
        moments: what was counted, in order, the one that was struck included.
        struck: whether the chosen moment came.

    """

    code: int
    moments: tuple[str, ...]
    struck: bool
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON envelope on stdout."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


@dataclass(slots=True)
class Running:
    """A process on the stage."""

    pid: int
    _lines: Any
    _stdout: Path
    _stderr: Path
    _moments: list[str] = field(default_factory=list)
    _struck: bool = False
    _code: int | None = None

    def until_stopped(self) -> Self:
        """Wait until it has been stopped (SIGSTOP) at its moment."""
        while not self._next().get("stopped"):
            assert self._code is None, f"it ended with {self._code} and was never stopped: {self._stderr.read_text()}"
        return self

    def resume(self) -> None:
        """Let a stopped process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> Ended:
        """Wait for its end."""
        while self._code is None:
            self._next()
        return Ended(self._code, tuple(self._moments), self._struck, self._stdout.read_text(), self._stderr.read_text())

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.end()

    def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._lines.readline() or '{"code": -1}')
        if "moment" in said:
            self._moments.append(said["moment"])
        self._struck |= said.get("struck", False)
        self._code = said.get("code")
        return said


class Stage:
    """The fork server, for tests: `with Stage() as stage: stage.run(Job(…))`."""

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="stage-")
        self._address = str(Path(self._directory.name) / "socket")
        self._count = itertools.count()
        self._started: list[Running] = []
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.stage", self._address],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._started:
            running.kill()
        self._server.communicate(timeout=_PATIENCE)  # it ends when its standard input does
        self._directory.cleanup()

    def start(self, job: Job) -> Running:
        """Start a process."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE)
        connection.connect(self._address)
        beside = Path(self._directory.name) / str(next(self._count))
        stdout, stderr = beside.with_suffix(".stdout"), beside.with_suffix(".stderr")
        for path in (stdout, stderr):
            path.touch()  # a kill may come before the process has opened its own
        with connection:
            connection.sendall(json.dumps({**asdict(job), "stdout": str(stdout), "stderr": str(stderr)}).encode())
            connection.sendall(b"\n")
            lines = connection.makefile("rb")
        running = Running(json.loads(lines.readline())["pid"], lines, stdout, stderr)
        self._started.append(running)
        return running

    def run(self, job: Job) -> Ended:
        """Run a process to its end."""
        running = self.start(job)
        ended = running.end()
        self._started.remove(running)
        running._lines.close()
        return ended


def serve(address: str) -> None:
    """Fork a process for each job until standard input ends."""
    _preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _supervise(connection)
                os._exit(0)
            connection.close()


def _preload() -> None:
    from iotctl.aws import models
    from tests import botocores

    # As the tool imports it, then all that a run imports on its way.
    for name in ("boto3", "botocore.config", "botocore.handlers", "botocore.endpoint"):
        models.module(name)
    for name in _PRELOADED:
        importlib.import_module(name)
    # What botocore works out for each new session is there before anything is forked.
    botocores.share()
    for service in _SERVICES:
        models.module("boto3").Session("none", "none", region_name="us-east-1").client(service)
    # What is there by now is never looked through again for what nobody needs.
    gc.collect()
    gc.freeze()


def _supervise(connection: socket.socket) -> None:
    """Start the process, and tell how it fares."""
    with connection.makefile("rb") as lines:
        job = json.loads(lines.readline())
    child = os.fork()
    if child == 0:
        _perform(job, connection.fileno())
    _tell(connection.fileno(), pid=child)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            _tell(connection.fileno(), code=os.waitstatus_to_exitcode(status))
            return
        _tell(connection.fileno(), stopped=True)


def _perform(job: Mapping[str, Any], ear: int) -> None:
    """Be the process; never returns."""
    code = 70
    try:
        for number, path in enumerate((os.devnull, job["stdout"], job["stderr"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
            os.dup2(os.open(path, flags, 0o600), number)
        os.chdir(job["cwd"])
        os.environ.clear()
        os.environ.update(job["environment"])
        os.umask(0)
        # A shell's background job ignores it, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if job["read_timeout"]:
            vars(importlib.import_module("iotctl.aws"))["READ_TIMEOUT"] = job["read_timeout"]
        module, _, function = job["program"].partition(":")
        program = getattr(importlib.import_module(module), function)
        _watch(job, ear)
        code = program(job["argv"])
    except BaseException:  # noqa: BLE001  the process ends here whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(job: Mapping[str, Any], ear: int) -> None:
    """Count the moments from here on, and strike at the chosen one."""
    below, at, strike = job["cwd"] + os.sep, job["at"], job["strike"]
    number = itertools.count(1)
    pending = iter([True])

    def hook(event: str, args: tuple[Any, ...]) -> None:
        moment = _moment(event, args, below)
        if moment is None or (strike in ERRORS and not moment.startswith(_OF_FILES)):
            return
        hit = next(number) == at if isinstance(at, int) else moment.startswith(at) and next(pending, False)
        _tell(ear, moment=moment, struck=hit)
        if hit and strike in ERRORS:
            raise OSError(ERRORS[strike], os.strerror(ERRORS[strike]), str(args[0]))
        if hit:
            os.kill(os.getpid(), SIGNALS[strike])

    sys.addaudithook(hook)


def _moment(event: str, args: tuple[Any, ...], below: str) -> str | None:
    """What is about to happen, if it counts; it must open and import nothing, or the hook would meet itself."""
    if event == "http.client.send":
        sent = bytes(args[1]) if isinstance(args[1], bytes | bytearray) else b""
        return f"{event} {sent.partition(b' HTTP/1.1')[0].decode('ascii') if b' HTTP/1.1' in sent else '(body)'}"
    if event == "open":
        path, _, flags = args
        return f"{event} {path}" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and _is_below(path, below) else None
    if event == "os.mkdir" and Path(args[0]).is_dir():
        return None  # to make what is there already changes nothing, and is not refused
    if event in {"os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.truncate", "sqlite3.connect"}:
        # With a directory's descriptor beside it (shutil.rmtree) a name is below: nothing else is removed that way.
        relative_to_descriptor = event in {"os.remove", "os.rmdir"} and args[-1] != -1
        return f"{event} {args[0]}" if relative_to_descriptor or _is_below(args[0], below) else None
    return None


def _is_below(path: Any, below: str) -> bool:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        return False
    return os.path.join(below, os.fspath(path)).startswith(below)  # noqa: PTH118  as the system joins them


def _tell(ear: int, **what: Any) -> None:
    os.write(ear, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    serve(sys.argv[1])
