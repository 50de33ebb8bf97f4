"""Messages of changed shadows, read: rows for places, remarks for what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iotctl.mqtt import Message
from iotctl.result import Remark
from iotctl.shadow import watching

TOPIC = "$aws/things/pump/shadow/update/documents"


def told(document: Any) -> list[Any]:
    """What is told of a message."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(watching.read(Message(TOPIC, payload, retained=False), frozenset({"pump"})))


def test_a_place_that_changed_is_a_row() -> None:
    """With what it was; a first version has no previous one, a section that is gone is null."""
    before = {"state": {"desired": {"a": 1}, "reported": None}, "version": 1}
    (row,) = told({"previous": before, "current": {"state": {"desired": {"a": 2}}, "version": 2}})
    assert ("pump", "", "desired", "/a", 1, 2, 2) == tuple(
        row[key] for key in ("thingName", "shadowName", "section", "path", "before", "after", "version")
    )
    (first,) = told({"current": {"state": {"reported": {"a": 2}}, "version": 1}})
    assert ("reported", None, 2) == (first["section"], first["before"], first["after"])


@pytest.mark.parametrize(
    "document",
    [
        b"\xff",
        [],
        {"current": 1},
        {"previous": [1], "current": {"state": {}, "version": 1}},
        {"previous": {"state": [1]}, "current": {"state": {"desired": {"a": 1}}, "version": 1}},
        {"previous": None, "current": {"state": {"desired": 5}, "version": 1}},
    ],
)
def test_what_is_no_change_is_a_remark(document: Any) -> None:
    """No row that a script would take for a thing, and no end of the watch."""
    (remark,) = told(document)
    assert isinstance(remark, Remark)
    assert "unreadable" == remark.type
