"""Pages of a listing: each continues after the last row of the one before, by an index, however long the list is."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from iotctl.local.store import Store

DEFAULT_SIZE: Final = 25
_SCALARS: Final = (str, int, float)


def page(
    store: Store,
    select: str,
    parameters: Sequence[Any],
    *,
    by: tuple[str, ...],
    size: int | None,
    token: str | None,
    ascending: bool = True,
) -> tuple[list[sqlite3.Row], str | None]:
    """One page of a listing and the token of the next.

    Args:
        store: where.
        select: the whole listing, with the columns of `by` among its columns; an index on them keeps this quick.
        parameters: for the question marks of `select`.
        by: the columns that order it and name one row.
        size: rows a page; AWS's default of 25 where absent.
        token: of the page before; it belongs to this listing and no other.
        ascending: false for the newest first.

    Raises:
        AwsError: the token is not one of this listing.

    """
    limit = size or DEFAULT_SIZE
    listing = zlib.crc32(json.dumps([select, list(parameters), ascending]).encode())
    direction, after = ("ASC", ">") if ascending else ("DESC", "<")
    order = ", ".join(f"{column} {direction}" for column in by)
    place = _opened(token, listing, len(by)) if token else []
    columns, marks = ", ".join(by), ", ".join("?" * len(by))
    where = f"WHERE ({columns}) {after} ({marks})" if token else ""
    sql = f"SELECT * FROM ({select}) {where} ORDER BY {order} LIMIT ?"  # noqa: S608  every part is the caller's own text
    rows = store.rows(sql, *parameters, *place, limit + 1)
    if len(rows) <= limit:
        return rows, None
    rows.pop()
    return rows, _sealed([listing, *(rows[-1][column] for column in by)])


def _sealed(value: list[Any]) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def _opened(token: str, listing: int, length: int) -> list[Any]:
    try:
        value = json.loads(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid token for pagination") from error
    whole = isinstance(value, list) and len(value) == length + 1 and all(type(part) in _SCALARS for part in value)
    if not whole or value[0] != listing:
        raise invalid("Invalid token for pagination")
    place: list[Any] = value[1:]
    return place
