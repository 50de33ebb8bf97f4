"""What stands in the way of a run: credentials, account, network, directories, journals, things that others made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.invariants import CLAIM

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.faults.invariants import Account, Watch
    from tests.faults.stage import Ended, Job, Stage


def changes(ended: Ended) -> list[str]:
    """The calls that a run made to change the account, and the files that it made."""
    calls = ("http.client.send POST /", "http.client.send PUT", "http.client.send DELETE")
    return [
        moment
        for moment in ended.moments
        if (moment.startswith(calls) and not moment.endswith("POST /")) or moment.startswith(("open", "os.", "sqlite3"))
    ]


def test_without_credentials_no_key_is_made(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Exit 7 with what to do about it, before anything is sent or written."""
    fleet = watch(1)
    ended = stage.run(job(fleet.declared, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""))
    assert (7, ()) == (ended.code, ended.moments)
    (error,) = ended.envelope["errors"]
    assert "NoCredentials" == error["code"]
    assert "--local" in error["hint"]


def test_another_account_than_the_expected_one_is_left_alone(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """--expect-account: exit 7 after the one call that tells which account it is."""
    fleet = watch(1)
    ended = stage.run(job(fleet.declared, more=("--expect-account", "111122223333")))
    assert (7, "WrongAccount") == (ended.code, ended.envelope["errors"][0]["code"])
    assert [] == changes(ended)
    assert not fleet.declared.bundles.exists()


def test_the_expected_account_is_gone_on_with(
    own: Platform, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """--expect-account with the right account changes nothing of the run."""
    fleet = watch(1)
    assert 0 == stage.run(job(fleet.declared, more=("--expect-account", own.account_id))).code
    assert [] == fleet.ended()


def test_an_endpoint_that_nobody_serves_is_temporary(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Exit 5, the message names the endpoint, and nothing was written."""
    fleet = watch(1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        ended = stage.run(job(fleet.declared, AWS_ENDPOINT_URL=url))
    assert (5, "Unreachable") == (ended.code, ended.envelope["errors"][0]["code"])
    assert url in ended.stdout
    assert [] == changes(ended)


@pytest.mark.parametrize("strike", ["read-only", "forbidden", "full"])
def test_a_bundles_directory_that_cannot_be_made_stops_the_run_before_any_change(
    strike: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Exit 12, naming the path; the account was only read."""
    fleet = watch(1)
    ended = stage.run(job(fleet.declared, strike=strike, at=1))
    assert 12 == ended.code
    assert str(fleet.declared.bundles) in ended.stdout
    assert ["os.mkdir"] == [moment.partition(" ")[0] for moment in ended.moments]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_bundles_directory_that_others_may_write_to_is_refused(
    mode: int, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Exit 12 with its mode and the remedy; after the remedy the run is good."""
    fleet = watch(1)
    fleet.declared.bundles.mkdir()
    fleet.declared.bundles.chmod(mode)
    ended = stage.run(job(fleet.declared))
    assert 12 == ended.code
    assert f"{mode:04o}" in ended.envelope["errors"][0]["message"]
    assert f"chmod 700 {fleet.declared.bundles}" == ended.envelope["errors"][0]["hint"]
    assert [] == changes(ended)[1:]
    fleet.declared.bundles.chmod(0o700)
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


def test_a_bundles_directory_that_is_a_symbolic_link_or_a_file_is_refused(
    tmp_path: Path, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Keys go where the operator said, not where a link leads."""
    linked, taken = watch(1).declared, watch(1).declared
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    linked.bundles.symlink_to(elsewhere)
    taken.bundles.write_text("a file")
    assert [12, 12] == [stage.run(job(declared)).code for declared in (linked, taken)]
    assert [] == list(elsewhere.iterdir())
    assert "a file" == taken.bundles.read_text()


@pytest.mark.parametrize("damage", ["deleted", "garbage", "cut", "empty"])
def test_the_journal_is_a_cache_whatever_becomes_of_it(
    damage: str, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Lost or damaged between a kill and the next run, it is begun anew; a damaged one is kept beside."""
    fleet = watch(3)
    assert -9 == stage.run(job(fleet.declared, at=f"http.client.send POST /things/{fleet.declared.things[2]}")).code
    journal = fleet.declared.bundles / "journal.db"
    for beside in ("journal.db-wal", "journal.db-shm"):
        (fleet.declared.bundles / beside).unlink(missing_ok=True)
    content = journal.read_bytes()
    journal.unlink()
    if damage != "deleted":
        journal.write_bytes(
            {"garbage": b"no journal " * 999, "cut": content[: len(content) // 2], "empty": b""}[damage]
        )
    ended = stage.run(job(fleet.declared))
    assert (0, 3) == (ended.code, ended.envelope["data"]["done"])
    assert [] == fleet.ended()
    if damage == "garbage":
        (aside,) = fleet.declared.bundles.glob("journal.db.corrupt-*")
        assert b"no journal " * 999 == aside.read_bytes()
        assert str(aside) in ended.stderr


def test_a_finished_run_is_checked_when_it_is_run_again(
    account: Account, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Running it again after it ended well mends what was taken away since, and makes nothing twice."""
    fleet = watch(2)
    assert 0 == stage.run(job(fleet.declared)).code
    name = fleet.declared.things[0]
    (principal,) = account.iot.list_thing_principals(thingName=name)["principals"]
    account.iot.detach_policy(policyName=fleet.declared.policy, target=principal)
    assert 0 == stage.run(job(fleet.declared)).code
    assert [] == fleet.ended()


@pytest.mark.parametrize("claim", [{}, {CLAIM: "f" * 64}])
def test_a_thing_that_someone_else_made_is_a_conflict_and_stays_as_it_is(
    claim: dict[str, str], account: Account, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Its row says conflict (exit 3), no certificate is registered for it, and the other rows are done."""
    fleet = watch(3)
    taken = fleet.declared.things[1]
    account.iot.create_thing(thingName=taken, attributePayload={"attributes": {"owner": "them", **claim}})
    before = account.iot.describe_thing(thingName=taken)
    ended = stage.run(job(fleet.declared))
    assert (3, 2, 1) == (ended.code, ended.envelope["data"]["done"], ended.envelope["data"]["conflict"])
    assert [("Conflict", taken)] == [(error["code"], error["on"]) for error in ended.envelope["errors"]]
    after = account.iot.describe_thing(thingName=taken)
    assert before | {"ResponseMetadata": None} == after | {"ResponseMetadata": None}
    assert [] == account.iot.list_thing_principals(thingName=taken)["principals"]
    assert 2 == len(fleet.new_certificates())


def test_a_policy_with_another_document_stops_the_run_before_the_first_thing(
    account: Account, stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Exit 6; the policy is never given a new version, and nothing was written."""
    fleet = watch(2)
    theirs = json.dumps({"Version": "2012-10-17", "Statement": []})
    account.iot.create_policy(policyName=fleet.declared.policy, policyDocument=theirs)
    ended = stage.run(job(fleet.declared))
    assert 6 == ended.code
    assert fleet.declared.policy in ended.envelope["errors"][0]["message"]
    assert [] == changes(ended)
    assert theirs == account.iot.get_policy(policyName=fleet.declared.policy)["policyDocument"]


def test_a_bundle_that_was_damaged_is_told_and_not_replaced(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """A key that is not its certificate's is never overwritten: the row fails with integrity, the others are done."""
    fleet = watch(2)
    assert 0 == stage.run(job(fleet.declared)).code
    place = fleet.declared.bundles / "devices" / fleet.declared.things[0]
    other = fleet.declared.bundles / "devices" / fleet.declared.things[1]
    (place / "private.pem.key").write_bytes((other / "private.pem.key").read_bytes())
    ended = stage.run(job(fleet.declared))
    assert (3, 1, 1) == (ended.code, ended.envelope["data"]["done"], ended.envelope["data"]["failed"])
    assert ["Integrity"] == [error["code"] for error in ended.envelope["errors"]]
    assert (other / "private.pem.key").read_bytes() == (place / "private.pem.key").read_bytes()
    assert 2 == len(fleet.new_certificates())


def test_a_fleet_file_with_a_bad_line_changes_and_asks_nothing(
    stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """The whole file is judged before the first call: exit 2, every bad line by its number, no moment at all."""
    fleet = watch(3)
    lines = (fleet.declared.cwd / "fleet.csv").read_text().splitlines()
    bad = [*lines, lines[1].replace("oslo", "bergen"), "../etc/passwd,,,,", "no/slash,,,,"]
    (fleet.declared.cwd / "fleet.csv").write_text("\n".join(bad))
    ended = stage.run(job(fleet.declared))
    assert (2, ()) == (ended.code, ended.moments)
    assert ["fleet.csv:5", "fleet.csv:6", "fleet.csv:7"] == [error["on"] for error in ended.envelope["errors"][1:]]


@pytest.mark.parametrize("words", [("onboard", "plan"), ("onboard", "apply", "--dry-run")])
def test_a_plan_only_reads(
    words: tuple[str, ...], stage: Stage, watch: Callable[[int], Watch], job: Callable[..., Job]
) -> None:
    """Neither `plan` nor a dry run changes anything in the account or writes a file."""
    fleet = watch(3)
    whole = job(fleet.declared)
    argv = [*words, *(word for word in whole.argv[2:] if word != "-y")]
    ended = stage.run(replace(whole, argv=argv))
    assert 0 == ended.code
    assert ended.moments
    assert [] == changes(ended)
    assert not fleet.declared.bundles.exists()


def iotctl(argv: list[str], environment: dict[str, str], cwd: Path, stdout: int) -> subprocess.CompletedProcess[str]:
    """A whole process with this as its standard output."""
    return subprocess.run(
        [sys.executable, "-m", "iotctl", *argv],
        env=environment,
        cwd=cwd,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_output_that_cannot_be_written_does_not_undo_the_run(
    environment: dict[str, str], watch: Callable[[int], Watch]
) -> None:
    """A reader that went away is 141, a full disk behind stdout 12; the things are registered all the same."""
    gone = watch(1)
    reader, writer = os.pipe()
    os.close(reader)
    piped = iotctl(gone.declared.apply, environment, gone.declared.cwd, writer)
    os.close(writer)
    assert (141, False) == (piped.returncode, "Traceback" in piped.stderr)
    assert [] == gone.ended()
    full = watch(1)
    with Path("/dev/full").open("wb") as device:
        ended = iotctl(full.declared.apply, environment, full.declared.cwd, device.fileno())
    assert (12, True) == (ended.returncode, "the disk is full" in ended.stderr)
    assert [] == full.ended()
