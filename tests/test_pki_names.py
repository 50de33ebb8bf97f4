"""What a certificate calls its subject and issuer, as policies ask for it."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iotctl import errors
from iotctl.pki import certificates as certs


def certificate(subject: x509.Name, issuer: x509.Name, *alternatives: x509.GeneralName) -> str:
    """A certificate with these names (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    later = now + datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), now, later)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_attributes_have_aws_names() -> None:
    """Each attribute that the developer guide lists, the values of one in the order of the certificate."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Works"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
            x509.NameAttribute(NameOID.COMMON_NAME, "pump"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "17"),
        ]
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA"), x509.NameAttribute(NameOID.TITLE, "root")])
    found = certs.names(certificate(subject, issuer))
    expected = {
        "Country": ("DE",),
        "Organization": ("Works",),
        "OrganizationalUnit": ("one", "two"),
        "CommonName": ("pump",),
        "SerialNumber": ("17",),
    }
    assert (expected, {"CommonName": ("CA",), "Title": ("root",)}) == (found.subject, found.issuer)


def test_alternative_names_are_among_them() -> None:
    """DNS names, addresses and the rest, each under its own name."""
    plain = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pump")])
    alternatives = (
        x509.DNSName("a.example"),
        x509.DNSName("b.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.RFC822Name("pump@example.com"),
        x509.UniformResourceIdentifier("urn:pump"),
        x509.DirectoryName(plain),
    )
    found = certs.names(certificate(plain, plain, *alternatives)).subject
    expected = {
        "CommonName": ("pump",),
        "AlternativeName.RFC822Name": ("pump@example.com",),
        "AlternativeName.DNSName": ("a.example", "b.example"),
        "AlternativeName.DirectoryName": ("CN=pump",),
        "AlternativeName.UniformResourceIdentifier": ("urn:pump",),
        "AlternativeName.IPAddress": ("192.0.2.1",),
    }
    assert expected == found


def test_what_is_no_certificate_is_refused() -> None:
    """Text that is not PEM has no names."""
    with pytest.raises(errors.Usage):
        certs.names("nothing")
