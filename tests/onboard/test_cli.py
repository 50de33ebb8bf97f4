"""The words of onboard: what is refused before anything is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotctl.errors import Exit
from iotctl.journal import Journal, Outcome
from iotctl.plan import Plan
from iotctl.result import Failure
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a fleet file; there are no credentials and no platform."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.csv").write_text("thing_name\npump\nPUMP\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "stdin", "message", "hint"),
    [
        ("fleet.csv --key-type ec-p521", None, "unknown key type 'ec-p521'", "--key-type ec-p"),
        ("-", "thing_name\na\n", "say where the bundles go", "--bundles DIR"),
        ("fleet.csv --delimiter ab", None, "--delimiter takes one character", ""),
        ("fleet.csv --map serial", None, "--map takes THEIRS=OURS", "--map serial=thing_name"),
        ("fleet.csv --quota CreateThing", None, "--quota takes OP=N", "--quota Register"),
        ("fleet.csv --quota CreateThing=0", None, "--quota takes OP=N", ""),
        ("fleet.csv --quota CreateThign=5", None, "no quota is known by the name", "--quota CreateThing=5"),
        ("fleet.csv --map serial=thing_name", None, "does not have: serial", ""),
    ],
)
def test_wrong_words_are_refused_before_any_call(
    iotctl: Callable[..., Ran], here: Path, words: str, stdin: str | None, message: str, hint: str
) -> None:
    """Exit 2, nothing written."""
    ran = iotctl("onboard", "apply", *words.split(), "--yes", stdin=stdin)
    assert (2, True, True) == (ran.code, message in ran.stderr, hint in ran.stderr)
    assert ["fleet.csv"] == [path.name for path in here.iterdir()]


def test_names_that_differ_only_in_case(iotctl: Callable[..., Ran], here: Path) -> None:
    """A warning; on a file system where they would be one directory they are refused."""
    assert "PUMP and pump differ only in case" in iotctl("onboard", "check", "fleet.csv").stderr
    (here / "out").mkdir()
    (here / "OUT").symlink_to(here / "out")
    ran = iotctl("onboard", "apply", "fleet.csv", "--bundles", "out", "--yes")
    assert (2, True) == (ran.code, "would be one directory" in ran.stderr)


def test_check_says_what_the_rows_name(iotctl: Callable[..., Ran], here: Path) -> None:
    """As data, with the warnings."""
    (here / "fleet.csv").write_text("thing_name,thing_type,thing_groups,shadow:a\nx,t,g;h,1\ny,t,g,\n")
    assert {
        "file": "fleet.csv",
        "things": 2,
        "thingTypes": {"t": 2},
        "thingGroups": {"g": 2, "h": 1},
        "parentGroups": {},
        "billingGroups": {},
        "policies": {"iotctl-thing": 2},
        "initialShadows": 1,
        "warnings": [],
    } == iotctl("onboard", "check", "fleet.csv", "-o", "json").envelope["data"]


def test_status_tells_what_a_run_did(iotctl: Callable[..., Ran], here: Path) -> None:
    """All runs, or the things of one; what is not there is told."""
    assert (2, "which bundles directory?") == (
        iotctl("onboard", "status", "-o", "json").code,
        iotctl("onboard", "status", "-o", "json").envelope["errors"][0]["message"],
    )
    directory = here / "fleet-fleet"
    directory.mkdir()
    assert 8 == iotctl("onboard", "status").code
    rows = ({"thingName": "a", "line": 2}, {"thingName": "b", "line": 3}, {"thingName": "c", "line": 4})
    with Journal(directory) as journal:
        journal.begin(Plan("onboard apply", "r1", Target("aws", "1", "r"), "s", rows=rows))
        journal.record("r1", [Outcome("a", 2, "done", {"certificateId": "c1"})])
        journal.record("r1", [Outcome("b", 3, "failed", {}, Failure("X", "no\x1b"))])
        journal.finish("r1", Exit.PARTIAL)
    (run,) = iotctl("onboard", "status", "-o", "json").envelope["data"]["runs"]
    assert ("r1", 3, 1, 1, 1) == tuple(run[key] for key in ("runId", "things", "done", "failed", "planned"))
    ran = iotctl("onboard", "status", "r1")
    assert (3, ["a\tdone\t2\tc1\t", "b\tfailed\t3\t\tno\\x1b"]) == (ran.code, ran.stdout.splitlines())
    assert 8 == iotctl("onboard", "status", "r2").code
