"""A fleet: its provisioning template, the claim that its devices share, and devices as they come out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from iotctl import pki
from iotctl.pki import certificates as x509
from iotctl.semantics.provisioning import CERTIFICATE_ID
from tests.local.clients import Device, create_policy
from tests.local.conftest import Name

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform

TEMPLATE: dict[str, Any] = {
    "Parameters": {"SerialNumber": {"Type": "String"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Fn::Join": ["-", ["pump", {"Ref": "SerialNumber"}]]},
                "AttributePayload": {"serial": {"Ref": "SerialNumber"}},
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": CERTIFICATE_ID}, "Status": "Active"},
        },
        "policy": {
            "Type": "AWS::IoT::Policy",
            "Properties": {
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}],
                }
            },
        },
    },
    "DeviceConfiguration": {"Greeting": {"Fn::Sub": "hello ${SerialNumber}"}},
}


@dataclass(frozen=True)
class Fleet:
    """A template by name, and the claim of its devices."""

    template: str
    claim: Device

    @property
    def provision(self) -> str:
        """The topic of registrations, without the format."""
        return f"$aws/provisioning-templates/{self.template}/provision"


@pytest.fixture
def role(running: Platform) -> str:
    """A role of the account."""
    return f"arn:aws:iam::{running.account_id}:role/provisioning"


@pytest.fixture
def fleet(iot: Any, role: str, certificate_files: Callable[..., Device], name: Name) -> Fleet:
    """An enabled template; the claim has the guide's own policy."""
    template = name("fleet")
    iot.create_provisioning_template(
        templateName=template, templateBody=json.dumps(TEMPLATE), provisioningRoleArn=role, enabled=True
    )
    claim = certificate_files(name("claim"))
    prefix = claim.arn.rpartition("cert/")[0]
    topics = ("$aws/certificates/create*", f"$aws/provisioning-templates/{template}/provision/*")
    policy = create_policy(
        iot,
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["iot:Publish", "iot:Receive"],
            "Resource": [f"{prefix}topic/{topic}" for topic in topics],
        },
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": [f"{prefix}topicfilter/{topic}" for topic in topics],
        },
    )
    iot.attach_policy(policyName=policy, target=claim.arn)
    return Fleet(template, claim)


@pytest.fixture
def certificate_files(iot: Any, signer: pki.Authority, tmp_path: Path) -> Callable[..., Device]:
    """Register a certificate of no thing; its files."""

    def register(name: str) -> Device:
        issued = signer.issue(name)
        iot.register_certificate_without_ca(certificatePem=issued.certificate_pem, status="ACTIVE")
        arn = iot.describe_certificate(certificateId=issued.certificate_id)["certificateDescription"]["certificateArn"]
        return on_disk(tmp_path, name, arn, issued.certificate_pem, issued.private_key_pem)

    return register


def on_disk(directory: Path, name: str, arn: str, certificate_pem: str, key: bytes) -> Device:
    """A device by its certificate and key."""
    certificate, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_text(certificate_pem)
    key_file.write_bytes(key)
    return Device(name, x509.read(certificate_pem).certificate_id, arn, certificate, key_file)
