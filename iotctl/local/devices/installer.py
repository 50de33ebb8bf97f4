"""A job document becomes an installed artifact, or a reason why not: the whole of it, for one device.

In this order: the manifest is verified, the artifact downloaded and its digest compared, checked once more where it
will be used from, and only then switched to. It blocks: it runs in a thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, manifest, text
from iotctl.errors import Integrity, Local, NotFound
from iotctl.local.devices import download
from iotctl.local.devices.slots import Slots
from iotctl.manifest import TRUST, Reason, Rejected, Signed
from iotctl.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iotctl.manifest import Manifest, Self

OPERATION: Final = "install"
LONGEST_DETAIL: Final = 128
"""Characters of a value of `statusDetails`."""

_FORBIDDEN = 403  # what S3 answers for a presigned URL that has run out
_NEVER = threading.Event()


@dataclass(frozen=True, slots=True)
class Site:
    """What a device brings to an installation.

    Attributes:
        device: what it knows of itself.
        root: its private directory.
        trust_file: the keys that it came with; once it has installed an artifact `trust`, that counts in its place.
        hosts: where it downloads from.
        largest: bytes of an artifact that it takes.
        check: looks at a downloaded file before it is used; what is wrong with it, or nothing.

    """

    device: Self
    root: Path
    trust_file: Path
    hosts: tuple[str, ...] = download.AWS_HOSTS
    largest: int = manifest.LARGEST_ARTIFACT
    check: Callable[[Path], str] = field(default=lambda _: "")

    def trust(self) -> Trust:
        """The keys that the device believes now; without a trust store none.

        Raises:
            Integrity: the trust store is damaged.

        """
        rotated = Slots(self.root).content(TRUST)
        try:
            return Trust.read(rotated if rotated.exists() else self.trust_file)
        except NotFound:
            return Trust()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an installation ended.

    Attributes:
        status: of the job execution: SUCCEEDED, FAILED or REJECTED.
        details: of the job execution: artifact, release, sha256, and reason and detail where it did not succeed.
        installed: what is installed now; None where nothing was changed for a reason.
        switched: whether it was installed by this, not before.
        stale_url: the presigned URL has run out; the job document, asked for again, has a new one.

    """

    status: str
    details: Mapping[str, str]
    installed: Manifest | None = None
    switched: bool = False
    stale_url: bool = False


def install(document: Mapping[str, Any], site: Site, *, stop: threading.Event = _NEVER) -> Outcome:
    """Install what a job document says.

    Args:
        document: `{"operation":"install","manifest":…,"signature":…,"url":…}`.
        site: of the device.
        stop: ends the download.

    Raises:
        Interrupted: `stop` was set; the same document again goes on.

    """
    named: dict[str, str] = {}
    try:
        signed = _signed(document)
        slots = Slots(site.root)
        wanted = manifest.verify(signed, site.trust(), site.device, installed=slots.installed, now=clock.now())
        named |= {"artifact": wanted.artifact, "release": wanted.release, "sha256": wanted.sha256}
        there = slots.installed(wanted.artifact)
        if there is not None and (there.sha256, there.release) == (wanted.sha256, wanted.release):
            return Outcome("SUCCEEDED", {**named, "step": "was installed already"}, wanted)
        _bring(wanted, str(document.get("url", "")), slots.staging(wanted), site, stop)
        slots.switch(wanted, signed)
    except Rejected as error:
        status = "REJECTED" if error.reason.is_refusal else "FAILED"
        stale = isinstance(error, download.Refused) and error.status == _FORBIDDEN
        return Outcome(status, {**named, **_because(error.reason, error.message)}, stale_url=stale)
    except Integrity as error:  # of the trust store: with half of one, nothing is believed
        return Outcome("REJECTED", {**named, **_because(Reason.UNKNOWN_KEY, error.message)})
    except Local as error:
        return Outcome("FAILED", {**named, **_because(Reason.DISK, error.message)})
    return Outcome("SUCCEEDED", {**named, "step": "installed"}, wanted, switched=True)


def _bring(wanted: Manifest, url: str, place: Path, site: Site, stop: threading.Event) -> None:
    """Download and check.

    Raises:
        Rejected: with the reason; nothing of it stays that is not good. Local, Interrupted: as `download.fetch`.

    """
    if wanted.size > site.largest:
        raise Rejected(Reason.TOO_LARGE, f"{wanted.size:,} bytes; this device takes {site.largest:,}")
    download.fetch(download.Source(url, wanted.size, wanted.sha256, site.hosts), place, stop=stop)
    if fault := _trust_fault(wanted, place) or site.check(place):
        place.unlink()
        raise Rejected(Reason.SELF_CHECK_FAILED, fault)


def _signed(document: Mapping[str, Any]) -> Signed:
    """What a document brings.

    Raises:
        Rejected: UNSUPPORTED, MALFORMED.

    """
    if document.get("operation") != OPERATION or "manifest" not in document:
        raise Rejected(Reason.UNSUPPORTED, "this device installs signed manifests, and nothing else")
    return Signed.from_json(document)


def _trust_fault(wanted: Manifest, place: Path) -> str:
    """What is wrong with the next trust store; nothing where it is good, or where this is none."""
    if wanted.artifact != TRUST:
        return ""
    try:
        good = any(not key.revoked for key in Trust.read(place).keys.values())
    except Integrity as error:
        return error.message
    return "" if good else "a trust store without a key that counts"


def _because(reason: Reason, message: str) -> dict[str, str]:
    return {"reason": reason.value, "detail": text.sanitize(message)[:LONGEST_DETAIL]}
