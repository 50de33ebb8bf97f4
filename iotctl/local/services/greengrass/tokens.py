"""Client tokens: a request that is sent again has the answer that it had, for eight hours.

Source: the service model's words on `clientToken`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services.greengrass.names import conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS greengrass_token (
    operation TEXT NOT NULL, token TEXT NOT NULL, request TEXT NOT NULL, answer TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (operation, token)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS greengrass_token_by_end ON greengrass_token (until)
"""

_SECONDS: Final = 8 * 3600


def once(
    store: Store, operation: str, token: str | None, given: Mapping[str, Any], act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What an operation answers: what it answered to the same request with this token, or what it answers now.

    Args:
        store: where.
        operation: whose tokens these are.
        token: without one the operation acts.
        given: the request without its token.
        act: carries it out.

    Raises:
        AwsError: ConflictException: the token came with another request.

    """
    if token is None:
        return act()
    store.execute("DELETE FROM greengrass_token WHERE until <= ?", store.now())
    request = sha256(json.dumps(given, sort_keys=True, default=_digest).encode()).hexdigest()
    row = store.row("SELECT * FROM greengrass_token WHERE operation = ? AND token = ?", operation, token)
    if row:
        if row["request"] != request:
            raise conflict("ClientToken", token, f"The client token {token} was used for another request")
        cached: dict[str, Any] = json.loads(row["answer"])
        return cached
    answer = act()
    until = store.now() + _SECONDS
    store.execute(
        "INSERT INTO greengrass_token VALUES (?, ?, ?, ?, ?)", operation, token, request, json.dumps(answer), until
    )
    return answer


def _digest(value: bytes) -> str:
    return sha256(value).hexdigest()
