"""The CA that signs a fleet's certificates: made once in the directory of the bundles, or brought by the operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iotctl import fleet_ca, passphrase
from iotctl.errors import Usage
from iotctl.pki import authorities, keys

if TYPE_CHECKING:
    from iotctl import pki

_HOW = "--ca-cert FILE --ca-key-file FILE"


def given(certificate: str, key_file: str, passphrase_file: str, directory: Path) -> pki.Authority | None:
    """The CA that the options name; None: that of the directory.

    Its key is read, and held in memory only.

    Args:
        certificate: `--ca-cert`, empty where it is not given.
        key_file: `--ca-key-file`.
        passphrase_file: `--ca-passphrase-file`.
        directory: of the bundles.

    Raises:
        Usage: one of them is missing, cannot be read, or is of no use; or the directory needs them.
        Conflict: the directory has another CA.

    """
    if not certificate and not key_file:
        if passphrase_file:
            raise Usage("--ca-passphrase-file is for the key of a CA that you bring", hint=_HOW)
        if fleet_ca.has_only_certificate(directory):
            raise Usage(
                f"the key of the fleet CA is not in {directory / 'ca'}",
                hint=f"{_HOW}, if it was brought so; else restore it from a backup",
            )
        return None
    if not certificate or not key_file:
        raise Usage("a CA that you bring has a certificate and a key", hint=_HOW)
    secret = passphrase.read(passphrase_file) if passphrase_file else b""
    path = Path(key_file)
    try:
        if path.stat().st_mode & 0o077:
            raise Usage(f"others may read the CA's key {path}", hint=f"chmod 600 {path}", on=key_file)
        pem = path.read_bytes()
        found = Path(certificate).read_bytes()
    except OSError as error:
        raise Usage(f"{error.filename} cannot be read: {error.strerror}", on=str(error.filename)) from error
    try:
        opened = keys.opened(pem, secret)
    except Usage as error:
        raise Usage(f"{key_file}: {error.message}", code=error.code, hint="--ca-passphrase-file FILE") from error
    authority = authorities.given(found, opened)
    fleet_ca.refuse_other(directory, authority)
    return authority
