"""The fleet CA of a bundles directory: made once, or brought by somebody: then only its certificate is kept here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files, pki
from iotctl.errors import Conflict, Error, Integrity, Usage
from iotctl.pki import certificates as x509
from iotctl.staging import clear_staging, publish, staging_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUTHORITY: Final = "file:FleetAuthority"

KEY: Final = "fleet-ca.pem.key"
CERTIFICATE: Final = "fleet-ca.pem.crt"


def load(bundles: Path, given: pki.Authority | None = None) -> pki.Authority:
    """The fleet CA of a bundles directory, made (once, durably) where there is none.

    Args:
        bundles: the directory.
        given: the CA that somebody brings: only its certificate is kept here, its key stays where it is.

    Raises:
        Integrity: it is damaged. Conflict: it is another one than the one that is given. Local: it cannot be written.

    """
    place = bundles / "ca"
    with files.explained(place):
        if not place.is_dir():
            coming = staging_directory(bundles) / "ca"
            shutil.rmtree(coming, ignore_errors=True)
            coming.mkdir(files.PRIVATE_DIRECTORY)
            authority = given or pki.Authority.create(f"iotctl fleet CA {clock.now():%Y-%m-%d}")
            if given is None:
                files.write_new(coming / KEY, authority.key_pem())
            files.write_new(coming / CERTIFICATE, authority.certificate_pem.encode(), 0o644)
            publish(bundles, {coming: place})
        try:
            if given is not None:
                refuse_other(bundles, given)
                return given
            return pki.Authority.load((place / KEY).read_bytes(), (place / CERTIFICATE).read_bytes())
        except FileNotFoundError as error:
            raise Integrity(f"the fleet CA in {place} is incomplete", hint="restore it from a backup") from error


def refuse_other(bundles: Path, given: pki.Authority) -> None:
    """Refuse a CA that somebody brings, where the directory has another one: its certificates would be of two.

    Raises:
        Conflict: it has. Integrity: the one that is there is damaged.

    """
    place = bundles / "ca" / CERTIFICATE
    if place.is_file() and _certificate(place) != given.certificate_pem:
        raise Conflict(f"the fleet CA in {place.parent} is another one than --ca-cert", hint="--bundles DIR, a new one")


def _certificate(path: Path) -> str:
    try:
        return x509.read(path.read_bytes()).pem
    except Usage as error:
        raise Integrity(f"the fleet CA's certificate {path} is damaged", hint="restore it from a backup") from error


def has_only_certificate(bundles: Path) -> bool:
    """Whether the key of the fleet CA is not here, as that of one that somebody brought; or it was lost."""
    return (bundles / "ca" / CERTIFICATE).is_file() and not (bundles / "ca" / KEY).exists()


class FleetAuthority:
    """The effect `file:FleetAuthority`: the fleet CA of a directory, made where there is none.

    Args:
        given: the one that somebody brings.

    """

    def __init__(self, given: pki.Authority | None = None) -> None:
        self._given = given

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Find or make it.

        Args:
            batch: one mapping: `directory` (of the bundles).

        Returns:
            Per mapping, in order: certificateId, certificatePem.

        Raises:
            Integrity: it is damaged. Conflict: it is not the one that is given. Local: it cannot be written.

        """
        found = [self._afresh(Path(params["directory"])).certificate_pem for params in batch]
        return [{"certificateId": x509.read(pem).certificate_id, "certificatePem": pem} for pem in found]

    def _afresh(self, bundles: Path) -> pki.Authority:
        """The fleet CA, after what a crash left half made is gone."""
        with files.explained(bundles):
            clear_staging(bundles)
        return load(bundles, self._given)
