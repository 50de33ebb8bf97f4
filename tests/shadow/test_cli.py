"""The shadow commands against the platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.botocores import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]


@pytest.fixture
def things(platform: Platform) -> list[str]:
    """Three things in a group that is named like the first one."""
    iot = client("iot")
    group = f"g-{uuid.uuid4().hex[:8]}"
    names = [group, *(f"{group}-{number}" for number in (2, 3))]
    iot.create_thing_group(thingGroupName=group)
    for name in names:
        iot.create_thing(thingName=name)
        iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)
    return names


def test_get_prints_the_document_itself(iotctl: Iotctl, things: list[str]) -> None:
    """`shadow get` is the document, so that jq can read it; in the envelope with -o json; one part with --path."""
    write(things[0], {"desired": {"rate": 5}, "reported": {"rate": 4, "päth": "ü"}})

    document = json.loads(iotctl("shadow", "get", things[0]).stdout)
    assert {"desired": {"rate": 5}, "reported": {"rate": 4, "päth": "ü"}, "delta": {"rate": 5}} == document["state"]
    assert document["state"] == iotctl("shadow", "get", things[0], "-o", "json").envelope["data"]["state"]
    assert "4\n" == iotctl("shadow", "get", things[0], "--path", "reported.rate").stdout
    assert 8 == iotctl("shadow", "get", things[0], "--path", "reported.nothing").code


def test_a_shadow_that_does_not_exist(iotctl: Iotctl, things: list[str]) -> None:
    """Reading, setting and comparing one says so with 8; --create makes it."""
    for words in (("get", things[0]), ("set", things[0], "a=1", "--yes"), ("diff", things[0])):
        ran = iotctl("shadow", *words)
        assert (8, True) == (ran.code, "--create" in ran.stderr), words

    assert 0 == iotctl("shadow", "set", things[0], "a=1", "--yes", "--create", "--name", "config").code
    assert {"a": 1} == read(things[0], "config")["state"]["desired"]
    assert ["config"] == iotctl("shadow", "list", things[0], "-q").stdout.split()


def test_set_is_a_merge_patch(iotctl: Iotctl, things: list[str]) -> None:
    """It changes what it names, removes what is null, and leaves the rest and the other section alone."""
    write(things[0], {"desired": {"a": {"b": 1, "c": 2}, "d": 3}, "reported": {"a": 9}})

    assert 0 == iotctl("shadow", "set", things[0], "a.b=7", "d=null", "--yes").code
    assert {"desired": {"a": {"b": 7, "c": 2}}, "reported": {"a": 9}} == state(things[0])
    assert 0 == iotctl("shadow", "set", things[0], "x=1", "--reported", "--yes").code
    assert {"a": 9, "x": 1} == state(things[0])["reported"]


def test_expect_version(iotctl: Iotctl, things: list[str]) -> None:
    """With another version than the shadow's nothing is changed, and the exit code is 6."""
    write(things[0], {"desired": {"a": 1}})

    assert 6 == iotctl("shadow", "set", things[0], "a=2", "--expect-version", "7", "--yes").code
    assert {"a": 1} == state(things[0])["desired"]
    assert 0 == iotctl("shadow", "set", things[0], "a=2", "--expect-version", "1", "--yes").code
    assert 2 == iotctl("shadow", "set", "-g", things[0], "a=2", "--expect-version", "1", "--yes").code


def test_many_things_need_a_bound(iotctl: Iotctl, things: list[str]) -> None:
    """Beyond one thing --max-changes is required and kept; each thing is told, and one that fails is partial."""
    for name in things[:2]:
        write(name, {"desired": {"a": 1}})

    assert 2 == iotctl("shadow", "set", "-g", things[0], "a=2", "--yes").code
    assert 2 == iotctl("shadow", "set", "-g", things[0], "a=2", "--yes", "--max-changes", "2").code
    assert [{"a": 1}, {"a": 1}] == [state(name)["desired"] for name in things[:2]]
    ran = iotctl("shadow", "set", "-g", things[0], "a=2", "--yes", "--max-changes", "3")
    assert 3 == ran.code
    assert sorted([f"{things[0]}\tdone", f"{things[1]}\tdone", f"{things[2]}\tfailed"]) == sorted(
        ran.stdout.split("\n")[:3]
    )
    assert [{"a": 2}, {"a": 2}] == [state(name)["desired"] for name in things[:2]]


def test_wait_ends_when_the_devices_have_reported(iotctl: Iotctl, things: list[str]) -> None:
    """--wait is over as soon as all have reported; those that have not are named, and the exit code is 13."""
    for name in things:
        write(name, {"desired": {"a": 1}})
    names = ("-g", things[0], "--max-changes", "3", "--yes")
    late = iotctl("shadow", "set", *names, "a=2", "--wait", "0.3s")
    for name in things:
        write(name, {"reported": {"a": 2}})

    assert (13, True) == (late.code, "have not reported" in late.stderr)
    assert 0 == iotctl("shadow", "set", *names, "a=2", "--wait", "20s").code


def test_diff(iotctl: Iotctl, things: list[str], tmp_path: Path) -> None:
    """Desired against reported, thing against thing, thing against file, and who deviates in a group."""
    write(things[0], {"desired": {"a": 1, "b": {"c": [1]}}, "reported": {"a": 1, "b": {"c": [2]}, "only": 1}})
    write(things[1], {"desired": {"a": 1}, "reported": {"a": 1}})
    (tmp_path / "wanted.json").write_text('{"a": 5}')

    assert f"{things[0]}\t/b/c\t[1]\t[2]\n" == iotctl("shadow", "diff", things[0]).stdout
    assert 4 == iotctl("shadow", "diff", things[0], "--exit-code").code
    assert 0 == iotctl("shadow", "diff", things[1], "--exit-code").code
    assert (
        f"{things[1]}\t/a\t1\t5\n"
        == iotctl("shadow", "diff", things[1], "--file", str(tmp_path / "wanted.json")).stdout
    )
    between = iotctl("shadow", "diff", things[0], things[1], "-o", "json").envelope["data"]["differences"]
    assert ["/desired/b", "/reported/b", "/reported/only"] == [row["path"] for row in between]
    assert 2 == iotctl("shadow", "diff", things[0], things[1], "-g", things[0]).code
    fleet = iotctl("shadow", "diff", "-g", things[0])
    assert [things[0]] == [line.split("\t")[0] for line in fleet.stdout.splitlines()]
    assert "1 of 3 things deviate; 1 have no such shadow" in fleet.stderr


def test_hostile_state_is_shown_escaped(iotctl: Iotctl, things: list[str]) -> None:
    """What a device reports cannot drive the terminal; the `iotctl` fixture looks at every byte."""
    write(things[0], {"desired": {"a": 1}, "reported": {"a": "\x1b]52;c;AAAA\x07\x9b31m [/foo] \u202e"}})

    assert "\\u001b" in iotctl("shadow", "get", things[0]).stdout
    assert "\\u001b" in iotctl("shadow", "diff", things[0]).stdout


def test_delete_is_safe_to_repeat(iotctl: Iotctl, things: list[str]) -> None:
    """A deleted shadow is gone, and deleting it again is done already."""
    write(things[0], {"desired": {"a": 1}})

    assert [0, 0] == [iotctl("shadow", "delete", things[0], "--yes").code for _ in range(2)]
    assert 8 == iotctl("shadow", "get", things[0]).code


def test_watch_tells_each_place_that_changes(iotctl: Iotctl, things: list[str]) -> None:
    """A change made over HTTP comes over MQTT, a row for each place, and --count ends the stream."""
    write(things[0], {"desired": {"a": 1}})
    stop = threading.Event()

    def change() -> None:
        number = 1
        while not stop.wait(0.05):
            number += 1
            write(things[0], {"desired": {"a": number}})

    writer = threading.Thread(target=change)
    writer.start()
    try:
        ran = iotctl("shadow", "watch", things[0], "--count", "2", "--for", "20s", "-o", "json")
    finally:
        stop.set()
        writer.join()
    rows = [json.loads(line) for line in ran.stdout.splitlines()]

    assert ["row", "row", "result"] == [row["type"] for row in rows]
    for row in rows[:2]:
        shown = {key: row[key] for key in ("thingName", "section", "path")}
        assert {"thingName": things[0], "section": "desired", "path": "/a"} == shown
        assert row["after"] == row["before"] + 1


def write(thing_name: str, sections: dict[str, Any], shadow_name: str | None = None) -> None:
    """Update a shadow as any SDK does."""
    named = {"shadowName": shadow_name} if shadow_name else {}
    client("iot-data").update_thing_shadow(thingName=thing_name, payload=json.dumps({"state": sections}), **named)


def read(thing_name: str, shadow_name: str | None = None) -> Any:
    """A shadow as any SDK reads it."""
    named = {"shadowName": shadow_name} if shadow_name else {}
    return json.loads(client("iot-data").get_thing_shadow(thingName=thing_name, **named)["payload"].read())


def state(thing_name: str) -> dict[str, Any]:
    """The desired and reported state of the classic shadow."""
    found: dict[str, Any] = read(thing_name)["state"]
    found.pop("delta", None)
    return found


def test_a_change_that_makes_the_state_too_large(iotctl: Iotctl, things: list[str]) -> None:
    """A small patch that takes the merged state over 8 KB is a conflict with what is there; nothing is changed."""
    write(things[0], {"desired": {"a": "x" * 8000}})

    assert 6 == iotctl("shadow", "set", things[0], f"b={'y' * 300}", "--yes").code
    assert {"a": "x" * 8000} == state(things[0])["desired"]


def test_a_fleet_change_that_was_killed_goes_on(iotctl: Iotctl, platform: Platform, tmp_path: Path) -> None:
    """Kill -9 in the middle of a change for many; the same command again does the rest, and only the rest."""
    tag = uuid.uuid4().hex[:8]
    names = [f"{tag}-{number}" for number in range(600)]
    (tmp_path / "names").write_text("\n".join(names))
    words = ["shadow", "set", "--things", str(tmp_path / "names"), "a=1", "--create", "--max-changes", "600", "--yes"]
    home = {**os.environ, "IOTCTL_HOME": str(tmp_path / "home"), "IOTCTL_TARGET": ""}
    started = subprocess.Popen([sys.executable, "-m", "iotctl", *words], env=home, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    # What is on the way to the journal may be lost with the process; a hundred things are on record by then.
    for _ in range(150):
        assert started.stdout.readline()
    started.kill()
    started.communicate()
    again = subprocess.run(
        [sys.executable, "-m", "iotctl", *words], env=home, capture_output=True, text=True, check=False, timeout=60
    )

    assert (0, True) == (again.returncode, "things of 600 done before" in again.stderr), again.stderr
    assert len(again.stdout.splitlines()) < 600
    assert [1] * 600 == [state(name)["desired"]["a"] for name in names]
