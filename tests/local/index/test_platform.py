"""The index on a running platform: it follows every kind of change within a moment, and over restarts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING, Any

from iotctl import pki
from iotctl.local import process
from iotctl.local.state import Ports, State
from tests.local.clients import Mqtt, register, until
from tests.local.conftest import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from iotctl.target import Platform
    from tests.conftest import Ran
    from tests.local.conftest import Name


def finds(iot: Any, query: str) -> list[str]:
    """The names that a query finds."""
    return [thing["thingName"] for thing in iot.search_index(queryString=query)["things"]]


def test_it_follows_the_registry_and_the_shadows(
    index_iot: Any, index_platform: tuple[State, Platform], name: Name
) -> None:
    """Created, changed, put in a group, reported, deleted: over HTTP, searched by boto3."""
    data, thing, group = client(index_platform[1], "iot-data"), name("press"), name("north")
    index_iot.create_thing(thingName=thing, attributePayload={"attributes": {"site": "oslo"}})
    until(lambda: finds(index_iot, f"thingName:{thing}") == [thing])

    index_iot.update_thing(thingName=thing, attributePayload={"attributes": {"site": "rome"}})
    until(lambda: finds(index_iot, f"thingName:{thing} AND attributes.site:rome") == [thing])

    index_iot.create_thing_group(thingGroupName=group)
    index_iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
    until(lambda: finds(index_iot, f"thingGroupNames:{group}") == [thing])

    data.update_thing_shadow(thingName=thing, payload=b'{"state":{"desired":{"rate":5}}}')
    until(lambda: finds(index_iot, f"thingName:{thing} AND shadow.hasDelta:true") == [thing])
    data.update_thing_shadow(thingName=thing, payload=b'{"state":{"reported":{"rate":5}}}')
    until(lambda: finds(index_iot, f"thingName:{thing} AND shadow.hasDelta:false") == [thing])

    index_iot.delete_thing_group(thingGroupName=group)
    until(lambda: finds(index_iot, f"thingGroupNames:{group}") == [])
    index_iot.delete_thing(thingName=thing)
    until(lambda: finds(index_iot, f"thingName:{thing}") == [])


def test_it_follows_connections_and_survives_a_kill(
    index_iot: Any, index_platform: tuple[State, Platform], signer: pki.Authority, tmp_path: Path, name: Name
) -> None:
    """Connected, disconnected with the reason; after kill -9 nobody is connected, and everything else is there."""
    state, platform = index_platform
    device = register(index_iot, signer, tmp_path, name("press"))
    connected = f"thingName:{device.name} AND connectivity.connected:true"
    never = index_iot.get_thing_connectivity_data(thingName=device.name)
    assert (False, 0, "UNKNOWN") == (never["connected"], never["timestamp"].timestamp(), never["disconnectReason"])
    with Mqtt(platform, device):
        until(lambda: finds(index_iot, connected) == [device.name])
        assert index_iot.get_thing_connectivity_data(thingName=device.name)["connected"]
    reason = f"thingName:{device.name} AND connectivity.disconnectReason:CLIENT_INITIATED_DISCONNECT"
    until(lambda: finds(index_iot, reason) == [device.name])
    known = index_iot.get_thing_connectivity_data(thingName=device.name)
    assert (False, "CLIENT_INITIATED_DISCONNECT") == (known["connected"], known["disconnectReason"])

    with contextlib.suppress(OSError), Mqtt(platform, device):
        until(lambda: finds(index_iot, connected) == [device.name])
        os.kill(platform.pid, signal.SIGKILL)
        until(lambda: not state.running())
    process.background(state, state.ports() or Ports(), None)
    until(lambda: finds(index_iot, f"thingName:{device.name} AND connectivity.connected:false") == [device.name])


def test_dynamic_groups_follow_the_shadows(index_iot: Any, index_platform: tuple[State, Platform], name: Name) -> None:
    """A thing that reports itself into a query is a member a moment later."""
    data, thing, group = client(index_platform[1], "iot-data"), name("press"), name("charged")
    index_iot.create_thing(thingName=thing)
    query = f"thingName:{thing} AND shadow.reported.battery>80"
    index_iot.create_dynamic_thing_group(thingGroupName=group, queryString=query)

    data.update_thing_shadow(thingName=thing, payload=json.dumps({"state": {"reported": {"battery": 90}}}))
    until(lambda: index_iot.list_things_in_thing_group(thingGroupName=group)["things"] == [thing])
    data.update_thing_shadow(thingName=thing, payload=json.dumps({"state": {"reported": {"battery": 70}}}))
    until(lambda: index_iot.list_things_in_thing_group(thingGroupName=group)["things"] == [])
    index_iot.delete_dynamic_thing_group(thingGroupName=group)


def test_shadow_diff_of_a_fleet_comes_from_the_index(
    index_iot: Any,
    index_platform: tuple[State, Platform],
    name: Name,
    iotctl: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By group and by query, it finds who deviates, and says where it looked; --live looks at the shadows."""
    data, group = client(index_platform[1], "iot-data"), name("north")
    index_iot.create_thing_group(thingGroupName=group)
    things = [name("press-a"), name("press-b")]
    for number, thing in enumerate(things):
        index_iot.create_thing(thingName=thing)
        index_iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
        state = {"desired": {"rate": 5}, "reported": {"rate": 5 - number}}
        data.update_thing_shadow(thingName=thing, payload=json.dumps({"state": state}))
    until(lambda: finds(index_iot, f"thingGroupNames:{group} AND shadow.hasDelta:true") == [things[1]])
    monkeypatch.setenv("IOTCTL_HOME", str(index_platform[0].directory.parent))

    query = f"thingGroupNames:{group}"
    for scope in (("-g", group), ("--search", query)):
        ran = iotctl("shadow", "diff", *scope, "--local")
        assert f"{things[1]}\t/rate\t5\t4\n" == ran.stdout
        assert "1 of 2 things deviate" in ran.stderr
        assert "fleet index" in ran.stderr
    live = iotctl("shadow", "diff", "-g", group, "--local", "--live")
    assert (f"{things[1]}\t/rate\t5\t4\n", False) == (live.stdout, "fleet index" in live.stderr)
    assert 2 == iotctl("shadow", "diff", "--search", "thingName:*x", "--local").code
