"""The guided tour: a platform of its own, a fleet from a CSV, and what any AWS client then sees. Real commands only."""

from __future__ import annotations

import importlib.resources
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import files
from iotctl.aws import Aws
from iotctl.errors import Error, Exit
from iotctl.local import demo_models
from iotctl.target import Platform
from iotctl.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotctl.mqtt import Connection

FLEET: Final = "fleet.csv"
_MOST_LINES: Final = 10
_LATE_SECONDS: Final = 60
_GROUP: Final = "assembly"
_ALIVE: Final = 20
_SHOWN_THING: Final = "assembly-01"

Line = dict[str, str]


class Failed(Error):
    """A command of the tour ended with a code that it should not."""

    exit = Exit.BUG
    word = "DemoFailed"


def tour(directory: Path, *, clean: bool, terminal: bool) -> Iterator[Line]:
    """Run the tour, command by command.

    Args:
        directory: of its own; everything it makes is in there.
        clean: stop the platform and remove the directory at the end, also where the tour fails.
        terminal: let the commands draw for a terminal.

    Yields:
        Lines: the command first, with its prompt, then what it printed.

    Raises:
        Failed: a command did not end as it should.

    """
    stage = Stage(files.private_directory(directory), terminal=terminal)
    try:
        yield from _onboarding(stage)
        yield from _converging(stage)
        yield from demo_models.edge(stage)
        if not clean:
            yield from _next(stage)
    finally:
        stage.end(clean=clean)
    if clean:
        yield _line("")
        yield _line("The platform has stopped, and everything of the tour is removed.")


class Stage:
    """Where the tour runs its commands: one directory, one environment."""

    def __init__(self, directory: Path, *, terminal: bool) -> None:
        self.directory = directory
        self.home = directory / "state"
        self._terminal = terminal
        self._beside: list[subprocess.Popen[str]] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IOTCTL_"))}
        width = str(shutil.get_terminal_size().columns)
        ours = {"IOTCTL_HOME": str(self.home), "IOTCTL_TARGET": "local", "NO_COLOR": "1", "COLUMNS": width}
        self._environment = {**kept, **ours}

    @property
    def exports(self) -> str:
        """The line that makes any shell act on the tour's platform."""
        return f"export IOTCTL_HOME={shlex.quote(str(self.home))} IOTCTL_TARGET=local"

    def iotctl(self, *words: str, ends: int = 0) -> Iterator[Line]:
        """Show a command, run it, show what it printed.

        Raises:
            Failed: it ended with another code than it should.

        """
        yield _line("")
        yield _line(f"$ iotctl {shlex.join(words)}")
        code, output = self._run([sys.executable, "-m", "iotctl", *words])
        lines = output.splitlines()
        cut = lines
        if len(lines) > _MOST_LINES:
            # The last line is often the one that sums it up.
            left = len(lines) - _MOST_LINES
            cut = [*lines[: _MOST_LINES - 1], f"… {count(left, 'more line')} …", lines[-1]]
        for text in cut:
            yield _line(text.expandtabs(20))
        if code != ends:
            raise Failed(
                f"`iotctl {shlex.join(words)}` ended with {code}", hint="iotctl local demo --clean starts afresh"
            )

    def answer(self, *words: str) -> list[str]:
        """Run a command, and take what it wrote to stdout.

        Raises:
            Failed: it ended with a code that is not 0.

        """
        command = [sys.executable, "-m", "iotctl", *words]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"`iotctl {shlex.join(words)}` ended with {done.returncode}")
        return done.stdout.splitlines()

    def aws(self, words: str, op: str, **params: Any) -> Iterator[Line]:  # noqa: ANN401  AWS's own shapes
        """Show a command of the AWS CLI and the answer that it gets: the same call, to the same endpoint."""
        yield _line("")
        yield _line(f"$ aws iot {words}")
        answer = self.client().call(op, **params)
        for text in json.dumps(answer, indent=2, default=str).splitlines():
            yield _line(text)

    def beside(self, *words: str, until: str) -> Iterator[Line]:
        """Show a command, start it beside the tour, and go on once a line of its output holds `until`.

        Raises:
            Failed: it ended before.

        """
        yield _line("")
        yield _line(f"$ iotctl {shlex.join(words)} &")
        started = subprocess.Popen(
            [sys.executable, "-m", "iotctl", *words],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._beside.append(started)
        assert started.stdout is not None
        late = threading.Timer(_LATE_SECONDS, started.terminate)
        late.start()
        for text in started.stdout:
            yield _line(text.rstrip().expandtabs(20))
            if until in text:
                late.cancel()
                # What follows is read to the end, so that it never waits for a reader.
                threading.Thread(target=started.stdout.read, daemon=True).start()
                return
        raise Failed(f"`iotctl {shlex.join(words)}` ended with {started.wait()}")

    def end(self, *, clean: bool) -> None:
        """Stop what runs beside the tour; with `clean` the platform too, and remove the directory."""
        for running in self._beside:
            running.terminate()
            running.wait()
        if clean:
            self._run([sys.executable, "-m", "iotctl", "local", "down"])
            shutil.rmtree(self.directory)

    def client(self) -> Aws:
        """The platform of the tour, as any AWS SDK reaches it."""
        return Aws(platform=self._platform())

    def connection(self) -> Connection:
        """An MQTT connection to it, as an operator has one; enter it to connect."""
        from iotctl.mqtt import Connection

        aws, platform = self.client(), self._platform()
        endpoint = aws.call("iot:DescribeEndpoint", endpointType="iot:Data-ATS")["endpointAddress"]
        return Connection.operator(
            endpoint,
            platform.https_port,
            region=platform.region,
            credentials=aws.credentials,
            ca_file=platform.ca_file,
            paced=False,
        )

    def _platform(self) -> Platform:
        return Platform.from_json(json.loads((self.home / "local" / "platform.json").read_bytes()))

    def _run(self, command: list[str]) -> tuple[int, str]:
        if not self._terminal:
            done = subprocess.run(
                command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout
        return _on_terminal(command, self.directory, self._environment)


def _onboarding(stage: Stage) -> Iterator[Line]:
    fleet = stage.directory / FLEET
    fleet.write_text(importlib.resources.files("iotctl.local").joinpath("demo.csv").read_text("utf-8"), "utf-8")
    yield _line(
        "This tour runs AWS IoT on this machine, and makes 200 things out of a CSV file. No account is touched."
    )
    yield _line("")
    yield _line(f"$ {stage.exports}")
    yield from stage.iotctl("local", "up", "--detach", "--ports", "auto")
    yield from stage.iotctl("onboard", "check", FLEET)
    yield from stage.iotctl("onboard", "apply", FLEET, "--dry-run")
    yield from stage.iotctl("onboard", "apply", FLEET, "--yes")
    yield _line("")
    yield _line("# Again: nothing is made twice, whatever happened in between.")
    yield from stage.iotctl("onboard", "apply", FLEET, "--yes")
    yield from stage.iotctl("onboard", "status")
    yield _line("")
    yield _line("# What the AWS CLI sees, and any AWS SDK: the same fleet.")
    yield from stage.aws(f"describe-thing --thing-name {_SHOWN_THING}", "iot:DescribeThing", thingName=_SHOWN_THING)
    principals = stage.client().call("iot:ListThingPrincipals", thingName=_SHOWN_THING)["principals"]
    yield from stage.aws(
        f"list-attached-policies --target {principals[0]}", "iot:ListAttachedPolicies", target=principals[0]
    )
    things = sum(len(page["things"]) for page in stage.client().pages("iot:ListThings", maxResults=100))
    yield _line("")
    yield _line("$ aws iot list-things --query 'length(things)'")
    yield _line(str(things))


def _converging(stage: Stage) -> Iterator[Line]:
    yield _line("")
    yield _line("# Twenty of them come alive: they connect with the certificates that were made for them.")
    yield from stage.beside("local", "devices", str(_ALIVE), until=f"{_ALIVE} of {_ALIVE}")
    yield _line("")
    yield _line("# A change for all of them; it is over when every device has reported it.")
    yield from stage.iotctl(
        "shadow", "set", "-g", _GROUP, "config.rate=5", "--max-changes", str(_ALIVE), "--wait", "30s", "--yes"
    )
    yield from stage.iotctl("shadow", "get", _SHOWN_THING, "--path", "reported")
    yield from stage.iotctl("shadow", "diff", "-g", _GROUP, "--exit-code")


def _next(stage: Stage) -> Iterator[Line]:
    found = shutil.which("iotctl") is not None
    for text in (
        "",
        "The platform goes on running. To look around with any AWS tool:",
        *(() if found else (f'  export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',)),
        f"  {stage.exports}",
        '  eval "$(iotctl local env)"',
        "  aws iot list-thing-groups",
        f"  iotctl local devices {_ALIVE} --bundles {shlex.quote(str(stage.directory / 'fleet-fleet'))}",
        f"  iotctl shadow watch -g {_GROUP}",
        f"  ls {shlex.quote(str(stage.directory / 'fleet-fleet' / 'devices' / _SHOWN_THING))}",
        "Then your own fleet: a CSV whose header has thing_name, and `iotctl onboard check FILE`.",
        "To remove everything of this tour: iotctl local demo --clean",
    ):
        yield _line(text)


def _on_terminal(command: list[str], directory: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own, so that it draws as it would for a person."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        command, cwd=directory, env=dict(environment), stdin=subprocess.DEVNULL, stdout=its, stderr=its
    ) as running:
        os.close(its)
        written = bytearray()
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed: Linux says EIO where others say end of file
                break
            if not part:
                break
            written += part
    os.close(ours)
    return running.returncode, written.decode(errors="replace").replace("\r\n", "\n")


def _line(text: str) -> Line:
    return {"line": text}
