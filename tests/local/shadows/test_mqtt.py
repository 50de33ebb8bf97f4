"""Shadows over MQTT: requests, answers, and what everybody else hears."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.clients import Device, Mqtt
from tests.local.conftest import Name
from tests.local.shadows.test_http import timeless

if TYPE_CHECKING:
    from iotctl.target import Platform

NewDevice = Callable[..., Device]

PREFIXES = {"classic": "shadow", "named": "shadow/name/config"}
STAMP = {"timestamp": 0}
STATE = {"code": 400, "message": "State node must be an object"}


@pytest.fixture(params=sorted(PREFIXES))
def prefix(request: pytest.FixtureRequest) -> str:
    """What a thing's shadow topics begin with, after the thing."""
    return PREFIXES[request.param]


def answers(base: str) -> tuple[str, ...]:
    """The topics that a shadow answers on."""
    return (
        *(f"{base}/{verb}/{answer}" for verb in ("get", "update", "delete") for answer in ("accepted", "rejected")),
        *(f"{base}/update/{kind}" for kind in ("delta", "documents")),
    )


def heard(client: Mqtt, base: str, number: int) -> list[tuple[str, Any]]:
    """The next messages: the topic after the shadow's prefix, the document without its times."""
    return [(one.topic.removeprefix(f"{base}/"), timeless(one.json)) for one in client.take(number)]


def test_an_update_is_accepted_then_told(running: Platform, device: NewDevice, prefix: str) -> None:
    """Accepted, delta and documents come in this order, each with the token and the version of the update."""
    pump = device()
    base = f"$aws/things/{pump.name}/{prefix}"
    with Mqtt(running, pump) as client:
        client.subscribe(*answers(base))
        client.publish(f"{base}/update", {"state": {"desired": {"a": 1}}, "clientToken": "c"})
        client.publish(f"{base}/update", {"state": {"reported": {"a": 1}}})
        found = heard(client, base, 5)
    first = {"state": {"desired": {"a": 1}}, "metadata": {"desired": {"a": STAMP}}, "version": 1}
    second = {
        "state": {"desired": {"a": 1}, "reported": {"a": 1}},
        "metadata": {"desired": {"a": STAMP}, "reported": {"a": STAMP}},
        "version": 2,
    }
    expected = [
        ("update/accepted", {**first, "timestamp": 0, "clientToken": "c"}),
        (
            "update/delta",
            {"state": {"a": 1}, "metadata": {"a": STAMP}, "version": 1, "timestamp": 0, "clientToken": "c"},
        ),
        ("update/documents", {"previous": None, "current": first, "timestamp": 0, "clientToken": "c"}),
        (
            "update/accepted",
            {"state": {"reported": {"a": 1}}, "metadata": {"reported": {"a": STAMP}}, "version": 2, "timestamp": 0},
        ),
        ("update/documents", {"previous": first, "current": second, "timestamp": 0}),
    ]
    assert expected == found


def test_a_get_and_a_delete_are_answered(running: Platform, device: NewDevice, prefix: str) -> None:
    """An empty payload and one with a token both do; a delete tells the version that there was."""
    pump = device()
    base = f"$aws/things/{pump.name}/{prefix}"
    with Mqtt(running, pump) as client:
        client.publish(f"{base}/update", {"state": {"reported": {"a": [1, {"b": 2}]}}})
        client.subscribe(*answers(base))
        client.publish(f"{base}/get")
        client.publish(f"{base}/get", {"clientToken": "g"})
        client.publish(f"{base}/delete", {"clientToken": "d"})
        found = heard(client, base, 3)
    document = {
        "state": {"reported": {"a": [1, {"b": 2}]}},
        "metadata": {"reported": {"a": [STAMP, {"b": STAMP}]}},
        "timestamp": 0,
        "version": 1,
    }
    expected = [
        ("get/accepted", document),
        ("get/accepted", {**document, "clientToken": "g"}),
        ("delete/accepted", {"version": 1, "timestamp": 0, "clientToken": "d"}),
    ]
    assert expected == found


def test_refusals_come_on_rejected(running: Platform, device: NewDevice, prefix: str) -> None:
    """Each refusal has the documented code and message, the time, and the token where there was one."""
    pump = device()
    base = f"$aws/things/{pump.name}/{prefix}"
    missing = f"No shadow exists with name: '{pump.name}{'~config' if 'name' in prefix else ''}'"
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        ("get", {"clientToken": "t"}, {"code": 404, "message": missing, "clientToken": "t"}),
        ("delete", b"", {"code": 404, "message": missing}),
        ("update", b"{", {"code": 400, "message": "Invalid JSON"}),
        ("update", {}, {"code": 400, "message": "Missing required node: state"}),
        ("update", {"state": [], "clientToken": "t"}, {**STATE, "clientToken": "t"}),
        ("update", {"state": {}, "version": 3}, {"code": 409, "message": "Version conflict"}),
        ("update", {"state": {}, "clientToken": 1}, {"code": 400, "message": "Invalid clientToken"}),
        (
            "update",
            {"state": {"desired": {"a": "x" * 9000}}},
            {"code": 413, "message": "The payload exceeds the maximum size allowed"},
        ),
        (
            "update",
            b"\xff",
            {"code": 415, "message": "Unsupported documented encoding; supported encoding is UTF-8"},
        ),
    ]
    with Mqtt(running, pump) as client:
        client.subscribe(*answers(base))
        for verb, payload, _ in asked:
            client.publish(f"{base}/{verb}", payload)
        found = heard(client, base, len(asked))
    expected = [
        (f"{verb}/rejected", error if error["code"] == 404 else {**error, "timestamp": 0}) for verb, _, error in asked
    ]
    assert expected == found


def test_a_trailing_nul_is_no_part_of_the_document(running: Platform, device: NewDevice) -> None:
    """Devices written in C send it, and AWS takes it."""
    pump = device()
    base = f"$aws/things/{pump.name}/shadow"
    with Mqtt(running, pump) as client:
        client.subscribe(f"{base}/update/accepted")
        client.publish(f"{base}/update", b'{"state":{"reported":{"a":1}}}\0')
        assert {"reported": {"a": 1}} == client.next().json["state"]


def test_http_is_heard_over_mqtt_and_the_other_way_round(running: Platform, device: NewDevice, data: Any) -> None:
    """One engine: an HTTP update reaches subscribers, an MQTT update is what HTTP answers."""
    pump = device()
    base = f"$aws/things/{pump.name}/shadow"
    with Mqtt(running, pump) as client:
        client.subscribe(*answers(base))
        payload = json.dumps({"state": {"desired": {"speed": 3}}, "clientToken": "http"}).encode()
        data.update_thing_shadow(thingName=pump.name, payload=payload)
        topics = [one.topic.removeprefix(f"{base}/update/") for one in client.take(3)]
        client.publish(f"{base}/update", {"state": {"reported": {"speed": 3}}})
        client.take(2)
        document = json.loads(data.get_thing_shadow(thingName=pump.name)["payload"].read())
        data.delete_thing_shadow(thingName=pump.name)
        deleted = client.next()
    assert ["accepted", "delta", "documents"] == topics
    assert ({"desired": {"speed": 3}, "reported": {"speed": 3}}, 2) == (document["state"], document["version"])
    assert (f"{base}/delete/accepted", 2) == (deleted.topic, deleted.json["version"])


def test_a_refused_http_update_is_not_heard(running: Platform, device: NewDevice, data: Any) -> None:
    """HTTP clients get the status, and no message goes out."""
    pump = device()
    base = f"$aws/things/{pump.name}/shadow"
    with Mqtt(running, pump) as client:
        client.subscribe(*answers(base))
        with pytest.raises(data.exceptions.InvalidRequestException):
            data.update_thing_shadow(thingName=pump.name, payload=b"{")
        client.publish(f"{base}/get", b'{"clientToken":"after"}')
        assert "after" == client.next().json["clientToken"]


def test_the_delta_comes_after_every_update_while_there_is_one(running: Platform, device: NewDevice) -> None:
    """Also when only something else is reported, with all that differs and the version of the update."""
    pump = device()
    base = f"$aws/things/{pump.name}/shadow"
    with Mqtt(running, pump) as client:
        client.subscribe(f"{base}/update/delta")
        client.publish(f"{base}/update", {"state": {"desired": {"a": 1, "b": {"c": 2}}}})
        client.publish(f"{base}/update", {"state": {"reported": {"x": 1}}})
        client.publish(f"{base}/update", {"state": {"reported": {"a": 1}}})
        found = [(one.json["version"], one.json["state"]) for one in client.take(3)]
    assert [(1, {"a": 1, "b": {"c": 2}}), (2, {"a": 1, "b": {"c": 2}}), (3, {"b": {"c": 2}})] == found


def test_a_persistent_session_gets_the_delta_later(running: Platform, device: NewDevice, data: Any) -> None:
    """What is desired while a device is away reaches it when it is back."""
    pump = device()
    topic = f"$aws/things/{pump.name}/shadow/update/delta"
    with Mqtt(running, pump, clean=False) as client:
        client.subscribe(topic)
    data.update_thing_shadow(thingName=pump.name, payload=b'{"state":{"desired":{"a":1}}}')
    with Mqtt(running, pump, clean=False) as client:
        assert {"a": 1} == client.next().json["state"]


def test_a_name_that_cannot_be_is_rejected(running: Platform, device: NewDevice, name: Name) -> None:
    """A shadow name that the service model would refuse is refused over MQTT too."""
    pump = device()
    base = f"$aws/things/{pump.name}/shadow/name/a b"
    with Mqtt(running, pump) as client:
        client.subscribe(f"{base}/update/rejected")
        client.publish(f"{base}/update", {"state": {}})
        found = client.next().json
    assert (400, "Invalid shadow name") == (found["code"], found["message"])
