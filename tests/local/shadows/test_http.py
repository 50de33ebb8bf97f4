"""Shadows over HTTP, with boto3: documents, codes and messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.conftest import Name, Refusal, client, refused, send, without_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform


def update(data: Any, thing: str, document: Any, shadow: str | None = None) -> dict[str, Any]:
    """Update a shadow; the answer's document."""
    names = {"thingName": thing, **({"shadowName": shadow} if shadow else {})}
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return json.loads(data.update_thing_shadow(**names, payload=payload)["payload"].read())


def get(data: Any, thing: str, shadow: str | None = None) -> dict[str, Any]:
    """A shadow's document."""
    names = {"thingName": thing, **({"shadowName": shadow} if shadow else {})}
    return json.loads(data.get_thing_shadow(**names)["payload"].read())


def timeless(document: Any) -> Any:
    """A document with every time stamp as 0."""
    if isinstance(document, dict):
        return {
            key: 0 if key == "timestamp" and isinstance(value, int) else timeless(value)
            for key, value in document.items()
        }
    return [timeless(one) for one in document] if isinstance(document, list) else document


def test_an_update_is_answered_with_what_it_named(data: Any, name: Name) -> None:
    """The answer holds the sections and fields of the request, their metadata, the version and the token."""
    answer = update(data, name("t"), {"state": {"desired": {"a": 1, "b": None}}, "clientToken": "me"})
    expected = {
        "state": {"desired": {"a": 1, "b": None}},
        "metadata": {"desired": {"a": {"timestamp": 0}, "b": {"timestamp": 0}}},
        "timestamp": 0,
        "clientToken": "me",
        "version": 1,
    }
    assert expected == timeless(answer)


def test_the_whole_shadow_has_its_delta(data: Any, name: Name) -> None:
    """GetThingShadow answers both sections, the delta, and the metadata of each."""
    update(data, name("t"), {"state": {"desired": {"a": 1, "b": 2}, "reported": {"a": 1, "c": 3}}})
    stamp = {"timestamp": 0}
    expected = {
        "state": {"desired": {"a": 1, "b": 2}, "reported": {"a": 1, "c": 3}, "delta": {"b": 2}},
        "metadata": {"desired": {"a": stamp, "b": stamp}, "reported": {"a": stamp, "c": stamp}, "delta": {"b": stamp}},
        "timestamp": 0,
        "version": 1,
    }
    assert expected == timeless(get(data, name("t")))


def test_named_shadows_are_apart_from_the_classic_one(data: Any, name: Name) -> None:
    """Each shadow has its own state and version."""
    for number, shadow in enumerate((None, "config", "config", "health")):
        update(data, name("t"), {"state": {"reported": {"n": number}}}, shadow)
    found = {shadow: get(data, name("t"), shadow) for shadow in (None, "config", "health")}
    expected = {None: (0, 1), "config": (2, 2), "health": (3, 1)}
    assert expected == {key: (one["state"]["reported"]["n"], one["version"]) for key, one in found.items()}


def test_named_shadows_are_listed_in_pages(data: Any, name: Name) -> None:
    """ListNamedShadowsForThing pages through the names, the classic shadow and deleted ones not among them."""
    for shadow in (None, "a", "b", "c", "gone"):
        update(data, name("t"), {"state": {}}, shadow)
    data.delete_thing_shadow(thingName=name("t"), shadowName="gone")
    first = data.list_named_shadows_for_thing(thingName=name("t"), pageSize=2)
    rest = data.list_named_shadows_for_thing(thingName=name("t"), pageSize=2, nextToken=first["nextToken"])
    assert (["a", "b"], ["c"]) == (first["results"], rest["results"])
    assert set(without_metadata(rest)) == {"results", "timestamp"}


def test_a_deleted_shadow_is_gone_and_its_version_goes_on(data: Any, name: Name) -> None:
    """DeleteThingShadow answers the version; a new shadow of the name continues after it."""
    update(data, name("t"), {"state": {"desired": {"a": 1}}})
    deleted = json.loads(data.delete_thing_shadow(thingName=name("t"))["payload"].read())
    gone = refused(data.get_thing_shadow, thingName=name("t"))
    again = update(data, name("t"), {"state": {"desired": {"b": 1}}})
    assert {"version": 1, "timestamp": 0} == timeless(deleted)
    assert Refusal("ResourceNotFoundException", 404, f"No shadow exists with name: '{name('t')}'") == gone
    assert 2 == again["version"]
    assert {"desired": {"b": 1}, "delta": {"b": 1}} == get(data, name("t"))["state"]


def test_shadows_and_things_live_apart(iot: Any, data: Any, name: Name) -> None:
    """A shadow needs no thing, and stays when a thing is deleted."""
    update(data, name("t"), {"state": {"reported": {"a": 1}}})
    iot.create_thing(thingName=name("t"))
    iot.delete_thing(thingName=name("t"))
    assert {"reported": {"a": 1}} == get(data, name("t"))["state"]


DEEP = {"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}
REFUSED: dict[str, tuple[Any, Refusal]] = {
    "not JSON": (b"{", Refusal("InvalidRequestException", 400, "Invalid JSON")),
    "no state": ({}, Refusal("InvalidRequestException", 400, "Missing required node: state")),
    "state": ({"state": 1}, Refusal("InvalidRequestException", 400, "State node must be an object")),
    "desired": ({"state": {"desired": 1}}, Refusal("InvalidRequestException", 400, "Desired node must be an object")),
    "reported": (
        {"state": {"reported": []}},
        Refusal("InvalidRequestException", 400, "Reported node must be an object"),
    ),
    "version": ({"state": {}, "version": "1"}, Refusal("InvalidRequestException", 400, "Invalid version")),
    "token": ({"state": {}, "clientToken": "x" * 65}, Refusal("InvalidRequestException", 400, "Invalid clientToken")),
    "deep": (
        {"state": {"desired": DEEP}},
        Refusal("InvalidRequestException", 400, "JSON contains too many levels of nesting; maximum is 6"),
    ),
    "null in an array": (
        {"state": {"desired": {"a": [None]}}},
        Refusal("InvalidRequestException", 400, "State contains an invalid node"),
    ),
    "stale": ({"state": {}, "version": 7}, Refusal("ConflictException", 409, "Version conflict")),
    "large": (
        {"state": {"desired": {"a": "x" * 9000}}},
        Refusal("RequestEntityTooLargeException", 413, "The payload exceeds the maximum size allowed"),
    ),
    "not UTF-8": (
        b'{"state":{"desired":{"a":"\xff"}}}',
        Refusal(
            "UnsupportedDocumentEncodingException",
            415,
            "Unsupported documented encoding; supported encoding is UTF-8",
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_aws_refuses_is_refused_in_its_words(data: Any, name: Name, case: str) -> None:
    """Each documented refusal has its code, status and message, and changes nothing."""
    document, expected = REFUSED[case]
    update(data, name("t"), {"state": {"desired": {"kept": True}}})
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = refused(data.update_thing_shadow, thingName=name("t"), payload=payload)
    assert expected == found
    assert 1 == get(data, name("t"))["version"]


def test_what_counts_is_the_merged_state(data: Any, name: Name) -> None:
    """A small update is refused when the state as a whole would be larger than 8 KB; metadata does not count."""
    update(data, name("t"), {"state": {"desired": {f"k{n}": "x" * 100 for n in range(70)}}})
    small = json.dumps({"state": {"reported": {"a": "x" * 1000}}}).encode()
    found = refused(data.update_thing_shadow, thingName=name("t"), payload=small)
    assert ("RequestEntityTooLargeException", 413) == (found.code, found.status)


@pytest.mark.parametrize(("thing", "shadow"), [("a b", None), ("x" * 129, None), ("t", "a b"), ("t", "x" * 65)])
def test_a_name_that_cannot_be_is_refused(data: Any, thing: str, shadow: str | None) -> None:
    """The names of things and shadows follow the patterns of the service model."""
    names = {"thingName": thing, **({"shadowName": shadow} if shadow else {})}
    found = refused(data.get_thing_shadow, **names)
    assert ("InvalidRequestException", 400) == (found.code, found.status)


def test_an_answer_is_written_as_aws_writes_it(running: Platform, name: Name) -> None:
    """The document is the body: compact JSON, in the order of the developer guide."""
    thing = name("t")
    body = json.dumps({"state": {"desired": {"ü": 1.5}}, "clientToken": "c"}, ensure_ascii=False).encode()
    found = send(running, "POST", f"/things/{thing}/shadow", body, service="iotdata")
    now = found.json["timestamp"]
    expected = (
        f'{{"state":{{"desired":{{"ü":1.5}}}},"metadata":{{"desired":{{"ü":{{"timestamp":{now}}}}}}},'
        f'"timestamp":{now},"clientToken":"c","version":1}}'
    )
    assert (200, expected) == (found.status, found.body.decode())


def test_a_shadow_is_there_after_a_restart(own_platform: Any, restarted: Callable[[Any], Platform]) -> None:
    """State, version and the memory of a deleted shadow are kept."""
    state, platform = own_platform
    data = client(platform, "iot-data")
    update(data, "t", {"state": {"desired": {"a": 1}}})
    update(data, "t", {"state": {"desired": {"a": 2}}}, "gone")
    data.delete_thing_shadow(thingName="t", shadowName="gone")
    again = client(restarted(state), "iot-data")
    assert ({"a": 1}, 1) == (get(again, "t")["state"]["desired"], get(again, "t")["version"])
    assert 2 == update(again, "t", {"state": {}}, "gone")["version"]
