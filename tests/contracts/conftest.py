"""Run the command line as a user does: a process of its own, on a pipe or on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from iotctl import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IOTCTL = (sys.executable, "-m", "iotctl")


@dataclass(frozen=True)
class Seen:
    """What a terminal showed, and how the command ended."""

    code: int
    screen: str


@pytest.fixture
def fleet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three things in a file of a working directory of their own; their names are no other test's."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fleet.csv"
    tag = f"{os.getpid()}-{abs(hash(tmp_path))}"
    path.write_text("thing_name\n" + "".join(f"c-{tag}-{number}\n" for number in range(3)))
    return path


@pytest.fixture
def terminal() -> Callable[..., Seen]:
    """Run a command on a terminal and type answers: `terminal("onboard", "apply", "f.csv", answers={"[y/N]": "y"})`."""
    return _on_terminal


def _on_terminal(*argv: str, answers: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> Seen:
    ours, its = pty.openpty()
    waiting = dict(answers or {})
    screen = bytearray()
    deadline = clock.monotonic() + 30
    variables = {**os.environ, "TERM": "xterm", **(environment or {})}
    with subprocess.Popen([*IOTCTL, *argv], stdin=its, stdout=its, stderr=its, env=variables) as running:
        os.close(its)
        while clock.monotonic() < deadline:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # the command closed its side: Linux says EIO where others say end of file
                break
            if not part:
                break
            screen += part
            for question, answer in list(waiting.items()):
                if question.encode() in screen:
                    os.write(ours, f"{waiting.pop(question) if answer is not None else ''}\n".encode())
    os.close(ours)
    return Seen(running.returncode, screen.decode(errors="replace").replace("\r\n", "\n"))
