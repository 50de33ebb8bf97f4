"""The exit codes that scripts rely on."""

from __future__ import annotations

import itertools
import stat
from typing import TYPE_CHECKING

import pytest

from iotctl import errors, files, plan
from iotctl.cli import _code_of
from iotctl.errors import Exit, worst
from iotctl.onboard.request import Request
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran

_CODES = {
    errors.Usage: 2,
    errors.Refused: 2,
    errors.Unsupported: 2,
    errors.NoIndex: 2,
    errors.Differs: 4,
    errors.Temporary: 5,
    errors.Throttled: 5,
    errors.Conflict: 6,
    errors.Exists: 6,
    errors.Auth: 7,
    errors.Denied: 7,
    errors.NotFound: 8,
    errors.Integrity: 9,
    errors.RolloutFailed: 10,
    errors.Locked: 11,
    errors.Local: 12,
    errors.Timeout: 13,
    errors.Unanswered: 13,
    errors.Interrupted: 130,
}


def test_every_error_has_its_code() -> None:
    """No class of error is without one (BadInput, which carries lines, is a Usage)."""

    def below(kind: type[errors.Error]) -> set[type[errors.Error]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__() if child.__module__ == "iotctl.errors"))

    assert below(errors.Error) - {errors.Error, errors.BadInput} == set(_CODES)
    assert {kind: code for kind, code in _CODES.items() if kind is not errors.Interrupted} == {
        kind: kind.exit.value for kind in _CODES if kind is not errors.Interrupted
    }


@pytest.mark.parametrize("kind", _CODES)
def test_a_command_ends_with_the_code_of_its_error(
    iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, kind: type[errors.Error]
) -> None:
    """The process, the envelope and the words agree."""

    def fail(*_: object) -> None:
        raise kind("it failed", hint="do this")

    monkeypatch.setattr(Request, "rows", fail)
    ran = iotctl("onboard", "check", "x.csv", "-o", "json")
    assert (_CODES[kind], _CODES[kind], "error") == (ran.code, ran.envelope["exitCode"], ran.envelope["status"])
    assert ran.stderr == "error: it failed\n  next:  do this\n"


def test_precedence_where_several_apply() -> None:
    """130 > 143 > 1 > 9 > 7 > 12 > 6 > 3 > 4 > the rest; ok only where nothing failed."""
    order = [Exit(code) for code in (130, 143, 1, 9, 7, 12, 6, 3, 4)]
    for first, second in itertools.combinations(order, 2):
        assert first == worst(second, Exit.OK, first)
    assert (Exit.OK, Exit.TIMEOUT, Exit.DIFFERS) == (
        worst(Exit.OK),
        worst(Exit.OK, Exit.TIMEOUT),
        worst(Exit.TIMEOUT, Exit.DIFFERS),
    )


@pytest.mark.parametrize(
    ("counts", "ended", "caught", "code"),
    [
        ({"done": 3}, None, [], 0),
        ({"done": 2, "failed": 1}, None, [], 3),
        ({"done": 2, "conflict": 1}, None, [], 3),
        ({"done": 2}, None, [], 3),
        ({"done": 2}, None, [2], 130),
        ({"done": 2}, None, [15], 143),
        ({"done": 2}, errors.Auth("expired"), [], 7),
        ({"done": 0}, errors.Local("full"), [], 12),
        ({"done": 0}, errors.Refused("a shared step"), [], 2),
        ({"done": 0, "failed": 20}, errors.Refused("twenty alike"), [], 3),
    ],
)
def test_how_a_run_ends(counts: dict[str, int], ended: errors.Error | None, caught: list[int], code: int) -> None:
    """Rows never leak their own codes; "nothing was changed" (2) is said only while it is true."""
    rows = tuple({"thingName": name, "line": 1} for name in "abc")
    made = plan.Plan("c", "r", Target("aws", "1", "r"), "s", rows=rows)
    assert code == _code_of(made, {"conflict": 0, "failed": 0, **counts}, [], ended, caught)


@pytest.mark.parametrize(
    "argv",
    [
        ["onboard", "check"],
        ["onboard", "chek", "x"],
        ["onbord"],
        ["onboard", "check", "x", "--nosuch"],
        ["onboard", "check", "x", "y"],
        ["onboard", "apply", "x.csv", "--valid-days", "0"],
        ["onboard", "check", "x.csv", "--delimiter", "ab"],
        ["onboard", "check", "x.csv", "--map", "a"],
        ["onboard", "check", "/nonexistent/x.csv"],
        ["onboard", "check", "."],
        ["-o", "xml", "onboard"],
    ],
)
def test_wrong_words_are_2(iotctl: Callable[..., Ran], argv: list[str]) -> None:
    """With what to type next or where to read, and nothing on stdout."""
    ran = iotctl(*argv)
    assert (2, "") == (ran.code, ran.stdout)
    assert ran.stderr.startswith("error: ")


def test_a_bug_is_told_as_one(iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 1, one line, the redacted trace in a file that only the user reads; the envelope is whole."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError('Signature=s3cr3t "\x1b[31m')

    monkeypatch.setattr(Request, "rows", crash)
    ran = iotctl("onboard", "check", "x.csv", "-o", "json")
    assert (1, "Internal", "a bug in iotctl") == (
        ran.code,
        ran.envelope["errors"][0]["code"],
        ran.envelope["errors"][0]["message"],
    )
    (trace,) = files.state_home().glob("crash-*.txt")
    assert f"next:  report it with {trace}" in ran.stderr
    assert "0o600" == oct(stat.S_IMODE(trace.stat().st_mode))
    assert "ZeroDivisionError" in trace.read_text()
    for written in (trace.read_text(), ran.stdout, ran.stderr):
        assert "s3cr3t" not in written


def test_an_interrupt_is_130(iotctl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a trace, with an envelope."""

    def interrupt(*_: object) -> plan.Plan:
        raise KeyboardInterrupt

    monkeypatch.setattr(Request, "rows", interrupt)
    ran = iotctl("onboard", "check", "x", "-o", "json")
    assert (130, 130, "error: interrupted\n") == (ran.code, ran.envelope["exitCode"], ran.stderr)


def test_a_second_run_in_the_same_directory_is_11(
    iotctl: Callable[..., Ran], fleet_file: Path, platform: object
) -> None:
    """It says who holds the lock, and touches nothing."""
    bundles = fleet_file.parent / "fleet-fleet"
    with files.run_lock(files.private_directory(bundles) / ".lock", "onboard apply"):
        ran = iotctl("onboard", "apply", str(fleet_file), "--yes")
    assert (11, [".lock"]) == (ran.code, [path.name for path in bundles.iterdir()])
    assert "onboard apply, pid" in ran.stderr


@pytest.mark.parametrize("damage", ["symlink", "writable by others"])
def test_a_bundles_directory_that_others_control_is_12(
    iotctl: Callable[..., Ran], fleet_file: Path, platform: object, damage: str
) -> None:
    """Before any call."""
    bundles, real = fleet_file.parent / "out", fleet_file.parent / "real"
    real.mkdir()
    bundles.symlink_to(real) if damage == "symlink" else bundles.mkdir()
    if damage != "symlink":
        bundles.chmod(0o777)
    ran = iotctl("onboard", "apply", str(fleet_file), "--bundles", str(bundles), "--yes")
    assert (12, [], []) == (ran.code, list(real.iterdir()), list(bundles.iterdir()))


def test_help_says_what_each_code_means() -> None:
    """Every code has words."""
    assert set() == {code for code in Exit if not code.meaning}
