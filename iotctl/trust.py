"""The keys that a device believes (`trusted_keys.json`), and the making of a new one.

{"version":1,"keys":[{"keyId":"…","publicKey":"-----BEGIN PUBLIC KEY-----…","notAfter":"2027-01-31T00:00:00Z",
"revoked":false}]}

`notAfter` may be absent. A key is rotated by adding the new one, and later revoking the old: by hand on the device, or
by a signed manifest whose artifact is named `trust`, and is the next trust store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files, text
from iotctl import passphrase as words
from iotctl.errors import Conflict, Error, Integrity, NotFound, Usage
from iotctl.pki import signing
from iotctl.pki.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

FILE: Final = "trusted_keys.json"
VERSION: Final = 1
LARGEST: Final = 256 * 1024
"""Bytes of a trust store."""


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, until when it counts (None: for ever), and whether it was revoked."""

    key_id: str
    public_pem: str
    not_after: datetime | None = None
    revoked: bool = False

    def to_json(self) -> dict[str, Any]:
        """The key as the file holds it."""
        value: dict[str, Any] = {"keyId": self.key_id, "publicKey": self.public_pem, "revoked": self.revoked}
        return value | ({"notAfter": clock.iso(self.not_after)} if self.not_after else {})


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys that a device believes, by key id. One that is not there is not believed."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Trust:
        """The trust store in a file.

        Raises:
            NotFound: there is none. Integrity: it is damaged, or a key id is not the key's.

        """
        try:
            return cls.parse(path.read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"there is no trust store {path}", hint="iotctl ota keygen makes a key and one") from error
        except OSError as error:
            raise Integrity(f"the trust store {path} cannot be read: {error.strerror}", on=str(path)) from error
        except Integrity as error:
            raise Integrity(f"{path}: {error.message}", code=error.code, on=str(path)) from error

    @classmethod
    def parse(cls, content: bytes) -> Trust:
        """The trust store in some bytes.

        Raises:
            Integrity: it is damaged, or a key id is not the key's.

        """
        if len(content) > LARGEST:
            raise Integrity(f"a trust store of more than {LARGEST:,} bytes", code="TrustStore")
        try:
            keys = _keys(text.loads(content, name="the trust store"))
        except (Usage, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Integrity(f"the trust store is damaged: {text.sanitize(str(error))}", code="TrustStore") from error
        return cls({key.key_id: key for key in keys})

    def with_key(self, key: TrustedKey) -> Trust:
        """The same keys and this one, in place of what was known of it."""
        return Trust({**self.keys, key.key_id: key})

    def without(self, key_id: str) -> Trust:
        """The same keys, this one revoked.

        Raises:
            NotFound: it is not among them.

        """
        if key_id not in self.keys:
            raise NotFound(f"the trust store has no key {key_id}")
        return self.with_key(replace(self.keys[key_id], revoked=True))

    def document(self) -> bytes:
        """The content of its file."""
        keys = [self.keys[key_id].to_json() for key_id in sorted(self.keys)]
        return (json.dumps({"version": VERSION, "keys": keys}, indent=2) + "\n").encode()

    def write(self, path: Path) -> None:
        """Put it in place of what was there, durably.

        Raises:
            Local: it cannot be written.

        """
        files.replace(path, self.document(), 0o644)


def keygen(path: Path, *, key_type: str = "ed25519", passphrase: bytes = b"") -> TrustedKey:
    """Make a signing key in a new file (PEM, 0600; encrypted where there is a passphrase); its public half.

    Raises:
        Usage: the key type is none of `signing.KEY_TYPES`. Conflict: there is a file already; a key is never replaced.
        Local: it cannot be written.

    """
    key = SigningKey.create(key_type)
    with files.explained(path):
        try:
            files.write_new(path, key.pem(passphrase))
        except FileExistsError as error:
            raise Conflict(
                f"{path} is there already, and a key is never replaced", hint="choose another --out"
            ) from error
        files.sync_file_system(path.parent)
    return TrustedKey(key.key_id, key.public_pem)


def signing_key(path: Path, passphrase_file: Path | None = None) -> SigningKey:
    """The signing key of a file; its passphrase is the first line of another.

    Raises:
        NotFound: there is no such file. Usage: it is not a signing key, others may read it, or the passphrase is wrong.

    """
    try:
        if path.stat().st_mode & 0o077:
            raise Usage(f"others may read the signing key {path}", hint=f"chmod 600 {path}", on=str(path))
        return SigningKey.load(path.read_bytes(), words.read(str(passphrase_file)) if passphrase_file else b"")
    except OSError as error:
        raise NotFound(
            f"{error.filename} cannot be read: {error.strerror}", hint="iotctl ota keygen --out FILE"
        ) from error


def _keys(value: Mapping[str, Any]) -> list[TrustedKey]:
    if value["version"] != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    return [_key(each) for each in value["keys"]]


def _key(value: Mapping[str, Any]) -> TrustedKey:
    public_pem, key_id, revoked = value["publicKey"], value["keyId"], value.get("revoked", False)
    try:
        actual = signing.key_id(public_pem)
    except Error as error:
        raise ValueError(error.message) from error
    if actual != key_id:
        raise ValueError(f"the key {key_id} has the id {actual}")
    if not isinstance(revoked, bool):
        raise TypeError("revoked must be true or false")
    given = value.get("notAfter")
    not_after = clock.moment(given) if given else None
    return TrustedKey(key_id, public_pem, not_after, revoked)
