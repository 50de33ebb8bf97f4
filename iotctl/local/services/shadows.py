"""Device shadows, classic and named: kept, changed and told of, the same over HTTP and MQTT.

The document itself is `semantics.document`. As on AWS a shadow needs no thing: it is made by its first update, stays
when its thing is deleted, and its version goes on for 48 hours after it is deleted. Sources: AWS IoT developer guide,
device-shadow-mqtt, -rest-api, -data-flow and -error-messages.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, on, operation
from iotctl.local.services.paging import page
from iotctl.semantics import document, topics
from iotctl.semantics.document import Document, DocumentError, Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotctl.local.services import Message
    from iotctl.local.store import Store
    from iotctl.semantics.topics import ShadowTopic

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS shadow (
    thing_name TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT, deleted INTEGER,
    PRIMARY KEY (thing_name, name)
);
CREATE INDEX IF NOT EXISTS shadow_by_deletion ON shadow (deleted) WHERE deleted IS NOT NULL
"""
# `name` is empty for the classic shadow; a deleted one has no document, and when it was deleted.

_ERRORS: Final = {
    400: "InvalidRequestException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedDocumentEncodingException",
}
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_SHADOW_NAME: Final = re.compile(r"[$a-zA-Z0-9:_-]{1,64}")


@operation("iot-data:GetThingShadow")
def get_thing_shadow(store: Store, thingName: str, shadowName: str | None = None) -> dict[str, Any]:
    """The whole shadow with its delta."""
    return _answered(_get, store, thingName, shadowName)


@operation("iot-data:UpdateThingShadow")
def update_thing_shadow(
    store: Store, thingName: str, payload: bytes = b"", shadowName: str | None = None
) -> dict[str, Any]:
    """Merge an update into a shadow; subscribers of its topics hear of it."""
    return _answered(_update, store, thingName, shadowName, payload)


@operation("iot-data:DeleteThingShadow")
def delete_thing_shadow(store: Store, thingName: str, shadowName: str | None = None) -> dict[str, Any]:
    """Delete a shadow; subscribers of its topics hear of it."""
    return _answered(_delete, store, thingName, shadowName)


@operation("iot-data:ListNamedShadowsForThing")
def list_named_shadows_for_thing(
    store: Store, thingName: str, nextToken: str | None = None, pageSize: int | None = None
) -> dict[str, Any]:
    """The names of a thing's named shadows, in order."""
    rows, token = page(
        store,
        "SELECT name FROM shadow WHERE thing_name = ? AND name <> '' AND document IS NOT NULL",
        [thingName],
        by=("name",),
        size=pageSize,
        token=nextToken,
    )
    return {"results": [row["name"] for row in rows], "nextToken": token, "timestamp": int(store.now())}


@on("$aws/things/+/shadow/get")
@on("$aws/things/+/shadow/name/+/get")
def on_get(store: Store, message: Message) -> None:
    """Answer a get request that came over MQTT."""
    _answer(store, message, _get)


@on("$aws/things/+/shadow/update")
@on("$aws/things/+/shadow/name/+/update")
def on_update(store: Store, message: Message) -> None:
    """Answer an update request that came over MQTT."""
    _answer(store, message, _update)


@on("$aws/things/+/shadow/delete")
@on("$aws/things/+/shadow/name/+/delete")
def on_delete(store: Store, message: Message) -> None:
    """Answer a delete request that came over MQTT."""
    _answer(store, message, _delete)


def find(store: Store, thing_name: str, shadow_name: str | None = None) -> Document | None:
    """A shadow, if there is one; without a name the classic one."""
    return _read(store, thing_name, shadow_name)[0]


def _get(store: Store, thing: str, name: str | None, payload: bytes = b"") -> dict[str, Any]:
    token = document.parse_get(payload)
    return document.get_payload(_known(store, thing, name, token), int(store.now()), token)


def _update(store: Store, thing: str, name: str | None, payload: bytes) -> dict[str, Any]:
    update = document.parse_update(payload)
    before, tombstone = _read(store, thing, name)
    applied = document.apply(before, update, int(store.now()), tombstone)
    store.execute(
        "INSERT INTO shadow VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE"
        " SET version = excluded.version, document = excluded.document, deleted = NULL",
        thing,
        name or "",
        applied.document.version,
        applied.document.to_json(),
    )
    accepted = applied.accepted
    _tell(store, thing, name, "update/accepted", lambda: accepted)
    _tell(store, thing, name, "update/delta", lambda: applied.delta)
    _tell(store, thing, name, "update/documents", lambda: applied.documents)
    return accepted


def _delete(store: Store, thing: str, name: str | None, payload: bytes = b"") -> dict[str, Any]:
    token = document.parse_delete(payload)
    now = int(store.now())
    found = _known(store, thing, name, token)
    store.execute("DELETE FROM shadow WHERE deleted < ?", now - document.VERSION_KEPT_SECONDS)
    store.execute(
        "UPDATE shadow SET document = NULL, deleted = ? WHERE thing_name = ? AND name = ?", now, thing, name or ""
    )
    accepted = document.delete_payload(found, now, token)
    _tell(store, thing, name, "delete/accepted", lambda: accepted)
    return accepted


def _read(store: Store, thing: str, name: str | None) -> tuple[Document | None, Tombstone | None]:
    row = store.row("SELECT * FROM shadow WHERE thing_name = ? AND name = ?", thing, name or "")
    if row is None:
        return None, None
    if row["document"] is None:
        return None, Tombstone(row["version"], row["deleted"])
    return Document.from_json(row["document"]), None


def _known(store: Store, thing: str, name: str | None, token: str | None) -> Document:
    found = find(store, thing, name)
    if found is None:
        raise document.no_shadow(thing, name, token)
    return found


def _answered(act: Callable[..., dict[str, Any]], store: Store, *parameters: Any) -> dict[str, Any]:  # noqa: ANN401  of the one that acts
    """Act for an HTTP client: its answer, or the error of the service model. No message of rejection goes out."""
    try:
        answer = act(store, *parameters)
    except DocumentError as error:
        raise AwsError(_ERRORS[error.code], error.message) from error
    return {"payload": _text(answer)}


def _answer(store: Store, message: Message, act: Callable[..., dict[str, Any]]) -> None:
    """Act for an MQTT client: what a change is told by itself, a get is answered here, and every refusal."""
    asked = topics.parse_shadow(message.topic)
    assert asked is not None, "it listens to shadow topics only"
    try:
        _check_names(asked)
        answer = act(store, asked.thing_name, asked.shadow_name, message.payload)
    except DocumentError as error:
        refusal = error.payload(int(store.now()))
        _tell(store, asked.thing_name, asked.shadow_name, f"{asked.verb}/rejected", lambda: refusal)
        return
    if act is _get:
        _tell(store, asked.thing_name, asked.shadow_name, "get/accepted", lambda: answer)


def _check_names(asked: ShadowTopic) -> None:
    if not _THING_NAME.fullmatch(asked.thing_name):
        raise DocumentError(400, "Invalid thing name")
    if asked.shadow_name is not None and not _SHADOW_NAME.fullmatch(asked.shadow_name):
        raise DocumentError(400, "Invalid shadow name")


def _tell(store: Store, thing: str, name: str | None, verb: str, says: Callable[[], Mapping[str, Any] | None]) -> None:
    """Say something, if there is something to say and anybody hears it."""
    topic = topics.shadow(thing, verb, name)
    if store.heard(topic) and (payload := says()):
        store.publish(topic, _text(payload))


def _text(payload: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(payload).encode()
