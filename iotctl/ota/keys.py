"""New signing keys, and the trust store that devices get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl import files, trust
from iotctl import passphrase as words
from iotctl.errors import NotFound
from iotctl.trust import Trust

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.trust import TrustedKey


def make(out: Path, store: Path, key_type: str, passphrase: bytes) -> TrustedKey:
    """Make a signing key in a new file, and add its public half to a trust store.

    The store is read first: with a damaged one no key is made that nobody would believe.

    Raises:
        Usage: the key type is none. Conflict: there is a key already. Integrity: the trust store is damaged.
        Local: one of them cannot be written.

    """
    try:
        known = Trust.read(store)
    except NotFound:
        known = Trust()
    key = trust.keygen(out, key_type=key_type, passphrase=passphrase)
    with files.explained(store):
        store.parent.mkdir(parents=True, exist_ok=True)
    known.with_key(key).write(store)
    return key


def passphrase(path: Path | None) -> bytes:
    """The first line of a file; nothing where there is none.

    Raises:
        Usage: it cannot be read, or its first line is empty.

    """
    if path is None:
        return b""
    return words.read(str(path))
