"""`shadow diff` of a fleet out of the fleet index: what it reads there, and what it reads itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotctl import shadows
from iotctl.errors import Denied, NoIndex
from iotctl.scope import Scope


class Account:
    """An account whose answers are given, and which remembers what it was asked."""

    def __init__(self, configuration: dict[str, Any], entries: list[dict[str, Any]], members: list[str]) -> None:
        self.configuration = configuration
        self.entries = entries
        self.members = members
        self.queries: list[str] = []
        self.denies = False

    def call(self, op: str, **_: Any) -> dict[str, Any]:
        assert "iot:GetIndexingConfiguration" == op
        if self.denies:
            raise Denied(f"{op} is not allowed")
        return {"thingIndexingConfiguration": self.configuration}

    def pages(self, op: str, **parameters: Any) -> list[dict[str, Any]]:
        if op == "iot:SearchIndex":
            self.queries.append(parameters["queryString"])
            if self.configuration["thingIndexingMode"] == "BUILDING":
                raise NoIndex("not ready")
            return [{"things": self.entries}]
        if op == "iot:ListThingGroups":
            return [{"thingGroups": [{"groupName": f"below-{number}"} for number in range(7)]}]
        return [{"things": self.members}]


CLASSIC = {"thingIndexingMode": "REGISTRY_AND_SHADOW"}
NAMED = {"thingIndexingMode": "REGISTRY", "namedShadowIndexingMode": "ON", "filter": {"namedShadowNames": ["config"]}}
PRESS = {
    "thingName": "press-1",
    "shadow": json.dumps(
        {
            "desired": {"rate": 5},
            "hasDelta": True,
            "version": 3,
            "name": {"config": {"reported": {"a": 1}, "version": 1}},
        }
    ),
}


def read(monkeypatch: pytest.MonkeyPatch, account: Account, scope: Scope, name: str | None = None, **how: Any) -> Any:
    """The states by thing, which things were read themselves, and the words."""
    asked: list[str] = []

    def read_all(_world: object, things: Any, _name: str | None) -> list[shadows.Shadow]:
        asked.extend(things.names)
        return [shadows.Shadow(thing, None) for thing in things.names]

    monkeypatch.setattr(shadows, "read_all", read_all)
    found, words = shadows.of_scope(account, None, scope, name, live=how.get("live", False))  # type: ignore[arg-type]
    states = {shadow.thing_name: shadow.document and shadow.document["state"] for shadow in found}
    return states, asked, bool(words)


def test_a_group_is_read_from_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group below is named, seven a query; a member that the index lacks is read, one that left is not shown."""
    gone = {"thingName": "gone", "shadow": PRESS["shadow"]}
    account = Account(CLASSIC, [PRESS, gone], ["press-1", "press-2"])

    states, asked, told = read(monkeypatch, account, Scope(thing_group="north"))

    assert ({"press-1": {"desired": {"rate": 5}}, "press-2": None}, ["press-2"], True) == (states, asked, told)
    assert 2 == len(account.queries)
    assert account.queries[0].startswith('thingGroupNames:("north" OR "below-0" OR ')


def test_a_query_names_its_things_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is asked; a thing whose entry has no shadow has none."""
    account = Account(CLASSIC, [PRESS, {"thingName": "bare"}], [])

    states, asked, _ = read(monkeypatch, account, Scope(search="thingName:press*"))

    assert ({"press-1": {"desired": {"rate": 5}}, "bare": None}, []) == (states, asked)
    assert ["thingName:press*"] == account.queries


def test_a_named_shadow_that_is_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part of the entry."""
    states, _, told = read(monkeypatch, Account(NAMED, [PRESS], []), Scope(search="*"), "config")

    assert ({"press-1": {"reported": {"a": 1}}}, True) == (states, told)


@pytest.mark.parametrize(
    ("configuration", "name", "how"),
    [
        ({"thingIndexingMode": "OFF"}, None, {}),
        ({"thingIndexingMode": "REGISTRY"}, None, {}),
        ({**CLASSIC, "thingIndexingMode": "BUILDING"}, None, {}),
        (NAMED, "other", {}),
        (CLASSIC, None, {"live": True}),
        (CLASSIC, None, {"denies": True}),
    ],
)
def test_what_the_index_does_not_hold_is_read(
    monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any], name: str | None, how: dict[str, Any]
) -> None:
    """Off, being built, without these shadows, not allowed, or not wanted: unknown there is not clean."""
    account = Account(configuration, [PRESS], ["press-1"])
    account.denies = how.pop("denies", False)

    _, asked, told = read(monkeypatch, account, Scope(thing_group="north"), name, **how)

    assert (["press-1"], False) == (asked, told)
