"""What goes back to a client: AWS's answers and errors in the dialect of its protocol (rest-json, query, S3's XML)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: Final = "application/json"
XML: Final = "text/xml"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it becomes aiohttp's."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Enum):
    """How a protocol says that something is wrong."""

    JSON = "json"
    QUERY = "query"
    S3 = "s3"


def error(dialect: Dialect, status: int, code: str, message: str, request_id: str, **members: Any) -> Answer:  # noqa: ANN401  AWS's own members
    """An error as the client's protocol expects it."""
    if dialect is Dialect.JSON:
        body = json.dumps({"__type": code, "message": message, **members}, separators=(",", ":")).encode()
        return Answer(status, body, headers={"x-amzn-errortype": code})
    said = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if dialect is Dialect.S3:
        more = "".join(f"<{name}>{escape(sanitize(str(value)))}</{name}>" for name, value in members.items())
        text = f"<Error>{said}{more}<RequestId>{request_id}</RequestId></Error>"
    else:
        kind = "Receiver" if status >= 500 else "Sender"
        inner = f"<Error><Type>{kind}</Type>{said}</Error><RequestId>{request_id}</RequestId>"
        text = f"<ErrorResponse>{inner}</ErrorResponse>"
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode(), XML)


def query_result(operation: str, namespace: str, members: Mapping[str, str], request_id: str) -> Answer:
    """The answer of a query-protocol operation whose members are all texts."""
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    text = (
        f'<{operation}Response xmlns="{namespace}"><{operation}Result>{inner}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Answer(200, text.encode(), XML)
