"""The handler for AWS IoT Device Client: it installs what is signed, fresh and for this device, and says why not."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iotctl import clock, manifest, templates
from iotctl.manifest import Manifest, Reason, Targets
from iotctl.ota.document import HANDLER, KIND
from iotctl.pki.signing import SigningKey
from iotctl.trust import FILE, Trust, TrustedKey
from tests.conftest import run_iotctl

CONTENT = b"firmware" * 1000
KEYS = {kind: SigningKey.create(kind) for kind in ("ed25519", "ec-p256")}
KEY = KEYS["ed25519"]
GOOD = Manifest(
    "fw",
    "1.4.0",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    Targets(("pump-*",)),
    clock.now() + timedelta(days=1),
)

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@dataclass
class Machine:
    """A device: what it is configured with, what it has, and a server that it downloads from."""

    directory: Path
    url: str
    said: str = ""

    def trust(self, *keys: TrustedKey) -> None:
        """Believe these keys."""
        Trust({key.key_id: key for key in keys}).write(self.directory / "etc" / FILE)

    def serve(self, content: bytes) -> None:
        """What is downloaded."""
        (self.directory / "www" / "artifact").write_bytes(content)

    def handle(self, wanted: Manifest, key: SigningKey = KEY, *, url: str = "", flip: bool = False) -> tuple[int, str]:
        """Run the handler as Device Client does: its exit code, and the first word that it says."""
        signed = manifest.sign(wanted, key).to_json()
        if flip:
            *first, last = base64.b64decode(signed["signature"])
            signed["signature"] = base64.b64encode(bytes((*first, last ^ 1))).decode()
        ran = subprocess.run(
            [str(templates.ROOT / KIND / HANDLER), "", signed["manifest"], signed["signature"], url or self.url],
            env={
                "PATH": os.environ["PATH"],
                "IOTCTL_CONFIG": str(self.directory / "etc"),
                "IOTCTL_STATE": str(self.directory / "var"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.said = ran.stdout + ran.stderr
        return ran.returncode, self.said.partition(":")[0].strip()

    @property
    def installed(self) -> bytes:
        """What it uses."""
        place = self.directory / "var" / "fw" / "current" / "artifact"
        return place.read_bytes() if place.exists() else b""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A thing pump-7 of the type press in two groups, that believes one key of each kind."""
    for name in ("etc", "var", "www"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "device").write_text("thingName=pump-7\nthingType=press\nthingGroups=oslo,north\n")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        found = Machine(tmp_path, f"http://127.0.0.1:{server.server_port}/artifact")
        found.trust(*(TrustedKey(key.key_id, key.public_pem) for key in KEYS.values()))
        found.serve(CONTENT)
        yield found
        server.shutdown()
        thread.join()


def test_what_is_signed_is_installed(machine: Machine) -> None:
    """By one rename, with either kind of key; the same again is done already, an older one is refused."""
    assert (0, "fw 1.4.0 is installed") == machine.handle(GOOD)
    assert CONTENT == machine.installed
    assert (0, "fw 1.4.0 was installed already") == machine.handle(GOOD, KEYS["ec-p256"])
    assert (1, Reason.ROLLBACK) == machine.handle(replace(GOOD, release="1.4.0-rc.1"))
    assert (1, Reason.RELEASE_REUSED) == machine.handle(replace(GOOD, sha256="0" * 64))
    newer = b"newer" * 1000
    machine.serve(newer)
    wanted = replace(GOOD, release="1.10", size=len(newer), sha256=hashlib.sha256(newer).hexdigest(), least="1.4")
    assert (0, "fw 1.10 is installed") == machine.handle(wanted, KEYS["ec-p256"])
    assert newer == machine.installed
    assert 2 == len(list((machine.directory / "var" / "fw" / "releases").iterdir()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires": clock.now() - timedelta(seconds=5)}, Reason.EXPIRED),
        ({"targets": Targets(("press-*", "pump-70"))}, Reason.WRONG_TARGET),
        ({"targets": Targets(thing_types=("pump",))}, Reason.WRONG_TARGET),
        ({"targets": Targets(thing_groups=("south",), thing_types=("press",))}, Reason.WRONG_TARGET),
        ({"least": "1.3.9"}, Reason.NEEDS_NEWER),
        ({"sha256": "0" * 64}, Reason.DIGEST_MISMATCH),
        ({"size": len(CONTENT) + 1}, Reason.TRUNCATED),
        ({"size": len(CONTENT) - 1000}, Reason.ENDLESS_DATA),
    ],
)
def test_what_is_not_as_it_must_be_is_refused(machine: Machine, changes: dict[str, Any], reason: Reason) -> None:
    """Signed by a key that it believes, and yet: nothing is installed, the reason is the first word."""
    assert ((1, reason), b"") == (machine.handle(replace(GOOD, **changes)), machine.installed)


@pytest.mark.parametrize("kind", KEYS)
def test_who_signed_is_what_counts(machine: Machine, kind: str) -> None:
    """Another signature, another key, a revoked one, one whose time is over."""
    key = KEYS[kind]
    assert (1, Reason.BAD_SIGNATURE) == machine.handle(GOOD, key, flip=True)
    assert (1, Reason.UNKNOWN_KEY) == machine.handle(GOOD, SigningKey.create(kind))
    machine.trust(TrustedKey(key.key_id, key.public_pem, revoked=True))
    assert (1, Reason.KEY_REVOKED) == machine.handle(GOOD, key)
    machine.trust(TrustedKey(key.key_id, key.public_pem, not_after=clock.now() - timedelta(seconds=5)))
    assert (1, Reason.KEY_EXPIRED) == machine.handle(GOOD, key)
    assert b"" == machine.installed


def test_where_it_downloads_from(machine: Machine) -> None:
    """https, or this machine; what a server does not give is no reason to install something else."""
    assert (1, Reason.HOST_REFUSED) == machine.handle(GOOD, url="http://example.com/x")
    assert (1, Reason.HOST_REFUSED) == machine.handle(GOOD, url='https://example.com/"\noutput = /etc/passwd')
    assert (1, Reason.DOWNLOAD_FAILED) == machine.handle(GOOD, url=f"{machine.url}-not-there?X-Amz-Signature=s3cr3t")
    assert ("404" in machine.said) is bool(shutil.which("curl"))
    assert "s3cr3t" not in machine.said


def test_what_fails_its_check_is_taken_back(machine: Machine) -> None:
    """The device's own program looks at it after the switch."""
    check = machine.directory / "etc" / "installed"
    check.write_text('#!/bin/sh\n[ "$2" = 1.4.0 ] && [ -s "$3" ] || { echo "it leaks"; exit 1; }\n')
    check.chmod(0o755)
    assert 0 == machine.handle(GOOD)[0]
    newer = b"newer" * 1000
    machine.serve(newer)
    wanted = replace(GOOD, release="1.5", size=len(newer), sha256=hashlib.sha256(newer).hexdigest())
    assert ((1, Reason.SELF_CHECK_FAILED), CONTENT) == (machine.handle(wanted), machine.installed)


@pytest.mark.parametrize(
    ("one", "other"), [("1.10", "1.9.9"), ("1.0", "1.0-rc.1"), ("1.0-rc.2", "1.0-rc.1"), ("2", "1.9+b")]
)
def test_releases_are_ordered_as_everywhere(machine: Machine, one: str, other: str) -> None:
    """The higher one replaces the lower, and never the other way round."""
    assert 0 == machine.handle(replace(GOOD, release=one))[0]
    assert (1, Reason.ROLLBACK) == machine.handle(replace(GOOD, release=other))


def test_the_handler_is_printed_as_it_ships() -> None:
    """`iotctl ota handler` is how it gets onto a device from a wheel."""
    ran = run_iotctl("ota", "handler")
    assert (0, (templates.ROOT / KIND / HANDLER).read_text()) == (ran.code, ran.stdout)
