"""What one device receives: on disk, durable, private, never changed."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from iotctl import bundle, files, fleet_ca
from iotctl.errors import Conflict, Error, Integrity, Local, Usage
from iotctl.pki import certificates as certs

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = st.from_regex(r"[a-zA-Z0-9:_-]{1,128}", fullmatch=True)


def _params(directory: Path, thing_name: str, **changes: Any) -> dict[str, Any]:
    return {
        "directory": str(directory),
        "thingName": thing_name,
        "csr": None,
        "keyType": "ec-p256",
        "days": 30,
        "rootCa": bundle.amazon_root_ca(),
        "certificateArn": "arn:aws:iot:us-east-1:123456789012:cert/",
        "config": {"accountId": "123456789012", "region": "us-east-1", "kind": "aws", "endpoint": "e"},
        **changes,
    }


def _publish(directory: Path, *thing_names: str, **changes: Any) -> list[dict[str, Any] | Error]:
    return bundle.Publisher()([_params(directory, name, **changes) for name in thing_names])


def _content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_a_bundle_is_whole_and_private(tmp_path: Path, umask: int) -> None:
    """The files and the exact modes that AWS IoT Device Client insists on, under any umask."""
    before = os.umask(umask)
    try:
        (answer,) = _publish(tmp_path, "pump:7")
    finally:
        os.umask(before)
    assert isinstance(answer, dict)
    modes = {
        str(path.relative_to(tmp_path)): f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in tmp_path.rglob("*")
    }
    assert {
        ".staging": "0700",
        "ca": "0700",
        "ca/fleet-ca.pem.key": "0600",
        "ca/fleet-ca.pem.crt": "0644",
        "devices": "0700",
        "devices/pump%3A7": "0700",
        "devices/pump%3A7/private.pem.key": "0600",
        "devices/pump%3A7/certificate.pem.crt": "0644",
        "devices/pump%3A7/AmazonRootCA1.pem": "0644",
        "devices/pump%3A7/config.json": "0640",
    } == modes
    found = bundle.load(tmp_path / "devices" / "pump%3A7")
    assert ("pump:7", answer["certificateId"], answer["certificatePem"]) == (
        found.config["thingName"],
        found.certificate_id,
        found.certificate_pem,
    )
    assert answer["certificateArn"].endswith(f":cert/{found.certificate_id}")
    assert "pump:7" == certs.read(found.certificate_pem).common_name


def test_a_bundle_is_never_changed(tmp_path: Path) -> None:
    """Publishing again, with more things, gives the same certificates and touches no byte of what is there."""
    first = _publish(tmp_path, "a", "b")
    before = _content(tmp_path)
    again = _publish(tmp_path, "c", "b", "a")
    assert first == [again[2], again[1]]
    after = _content(tmp_path)
    assert before == {name: after[name] for name in before}


def test_a_batch_is_durable_before_it_has_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is written, one sync makes them all durable, then the renames, then the directory of their names."""
    publisher = bundle.Publisher()
    publisher([_params(tmp_path, "first")])
    told: list[str] = []

    def traced(owner: object, name: str, word: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            told.append(word)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    traced(os, "write", "write")
    traced(files, "sync_file_system", "syncfs")
    traced(Path, "rename", "rename")
    traced(os, "fsync", "fsync directory")
    publisher([_params(tmp_path, name) for name in ("a", "b", "c")])
    assert [*["write"] * 12, "syncfs", *["rename"] * 3, "fsync directory"] == told


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda place: (place / bundle.KEY).unlink(), id="no key"),
        pytest.param(lambda place: (place / bundle.KEY).write_bytes(b"x"), id="damaged key"),
        pytest.param(lambda place: (place / bundle.CERTIFICATE).unlink(), id="no certificate"),
        pytest.param(lambda place: (place / bundle.CERTIFICATE).write_bytes(b"x"), id="damaged certificate"),
        pytest.param(lambda place: (place / bundle.CONFIG).unlink(), id="no config"),
        pytest.param(lambda place: (place / bundle.CONFIG).write_bytes(b"{"), id="damaged config"),
        pytest.param(lambda place: (place / bundle.CONFIG).write_bytes(b"[]"), id="config of another kind"),
        pytest.param(lambda place: _edit(place, certificateId="0" * 64), id="another certificate id"),
        pytest.param(lambda place: _swap(place, bundle.KEY), id="another key"),
        pytest.param(lambda place: _swap(place, bundle.CERTIFICATE), id="another certificate"),
    ],
)
def test_a_damaged_bundle_is_an_integrity_error_of_its_thing(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It is neither mended nor replaced, and the other things of the batch go on."""
    _publish(tmp_path, "a", "b")
    place = tmp_path / "devices" / "a"
    damage(place)
    before = _content(place)
    bad, good = _publish(tmp_path, "a", "b")
    assert isinstance(bad, Integrity)
    assert isinstance(good, dict)
    assert before == _content(place)


def _edit(place: Path, **changes: object) -> None:
    path = place / bundle.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _swap(place: Path, name: str) -> None:
    (place / name).write_bytes((place.parent / "b" / name).read_bytes())


def _csr() -> str:
    subject = x509.Name([])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_a_foreign_bundle_is_a_conflict(tmp_path: Path) -> None:
    """Of another thing (a file system that ignores case), of another account or region, of another key."""
    _publish(tmp_path, "a")
    place = tmp_path / "devices" / "a"
    other = {"accountId": "999999999999", "region": "us-east-1"}
    elsewhere = {"accountId": "123456789012", "region": "eu-west-1"}
    answers = [
        *_publish(tmp_path, "a", config=other),
        *_publish(tmp_path, "a", config=elsewhere),
        *_publish(tmp_path, "a", csr=_csr()),
    ]
    _edit(place, thingName="A")
    answers += _publish(tmp_path, "a")
    assert [Conflict] * 4 == [type(answer) for answer in answers]


def test_a_csr_has_no_key_here(tmp_path: Path) -> None:
    """The bundle is for the key of the CSR, which stays where it is; the same CSR finds it again."""
    csr = _csr()
    (answer,) = _publish(tmp_path, "a", csr=csr)
    place = tmp_path / "devices" / "a"
    assert {"certificate.pem.crt", "AmazonRootCA1.pem", "config.json"} == {path.name for path in place.iterdir()}
    assert [answer] == _publish(tmp_path, "a", csr=csr)
    (refused,) = _publish(tmp_path, "b", csr="nonsense")
    assert isinstance(refused, Usage)
    assert not (tmp_path / "devices" / "b").exists()


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    """Staged files were never registered, so the next start removes them."""
    left = tmp_path / ".staging" / "a"
    left.mkdir(parents=True)
    (left / bundle.KEY).write_text("half")
    (answer,) = _publish(tmp_path, "a")
    assert isinstance(answer, dict)
    assert [] == list((tmp_path / ".staging").iterdir())


def test_a_full_disk_publishes_nothing_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends with what to do, and after space was made the same batch goes through."""
    write = files.write_new

    def full(path: Path | str, data: bytes, mode: int = 0o600) -> None:
        if Path(path).parent.name == "b":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data, mode)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_new", full)
        with pytest.raises(Local, match="No space left"):
            _publish(tmp_path, "a", "b")
    assert [] == list((tmp_path / "devices").iterdir())
    assert [dict, dict] == [type(answer) for answer in _publish(tmp_path, "a", "b")]


def test_a_bundle_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename onto a directory that holds something fails: that is the guarantee, and the run ends."""
    sync = files.sync_file_system
    theirs = tmp_path / "devices" / "a" / "theirs"

    def sync_late(path: Path) -> None:
        sync(path)
        if (tmp_path / "devices").exists() and (tmp_path / "ca").exists():
            theirs.parent.mkdir()
            theirs.write_text("kept")

    monkeypatch.setattr(files, "sync_file_system", sync_late)
    with pytest.raises(Local, match="appeared while this run"):
        _publish(tmp_path, "a")
    assert "kept" == theirs.read_text()


@pytest.mark.parametrize("damaged", [fleet_ca.KEY, fleet_ca.CERTIFICATE])
@pytest.mark.parametrize("how", ["removed", "overwritten"])
def test_a_damaged_fleet_ca_is_not_made_anew(tmp_path: Path, damaged: str, how: str) -> None:
    """Devices trust it: it is made once, and its loss is told."""
    made = bundle.Publisher()
    made([_params(tmp_path, "a")])
    path = tmp_path / "ca" / damaged
    path.unlink() if how == "removed" else path.write_bytes(b"x")
    with pytest.raises(Integrity):
        _publish(tmp_path, "b")


@given(_NAMES)
def test_a_directory_name_stays_inside_and_tells_the_thing(name: str) -> None:
    """A direct child of the bundles directory, no name that Windows keeps for itself, and reversible where not cut."""
    directory = bundle.directory_name(name)
    assert Path("out") == (Path("out") / directory).parent
    assert directory not in {"", ".", ".."}
    assert 255 >= len(directory.encode())
    assert ":" not in directory
    if len(name.replace(":", "%3A")) <= 200:
        assert name == directory.replace("%3A", ":").removesuffix("%")


@given(st.sets(_NAMES | st.sampled_from(["a:b", "a3Ab", "con", "CON", ":" * 127 + "a", ":" * 127 + "b"])))
def test_different_things_have_different_directories(names: set[str]) -> None:
    """No two bundles share a place."""
    assert len(names) == len({bundle.directory_name(name) for name in names})


@pytest.mark.parametrize(
    ("name", "directory"),
    [("CON", "CON%"), ("lpt1", "lpt1%"), ("a:b", "a%3Ab"), ("-rf", "-rf"), ("console", "console")],
)
def test_odd_names_are_safe_directories(name: str, directory: str) -> None:
    """Legal in AWS, awkward on a disk."""
    assert directory == bundle.directory_name(name)
