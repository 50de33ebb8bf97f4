"""The shadow service on its store: what is kept, for how long, and what it leaves in the outbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import clock
from iotctl.local.services import OPERATIONS, AwsError, Message, shadows

if TYPE_CHECKING:
    from iotctl.local.store import Store

BASE = "$aws/things/pump/shadow"


def update(store: Store, document: Any, **names: str) -> dict[str, Any]:
    """Update the shadow of the thing `pump`."""
    operation = OPERATIONS["iot-data:UpdateThingShadow"]
    answer = operation(store, thingName="pump", payload=json.dumps(document).encode(), **names)
    found: dict[str, Any] = json.loads(answer["payload"])
    return found


def delete(store: Store) -> None:
    """Delete the classic shadow of the thing `pump`."""
    OPERATIONS["iot-data:DeleteThingShadow"](store, thingName="pump")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Turn the clock: `later(hours=1)`."""
    turned = [clock.epoch()]
    monkeypatch.setattr(clock, "epoch", lambda: turned[0])

    def turn(hours: float) -> None:
        turned[0] += hours * 3600

    return turn


@pytest.mark.parametrize(("hours", "version"), [(47.9, 3), (48.1, 1)])
def test_a_version_goes_on_for_48_hours(store: Store, later: Any, hours: float, version: int) -> None:
    """A new shadow continues the version of the deleted one, and after two days begins again."""
    for _ in range(2):
        update(store, {"state": {"desired": {"a": 1}}})
    delete(store)
    later(hours)
    assert version == update(store, {"state": {}})["version"]


def test_what_is_left_of_deleted_shadows_goes(store: Store, later: Any) -> None:
    """A deletion sweeps away what older ones left."""
    update(store, {"state": {}})
    delete(store)
    later(49)
    OPERATIONS["iot-data:UpdateThingShadow"](store, thingName="valve", payload=b'{"state":{}}')
    OPERATIONS["iot-data:DeleteThingShadow"](store, thingName="valve")
    assert ["valve"] == [row["thing_name"] for row in store.rows("SELECT thing_name FROM shadow")]


def test_a_time_is_kept_by_what_an_update_does_not_name(store: Store, later: Any) -> None:
    """Only what an update names has its time."""
    first = update(store, {"state": {"desired": {"a": 1}}})["timestamp"]
    later(1)
    update(store, {"state": {"desired": {"b": 2}}})
    document = shadows.find(store, "pump")
    assert document is not None
    expected = {"a": {"timestamp": first}, "b": {"timestamp": first + 3600}}
    assert expected == document.desired_metadata


def test_one_update_leaves_accepted_delta_and_documents(store: Store) -> None:
    """In this order, in one outbox, after the commit."""
    update(store, {"state": {"desired": {"a": 1}}}, shadowName="s")
    expected = [f"{BASE}/name/s/update/{kind}" for kind in ("accepted", "delta", "documents")]
    assert expected == [event.topic for event in store.drain()]


def test_a_refused_update_leaves_nothing(store: Store) -> None:
    """Neither a change nor an event."""
    with pytest.raises(AwsError):
        update(store, {"state": {}, "version": 4})
    assert ([], None) == (store.drain(), shadows.find(store, "pump"))


def test_a_refusal_over_mqtt_is_an_event(store: Store) -> None:
    """The refusal of an MQTT request is told on its topic, and changes nothing."""
    with store.transaction():
        shadows.on_update(store, Message(f"{BASE}/update", b'{"clientToken":"t"}'))
    (event,) = store.drain()
    expected = {"code": 400, "message": "Missing required node: state", "clientToken": "t"}
    assert f"{BASE}/update/rejected" == event.topic
    assert expected == {key: value for key, value in json.loads(event.payload).items() if key != "timestamp"}
