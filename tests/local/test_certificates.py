"""Certificates: registered without a CA, issued for a CSR or with keys, activated, deleted."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iotctl import pki
from iotctl.pki import certificates as certs
from tests.local.conftest import Name, refused, without_metadata

Register = Callable[..., dict[str, str]]


def csr(key: ec.EllipticCurvePrivateKey) -> str:
    """A CSR for a key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def test_the_id_is_the_digest_of_the_der(iot: Any, signer: pki.Authority) -> None:
    """The id does not depend on how the PEM is written."""
    pem = signer.issue("device").certificate_pem
    expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    registered = iot.register_certificate_without_ca(certificatePem="\n" + pem + "\n\n", status="ACTIVE")
    assert expected == registered["certificateId"]
    assert registered["certificateArn"].endswith(f":cert/{expected}")


def test_registering_again_names_the_certificate(iot: Any, signer: pki.Authority) -> None:
    """The second time is ResourceAlreadyExistsException with the certificate's id and ARN."""
    pem = signer.issue("device").certificate_pem
    first = without_metadata(iot.register_certificate_without_ca(certificatePem=pem))
    refusal = refused(iot.register_certificate_without_ca, certificatePem=pem + "\n")
    assert (refusal.code, refusal.status) == ("ResourceAlreadyExistsException", 409)
    assert {"resourceId": first["certificateId"], "resourceArn": first["certificateArn"]} == refusal.members


def test_a_certificate_is_not_active_unless_asked(iot: Any, signer: pki.Authority) -> None:
    """Registered without a status it is INACTIVE."""
    identity = iot.register_certificate_without_ca(certificatePem=signer.issue("d").certificate_pem)["certificateId"]
    described = iot.describe_certificate(certificateId=identity)["certificateDescription"]
    assert (described["status"], described["certificateMode"]) == ("INACTIVE", "SNI_ONLY")


@pytest.mark.parametrize("garbage", ["garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_garbage_is_refused(iot: Any, garbage: str) -> None:
    """What is no certificate is CertificateValidationException."""
    refusal = refused(iot.register_certificate_without_ca, certificatePem=garbage)
    assert (refusal.code, refusal.status) == ("CertificateValidationException", 400)


def test_a_certificate_is_described(iot: Any, signer: pki.Authority) -> None:
    """DescribeCertificate answers the PEM, the validity and the owner."""
    issued = signer.issue("device")
    iot.register_certificate_without_ca(certificatePem=issued.certificate_pem, status="ACTIVE")
    described = iot.describe_certificate(certificateId=issued.certificate_id)["certificateDescription"]
    read = certs.read(issued.certificate_pem)
    assert issued.certificate_pem == described["certificatePem"]
    assert (read.not_before, read.not_after) == (
        described["validity"]["notBefore"].astimezone(dt.UTC),
        described["validity"]["notAfter"].astimezone(dt.UTC),
    )
    assert described["certificateArn"].split(":")[4] == described["ownedBy"]


def test_a_csr_gets_a_certificate_for_its_own_key(iot: Any) -> None:
    """CreateCertificateFromCsr certifies the CSR's key, and the same CSR again is another certificate."""
    request = csr(ec.generate_private_key(ec.SECP256R1()))
    first = iot.create_certificate_from_csr(certificateSigningRequest=request, setAsActive=True)
    again = iot.create_certificate_from_csr(certificateSigningRequest=request)
    assert pki.csr_matches(request, first["certificatePem"])
    assert first["certificateId"] == hashlib.sha256(ssl.PEM_cert_to_DER_cert(first["certificatePem"])).hexdigest()
    assert first["certificateId"] != again["certificateId"]
    status = [
        iot.describe_certificate(certificateId=one["certificateId"])["certificateDescription"]["status"]
        for one in (first, again)
    ]
    assert status == ["ACTIVE", "INACTIVE"]


def test_a_bad_csr_is_refused(iot: Any) -> None:
    """What is no CSR is InvalidRequestException."""
    assert refused(iot.create_certificate_from_csr, certificateSigningRequest="no").code == "InvalidRequestException"


def test_new_keys_belong_to_their_certificate(iot: Any) -> None:
    """CreateKeysAndCertificate answers an RSA key of 2048 bits, its public half and its certificate."""
    made = iot.create_keys_and_certificate(setAsActive=True)
    assert certs.key_matches(made["keyPair"]["PrivateKey"].encode(), made["certificatePem"].encode())
    read = certs.read(made["certificatePem"])
    assert ("rsa-2048", made["keyPair"]["PublicKey"]) == (read.key, read.public_key_pem)


def test_updating_is_idempotent(iot: Any, certificate: Register) -> None:
    """The same status twice is no error, and changes nothing the second time."""
    identity = certificate("ACTIVE")["certificateId"]
    for _ in range(2):
        iot.update_certificate(certificateId=identity, newStatus="INACTIVE")
    described = iot.describe_certificate(certificateId=identity)["certificateDescription"]
    assert (described["status"], described["customerVersion"]) == ("INACTIVE", 2)


@pytest.mark.parametrize("status", ["PENDING_TRANSFER", "PENDING_ACTIVATION", "REGISTER_INACTIVE"])
def test_some_statuses_cannot_be_set(iot: Any, certificate: Register, status: str) -> None:
    """PENDING_TRANSFER and its like are AWS's to set."""
    identity = certificate()["certificateId"]
    assert refused(iot.update_certificate, certificateId=identity, newStatus=status).code == "InvalidRequestException"


def test_an_active_certificate_is_not_deleted(iot: Any, certificate: Register) -> None:
    """It is CertificateStateException (406), forced or not."""
    identity = certificate("ACTIVE")["certificateId"]
    for force in (False, True):
        refusal = refused(iot.delete_certificate, certificateId=identity, forceDelete=force)
        assert (refusal.code, refusal.status) == ("CertificateStateException", 406)


def test_an_attached_certificate_is_not_deleted(iot: Any, name: Name, certificate: Register) -> None:
    """A thing keeps it whatever is asked; a policy keeps it unless it is forced."""
    made = certificate("INACTIVE")
    iot.create_thing(thingName=name("t"))
    iot.attach_thing_principal(thingName=name("t"), principal=made["certificateArn"])
    for force in (False, True):
        refusal = refused(iot.delete_certificate, certificateId=made["certificateId"], forceDelete=force)
        assert (refusal.code, refusal.status) == ("DeleteConflictException", 409)
    iot.detach_thing_principal(thingName=name("t"), principal=made["certificateArn"])
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
    iot.create_policy(policyName=name("p"), policyDocument=document)
    iot.attach_policy(policyName=name("p"), target=made["certificateArn"])
    assert refused(iot.delete_certificate, certificateId=made["certificateId"]).code == "DeleteConflictException"
    iot.delete_certificate(certificateId=made["certificateId"], forceDelete=True)
    refusal = refused(iot.delete_certificate, certificateId=made["certificateId"])
    assert (refusal.code, refusal.status) == ("ResourceNotFoundException", 404)
    iot.delete_policy(policyName=name("p"))
