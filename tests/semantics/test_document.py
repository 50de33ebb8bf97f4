"""The shadow document: the examples of the developer guide's shadow pages, the refusals, a model of its versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from iotctl.semantics import state
from iotctl.semantics.document import (
    MAX_DEPTH,
    MAX_PAYLOAD_BYTES,
    MAX_STATE_BYTES,
    VERSION_KEPT_SECONDS,
    Applied,
    Document,
    DocumentError,
    Tombstone,
    Update,
    apply,
    delete_payload,
    first_version,
    get_payload,
    no_shadow,
    parse_delete,
    parse_get,
    parse_update,
    state_bytes,
)
from iotctl.text import deeper
from tests import vectors

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
AT = {"timestamp": 12345}


def shadow(desired: dict[str, Any] | None = None, reported: dict[str, Any] | None = None, version: int = 1) -> Document:
    """A shadow of this version whose every leaf was set at 12345."""
    update = Update({"desired": desired or {}, "reported": reported or {}})
    tombstone = Tombstone(version - 1, 12345)
    return apply(None, update, 12345, tombstone).document


def updated(document: Document | None, request: dict[str, Any], now: int = 12346) -> Applied:
    """The document after a request, through its bytes."""
    return apply(document, parse_update(json.dumps(request).encode()), now)


def refusal(payload: bytes) -> tuple[int, str]:
    """The code and the message that an update payload is refused with."""
    with pytest.raises(DocumentError) as caught:
        parse_update(payload)
    return caught.value.code, caught.value.message


def attempt(request: Callable[[], Result]) -> Result | DocumentError:
    """What a request comes to: its result, or its refusal."""
    try:
        return request()
    except DocumentError as error:
        return error


# device-shadow-document.md


def test_delta_state_holds_what_is_desired_and_not_reported() -> None:
    """device-shadow-document, "Delta state": the first example, with its metadata."""
    desired, reported = {"color": "RED", "state": "STOP"}, {"color": "GREEN", "engine": "ON"}
    expected = {
        "state": {"desired": desired, "reported": reported, "delta": desired},
        "metadata": {
            "desired": {"color": AT, "state": AT},
            "reported": {"color": AT, "engine": AT},
            "delta": {"color": AT, "state": AT},
        },
        "version": 17,
        "timestamp": 123456789,
    }
    assert expected == get_payload(shadow(desired, reported, 17), 123456789)


def test_delta_holds_the_path_to_the_root_of_nested_objects() -> None:
    """device-shadow-document, "Delta state": the second example."""
    desired = {"lights": {"color": {"r": 255, "g": 255, "b": 255}}}
    reported = {"lights": {"color": {"r": 255, "g": 0, "b": 255}}}
    answer = get_payload(shadow(desired, reported, 18), 123456789)
    assert answer["state"]["delta"] == {"lights": {"color": {"g": 255}}}
    assert answer["metadata"]["delta"] == {"lights": {"color": {"g": AT}}}


def test_accepted_holds_the_fields_of_the_request() -> None:
    """device-shadow-document, "/accepted response state document": its keys, in its order."""
    before = shadow({"attribute1": 1, "other": 1}, {"attribute1": 1})
    request = {"state": {"desired": {"attribute1": 2, "attribute2": "s"}}, "clientToken": "token", "version": 1}
    expected = {
        "state": {"desired": {"attribute1": 2, "attribute2": "s"}},
        "metadata": {"desired": {"attribute1": {"timestamp": 7}, "attribute2": {"timestamp": 7}}},
        "timestamp": 7,
        "clientToken": "token",
        "version": 2,
    }
    accepted = updated(before, request, 7).accepted
    assert (expected, list(expected)) == (accepted, list(accepted))


def test_delta_message_is_not_wrapped_in_desired() -> None:
    """device-shadow-document, "/delta response state document": its keys, in its order, and the desired metadata."""
    before = shadow({"old": 1, "same": 1}, {"same": 1})
    request = {"state": {"desired": {"attribute1": 2}}, "clientToken": "token"}
    expected = {
        "state": {"old": 1, "attribute1": 2},
        "metadata": {"old": AT, "attribute1": {"timestamp": 7}},
        "timestamp": 7,
        "clientToken": "token",
        "version": 2,
    }
    message = updated(before, request, 7).delta
    assert message is not None
    assert (expected, list(expected)) == (message, list(message))


def test_documents_hold_the_shadow_before_and_after() -> None:
    """device-shadow-document, "/documents response state document": its keys, in its order."""
    request = {"state": {"reported": {"a": 2}}, "clientToken": "token"}
    metadata = {"desired": {"a": AT}, "reported": {"a": AT}}
    expected = {
        "previous": {"state": {"desired": {"a": 2}, "reported": {"a": 1}}, "metadata": metadata, "version": 1},
        "current": {
            "state": {"desired": {"a": 2}, "reported": {"a": 2}},
            "metadata": metadata | {"reported": {"a": {"timestamp": 7}}},
            "version": 2,
        },
        "timestamp": 7,
        "clientToken": "token",
    }
    applied = updated(shadow({"a": 2}, {"a": 1}), request, 7)
    assert (expected, list(expected)) == (applied.documents, list(applied.documents))
    assert applied.delta is None


def test_documents_of_a_new_shadow_have_no_previous() -> None:
    """The first update has null before it, as real messages of AWS IoT have."""
    assert updated(None, {"state": {"reported": {"a": 1}}}).documents["previous"] is None


def test_a_section_without_state_is_not_shown() -> None:
    """device-shadow-document, "Empty shadow document properties": only `reported`, only `desired`, neither."""
    assert get_payload(shadow(reported={"temp": 55}), 1)["state"] == {"reported": {"temp": 55}}
    assert get_payload(shadow({"color": "RED"}), 1)["state"]["desired"] == {"color": "RED"}
    assert (get_payload(shadow(), 1)["state"], get_payload(shadow(), 1)["metadata"]) == ({}, {})


def test_null_removes_a_section() -> None:
    """device-shadow-document, "Empty shadow document properties": `desired: null`."""
    applied = updated(shadow({"color": "red"}), {"state": {"reported": {"color": "red"}, "desired": None}})
    assert (applied.document.desired, applied.document.desired_metadata) == ({}, {})
    assert get_payload(applied.document, 1)["state"] == {"reported": {"color": "red"}}
    assert applied.accepted["state"] == {"reported": {"color": "red"}, "desired": None}


def test_arrays_are_replaced_whole() -> None:
    """device-shadow-document, "Array values": RED, GREEN, BLUE becomes RED, with a timestamp for each element."""
    before = shadow({"colors": ["RED", "GREEN", "BLUE"]})
    assert before.desired_metadata == {"colors": [AT, AT, AT]}
    after = updated(before, {"state": {"desired": {"colors": ["RED"]}}}, 7).document
    assert (after.desired, after.desired_metadata) == ({"colors": ["RED"]}, {"colors": [{"timestamp": 7}]})


@vectors.rows("colors", [[None, "RED", "GREEN"], [["RED", None]], [{"name": None}]])
def test_arrays_hold_no_null(colors: list[Any]) -> None:
    """device-shadow-document, "Array values": the rejected example, and null further inside an array."""
    payload = json.dumps({"state": {"desired": {"colors": colors}}}).encode()
    assert refusal(payload) == (400, "State contains an invalid node")


# device-shadow-mqtt.md and device-shadow-data-flow.md


def test_delta_follows_the_message_body_details() -> None:
    """device-shadow-mqtt, "/update/delta": stored differences too, what is only reported never."""
    before = shadow({"stored": 1, "equal": 1, "both": 1}, {"stored": 2, "equal": 1, "both": 1, "mine": 1})
    message = updated(before, {"state": {"reported": {"both": None, "new": 1}}}).delta
    assert message is not None
    assert message["state"] == {"stored": 1, "both": 1}


def test_delta_comes_with_every_update_while_the_sections_differ() -> None:
    """A second update that changes nothing desired repeats the delta under its own version."""
    first = updated(None, {"state": {"desired": {"a": 1}}})
    second = updated(first.document, {"state": {"reported": {"b": 1}}})
    third = updated(second.document, {"state": {"reported": {"a": 1}}})
    deltas = [first.delta, second.delta]
    assert [(delta["state"], delta["version"]) for delta in deltas if delta] == [({"a": 1}, 1), ({"a": 1}, 2)]
    assert third.delta is None


def test_an_app_desires_and_a_device_reports() -> None:
    """device-shadow-data-flow, "Updating a shadow": the two requests of the page, one after the other."""
    wanted = {"color": {"r": 10}, "engine": "ON"}
    first = updated(None, {"state": {"desired": wanted}})
    assert first.delta is not None
    assert (wanted, 1) == (first.delta["state"], first.delta["version"])
    second = updated(first.document, {"state": {"reported": wanted}})
    assert (second.delta, second.document.version) == (None, 2)


def test_optimistic_locking_compares_versions() -> None:
    """device-shadow-data-flow, "Optimistic locking": version 9 is refused, version 10 makes version 11."""
    document = shadow({"colors": ["RED", "GREEN", "BLUE"]}, version=10)
    request: dict[str, Any] = {"state": {"desired": {"colors": ["BLUE"]}}, "version": 9, "clientToken": "426bfd96"}
    with pytest.raises(DocumentError) as caught:
        updated(document, request)
    expected = {"code": 409, "message": "Version conflict", "timestamp": 5, "clientToken": "426bfd96"}
    assert expected == caught.value.payload(5)
    after = updated(document, request | {"version": 10}).document
    assert (after.desired, after.version) == ({"colors": ["BLUE"]}, 11)


def test_null_deletes_a_property() -> None:
    """device-shadow-data-flow, "Deleting a property": `engine: null`, and no delta for what is no longer desired."""
    applied = updated(shadow({"engine": "ON"}), {"state": {"desired": {"engine": None}}}, 7)
    assert (applied.document.desired, applied.document.desired_metadata, applied.delta) == ({}, {}, None)
    assert applied.accepted["state"] == {"desired": {"engine": None}}
    assert applied.accepted["metadata"] == {"desired": {"engine": {"timestamp": 7}}}


def test_a_null_state_empties_the_shadow_and_keeps_it() -> None:
    """device-shadow-data-flow, "Deleting a shadow": a null state is an update, with the next version."""
    applied = updated(shadow({"a": 1}, {"b": 1}, 3), {"state": None})
    assert (applied.document.desired, applied.document.reported, applied.document.version) == ({}, {}, 4)
    assert applied.accepted["state"] is None


def test_delete_answers_with_the_version() -> None:
    """device-shadow-data-flow, "Deleting a shadow": the accepted delete message."""
    answer = delete_payload(shadow(version=4), 1591057529)
    assert answer == {"version": 4, "timestamp": 1591057529}
    assert delete_payload(shadow(version=4), 1, "t") == {"version": 4, "timestamp": 1, "clientToken": "t"}


@vectors.rows(
    ("tombstone", "now", "expected"),
    [
        (None, 10, 1),
        (Tombstone(4, 10), 10, 5),
        (Tombstone(4, 10), 10 + VERSION_KEPT_SECONDS, 5),
        (Tombstone(4, 10), 11 + VERSION_KEPT_SECONDS, 1),
    ],
)
def test_a_deleted_shadows_version_continues_for_48_hours(tombstone: Tombstone | None, now: int, expected: int) -> None:
    """device-shadow-data-flow, "DELETE": the version follows that of the deleted shadow, for 48 hours."""
    assert expected == first_version(tombstone, now)
    assert expected == apply(None, Update({}), now, tombstone).document.version


def test_a_version_for_an_absent_shadow_is_a_conflict() -> None:
    """No version is the right one where there is no shadow, not even the tombstone's."""
    for version in (0, 1, 4):
        with pytest.raises(DocumentError, match="Version conflict"):
            apply(None, Update({}, version), 1, Tombstone(4, 0))


# device-shadow-error-messages.md


@vectors.rows(
    ("payload", "code", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b'"state"', 400, "Invalid JSON"),
        (b'{"state":{"desired":{"a":NaN}}}', 400, "Invalid JSON"),
        (b'{"state":{"desired":{"a":1e400}}}', 400, "Invalid JSON"),
        (b'{"state":{"desired":{"a":"\\ud800"}}}', 400, "Invalid JSON"),
        (b'{"state":{"desired":{"a":1,"a":2}}}', 400, "Invalid JSON"),
        (b'{"state":{"desired":{"a":' + b"9" * 5000 + b"}}}", 400, "Invalid JSON"),
        (b"{}", 400, "Missing required node: state"),
        (b'{"desired":{}}', 400, "Missing required node: state"),
        (b'{"state":[]}', 400, "State node must be an object"),
        (b'{"state":"on"}', 400, "State node must be an object"),
        (b'{"state":{"desired":1}}', 400, "Desired node must be an object"),
        (b'{"state":{"reported":[]}}', 400, "Reported node must be an object"),
        (b'{"state":{"delta":{}}}', 400, "State contains an invalid node"),
        (b'{"state":{},"version":"1"}', 400, "Invalid version"),
        (b'{"state":{},"version":1.0}', 400, "Invalid version"),
        (b'{"state":{},"version":true}', 400, "Invalid version"),
        (b'{"state":{},"version":-1}', 400, "Invalid version"),
        (b'{"state":{},"version":null}', 400, "Invalid version"),
        (b'{"state":{},"clientToken":7}', 400, "Invalid clientToken"),
        (b'{"state":{},"clientToken":"' + b"t" * 65 + b'"}', 400, "Invalid clientToken"),
        ('{"state":{},"clientToken":"' + "ü" * 33 + '"}', 400, "Invalid clientToken"),
        (
            b'{"state":{"desired":' + b'{"a":' * 6 + b"{}" + b"}" * 8,
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (
            b'{"state":{"desired":{"a":' + b"[" * 6 + b"]" * 6 + b"}}}",
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (b"[" * 100 + b"]" * 100, 400, "JSON contains too many levels of nesting; maximum is 6"),
        (b"[" * 60_000, 400, "JSON contains too many levels of nesting; maximum is 6"),
        (b" " * (MAX_PAYLOAD_BYTES + 1), 413, "The payload exceeds the maximum size allowed"),
        (b'{"state":{"desired":{"a":"\xff"}}}', 415, "Unsupported documented encoding; supported encoding is UTF-8"),
    ],
)
def test_refusals_have_the_documented_code_and_message(payload: bytes | str, code: int, message: str) -> None:
    """device-shadow-error-messages: what is wrong with a request decides its code and message."""
    assert (code, message) == refusal(payload.encode() if isinstance(payload, str) else payload)


def test_the_deepest_state_that_is_taken_has_six_levels() -> None:
    """The quota page's example: five objects below the section, with values in the fifth."""
    deepest = {"one": {"two": {"three": {"four": {"five": {"leaf": 1}}}}}}
    assert not deeper(deepest, MAX_DEPTH)
    assert deeper(deepest, MAX_DEPTH - 1)
    assert deepest == updated(None, {"state": {"desired": deepest}}).document.desired


def test_a_refusal_carries_the_clients_token_and_the_time() -> None:
    """device-shadow-document, "Error response document": its keys, in its order; no token, no key."""
    with pytest.raises(DocumentError) as caught:
        parse_update(b'{"clientToken":"t-1"}')
    expected = {"code": 400, "message": "Missing required node: state", "timestamp": 9, "clientToken": "t-1"}
    assert (expected, list(expected)) == (caught.value.payload(9), list(caught.value.payload(9)))
    assert {"code": 404, "message": "No shadow exists with name: 'lamp'"} == no_shadow("lamp").payload(9)
    assert "No shadow exists with name: 'lamp~config'" == no_shadow("lamp", "config").message


def test_a_request_may_end_with_nul_and_hold_unknown_keys() -> None:
    """What devices in C send, and what diagnosing-shadows says of JSON outside of the sections."""
    update = parse_update(b'{"state":{"reported":{"a":1}},"extra":{"x":[null]},"clientToken":"t","version":3}\0')
    assert Update({"reported": {"a": 1}}, 3, "t") == update


def test_the_merged_state_counts_and_not_the_patch() -> None:
    """A tiny patch that takes the merged state over 8 KB is refused with 413; metadata does not count."""
    room = MAX_STATE_BYTES - len('{"a":""}')
    document = updated(None, {"state": {"desired": {"a": "x" * room}}}).document
    assert state_bytes(document.desired, document.reported) == MAX_STATE_BYTES
    with pytest.raises(DocumentError) as caught:
        updated(document, {"state": {"reported": {"b": 1}}})
    assert (caught.value.code, caught.value.message) == (413, "The payload exceeds the maximum size allowed")
    shrunk = {"state": {"desired": {"a": "small"}, "reported": {"b": 1}}}
    assert updated(document, shrunk).document.version == 2


@vectors.rows("payload", [b"", b"\0", b"  ", b"{}"])
def test_get_takes_an_empty_payload(payload: bytes) -> None:
    """device-shadow-mqtt, "/get": an empty message, as different clients make it."""
    assert parse_get(payload) is None


def test_get_echoes_the_clients_token() -> None:
    """A token in a get request comes back; one that is no token is refused."""
    assert parse_get(b'{"clientToken":"t"}') == "t"
    assert get_payload(shadow(), 1, "t")["clientToken"] == "t"
    with pytest.raises(DocumentError, match="Invalid clientToken"):
        parse_get(b'{"clientToken":1}')


def test_delete_ignores_its_content() -> None:
    """device-shadow-mqtt, "/delete": the content is ignored, but for a token."""
    assert [parse_delete(content) for content in (b"", b"not JSON", b'{"clientToken":"t"}')] == [None, None, "t"]


def test_only_what_an_update_names_gets_a_new_timestamp() -> None:
    """An update stamps its own fields, equal values too, and leaves the others' times alone."""
    before = shadow({"a": 1, "b": {"c": 1, "d": 1}})
    after = updated(before, {"state": {"desired": {"a": 1, "b": {"d": 2}}}}, 7).document
    assert after.desired_metadata == {"a": {"timestamp": 7}, "b": {"c": AT, "d": {"timestamp": 7}}}


def test_a_key_called_timestamp_is_a_key() -> None:
    """The metadata of a scalar that becomes an object with the key `timestamp` is that object's."""
    before = shadow({"a": 1})
    after = updated(before, {"state": {"desired": {"a": {"timestamp": 5}}}}, 7).document
    assert after.desired_metadata == {"a": {"timestamp": {"timestamp": 7}}}
    assert after == Document.from_json(after.to_json())


JSON_KEYS = st.one_of(st.sampled_from(["a", "b", "timestamp"]), st.text(max_size=3))
LEAVES = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), JSON_KEYS)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(JSON_KEYS, inner, max_size=2)),
    max_leaves=4,
)
SECTION = st.one_of(st.none(), st.dictionaries(JSON_KEYS, st.one_of(st.none(), NESTED), max_size=3))
REQUEST = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"desired": SECTION, "reported": SECTION}))


@given(st.lists(st.tuples(REQUEST, st.integers(1, 3)), min_size=1, max_size=5))
def test_metadata_has_the_shape_of_the_state(requests: list[tuple[dict[str, Any] | None, int]]) -> None:
    """After any updates each leaf has a timestamp and nothing else has; the document survives its storage."""
    document: Document | None = None
    now = 0
    for request, seconds in requests:
        now += seconds
        payload = json.dumps({"state": request}).encode()
        parsed = attempt(lambda payload=payload: parse_update(payload))
        if isinstance(parsed, DocumentError):
            continue
        document = apply(document, parsed, now).document
        assert _shape(document.desired) == _unstamped(document.desired, document.desired_metadata)
        assert _shape(document.reported) == _unstamped(document.reported, document.reported_metadata)
        assert document == Document.from_json(document.to_json())


@given(st.binary(max_size=60))
def test_any_bytes_are_an_update_or_a_refusal(payload: bytes) -> None:
    """No bytes raise anything but a DocumentError."""
    parsed = attempt(lambda: parse_update(payload))
    assert isinstance(parsed, Update) or parsed.code in {400, 413, 415}


class Shadow(RuleBasedStateMachine):
    """S10: the engine against the simplest model of it: two dictionaries, a counter and RFC 7396."""

    def __init__(self) -> None:
        super().__init__()
        self.document: Document | None = None
        self.tombstone: Tombstone | None = None
        self.model: dict[str, Any] | None = None
        self.version = 0
        self.now = 1

    @rule(request=REQUEST, version=st.one_of(st.none(), st.integers(0, 6)))
    def update(self, request: dict[str, Any] | None, version: int | None) -> None:
        """An update is applied, or refused with 409 exactly when its version is not the shadow's."""
        self.now += 1
        payload = {"state": request} if version is None else {"state": request, "version": version}
        conflict = version is not None and (self.model is None or version != self.version)
        parsed = attempt(lambda: parse_update(json.dumps(payload).encode()))
        if isinstance(parsed, DocumentError):
            assert parsed.code == 400
            return
        applied = attempt(lambda: apply(self.document, parsed, self.now, self.tombstone))
        assert conflict == isinstance(applied, DocumentError)
        if isinstance(applied, DocumentError):
            assert applied.code == 409
            return
        self.version += 1
        self.document = applied.document
        model = self.model or {"desired": {}, "reported": {}}
        patch = {"desired": None, "reported": None} if request is None else request
        self.model = {name: _model_merge(model[name], patch.get(name, {})) for name in model}
        expected = state.delta(self.model["desired"], self.model["reported"])
        assert (expected or None) == (applied.delta and applied.delta["state"])
        assert applied.accepted["version"] == applied.documents["current"]["version"] == self.version

    @rule()
    def delete(self) -> None:
        """A delete answers with the version and leaves a tombstone."""
        if self.document is not None:
            assert delete_payload(self.document, self.now)["version"] == self.version
            self.tombstone = Tombstone(self.document.version, self.now)
        self.document = self.model = None

    @invariant()
    def equals_the_model(self) -> None:
        """Both hold the same state under the same version."""
        assert (self.document is None) == (self.model is None)
        if self.document is not None and self.model is not None:
            assert self.version == self.document.version
            assert state.same(self.model, {"desired": self.document.desired, "reported": self.document.reported})


TestShadow = Shadow.TestCase


def _model_merge(target: Any, patch: Any) -> Any:
    """RFC 7396's own pseudo code, with a removed section as an empty one."""
    if patch is None:
        return {}
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _model_merge(result.get(name), value)
    return result


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else "leaf"


def _unstamped(value: Any, metadata: Any) -> Any:
    if isinstance(value, dict):
        assert value.keys() == metadata.keys()
        return {key: _unstamped(item, metadata[key]) for key, item in value.items()}
    if isinstance(value, list):
        return [_unstamped(item, stamp) for item, stamp in zip(value, metadata, strict=True)]
    assert list(metadata) == ["timestamp"]
    assert isinstance(metadata["timestamp"], int)
    return "leaf"
