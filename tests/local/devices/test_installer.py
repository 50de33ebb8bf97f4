"""A device installs what its operator signed, and nothing else: each attack of TUF's list, on the device's side."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from iotctl import clock, files, manifest
from iotctl.errors import Interrupted
from iotctl.local.devices import installer
from iotctl.local.devices.installer import Outcome, Site
from iotctl.local.devices.slots import Slots
from iotctl.manifest import Manifest, Self, Signed, Targets
from iotctl.pki.signing import SigningKey
from iotctl.trust import Trust, TrustedKey
from tests.local.devices.test_download import Server

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = SigningKey.create()
OLD, NEW = b"old firmware", b"new firmware" * 1000


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of one object, the new firmware."""
    made = Server()
    made.content = NEW
    yield made
    made.close()


@dataclass
class World:
    """A device with an old release, a server with a new one, and a clock to turn."""

    site: Site
    server: Server
    now: datetime = NOW

    @property
    def slots(self) -> Slots:
        """What the device has."""
        return Slots(self.site.root)

    def manifest(self, release: str = "2.0", content: bytes = NEW, **changes: Any) -> Manifest:
        """A manifest of some content."""
        digest = hashlib.sha256(content).hexdigest()
        until = NOW + timedelta(days=30)
        made = Manifest("firmware", release, len(content), digest, Targets(thing_names=("pump-*",)), until, NOW)
        return replace(made, **changes)

    def document(self, wanted: Manifest | None = None, key: SigningKey = KEY, **changes: Any) -> dict[str, Any]:
        """The job document of a manifest."""
        signed = manifest.sign(wanted or self.manifest(), key)
        return {"operation": "install", **signed.to_json(), "url": self.server.url, **changes}

    def install(self, document: dict[str, Any]) -> Outcome:
        """What the device makes of a job document."""
        return installer.install(document, self.site)

    def refused(self, document: dict[str, Any]) -> tuple[str, str]:
        """Status and reason; the old release still counts, nothing of another is left, and nothing was asked for."""
        before = self.tree()
        outcome = self.install(document)
        assert before == self.tree()
        assert (None, False) == (outcome.installed, outcome.switched)
        assert all(0 < len(value) <= 128 for value in outcome.details.values())
        return outcome.status, outcome.details["reason"]

    def tree(self) -> dict[str, bytes]:
        """Every file of the device's."""
        return {str(path): path.read_bytes() for path in self.site.root.rglob("*") if path.is_file()}


@pytest.fixture
def world(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> World:
    """A device with the old release 1.0."""
    trust_file = tmp_path / "trusted_keys.json"
    Trust().with_key(TrustedKey(KEY.key_id, KEY.public_pem)).write(trust_file)
    made = World(Site(Self("pump-7"), tmp_path / "state", trust_file, ("127.0.0.1",)), server)
    monkeypatch.setattr(clock, "now", lambda: made.now)
    server.content = OLD
    assert "SUCCEEDED" == made.install(made.document(made.manifest("1.0", OLD))).status
    server.content = NEW
    server.ranges.clear()
    return made


def test_a_new_release_is_installed(world: World) -> None:
    """Downloaded, switched to; the one before it stays, an older one goes."""
    wanted = world.manifest()
    outcome = world.install(world.document(wanted))
    digest = hashlib.sha256(NEW).hexdigest()
    expected = {"artifact": "firmware", "release": "2.0", "sha256": digest, "step": "installed"}
    assert ("SUCCEEDED", expected, True) == (outcome.status, outcome.details, outcome.switched)
    assert wanted == world.slots.installed("firmware") == outcome.installed
    assert NEW == world.slots.content("firmware").read_bytes()
    assert OLD == (world.site.root / "firmware" / "previous" / "artifact").read_bytes()
    server_has = world.server.content = b"third"
    assert "SUCCEEDED" == world.install(world.document(world.manifest("3.0", server_has))).status
    assert 2 == len(list((world.site.root / "firmware" / "releases").iterdir()))
    assert NEW == (world.site.root / "firmware" / "previous" / "artifact").read_bytes()


def test_the_same_release_again_is_done_already(world: World) -> None:
    """Fault 53: SUCCEEDED, and nothing is downloaded."""
    document = world.document()
    assert world.install(document).switched
    again = world.install(document)
    assert ("SUCCEEDED", False, 1) == (again.status, again.switched, len(world.server.ranges))
    assert "was installed already" == again.details["step"]


def test_arbitrary_installation(world: World) -> None:
    """Another key; a known key's name on another key's signature; no signature; an outdated and a revoked key."""
    other = SigningKey.create()
    document = world.document()
    assert ("REJECTED", "UNKNOWN_KEY") == world.refused(world.document(key=other))
    signed = Signed.from_json(document)
    forged = Signed(signed.manifest, other.sign(signed.manifest)).to_json()
    assert ("REJECTED", "BAD_SIGNATURE") == world.refused({**document, **forged})
    assert ("REJECTED", "BAD_SIGNATURE") == world.refused({**document, "signature": ""})
    Trust({KEY.key_id: TrustedKey(KEY.key_id, KEY.public_pem, NOW)}).write(world.site.trust_file)
    assert ("REJECTED", "KEY_EXPIRED") == world.refused(document)
    Trust({KEY.key_id: TrustedKey(KEY.key_id, KEY.public_pem, revoked=True)}).write(world.site.trust_file)
    assert ("REJECTED", "KEY_REVOKED") == world.refused(document)
    assert [] == world.server.ranges


def test_rollback(world: World) -> None:
    """An older release, rightly signed; the same release with other content."""
    assert ("REJECTED", "ROLLBACK") == world.refused(world.document(world.manifest("0.9")))
    assert ("REJECTED", "RELEASE_REUSED") == world.refused(world.document(world.manifest("1.0")))
    assert [] == world.server.ranges


def test_indefinite_freeze(world: World) -> None:
    """A manifest that is kept back until it has expired."""
    document = world.document()
    world.now = NOW + timedelta(days=30)
    assert ("REJECTED", "EXPIRED") == world.refused(document)
    world.now -= timedelta(seconds=1)
    assert "SUCCEEDED" == world.install(document).status


def test_endless_data(world: World) -> None:
    """More than is declared; and more declared than the device takes."""
    world.server.content = NEW + b"x"
    assert ("FAILED", "ENDLESS_DATA") == world.refused(world.document())
    world.site = replace(world.site, largest=len(NEW) - 1)
    assert ("REJECTED", "TOO_LARGE") == world.refused(world.document())


def test_wrong_target(world: World) -> None:
    """It is for other things."""
    wanted = world.manifest(targets=Targets(thing_names=("valve-*",)))
    assert ("REJECTED", "WRONG_TARGET") == world.refused(world.document(wanted))


def test_mix_and_match(world: World) -> None:
    """The manifest of one release with the signature, or the file, of another."""
    two, three = world.document(), world.document(world.manifest("3.0"))
    assert ("REJECTED", "BAD_SIGNATURE") == world.refused({**three, "signature": two["signature"]})
    world.server.content = NEW[::-1]
    assert ("FAILED", "DIGEST_MISMATCH") == world.refused(two)
    world.server.content = NEW[:-1]
    assert ("FAILED", "TRUNCATED") == world.refused(two)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"operation": "reboot"}, "UNSUPPORTED"),
        ({"manifest": "bm8="}, "MALFORMED"),
        ({"manifest": 7}, "MALFORMED"),
        ({"url": ""}, "HOST_REFUSED"),
        ({"url": "https://example.com/x"}, "HOST_REFUSED"),
        ({"url": None}, "HOST_REFUSED"),
    ],
)
def test_a_job_document_that_is_refused(world: World, change: dict[str, Any], reason: str) -> None:
    """It is of another kind, damaged, or its URL is of an unknown host."""
    assert ("REJECTED", reason) == world.refused({**world.document(), **change})


def test_a_device_without_a_trust_store_believes_nothing(world: World) -> None:
    """Nor does one whose trust store is damaged."""
    world.site.trust_file.write_text("{")
    assert ("REJECTED", "UNKNOWN_KEY") == world.refused(world.document())
    world.site.trust_file.unlink()
    assert ("REJECTED", "UNKNOWN_KEY") == world.refused(world.document())


def test_what_fails_its_check_is_never_used(world: World) -> None:
    """The file that is checked is the one that would be used."""
    world.site = replace(world.site, check=lambda place: f"{place.stat().st_size} bytes do not start")
    assert ("FAILED", "SELF_CHECK_FAILED") == world.refused(world.document())


def test_a_url_that_has_run_out_is_told(world: World) -> None:
    """So that the job document can be asked for again."""
    world.server.behave = lambda handler, _: handler.send_error(403) is None
    outcome = world.install(world.document())
    assert ("FAILED", "DOWNLOAD_FAILED", True) == (outcome.status, outcome.details["reason"], outcome.stale_url)


def test_a_full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old release still counts."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_new", full)
    outcome = world.install(world.document())
    assert ("FAILED", "DISK") == (outcome.status, outcome.details["reason"])
    assert "1.0" == getattr(world.slots.installed("firmware"), "release", None)
    monkeypatch.undo()
    assert "SUCCEEDED" == world.install(world.document(world.manifest(expires=datetime(2100, 1, 1, tzinfo=UTC)))).status


def test_a_crash_at_any_rename_leaves_one_release(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one or the new one, whole; the same document again installs it, whatever was left."""
    for broken in range(1, 20):
        counted, rename, replaced = [0], Path.rename, Path.replace

        def crash(path: Path, target: Path, move: Any, counted: list[int] = counted, at: int = broken) -> Path:
            counted[0] += 1
            if counted[0] == at:
                raise KeyboardInterrupt
            return move(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", lambda path, target: crash(path, target, rename))
            patch.setattr(Path, "replace", lambda path, target: crash(path, target, replaced))
            release, content = f"{broken + 1}.0", b"%d" % broken
            before = world.slots.installed("firmware")
            world.server.content = content
            document = world.document(world.manifest(release, content))
            try:
                done = world.install(document).switched
            except KeyboardInterrupt:
                done = False
        there = world.slots.installed("firmware")
        assert there is not None
        assert there == before or there.release == release
        assert there.sha256 == hashlib.sha256(world.slots.content("firmware").read_bytes()).hexdigest()
        if done:
            assert broken > 3
            return
        assert "SUCCEEDED" == world.install(document).status
    raise AssertionError("it never came to an end")


def test_it_can_be_stopped_and_goes_on(world: World) -> None:
    """A device that is switched off while it downloads."""
    stop = threading.Event()
    world.server.behave = lambda handler, _: (
        (world.server.give(handler, 0, partial=False, cut=500), stop.set()) is not None
    )
    with pytest.raises(Interrupted):
        installer.install(world.document(), world.site, stop=stop)
    world.server.behave = lambda _handler, _number: False
    assert "SUCCEEDED" == world.install(world.document()).status
    assert "bytes=500-" == world.server.ranges[-1]


def test_keys_are_rotated_by_a_signed_trust_store(world: World) -> None:
    """What the old key signed makes the new key count; then the old one is revoked, and nothing of it counts."""
    new = SigningKey.create("ec-p256")
    both = Trust.read(world.site.trust_file).with_key(TrustedKey(new.key_id, new.public_pem))
    assert ("REJECTED", "UNKNOWN_KEY") == world.refused(world.document(key=new))
    world.server.content = both.document()
    rotation = world.manifest("1", both.document(), artifact="trust")
    assert "SUCCEEDED" == world.install(world.document(rotation)).status
    world.server.content = both.without(KEY.key_id).document()
    revocation = world.manifest("2", world.server.content, artifact="trust")
    assert "SUCCEEDED" == world.install(world.document(revocation, new)).status
    world.server.content = NEW
    assert ("REJECTED", "KEY_REVOKED") == world.refused(world.document())
    assert ("REJECTED", "KEY_REVOKED") == world.refused(world.document(rotation))
    assert "SUCCEEDED" == world.install(world.document(key=new)).status


@pytest.mark.parametrize("content", [b"{}", Trust().document()])
def test_a_trust_store_that_would_lock_the_device_out_is_not_installed(world: World, content: bytes) -> None:
    """Damaged, or without a key that counts."""
    world.server.content = content
    wanted = world.manifest("1", content, artifact="trust")
    assert ("FAILED", "SELF_CHECK_FAILED") == world.refused(world.document(wanted))
