"""Where a device keeps what is installed: releases side by side, and a link to the one that counts.

<root>/<artifact>/releases/<release>-<digest>/artifact      the file
                                              signed.json   its manifest and signature
<root>/<artifact>/<sha256>, <sha256>.partial                what is being downloaded
<root>/<artifact>/current, previous                         links to releases

The link is replaced by one rename, so after any crash it is the old release or the new one. Of the others only the
previous release stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotctl import files, manifest
from iotctl.local.devices.syncing import shared_sync
from iotctl.manifest import Rejected, Signed

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.manifest import Manifest

_ARTIFACT = "artifact"
_SIGNED = "signed.json"


@dataclass(frozen=True, slots=True)
class Slots:
    """The releases of all artifacts of one device, under one private directory."""

    root: Path

    def installed(self, artifact: str) -> Manifest | None:
        """The manifest of the release that counts; None where there is none that can be read."""
        try:
            document = json.loads((self.root / artifact / "current" / _SIGNED).read_bytes())
            return manifest.read(Signed.from_json(document).manifest)
        except (OSError, ValueError, TypeError, Rejected):
            return None

    def content(self, artifact: str) -> Path:
        """The file of the release that counts."""
        return self.root / artifact / "current" / _ARTIFACT

    def staging(self, wanted: Manifest) -> Path:
        """Where to download a release to.

        Raises:
            Local: the directory cannot be made.

        """
        place = files.private_directory(self.root / wanted.artifact)
        for left in place.glob("*.partial"):
            if left.name != f"{wanted.sha256}.partial":
                left.unlink()
        return place / wanted.sha256

    def switch(self, wanted: Manifest, signed: Signed) -> None:
        """Make a downloaded release the one that counts, atomically and durably; the one before it is the previous.

        Raises:
            Local: it cannot be written; what counted still does.

        """
        place = self.root / wanted.artifact
        name = f"{wanted.release}-{wanted.sha256[:12]}"
        with files.explained(place):
            releases = files.private_directory(place / "releases")
            slot = releases / name
            shutil.rmtree(slot, ignore_errors=True)
            slot.mkdir(files.PRIVATE_DIRECTORY)
            (place / wanted.sha256).rename(slot / _ARTIFACT)
            files.write_new(slot / _SIGNED, json.dumps(signed.to_json()).encode())
            before = _target(place / "current")
            shared_sync(place)
            if before and before != name:
                _link(place / "previous", before)
            _link(place / "current", name)
            shared_sync(place)
            keep = {name, _target(place / "previous")}
            for old in releases.iterdir():
                if old.name not in keep:
                    shutil.rmtree(old, ignore_errors=True)


def _target(link: Path) -> str:
    """The release that a link names; empty where there is none."""
    with contextlib.suppress(OSError):
        return os.path.basename(link.readlink())  # noqa: PTH119  of a link's text, which is no path of ours yet
    return ""


def _link(link: Path, name: str) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(f"releases/{name}")
    new.replace(link)
