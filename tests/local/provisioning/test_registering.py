"""RegisterThing: what a template wants is there afterwards, and what becomes of what was there."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from iotctl import pki
from tests.local.conftest import Name, refused, without_metadata
from tests.local.test_certificates import csr
from tests.semantics.test_provisioning import BULK


@pytest.fixture
def template(iot: Any, name: Name) -> dict[str, Any]:
    """The guide's template, with the type and the groups that it names."""
    made: dict[str, Any] = copy.deepcopy(BULK)
    made["Resources"]["thing"]["Properties"]["ThingTypeName"] = name("type")
    made["Resources"]["thing"]["Properties"]["ThingGroups"] = [name("lights"), {"Ref": "Location"}]
    made["Parameters"]["Location"]["Default"] = name("WA")
    del made["Resources"]["thing"]["OverrideSettings"]
    iot.create_thing_type(thingTypeName=name("type"))
    for group in (name("lights"), name("WA"), name("OR")):
        iot.create_thing_group(thingGroupName=group)
    return made


def register(iot: Any, template: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Register a thing."""
    return without_metadata(iot.register_thing(templateBody=json.dumps(template), parameters=parameters))


def request() -> str:
    """A CSR of a new key."""
    return csr(ec.generate_private_key(ec.SECP256R1()))


def groups(iot: Any, thing: str) -> set[str]:
    """The groups of a thing."""
    return {one["groupName"] for one in iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]}


def test_all_that_the_guides_template_wants(iot: Any, template: dict[str, Any], name: Name) -> None:
    """Thing, certificate and policy, attached to each other; the answer names each by its logical name."""
    signed = request()
    made = register(iot, template, ThingName=name("bulb"), SerialNumber="77", CSR=signed)
    arns = made["resourceArns"]
    assert {"thing", "certificate", "policy"} == arns.keys()
    assert pki.csr_matches(signed, made["certificatePem"])
    described = iot.describe_thing(thingName=name("bulb"))
    assert ({"version": "v1", "serialNumber": "77"}, name("type"), arns["thing"]) == tuple(
        described[key] for key in ("attributes", "thingTypeName", "thingArn")
    )
    assert {name("lights"), name("WA")} == groups(iot, name("bulb"))
    assert [arns["certificate"]] == iot.list_thing_principals(thingName=name("bulb"))["principals"]
    attached = iot.list_attached_policies(target=arns["certificate"])["policies"]
    assert [arns["policy"]] == [one["policyArn"] for one in attached]
    certificate = iot.describe_certificate(certificateId=arns["certificate"].rpartition("/")[2])
    assert "ACTIVE" == certificate["certificateDescription"]["status"]
    again = register(iot, template, ThingName=name("bulb-2"), SerialNumber="78", CSR=request())
    assert arns["policy"] == again["resourceArns"]["policy"], "the policy is named after its document"


def test_nothing_is_left_of_what_fails(iot: Any, template: dict[str, Any], name: Name) -> None:
    """A group that is not there takes back the thing and its certificate too."""
    before = iot.list_certificates(pageSize=1)["certificates"]
    refusal = refused(
        iot.register_thing,
        templateBody=json.dumps(template),
        parameters={"ThingName": name("b"), "SerialNumber": "1", "CSR": request(), "Location": name("nowhere")},
    )
    reason = f"Register thing workflow execution terminates due to: Thing group {name('nowhere')} not found"
    assert ("ResourceRegistrationFailureException", reason) == (refusal.code, refusal.message)
    assert "ResourceNotFoundException" == refused(iot.describe_thing, thingName=name("b")).code
    assert before == iot.list_certificates(pageSize=1)["certificates"]


def test_a_template_or_a_parameter_that_is_wrong(iot: Any, template: dict[str, Any]) -> None:
    """Refused as AWS words it."""
    refusal = refused(iot.register_thing, templateBody="{'single': 'quotes'}")
    assert "InvalidRequestException" == refusal.code
    assert refusal.message.startswith("Invalid registration template. Template format error: JSON not well-formed")
    refusal = refused(iot.register_thing, templateBody=json.dumps(template), parameters={"ThingName": "t"})
    assert ("InvalidRequestException", True) == (
        refusal.code,
        "Cannot resolve reference value: SerialNumber" in refusal.message,
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"AttributePayload": "FAIL"}, None),
        (
            {"AttributePayload": "MERGE", "ThingTypeName": "REPLACE", "ThingGroups": "MERGE"},
            ({"site": "oslo", "version": "v1", "serialNumber": "77"}, "type", {"OR", "lights", "WA"}),
        ),
        (
            {"AttributePayload": "REPLACE", "ThingTypeName": "DO_NOTHING", "ThingGroups": "REPLACE"},
            ({"version": "v1", "serialNumber": "77"}, "old", {"lights", "WA"}),
        ),
        (
            {"AttributePayload": "DO_NOTHING", "ThingTypeName": "REPLACE", "ThingGroups": "DO_NOTHING"},
            ({"site": "oslo"}, "type", {"OR"}),
        ),
    ],
)
def test_a_thing_that_is_there_already(
    iot: Any,
    template: dict[str, Any],
    name: Name,
    settings: dict[str, str],
    expected: tuple[dict[str, str], str, set[str]] | None,
) -> None:
    """Property by property as OverrideSettings says; where it differs and nothing is said, it is refused."""
    iot.create_thing_type(thingTypeName=name("old"))
    attributes = {"attributes": {"site": "oslo"}}
    iot.create_thing(thingName=name("bulb"), thingTypeName=name("old"), attributePayload=attributes)
    iot.add_thing_to_thing_group(thingName=name("bulb"), thingGroupName=name("OR"))
    template["Resources"]["thing"]["OverrideSettings"] = settings
    parameters = {"ThingName": name("bulb"), "SerialNumber": "77", "CSR": request()}
    if expected is None:
        refusal = refused(iot.register_thing, templateBody=json.dumps(template), parameters=parameters)
        assert ("ResourceRegistrationFailureException", True) == (
            refusal.code,
            "ResourceConflictsException" in refusal.message,
        )
        return
    register(iot, template, **parameters)
    described = iot.describe_thing(thingName=name("bulb"))
    wanted_attributes, wanted_type, wanted_groups = expected
    assert (wanted_attributes, name(wanted_type)) == (described["attributes"], described["thingTypeName"])
    assert {name(one) for one in wanted_groups} == groups(iot, name("bulb"))


def test_the_same_thing_again_is_no_conflict(iot: Any, template: dict[str, Any], name: Name) -> None:
    """Without settings, as with CreateThing: the same configuration is success."""
    parameters = {"ThingName": name("bulb"), "SerialNumber": "77"}
    for _ in range(2):
        register(iot, template, **parameters, CSR=request())
    assert 1 == iot.describe_thing(thingName=name("bulb"))["version"]
    assert 2 == len(iot.list_thing_principals(thingName=name("bulb"))["principals"])


def by(**properties: str) -> dict[str, Any]:
    """A template of a certificate alone."""
    kinds = {key: {"Type": "String"} for key in properties.values()}
    wanted = {key: {"Ref": value} for key, value in properties.items()}
    resource: dict[str, Any] = {"Type": "AWS::IoT::Certificate", "Properties": {**wanted, "Status": "INACTIVE"}}
    return {"Parameters": kinds, "Resources": {"certificate": resource}}


def test_certificates_of_a_registered_ca(iot: Any, name: Name) -> None:
    """Registered by their PEM, once; one of a CA that nobody registered is refused."""
    factory = pki.Authority.create(name("factory"))
    issued = factory.issue(name("press"))
    parameters = {"Pem": issued.certificate_pem, "Ca": factory.certificate_pem}
    template = by(CertificatePem="Pem", CACertificatePem="Ca")
    refusal = refused(iot.register_thing, templateBody=json.dumps(template), parameters=parameters)
    assert "was not signed by a registered CA" in refusal.message
    iot.register_ca_certificate(caCertificate=factory.certificate_pem, certificateMode="SNI_ONLY", setAsActive=True)
    for _ in range(2):
        made = register(iot, template, **parameters)
        assert (issued.certificate_pem, issued.certificate_id) == (
            made["certificatePem"],
            made["resourceArns"]["certificate"].rpartition("/")[2],
        )


@pytest.mark.parametrize(
    ("held", "setting", "expected"),
    [
        ("ACTIVE", None, "INACTIVE"),
        ("ACTIVE", "REPLACE", "INACTIVE"),
        ("ACTIVE", "DO_NOTHING", "ACTIVE"),
        ("ACTIVE", "FAIL", None),
        ("REVOKED", None, None),
        ("REVOKED", "REPLACE", "INACTIVE"),
    ],
)
def test_the_status_of_a_certificate_that_is_there(
    iot: Any, certificate: Any, held: str, setting: str | None, expected: str | None
) -> None:
    """As OverrideSettings says; a revoked one comes back only where it says REPLACE."""
    identity = certificate(status=held)["certificateId"]
    template = by(CertificateId="Id")
    if setting:
        template["Resources"]["certificate"]["OverrideSettings"] = {"Status": setting}
    if expected is None:
        refusal = refused(iot.register_thing, templateBody=json.dumps(template), parameters={"Id": identity})
        assert "ResourceRegistrationFailureException" == refusal.code
        expected = held
    else:
        register(iot, template, Id=identity)
    assert expected == iot.describe_certificate(certificateId=identity)["certificateDescription"]["status"]


def test_an_exclusive_thing_of_a_policy_that_is_there(iot: Any, certificate: Any, name: Name) -> None:
    """The policy is named, the certificate is the thing's alone, the billing group is joined once."""
    iot.create_policy(
        policyName=name("own"), policyDocument=BULK["Resources"]["policy"]["Properties"]["PolicyDocument"]
    )
    iot.create_billing_group(billingGroupName=name("bills"))
    template = by(CertificateId="Id")
    template["Resources"]["certificate"]["Properties"]["ThingPrincipalType"] = "EXCLUSIVE_THING"
    template["Resources"]["policy"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": name("own")}}
    thing = {"ThingName": name("press"), "BillingGroup": name("bills")}
    template["Resources"]["thing"] = {"Type": "AWS::IoT::Thing", "Properties": thing}
    iot.create_thing(thingName=name("press"))
    identity = certificate()
    for _ in range(2):
        register(iot, template, Id=identity["certificateId"])
    principals = iot.list_thing_principals_v2(thingName=name("press"))["thingPrincipalObjects"]
    assert [(identity["certificateArn"], "EXCLUSIVE_THING")] == [
        (one["principal"], one["thingPrincipalType"]) for one in principals
    ]
    assert name("bills") == iot.describe_thing(thingName=name("press"))["billingGroupName"]
    template["Resources"]["policy"]["Properties"]["PolicyName"] = name("nowhere")
    refusal = refused(
        iot.register_thing, templateBody=json.dumps(template), parameters={"Id": identity["certificateId"]}
    )
    assert f"Policy not found (name={name('nowhere')})" in refusal.message
