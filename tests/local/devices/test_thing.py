"""A thing in conversation with the shadow engine itself: values in, values out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.devices.roles import Role
from iotctl.local.devices.thing import REFUSAL, Action, Publish, Thing, Told, Wait, held
from iotctl.semantics import document, topics
from iotctl.semantics.document import Document, DocumentError, Update
from iotctl.semantics.state import delta, merge, same

NAME = "pump-7"
MOST_TURNS = 20


class Shadows:
    """The shadows of one thing, with AWS's own rules, and what the thing told while it talked to them."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self.documents: dict[str | None, Document] = {}
        self.told: list[Told] = []
        self.waits: list[Wait] = []
        self.updates = 0
        self.online = True

    def desire(self, desired: dict[str, Any] | None, shadow: str | None = None) -> None:
        """An operator changes `desired`; the thing hears of it."""
        self._update({"desired": desired}, shadow, None)

    def report(self, reported: dict[str, Any] | None) -> None:
        """Somebody else writes `reported`."""
        self._update({"reported": reported}, None, None)

    def connect(self) -> None:
        """The thing connects."""
        self.online = True
        self.perform(self.thing.connected())

    def perform(self, actions: list[Action]) -> None:
        """Carry out what the thing does, as long as it does something."""
        for action in actions:
            match action:
                case Publish(topic, payload):
                    self.updates += 1
                    assert self.updates < MOST_TURNS, "the thing and its shadow never come to an end"
                    self._request(topic, payload)
                case Wait():
                    self.waits.append(action)
                case Told():
                    self.told.append(action)

    def state(self, shadow: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Desired and reported."""
        found = self.documents[shadow]
        return found.desired, found.reported

    def _request(self, topic: str, payload: bytes) -> None:
        about = topics.parse_shadow(topic)
        assert about is not None
        if about.verb == "get":
            found = self.documents.get(about.shadow_name)
            refusal = document.no_shadow("thing", about.shadow_name).payload(0)
            verb = "get/rejected" if found is None else "get/accepted"
            self._answer(verb, about.shadow_name, refusal if found is None else document.get_payload(found, 0))
            return
        request = document.parse_update(payload)
        self._update(request.state, about.shadow_name, request.client_token)

    def _update(self, state: dict[str, Any] | None, shadow: str | None, token: str | None) -> None:
        try:
            applied = document.apply(self.documents.get(shadow), Update(state, client_token=token), 0)
        except DocumentError as error:
            self._answer("update/rejected", shadow, error.payload(0))
            return
        self.documents[shadow] = applied.document
        self._answer("update/accepted", shadow, applied.accepted)
        if applied.delta:
            self._answer("update/delta", shadow, applied.delta)

    def _answer(self, verb: str, shadow: str | None, payload: dict[str, Any]) -> None:
        topic = topics.shadow(NAME, verb, shadow)
        assert any(topics.matches(each, topic) for each in self.thing.filters)
        if self.online:
            self.perform(self.thing.received(topic, json.dumps(payload).encode()))


def failing() -> Shadows:
    """A thing that refuses, and its shadows."""
    return Shadows(Thing(NAME, Role(fails=True)))


scalars = (
    st.booleans()
    | st.integers(-1000, 1000)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
states = st.dictionaries(st.sampled_from(["a", "b", "c", "error"]), values, max_size=3)


@given(st.lists(states, min_size=1, max_size=4), st.sampled_from([None, "config"]), states)
def test_it_converges(changes: list[dict[str, Any]], shadow: str | None, reported: dict[str, Any]) -> None:
    """Whatever is desired, one change after the other, is reported in the end."""
    shadows = Shadows(Thing(NAME))
    shadows.report(reported)
    shadows.connect()
    for change in changes:
        shadows.updates = 0
        shadows.desire(change, shadow)
    desired, actual = shadows.state(shadow)
    assert {} == delta(desired, actual)


@given(states, states)
def test_one_that_fails_stays_as_it_is(reported: dict[str, Any], desired: dict[str, Any]) -> None:
    """It keeps its old values, says why, and comes to an end though AWS repeats the delta after each of its reports."""
    shadows = failing()
    shadows.report(reported)
    shadows.connect()
    shadows.desire(desired)
    _, actual = shadows.state()
    expected = merge(reported, {"error": REFUSAL}) if delta(desired, reported) else reported
    assert same(merge({}, expected), actual)


def test_a_shadow_that_is_there_when_it_connects() -> None:
    """What was changed while it was away is done at once."""
    shadows = Shadows(Thing(NAME))
    shadows.online = False
    shadows.desire({"rate": 5})
    assert {} == shadows.state()[1]
    shadows.connect()
    assert ({"rate": 5}, {"rate": 5}) == shadows.state()
    assert [Told("reported", None, '{"rate":5}')] == shadows.told


def test_no_shadow_is_nothing_to_tell() -> None:
    """A thing without a shadow waits for one."""
    shadows = Shadows(Thing(NAME))
    shadows.connect()
    assert ([], {}) == (shadows.told, shadows.documents)


def test_a_named_shadow_that_it_never_heard_of() -> None:
    """It acts on its first delta, and asks for it from then on at each connect."""
    shadows = Shadows(Thing(NAME))
    shadows.connect()
    shadows.desire({"a": {"b": 1}}, "config")
    assert ({"a": {"b": 1}}, {"a": {"b": 1}}) == shadows.state("config")
    asked = [action.topic for action in shadows.thing.connected() if isinstance(action, Publish)]
    assert [topics.shadow(NAME, "get"), topics.shadow(NAME, "get", "config")] == asked


def test_a_removed_section() -> None:
    """`desired: null`, `reported: null` and a shadow of nothing do not confuse it."""
    shadows = Shadows(Thing(NAME))
    shadows.desire({"rate": 5})
    shadows.desire(None)
    shadows.report(None)
    shadows.desire({"rate": 5})
    assert ({"rate": 5}, {"rate": 5}) == shadows.state()


def test_it_reports_again_what_somebody_overwrote() -> None:
    """The same delta twice is acted on twice."""
    shadows = Shadows(Thing(NAME))
    shadows.desire({"rate": 5})
    shadows.report({"rate": 4})
    assert ({"rate": 5}, {"rate": 5}) == shadows.state()


def test_one_that_failed_before_heals() -> None:
    """Its next report takes the simulated error away, and no other."""
    shadows = failing()
    shadows.desire({"rate": 5})
    shadows.thing = Thing(NAME)
    shadows.connect()
    assert ({"rate": 5}, {"rate": 5}) == shadows.state()
    shadows.report({"error": "a real one"})
    shadows.desire({"rate": 6})
    assert {"rate": 6, "error": "a real one"} == shadows.state()[1]


def test_one_that_fails_says_so_for_every_change() -> None:
    """Another change is refused anew, with the old value; the same one again is not."""
    shadows = failing()
    shadows.report({"rate": 4})
    for rate in (5, 5, 6):
        shadows.desire({"rate": rate})
    detail = '{"error":{"code":"SIMULATED","message":"this simulated thing refuses every change"},"rate":4}'
    assert [Told("refused", None, detail)] * 2 == shadows.told


def test_a_slow_one_acts_once_on_the_newest() -> None:
    """It waits once for several changes, and then does the last."""
    shadows = Shadows(Thing(NAME, Role(delay=7)))
    shadows.connect()
    shadows.desire({"rate": 5})
    shadows.desire({"rate": 6})
    assert [Wait(7, None)] == shadows.waits
    assert {} == shadows.state()[1]
    shadows.perform(shadows.thing.due(None))
    assert ({"rate": 6}, {"rate": 6}) == shadows.state()
    assert ["waiting", "reported"] == [told.event for told in shadows.told]
    assert [] == shadows.thing.due(None)


def test_a_report_that_is_refused_is_told() -> None:
    """Desired fits the 8 KiB of a shadow, desired and reported together do not: AWS refuses the report."""
    shadows = Shadows(Thing(NAME))
    shadows.desire({"text": "x" * 5000})
    assert [Told("rejected", None, "413 The payload exceeds the maximum size allowed")] == shadows.told


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"state":1}', b"\xff", b'{"state":{},"version":NaN}'])
@pytest.mark.parametrize("verb", ["get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta"])
@pytest.mark.parametrize("role", [Role(), Role(delay=7), Role(fails=True)])
def test_a_message_that_makes_no_sense_is_told(verb: str, payload: bytes, role: Role) -> None:
    """Whatever comes, on every topic: it is told, and nothing is done about it."""
    actions = Thing(NAME, role).received(topics.shadow(NAME, verb), payload)
    assert [("unreadable", None)] == [(action.event, action.shadow_name) for action in actions]


def test_messages_of_others_are_not_for_it() -> None:
    """Another thing's delta and any other topic are passed over."""
    thing = Thing(NAME)
    assert [] == thing.received(topics.shadow("valve-1", "update/delta"), b'{"state":{"a":1}}')
    assert [] == thing.received("things/pump-7/note", b"hello")


@given(states, states)
def test_held_names_only_what_both_have(wanted: dict[str, Any], reported: dict[str, Any]) -> None:
    """To report what is held changes nothing."""
    assert same(merge(reported, held(wanted, reported)), merge(reported, {}))
