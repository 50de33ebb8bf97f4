"""Just-in-time registration and provisioning: a device that nobody has registered connects."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import http.client
import json
import queue
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import mqtt5
from awsiot import mqtt5_client_builder

from iotctl import pki
from iotctl.errors import Auth, Temporary
from iotctl.local.devices import session
from iotctl.pki import certificates as x509
from tests.local.clients import Mqtt, until
from tests.local.conftest import Name, refused
from tests.local.provisioning.conftest import on_disk
from tests.local.shadows.test_sdk import PATIENCE
from tests.semantics.test_provisioning import JUST_IN_TIME

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.local.clients import Device

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
REFUSED = b"\x20\x02\x00\x05"
EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'


@pytest.fixture
def factory(name: Name) -> pki.Authority:
    """A CA that nobody else has."""
    return pki.Authority.create(name("factory"))


@pytest.fixture
def press(factory: pki.Authority, tmp_path: Path, name: Name) -> Device:
    """A device as it leaves the factory: nobody has registered it."""
    issued = factory.issue(name("press"))
    return on_disk(tmp_path, name("press"), "", issued.certificate_pem, issued.private_key_pem)


@pytest.fixture
def template() -> dict[str, Any]:
    """A template of just-in-time provisioning: the thing is named after the certificate, and may do everything."""
    made: dict[str, Any] = copy.deepcopy(JUST_IN_TIME)
    made["Parameters"] = {"AWS::IoT::Certificate::CommonName": {"Type": "String"}}
    made["Resources"]["thing"]["Properties"] = {
        "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
        "AttributePayload": {"certificate": {"Ref": "AWS::IoT::Certificate::Id"}},
    }
    made["Resources"]["policy"]["Properties"]["PolicyDocument"] = EVERYTHING
    return made


def enable(iot: Any, factory: pki.Authority, **more: Any) -> str:
    """Register a CA that registers what it signed; its id."""
    given = {"certificateMode": "SNI_ONLY", "setAsActive": True, "allowAutoRegistration": True, **more}
    return str(iot.register_ca_certificate(caCertificate=factory.certificate_pem, **given)["certificateId"])


def first_words(platform: Platform, device: Device, *, named: bool = True) -> bytes | None:
    """What the platform says to a device's CONNECT, empty where it hangs up; None: TLS does not let it in."""
    context = device.tls(platform)
    if not named:
        context = ssl.create_default_context(cafile=platform.ca_file)
        context.load_cert_chain(device.certificate, device.key)
    # In TLS 1.3 a client is through before the server has looked at its certificate.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection(("127.0.0.1", platform.mqtt_port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(CONNECT)
            return tls.recv(64)
    except (ssl.SSLError, ConnectionError):
        return None


def status(iot: Any, device: Device) -> str | None:
    """The status of a device's certificate; None: it is not registered."""
    try:
        found = iot.describe_certificate(certificateId=device.certificate_id)
    except iot.exceptions.ResourceNotFoundException:
        return None
    return str(found["certificateDescription"]["status"])


def test_registration_alone(running: Platform, iot: Any, factory: pki.Authority, press: Device, name: Name) -> None:
    """The first connection ends, the certificate waits, the event is heard; activated, the device is let in."""
    ca = enable(iot, factory)
    policy = name("everything")
    iot.create_policy(policyName=policy, policyDocument=EVERYTHING)
    listener = pki.Authority.create(name("listener")).issue(name("listener"))
    iot.register_certificate_without_ca(certificatePem=listener.certificate_pem, status="ACTIVE")
    hears = on_disk(press.key.parent, name("listener"), "", listener.certificate_pem, listener.private_key_pem)
    account = iot.describe_ca_certificate(certificateId=ca)["certificateDescription"]["ownedBy"]
    prefix = f"arn:aws:iot:{running.region}:{account}"
    iot.attach_policy(policyName=policy, target=f"{prefix}:cert/{listener.certificate_id}")
    with Mqtt(running, hears) as mqtt:
        mqtt.subscribe(f"$aws/events/certificates/registered/{ca}")
        assert b"" == first_words(running, press)
        event = mqtt.next().json
        assert (press.certificate_id, ca, "PENDING_ACTIVATION", account) == tuple(
            event[key] for key in ("certificateId", "caCertificateId", "certificateStatus", "awsAccountId")
        )
        assert (int, str) == (type(event["timestamp"]), type(event["certificateRegistrationTimestamp"]))
        described = iot.describe_certificate(certificateId=press.certificate_id)["certificateDescription"]
        assert ("PENDING_ACTIVATION", ca, "SNI_ONLY") == tuple(
            described[key] for key in ("status", "caCertificateId", "certificateMode")
        )
        assert b"" == first_words(running, press)
        assert event["certificateRegistrationTimestamp"] == mqtt.next().json["certificateRegistrationTimestamp"]
    iot.update_certificate(certificateId=press.certificate_id, newStatus="ACTIVE")
    assert REFUSED == first_words(running, press), "a certificate without a policy may not connect"
    iot.attach_policy(policyName=policy, target=described["certificateArn"])
    assert b"\x20\x02\x00\x00" == first_words(running, press)
    iot.update_certificate(certificateId=press.certificate_id, newStatus="INACTIVE")
    assert REFUSED == first_words(running, press)


@pytest.mark.parametrize("by_name", [False, True])
def test_provisioning(
    running: Platform,
    iot: Any,
    factory: pki.Authority,
    press: Device,
    template: dict[str, Any],
    role: str,
    name: Name,
    by_name: bool,
) -> None:
    """By a template's body or its name: the first connection ends, the next one is a provisioned device's."""
    body = json.dumps(template)
    config = {"templateBody": body, "roleArn": role}
    if by_name:
        config = {"templateName": name("jit")}
        iot.create_provisioning_template(
            templateName=name("jit"), templateBody=body, provisioningRoleArn=role, type="JITP", enabled=True
        )
    ca = enable(iot, factory, registrationConfig=config)
    described = iot.describe_ca_certificate(certificateId=ca)
    assert ("ENABLE", config) == (
        described["certificateDescription"]["autoRegistrationStatus"],
        described["registrationConfig"],
    )
    assert b"" == first_words(running, press)
    with Mqtt(running, press) as mqtt:
        assert [True] == mqtt.subscribe("anything/#")
    thing = iot.describe_thing(thingName=press.name)
    assert ({"certificate": press.certificate_id}, "ACTIVE") == (thing["attributes"], status(iot, press))
    if by_name:
        listed = iot.list_ca_certificates(templateName=name("jit"))["certificates"]
        assert [ca] == [one["certificateId"] for one in listed]
        assert [] == iot.list_ca_certificates(templateName=name("none"))["certificates"]
        refusal = refused(iot.delete_provisioning_template, templateName=name("jit"))
        assert "DeleteConflictException" == refusal.code


def test_what_fails_waits_until_it_is_put_right(
    running: Platform, iot: Any, factory: pki.Authority, press: Device, template: dict[str, Any], role: str
) -> None:
    """A certificate without what the template declares stays pending, and nothing of its device is made."""
    wrong = copy.deepcopy(template)
    wrong["Parameters"]["AWS::IoT::Certificate::Country"] = {"Type": "String"}
    ca = enable(iot, factory, registrationConfig={"templateBody": json.dumps(wrong), "roleArn": role})
    assert b"" == first_words(running, press)
    assert "PENDING_ACTIVATION" == until(lambda: status(iot, press))
    assert "ResourceNotFoundException" == refused(iot.describe_thing, thingName=press.name).code
    config = {"templateBody": json.dumps(template), "roleArn": role}
    iot.update_ca_certificate(certificateId=ca, registrationConfig=config)
    assert b"" == first_words(running, press)
    with Mqtt(running, press):
        assert "ACTIVE" == status(iot, press)


def test_who_is_not_registered(running: Platform, iot: Any, factory: pki.Authority, press: Device) -> None:
    """A CA that is off or not enabled, a device that names no server, one of a CA that nobody registered."""
    assert None is first_words(running, press)
    ca = enable(iot, factory, setAsActive=False)
    assert None is first_words(running, press)
    iot.update_ca_certificate(certificateId=ca, newStatus="ACTIVE", newAutoRegistrationStatus="DISABLE")
    assert None is first_words(running, press)
    iot.update_ca_certificate(certificateId=ca, newAutoRegistrationStatus="ENABLE")
    assert REFUSED == first_words(running, press, named=False)
    assert None is status(iot, press)
    iot.update_ca_certificate(certificateId=ca, removeAutoRegistration=True)
    described = iot.describe_ca_certificate(certificateId=ca)
    assert ("DISABLE", False) == (
        described["certificateDescription"]["autoRegistrationStatus"],
        "registrationConfig" in described,
    )
    assert REFUSED == first_words(running, press), "TLS has met the CA, so it is refused at CONNECT"
    assert None is status(iot, press)
    iot.update_ca_certificate(certificateId=ca, newStatus="INACTIVE")
    iot.delete_ca_certificate(certificateId=ca)


def test_over_https_too(
    running: Platform, iot: Any, factory: pki.Authority, press: Device, template: dict[str, Any], role: str
) -> None:
    """The first request is forbidden, the next one is a provisioned device's."""
    enable(iot, factory, registrationConfig={"templateBody": json.dumps(template), "roleArn": role})

    def asked() -> int:
        where = http.client.HTTPSConnection("localhost", running.https_port, context=press.tls(running), timeout=10)
        with contextlib.closing(where):
            where.request("GET", f"/things/{press.name}/shadow")
            return where.getresponse().status

    assert (403, 404) == (asked(), asked())
    assert press.name == iot.describe_thing(thingName=press.name)["thingName"]


def test_configurations_that_are_refused(iot: Any, factory: pki.Authority, role: str, name: Name) -> None:
    """Neither a name nor a body, both, no role, a template of another kind: and no CA is registered then."""
    body = json.dumps(JUST_IN_TIME)
    iot.create_provisioning_template(
        templateName=name("fleet"),
        templateBody=json.dumps({"Resources": JUST_IN_TIME["Resources"]}),
        provisioningRoleArn=role,
    )
    for config, code in (
        ({"roleArn": role}, "InvalidRequestException"),
        ({"templateBody": body, "templateName": name("fleet")}, "InvalidRequestException"),
        ({"templateBody": body}, "InvalidRequestException"),
        ({"templateBody": "{}", "roleArn": role}, "InvalidRequestException"),
        ({"templateName": name("fleet")}, "InvalidRequestException"),
        ({"templateName": name("none")}, "ResourceNotFoundException"),
    ):
        given = {"caCertificate": factory.certificate_pem, "certificateMode": "SNI_ONLY", "registrationConfig": config}
        assert code == refused(iot.register_ca_certificate, **given).code, config
    identity = x509.read(factory.certificate_pem).certificate_id
    assert "ResourceNotFoundException" == refused(iot.describe_ca_certificate, certificateId=identity).code


def test_aws_own_client_comes_again(
    running: Platform, iot: Any, factory: pki.Authority, press: Device, template: dict[str, Any], role: str
) -> None:
    """The SDK's client, unmodified, fails once, connects again by itself, and is provisioned."""
    enable(iot, factory, registrationConfig={"templateBody": json.dumps(template), "roleArn": role})
    happened: queue.Queue[str] = queue.Queue()
    client = mqtt5_client_builder.mtls_from_path(
        endpoint="127.0.0.1",
        port=running.mqtt_port,
        cert_filepath=str(press.certificate),
        pri_key_filepath=str(press.key),
        ca_filepath=running.ca_file,
        client_id=press.name,
        min_reconnect_delay_ms=20,
        max_reconnect_delay_ms=100,
        on_lifecycle_connection_failure=lambda _: happened.put("failed"),
        on_lifecycle_connection_success=lambda _: happened.put("connected"),
        on_lifecycle_stopped=lambda _: happened.put("stopped"),
    )
    assert isinstance(client, mqtt5.Client)
    client.start()
    assert "failed" == happened.get(timeout=PATIENCE)
    while (word := happened.get(timeout=PATIENCE)) == "failed":
        pass
    assert "connected" == word
    client.stop()
    assert "stopped" == happened.get(timeout=PATIENCE)
    assert "ACTIVE" == status(iot, press)


def test_a_simulated_device_comes_again(
    running: Platform, iot: Any, factory: pki.Authority, press: Device, template: dict[str, Any], role: str
) -> None:
    """Those of `local devices` name the server though its endpoint is an address, so they are provisioned too."""
    enable(iot, factory, registrationConfig={"templateBody": json.dumps(template), "roleArn": role})
    ca_file = Path(running.ca_file)
    identity = session.Identity(press.name, "127.0.0.1", running.mqtt_port, press.certificate, press.key, ca_file)

    async def scenario() -> None:
        with pytest.raises((Auth, Temporary)):
            await session.connect(identity, ["$aws/things/x/shadow/get/accepted"], lambda *_: None)
        connected = await session.connect(identity, ["$aws/things/x/shadow/get/accepted"], lambda *_: None)
        connected.disconnect()
        await connected.closed

    asyncio.run(scenario())
    assert press.name == iot.describe_thing(thingName=press.name)["thingName"]
