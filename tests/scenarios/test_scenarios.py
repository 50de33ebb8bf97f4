"""Terminal sessions: every `*.console` file is run, and what it shows is what happens.

A line `$ command` is run by bash; the lines below are its output, standard error included; `[n]` is its exit code (0
where absent). `…` stands for anything within a line, a line of `…` alone for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from iotctl.target import Platform

HERE = Path(__file__).parent


@dataclass
class Command:
    """One command of a session and what it is to show."""

    line: str
    output: list[str] = field(default_factory=list)
    code: int = 0


def sessions() -> list[Path]:
    """Every session file."""
    return sorted(HERE.glob("*.console"))


def commands(session: Path) -> list[Command]:
    """The commands of a session; a line that starts with `> ` goes on with the command above."""
    found: list[Command] = []
    for line in session.read_text("utf-8").splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif line.startswith("> ") and not found[-1].output:
            found[-1].line += "\n" + line[2:]
        elif code := re.fullmatch(r"\[(\d+)\]", line):
            found[-1].code = int(code[1])
        elif found and not line.startswith("#"):
            found[-1].output.append(line)
    return found


@pytest.mark.parametrize("session", sessions(), ids=lambda path: path.stem)
def test_session(session: Path, platform: Platform, tmp_path: Path) -> None:
    """What the session shows is what the commands do, one after the other, in an empty directory."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands(session):
        ran = subprocess.run(
            ["bash", "-c", command.line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        expected = "\n".join(command.output).strip()
        shown = f"$ {command.line}\n{ran.stdout}[{ran.returncode}]"

        assert pattern(expected).fullmatch(ran.stdout.strip()), f"expected:\n{expected}\n\n{shown}"
        assert command.code == ran.returncode, shown


def pattern(expected: str) -> re.Pattern[str]:
    """What the output must match."""
    lines = [
        r"(?:.*\n)*?.*" if line == "…" else ".*".join(re.escape(part) for part in line.split("…"))
        for line in expected.split("\n")
    ]
    return re.compile("\n".join(lines))
