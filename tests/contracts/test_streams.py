"""Data on stdout, words on stderr; a person is asked on a terminal, and nobody anywhere else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.journal import Journal, Outcome
from iotctl.plan import Plan
from iotctl.result import Failure
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.conftest import Ran

_IOTCTL = (sys.executable, "-m", "iotctl")
_TABLE = "thing_name,thing_groups\nx,oslo;press\ny,oslo\n"


def _process(*argv: str, **changes: Any) -> subprocess.CompletedProcess[Any]:
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run([*_IOTCTL, *argv], **{**options, "text": True, **changes}, check=False)


def test_a_pipe_gets_data_only(iotctl: Callable[..., Ran], fleet_file: Path) -> None:
    """No head, no words, tab-separated: `cut -f2` works."""
    fleet_file.write_text(_TABLE)
    ran = iotctl("onboard", "check", "fleet.csv")
    assert "oslo\tthing group\t2\npress\tthing group\t1\niotctl-thing\tpolicy\t2\n" == ran.stdout
    assert "fleet.csv is good: 2 things\n" == ran.stderr
    assert "" == iotctl("onboard", "check", "fleet.csv", "-q").stderr


def test_a_terminal_gets_a_table(terminal: Callable[..., Any], fleet_file: Path) -> None:
    """Headed and aligned."""
    fleet_file.write_text(_TABLE)
    seen = terminal("onboard", "check", "fleet.csv", "--no-color")
    assert 0 == seen.code
    assert [["NAME", "KIND", "THINGS"], ["oslo", "thing", "group", "2"], ["press", "thing", "group", "1"]] == [
        line.split() for line in seen.screen.splitlines()[:3]
    ]


@pytest.mark.parametrize("width", ["20", "1"])
def test_a_narrow_terminal_cuts_nothing(terminal: Callable[..., Any], fleet_file: Path, width: str) -> None:
    """Cells fold."""
    fleet_file.write_text("thing_name,thing_groups\nx,a-long-group-name-0123456789\n")
    seen = terminal("onboard", "check", "fleet.csv", "--no-color", environment={"COLUMNS": width})
    assert 0 == seen.code
    assert "0123456789" in "".join(seen.screen.split()) or width == "1"


def test_a_reader_that_goes_away_is_141(fleet_file: Path) -> None:
    """`iotctl … | head -1` ends quietly."""
    fleet_file.write_text("thing_name,thing_groups\n" + "".join(f"t{n},group-{n:05d}\n" for n in range(10_000)))
    command = f"{' '.join(_IOTCTL)} onboard check fleet.csv | head -1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert ("group-00000\tthing group\t1\n141\n", "") == (ran.stdout, ran.stderr)


@pytest.mark.parametrize("form", ["table", "json", "quiet"])
@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_is_12(fleet_file: Path, form: str, buffered: str) -> None:
    """An answer that was not written whole is a failure, told without a trace."""
    with Path("/dev/full").open("w") as full:
        ran = _process(
            "onboard", "check", "fleet.csv", "-o", form, stdout=full, env={**os.environ, "PYTHONUNBUFFERED": buffered}
        )
    assert 12 == ran.returncode
    assert "error: cannot write the output: the disk is full" == ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"\\xf8"), ("latin-1", b"\xf8"), ("utf-8", "ø".encode())])
def test_any_encoding_of_the_terminal_works(tmp_path: Path, encoding: str, shown: bytes) -> None:
    """What it cannot show is an escape, never a crash."""
    with Journal(tmp_path) as journal:
        journal.begin(Plan("c", "r1", Target("aws", "1", "r"), "s", rows=({"thingName": "pump", "line": 2},)))
        journal.record("r1", [Outcome("pump", 2, "failed", {}, Failure("X", "not ø"))])
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = _process("onboard", "status", "r1", "--bundles", str(tmp_path), env=environment, text=False)
    assert (3, True) == (ran.returncode, b"not " + shown in ran.stdout)
    assert b"Traceback" not in ran.stderr


def test_nobody_is_asked_where_nobody_can_answer(
    iotctl: Callable[..., Ran], fleet_file: Path, platform: Platform
) -> None:
    """A change without --yes in a pipe: 2, and nothing was done."""
    ran = iotctl("onboard", "apply", "fleet.csv", "-o", "json")
    assert (2, "NotConfirmed") == (ran.code, ran.envelope["errors"][0]["code"])
    assert "add --yes" in ran.stderr
    assert [fleet_file] == list(fleet_file.parent.iterdir())
    from_stdin = iotctl("onboard", "apply", "-", "--bundles", "out", stdin=fleet_file.read_text())
    assert (2, [fleet_file]) == (from_stdin.code, list(fleet_file.parent.iterdir()))


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES", 0), ("n", 2), ("", 2), ("yup", 2)])
def test_a_person_is_asked(
    terminal: Callable[..., Any],
    iotctl: Callable[..., Ran],
    fleet_file: Path,
    platform: Platform,
    answer: str,
    code: int,
) -> None:
    """On a terminal: what, how much and where; only yes is yes."""
    seen = terminal("onboard", "apply", "fleet.csv", answers={"Go ahead? [y/N]": answer})
    assert code == seen.code
    where = f"the local platform, account {platform.account_id}, region {platform.region}"
    assert seen.screen.startswith(f"{where}: register 3 things, each with its own key and certificate\n")
    assert ("3 done of 3 things" if code == 0 else "not confirmed; nothing was done") in seen.screen
    assert (code == 0) == (fleet_file.parent / "fleet-fleet").exists()


@pytest.mark.parametrize("form", ["table", "json", "quiet"])
def test_a_dry_run_does_nothing(iotctl: Callable[..., Ran], fleet_file: Path, platform: Platform, form: str) -> None:
    """It shows the plan, needs no --yes, and leaves no file and no thing."""
    ran = iotctl("onboard", "apply", "fleet.csv", "--dry-run", "-o", form)
    names = fleet_file.read_text().split()[1:]
    assert 0 == ran.code
    if form == "json":
        assert (3, 3) == (ran.envelope["data"]["things"], ran.envelope["data"]["operations"]["iot:CreateThing"])
    else:
        assert ("iot:CreateThing\t3" if form == "table" else names[0]) in ran.stdout.splitlines()
    assert [fleet_file] == list(fleet_file.parent.iterdir())
    *rows, last = map(json.loads, iotctl("onboard", "plan", "fleet.csv", "-o", "json").stdout.splitlines())
    assert ({"create": 3}, ["create"] * 3) == (last["data"]["actions"], [row["action"] for row in rows])
    assert [fleet_file] == list(fleet_file.parent.iterdir())


@pytest.mark.parametrize(
    "content", ["thing_name\nok\n../x\n", "thing_name,thing_name\na,b\n", "\ufeff", "thing_name\n\x00\n"]
)
def test_bad_input_calls_nothing_and_writes_nothing(iotctl: Callable[..., Ran], fleet_file: Path, content: str) -> None:
    """There are no credentials here: a call would be 7, a platform 12."""
    fleet_file.write_text(content)
    for command in ("check", "plan", "apply"):
        assert 2 == iotctl("onboard", command, "fleet.csv", *(["--yes"] if command == "apply" else [])).code
    assert [fleet_file] == list(fleet_file.parent.iterdir())


def test_a_run_goes_through_and_again(iotctl: Callable[..., Ran], fleet_file: Path, platform: Platform) -> None:
    """Rows as they settle in a pipe; again, with or without its journal, everything is the same and still there."""
    first = iotctl("onboard", "apply", "fleet.csv", "--yes")
    names = fleet_file.read_text().split()[1:]
    assert (0, [[name, "done"] for name in names]) == (
        first.code,
        sorted(line.split("\t")[:2] for line in first.stdout.splitlines()),
    )
    assert "3 done of 3 things" in first.stderr
    for journal in (None, b"", b"garbage" * 1000):
        path = fleet_file.parent / "fleet-fleet" / "journal.db"
        path.unlink() if journal is None else path.write_bytes(journal)
        again = iotctl("onboard", "apply", "fleet.csv", "--yes")
        assert (0, sorted(first.stdout.splitlines())) == (again.code, sorted(again.stdout.splitlines()))
    planned = iotctl("onboard", "plan", "fleet.csv", "-o", "json").stdout.splitlines()
    assert {"same": 3} == json.loads(planned[-1])["data"]["actions"]
    assert 3 == len(iotctl("onboard", "apply", "fleet.csv", "--yes", "-q").stdout.splitlines())


_SLOW = """
import sys
from iotctl import aws, cli, clock
call = aws.Aws.call
def slow(self, op, **params):
    if op == "iot:CreateThing":
        sys.stderr.write("calling\\n"); sys.stderr.flush()
        clock.sleep(float(sys.argv[1]))
    return call(self, op, **params)
aws.Aws.call = slow
sys.exit(cli.run(sys.argv[2:]))
"""


def _slow_run(seconds: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _SLOW, seconds, "onboard", "apply", "fleet.csv", "--yes", "-o", "json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr
    while "calling\n" != running.stderr.readline():
        assert running.poll() is None
    return running


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_what_is_in_flight_finish(
    iotctl: Callable[..., Ran], fleet_file: Path, platform: Platform, number: signal.Signals, code: int
) -> None:
    """The envelope is whole, the rest stays planned, and the same command finishes it."""
    with _slow_run("0.3") as running:
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=20)
    envelope = json.loads(stdout)
    assert (code, code) == (running.returncode, envelope["exitCode"])
    assert 0 < envelope["data"]["planned"]
    assert "run the same command again: it resumes" in stderr
    assert 0 == iotctl("onboard", "apply", "fleet.csv", "--yes").code


def test_a_second_signal_ends_it_at_once(fleet_file: Path, platform: Platform) -> None:
    """Whatever is in flight: stopping anywhere is safe."""
    started = clock.monotonic()
    with _slow_run("60") as running:
        while running.poll() is None and clock.monotonic() - started < 20:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        running.kill()
        assert 130 == running.wait()
