"""CA certificates: registered in either mode, listed, switched off; and the device certificates that they signed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from iotctl import pki
from iotctl.pki import certificates as x509
from tests.local.conftest import Name, refused


@pytest.fixture
def factory(name: Name) -> pki.Authority:
    """A CA that nobody else has."""
    return pki.Authority.create(name("factory"))


def register(iot: Any, authority: pki.Authority, **more: Any) -> str:
    """Register a CA without proof; its id."""
    parameters = {"certificateMode": "SNI_ONLY", "setAsActive": True, **more}
    return str(iot.register_ca_certificate(caCertificate=authority.certificate_pem, **parameters)["certificateId"])


def test_the_registration_code_is_stable(iot: Any) -> None:
    """It is 64 hexadecimal digits, the same at every call, and another one after it was deleted."""
    codes = {iot.get_registration_code()["registrationCode"] for _ in range(3)}
    assert len(codes) == 1
    assert re.fullmatch("[0-9a-f]{64}", *codes)
    iot.delete_registration_code()
    assert iot.get_registration_code()["registrationCode"] not in codes


def test_a_ca_in_its_life(iot: Any, factory: pki.Authority) -> None:
    """Registered inactive, described, listed, activated; deleted only when it is off."""
    identity = register(iot, factory, setAsActive=False, tags=[{"Key": "site", "Value": "oslo"}])
    described = iot.describe_ca_certificate(certificateId=identity)["certificateDescription"]
    assert (x509.read(factory.certificate_pem).certificate_id, "INACTIVE", "SNI_ONLY", "DISABLE") == tuple(
        described[key] for key in ("certificateId", "status", "certificateMode", "autoRegistrationStatus")
    )
    assert described["certificateArn"].endswith(f"cacert/{identity}")
    assert [{"Key": "site", "Value": "oslo"}] == iot.list_tags_for_resource(resourceArn=described["certificateArn"])[
        "tags"
    ]

    iot.update_ca_certificate(certificateId=identity, newStatus="ACTIVE")
    assert "ACTIVE" in {
        one["status"]
        for one in iot.list_ca_certificates(pageSize=250)["certificates"]
        if one["certificateId"] == identity
    }
    assert "CertificateStateException" == refused(iot.delete_ca_certificate, certificateId=identity).code
    again = refused(iot.register_ca_certificate, caCertificate=factory.certificate_pem, certificateMode="SNI_ONLY")
    assert ("ResourceAlreadyExistsException", identity) == (again.code, again.members["resourceId"])
    iot.update_ca_certificate(certificateId=identity, newStatus="INACTIVE")
    iot.delete_ca_certificate(certificateId=identity)
    assert "ResourceNotFoundException" == refused(iot.describe_ca_certificate, certificateId=identity).code


def test_the_proof_of_the_key(iot: Any, factory: pki.Authority) -> None:
    """In the mode DEFAULT the CA signs a certificate for the registration code; anything else is refused."""
    code = iot.get_registration_code()["registrationCode"]
    other = pki.Authority.create("other")
    given = {"caCertificate": factory.certificate_pem}

    assert "InvalidRequestException" == refused(iot.register_ca_certificate, **given).code
    wrong = factory.issue("not the code").certificate_pem
    refusal = refused(iot.register_ca_certificate, **given, verificationCertificate=wrong)
    assert "RegistrationCodeValidationException" == refusal.code
    foreign = other.issue(code).certificate_pem
    refusal = refused(iot.register_ca_certificate, **given, verificationCertificate=foreign)
    assert "CertificateValidationException" == refusal.code
    leaf = factory.issue("leaf").certificate_pem
    assert (
        "CertificateValidationException"
        == refused(iot.register_ca_certificate, caCertificate=leaf, certificateMode="SNI_ONLY").code
    )
    assert (
        "CertificateValidationException"
        == refused(iot.register_ca_certificate, caCertificate="garbage", certificateMode="SNI_ONLY").code
    )

    proof = factory.issue(code).certificate_pem
    assert iot.register_ca_certificate(**given, verificationCertificate=proof)["certificateId"]


def test_device_certificates_of_a_registered_ca(iot: Any, factory: pki.Authority) -> None:
    """Registered once the CA is there and active; its mode is the CA's, and the CA lists it."""
    pem = factory.issue("press-1").certificate_pem
    assert "CertificateValidationException" == refused(iot.register_certificate, certificatePem=pem).code
    authority = register(iot, factory, setAsActive=False)
    assert "CertificateStateException" == refused(iot.register_certificate, certificatePem=pem).code

    iot.update_ca_certificate(certificateId=authority, newStatus="ACTIVE")
    made = iot.register_certificate(certificatePem=pem, caCertificatePem=factory.certificate_pem, status="ACTIVE")
    assert x509.read(pem).certificate_id == made["certificateId"]
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert ("ACTIVE", "SNI_ONLY", authority) == tuple(
        described[key] for key in ("status", "certificateMode", "caCertificateId")
    )
    listed = iot.list_certificates_by_ca(caCertificateId=authority)["certificates"]
    assert [made["certificateId"]] == [one["certificateId"] for one in listed]
    assert "ResourceAlreadyExistsException" == refused(iot.register_certificate, certificatePem=pem).code
    stranger = pki.Authority.create("stranger")
    assert (
        "CertificateValidationException"
        == refused(
            iot.register_certificate,
            certificatePem=factory.issue("press-2").certificate_pem,
            caCertificatePem=stranger.certificate_pem,
        ).code
    )
