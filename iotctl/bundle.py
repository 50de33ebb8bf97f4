"""What one device receives: key, certificate, CA, config; on disk, durable, private.

<bundles>/ca/                    the fleet CA (iotctl.fleet_ca)
<bundles>/devices/<thing>/       private.pem.key 0600 · certificate.pem.crt 0644 · AmazonRootCA1.pem 0644 ·
                                 config.json 0640
<bundles>/devices/<thing>@2/     the same once its certificate was replaced; of several the latest counts
<bundles>/runs/, revoked/        what each run made, and what was taken back (iotctl.made)
<bundles>/.staging/              what is not whole yet (iotctl.staging)

A bundle appears by one rename of a directory whose files are already durable, before the first AWS call of its thing,
and is never changed or replaced afterwards. So after a lost answer "did it arrive?" always has an answer.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import files, fleet_ca, pki
from iotctl.errors import Conflict, Error, Integrity, Usage
from iotctl.pki import certificates as x509
from iotctl.pki import keys
from iotctl.staging import clear_staging, publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY: Final = "private.pem.key"
CERTIFICATE: Final = "certificate.pem.crt"
ROOT_CA: Final = "AmazonRootCA1.pem"
CONFIG: Final = "config.json"

PUBLISH: Final = "file:PublishBundle"

_ENCODER: Final = json.JSONEncoder(separators=(",\n  ", ": "))
_LONGEST_NAME: Final = 200  # bytes of a file name; file systems allow 255
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk, as its config and certificate tell it."""

    directory: Path
    config: Mapping[str, Any]
    certificate_id: str
    certificate_pem: str


def amazon_root_ca() -> str:
    """Amazon Root CA 1 (PEM), which signs AWS IoT's ATS endpoints."""
    return importlib.resources.files("iotctl").joinpath(ROOT_CA).read_text("ascii")


def directory_name(thing_name: str) -> str:
    """The directory of a thing: its name, made safe for every file system; different names, different directories."""
    safe = thing_name.replace(":", "%3A")
    if safe.casefold() in _RESERVED:
        safe += "%"
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}%{hashlib.sha256(thing_name.encode()).hexdigest()[:16]}"
    return safe


def generation(name: str, number: int) -> str:
    """The name of the so manieth bundle of a thing: no thing name has an @."""
    return name if number == 1 else f"{name}@{number}"


def newest(place: Path) -> Path:
    """The bundle of a thing that counts: the latest of those that rotations have put beside the first one."""
    found, number = place, 2
    while (later := place.with_name(generation(place.name, number))).is_dir():
        found, number = later, number + 1
    return found


def only_directory(here: Path) -> Path:
    """The bundles directory that is meant where none is named: the only `*-fleet` here.

    Raises:
        Usage: there is none, or more than one.

    """
    found = sorted(here.glob("*-fleet"))
    if len(found) == 1:
        return found[0]
    raise Usage("which bundles directory?", hint=f"--bundles {found[0].name if found else 'DIR'}")


def has_encrypted_key(bundles: Path, thing_name: str) -> bool:
    """Whether the key in a thing's bundle is encrypted; False where there is none to be read."""
    try:
        config = json.loads((bundles / "devices" / directory_name(thing_name) / CONFIG).read_bytes())
        return bool(config.get("keyEncrypted"))
    except (OSError, ValueError, AttributeError):
        return False


def private_key(path: Path, passphrase: bytes = b"") -> bytes:
    """The private key of a bundle (PEM), opened where it is encrypted: to be held in memory only.

    Raises:
        Usage: it is encrypted, and the passphrase is missing or wrong. Integrity: it is no private key.
        OSError: it cannot be read.

    """
    try:
        return keys.opened(path.read_bytes(), passphrase)
    except Usage as error:
        hint = "" if passphrase else f"--passphrase-file FILE; or, for one key: openssl pkey -in {path.name}"
        raise Usage(f"{path}: {error.message}", code=error.code, hint=hint, on=str(path)) from error


def load(directory: Path, passphrase: bytes = b"") -> Bundle:
    """Read a bundle and check that it is whole and consistent.

    Args:
        directory: of the one bundle.
        passphrase: of its key, where that is encrypted.

    Raises:
        Integrity: a file is missing or damaged, or the key is not the certificate's. Usage: the key is encrypted, and
            the passphrase is missing or wrong.

    """
    try:
        config = json.loads((directory / CONFIG).read_bytes())
        certificate_pem = (directory / CERTIFICATE).read_bytes()
        if config["keyFile"] and not x509.key_matches(private_key(directory / KEY, passphrase), certificate_pem):
            raise Integrity(f"the key in {directory} is not the key of its certificate", on=config["thingName"])
        certificate = x509.read(certificate_pem)
        certificate_id = certificate.certificate_id
        if certificate_id != config["certificateId"]:
            raise Integrity(f"the certificate in {directory} is not the one its config names", on=config["thingName"])
    except (OSError, ValueError, KeyError, TypeError, Error) as error:
        if isinstance(error, Integrity) or (isinstance(error, Usage) and error.code == keys.CODE):
            raise
        raise Integrity(
            f"the bundle {directory} is damaged: {error}",
            hint=f"move it away; if its certificate was registered, deactivate it first: {directory}",
        ) from error
    return Bundle(directory, config, certificate_id, certificate.pem)


class Publisher:
    """The effect `file:PublishBundle`: bundles for a batch of things, made durable by one sync for all of them.

    Args:
        passphrase: that the keys of bundles are encrypted with, where a step says that they are.
        given: the fleet CA, where somebody brings it.

    """

    def __init__(self, passphrase: bytes = b"", given: pki.Authority | None = None) -> None:
        self._passphrase = passphrase
        self._given = given
        self._prepared: set[Path] = set()
        self._authorities: dict[Path, pki.Authority] = {}

    def __call__(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Make or find the bundle of each.

        Args:
            batch: one mapping per thing: `directory` (of the bundles), `thingName`, `csr` (PEM, optional), `keyType`,
                `days`, `rootCa` (PEM), `certificateArn` (its prefix), `config` (what config.json says of the account),
                `thingType` and `thingGroups` (optional), `runId` (of the run that makes it), `chain` (the CA's
                certificate follows the device's in its file: who registers just in time has to show both), `encrypted`
                (optional: so is the private key), `certificatePem` (optional: AWS has signed the CSR, and no fleet CA
                is needed).

        Returns:
            Per thing, in order: certificateId, certificatePem, certificateArn; or the error of this one thing.

        Raises:
            Local: the disk is full or may not be written to; nothing of the batch was published.

        """
        answers: list[dict[str, Any] | Error] = []
        staged: dict[Path, Path] = {}
        directory = Path(batch[0]["directory"])
        with files.explained(directory):
            self._prepare(directory)
            if any(not params.get("certificatePem") for params in batch) and directory not in self._authorities:
                self._authorities[directory] = fleet_ca.load(directory, self._given)
            devices, stagings = directory / "devices", directory / ".staging"
            for params in batch:
                name = directory_name(params["thingName"])
                place = devices / name
                try:
                    found = _existing(place, params, self._passphrase)
                    if found is None:
                        staging = stagings / name
                        issued, chain = self._issued(directory, params)
                        found = _stage(staging, place, params, issued, chain)
                        staged[staging] = place
                except Error as error:
                    answers.append(error)
                else:
                    answers.append(
                        {
                            "certificateId": found.certificate_id,
                            "certificatePem": found.certificate_pem,
                            "certificateArn": f"{params['certificateArn']}{found.certificate_id}",
                        }
                    )
            if staged:
                publish(directory, staged)
        return answers

    def _prepare(self, directory: Path) -> None:
        if directory not in self._prepared:
            self._prepared.add(directory)
            clear_staging(directory)
            (directory / "devices").mkdir(files.PRIVATE_DIRECTORY, exist_ok=True)

    def _issued(self, directory: Path, params: Mapping[str, Any]) -> tuple[pki.Issued, str]:
        """The certificate of a thing, with its key where that is made here; and what follows it in its file (PEM)."""
        if given := params.get("certificatePem"):
            return pki.Issued(x509.read(given).certificate_id, given, b""), ""
        authority = self._authorities[directory]
        thing_name, days = params["thingName"], params["days"]
        if params.get("csr"):
            issued = authority.sign(params["csr"], common_name=thing_name, days=days)
        else:
            hidden = self._passphrase if params.get("encrypted") else b""
            issued = authority.issue(thing_name, key_type=params["keyType"], days=days, passphrase=hidden)
        return issued, authority.certificate_pem if params.get("chain") else ""


def _existing(place: Path, params: Mapping[str, Any], passphrase: bytes) -> Bundle | None:
    if not place.is_dir():
        return None
    try:
        found = load(place, passphrase)
    except Usage as error:
        hint = "--encrypt-keys-to FILE, with the passphrase that it was made with"
        raise Usage(error.message, code=error.code, hint=hint, on=params["thingName"]) from error
    named = found.config["thingName"]
    if named != params["thingName"]:
        raise Conflict(
            f"the directory of {params['thingName']} holds the bundle of {named} (a file system that ignores case)",
            hint="use another --bundles directory for one of the two",
        )
    if (
        found.config["accountId"] != params["config"]["accountId"]
        or found.config["region"] != params["config"]["region"]
    ):
        raise Conflict(
            f"the bundle in {place} is for account {found.config['accountId']}, region {found.config['region']}",
            code="OtherAccount",
            hint="use another --bundles directory for this account",
        )
    if params.get("encrypted") and found.config["keyFile"] and not found.config.get("keyEncrypted"):
        raise Conflict(
            f"the key in {place} is not encrypted, and a bundle is never changed",
            code="PlainKey",
            hint="use another --bundles directory; or leave out --encrypt-keys-to",
        )
    if params.get("csr") and not pki.csr_matches(params["csr"], found.certificate_pem):
        raise Conflict(f"the bundle in {place} was made for another key than this row's CSR", code="OtherKey")
    # A key that the device has made itself since then is nobody's to compare.
    later = newest(place)
    found = found if later == place else load(later)
    given = params.get("certificatePem")
    if given and x509.read(given).certificate_id != found.certificate_id:
        raise Conflict(f"the bundle in {later} holds another certificate than the one in the account", code="OtherKey")
    return found


def _stage(staging: Path, place: Path, params: Mapping[str, Any], issued: pki.Issued, chain: str) -> Bundle:
    config = {
        "version": 1,
        "thingName": params["thingName"],
        "thingType": params.get("thingType", ""),
        "thingGroups": list(params.get("thingGroups", ())),
        "certificateId": issued.certificate_id,
        "runId": params.get("runId", ""),
        **params["config"],
        "keyFile": KEY if issued.private_key_pem else "",
        **({"keyEncrypted": True} if keys.is_encrypted(issued.private_key_pem) else {}),
        "certificateFile": CERTIFICATE,
        "rootCaFile": ROOT_CA,
    }
    try:
        staging.mkdir(files.PRIVATE_DIRECTORY)
    except FileExistsError:
        shutil.rmtree(staging)
        staging.mkdir(files.PRIVATE_DIRECTORY)
    # Four files for each of a million things: joining their names as text costs a tenth of what a Path does.
    inside = f"{staging}/"
    if issued.private_key_pem:
        files.write_new(inside + KEY, issued.private_key_pem)
    files.write_new(inside + CERTIFICATE, (issued.certificate_pem + chain).encode(), 0o644)
    files.write_new(inside + ROOT_CA, params["rootCa"].encode(), 0o644)
    files.write_new(inside + CONFIG, _lines(config).encode(), 0o640)
    return Bundle(place, config, issued.certificate_id, issued.certificate_pem)


def _lines(config: Mapping[str, Any]) -> str:
    """The config as JSON, a line a member; the encoder's own indentation would take a tenth of a bundle's time."""
    return f"{{\n  {_ENCODER.encode(config)[1:-1]}\n}}\n"
