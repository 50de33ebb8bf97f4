"""The record of runs: a cache and a report."""

from __future__ import annotations

import csv
import re
import resource
import stat
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotctl.errors import Exit
from iotctl.journal import FILE_NAME, REPORT_NAME, Journal, Outcome, guarded
from iotctl.plan import Plan, Wait
from iotctl.result import Failure
from iotctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STATES = st.sampled_from(["done", "conflict", "failed", "planned"])


def _plan(things: int = 3, run_id: str = "r1") -> Plan:
    rows = tuple({"thingName": f"t{n}", "line": n + 2} for n in range(things))
    return Plan("onboard apply", run_id, Target("aws", "123456789012", "us-east-1"), "register 3 things", rows=rows)


def _outcome(number: int, state: str = "done", message: str = "no") -> Outcome:
    failure = None if state == "done" else Failure("SomeException", message)
    return Outcome(f"t{number}", number + 2, state, {"certificateId": f"c{number}"}, failure)


def test_a_run_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Begun, settled bit by bit, ended; private on disk; counts are by state, the rest is planned."""
    with Journal(tmp_path) as journal:
        assert not journal.begin(_plan())
        journal.record("r1", [_outcome(0), _outcome(1, "failed"), _outcome(2, "planned")])
        journal.finish("r1", Exit.PARTIAL)
    with Journal(tmp_path) as journal:
        (run,) = journal.runs()
        assert ("r1", "onboard apply", 3, 3) == (run.run_id, run.command, run.things, run.exit_code)
        assert {"done": 1, "failed": 1, "planned": 1} == run.counts
        assert frozenset({"t0"}) == journal.settled("r1", ["t0", "t1", "t2", "unknown"])
        assert [("t0", "done", "c0", ""), ("t1", "failed", "c1", "no")] == [
            (row["thingName"], row["state"], row["certificateId"], row["message"]) for row in journal.rows("r1")
        ]
    assert "0o600" == oct(stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode))


@pytest.mark.parametrize(
    ("ended", "resumes", "settled"),
    [(None, True, {"t0"}), (Exit.PARTIAL, True, {"t0"}), (Exit.INTERRUPTED, True, {"t0"}), (Exit.OK, False, set())],
)
def test_running_again_resumes_what_did_not_end_well(
    tmp_path: Path, ended: Exit | None, resumes: bool, settled: set[str]
) -> None:
    """A killed or partial run goes on; one that ended well starts over, as a check that everything still stands."""
    with Journal(tmp_path) as journal:
        journal.begin(_plan())
        journal.record("r1", [_outcome(0)])
        if ended is not None:
            journal.finish("r1", ended)
        assert resumes == journal.begin(_plan())
        assert frozenset(settled) == journal.settled("r1", ["t0"])


def test_what_only_a_wait_was_left_of_is_done_again(tmp_path: Path) -> None:
    """Somebody may have changed meanwhile what is waited for; while things are left to do, those done stay done."""
    for done, resumes in ((1, True), (2, False)):
        run = f"r{done}"
        waits = replace(_plan(2, run), wait=Wait("iot:DescribeThing", {}, (), 1.0, "come"))
        with Journal(tmp_path) as journal:
            journal.begin(waits)
            journal.record(run, [_outcome(number) for number in range(done)])
            journal.finish(run, Exit.TIMEOUT)
            assert (resumes, resumes) == (journal.begin(waits), "t0" in journal.settled(run, ["t0"]))


def test_secrets_never_get_into_the_journal(tmp_path: Path) -> None:
    """An error text with a signature or a key is redacted before it is kept."""
    with Journal(tmp_path) as journal:
        journal.begin(_plan())
        journal.record("r1", [_outcome(0, "failed", "sent Signature=s3cr3t and -----BEGIN PRIVATE KEY-----s3cr3t")])
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def _torn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "noticed"),
    [(_garbage, True), (_torn, True), (lambda path: path.unlink(), False), (lambda path: path.write_bytes(b""), False)],
)
def test_a_lost_or_damaged_journal_is_harmless(tmp_path: Path, damage: Callable[[Path], None], noticed: bool) -> None:
    """What cannot be read is moved aside, and a new one is begun; the run starts from its first row."""
    with Journal(tmp_path) as journal:
        journal.begin(_plan(400))
        journal.record("r1", [_outcome(number, "failed", "x" * 300) for number in range(400)])
    damage(tmp_path / FILE_NAME)
    with Journal(tmp_path) as journal:
        assert noticed == (journal.moved_aside is not None)
        assert not journal.begin(_plan())
        journal.record("r1", [_outcome(0)])
        assert frozenset({"t0"}) == journal.settled("r1", ["t0"])
    assert noticed == bool(list(tmp_path.glob("journal.db.corrupt-*")))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A journal that cannot grow is an error of this machine, with what to do; it is readable afterwards."""
    script = """
import resource, sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from iotctl.errors import Local
from iotctl.journal import Journal, Outcome
from iotctl.plan import Plan
from iotctl.target import Target
with Journal(Path(sys.argv[2])) as journal:
    journal.begin(Plan("c", "r1", Target("aws", "1", "r"), "s"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for number in range(100):
            journal.record("r1", [Outcome(f"t{number}-{i}", 1, "done", {"x": "y" * 500}) for i in range(20)])
    except Local as error:
        print(error.exit.value, "resumes" in error.hint)
"""
    command = [sys.executable, "-c", script, __file__, str(tmp_path)]
    assert "12 True\n" == subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert resource.RLIM_INFINITY == resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    with Journal(tmp_path) as journal:
        assert journal.moved_aside is None
        assert 0 < journal.count("r1", "done") < 2000


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(st.integers(0, 4), _STATES), max_size=4), max_size=5))
def test_any_prefix_of_a_run_reads_back(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, str]]]
) -> None:
    """After any batch the journal says what was recorded last of each thing; planned things leave no trace."""
    expected: dict[str, str] = {}
    with Journal(tmp_path_factory.mktemp("journal")) as journal:
        journal.begin(_plan(5))
        for batch in batches:
            journal.record("r1", [_outcome(number, state) for number, state in batch])
            expected |= {f"t{number}": state for number, state in batch if state != "planned"}
            assert expected == {row["thingName"]: row["state"] for row in journal.rows("r1")}
            assert 5 == sum(journal.runs()[0].counts.values())


def test_the_report_is_a_csv_that_no_spreadsheet_takes_for_formulas(tmp_path: Path) -> None:
    """In the order of the file, in place of the earlier one."""
    with Journal(tmp_path) as journal:
        journal.begin(_plan())
        journal.record("r1", [_outcome(1, "failed", "=HYPERLINK(1)"), _outcome(0)])
        for _ in range(2):
            journal.export("r1", tmp_path / REPORT_NAME)
    with (tmp_path / REPORT_NAME).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [("t0", "2", "done", ""), ("t1", "3", "failed", "'=HYPERLINK(1)")] == [
        (row["thingName"], row["line"], row["state"], row["message"]) for row in rows
    ]


@given(st.text() | st.from_regex(r"[=+@'\t\r-]{1,2}[a-z(]*", fullmatch=True))
def test_a_guarded_cell_starts_no_formula_and_can_be_taken_back(cell: str) -> None:
    """Names of AWS stay as they are; of any other cell one leading quote is what the guard added."""
    safe = guarded(cell)
    name = re.fullmatch(r"[a-zA-Z0-9:_-]*", cell) is not None
    assert name or safe[:1] not in {"=", "+", "-", "@", "\t", "\r", "\0"}
    assert cell == (safe.removeprefix("'") if not name else safe)
