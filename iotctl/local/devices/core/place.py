"""Where a core keeps its things, and where it finds the cloud.

<bundles>/devices/<thing>/           its identity, as of any device (iotctl.bundle)
<bundles>/greengrass/<thing>/        its own directory, `kernel:rootPath`
├── lock                             held while it runs
├── cloud.json                       where the local platform was when it ran last
├── state.json                       what it runs, and what it has not told yet
├── packages/artifacts/NAME/VERSION/              `artifacts:path`
├── packages/artifacts-unarchived/NAME/VERSION/   `artifacts:decompressedPath`
├── work/NAME/                       `work:path`, the working directory of a component's scripts
└── logs/NAME.log                    what a component's scripts write
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.local.devices.session import Identity
    from iotctl.target import Target

DIRECTORY: Final = "greengrass"
NUCLEUS: Final = "aws.greengrass.Nucleus"
NUCLEUS_VERSION: Final = "2.15.0"
"""The nucleus whose protocol and recipes this core follows; its own name in reports says that it is not that one."""

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "x86",
    "i686": "x86",
}
_SYSTEMS: Final = {"Linux": "linux", "Darwin": "darwin"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Who a core is, and where it finds what it needs.

    Attributes:
        identity: its thing, where MQTT is, and its files.
        target: the account.
        https_port: of the data plane, at the same endpoint as MQTT.
        credentials: host and port that give credentials.
        role_alias: whose credentials they are.
        s3: where S3 is, when it is not AWS's.
        root: its own directory.

    """

    identity: Identity
    target: Target
    https_port: int
    credentials: tuple[str, int]
    role_alias: str
    s3: str
    root: Path

    @property
    def thing_name(self) -> str:
        """Its thing."""
        return self.identity.thing_name

    def artifacts(self, name: str, version: str) -> Path:
        """Where a component's artifacts are."""
        return self.root / "packages" / "artifacts" / name / version

    def unarchived(self, name: str, version: str) -> Path:
        """Where a component's archives are unpacked."""
        return self.root / "packages" / "artifacts-unarchived" / name / version

    def work(self, name: str) -> Path:
        """Where a component works."""
        return self.root / "work" / name

    def log(self, name: str) -> Path:
        """What a component writes."""
        return self.root / "logs" / f"{name}.log"


def here() -> dict[str, str]:
    """The attributes of this machine, as components' manifests name them."""
    machine = platform.machine().lower()
    found = {
        "os": _SYSTEMS.get(platform.system(), "unknown"),
        "architecture": _ARCHITECTURES.get(machine, "unknown"),
    }
    return found | ({"architecture.detail": machine} if found["architecture"] == "arm" else {})
