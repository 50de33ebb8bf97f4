"""A CA that the operator brings, in place of the one that is made: judged, used, and its key left where it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from iotctl import fleet_ca, pki
from iotctl.errors import Conflict, Usage
from iotctl.onboard import authority
from tests.conftest import Ran

NAMES = ("ca.pem", "ca.key")
SECRET = b"open sesame"


def made(where: Path, **changes: Any) -> None:
    """A CA as a company has one: its subject key identifier is no hash of the key, it has a password if asked for."""
    key: Any = changes.get("key") or ec.generate_private_key(ec.SECP384R1())
    issuer, now = changes.get("issuer"), datetime.now(UTC)
    start, end = changes.get("days", (-1, 30))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, changes.get("name", "Acme devices"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=end))
        .add_extension(x509.SubjectKeyIdentifier(b"not a hash"), critical=False)
        .add_extension(x509.BasicConstraints(ca=changes.get("ca", True), path_length=None), critical=True)
    )
    if (usage := changes.get("usage")) is not None:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, usage, usage, False, False), critical=True
        )
    signer = key if issuer is None else issuer[0]
    certificate = builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    secret = changes.get("secret", b"")
    hidden = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    pem, keep = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (where / NAMES[0]).write_bytes(certificate.public_bytes(pem))
    (where / NAMES[1]).write_bytes(key.private_bytes(pem, keep, hidden))
    (where / NAMES[1]).chmod(changes.get("mode", 0o600))


def given(where: Path, secret: str = "") -> pki.Authority | None:
    """What the options make of the files."""
    certificate, key = (str(where / name) for name in NAMES)
    return authority.given(certificate, key, secret, where / "out")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ca": False}, "CA:TRUE"),
        ({"usage": False}, "keyCertSign"),
        ({"days": (-9, -1)}, "it ended"),
        ({"days": (1, 9)}, "it is valid from"),
        ({"mode": 0o644}, "others may read"),
        ({"secret": SECRET}, "encrypted"),
        ({"key": ed25519.Ed25519PrivateKey.generate()}, "RSA"),
    ],
)
def test_a_ca_that_may_not_sign(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """It says why, before anything is made."""
    made(tmp_path, **changes)
    with pytest.raises(Usage) as caught:
        given(tmp_path)
    assert told in caught.value.message, caught.value.message


def test_files_that_are_no_ca(tmp_path: Path) -> None:
    """Missing, half of them, no PEM, of two CAs: told; the passphrase of a key opens it, another one does not."""
    with pytest.raises(Usage, match="cannot be read: No such file"):
        given(tmp_path)
    for names in (("ca.pem", ""), ("", "ca.key")):
        with pytest.raises(Usage, match="a certificate and a key"):
            authority.given(*names, "", tmp_path)
    with pytest.raises(Usage, match="that you bring"):
        authority.given("", "", "secret", tmp_path)
    made(tmp_path, usage=True, secret=SECRET)
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    assert given(tmp_path, str(tmp_path / "secret"))
    (tmp_path / "secret").write_bytes(b"wrong\n")
    with pytest.raises(Usage, match="does not open"):
        given(tmp_path, str(tmp_path / "secret"))
    certificate = (tmp_path / NAMES[0]).read_bytes()
    made(tmp_path)
    for content, told in ((certificate, "not the key of its certificate"), (b"\x30\x82", "damaged")):
        (tmp_path / NAMES[0]).write_bytes(content)
        with pytest.raises(Usage, match=told):
            given(tmp_path)


def test_a_fleet_of_a_ca_of_ones_own(platform: object, iotctl: Callable[..., Ran], tmp_path: Path) -> None:
    """Signed by an intermediate CA, as OpenSSL checks it; its key stays where it is, and is needed again; no other."""
    del platform
    root = ec.generate_private_key(ec.SECP256R1())
    made(tmp_path, key=root, name="Acme root", usage=True)
    (tmp_path / "root.pem").write_bytes((tmp_path / NAMES[0]).read_bytes())
    made(tmp_path, usage=True, issuer=(root, x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes())))
    (tmp_path / "fleet.csv").write_text(f"thing_name\nown-{tmp_path.parent.name}-{tmp_path.name}\n")
    out, key = tmp_path / "out", tmp_path / NAMES[1]
    words = ("onboard", "apply", str(tmp_path / "fleet.csv"), "--bundles", str(out), "--yes", "-o", "json")
    brought = ("--ca-cert", str(tmp_path / NAMES[0]), "--ca-key-file", str(key))
    ran = iotctl(*words, *brought)
    assert (0, 1) == (ran.code, ran.envelope["data"]["done"]), ran.stderr
    assert ["fleet-ca.pem.crt"] == [path.name for path in (out / "ca").iterdir()]
    (place,) = (out / "devices").iterdir()
    trusted = ["-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / NAMES[0], "-purpose", "sslclient"]
    leaf = place / "certificate.pem.crt"
    checked = subprocess.run(["openssl", "verify", *trusted, leaf], capture_output=True, text=True, check=False)
    assert f"{leaf}: OK\n" == checked.stdout, checked.stderr
    secret = key.read_text().splitlines()[1]
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path != key and secret in path.read_text("latin1")
    ]
    without = iotctl(*words)
    assert (2, True) == (without.code, "--ca-key-file" in without.envelope["errors"][0]["hint"])
    assert (0, 1) == ((again := iotctl(*words, *brought)).code, again.envelope["data"]["done"])
    made(tmp_path)
    other = iotctl(*words, *brought)
    assert (6, True) == (other.code, "another one" in other.envelope["errors"][0]["message"])
    assert 0 == iotctl("onboard", "undo", ran.envelope["data"]["runId"], "--bundles", str(out), "--yes").code
    assert json.loads((next((out / "revoked").iterdir()) / "config.json").read_bytes())["certificateId"]


def test_the_ca_of_a_directory_stays_its_own(tmp_path: Path) -> None:
    """A directory whose fleet CA was made takes no other one; with the same one it goes on."""
    (tmp_path / "out").mkdir(0o700)
    fleet_ca.load(tmp_path / "out")
    made(tmp_path)
    with pytest.raises(Conflict, match="another one than --ca-cert"):
        given(tmp_path)
    for theirs, ours in zip(NAMES, (fleet_ca.CERTIFICATE, fleet_ca.KEY), strict=True):
        (tmp_path / theirs).write_bytes((tmp_path / "out" / "ca" / ours).read_bytes())
    assert given(tmp_path)
