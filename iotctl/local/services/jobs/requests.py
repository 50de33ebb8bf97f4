"""What devices send over MQTT: JSON, read and checked member by member; over HTTP the service model does that.

Source: AWS IoT developer guide, jobs-mqtt-api and jobs-api ("ErrorResponse").
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final[dict[str, type]] = {
    "status": str,
    "statusDetails": dict,
    "expectedVersion": int,
    "executionNumber": int,
    "includeJobExecutionState": bool,
    "includeJobDocument": bool,
    "stepTimeoutInMinutes": int,
}
_WORDS: Final = {str: "a string", dict: "an object", int: "an integer", bool: "a boolean"}
_LONGEST_TOKEN: Final = 64
_DETAIL_KEY: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


class JobsError(Exception):
    """An error of the jobs data plane.

    Attributes:
        code: of ErrorResponse: InvalidRequest, VersionMismatch, ...
        message: in words.
        state: the JobExecutionState, where the code comes with one.

    """

    def __init__(self, code: str, message: str, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.state = state

    def payload(self) -> dict[str, Any]:
        """As the payload of `…/rejected`, without the time and the token."""
        return {"code": self.code, "message": self.message, **({"executionState": self.state} if self.state else {})}


def read(payload: bytes, token: dict[str, Any]) -> dict[str, Any]:
    """The members of a request.

    Args:
        payload: empty stands for an object without members; a NUL at the end is what C programs send.
        token: gets the clientToken, so that a refusal has it too.

    Raises:
        JobsError: InvalidJson or InvalidRequest.

    """
    try:
        content = json.loads(payload.rstrip(b"\0") or b"{}")
    except (ValueError, RecursionError) as error:
        raise JobsError("InvalidJson", "The payload is not valid UTF-8 encoded JSON") from error
    if not isinstance(content, dict):
        raise JobsError("InvalidRequest", "The payload must be a JSON object")
    given = content.pop("clientToken", None)
    if given is not None:
        if not isinstance(given, str) or len(given.encode(errors="surrogatepass")) > _LONGEST_TOKEN:
            raise JobsError("InvalidRequest", f"clientToken must be a string of at most {_LONGEST_TOKEN} bytes")
        token["clientToken"] = given
    found = {name: content[name] for name in _KINDS if content.get(name) is not None}
    for name, value in found.items():
        if type(value) is not _KINDS[name]:
            raise JobsError("InvalidRequest", f"{name} must be {_WORDS[_KINDS[name]]}")
    for key, value in found.get("statusDetails", {}).items():
        if not _DETAIL_KEY.fullmatch(key) or not isinstance(value, str) or not value:
            raise JobsError("InvalidRequest", "statusDetails must hold names of letters, digits, : _ - and strings")
    return found
