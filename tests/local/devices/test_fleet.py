"""A fleet on the session's platform: real bundles, real TLS, the command itself."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.errors import Integrity, NotFound, Usage
from iotctl.local.devices import fleet
from iotctl.local.devices import roles as devices_roles
from iotctl.local.devices.roles import Shares, roles
from tests.botocores import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran
    from tests.local.devices.conftest import Onboarded

PATIENCE = 30.0


class Playing:
    """`iotctl local devices` in a process of its own."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iotctl", "local", "devices", *words, "-o", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.rows: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def events(self, event: str) -> set[str]:
        """The things that told an event."""
        return {row["thingName"] for row in list(self.rows) if row.get("event") == event}

    def connected(self, number: int) -> bool:
        """Whether so many are connected, as the fleet's own row says."""
        counts = [row["connected"] for row in list(self.rows) if row.get("event") == "connected"]
        return counts[-1:] == [number]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.rows.append(json.loads(line))


@contextlib.contextmanager
def playing(*words: str) -> Iterator[Playing]:
    """Play a fleet; it is ended whatever happens."""
    played = Playing(*words)
    try:
        yield played
    finally:
        played.process.kill()
        played.process.wait()
        for stream in (played.process.stdout, played.process.stderr):
            assert stream is not None
            stream.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {PATIENCE} s"
        time.sleep(0.05)


@pytest.fixture
def shadows(platform: Platform) -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Desired and reported of a thing."""
    data = client("iot-data")

    def read(thing_name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        state = json.loads(data.get_thing_shadow(thingName=thing_name)["payload"].read())["state"]
        return state.get("desired", {}), state.get("reported", {})

    return read


def test_fifty_things_converge_and_those_that_fail_stay_behind(
    onboard: Callable[[int], Onboarded],
    shadows: Callable[[str], tuple[dict[str, Any], dict[str, Any]]],
    iotctl: Callable[..., Ran],
) -> None:
    """What is desired at the start and what is changed later is reported; one in ten refuses, one in ten is away."""
    made = onboard(50)
    parts = roles(made.names, Shares(fail=0.1, offline=0.1))
    failing = {name for name, role in parts.items() if role.fails}
    offline = {name for name, role in parts.items() if role.offline}
    good = set(made.names) - failing - offline
    names = made.bundles.parent / "names"
    names.write_text("\n".join(made.names))
    with playing("--bundles", str(made.bundles), "--fail", "10%", "--offline", "10%") as played:
        until(lambda: played.events("reported") == good, "all reported")
        until(lambda: played.connected(45), "connected")
        changed = iotctl("shadow", "set", "--things", str(names), "rate=9", "--max-changes", "50", "--yes")
        assert 0 == changed.code
        until(lambda: all(shadows(name)[1] == {"rate": 9} for name in good), "converged")
        until(lambda: len([row for row in played.rows if row.get("event") == "refused"]) == 10, "refused twice")
        assert 0 == played.stop()
    assert (5, 5, 40) == (len(failing), len(offline), len(good))
    assert failing == played.events("refused")
    assert all("rate" not in shadows(name)[1] and "error" in shadows(name)[1] for name in failing)
    assert all(shadows(name)[1] == {} for name in offline)
    summary, envelope = played.rows[-2:]
    assert {"refused": 10, "reported": 80} == summary["counts"]
    assert ("ended", 45, 50) == (summary["event"], summary["connected"], summary["things"])
    assert ("result", 0) == (envelope["type"], envelope["exitCode"])


def test_a_few_go_through_awsiotsdk(
    onboard: Callable[[int], Onboarded], shadows: Callable[[str], tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    """The same things, on AWS's own client; SIGTERM ends them too."""
    made = onboard(2)
    with playing("2", "--bundles", str(made.bundles)) as played:
        until(lambda: played.events("reported") == set(made.names), "all reported")
        client("iot-data").update_thing_shadow(
            thingName=made.names[0], shadowName="config", payload=b'{"state":{"desired":{"mode":"eco"}}}'
        )
        until(lambda: any(row.get("shadowName") == "config" for row in played.rows), "a named shadow reported")
        assert 0 == played.stop(signal.SIGTERM)
    assert all(shadows(name) == ({"rate": 5}, {"rate": 5}) for name in made.names)
    assert ("ended", 2) == (played.rows[-2]["event"], played.rows[-2]["connected"])


def test_a_certificate_that_is_switched_off_and_on(onboard: Callable[[int], Onboarded]) -> None:
    """Its thing is told lost once, and back when it is: however often it tries in between."""
    made = onboard(6)
    name = made.names[3]
    iot = client("iot")
    certificate = iot.list_thing_principals(thingName=name)["principals"][0].rpartition("/")[2]
    with playing("--bundles", str(made.bundles)) as played:
        until(lambda: played.connected(6), "connected")
        iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
        until(lambda: played.connected(5), "lost")
        iot.update_certificate(certificateId=certificate, newStatus="ACTIVE")
        until(lambda: played.events("back"), "back")
        played.stop()
    told = [row["event"] for row in played.rows if row.get("thingName") == name and row["event"] != "reported"]
    assert ("lost", "back") == (told[0], told[-1])
    assert set(told[1:-1]) <= {"unconnected"}


@pytest.mark.parametrize("number", [2, 6], ids=["awsiotsdk", "light"])
def test_slow_things_act_later(
    onboard: Callable[[int], Onboarded],
    iotctl: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """Each says that it waits, and reports when its time has come."""
    monkeypatch.setattr(devices_roles, "QUICKEST", 0.2)
    monkeypatch.setattr(devices_roles, "SLOWEST", 0.4)
    made = onboard(number)
    ran = iotctl("local", "devices", "--bundles", str(made.bundles), "--for", "3s", "--slow", "100%", "-o", "json")
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    told = {name: [row["event"] for row in rows if row.get("thingName") == name] for name in made.names}
    assert {each: ["waiting", "reported"] for each in made.names} == told


def test_it_ends_after_its_time(onboard: Callable[[int], Onboarded], iotctl: Callable[..., Ran]) -> None:
    """`--for`: ids for a script, the notes for a person."""
    made = onboard(6)
    ran = iotctl("local", "devices", "--bundles", str(made.bundles), "--for", "0.5s", "--offline", "50%", "-q")
    assert 0 == ran.code
    assert {*made.names, "# fleet"} > set(ran.stdout.split("\n")) - {""}
    shown = iotctl("local", "devices", "6", "--bundles", str(made.bundles), "--for", "0.1", "--offline", "100%")
    assert "playing 6 things on the local platform" in shown.stderr
    assert "of these 6 stay offline" in shown.stderr
    assert "0 of 6 connected" in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail", "lots"], "is not a percentage"),
        (["--fail", "60%", "--slow", "60%"], "more than 100%"),
        (["--for", "soon"], "is not a duration"),
        (["0"], "0 is not in the range"),
        ([], "which bundles directory?"),
    ],
)
def test_wrong_words(
    iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """Nothing is started; the exit code is 2."""
    monkeypatch.chdir(tmp_path)
    ran = iotctl("local", "devices", *words)
    assert 2 == ran.code
    assert said in ran.stderr


def bundle(directory: Path, name: str, **changes: object) -> None:
    """A bundle's directory with a config and nothing else."""
    place = directory / "devices" / name
    place.mkdir(parents=True)
    config = {
        "thingName": name,
        "kind": "local",
        "accountId": "123456789012",
        "region": "eu-west-1",
        "endpoint": "127.0.0.1",
        "mqttPort": 8883,
        "keyFile": "private.pem.key",
        "certificateFile": "certificate.pem.crt",
        "rootCaFile": "AmazonRootCA1.pem",
    }
    (place / "config.json").write_text(json.dumps(config | changes))


def test_which_things_are_played(tmp_path: Path) -> None:
    """In the order of their directories, the first so many; those whose key is elsewhere are passed over."""
    for name in ("c", "a", "b"):
        bundle(tmp_path, name, keyFile="" if name == "b" else "private.pem.key")
    assert ["a", "c"] == [member.identity.thing_name for member in fleet.members(tmp_path, None)]
    assert ["a"] == [member.identity.thing_name for member in fleet.members(tmp_path, 1)]
    with pytest.raises(Usage, match="of 2 things with a key, not of 3"):
        fleet.members(tmp_path, 3)


def test_bundles_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    """Told before anything connects."""
    with pytest.raises(NotFound, match="no bundles"):
        fleet.members(tmp_path, None)
    bundle(tmp_path, "a")
    (tmp_path / "devices" / "a" / "config.json").write_text("{}")
    with pytest.raises(Integrity, match="damaged"):
        fleet.members(tmp_path, None)


def test_bundles_of_an_aws_account_are_played_only_when_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated thing would put the real one off the line."""
    monkeypatch.chdir(tmp_path)
    bundle(tmp_path / "factory-fleet", "a", kind="aws", endpoint="x-ats.iot.eu-west-1.amazonaws.com")
    with pytest.raises(Usage, match="would take the real ones' place"):
        fleet.members(None, None)
    assert ["a"] == [member.identity.thing_name for member in fleet.members(tmp_path / "factory-fleet", None)]
    shutil.rmtree(tmp_path / "factory-fleet")
    bundle(tmp_path / "local-fleet", "b")
    assert ["b"] == [member.identity.thing_name for member in fleet.members(None, None)]
