"""Manifests: signed, and refused by a device for a reason that has a code. Each attack of TUF's list is a test."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl import manifest, text
from iotctl.errors import Usage
from iotctl.manifest import Manifest, Reason, Rejected, Self, Signed, Targets
from iotctl.pki.signing import KEY_TYPES, SigningKey
from iotctl.trust import Trust, TrustedKey

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DEVICE = Self("pump-7", "pump", ("oslo", "pumps"))
KEYS = {key_type: SigningKey.create(key_type) for key_type in KEY_TYPES}
KEY = KEYS["ed25519"]
FIRMWARE = Manifest(
    artifact="pump-firmware",
    release="1.4.0",
    size=7,
    sha256="ab" * 32,
    targets=Targets(thing_groups=("oslo",)),
    created=NOW,
    expires=NOW + timedelta(days=30),
)


def trusting(key: SigningKey = KEY, **more: Any) -> Trust:
    """A trust store with one key."""
    return Trust({key.key_id: TrustedKey(key.key_id, key.public_pem, **more)})


def judged(
    signed: Signed, trust: Trust | None = None, *, now: datetime = NOW, installed: Manifest | None = None
) -> Manifest | Reason:
    """What the device makes of it: the manifest, or its reason to refuse it."""
    there = {installed.artifact: installed} if installed else {}
    try:
        return manifest.verify(signed, trust or trusting(), DEVICE, installed=there.get, now=now)
    except Rejected as error:
        return error.reason


def signed(key: SigningKey = KEY, **changes: Any) -> Signed:
    """A manifest of the firmware, with some changes, signed."""
    return manifest.sign(replace(FIRMWARE, **changes), key)


def forged(change: dict[str, Any], key: SigningKey = KEY) -> Signed:
    """Any content, signed by the right key all the same: what a device must find malformed by itself."""
    content = text.canonical({**json.loads(signed(key).manifest), **change}).encode()
    return Signed(content, key.sign(content))


SIGNED = {key_type: signed(key) for key_type, key in KEYS.items()}


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_a_signed_manifest_comes_back(key_type: str) -> None:
    """M1: what was signed is what a device reads; the bytes are canonical."""
    key = KEYS[key_type]
    made = signed(key)
    assert FIRMWARE == judged(made, trusting(key))
    assert made.manifest == text.canonical(json.loads(made.manifest)).encode()
    assert made == Signed.from_json(json.loads(json.dumps(made.to_json())))


@pytest.mark.parametrize("key_type", KEY_TYPES)
@given(st.data())
def test_any_flipped_bit_is_found(key_type: str, data: st.DataObject) -> None:
    """M2: of the manifest or of the signature; it is never accepted."""
    key, made = KEYS[key_type], SIGNED[key_type]
    whole = bytearray(made.manifest + made.signature)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    cut = len(made.manifest)
    found = judged(Signed(bytes(whole[:cut]), bytes(whole[cut:])), trusting(key))
    assert found in {Reason.BAD_SIGNATURE, Reason.UNKNOWN_KEY, Reason.MALFORMED}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
            max_leaves=8,
        ),
    )
)
def test_canonical_bytes_are_read_and_written_as_they_are(value: dict[str, Any]) -> None:
    """M3: canonical(parse(canonical(x))) == canonical(x)."""
    once = text.canonical(value).encode()
    assert once == text.canonical(text.loads(once)).encode()


@given(
    st.integers(-50, 50), st.integers(0, 50), st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3)
)
def test_acceptance_is_monotone(days: int, earlier: int, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """M4: what is accepted at a time was accepted before it; what is accepted over a release is so over older ones."""
    lower, higher = sorted((".".join(map(str, one)), ".".join(map(str, other))), key=manifest.precedence)
    made, later = signed(release=higher), NOW + timedelta(days=days)
    over = replace(FIRMWARE, release=lower)
    if isinstance(judged(made, now=later), Manifest):
        assert isinstance(judged(made, now=later - timedelta(days=earlier)), Manifest)
        assert isinstance(judged(made, now=later, installed=over), Manifest)
    backwards = judged(signed(release=lower), installed=replace(FIRMWARE, release=higher))
    same = manifest.precedence(lower) == manifest.precedence(higher)
    assert same == isinstance(backwards, Manifest)


def test_arbitrary_installation_with_a_key_of_ones_own() -> None:
    """Signed by a key that the device does not know."""
    assert Reason.UNKNOWN_KEY == judged(signed(SigningKey.create()))


def test_arbitrary_installation_in_the_name_of_a_known_key() -> None:
    """It names a key that the device knows, and is signed by another."""
    made = signed()
    assert Reason.BAD_SIGNATURE == judged(Signed(made.manifest, SigningKey.create().sign(made.manifest)))
    assert Reason.BAD_SIGNATURE == judged(Signed(made.manifest, b""))


def test_a_revoked_and_an_outdated_key() -> None:
    """Neither counts any more, each for its own reason; until then the outdated one counted."""
    assert Reason.KEY_REVOKED == judged(signed(), trusting(revoked=True))
    ends = trusting(not_after=NOW)
    assert Reason.KEY_EXPIRED == judged(signed(), ends)
    assert FIRMWARE == judged(signed(), ends, now=NOW - timedelta(seconds=1))


def test_rollback() -> None:
    """An old manifest, rightly signed and not yet expired, when a newer release is installed."""
    newer = replace(FIRMWARE, release="1.10.0")
    assert Reason.ROLLBACK == judged(signed(), installed=newer)
    assert Reason.ROLLBACK == judged(signed(release="1.10.0-rc.1"), installed=newer)


def test_the_same_release_again() -> None:
    """It is no reason to refuse; with other content it is."""
    assert FIRMWARE == judged(signed(), installed=FIRMWARE)
    assert Reason.RELEASE_REUSED == judged(signed(sha256="cd" * 32), installed=FIRMWARE)
    assert Reason.RELEASE_REUSED == judged(signed(release="1.4.0+b", sha256="cd" * 32), installed=FIRMWARE)


def test_indefinite_freeze() -> None:
    """An old manifest is worth nothing from its expiry on, to the second."""
    assert FIRMWARE == judged(signed(), now=FIRMWARE.expires - timedelta(seconds=1))
    assert Reason.EXPIRED == judged(signed(), now=FIRMWARE.expires)


@pytest.mark.parametrize(
    ("targets", "fits"),
    [
        (Targets(thing_names=("pump-7",)), True),
        (Targets(thing_names=("pump-70", "pump-")), False),
        (Targets(thing_names=("pump-*",)), True),
        (Targets(thing_names=("*",)), True),
        (Targets(thing_types=("pump",)), True),
        (Targets(thing_types=("valve",)), False),
        (Targets(thing_groups=("bergen", "pumps")), True),
        (Targets(thing_groups=("bergen",)), False),
        (Targets(thing_names=("pump-7",), thing_groups=("bergen",)), False),
        (Targets(thing_types=("pump",), thing_groups=("oslo",)), True),
    ],
)
def test_wrong_target(targets: Targets, fits: bool) -> None:
    """Each list that is there must fit."""
    made = replace(FIRMWARE, targets=targets)
    assert (made if fits else Reason.WRONG_TARGET) == judged(signed(targets=targets))


def test_mix_and_match() -> None:
    """The signature of one release on the manifest of another, or on a changed digest."""
    one, other = signed(), signed(release="1.5.0")
    assert Reason.BAD_SIGNATURE == judged(Signed(other.manifest, one.signature))
    swapped = one.manifest.replace(b"ab" * 32, b"cd" * 32)
    assert Reason.BAD_SIGNATURE == judged(Signed(swapped, one.signature))


def test_an_update_of_a_release_that_is_not_there() -> None:
    """`least` must be installed before it."""
    made = signed(least="1.3.0")
    assert Reason.NEEDS_NEWER == judged(made)
    assert Reason.NEEDS_NEWER == judged(made, installed=replace(FIRMWARE, release="1.2.9"))
    assert isinstance(judged(made, installed=replace(FIRMWARE, release="1.3")), Manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"artifact": "../x"},
        {"artifact": ""},
        {"artifact": 7},
        {"release": "new"},
        {"release": 1},
        {"size": -1},
        {"size": 7.5},
        {"size": True},
        {"size": manifest.LARGEST_ARTIFACT + 1},
        {"sha256": "AB" * 32},
        {"targets": {}},
        {"targets": {"thingNames": []}},
        {"targets": {"thingNames": ["a/b"]}},
        {"targets": {"thingNames": [7]}},
        {"targets": {"thingTypes": ["*"]}},
        {"targets": {"things": ["a"]}},
        {"expires": "2026-6-1T00:00:00Z"},
        {"expires": "0001-01-01T00:00:00+14:00"},
        {"expires": 1_900_000_000},
        {"least": "x"},
        {"reports": "a..b"},
        {"reports": 0},
        {"keyId": "short"},
        {"keyId": None},
        {"unknown": 1},
    ],
)
def test_what_is_malformed(change: dict[str, Any]) -> None:
    """Whoever signed it."""
    assert Reason.MALFORMED == judged(forged(change))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"null", b'{"v":1}', b"\xff", b" " + signed().manifest, signed().manifest * 60]
)
def test_what_is_no_manifest(content: bytes) -> None:
    """Not canonical JSON of an object with all its members, or too much of it."""
    assert Reason.MALFORMED == judged(Signed(content, KEY.sign(content)))


@pytest.mark.parametrize(
    "document", [{}, {"manifest": "e30="}, {"manifest": "*", "signature": ""}, {"manifest": 1, "signature": 2}]
)
def test_a_job_document_without_them(document: dict[str, Any]) -> None:
    """Manifest and signature must be there, in Base64."""
    with pytest.raises(Rejected) as found:
        Signed.from_json(document)
    assert Reason.MALFORMED == found.value.reason


def test_what_a_device_would_find_malformed_is_not_signed() -> None:
    """The operator is told before anything is sent."""
    with pytest.raises(Usage, match="release"):
        signed(release="latest")


def test_refusals_are_those_that_no_retry_mends() -> None:
    """A download may be tried again, a bad signature need not."""
    assert Reason.BAD_SIGNATURE.is_refusal
    assert not Reason.DIGEST_MISMATCH.is_refusal
    assert len(Reason) == len({reason.value for reason in Reason})
