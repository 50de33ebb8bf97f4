"""The policy variables of certificates: cert-policy-variables."""

from __future__ import annotations

from iotctl.semantics.policy_variables import certificate_variables


def test_an_attribute_has_its_first_value_the_others_by_number_and_all_as_a_list() -> None:
    """The page's numbers count from the second value."""
    expected = {
        "iot:Certificate.Subject.Country": "US",
        "iot:Certificate.Subject.Country.1": "DE",
        "iot:Certificate.Subject.Country.2": "FR",
        "iot:Certificate.Subject.Country.List": ("US", "DE", "FR"),
    }
    assert expected == certificate_variables("Subject", {"Country": ["US", "DE", "FR"], "Title": []})


def test_only_five_values_count() -> None:
    """The page's limitation for arrays."""
    found = certificate_variables("Issuer", {"OrganizationalUnit": list("abcdefg")})
    assert tuple("abcde") == found["iot:Certificate.Issuer.OrganizationalUnit.List"]
    assert "iot:Certificate.Issuer.OrganizationalUnit.5" not in found


def test_special_characters_stand_behind_a_backslash() -> None:
    """The page's example of a distinguished name."""
    name = "Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US"
    expected = r"Amazon Web Services O\=Amazon.com Inc. L\=Seattle ST\=Washington C\=US"
    assert expected == certificate_variables("Issuer", {"CommonName": [name]})["iot:Certificate.Issuer.CommonName"]
