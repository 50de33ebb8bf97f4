"""The key and certificate that a simulated device connects with, and those that it is about to have.

<state>/<thing>/.credentials/<first>/<rotation>/   private.pem.key · request.csr · certificate.pem.crt
                                     current       a link to the rotation that counts

`first` is the certificate of the bundle that it began with: a device that is onboarded anew begins anew. A new one
counts once a connection with it has been accepted; until then each failure lets the other one have its turn.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from iotctl import files
from iotctl.errors import Error, Usage
from iotctl.pki import certificates as x509
from iotctl.pki import requests

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.local.devices.session import Identity
    from iotctl.rotation import Delivery

_KEY: Final = "private.pem.key"
_REQUEST: Final = "request.csr"
_CERTIFICATE: Final = "certificate.pem.crt"
_CURRENT: Final = "current"


@dataclass(frozen=True, slots=True)
class Work:
    """Make a key and its CSR for a rotation; or, with a delivery, keep its certificate and connect with it next."""

    rotation: str
    key_type: str = ""
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """What came of it: a CSR, or a certificate that is kept, or a fault."""

    work: Work
    csr: str = ""
    fault: str = ""


class Credentials:
    """What one device has to prove who it is.

    Args:
        root: its private directory.
        first: what it was made with.

    """

    def __init__(self, root: Path, first: Identity) -> None:
        self._first = first
        self._root = root / first.certificate_id[:32]
        self._trying = ""
        self._turn = True

    @property
    def renewed(self) -> bool:
        """Whether it has been given another certificate than the first one."""
        return bool(self._current())

    def identity(self) -> Identity:
        """What the next connection is made with."""
        rotation = self._trying if self._trying and self._turn else self._current()
        if not rotation:
            return self._first
        place = self._root / rotation
        pem = (place / _CERTIFICATE).read_bytes()
        return replace(
            self._first,
            certificate=place / _CERTIFICATE,
            key=place / _KEY,
            certificate_id=x509.read(pem).certificate_id,
        )

    def connected(self) -> None:
        """The connection is accepted: what it was made with counts from now on."""
        if self._trying and self._turn:
            link = self._root / f".{_CURRENT}.new"
            link.unlink(missing_ok=True)
            link.symlink_to(self._trying)
            link.replace(self._root / _CURRENT)
            files.sync_directory(self._root)
            self._trying = ""

    def down(self) -> None:
        """The connection was refused or lost: the other one has its turn."""
        self._turn = not self._turn

    def perform(self, work: Work) -> Worked:
        """Do a piece of work; what cannot be done is a fault."""
        try:
            return self._store(work, work.delivery) if work.delivery else Worked(work, csr=self._request(work))
        except Error as error:
            return Worked(work, fault=error.message)

    def _request(self, work: Work) -> str:
        """The CSR of a rotation: the same however often it is asked for."""
        place = self._root / work.rotation
        with files.explained(place):
            if not (place / _REQUEST).is_file():
                files.private_directory(place)
                for left in place.iterdir():  # of one that was interrupted
                    left.unlink()
                key, csr = requests.create(self._first.thing_name, work.key_type)
                files.write_new(place / _KEY, key)
                _durable(place / _KEY)
                files.replace(place / _REQUEST, csr.encode())
            return (place / _REQUEST).read_text("ascii")

    def _store(self, work: Work, delivery: Delivery) -> Worked:
        place = self._root / work.rotation
        certificate = x509.read(delivery.certificate_pem)
        if certificate.certificate_id != delivery.certificate_id:
            raise Usage("the certificate is not the one that it is said to be")
        with files.explained(place):
            if not x509.key_matches((place / _KEY).read_bytes(), certificate.pem.encode()):
                raise Usage("the certificate is not for the key of this device")
            files.replace(place / _CERTIFICATE, certificate.pem.encode(), 0o644)
        self._trying, self._turn = work.rotation, True
        return Worked(work)

    def _current(self) -> str:
        with contextlib.suppress(OSError):
            return os.path.basename((self._root / _CURRENT).readlink())  # noqa: PTH119  of a link's text
        return ""


def _durable(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
    files.sync_directory(file.parent)
