"""What is installed, signed: size, sha256, release, targets, expiry; and a device's reasons to refuse it.

A manifest is canonical JSON (sorted keys, no white space, UTF-8, no floats); its signature is detached and covers the
bytes as they are received. Until it is verified, all that a device takes from them is which key should have signed.
Each attack of The Update Framework's list that a manifest answers has a field, and a code of its own:

    arbitrary installation   the signature, by a key of the device's trust store   UNKNOWN_KEY, KEY_*, BAD_SIGNATURE
    rollback                 release, never lower than what is installed           ROLLBACK, RELEASE_REUSED
    indefinite freeze        expires                                               EXPIRED
    endless data             size, the cap of what is read                         TOO_LARGE, ENDLESS_DATA
    wrong software           artifact, targets                                     WRONG_TARGET
    mix and match            sha256, and one signature over all of it              DIGEST_MISMATCH, BAD_SIGNATURE

It is not TUF: no thresholds, no delegation. Source: theupdateframework.github.io/specification, section 1.5.2.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, text
from iotctl.errors import Integrity, Usage
from iotctl.pki import signing
from iotctl.semantics import names
from iotctl.semantics.release import precedence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from iotctl.pki.signing import SigningKey
    from iotctl.trust import Trust

VERSION: Final = 1
LARGEST: Final = 16 * 1024
"""Bytes of a manifest; with its signature it must fit a job document (32,768 bytes) in Base64."""
LARGEST_ARTIFACT: Final = 16 * 1024**3
"""Bytes that an artifact may have; a device takes less where it is told to."""
TRUST: Final = "trust"
"""The name of the artifact that is a device's next trust store: how keys are rotated."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")
_REPORTS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}")
_LISTS: Final = {
    "thingNames": names.THING_NAME,
    "thingTypes": names.THING_TYPE_NAME,
    "thingGroups": names.THING_GROUP_NAME,
}


class Reason(StrEnum):
    """Why a device did not install an artifact: `reason` in the status details of its job execution."""

    MALFORMED = "MALFORMED"
    """The job document, the manifest or the signature cannot be read."""
    UNSUPPORTED = "UNSUPPORTED"
    """The job document asks for an operation that the device does not know."""
    UNKNOWN_KEY = "UNKNOWN_KEY"
    """The key that it names is not in the trust store."""
    KEY_REVOKED = "KEY_REVOKED"
    KEY_EXPIRED = "KEY_EXPIRED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    """It was changed after it was signed, or the signature belongs to something else."""
    EXPIRED = "EXPIRED"
    WRONG_TARGET = "WRONG_TARGET"
    ROLLBACK = "ROLLBACK"
    """The installed release is newer."""
    RELEASE_REUSED = "RELEASE_REUSED"
    """The installed release has the same number and other content."""
    NEEDS_NEWER = "NEEDS_NEWER"
    """It is an update of a newer release than the one that is installed (`least`)."""
    TOO_LARGE = "TOO_LARGE"
    """It declares more bytes than the device takes."""
    ENDLESS_DATA = "ENDLESS_DATA"
    """More bytes came than it declares."""
    TRUNCATED = "TRUNCATED"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    HOST_REFUSED = "HOST_REFUSED"
    """The URL is not https, or of a host that the device does not download from."""
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED"
    SELF_CHECK_FAILED = "SELF_CHECK_FAILED"
    DISK = "DISK"
    """It could not be written."""

    @property
    def is_refusal(self) -> bool:
        """Whether trying again cannot help: the execution is REJECTED, which AWS never retries; else it is FAILED."""
        return self in _REFUSALS


_REFUSALS: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.UNSUPPORTED,
        Reason.UNKNOWN_KEY,
        Reason.KEY_REVOKED,
        Reason.KEY_EXPIRED,
        Reason.BAD_SIGNATURE,
        Reason.EXPIRED,
        Reason.WRONG_TARGET,
        Reason.ROLLBACK,
        Reason.RELEASE_REUSED,
        Reason.NEEDS_NEWER,
        Reason.TOO_LARGE,
        Reason.HOST_REFUSED,
    }
)


class Rejected(Integrity):
    """A device does not install this.

    Attributes:
        reason: its code.

    """

    def __init__(self, reason: Reason, message: str, *, on: str = "") -> None:
        super().__init__(message, code=reason.value, on=on)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Targets:
    """What an artifact is for. A thing must fit each of the lists that is not empty; at least one must not be.

    Attributes:
        thing_names: names, or the beginnings of names with a `*` at the end.
        thing_types: the thing's type is one of them.
        thing_groups: it is a direct member of one of them.

    """

    thing_names: tuple[str, ...] = ()
    thing_types: tuple[str, ...] = ()
    thing_groups: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """The lists that are not empty, sorted."""
        lists = (self.thing_names, self.thing_types, self.thing_groups)
        return {key: sorted(set(values)) for key, values in zip(_LISTS, lists, strict=True) if values}


@dataclass(frozen=True, slots=True)
class Self:
    """What a device knows of itself: all three from its bundle's config.json, as they were when it was onboarded."""

    thing_name: str
    thing_type: str = ""
    thing_groups: tuple[str, ...] = ()

    def is_among(self, targets: Targets) -> bool:
        """Whether an artifact is for this device."""
        named = any(
            self.thing_name.startswith(name[:-1]) if name.endswith("*") else name == self.thing_name
            for name in targets.thing_names
        )
        return (
            (named or not targets.thing_names)
            and (self.thing_type in targets.thing_types or not targets.thing_types)
            and (bool(set(self.thing_groups) & set(targets.thing_groups)) or not targets.thing_groups)
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is to be installed, where, until when.

    Attributes:
        artifact: the name of what is installed; releases are ordered within it. [A-Za-z0-9._-], 64 at most.
        release: by Semantic Versioning, or plain dotted numbers.
        size: bytes.
        sha256: hex.
        targets: what it is for.
        expires: no device begins to install it from then on (to the second).
        created: when it was made; for people.
        least: the release that must be installed before it; empty: none.
        reports: the path under `reported` of the thing's shadow where the release is told; empty: nowhere.

    """

    artifact: str
    release: str
    size: int
    sha256: str
    targets: Targets
    expires: datetime
    created: datetime = field(default_factory=clock.now)
    least: str = ""
    reports: str = "fw"

    def to_json(self, key_id: str) -> dict[str, Any]:
        """The manifest as it is signed with a key."""
        value = {
            "v": VERSION,
            "artifact": self.artifact,
            "release": self.release,
            "size": self.size,
            "sha256": self.sha256,
            "targets": self.targets.to_json(),
            "created": clock.iso(self.created),
            "expires": clock.iso(self.expires),
            "reports": self.reports,
            "keyId": key_id,
        }
        return value | ({"least": self.least} if self.least else {})


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest's bytes and the signature over them: what a device gets, and may not yet be believed."""

    manifest: bytes
    signature: bytes

    def to_json(self) -> dict[str, str]:
        """Both in Base64, as our job document carries them."""
        return {
            "manifest": base64.b64encode(self.manifest).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Signed:
        """The members `manifest` and `signature` of a job document.

        Raises:
            Rejected: MALFORMED: one is missing, or not Base64.

        """
        try:
            found = [base64.b64decode(document[key], validate=True) for key in ("manifest", "signature")]
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise _malformed("manifest and signature must be there, in Base64") from error
        return cls(*found)


def sign(manifest: Manifest, key: SigningKey) -> Signed:
    """Sign a manifest.

    Raises:
        Usage: a device would find it malformed, or it does not fit a job document.

    """
    received = text.canonical(manifest.to_json(key.key_id)).encode()
    try:
        read(received)
    except Rejected as error:
        raise Usage(f"this manifest would be refused: {error.message}", code=error.code) from error
    return Signed(received, key.sign(received))


def read(received: bytes) -> Manifest:
    """What the bytes of a manifest say, whoever wrote them: for a device, `verify` comes first.

    Raises:
        Rejected: MALFORMED: with the reason.

    """
    return _read(received)[0]


def verify(
    signed: Signed, trust: Trust, device: Self, *, installed: Callable[[str], Manifest | None], now: datetime
) -> Manifest:
    """The manifest, if this device may install it; the release that is installed already is no reason to refuse it.

    Args:
        signed: as it was received.
        trust: the keys that this device believes.
        device: what it knows of itself.
        installed: the manifest of what is installed under an artifact's name; None: nothing is.
        now: the time.

    Raises:
        Rejected: with its reason.

    """
    manifest, key_id = _read(signed.manifest)
    key = trust.keys.get(key_id)
    if key is None:
        raise Rejected(Reason.UNKNOWN_KEY, f"this device does not know the key {key_id}")
    if key.revoked:
        raise Rejected(Reason.KEY_REVOKED, f"the key {key_id} has been revoked")
    if not signing.is_signed(key.public_pem, signed.signature, signed.manifest):
        raise Rejected(Reason.BAD_SIGNATURE, f"this is not what the key {key_id} signed")
    if key.not_after is not None and now >= key.not_after:
        raise Rejected(Reason.KEY_EXPIRED, f"the key {key_id} was good until {clock.iso(key.not_after)}")
    if now >= manifest.expires:
        raise Rejected(Reason.EXPIRED, f"{_named(manifest)} could be installed until {clock.iso(manifest.expires)}")
    if not device.is_among(manifest.targets):
        raise Rejected(Reason.WRONG_TARGET, f"{_named(manifest)} is not for {device.thing_name}")
    _check_order(manifest, installed(manifest.artifact))
    return manifest


def _check_order(manifest: Manifest, installed: Manifest | None) -> None:
    there = precedence(installed.release) if installed else None
    release = precedence(manifest.release)
    if installed and there and release < there:
        raise Rejected(Reason.ROLLBACK, f"{_named(manifest)} is older than {installed.release}, which is installed")
    if installed and release == there and manifest.sha256 != installed.sha256:
        raise Rejected(Reason.RELEASE_REUSED, f"{_named(manifest)} is installed with other content")
    if manifest.least and (there is None or there < precedence(manifest.least)):
        what = installed.release if installed else "nothing"
        raise Rejected(Reason.NEEDS_NEWER, f"{_named(manifest)} needs {manifest.least}; {what} is installed")


def _read(received: bytes) -> tuple[Manifest, str]:
    if len(received) > LARGEST:
        raise _malformed(f"it has {len(received):,} bytes, more than {LARGEST:,}")
    try:
        value = text.loads(received, name="the manifest", depth=4)
    except Usage as error:
        raise _malformed(error.message) from error
    if not isinstance(value, dict) or text.canonical(value).encode() != received:
        raise _malformed("it is not the canonical JSON of an object")
    try:
        key_id = value.pop("keyId")
        manifest = _parsed(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(f"a member is missing or wrong: {text.sanitize(str(error))}") from error
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise _malformed("keyId must be 16 hex digits")
    return manifest, key_id


def _parsed(value: dict[str, Any]) -> Manifest:
    if (version := value.pop("v")) != VERSION or type(version) is not int:
        raise ValueError(f"v must be {VERSION}")
    targets = _targets(value.pop("targets"))
    expires, created = (clock.moment(value.pop(key)) for key in ("expires", "created"))
    manifest = Manifest(targets=targets, expires=expires, created=created, **value)
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    if not _NAME.fullmatch(manifest.artifact):
        raise ValueError("artifact must be 1 to 64 of letters, digits, . _ -, a letter or a digit first")
    precedence(manifest.release)
    if manifest.least:
        precedence(manifest.least)
    if type(manifest.size) is not int or not 0 <= manifest.size <= LARGEST_ARTIFACT:
        raise ValueError(f"size must be 0 to {LARGEST_ARTIFACT}")
    if not _SHA256.fullmatch(manifest.sha256):
        raise ValueError("sha256 must be 64 hex digits")
    if manifest.reports != "" and not _REPORTS.fullmatch(manifest.reports):
        raise ValueError("reports must be a path such as fw or app.release")


def _targets(value: Any) -> Targets:  # noqa: ANN401  JSON is any value
    if not isinstance(value, dict) or not value or set(value) - set(_LISTS):
        raise ValueError(f"targets must have one of {', '.join(_LISTS)} at least, and nothing else")
    for key, listed in value.items():
        if not isinstance(listed, list) or not listed:
            raise ValueError(f"targets: {key} must be a list that is not empty")
        for name in listed:
            plain = name.removesuffix("*") if key == "thingNames" else name
            if name != "*" and (fault := _LISTS[key].fault(plain)):
                raise ValueError(f"targets: {fault}")
            if name == "*" and key != "thingNames":
                raise ValueError("targets: * stands for thing names only")
    return Targets(*(tuple(value.get(key, ())) for key in _LISTS))


def _named(manifest: Manifest) -> str:
    return f"{manifest.artifact} {manifest.release}"


def _malformed(why: str) -> Rejected:
    return Rejected(Reason.MALFORMED, f"the manifest is refused: {why}")
