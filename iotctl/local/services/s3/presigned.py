"""Presigned URLs: what the jobs and Greengrass services put where a device downloads from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from iotctl import clock
from iotctl.local.services.signature import presign

if TYPE_CHECKING:
    from iotctl.local.store import Store

_SERVED_AT: Final = "s3_url"


def served_at(store: Store, url: str) -> None:
    """Remember where this platform is reached: `http://127.0.0.1:4510`."""
    store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", _SERVED_AT, url)


def presigned_get(store: Store, bucket: str, key: str, seconds: int) -> str:
    """A URL that gives an object to whoever has it.

    Args:
        store: of the platform.
        bucket: the bucket; neither it nor the object need be there yet.
        key: the key.
        seconds: how long it is valid, 1 to 604800.

    """
    found = store.row("SELECT value FROM meta WHERE key = ?", _SERVED_AT)
    url = str(found["value"]) if found else "http://127.0.0.1"
    path = f"/{bucket}/{quote(key, safe='/-_.~')}"
    query = presign(
        "GET",
        urlsplit(url).netloc,
        path,
        key_id=store.access_key_id,
        secret=store.secret_access_key,
        region=store.region,
        service="s3",
        now=clock.real_now(),
        seconds=seconds,
    )
    return f"{url}{path}?{query}"
