"""The platform's own CA: it signs the server certificate, and the device certificates of CSRs and of new keys."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from iotctl import files, pki

if TYPE_CHECKING:
    from pathlib import Path

SERVER_NAMES: Final = ("localhost", "*.localhost")
SERVER_ADDRESSES: Final = ("127.0.0.1",)
_SERVER_DAYS: Final = 3650
_PUBLIC: Final = 0o644


@functools.lru_cache(maxsize=4)
def authority(directory: Path) -> pki.Authority:
    """The CA of a state directory, made when it is first asked for.

    Args:
        directory: the platform's state; the CA is in its folder `ca`.

    Raises:
        Integrity: its key or certificate is damaged.
        Local: it cannot be written.

    """
    folder = files.private_directory(directory / "ca")
    key, certificate = folder / "ca.key", ca_file(directory)
    if certificate.exists():
        return pki.Authority.load(key.read_bytes(), certificate.read_bytes())
    made = pki.Authority.create("iotctl local platform CA")
    # The certificate is written last: where it is, the key is too.
    files.replace(key, made.key_pem())
    files.replace(certificate, made.certificate_pem.encode(), _PUBLIC)
    return made


def ca_file(directory: Path) -> Path:
    """Where the CA's certificate of a state directory is (PEM)."""
    return directory / "ca" / "ca.pem"


def server_files(directory: Path) -> tuple[Path, Path]:
    """The key and the certificate of the platform's servers, made when they are first asked for (PEM files)."""
    key, certificate = directory / "ca" / "server.key", directory / "ca" / "server.pem"
    if not certificate.exists():
        signer = authority(directory)
        issued = signer.issue_server("localhost", dns=SERVER_NAMES, addresses=SERVER_ADDRESSES, days=_SERVER_DAYS)
        files.replace(key, issued.private_key_pem)
        files.replace(certificate, issued.certificate_pem.encode(), _PUBLIC)
    return key, certificate
