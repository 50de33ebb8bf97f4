"""The store: transactions, the outbox, what a state is made with."""

from __future__ import annotations

import re
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from iotctl.errors import Local
from iotctl.local.services import AwsError
from iotctl.local.services.paging import page
from iotctl.local.store import Event, Store

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, place INTEGER)"


@pytest.fixture
def notes(tmp_path: Path) -> Store:
    """A store with one table."""
    return Store(tmp_path / "s.db", [SCHEMA])


def names(store: Store) -> list[str]:
    """What the table holds."""
    return [row["name"] for row in store.rows("SELECT name FROM note ORDER BY name")]


def test_a_transaction_is_all_or_nothing(notes: Store) -> None:
    """An error takes back every change and every event of the block."""

    def refused() -> None:
        with notes.transaction():
            notes.execute("INSERT INTO note VALUES ('a', 1)")
            notes.publish("t", b"lost")
            raise AwsError("X", "x")

    with pytest.raises(AwsError):
        refused()
    assert (names(notes), notes.drain()) == ([], [])


def test_a_transaction_inside_another_is_a_part_of_it(notes: Store) -> None:
    """What the inner one did goes with the outer one."""

    def refused() -> None:
        with notes.transaction():
            with notes.transaction():
                notes.execute("INSERT INTO note VALUES ('a', 1)")
                notes.publish("t", b"lost")
            raise AwsError("X", "x")

    with pytest.raises(AwsError):
        refused()
    assert (names(notes), notes.drain()) == ([], [])
    with notes.transaction(), notes.transaction():
        notes.execute("INSERT INTO note VALUES ('b', 1)")
    assert names(notes) == ["b"]


def test_events_leave_after_the_commit(notes: Store) -> None:
    """They are handed over once, in order, and whoever waits is told after the commit."""
    told = []
    notes.on_commit = lambda: told.append(notes.connection.in_transaction)
    with notes.transaction():
        notes.publish("a", {"x": 1})
        notes.publish("b", b"raw", to="client")
        assert notes.drain() == []
    assert [Event("a", b'{"x":1}'), Event("b", b"raw", "client")] == notes.drain()
    assert (told, notes.drain()) == ([False], [])
    notes.publish("c", b"at once")
    assert [Event("c", b"at once")] == notes.drain()


def test_a_refused_commit_is_taken_back(notes: Store) -> None:
    """A constraint that is checked at the end leaves nothing either, and the next transaction works."""

    def refused() -> None:
        with notes.transaction():
            notes.execute("INSERT INTO note VALUES ('a', 1)")
            notes.execute("INSERT INTO note VALUES ('a', 2)")

    with pytest.raises(sqlite3.IntegrityError):
        refused()
    with notes.transaction():
        notes.execute("INSERT INTO note VALUES ('b', 1)")
    assert names(notes) == ["b"]


def test_what_a_state_is_made_with_stays(tmp_path: Path) -> None:
    """The account, the key and its secret are random, shaped as AWS's, and the same when the store is opened again."""
    first = Store(tmp_path / "s.db", [])
    assert re.fullmatch(r"[1-9]\d{11}", first.account_id)
    assert re.fullmatch(r"IOTCTLLOCAL[A-Z0-9]{9}", first.access_key_id)
    assert len(first.secret_access_key) == 40
    first.close()
    again, other = Store(tmp_path / "s.db", []), Store(tmp_path / "o.db", [])
    made = [(one.account_id, one.access_key_id, one.secret_access_key) for one in (first, again, other)]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_store_is_private(tmp_path: Path) -> None:
    """Nobody else reads the file, nor its write-ahead log."""
    store = Store(tmp_path / "s.db", [SCHEMA])
    store.execute("INSERT INTO note VALUES ('a', 1)")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600}


def test_a_state_is_of_one_region(tmp_path: Path) -> None:
    """The region is fixed when the state is made; another one is refused with the way out."""
    Store(tmp_path / "s.db", [], region="eu-west-1").close()
    assert Store(tmp_path / "s.db", []).region == "eu-west-1"
    with pytest.raises(Local, match="of the region eu-west-1, not us-east-1") as caught:
        Store(tmp_path / "s.db", [], region="us-east-1")
    assert "iotctl local reset" in caught.value.hint


@pytest.mark.parametrize("damage", ["garbage", "format"])
def test_a_damaged_state_says_so(tmp_path: Path, damage: str) -> None:
    """A file that is no store, or one of another format, is a clean error with the way out."""
    path = tmp_path / "s.db"
    if damage == "garbage":
        path.write_bytes(b"not a database at all" * 100)
    else:
        other = sqlite3.connect(path)
        other.execute("PRAGMA user_version = 99")
        other.close()
    with pytest.raises(Local) as caught:
        Store(path, [])
    assert caught.value.hint == "iotctl local reset"


def test_pages_by_two_columns_in_both_directions(notes: Store) -> None:
    """Rows that share the first column are neither lost nor doubled at a page's end."""
    for number in range(10):
        notes.execute("INSERT INTO note VALUES (?, ?)", f"n{number}", number // 4)
    for ascending in (True, False):
        found, token = [], None
        while True:
            rows, token = page(
                notes,
                "SELECT * FROM note",
                [],
                by=("place", "name"),
                size=3,
                token=token,
                ascending=ascending,
            )
            found += [row["name"] for row in rows]
            if token is None:
                break
        assert sorted(found, reverse=not ascending) == found
        assert len(found) == 10


def test_a_page_uses_its_index(notes: Store) -> None:
    """The hundredth page costs what the first one did: no step of the plan sorts or scans."""
    sql = "SELECT * FROM (SELECT * FROM note) WHERE (name) > (?) ORDER BY name ASC LIMIT ?"
    plan = [row["detail"] for row in notes.rows(f"EXPLAIN QUERY PLAN {sql}", "x", 10)]
    assert ["USING INDEX" in step and "SEARCH" in step for step in plan] == [True]


def test_an_attempt_fails_alone(notes: Store) -> None:
    """What an attempt did and said is taken back with its error, an inner one's too; what was around it stays."""

    def refused(name: str) -> None:
        with notes.attempt():
            with notes.attempt():
                notes.execute("INSERT INTO note VALUES (?, 1)", name)
                notes.publish("t", b"lost")
            raise AwsError("X", "x")

    with notes.transaction():
        notes.execute("INSERT INTO note VALUES ('before', 1)")
        with pytest.raises(AwsError):
            refused("lost")
        with notes.attempt():
            notes.execute("INSERT INTO note VALUES ('kept', 1)")
            notes.publish("t", b"said")
    with pytest.raises(AwsError):
        refused("alone")
    assert (["before", "kept"], [Event("t", b"said")]) == (names(notes), notes.drain())
