"""The shadow document as AWS describes it: requests parsed and applied, and the messages that answer them.

One engine for HTTP and MQTT. Time comes in as epoch seconds; nothing here keeps state or changes what it is given.
Sources: the developer guide's device-shadow-document, -data-flow, -mqtt and -error-messages pages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from iotctl import text
from iotctl.errors import Usage
from iotctl.semantics.state import delta

if TYPE_CHECKING:
    from iotctl.semantics.state import JsonObject

MAX_STATE_BYTES: Final = 8 * 1024
"""Bytes of `desired` and `reported` together, as compact JSON; metadata does not count."""
MAX_DEPTH: Final = 6
"""Levels of objects and arrays, the section itself being the first: the error page's 6, the quota page's 5 below it."""
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""Bytes of a request that are looked at; white space and removed keys may make it larger than the state."""
MAX_CLIENT_TOKEN_BYTES: Final = 64
VERSION_KEPT_SECONDS: Final = 48 * 3600
"""How long the version of a deleted shadow continues in a new shadow of its name."""

_READABLE_DEPTH: Final = 64
_SECTIONS: Final = ("desired", "reported")
_CONTAINERS: Final = (dict, list)


class DocumentError(Exception):
    """A shadow request that AWS refuses.

    Attributes:
        code: the HTTP status, also the `code` of the MQTT message.
        message: the documented message.
        client_token: the request's token, if it had a usable one.
        timed: whether its MQTT message has a timestamp; not every one has.

    """

    def __init__(self, code: int, message: str, client_token: str | None = None, *, timed: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.client_token = client_token
        self.timed = timed

    def payload(self, now: int) -> JsonObject:
        """The error response document, for the /rejected topics."""
        time = {"timestamp": now} if self.timed else {}
        return {"code": self.code, "message": self.message} | time | _token(self.client_token)


@dataclass(frozen=True, slots=True)
class Update:
    """An update request: the sections that it names, None for one that it removes; a `state` of None removes both."""

    state: JsonObject | None
    version: int | None = None
    client_token: str | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What stays of a deleted shadow: its last version, and when it went."""

    version: int
    deleted_at: int


@dataclass(frozen=True, slots=True)
class Document:
    """A shadow: two sections, the time of each of their leaves, and the version. An absent section is empty."""

    desired: JsonObject
    reported: JsonObject
    desired_metadata: JsonObject
    reported_metadata: JsonObject
    version: int
    timestamp: int

    def to_json(self) -> str:
        """The text that `from_json` reads back, for storage."""
        return _compact(
            {
                "desired": self.desired,
                "reported": self.reported,
                "desired_metadata": self.desired_metadata,
                "reported_metadata": self.reported_metadata,
                "version": self.version,
                "timestamp": self.timestamp,
            }
        )

    @classmethod
    def from_json(cls, stored: str) -> Document:
        """The document that `to_json` wrote."""
        return cls(**json.loads(stored))

    @property
    def delta(self) -> JsonObject:
        """What is desired and not reported."""
        return delta(self.desired, self.reported)


@dataclass(frozen=True, slots=True)
class Applied:
    """An accepted update: the document before (None: none) and after it; what is said of it is made when asked for."""

    before: Document | None
    document: Document
    update: Update

    @property
    def accepted(self) -> JsonObject:
        """The payload for /update/accepted."""
        metadata = _stamps(self.update.state, self.document.timestamp)
        return self._message(self.update.state, metadata)

    @property
    def delta(self) -> JsonObject | None:
        """The payload for /update/delta, if there is a difference."""
        difference = self.document.delta
        if not difference:
            return None
        return self._message(difference, _selected(self.document.desired_metadata, difference))

    @property
    def documents(self) -> JsonObject:
        """The payload for /update/documents."""
        previous = None if self.before is None else _snapshot(self.before)
        answer = {"previous": previous, "current": _snapshot(self.document), "timestamp": self.document.timestamp}
        return answer | _token(self.update.client_token)

    def _message(self, state: object, metadata: JsonObject) -> JsonObject:
        return _message(state, metadata, self.document.timestamp, self.update.client_token, self.document.version)


def parse_update(payload: bytes) -> Update:
    """The update that a payload asks for.

    Raises:
        DocumentError: 400, 413 or 415 with the documented message.

    """
    request = _parsed(payload)
    token = _client_token(request)
    if "state" not in request:
        raise DocumentError(400, "Missing required node: state", token)
    state = request["state"]
    if state is not None:
        _check_state(state, token)
    version = request.get("version")
    if "version" in request and (type(version) is not int or version < 0):
        raise DocumentError(400, "Invalid version", token)
    return Update(state, version, token)


def parse_get(payload: bytes) -> str | None:
    """The client token of a get request: an empty payload, or an object that may hold one.

    Raises:
        DocumentError: 400, 413 or 415 with the documented message.

    """
    return _client_token(_parsed(payload)) if payload.strip(b"\0 \t\r\n") else None


def parse_delete(payload: bytes) -> str | None:
    """The client token of a delete request, whose content is otherwise ignored."""
    try:
        return parse_get(payload)
    except DocumentError:
        return None


def no_shadow(thing_name: str, shadow_name: str | None = None, client_token: str | None = None) -> DocumentError:
    """The refusal of a get or a delete of a shadow that is not there.

    The name is quoted, and is the thing's for the classic shadow, `thing~shadow` for a named one: as the tutorial of
    the developer guide and the READMEs of AWS's device SDKs show it, and without a time.
    """
    name = f"{thing_name}~{shadow_name}" if shadow_name else thing_name
    return DocumentError(404, f"No shadow exists with name: '{name}'", client_token, timed=False)


def apply(document: Document | None, update: Update, now: int, tombstone: Tombstone | None = None) -> Applied:
    """Apply an update to a shadow, or create it.

    Args:
        document: the shadow, None where there is none.
        update: the request.
        now: epoch seconds.
        tombstone: of the shadow that was deleted under this name, if any.

    Raises:
        DocumentError: 409 when a version is given and is not the shadow's, 413 when the merged state is too large.

    """
    if update.version is not None and (document is None or update.version != document.version):
        raise DocumentError(409, "Version conflict", update.client_token)
    before = document or Document({}, {}, {}, {}, first_version(tombstone, now) - 1, now)
    patch: JsonObject = dict.fromkeys(_SECTIONS) if update.state is None else update.state
    desired, desired_metadata = _patched(before.desired, before.desired_metadata, patch, "desired", now)
    reported, reported_metadata = _patched(before.reported, before.reported_metadata, patch, "reported", now)
    if state_bytes(desired, reported) > MAX_STATE_BYTES:
        raise DocumentError(413, "The payload exceeds the maximum size allowed", update.client_token)
    after = Document(desired, reported, desired_metadata, reported_metadata, before.version + 1, now)
    return Applied(document, after, update)


def first_version(tombstone: Tombstone | None, now: int) -> int:
    """The version that a new shadow starts with: 1, or one more than a shadow of its name had until 48 hours ago."""
    if tombstone is None or now - tombstone.deleted_at > VERSION_KEPT_SECONDS:
        return 1
    return tombstone.version + 1


def get_payload(document: Document, now: int, client_token: str | None = None) -> JsonObject:
    """The whole shadow, its delta included: the answer to a get."""
    state, metadata = _sections(document)
    if difference := document.delta:
        state["delta"] = difference
        metadata["delta"] = _selected(document.desired_metadata, difference)
    return _message(state, metadata, now, client_token, document.version)


def delete_payload(document: Document, now: int, client_token: str | None = None) -> JsonObject:
    """The answer to a delete: the version that the shadow had."""
    return {"version": document.version, "timestamp": now} | _token(client_token)


def state_bytes(desired: JsonObject, reported: JsonObject) -> int:
    """The bytes that count towards MAX_STATE_BYTES."""
    return sum(len(_compact(section).encode()) for section in (desired, reported) if section)


def _parsed(payload: bytes) -> JsonObject:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DocumentError(413, "The payload exceeds the maximum size allowed")
    try:
        # Devices written in C send the string's own end; AWS takes it.
        request = text.loads(payload.rstrip(b"\0").decode(), depth=_READABLE_DEPTH)
    except UnicodeDecodeError as error:
        raise DocumentError(415, "Unsupported documented encoding; supported encoding is UTF-8") from error
    except Usage as error:
        wrong = isinstance(error.__cause__, ValueError)
        raise (DocumentError(400, "Invalid JSON") if wrong else _too_deep()) from error
    if not isinstance(request, dict):
        raise DocumentError(400, "Invalid JSON")
    return request


def _client_token(request: JsonObject) -> str | None:
    if "clientToken" not in request:
        return None
    token = request["clientToken"]
    if not isinstance(token, str) or len(token.encode()) > MAX_CLIENT_TOKEN_BYTES:
        raise DocumentError(400, "Invalid clientToken")
    return token


def _check_state(state: object, token: str | None) -> None:
    if not isinstance(state, dict):
        raise DocumentError(400, "State node must be an object", token)
    for name, section in state.items():
        if name not in _SECTIONS:
            raise DocumentError(400, "State contains an invalid node", token)
        if section is not None and not isinstance(section, dict):
            raise DocumentError(400, f"{name.capitalize()} node must be an object", token)
        if text.deeper(section, MAX_DEPTH):
            raise _too_deep(token)
        if _has_null_in_array(section):
            raise DocumentError(400, "State contains an invalid node", token)


def _too_deep(token: str | None = None) -> DocumentError:
    return DocumentError(400, f"JSON contains too many levels of nesting; maximum is {MAX_DEPTH}", token)


def _has_null_in_array(value: object, *, inside: bool = False) -> bool:
    if not isinstance(value, _CONTAINERS):
        return False
    inside = inside or isinstance(value, list)
    for item in value.values() if isinstance(value, dict) else value:
        if (inside and item is None) or _has_null_in_array(item, inside=inside):
            return True
    return False


def _patched(
    state: JsonObject, metadata: JsonObject, patch: JsonObject, section: Literal["desired", "reported"], now: int
) -> tuple[JsonObject, JsonObject]:
    if section not in patch:
        return state, metadata
    return ({}, {}) if patch[section] is None else _stamped(state, metadata, patch[section], now)


def _stamped(state: JsonObject, metadata: JsonObject, patch: JsonObject, now: int) -> tuple[JsonObject, JsonObject]:
    # The metadata alone cannot tell the leaf {"timestamp": 1} from an object with that key: both are walked together.
    state, metadata = dict(state), dict(metadata)
    for key, value in patch.items():
        if value is None:
            state.pop(key, None)
            metadata.pop(key, None)
        elif isinstance(value, dict):
            nested = isinstance(state.get(key), dict)
            inner, stamps = (state[key], metadata[key]) if nested else ({}, {})
            state[key], metadata[key] = _stamped(inner, stamps, value, now)
        else:
            state[key], metadata[key] = value, _stamps(value, now)
    return state, metadata


def _stamps(value: object, now: int) -> Any:  # noqa: ANN401  it has the shape of the value
    if isinstance(value, dict):
        return {key: _stamps(item, now) for key, item in value.items()}
    if isinstance(value, list):
        return [_stamps(item, now) for item in value]
    return {"timestamp": now}


def _selected(metadata: JsonObject, state: JsonObject) -> JsonObject:
    return {
        key: _selected(metadata[key], value) if isinstance(value, dict) else metadata[key]
        for key, value in state.items()
    }


def _snapshot(document: Document) -> JsonObject:
    state, metadata = _sections(document)
    return {"state": state, "metadata": metadata, "version": document.version}


def _sections(document: Document) -> tuple[JsonObject, JsonObject]:
    state = {"desired": document.desired, "reported": document.reported}
    metadata = {"desired": document.desired_metadata, "reported": document.reported_metadata}
    present = [name for name in _SECTIONS if state[name]]
    return {name: state[name] for name in present}, {name: metadata[name] for name in present}


def _message(state: object, metadata: JsonObject, now: int, client_token: str | None, version: int) -> JsonObject:
    # The order of the developer guide's response documents.
    return {"state": state, "metadata": metadata, "timestamp": now} | _token(client_token) | {"version": version}


def _token(client_token: str | None) -> JsonObject:
    return {} if client_token is None else {"clientToken": client_token}


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
