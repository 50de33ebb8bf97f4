"""Fleet provisioning by claim over MQTT: JSON and CBOR, accepted and rejected, to the one that asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import cbor as crt
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl import pki
from iotctl.pki import certificates as x509
from iotctl.semantics import cbor
from tests.local.clients import Mqtt
from tests.local.conftest import Name, refused
from tests.local.provisioning.conftest import Fleet, on_disk
from tests.local.test_certificates import csr

if TYPE_CHECKING:
    from iotctl.target import Platform
    from tests.local.clients import Device


def ask(mqtt: Mqtt, topic: str, payload: Any = b"") -> tuple[str, dict[str, Any]]:
    """Ask in the format that the topic names; accepted or rejected, and the answer."""
    packed = topic.endswith("/cbor")
    content = (
        payload if isinstance(payload, bytes) else cbor.encode(payload) if packed else json.dumps(payload).encode()
    )
    mqtt.subscribe(f"{topic}/accepted", f"{topic}/rejected")
    mqtt.send(topic, content)
    answer = mqtt.next()
    assert answer.topic.startswith(f"{topic}/")
    read = crt.AwsCborDecoder(answer.payload).pop_next_data_item() if packed else answer.json
    return answer.topic.removeprefix(f"{topic}/"), read


def accepted(mqtt: Mqtt, topic: str, payload: Any = b"") -> dict[str, Any]:
    """Ask, and be accepted."""
    verb, answer = ask(mqtt, topic, payload)
    assert "accepted" == verb, answer
    return answer


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_device_gets_a_key_and_registers(
    running: Platform, fleet: Fleet, iot: Any, name: Name, tmp_path: Path, form: str
) -> None:
    """Keys and certificate, registration, and the new certificate connects; the claim itself stays what it is."""
    with Mqtt(running, fleet.claim, name("c")) as mqtt:
        made = accepted(mqtt, f"$aws/certificates/create/{form}")
        assert {"certificateId", "certificatePem", "privateKey", "certificateOwnershipToken"} == made.keys()
        assert x509.read(made["certificatePem"]).certificate_id == made["certificateId"]
        assert x509.key_matches(made["privateKey"].encode(), made["certificatePem"].encode())
        described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
        assert "PENDING_ACTIVATION" == described["status"]
        request = {
            "certificateOwnershipToken": made["certificateOwnershipToken"],
            "parameters": {"SerialNumber": name("7")},
        }
        expected = {"deviceConfiguration": {"Greeting": f"hello {name('7')}"}, "thingName": f"pump-{name('7')}"}
        for _ in range(2):  # the answer of the first may have been lost
            assert expected == accepted(mqtt, f"{fleet.provision}/{form}", request)
    thing = f"pump-{name('7')}"
    assert [described["certificateArn"]] == iot.list_thing_principals(thingName=thing)["principals"]
    device = on_disk(tmp_path, thing, described["certificateArn"], made["certificatePem"], made["privateKey"].encode())
    with Mqtt(running, device) as mqtt:
        assert [True] == mqtt.subscribe("anything/#")


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_device_keeps_its_key(running: Platform, fleet: Fleet, iot: Any, name: Name, form: str) -> None:
    """A certificate for the key of a CSR, registered under the name that the template makes."""
    signed = csr(ec.generate_private_key(ec.SECP256R1()))
    with Mqtt(running, fleet.claim, name("c")) as mqtt:
        topic = f"$aws/certificates/create-from-csr/{form}"
        made = accepted(mqtt, topic, {"certificateSigningRequest": signed})
        assert {"certificateId", "certificatePem", "certificateOwnershipToken"} == made.keys()
        assert pki.csr_matches(signed, made["certificatePem"])
        request = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"SerialNumber": "8"}}
        request["parameters"]["SerialNumber"] = name("8")
        accepted(mqtt, f"{fleet.provision}/{form}", request)
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert "ACTIVE" == described["status"]
    for wrong in ({"certificateSigningRequest": "no CSR"}, {"certificateSigningRequest": 1}, {}):
        with Mqtt(running, fleet.claim, name("c")) as mqtt:
            verb, answer = ask(mqtt, topic, wrong)
            assert ("rejected", 400, "InvalidParameters") == (verb, answer["statusCode"], answer["errorCode"])


def test_an_answer_is_for_the_one_that_asked(running: Platform, fleet: Fleet, name: Name) -> None:
    """Another device of the claim that listens sees nothing; it needs no subscription, as nucleus lite has none."""
    topic = "$aws/certificates/create-from-csr/json"
    request = {"certificateSigningRequest": csr(ec.generate_private_key(ec.SECP256R1()))}
    with Mqtt(running, fleet.claim, name("other")) as other, Mqtt(running, fleet.claim, name("deaf")) as deaf:
        other.subscribe(f"{topic}/accepted", f"{topic}/rejected", f"{fleet.provision}/json/accepted")
        deaf.publish(topic, request)
        assert f"{topic}/accepted" == deaf.next().topic
        with Mqtt(running, fleet.claim, name("asks")) as mqtt:
            accepted(mqtt, topic, request)
        accepted(other, topic, request)  # what was said before has come before
        accepted(deaf, topic, request)
        assert ([], []) == (other.rest(), deaf.rest())


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "InvalidCertificateOwnershipToken"),
        ({"certificateOwnershipToken": ""}, "InvalidCertificateOwnershipToken"),
        ({"certificateOwnershipToken": "made up"}, "InvalidCertificateOwnershipToken"),
        ({"certificateOwnershipToken": "x", "parameters": {"SerialNumber": 7}}, "InvalidParameters"),
        (b"{not json", "InvalidPayload"),
        (b"[]", "InvalidPayload"),
    ],
)
def test_requests_that_are_rejected(running: Platform, fleet: Fleet, name: Name, payload: Any, code: str) -> None:
    """Each with its code; AWS's words where devices have seen them."""
    with Mqtt(running, fleet.claim, name("c")) as mqtt:
        verb, answer = ask(mqtt, f"{fleet.provision}/json", payload)
    assert ("rejected", 400, code) == (verb, answer["statusCode"], answer["errorCode"])
    assert {"statusCode", "errorCode", "errorMessage"} == answer.keys()
    if payload == b"":
        assert "Certificate ownership token cannot be empty." == answer["errorMessage"]


def test_registrations_that_are_rejected(running: Platform, fleet: Fleet, iot: Any, name: Name) -> None:
    """A parameter that is missing, a thing that differs, a template that is off or gone: nothing is left behind."""
    with Mqtt(running, fleet.claim, name("c")) as mqtt:
        signed = {"certificateSigningRequest": csr(ec.generate_private_key(ec.SECP256R1()))}
        token = accepted(mqtt, "$aws/certificates/create-from-csr/json", signed)["certificateOwnershipToken"]

        def rejected(**parameters: str) -> tuple[int, str, str]:
            given = {"certificateOwnershipToken": token, "parameters": parameters}
            verb, answer = ask(mqtt, f"{fleet.provision}/json", given)
            assert "rejected" == verb
            return answer["statusCode"], answer["errorCode"], answer["errorMessage"]

        assert (400, "InvalidParameters", "Cannot resolve reference value: SerialNumber") == rejected()
        iot.create_thing(thingName=f"pump-{name('9')}", attributePayload={"attributes": {"serial": "other"}})
        status, code, message = rejected(SerialNumber=name("9"))
        assert (400, "ResourceRegistrationFailure", True) == (status, code, "ResourceConflicts" in message)
        assert [] == iot.list_thing_principals(thingName=f"pump-{name('9')}")["principals"]
        iot.update_provisioning_template(templateName=fleet.template, enabled=False)
        assert (403, "AccessDenied") == rejected(SerialNumber=name("10"))[:2]
        iot.delete_provisioning_template(templateName=fleet.template)
        assert (404, "ResourceNotFound") == rejected(SerialNumber=name("10"))[:2]
    assert "ResourceNotFoundException" == refused(iot.describe_thing, thingName=f"pump-{name('10')}").code


def test_a_claim_of_a_trusted_user(running: Platform, fleet: Fleet, iot: Any, name: Name, tmp_path: Path) -> None:
    """It connects, provisions by its template and may do nothing else; no listing of certificates has it."""
    made = iot.create_provisioning_claim(templateName=fleet.template)
    identity = made["certificateId"]
    certificate = x509.read(made["certificatePem"])
    assert abs((made["expiration"] - certificate.not_after).total_seconds()) < 5
    assert "ResourceNotFoundException" == refused(iot.describe_certificate, certificateId=identity).code
    assert identity not in {one["certificateId"] for one in iot.list_certificates(pageSize=10)["certificates"]}
    claim = on_disk(tmp_path, name("user"), "", made["certificatePem"], made["keyPair"]["PrivateKey"].encode())
    with Mqtt(running, claim) as mqtt:
        assert [False] == mqtt.subscribe("anything/#")
        assert [False] == mqtt.subscribe("$aws/provisioning-templates/another/provision/json/accepted")
        signed = {"certificateSigningRequest": csr(ec.generate_private_key(ec.SECP256R1()))}
        token = accepted(mqtt, "$aws/certificates/create-from-csr/json", signed)["certificateOwnershipToken"]
        request = {"certificateOwnershipToken": token, "parameters": {"SerialNumber": name("u")}}
        assert f"pump-{name('u')}" == accepted(mqtt, f"{fleet.provision}/json", request)["thingName"]
    assert "ResourceNotFoundException" == refused(iot.create_provisioning_claim, templateName=name("none")).code


def test_the_device_must_be_allowed_to_ask(running: Platform, device: Any, name: Name) -> None:
    """A policy that does not name the topic ends the connection, as any publish that is denied."""
    pump: Device = device()
    mqtt = Mqtt(running, pump)
    with mqtt:
        assert [False] == mqtt.subscribe("$aws/certificates/create/json/accepted")
        mqtt.send("$aws/certificates/create/json")
        assert mqtt.ended() is not None
