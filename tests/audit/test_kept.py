"""What an audit keeps: certificates for good, the rest for half a day until it is through; always a cache."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock, kept
from iotctl.errors import NoIndex, Refused, Temporary
from iotctl.kept import CERTIFICATES, Kept
from iotctl.reading import Reading, whole
from iotctl.semantics import quotas
from iotctl.target import Target
from iotctl.world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("aws", "123456789012", "eu-north-1")


def stopped(home: Path) -> None:
    """An audit that has read two things and a certificate, and was stopped."""
    with Kept(home, TARGET) as one:
        one.keep("iot:DescribeThing", "a", {"thingName": "a"})
        one.keep("iot:DescribeThing", "b", None)
        one.keep(CERTIFICATES, "c", "PEM")


def test_what_was_read_is_known_to_the_next(tmp_path: Path) -> None:
    """Of the same account and region, by operation; once through, only certificates are left."""
    stopped(tmp_path)
    with Kept(tmp_path, TARGET) as one:
        assert {"a": {"thingName": "a"}, "b": None} == one.known("iot:DescribeThing", ["a", "b", "z"])
        assert one.begun is not None
        one.forget()
    with Kept(tmp_path, TARGET) as one:
        assert (None, {}, {"c": "PEM"}) == (
            one.begun,
            one.known("iot:DescribeThing", ["a"]),
            one.known(CERTIFICATES, "c"),
        )
    with Kept(tmp_path, Target("aws", "123456789012", "us-east-1")) as other:
        assert {} == other.known(CERTIFICATES, "c")


def test_a_file_that_cannot_be_used_costs_reads_and_no_audit(tmp_path: Path) -> None:
    """One whose pages are damaged is made anew by the next audit; one that another program writes is let alone."""
    stopped(tmp_path)
    path = tmp_path / kept.FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with Kept(tmp_path, TARGET) as one:
        assert {} == one.known(CERTIFICATES, "c")
    stopped(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as other, Kept(tmp_path, TARGET) as one:
        other.execute("BEGIN EXCLUSIVE")
        one._connection.execute("PRAGMA busy_timeout = 1")
        one._begin(fresh=True)
        one.keep(CERTIFICATES, "d", "PEM")
        one._flush()
    with Kept(tmp_path, TARGET) as one:
        assert {"c": "PEM"} == one.known(CERTIFICATES, ["c", "d"])


@pytest.mark.parametrize("how", ["fresh", "much later"])
def test_old_answers_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """On request, or after half a day, all but certificates is read anew."""
    stopped(tmp_path)
    if how != "fresh":
        later = clock.now() + kept.GOOD_FOR + timedelta(minutes=1)
        monkeypatch.setattr(clock, "now", lambda: later)
    with Kept(tmp_path, TARGET, fresh=how == "fresh") as one:
        assert (None, {}) == (one.begun, one.known("iot:DescribeThing", ["a"]))
        assert {"c": "PEM"} == one.known(CERTIFICATES, "c")


def test_one_that_had_read_nothing_is_not_gone_on_with(tmp_path: Path) -> None:
    """One that was refused at once leaves nothing, nor does one that had read certificates only: they are for good."""
    with Kept(tmp_path, TARGET) as one:
        one.keep(CERTIFICATES, "c", "PEM")
    assert None is Kept(tmp_path, TARGET).begun


def test_an_answer_of_several_pages_is_read_whole() -> None:
    """A certificate that a thousand things share would otherwise look as if most of them had none."""

    class Pages:
        def pages(self, op: str, **params: str) -> object:
            assert ("iot:ListPrincipalThings", {"principal": "arn", "nextToken": "2"}) == (op, params)
            yield {"things": ["c"], "nextToken": "3"}
            yield {"things": ["d"]}

    aws: Any = Pages()
    first = {"things": ["a", "b"], "nextToken": "2"}
    assert {"things": ["a", "b", "c", "d"]} == whole(aws, "iot:ListPrincipalThings", {"principal": "arn"}, first)
    assert {"things": ["a"]} == whole(aws, "iot:ListPrincipalThings", {"principal": "arn"}, {"things": ["a"]})


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    """It is a cache: whatever it held is read again."""
    (tmp_path / kept.FILE_NAME).write_bytes(b"no database" * 1000)
    stopped(tmp_path)
    with Kept(tmp_path, TARGET) as one:
        assert {"c": "PEM"} == one.known(CERTIFICATES, "c")


def test_long_reads_are_told_before_they_begin(tmp_path: Path) -> None:
    """How many calls, how long at AWS's quota, and that certificates are asked for once only."""
    told: list[str] = []
    world = World(call=lambda *_, **__: {}, members=lambda _: frozenset(), rates=quotas.DEFAULTS)
    world.stop.set()  # nothing is read here
    with Kept(tmp_path, TARGET) as one:
        reading = Reading(None, world, one, told.append)  # type: ignore[arg-type]  # it is not asked
        ids = [f"{number:064x}" for number in range(10_000)]
        assert [] == list(reading.each("pems", CERTIFICATES, "certificateId", ids, dict))
        list(reading.each("things", "iot:DescribeThing", "thingName", ["few"], dict))

    how_long = "iot:DescribeCertificate: 10,000 calls, at least 16 min 40 s at AWS's quota"
    assert [f"{how_long}; each is kept, the next audit asks for new ones only"] == told


@pytest.mark.parametrize("failing", ["some", "twenty alike"])
def test_what_failed_is_asked_again_and_told(tmp_path: Path, failing: str) -> None:
    """Some of many: the attribute is unread, with the number and the reason; the rest is kept for the next time."""
    names = [f"t{number}" for number in range(40)]

    def call(op: str, *, once: bool, thingName: str) -> dict[str, str]:  # noqa: N803  AWS's own name
        if failing != "some" or thingName.endswith("7"):
            raise Refused(f"{op} was refused", cause="no")
        return {"thingName": thingName}

    world = World(call=call, members=lambda _: frozenset())
    with Kept(tmp_path, TARGET) as one:
        reading = Reading(None, world, one, lambda _: None)  # type: ignore[arg-type]  # it is not asked
        found = dict(reading.each("things", "iot:DescribeThing", "thingName", names, dict))
    known = Kept(tmp_path, TARGET).known("iot:DescribeThing", names)

    assert (found, True) == (known, reading.again)
    assert (36 if failing == "some" else 0) == len(found)
    count = 4 if failing == "some" else 40  # also those that nobody asked for any more
    assert reading.unread["things"].startswith(f"iot:DescribeThing failed for {count} of 40: ")


def test_what_an_account_does_not_index_is_skipped(tmp_path: Path) -> None:
    """Of connections AWS knows nothing where they are not indexed: that is no failure, and twenty alike are none."""

    def call(op: str, *, once: bool, thingName: str) -> dict[str, str]:  # noqa: N803  AWS's own name
        raise NoIndex(f"{op}: the fleet index does not hold it")

    world = World(call=call, members=lambda _: frozenset())
    with Kept(tmp_path, TARGET) as one:
        reading = Reading(None, world, one, lambda _: None)  # type: ignore[arg-type]  # it is not asked
        names = [f"t{number}" for number in range(40)]
        assert [] == list(reading.each("connectivity", "iot:GetThingConnectivityData", "thingName", names, dict))
    assert ({}, {"connectivity"}, False) == (reading.unread, set(reading.beyond), reading.again)


def test_a_listing_that_is_cut_short_is_a_gap() -> None:
    """What came until then is there, and the attribute that lacks the rest is named."""

    class Cut:
        def pages(self, _op: str) -> object:
            yield {"things": [1, 2]}
            raise Temporary("it is down")

    reading = Reading(Cut(), None, None, lambda _: None)  # type: ignore[arg-type]  # what a listing asks
    assert [1, 2] == list(reading.listed("things", "iot:ListThings", "things"))
    assert {"things": "iot:ListThings failed: it is down"} == reading.unread
