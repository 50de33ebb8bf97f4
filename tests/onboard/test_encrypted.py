"""Keys that are encrypted: on disk in no other form, and the passphrase nowhere."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from iotctl import bundle, passphrase
from iotctl.errors import Usage
from iotctl.local.devices import fleet, session
from iotctl.pki import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.local.devices.session import Identity
    from iotctl.target import Platform
    from tests.conftest import Ran

SECRET = "correct horse battery staple"


def test_a_fleet_with_encrypted_keys(
    platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, resumed, looked at and connected with the passphrase; without it, it is said what is missing."""
    name = f"sealed-{uuid.uuid4().hex[:8]}"
    (tmp_path / "fleet.csv").write_text(f"thing_name\n{name}\n")
    (tmp_path / "words").write_text(f"{SECRET}\r\nsecond line\n")
    monkeypatch.chdir(tmp_path)
    words = ("onboard", "apply", "fleet.csv", "-y", "--encrypt-keys-to")
    made, again = iotctl(*words, "words"), iotctl(*words, "-", stdin=f"{SECRET}\n")
    plain = iotctl("onboard", "apply", "fleet.csv", "-y", "-o", "json")
    wrong = iotctl(*words, "-", "-o", "json", stdin="another\n")
    assert (0, 0, 3, 3) == (made.code, again.code, plain.code, wrong.code), made.stderr

    path = tmp_path / "fleet-fleet" / "devices" / name / bundle.KEY
    command = ["openssl", "pkey", "-in", path, "-passin", "stdin", "-noout"]
    opened = subprocess.run(command, input=f"{SECRET}\n".encode(), capture_output=True, check=False)
    assert (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", 0) == (path.read_bytes().splitlines()[0], opened.returncode)
    assert all(
        SECRET.encode() not in one.read_bytes() for one in (tmp_path / "fleet-fleet").rglob("*") if one.is_file()
    )
    for ran in (plain, wrong):
        (error,) = ran.envelope["errors"]
        assert ("Passphrase", True) == (error["code"], "--encrypt-keys-to FILE" in error["hint"])

    run_id = made.stderr.partition("(run ")[2].partition(")")[0]
    assert "--passphrase-file FILE" in iotctl("onboard", "status", run_id).stderr
    healthy = iotctl("onboard", "doctor", name, "--passphrase-file", "words", "-o", "json")
    checks = {row["check"]: row for row in healthy.envelope["data"]["checks"]}
    assert (0, "ok", "ok") == (healthy.code, checks["key"]["state"], checks["connection"]["state"])
    sealed = iotctl("onboard", "doctor", name, "-o", "json")
    checks = {row["check"]: row for row in sealed.envelope["data"]["checks"]}
    assert (3, "unknown", "skipped") == (sealed.code, checks["key"]["state"], checks["connection"]["state"])
    assert "--passphrase-file" in checks["key"]["fix"]

    played = iotctl("local", "devices", "--passphrase-file", "words", "--for", "1s")
    (member,) = fleet.members(None, None, None, SECRET.encode())
    assert "1 of 1 connected" in played.stdout
    asyncio.run(_connects(member.identity))  # as they do where there are many of them
    for given, said in (([], "is encrypted"), (["--passphrase-file", "fleet.csv"], "does not open")):
        ran = iotctl("local", "devices", *given)
        assert (2, True) == (ran.code, said in ran.stderr)


async def _connects(identity: Identity) -> None:
    connected = await session.connect(identity, (), lambda *_: None)
    connected.disconnect()
    await connected.closed


def test_a_bundle_is_never_changed(tmp_path: Path) -> None:
    """A key that is there and plain is not encrypted afterwards: it is a conflict, which says what to do."""
    params = {
        "directory": str(tmp_path),
        "thingName": "a",
        "keyType": "ec-p256",
        "days": 30,
        "rootCa": "",
        "certificateArn": "",
        "config": {"accountId": "1", "region": "r"},
    }
    (made,) = bundle.Publisher()([params])
    (refused,) = bundle.Publisher(b"x")([{**params, "encrypted": True}])
    assert isinstance(made, dict)
    assert "PlainKey" == getattr(refused, "code", "")


def test_a_passphrase(tmp_path: Path) -> None:
    """The first line of a file, with any line end; an empty one, and one that OpenSSL does not take, are refused."""
    path = tmp_path / "words"
    for content in (b"a b\n", b"a b\r\n", b"a b", b"a b\nmore"):
        path.write_bytes(content)
        assert b"a b" == passphrase.read(str(path))
    for content in (b"", b"\nx\n", b"x" * 1024):
        path.write_bytes(content)
        with pytest.raises(Usage):
            passphrase.read(str(path))


def test_the_older_form_is_known() -> None:
    """What `openssl genrsa -aes128 -traditional` writes is encrypted too."""
    assert keys.is_encrypted(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n")
