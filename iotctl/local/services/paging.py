"""Pages of a listing: each continues after the last row of the one before, by an index, however long the list is."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import invalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from iotctl.local.store import Store

DEFAULT_SIZE: Final = 25


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
    listing = json.dumps([select, list(parameters), ascending])
    direction, after = ("ASC", ">") if ascending else ("DESC", "<")
    order = ", ".join(f"{column} {direction}" for column in by)
    place = _opened(token, listing) if token else []
    columns, marks = ", ".join(by), ", ".join("?" * len(by))
    where = f"WHERE ({columns}) {after} ({marks})" if token else ""
    sql = f"SELECT * FROM ({select}) {where} ORDER BY {order} LIMIT ?"  # noqa: S608  every part is the caller's own text
    rows = store.rows(sql, *parameters, *place, limit + 1)
    if len(rows) <= limit:
        return rows, None
    rows.pop()
    return rows, _sealed(listing, [rows[-1][column] for column in by])


def _sealed(listing: str, place: list[Any]) -> str:
    """A token: where a listing goes on, behind a checksum of both, so that no other place and no other listing fits."""
    text = json.dumps(place)
    return base64.b64encode(f"{zlib.crc32((listing + text).encode()):08x}{text}".encode()).decode()


def _opened(token: str, listing: str) -> list[Any]:
    try:
        place: list[Any] = json.loads(base64.b64decode(token, validate=True)[8:])
    except (ValueError, RecursionError):
        place = []
    if not place or token != _sealed(listing, place):
        raise invalid("Invalid token for pagination")
    return place
