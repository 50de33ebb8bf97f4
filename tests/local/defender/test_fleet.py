"""What an audit looks at: certificates in batches, and revocation lists that are there or missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from iotctl import clock, pki
from iotctl.local.services.defender import fleet, history
from iotctl.pki import certificates as certs
from iotctl.pki.distribution import revocation_list_urls

if TYPE_CHECKING:
    from tests.local.defender.conftest import World

REVOKED = "REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK"
REVOKED_CA = "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK"
INTERMEDIATE = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK"


def signed(authority: pki.Authority, common_name: str, *, ca: bool = False, url: str = "") -> pki.Authority:
    """A certificate that an authority signed, as an authority itself."""
    key = pki.new_key("ec-p256")
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem.encode()).subject
    now = clock.now() - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )
    if url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return pki.Authority(key, builder.sign(authority._key, hashes.SHA256()))


def crl(authority: pki.Authority, *revoked: pki.Authority) -> bytes:
    """The revocation list of an authority."""
    now = clock.now()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(authority.certificate_pem.encode()).subject)
        .last_update(now)
        .next_update(now + timedelta(days=1))
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one._certificate.serial_number).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_revoked_certificates(world: World) -> None:
    """A list in the directory `crl`: a device, a CA and that CA's devices; where none is named all is compliant."""
    root = pki.Authority.create("root")
    line = signed(root, "line", ca=True)
    devices = [signed(root, "direct"), signed(root, "good"), signed(line, "below")]
    for one in devices:
        world.call("RegisterCertificateWithoutCA", certificatePem=one.certificate_pem, status="ACTIVE")
    for one in (root, line):
        world.call(
            "RegisterCACertificate", caCertificate=one.certificate_pem, certificateMode="SNI_ONLY", setAsActive=True
        )
    world.enable(REVOKED, REVOKED_CA, INTERMEDIATE)
    task = world.audit(REVOKED, REVOKED_CA, INTERMEDIATE)
    assert (3, 0) == (task["taskStatistics"]["compliantChecks"], task["auditDetails"][REVOKED]["totalResourcesCount"])
    lists = world.store.directory / fleet.CRLS
    lists.mkdir()
    (lists / "root.crl").write_bytes(crl(root, line, devices[0]))
    task = world.audit(REVOKED, REVOKED_CA, INTERMEDIATE)
    found = {one["checkName"]: one for one in world.findings(task["taskId"])}
    identity = {name: one["nonCompliantResource"]["resourceIdentifier"] for name, one in found.items()}
    direct, below = (certs.read(devices[number].certificate_pem).certificate_id for number in (0, 2))
    assert {"deviceCertificateId": direct} == identity[REVOKED]
    assert {"caCertificateId": certs.read(line.certificate_pem).certificate_id} == identity[REVOKED_CA]
    assert "CN=line" == identity[INTERMEDIATE]["issuerCertificateIdentifier"]["issuerCertificateSubject"]
    assert [below] == [
        one["resourceIdentifier"]["deviceCertificateId"] for one in found[INTERMEDIATE]["relatedResources"]
    ]
    (lists / "junk").write_text("no list")
    assert "FAILED" == world.audit(REVOKED)["taskStatus"]


def test_a_list_that_is_named_and_not_there(world: World) -> None:
    """Nothing can be said of the certificate: the check fails, with whose list it lacks and where it belongs."""
    root = pki.Authority.create("root")
    device = signed(root, "device", url="http://127.0.0.1/crl")
    world.call("RegisterCertificateWithoutCA", certificatePem=device.certificate_pem, status="ACTIVE")
    world.enable(REVOKED)
    details = world.audit(REVOKED)["auditDetails"][REVOKED]
    assert ("FAILED", True) == (details["checkRunStatus"], "CN=root" in details["message"])
    (world.store.directory / fleet.CRLS).mkdir()
    (world.store.directory / fleet.CRLS / "root.crl").write_bytes(crl(root))
    details = world.audit(REVOKED)["auditDetails"][REVOKED]
    assert ("COMPLETED_COMPLIANT", 1) == (details["checkRunStatus"], details["totalResourcesCount"])


def test_certificates_are_read_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, a few at a time."""
    for _ in range(5):
        world.certificate()
    monkeypatch.setattr(fleet, "_BATCH", 2)
    store, place, batches = world.store, "", 0
    with store.transaction():
        while place != fleet.LAST:
            place, batches = fleet.collect(store, place), batches + 1
        assert 3 == batches
        assert fleet.LAST == fleet.collect(store, "")
        assert 5 == len(list(fleet.fleet(store, ["certificates"], 0).certificates))


def test_certificates_are_judged_in_slices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted once, whatever the slices; what is shared or revoked is looked at whole."""
    monkeypatch.setattr(fleet, "_SLICE", 2)
    for days in (10, 3000, 20, 3000, 5):
        world.certificate(days=days)
    expiring, shared = "DEVICE_CERTIFICATE_EXPIRING_CHECK", "DEVICE_CERTIFICATE_SHARED_CHECK"
    world.enable(expiring, shared)
    history.shared(world.store, "1" * 64, {"a": 1.0, "b": 2.0})
    task = world.audit(expiring, shared)
    counts = {
        name: (one["totalResourcesCount"], one["nonCompliantResourcesCount"])
        for name, one in task["auditDetails"].items()
    }
    assert {expiring: (5, 3), shared: (1, 1)} == counts
    assert 4 == len(world.findings(task["taskId"]))


def test_where_a_certificate_names_its_list() -> None:
    """Each URL of its distribution points; none where it has none."""
    root = pki.Authority.create("root")
    assert ("http://127.0.0.1/crl",) == revocation_list_urls(
        signed(root, "a", url="http://127.0.0.1/crl").certificate_pem
    )
    assert () == revocation_list_urls(root.certificate_pem)
    with pytest.raises(pki.Usage):
        revocation_list_urls("no certificate")
