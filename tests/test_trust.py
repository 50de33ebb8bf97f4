"""Trust stores and signing keys, on disk."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iotctl import trust
from iotctl.errors import Conflict, Integrity, NotFound, Usage
from iotctl.pki import Authority, signing
from iotctl.pki.signing import KEY_TYPES
from iotctl.trust import Trust


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("passphrase", [b"", b"correct horse"])
def test_a_new_key_signs_and_its_public_half_verifies(tmp_path: Path, key_type: str, passphrase: bytes) -> None:
    """The file is private, is never replaced, and needs its passphrase."""
    place, phrase = tmp_path / "key.pem", tmp_path / "phrase"
    phrase.write_bytes(passphrase + b"\r\n")  # as Windows ends lines
    public = trust.keygen(place, key_type=key_type, passphrase=passphrase)
    key = trust.signing_key(place, phrase if passphrase else None)
    assert 0o600 == stat.S_IMODE(place.stat().st_mode)
    assert (public.key_id, public.public_pem) == (key.key_id, key.public_pem)
    assert signing.is_signed(public.public_pem, key.sign(b"data"), b"data")
    assert not signing.is_signed(public.public_pem, key.sign(b"data"), b"other")
    with pytest.raises(Conflict):
        trust.keygen(place)
    phrase.write_bytes(b"another")
    with pytest.raises(Usage):
        trust.signing_key(place, phrase)


def test_a_key_of_another_kind_is_not_used(tmp_path: Path) -> None:
    """P-384 is none of the two that devices verify with."""
    place = tmp_path / "other.pem"
    place.write_bytes(Authority.create("a CA", key_type="ec-p384").key_pem())
    place.chmod(0o600)
    with pytest.raises(Usage, match="of a kind"):
        trust.signing_key(place)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    """It may be anybody's by now."""
    place = tmp_path / "key.pem"
    trust.keygen(place)
    place.chmod(0o640)
    with pytest.raises(Usage, match="others may read"):
        trust.signing_key(place)


def test_there_and_back(tmp_path: Path) -> None:
    """Keys are added, revoked, written and read."""
    one, two = trust.keygen(tmp_path / "one"), trust.keygen(tmp_path / "two")
    until = datetime(2027, 1, 31, tzinfo=UTC)
    store = Trust().with_key(one).with_key(trust.TrustedKey(two.key_id, two.public_pem, until)).without(one.key_id)
    place = tmp_path / trust.FILE
    store.write(place)
    assert store == Trust.read(place)
    assert (True, until) == (store.keys[one.key_id].revoked, store.keys[two.key_id].not_after)
    with pytest.raises(NotFound):
        store.without("0" * 16)
    with pytest.raises(NotFound):
        Trust.read(tmp_path / "none")


@pytest.mark.parametrize("change", [{"keyId": "0" * 16}, {"publicKey": "x"}, {"revoked": "no"}, {"notAfter": "soon"}])
def test_a_damaged_store_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """All of it: a device with half a trust store believes nothing."""
    key = trust.keygen(tmp_path / "one")
    place = tmp_path / trust.FILE
    place.write_text(json.dumps({"version": 1, "keys": [{**key.to_json(), **change}]}))
    with pytest.raises(Integrity):
        Trust.read(place)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version":2,"keys":[]}', b" " * (trust.LARGEST + 1)])
def test_what_is_no_store(content: bytes) -> None:
    """Another format, another version, too much."""
    with pytest.raises(Integrity):
        Trust.parse(content)
