"""Keys, certificates, CSRs and CAs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iotctl import clock, pki
from iotctl.errors import Integrity, Usage
from iotctl.pki import certificates as certs

if TYPE_CHECKING:
    from pathlib import Path

_PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    """One CA for the file."""
    return pki.Authority.create("fleet CA")


def _csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, name: str = "own") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm).public_bytes(_PEM).decode()
    )


def test_a_device_certificate_is_for_client_authentication_only(authority: pki.Authority) -> None:
    """A leaf: no CA, signs data, authenticates clients, valid from five minutes ago, known by the hash of its DER."""
    issued = authority.issue("pump-7", days=30)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert [ExtendedKeyUsageOID.CLIENT_AUTH] == list(usage)
    assert (True, False) == (constraints.critical, constraints.value.ca)
    assert hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest() == issued.certificate_id
    assert timedelta(days=30) == certificate.not_valid_after_utc - certificate.not_valid_before_utc
    age = clock.now() - certificate.not_valid_before_utc
    assert timedelta(minutes=5) <= age < timedelta(minutes=6)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem.encode()))
    assert certs.key_matches(issued.private_key_pem, issued.certificate_pem.encode())
    assert "PRIVATE" not in repr(issued)


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_openssl_accepts_what_is_issued(authority: pki.Authority, tmp_path: Path, key_type: str) -> None:
    """The chain verifies as a TLS client's with OpenSSL's own command."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    issued = authority.issue("pump-7", key_type=key_type)
    (tmp_path / "ca").write_text(authority.certificate_pem)
    (tmp_path / "leaf").write_text(issued.certificate_pem)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca", "leaf"]
    assert "leaf: OK\n" == subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("length", [1, 64, 65, 128])
def test_a_long_thing_name_still_has_a_common_name_of_its_own(authority: pki.Authority, length: int) -> None:
    """X.509 allows 64 characters: a longer name is its head and a hash of all of it, different for different names."""
    one, other = (certs.read(authority.issue("x" * (length - 1) + last).certificate_pem).common_name for last in "ab")
    assert one != other
    assert min(length, 64) == len(one)


def test_a_certificate_ends_with_its_ca() -> None:
    """A leaf that outlives its CA would be refused before its own end."""
    authority = pki.Authority.create("short", days=2)
    assert certs.read(authority.certificate_pem).not_after == certs.read(authority.issue("x").certificate_pem).not_after


def test_a_server_certificate_names_its_hosts(authority: pki.Authority) -> None:
    """DNS names and IP addresses, for server authentication."""
    issued = authority.issue_server("local", dns=("localhost",), addresses=("127.0.0.1", "::1"), days=1)
    extensions = x509.load_pem_x509_certificate(issued.certificate_pem.encode()).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ["localhost"] == names.get_values_for_type(x509.DNSName)
    assert ["127.0.0.1", "::1"] == [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert [ExtendedKeyUsageOID.SERVER_AUTH] == list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


@pytest.mark.parametrize(("given", "expected"), [("pump-7", "pump-7"), ("", "own")])
def test_a_csr_keeps_its_key_where_it_is(authority: pki.Authority, given: str, expected: str) -> None:
    """The certificate is for the CSR's key, under the name asked for or its own; there is no key to store."""
    csr = _csr(ec.generate_private_key(ec.SECP384R1()))
    issued = authority.sign(csr, common_name=given)
    assert (b"", expected) == (issued.private_key_pem, certs.read(issued.certificate_pem).common_name)
    assert pki.csr_matches(csr, issued.certificate_pem)
    assert not pki.csr_matches(_csr(ec.generate_private_key(ec.SECP256R1())), issued.certificate_pem)


def _forged() -> str:
    """A CSR whose signature is another CSR's."""
    one, other = (x509.load_pem_x509_csr(_csr(ec.generate_private_key(ec.SECP256R1())).encode()) for _ in range(2))
    der = one.public_bytes(serialization.Encoding.DER)
    changed = der[: -len(one.signature)] + other.signature
    import base64

    body = base64.encodebytes(changed).decode() if len(one.signature) == len(other.signature) else ""
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    "csr",
    [
        pytest.param(lambda: "nonsense", id="no PEM"),
        pytest.param(
            lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", id="damaged"
        ),
        pytest.param(lambda: _csr(ed25519.Ed25519PrivateKey.generate()), id="ed25519"),
        pytest.param(lambda: _csr(ec.generate_private_key(ec.SECP256K1())), id="secp256k1"),
        pytest.param(lambda: _csr(rsa.generate_private_key(65537, 1024)), id="rsa-1024"),
        pytest.param(_forged, id="signed by another key"),
    ],
)
def test_a_csr_that_aws_would_refuse_is_refused(authority: pki.Authority, csr: object) -> None:
    """Before anything is called, with the reason."""
    pem = csr()  # type: ignore[operator]
    with pytest.raises(Usage):
        pki.check_csr(pem)
    with pytest.raises(Usage):
        authority.sign(pem)


def test_key_matches_is_false_for_anything_else(authority: pki.Authority) -> None:
    """Another key, damage on either side, an encrypted key."""
    one, other = authority.issue("a"), authority.issue("b")
    key = serialization.load_pem_private_key(one.private_key_pem, None)
    locked = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    certificate = one.certificate_pem.encode()
    pairs = [
        (other.private_key_pem, certificate),
        (b"", certificate),
        (one.private_key_pem, b"x"),
        (locked, certificate),
    ]
    assert [False] * 4 == [certs.key_matches(*pair) for pair in pairs]


def test_a_stored_ca_is_the_same_ca(authority: pki.Authority) -> None:
    """It signs on, and refuses a key that is not its certificate's."""
    again = pki.Authority.load(authority.key_pem(), authority.certificate_pem.encode())
    assert authority.certificate_pem == again.certificate_pem
    foreign = pki.Authority.create("other")
    for key, certificate in (
        (foreign.key_pem(), authority.certificate_pem.encode()),
        (b"damaged", authority.certificate_pem.encode()),
        (authority.key_pem(), b"damaged"),
    ):
        with pytest.raises(Integrity):
            pki.Authority.load(key, certificate)


def test_what_a_certificate_says(authority: pki.Authority) -> None:
    """Read back from PEM."""
    issued = authority.issue("pump-7")
    found = certs.read(issued.certificate_pem)
    assert (issued.certificate_id, "CN=pump-7", "CN=fleet CA", "ec-secp256r1", False) == (
        found.certificate_id,
        found.subject,
        found.issuer,
        found.key,
        found.is_ca,
    )
    assert certs.read(authority.certificate_pem).is_ca
    with pytest.raises(Usage):
        certs.read("nonsense")
    with pytest.raises(Usage, match="unknown key type"):
        pki.new_key("dsa")
