"""What AWS would refuse, and what surprises people, said before anything is begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from iotctl.ota import draft
from iotctl.ota.lint import ERROR, WARNING, Lint, lint
from iotctl.ota.rollout import FLEET
from tests.ota.orders import NOW, drafted


def _lints(things: int = 500, **changes: Any) -> list[Lint]:
    asked, found, record = drafted(things, **changes)
    return lint(record, NOW, signed=found.template.is_signed, expires=draft.expiry(asked, found))


def _codes(level: str, things: int = 500, **changes: Any) -> set[str]:
    return {each.code for each in _lints(things, **changes) if each.level == level}


def test_what_nobody_changed_is_fine() -> None:
    """The defaults are refused by nobody, and warned of by nothing."""
    assert [] == [each for each in _lints(deadline="24h", passing="97%") if each.level in {ERROR, WARNING}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"no_abort": True}, "NO_ABORT"),
        ({"device_timeout": "0"}, "NO_TIMEOUT"),
        ({"device_timeout": "0", "retries": 2}, "RETRY_NEEDS_TIMEOUT"),
        ({"retries": 2}, "RETRIES_DELAY_ABORT"),
        ({"abort_after": 501}, "ABORT_NEVER"),
        ({"passing": "97%"}, "NO_DEADLINE"),
        ({"template": "jobs-agent"}, "UNSIGNED"),
    ],
)
def test_what_is_most_likely_not_wanted_is_warned_of(changes: dict[str, Any], code: str) -> None:
    """It is shown before the question, and stops nothing."""
    assert code in _codes(WARNING, **changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": "2026-01-31T12:10Z"}, "REFUSED"),
        ({"end": "2026-01-31T12:20Z"}, "REFUSED"),
        ({"start": "2027-06-01T00:00Z"}, "REFUSED"),
        ({"start": "2026-03-31T12:00Z"}, "EXPIRES_BEFORE"),
        ({"thing_group": None, "search": "thingName:pump*"}, "TOO_MANY_TARGETS"),
    ],
)
def test_what_aws_would_refuse_is_an_error(changes: dict[str, Any], code: str) -> None:
    """Nothing is uploaded for a job that cannot be made."""
    things = 101 if code == "TOO_MANY_TARGETS" else 500
    assert code in _codes(ERROR, things, **changes)


def test_a_document_has_its_limits() -> None:
    """Its size, its placeholders, and the role that they need."""
    _, _, record = drafted()
    url = "${aws:iot:s3-presigned-url-v2:https://b.s3.eu-west-1.amazonaws.com/k}"
    bare = {FLEET: {key: value for key, value in record.requests[FLEET].items() if key != "presignedUrlConfig"}}
    large = replace(record, document='{"x":"' + "y" * 32_768 + '"}')
    many = replace(record, document='{"x":"' + url * 11 + '"}', requests=bare)
    assert {"DOCUMENT_TOO_LARGE"} == _errors(large)
    assert {"TOO_MANY_URLS", "NO_ROLE"} == _errors(many)


def _errors(record: Any) -> set[str]:
    found = lint(record, NOW, signed=True, expires=NOW + timedelta(days=1))
    return {each.code for each in found if each.level == ERROR}


def test_what_an_abort_does_not_stop_is_said() -> None:
    """And that things which join later are not held back."""
    notes = {each.code for each in _lints(continuous=True)}
    assert {"ABORT_IN_PROGRESS", "CONTINUOUS_UNBRAKED"} <= notes
