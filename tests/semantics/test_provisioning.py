"""Provisioning templates: the developer guide's own samples, and what is refused of others."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import provisioning, registration
from iotctl.semantics.intrinsics import TemplateError
from iotctl.semantics.provisioning import Kind, Override
from iotctl.semantics.registration import Certificate, Policy, Registration, Thing
from tests import vectors

DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["iot:Publish"],
            "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/foo/bar"],
        }
    ],
}
TEXT = json.dumps(DOCUMENT)

BULK: dict[str, Any] = {
    "Parameters": {
        "ThingName": {"Type": "String"},
        "SerialNumber": {"Type": "String"},
        "Location": {"Type": "String", "Default": "WA"},
        "CSR": {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "ThingName"},
                "AttributePayload": {"version": "v1", "serialNumber": {"Ref": "SerialNumber"}},
                "ThingTypeName": "lightBulb-versionA",
                "ThingGroups": ["v1-lightbulbs", {"Ref": "Location"}],
            },
            "OverrideSettings": {
                "AttributePayload": "MERGE",
                "ThingTypeName": "REPLACE",
                "ThingGroups": "DO_NOTHING",
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": TEXT}},
    },
}
"""provision-template, "Template example for bulk registration", with the settings of "Resource example"."""

JUST_IN_TIME: dict[str, Any] = {
    "Parameters": {
        f"AWS::IoT::Certificate::{name}": {"Type": "String"} for name in ("CommonName", "SerialNumber", "Country", "Id")
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
                "AttributePayload": {"version": "v1", "serialNumber": {"Ref": "AWS::IoT::Certificate::SerialNumber"}},
                "ThingTypeName": "lightBulb-versionA",
                "ThingGroups": ["v1-lightbulbs", {"Ref": "AWS::IoT::Certificate::Country"}],
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
            "OverrideSettings": {"Status": "DO_NOTHING"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": TEXT}},
    },
}
"""provision-template, "Template example for just-in-time provisioning (JITP)"."""

FLEET: dict[str, Any] = {
    "Parameters": {name: {"Type": "String"} for name in ("ThingName", "SerialNumber", "DeviceLocation")},
    "Mappings": {"LocationTable": {"Seattle": {"LocationUrl": "https://example.aws"}}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "AttributePayload": {"version": "v1", "serialNumber": "serialNumber"},
                "ThingName": {"Ref": "ThingName"},
                "ThingTypeName": {"Fn::Join": ["", ["ThingPrefix_", {"Ref": "SerialNumber"}]]},
                "ThingGroups": ["v1-lightbulbs", "WA"],
                "BillingGroup": "LightBulbBillingGroup",
            },
            "OverrideSettings": {"AttributePayload": "MERGE", "ThingTypeName": "REPLACE", "ThingGroups": "DO_NOTHING"},
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": DOCUMENT}},
    },
    "DeviceConfiguration": {
        "FallbackUrl": "https://www.example.com/test-site",
        "LocationUrl": {"Fn::FindInMap": ["LocationTable", {"Ref": "DeviceLocation"}, "LocationUrl"]},
    },
}
"""provision-template, "Template example for fleet provisioning"."""

POLICY = Policy("policy", registration.policy_name(TEXT), TEXT)
SETTINGS = {
    "AttributePayload": Override.MERGE,
    "ThingTypeName": Override.REPLACE,
    "ThingGroups": Override.DO_NOTHING,
}


def evaluated(template: dict[str, Any], kind: Kind, **parameters: str) -> Registration:
    """What a template wants."""
    return registration.evaluate(provisioning.parse(json.dumps(template), kind), parameters)


def test_the_guides_template_for_bulk_registration() -> None:
    """Defaults stand in for what is not given; a policy without a name is named after its document."""
    wanted = evaluated(BULK, Kind.REGISTRATION, ThingName="foo", SerialNumber="123", CSR="csr1")
    attributes = {"version": "v1", "serialNumber": "123"}
    thing = Thing("thing", "foo", attributes, "lightBulb-versionA", ("v1-lightbulbs", "WA"), None, overrides=SETTINGS)
    assert Registration(thing, Certificate("certificate", csr="csr1"), (POLICY,), {}) == wanted
    assert (40, POLICY.name.upper()) == (len(POLICY.name), POLICY.name)


def test_the_guides_template_for_just_in_time_provisioning() -> None:
    """Its parameters are what the certificate says of its subject, and the certificate's id."""
    subject = {"CommonName": ("bulb-1",), "SerialNumber": ("77", "78"), "Country": ("NO",), "State": ("Viken",)}
    found = registration.certificate_parameters("ab" * 32, subject)
    assert "Viken" == found["AWS::IoT::Certificate::StateName"]
    wanted = evaluated(JUST_IN_TIME, Kind.JUST_IN_TIME, **found)
    assert wanted.thing is not None
    assert ("bulb-1", {"version": "v1", "serialNumber": "77"}, ("v1-lightbulbs", "NO")) == (
        wanted.thing.name,
        wanted.thing.attributes,
        wanted.thing.groups,
    )
    assert Certificate("certificate", certificate_id="ab" * 32, override=Override.DO_NOTHING) == wanted.certificate


def test_the_guides_template_for_fleet_provisioning() -> None:
    """The id of the certificate need not be declared; maps and functions make the device's configuration."""
    given = {"ThingName": "bulb-2", "SerialNumber": "9", "DeviceLocation": "Seattle"}
    wanted = evaluated(FLEET, Kind.FLEET, **given, **{provisioning.CERTIFICATE_ID: "cd" * 32})
    assert wanted.thing is not None
    assert ("ThingPrefix_9", "LightBulbBillingGroup") == (wanted.thing.type_name, wanted.thing.billing_group)
    assert Certificate("certificate", certificate_id="cd" * 32) == wanted.certificate
    assert (Policy("policy", registration.policy_name(TEXT), TEXT),) == wanted.policies
    assert {
        "FallbackUrl": "https://www.example.com/test-site",
        "LocationUrl": "https://example.aws",
    } == wanted.device_configuration


def test_just_in_time_provisioning_needs_every_declared_parameter() -> None:
    """A certificate without a country is refused where the template declares it, used or not."""
    template = copy.deepcopy(JUST_IN_TIME)
    template["Resources"]["thing"]["Properties"]["ThingGroups"] = ["v1-lightbulbs"]
    found = registration.certificate_parameters("ab" * 32, {"CommonName": ("b",), "SerialNumber": ("7",)})
    with pytest.raises(TemplateError) as caught:
        evaluated(template, Kind.JUST_IN_TIME, **found)
    assert "the certificate has no value for AWS::IoT::Certificate::Country" == str(caught.value)


def test_an_exclusive_thing() -> None:
    """A certificate may say that the thing is its only one."""
    template = copy.deepcopy(FLEET)
    template["Resources"]["certificate"]["Properties"]["ThingPrincipalType"] = "EXCLUSIVE_THING"
    given = {"ThingName": "b", "SerialNumber": "9", "DeviceLocation": "Seattle", provisioning.CERTIFICATE_ID: "c" * 64}
    certificate = evaluated(template, Kind.FLEET, **given).certificate
    assert certificate is not None
    assert "EXCLUSIVE_THING" == certificate.principal_type


def changed(path: str, value: Any) -> str:
    """The bulk template with one thing changed; None removes it."""
    template = copy.deepcopy(BULK)
    place = template
    *above, last = path.split("/")
    for key in above:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(template)


@vectors.rows(
    ("body", "reason"),
    [
        ("{'a': 1}", "JSON not well-formed"),
        ("[]", "it is not an object"),
        ('{"Parameters": {}}', "Resources has no resource"),
        ('{"Resource": {}}', "Resource is not a section"),
        ('{"Resources": {}, "Resources": {}}', "JSON not well-formed"),
        (json.dumps(FLEET), "DeviceConfiguration is not a section of a template for RegisterThing"),
        (changed("Parameters/CSR/Type", "Number"), "is not of the type String"),
        (changed("Parameters/Location/Default", 1), "is not a string"),
        (changed("Resources/thing/Type", "AWS::IoT::Device"), "is not of the type"),
        (changed("Resources/thing/Properties/Name", "x"), "Name is not a property of AWS::IoT::Thing"),
        (changed("Resources/thing/Properties/ThingName", None), "has no ThingName"),
        (changed("Resources/second", BULK["Resources"]["thing"]), "more than one AWS::IoT::Thing"),
        (changed("Resources/thing/OverrideSettings/ThingTypeName", "MERGE"), "ThingTypeName cannot be MERGE"),
        (changed("Resources/thing/OverrideSettings/BillingGroup", "FAIL"), "has no BillingGroup"),
        (changed("Resources/policy/OverrideSettings", {"Status": "FAIL"}), "has no Status"),
        (changed("Resources/certificate/Properties/CertificateId", "x"), "exactly one of"),
        (changed("Resources/certificate/Properties", {"CACertificatePem": "x"}), "exactly one of"),
        (changed("Resources/certificate/Properties/CACertificatePem", "x"), "no CertificatePem"),
        (changed("Resources/policy/Properties", {}), "Neither policyName nor policyDocument"),
        (changed("Resources/policy/Properties/PolicyName", "x"), "both PolicyName and PolicyDocument"),
    ],
)
def test_a_template_that_is_refused(body: str, reason: str) -> None:
    """Each with its reason; a word that is not documented is not ignored."""
    with pytest.raises(TemplateError) as caught:
        provisioning.parse(body)
    assert reason in str(caught.value)


@vectors.rows("kind", [Kind.FLEET, Kind.JUST_IN_TIME])
def test_services_know_certificates_by_their_id(kind: Kind) -> None:
    """Neither fleet nor just-in-time provisioning takes a CSR."""
    template = {**BULK, "Parameters": {}}
    with pytest.raises(TemplateError) as caught:
        provisioning.parse(json.dumps(template), kind)
    assert "must be specified by its CertificateId" in str(caught.value)


def test_just_in_time_provisioning_has_parameters_of_its_own() -> None:
    """A device says nothing but its certificate, so nothing else can be declared."""
    template = {**JUST_IN_TIME, "Parameters": {"SerialNumber": {"Type": "String"}}}
    with pytest.raises(TemplateError) as caught:
        provisioning.parse(json.dumps(template), Kind.JUST_IN_TIME)
    assert "SerialNumber is not a parameter" in str(caught.value)


@vectors.rows(
    ("path", "value", "reason"),
    [
        ("Resources/thing/Properties/ThingName", {"Ref": "Nothing"}, "Cannot resolve reference value: Nothing"),
        ("Resources/thing/Properties/ThingName", {"Ref": "thing"}, "Cannot resolve reference value: thing"),
        ("Resources/thing/Properties/ThingName", "no spaces", "the thing name 'no spaces' has ' '"),
        ("Resources/thing/Properties/ThingName", "", "ThingName is not a string"),
        ("Resources/thing/Properties/AttributePayload/n", 1, "AttributePayload is not an object of strings"),
        ("Resources/thing/Properties/AttributePayload/n", "ø", "the attribute value 'ø' has 'ø'"),
        ("Resources/thing/Properties/ThingGroups", "one", "ThingGroups is not a list of names"),
        ("Resources/thing/Properties/ThingGroups", ["a b"], "the thing group name 'a b' has ' '"),
        ("Resources/certificate/Properties/Status", "REVOKED", "Status is not one of ACTIVE, INACTIVE"),
        ("Resources/policy/Properties/PolicyDocument", [], "neither a string nor an object"),
        ("Resources/policy/Properties", {"PolicyName": "a/b"}, "the policy name 'a/b' has '/'"),
    ],
)
def test_values_that_are_refused(path: str, value: Any, reason: str) -> None:
    """What a property cannot be is found when the parameters are there."""
    template = provisioning.parse(changed(path, value))
    with pytest.raises(TemplateError) as caught:
        registration.evaluate(template, {"ThingName": "t", "SerialNumber": "1", "CSR": "c"})
    assert reason in str(caught.value)


def test_configurations_are_flat_and_maps_are_plain() -> None:
    """No nested object reaches a device, and a map calls no function."""
    nested = {**FLEET, "DeviceConfiguration": {"a": {"b": "c"}}}
    given = {"ThingName": "b", "SerialNumber": "9", "DeviceLocation": "Seattle", provisioning.CERTIFICATE_ID: "c" * 64}
    with pytest.raises(TemplateError) as caught:
        evaluated(nested, Kind.FLEET, **given)
    assert "no nested objects" in str(caught.value)
    calling = {**FLEET, "Mappings": {"M": {"a": {"b": {"Ref": "ThingName"}}}}}
    with pytest.raises(TemplateError) as caught:
        provisioning.parse(json.dumps(calling), Kind.FLEET)
    assert "the map M calls a function" == str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Ref", "Fn::Sub", "Type", "Default", "Status", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


SAMPLES = ((BULK, Kind.REGISTRATION), (JUST_IN_TIME, Kind.JUST_IN_TIME), (FLEET, Kind.FLEET))
PLACES = [(sample, place) for sample in SAMPLES for place in places(sample[0]) if place]


@given(where=st.sampled_from(PLACES), damage=ANYTHING)
def test_any_damage_is_an_error_of_the_template(where: Any, damage: Any) -> None:
    """With any JSON in any place of a template it says something, or TemplateError is raised and nothing else."""
    (sample, kind), (*above, last) = where
    template = copy.deepcopy(sample)
    holder: Any = template
    for key in above:
        holder = holder[key]
    holder[last] = damage
    given_values = dict.fromkeys([*BULK["Parameters"], *FLEET["Parameters"], *provisioning.CERTIFICATE_PARAMETERS], "x")
    with contextlib.suppress(TemplateError):
        wanted = registration.evaluate(provisioning.parse(json.dumps(template), kind), given_values)
        assert wanted.thing is None or wanted.thing.name
