"""Keys that sign releases: made once, private, believed by who has the trust store."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotctl.errors import Integrity, Usage
from iotctl.ota import keys
from iotctl.trust import Trust, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ran


def test_a_key_is_made_and_believed(iotctl: Callable[..., Ran], tmp_path: Path) -> None:
    """The private half is the owner's alone, the public half is in the trust store beside it."""
    out = tmp_path / "signing.pem"
    ran = iotctl("ota", "keygen", "--out", str(out), "-o", "json")
    assert (0, 0o600) == (ran.code, stat.S_IMODE(out.stat().st_mode))
    key = signing_key(out)
    believed = Trust.read(tmp_path / "trusted_keys.json").keys
    assert {key.key_id: key.public_pem} == {name: one.public_pem for name, one in believed.items()}
    assert key.key_id == ran.envelope["data"]["keyId"]


def test_a_second_key_joins_the_first(iotctl: Callable[..., Ran], tmp_path: Path) -> None:
    """Rotation begins with both in the trust store; a key itself is never replaced."""
    for name in ("one.pem", "two.pem"):
        assert 0 == iotctl("ota", "keygen", "--out", str(tmp_path / name), "--type", "ec-p256").code
    assert 2 == len(Trust.read(tmp_path / "trusted_keys.json").keys)
    assert 6 == iotctl("ota", "keygen", "--out", str(tmp_path / "one.pem")).code


def test_a_key_may_have_a_passphrase(iotctl: Callable[..., Ran], tmp_path: Path) -> None:
    """It comes from a file, and without it the key is of no use."""
    secret = tmp_path / "passphrase"
    secret.write_text("open sesame\n")
    out = tmp_path / "signing.pem"
    assert 0 == iotctl("ota", "keygen", "--out", str(out), "--passphrase-file", str(secret)).code
    assert 16 == len(signing_key(out, secret).key_id)
    with pytest.raises(Usage, match="encrypted"):
        signing_key(out)


def test_no_key_is_made_that_nobody_would_believe(tmp_path: Path) -> None:
    """With a damaged trust store nothing is written."""
    (tmp_path / "trusted_keys.json").write_text("{")
    with pytest.raises(Integrity):
        keys.make(tmp_path / "signing.pem", tmp_path / "trusted_keys.json", "ed25519", b"")
    assert not (tmp_path / "signing.pem").exists()
