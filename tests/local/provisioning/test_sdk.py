"""Fleet provisioning with AWS's own device SDK, unmodified: IotIdentityClient and its V2, over MQTT 3.1.1 and 5."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import mqtt_request_response
from awsiot import V2ServiceException, iotidentity
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl import pki
from iotctl.pki import certificates as x509
from tests.local.shadows import test_sdk as sdk
from tests.local.shadows.test_sdk import PATIENCE, QOS
from tests.local.test_certificates import csr

if TYPE_CHECKING:
    from tests.local.clients import Device
    from tests.local.conftest import Name
    from tests.local.provisioning.conftest import Fleet

client5, connection = sdk.client5, sdk.connection


@pytest.fixture
def pump(fleet: Fleet) -> Device:
    """The device connects with the claim of its fleet."""
    return fleet.claim


@pytest.fixture(params=["3.1.1", "5"])
def transport(request: pytest.FixtureRequest) -> Any:
    """A device's connection, over either version of MQTT."""
    return request.getfixturevalue("connection" if request.param == "3.1.1" else "client5")


def test_v2_creates_keys_and_registers(transport: Any, fleet: Fleet, name: Name) -> None:
    """A new key, then the thing; and a refusal with its code."""
    v2 = iotidentity.IotIdentityClientV2(transport, mqtt_request_response.ClientOptions(2, 4, PATIENCE))
    made = v2.create_keys_and_certificate(iotidentity.CreateKeysAndCertificateRequest()).result(PATIENCE)
    assert x509.key_matches(made.private_key.encode(), made.certificate_pem.encode())
    request = iotidentity.RegisterThingRequest(
        template_name=fleet.template,
        certificate_ownership_token=made.certificate_ownership_token,
        parameters={"SerialNumber": name("s")},
    )
    registered = v2.register_thing(request).result(PATIENCE)
    assert (f"pump-{name('s')}", {"Greeting": f"hello {name('s')}"}) == (
        registered.thing_name,
        registered.device_configuration,
    )
    request.certificate_ownership_token = "made up"
    with pytest.raises(V2ServiceException) as refused:
        v2.register_thing(request).result(PATIENCE)
    error = refused.value.modeled_error
    assert (400, "InvalidCertificateOwnershipToken") == (error.status_code, error.error_code)


def test_v1_creates_from_a_csr_and_registers(transport: Any, fleet: Fleet, name: Name) -> None:
    """Subscribe to the answers, ask, register: the way of the first client."""
    v1 = iotidentity.IotIdentityClient(transport)
    came: queue.Queue[Any] = queue.Queue()
    of_csr = iotidentity.CreateCertificateFromCsrSubscriptionRequest()
    of_thing = iotidentity.RegisterThingSubscriptionRequest(template_name=fleet.template)
    for subscription, _ in (
        v1.subscribe_to_create_certificate_from_csr_accepted(of_csr, QOS, came.put),
        v1.subscribe_to_create_certificate_from_csr_rejected(of_csr, QOS, came.put),
        v1.subscribe_to_register_thing_accepted(of_thing, QOS, came.put),
        v1.subscribe_to_register_thing_rejected(of_thing, QOS, came.put),
    ):
        subscription.result(PATIENCE)
    signed = csr(ec.generate_private_key(ec.SECP256R1()))
    request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=signed)
    v1.publish_create_certificate_from_csr(request, QOS).result(PATIENCE)
    made = came.get(timeout=PATIENCE)
    assert pki.csr_matches(signed, made.certificate_pem)
    register = iotidentity.RegisterThingRequest(
        template_name=fleet.template,
        certificate_ownership_token=made.certificate_ownership_token,
        parameters={"SerialNumber": name("s")},
    )
    v1.publish_register_thing(register, QOS).result(PATIENCE)
    assert f"pump-{name('s')}" == came.get(timeout=PATIENCE).thing_name
    register.parameters = {}
    v1.publish_register_thing(register, QOS).result(PATIENCE)
    error = came.get(timeout=PATIENCE)
    assert (400, "InvalidParameters") == (error.status_code, error.error_code)
