"""Attributes of things and thing groups: merged, limited, compared. Pure.

Limits (AWS IoT developer guide, thing-types and limits): 3 attributes without a thing type, 50 with one, 50 a group.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHOUT_TYPE: Final = 3
WITH_TYPE: Final = 50
OF_GROUP: Final = 50
_TOTAL_BYTES: Final = 47 * 1024


def applied(stored: Mapping[str, str], payload: Mapping[str, Any] | None) -> dict[str, str]:
    """The stored attributes after an `attributePayload`: merged or replaced; an empty value removes its name."""
    if payload is None:
        return dict(stored)
    given: Mapping[str, str] = payload.get("attributes") or {}
    result = {**stored, **given} if payload.get("merge") else dict(given)
    return {name: value for name, value in result.items() if value}


def limited(attributes: Mapping[str, str], most: int, what: str) -> None:
    """Refuse more attributes, or larger ones, than AWS holds.

    Raises:
        AwsError: InvalidRequestException.

    """
    if len(attributes) > most:
        raise invalid(f"{what} cannot have more than {most} attributes")
    if sum(len(name.encode()) + len(value.encode()) for name, value in attributes.items()) > _TOTAL_BYTES:
        raise invalid(f"The attributes of {what} are larger than {_TOTAL_BYTES} bytes")


def written(attributes: Mapping[str, Any]) -> str:
    """Attributes as the store holds them: equal ones are equal texts."""
    return json.dumps(attributes, sort_keys=True, separators=(",", ":")) if attributes else "{}"


def read(text: str) -> dict[str, Any]:
    """Attributes as they were written."""
    value: dict[str, Any] = json.loads(text) if text != "{}" else {}
    return value
