"""The device's bundle, where it is on this machine: its files, its key, its certificate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import bundle, clock, made
from iotctl.errors import Error, Integrity, NotFound, Usage
from iotctl.onboard.doctor.check import Check, ok, problem, skipped, unknown
from iotctl.pki import certificates as x509
from iotctl.pki import keys
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_END: Final = b"-----END CERTIFICATE-----"
_NEEDED: Final = ("thingName", "certificateId", "endpoint", "mqttPort", "accountId", "region", "keyFile")


@dataclass(frozen=True, slots=True)
class Held:
    """A bundle as its files are, checked by nobody yet.

    Attributes:
        certificate_pem: None: the file cannot be read.
        root_ca: the same.

    """

    directory: Path
    config: Mapping[str, Any]
    certificate_pem: bytes | None
    root_ca: str | None

    @property
    def key_file(self) -> Path | None:
        """Where the private key is; None: it never left the device."""
        return self.directory / self.config["keyFile"] if self.config["keyFile"] else None

    @property
    def certificate_file(self) -> Path:
        """Where the certificate is."""
        return self.directory / str(self.config.get("certificateFile") or bundle.CERTIFICATE)

    @property
    def ca_file(self) -> Path:
        """Where the CA of the endpoint is."""
        return self.directory / str(self.config.get("rootCaFile") or bundle.ROOT_CA)


def authority_id(held: Held) -> str:
    """The id of the CA that follows the certificate in its file; empty where none does."""
    _, _, rest = (held.certificate_pem or b"").partition(_END)
    try:
        return x509.read(rest).certificate_id if _END in rest else ""
    except Usage:
        return ""


def find(thing_name: str, bundles: Path | None) -> Path | None:
    """The directory of a thing's bundle; None where no bundles directory is named, and none here has it.

    Raises:
        NotFound: the directory that is named does not have it.

    """
    name = bundle.directory_name(thing_name)
    if bundles is None:
        try:
            directory = bundle.only_directory(Path.cwd())
        except Usage:
            return None
        place = bundle.newest(directory / made.DEVICES / name)
        return place if place.is_dir() else None
    place = bundle.newest(bundles / made.DEVICES / name)
    if place.is_dir():
        return place
    gone = bundles / made.REVOKED / name
    raise NotFound(
        f"{bundles} has no bundle of {thing_name}",
        hint=f"{gone} holds one that was taken back: iotctl onboard apply FILE makes a new one"
        if gone.is_dir()
        else "iotctl onboard apply FILE makes it; or leave --bundles out, to look at the account only",
        on=thing_name,
    )


def read(place: Path) -> Held:
    """A bundle as it is on disk.

    Raises:
        Integrity: its config.json is missing or damaged.

    """
    try:
        config = json.loads((place / bundle.CONFIG).read_bytes())
        missing = [key for key in _NEEDED if key not in config]
    except (OSError, ValueError, TypeError) as error:
        raise Integrity(f"{place / bundle.CONFIG} is damaged: {sanitize(str(error))}") from error
    if missing or not isinstance(config["mqttPort"], int):
        raise Integrity(f"{place / bundle.CONFIG} has no usable {', '.join(missing) or 'mqttPort'}")
    held = Held(place, config, None, None)
    return Held(place, config, _content(held.certificate_file), _text(held.ca_file))


def key(held: Held, passphrase: bytes) -> tuple[Check, bytes | None]:
    """Whether the private key is there, private, and the key of the certificate; and its PEM, to be used."""
    path = held.key_file
    if path is None:
        return skipped("key", "it never left the device"), None
    lost = f"restore it from a backup, or: {renewal(held)}"
    pem = _content(path)
    if pem is None:
        return problem("key", f"{path} cannot be read", lost), None
    try:
        opened = keys.opened(pem, passphrase)
    except Usage as error:
        return unknown("key", f"{path}: {error.message}", "--passphrase-file FILE (its first line)"), None
    except Integrity as error:
        return problem("key", f"{path}: {error.message}", lost), None
    if held.certificate_pem is None or not x509.key_matches(opened, held.certificate_pem):
        return problem("key", f"{path} is not the key of {held.certificate_file.name}", lost), None
    if path.stat().st_mode & 0o077:
        return problem("key", f"others on this machine may read {path}", f"chmod 600 {path}"), opened
    encrypted = "; its file is encrypted" if keys.is_encrypted(pem) else ""
    return ok("key", f"the private key is the certificate's{encrypted}"), opened


def certificate(held: Held) -> Check:
    """Whether the certificate's file is there, and the certificate that config.json names."""
    path = held.certificate_file
    if held.certificate_pem is None:
        return problem("certificate", f"{path} cannot be read", f"restore it from a backup, or: {renewal(held)}")
    try:
        found = x509.read(held.certificate_pem)
    except Error as error:
        return problem("certificate", f"{path}: {error.message}", f"restore it from a backup, or: {renewal(held)}")
    if found.certificate_id != held.config["certificateId"]:
        named = held.config["certificateId"]
        detail = f"{path} is the certificate {found.certificate_id[:12]}…, and config.json names {named[:12]}…"
        return problem("certificate", detail, f"restore it from a backup, or: {renewal(held)}")
    return valid(found, clock.now(), renewal(held))


def valid(certificate: x509.Certificate, now: datetime, renew: str) -> Check:
    """Whether a certificate is valid at a moment; `renew` is what gives the device a new one."""
    days = f"{clock.iso(certificate.not_before)} to {clock.iso(certificate.not_after)}"
    if now < certificate.not_before:
        detail = f"it is valid from {days} only: the clock of this machine, or of who made it, is wrong"
        return problem("certificate", detail, "set the clocks (timedatectl set-ntp true), or wait")
    if now >= certificate.not_after:
        return problem("certificate", f"it has run out: it was valid from {days}", renew)
    return ok("certificate", f"valid from {days}")


def renewal(held: Held) -> str:
    """How a device comes by a new key and certificate where it cannot fetch one itself."""
    return renewal_of(held.config["thingName"], f"move {held.directory} away, then: ")


def renewal_of(thing_name: str, first: str = "") -> str:
    """The same, of a thing whose bundle is not at hand."""
    unclaim = '\'{"attributes":{"iotctl-cert":""},"merge":true}\''
    return (
        f"{first}aws iot update-thing --thing-name {thing_name} --attribute-payload {unclaim}"
        " && iotctl onboard apply FILE --adopt (a new bundle)"
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _text(path: Path) -> str | None:
    content = _content(path)
    return None if content is None else content.decode("ascii", "replace")
