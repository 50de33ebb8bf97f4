"""What a run made, as its bundles directory tells it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import bundle, made
from iotctl.errors import Integrity, NotFound

if TYPE_CHECKING:
    from pathlib import Path

TARGET = {"kind": "aws", "accountId": "123456789012", "region": "us-east-1"}


def bundles(directory: Path, run_id: str, *names: str) -> list[Any]:
    """Publish bundles of these things."""
    common = {"directory": str(directory), "keyType": "ec-p256", "days": 1, "rootCa": "CA", "certificateArn": "arn:"}
    return bundle.Publisher()([{**common, "runId": run_id, "thingName": name, "config": TARGET} for name in names])


def recorded(directory: Path, *shared: str) -> list[str]:
    """Record what a run is about to make; what its record then says."""
    params = {"directory": str(directory), "runId": "r1", "command": "onboard apply", "target": TARGET}
    assert [{}] == made.record([{**params, "shared": [{"op": op} for op in shared]}])
    return [one["op"] for one in made.read(directory, "r1").shared]


def test_a_record_keeps_what_was_made_before(tmp_path: Path) -> None:
    """A resumed run finds what it made the first time, and has less to make: the record never forgets."""
    assert ["a", "b"] == recorded(tmp_path, "a", "b")
    assert ["a", "b"] == recorded(tmp_path)
    assert ["a", "b", "c"] == recorded(tmp_path, "b", "c")
    assert TARGET == made.read(tmp_path, "r1").target
    assert 0o600 == (tmp_path / "runs" / "r1.json").stat().st_mode & 0o777


@pytest.mark.parametrize("run_id", ["r2", "../r1", ""])
def test_a_run_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, run_id: str) -> None:
    """No word that is typed leads elsewhere."""
    recorded(tmp_path)
    with pytest.raises(NotFound) as caught:
        made.read(tmp_path, run_id)
    assert "known: r1" == caught.value.hint


def test_a_damaged_record_is_not_guessed_at(tmp_path: Path) -> None:
    """It says what may be deleted."""
    recorded(tmp_path)
    (tmp_path / "runs" / "r1.json").write_text('{"runId": "r1"}')
    with pytest.raises(Integrity):
        made.read(tmp_path, "r1")


def test_the_things_of_a_run_are_those_whose_bundles_it_made(tmp_path: Path) -> None:
    """Not those of another run in the same directory; a damaged bundle is nobody's, nor is a copy; both are named."""
    first = bundles(tmp_path, "r1", "b", "a:1")
    bundles(tmp_path, "r2", "c")
    devices = tmp_path / "devices"
    (devices / "broken").mkdir()
    copies = [shutil.copytree(devices / "b", devices / name) for name in ("b.bak", "b@old")]
    found = made.Made(tmp_path, "r1")
    assert (2, ["a:1", "b"], [1, 2]) == (
        len(found),
        [row["thingName"] for row in found],
        [row["line"] for row in found],
    )
    assert {devices / "broken", *copies} == set(found.damaged)
    assert {"a:1"} == found.things(["a:1", "c", "d"])
    assert {first[0]["certificateId"]} == found.certificates([first[0]["certificateId"], "f" * 64])
    assert 0 == len(made.Made(tmp_path, "r3"))


def test_revoked_bundles_are_kept_one_beside_the_other(tmp_path: Path) -> None:
    """One rename each; the second of a thing does not replace the first, and another certificate's does not go."""
    keys = []
    for _ in range(2):
        (answer,) = bundles(tmp_path, "r1", "pump:7")
        digest = made.Made(tmp_path, "r1").digest
        params = {"directory": str(tmp_path), "thingName": "pump:7", "certificateId": "f" * 64}
        (refused,) = made.revoke([params])
        assert isinstance(refused, Integrity)
        (gone,) = made.revoke([{**params, "certificateId": answer["certificateId"]}])
        assert not isinstance(gone, Exception)
        keys.append((tmp_path / gone["directory"] / bundle.KEY).read_bytes())
        assert digest != made.Made(tmp_path, "r1").digest
    assert ["pump%3A7", "pump%3A7@2"] == sorted(path.name for path in (tmp_path / "revoked").iterdir())
    assert 2 == len(set(keys))
    assert [] == list((tmp_path / "devices").iterdir())


def test_a_thing_whose_certificate_was_replaced_is_one_thing(tmp_path: Path) -> None:
    """Its latest bundle tells of it; the certificates before, and one that is on its way, are told too and all go."""
    (first,) = bundles(tmp_path, "r1", "pump")
    ids = [first["certificateId"]]
    for place, number in (("devices", 2), ("devices", 3), ("rotating", 1)):
        beside = tmp_path / f"{place}-{number}"
        beside.mkdir()
        (other,) = bundles(beside, "r1", "pump")
        (tmp_path / place).mkdir(exist_ok=True)
        (beside / "devices" / "pump").rename(tmp_path / place / bundle.generation("pump", number))
        ids.append(other["certificateId"])
    found = made.Made(tmp_path, "r1")
    (row,) = found
    assert (1, True, ids[2], ids[3], {ids[0], ids[1], ids[3]}) == (
        len(found),
        found.rotated,
        row["certificateId"],
        row["coming"],
        set(row["others"]),
    )
    assert set(ids) == found.certificates(ids)
    assert ids[2] == bundle.load(bundle.newest(tmp_path / "devices" / "pump")).certificate_id
    params = {"directory": str(tmp_path), "thingName": "pump", "certificateId": ids[2]}
    assert [{"directory": str(tmp_path / "revoked" / "pump@4")}] == made.revoke([params])
    assert [] == [*(tmp_path / "devices").iterdir(), *(tmp_path / "rotating").iterdir()]
    assert 4 == len(list((tmp_path / "revoked").iterdir()))
