"""The registration code, by which the owner of a CA proves to an account that it has the CA's key."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import operation

if TYPE_CHECKING:
    from iotctl.local.store import Store

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registration_code (
    one INTEGER PRIMARY KEY CHECK (one = 1), code TEXT NOT NULL
)
"""


@operation("iot:GetRegistrationCode")
def get_registration_code(store: Store) -> dict[str, Any]:
    """The account's code, 64 hexadecimal digits; the same until it is deleted."""
    store.execute("INSERT INTO registration_code VALUES (1, ?) ON CONFLICT DO NOTHING", secrets.token_hex(32))
    row = store.row("SELECT code FROM registration_code")
    assert row is not None
    return {"registrationCode": row["code"]}


@operation("iot:DeleteRegistrationCode")
def delete_registration_code(store: Store) -> None:
    """Forget the code; the next one is another."""
    store.execute("DELETE FROM registration_code")
