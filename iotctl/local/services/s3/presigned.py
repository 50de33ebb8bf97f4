"""Presigned URLs: what the jobs and Greengrass services put where a device downloads from."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

from iotctl import clock
from iotctl.local.services.signature import presign

if TYPE_CHECKING:
    from datetime import datetime

    from iotctl.local.store import Store

_SERVED_AT: Final = "s3_url"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def served_at(store: Store, url: str) -> None:
    """Remember where this platform is reached: `http://127.0.0.1:4510`.

    A default port is left out: no client names it in the header `Host`, which is signed.
    """
    address = urlsplit(url)
    if address.port == _DEFAULT_PORTS[address.scheme]:
        url = f"{address.scheme}://{address.hostname}"
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
    now = clock.real_now().replace(microsecond=0)
    return f"{url}{path}?{_query(urlsplit(url).netloc, path, _Signer.of(store), now, seconds)}"


class _Signer(NamedTuple):
    """Who signs."""

    key_id: str
    secret: str
    region: str

    @classmethod
    def of(cls, store: Store) -> _Signer:
        return cls(store.access_key_id, store.secret_access_key, store.region)


@functools.lru_cache(maxsize=16)
def _query(host: str, path: str, signer: _Signer, now: datetime, seconds: int) -> str:
    """What is appended to the URL: within one second it is the same for everyone, a thousand devices may ask in it."""
    key_id, secret, region = signer
    return presign(
        "GET", host, path, key_id=key_id, secret=secret, region=region, service="s3", now=now, seconds=seconds
    )
