"""Killed without warning, under load over HTTP and MQTT, the platform loses no change that it acknowledged."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local import process
from tests.local.clients import Device, Mqtt, register, until
from tests.local.conftest import client, send

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl import pki
    from iotctl.local.state import State
    from iotctl.target import Platform

WRITERS = 3
AWAY = "away"


@dataclass
class Load:
    """Writers, and what was acknowledged to them: the last number by thing, the things that were created."""

    platform: Platform
    devices: list[Device]
    acknowledged: dict[str, int]
    created: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def http(self, thing: str, section: str) -> None:
        """Count up in a shadow over HTTP, until the platform is gone."""
        number = self.acknowledged.get(thing, 0)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.over.is_set():
                number += 1
                body = json.dumps({"state": {section: {"n": number}}}).encode()
                answer = send(self.platform, "POST", f"/things/{thing}/shadow", body, service="iotdata")
                assert 200 == answer.status
                self.acknowledged[thing] = number

    def registry(self, prefix: str) -> None:
        """Create things over HTTP, until the platform is gone."""
        number = 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.over.is_set():
                number += 1
                name = f"{prefix}-{number}"
                assert 200 == send(self.platform, "POST", f"/things/{name}", b"{}").status
                self.created.add(name)

    def mqtt(self, device: Device) -> None:
        """Count up in a device's own shadow over MQTT: a PUBACK acknowledges; until the platform is gone."""
        number = self.acknowledged.get(device.name, 0)
        topic = f"$aws/things/{device.name}/shadow/update"
        with Mqtt(self.platform, device) as connected:
            while not self.over.is_set():
                number += 1
                if not connected.acknowledged(topic, {"state": {"reported": {"n": number}}}, self.over):
                    return
                self.acknowledged[device.name] = number


def killed_under_load(state: State, load: Load, seconds: float, round_: int) -> Platform:
    """Run the load, kill the platform, start it again on its ports."""
    threads = [threading.Thread(target=load.http, args=(f"http-{number}", "reported")) for number in range(WRITERS)]
    threads += [threading.Thread(target=load.mqtt, args=(device,)) for device in load.devices]
    threads.append(threading.Thread(target=load.http, args=(AWAY, "desired")))
    threads.append(threading.Thread(target=load.registry, args=(f"round-{round_}",)))
    for thread in threads:
        thread.start()
    time.sleep(seconds)  # how long it runs is the test, not a wait for something
    os.kill(load.platform.pid, signal.SIGKILL)
    load.over.set()
    for thread in threads:
        thread.join(30)
    until(lambda: not state.running())
    ports = state.ports()
    assert ports is not None
    return process.background(state, ports, None)


def check(platform: Platform, load: Load) -> None:
    """All that was acknowledged is there, and nothing is more than one step ahead of it."""
    data, iot = client(platform, "iot-data"), client(platform)
    for thing, number in load.acknowledged.items():
        document = json.loads(data.get_thing_shadow(thingName=thing)["payload"].read())
        found = next(iter(document["state"].values()))["n"]
        assert number <= found <= number + 1, thing
        assert found <= document["version"], thing
    for name in load.created:
        iot.describe_thing(thingName=name)


def kill_again_and_again(own: tuple[State, Platform], signer: pki.Authority, directory: Path, kills: int) -> None:
    """Kill the platform this many times under load; after each, everything acknowledged must be there."""
    state, platform = own
    iot = client(platform)
    devices = [register(iot, signer, directory, f"mqtt-{number}") for number in range(WRITERS)]
    away = register(iot, signer, directory, AWAY)
    topic = f"$aws/things/{AWAY}/shadow/update/delta"
    with Mqtt(platform, away, clean=False) as connected:
        connected.subscribe(topic)
    acknowledged: dict[str, int] = {}
    seen, unsure = 0, set[int]()
    chance = random.Random(kills)
    for round_ in range(kills):
        load = Load(platform, devices, acknowledged)
        before = dict(acknowledged)
        platform = killed_under_load(state, load, chance.uniform(0.3, 1.2), round_)
        check(platform, load)
        assert acknowledged.keys() == {AWAY, *(f"{kind}-{n}" for kind in ("http", "mqtt") for n in range(WRITERS))}
        assert all(number > before.get(thing, 0) for thing, number in acknowledged.items())
        seen = collected(platform, away, seen, acknowledged[AWAY], unsure)
        now = settled(platform, acknowledged)
        if now[AWAY] > acknowledged[AWAY]:
            unsure.add(now[AWAY])
        acknowledged.update(now)


def collected(platform: Platform, device: Device, seen: int, last: int, unsure: set[int]) -> int:
    """What was queued for a device that was away: every number that was acknowledged, in order; the last that came.

    Numbers in `unsure` were committed and not acknowledged when the platform was killed: their deltas may be missing.
    """
    with Mqtt(platform, device, clean=False) as connected:
        while seen < last:
            number = connected.next().json["state"]["n"]
            assert unsure.issuperset(range(seen + 1, number)), "a delta is missing"
            seen = number
        connected.settle()
    return max([seen, *(one.json["state"]["n"] for one in connected.rest())])


def settled(platform: Platform, acknowledged: dict[str, Any]) -> dict[str, int]:
    """The number of each shadow now: one more than was acknowledged may have been committed."""
    data = client(platform, "iot-data")
    documents = {name: json.loads(data.get_thing_shadow(thingName=name)["payload"].read()) for name in acknowledged}
    return {name: next(iter(one["state"].values()))["n"] for name, one in documents.items()}


def test_a_kill_loses_nothing_acknowledged(
    own_platform: tuple[State, Platform], signer: pki.Authority, tmp_path: Path
) -> None:
    """Two kills under mixed load."""
    kill_again_and_again(own_platform, signer, tmp_path, 2)


@pytest.mark.campaign
def test_ten_kills_lose_nothing_acknowledged(
    own_platform: tuple[State, Platform], signer: pki.Authority, tmp_path: Path
) -> None:
    """Ten kills under mixed load."""
    kill_again_and_again(own_platform, signer, tmp_path, 10)
