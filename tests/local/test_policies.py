"""Policies: versions, attachments, what is in effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.local.services.certificates import certificate_active, create_certificate_from_csr, update_certificate
from iotctl.local.services.group_members import add_thing_to_thing_group
from iotctl.local.services.policies import create_policy, create_policy_version
from iotctl.local.services.policy_attachments import attach_policy, policies_of
from iotctl.local.services.principals import attach_thing_principal
from iotctl.local.services.thing_groups import create_thing_group
from iotctl.local.services.things import create_thing
from tests.local.conftest import Name, refused

if TYPE_CHECKING:
    from iotctl.local.store import Store

Register = Callable[..., dict[str, str]]


def document(action: str = "iot:Connect") -> str:
    """A policy document that allows one action."""
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_is_answered_as_it_was_given(iot: Any, name: Name) -> None:
    """GetPolicy answers the document text, and the default version is 1."""
    iot.create_policy(policyName=name("p"), policyDocument=document())
    found = iot.get_policy(policyName=name("p"))
    assert (document(), "1") == (found["policyDocument"], found["defaultVersionId"])


def test_the_same_policy_again_is_refused(iot: Any, name: Name) -> None:
    """CreatePolicy is not repeatable, in AWS's words."""
    iot.create_policy(policyName=name("p"), policyDocument=document())
    refusal = refused(iot.create_policy, policyName=name("p"), policyDocument=document())
    expected = f"Policy cannot be created - name already exists (name={name('p')})"
    assert ("ResourceAlreadyExistsException", 409, expected) == (refusal.code, refusal.status, refusal.message)


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "{}",
        "[]",
        document().replace("Allow", "Perhaps"),
        document("iot:" + "x" * 2048),
    ],
)
def test_a_malformed_document_is_refused(iot: Any, name: Name, bad: str) -> None:
    """What is no policy is MalformedPolicyException, for policies and for versions."""
    refusal = refused(iot.create_policy, policyName=name("p"), policyDocument=bad)
    assert (refusal.code, refusal.status) == ("MalformedPolicyException", 400)
    iot.create_policy(policyName=name("q"), policyDocument=document())
    refusal = refused(iot.create_policy_version, policyName=name("q"), policyDocument=bad)
    assert refusal.code == "MalformedPolicyException"


def test_five_versions(iot: Any, name: Name) -> None:
    """A policy holds five versions; ids are never used again; the default one is not deleted."""
    iot.create_policy(policyName=name("p"), policyDocument=document())
    for _ in range(4):
        iot.create_policy_version(policyName=name("p"), policyDocument=document("iot:Publish"))
    refusal = refused(iot.create_policy_version, policyName=name("p"), policyDocument=document())
    assert (refusal.code, refusal.status) == ("VersionsLimitExceededException", 409)
    assert (
        refused(iot.delete_policy_version, policyName=name("p"), policyVersionId="1").code == "DeleteConflictException"
    )
    iot.delete_policy_version(policyName=name("p"), policyVersionId="5")
    made = iot.create_policy_version(policyName=name("p"), policyDocument=document(), setAsDefault=True)
    assert (made["policyVersionId"], made["isDefaultVersion"]) == ("6", True)
    versions = iot.list_policy_versions(policyName=name("p"))["policyVersions"]
    expected = [("6", True), ("4", False), ("3", False), ("2", False), ("1", False)]
    assert expected == [(one["versionId"], one["isDefaultVersion"]) for one in versions]


def test_another_version_takes_effect(iot: Any, name: Name) -> None:
    """SetDefaultPolicyVersion changes what GetPolicy answers."""
    iot.create_policy(policyName=name("p"), policyDocument=document())
    iot.create_policy_version(policyName=name("p"), policyDocument=document("iot:Publish"))
    iot.set_default_policy_version(policyName=name("p"), policyVersionId="2")
    assert document("iot:Publish") == iot.get_policy(policyName=name("p"))["policyDocument"]
    assert not iot.get_policy_version(policyName=name("p"), policyVersionId="1")["isDefaultVersion"]
    missing = refused(iot.set_default_policy_version, policyName=name("p"), policyVersionId="9")
    assert (missing.code, missing.status) == ("ResourceNotFoundException", 404)


def test_a_policy_in_use_is_not_deleted(iot: Any, name: Name, certificate: Register) -> None:
    """Other versions and attachments keep a policy (DeleteConflictException)."""
    target = certificate()["certificateArn"]
    iot.create_policy(policyName=name("p"), policyDocument=document())
    iot.create_policy_version(policyName=name("p"), policyDocument=document())
    assert refused(iot.delete_policy, policyName=name("p")).code == "DeleteConflictException"
    iot.delete_policy_version(policyName=name("p"), policyVersionId="2")
    iot.attach_policy(policyName=name("p"), target=target)
    assert refused(iot.delete_policy, policyName=name("p")).code == "DeleteConflictException"
    iot.detach_policy(policyName=name("p"), target=target)
    iot.detach_policy(policyName=name("p"), target=target)
    iot.delete_policy(policyName=name("p"))
    assert refused(iot.get_policy, policyName=name("p")).code == "ResourceNotFoundException"


def test_attachments_are_listed_from_both_sides(iot: Any, name: Name, certificate: Register) -> None:
    """A policy's targets, a target's policies, by the new names and the old."""
    principal = certificate()["certificateArn"]
    group = iot.create_thing_group(thingGroupName=name("g"))["thingGroupArn"]
    iot.create_policy(policyName=name("p"), policyDocument=document())
    for _ in range(2):
        iot.attach_policy(policyName=name("p"), target=principal)
        iot.attach_policy(policyName=name("p"), target=group)
    assert sorted([principal, group]) == iot.list_targets_for_policy(policyName=name("p"))["targets"]
    assert [principal] == iot.list_policy_principals(policyName=name("p"))["principals"]
    for listed in (iot.list_attached_policies(target=principal), iot.list_principal_policies(principal=principal)):
        assert [name("p")] == [policy["policyName"] for policy in listed["policies"]]
    iot.detach_principal_policy(policyName=name("p"), principal=principal)
    assert iot.list_attached_policies(target=principal)["policies"] == []
    iot.attach_principal_policy(policyName=name("p"), principal=principal)
    assert [principal] == iot.list_policy_principals(policyName=name("p"))["principals"]


def test_how_many_policies_a_target_takes(iot: Any, name: Name, certificate: Register) -> None:
    """Ten on a certificate, two on a group; one more is LimitExceededException (410)."""
    for number in range(11):
        iot.create_policy(policyName=name(f"p{number}"), policyDocument=document())
    group = iot.create_thing_group(thingGroupName=name("g"))["thingGroupArn"]
    for target, most in ((certificate()["certificateArn"], 10), (group, 2)):
        for number in range(most):
            iot.attach_policy(policyName=name(f"p{number}"), target=target)
        refusal = refused(iot.attach_policy, policyName=name(f"p{most}"), target=target)
        assert (refusal.code, refusal.status) == ("LimitExceededException", 410)


def test_unknown_targets(iot: Any, name: Name, certificate: Register) -> None:
    """Missing targets and policies are ResourceNotFoundException, nonsense InvalidRequestException."""
    arn = certificate()["certificateArn"]
    iot.create_policy(policyName=name("p"), policyDocument=document())
    group = arn.rpartition(":")[0] + ":thinggroup/" + name("none")
    for target, code in (
        (arn[:-4] + "0000", "ResourceNotFoundException"),
        (group, "ResourceNotFoundException"),
        ("nobody", "InvalidRequestException"),
    ):
        assert code == refused(iot.attach_policy, policyName=name("p"), target=target).code
    assert refused(iot.attach_policy, policyName=name("none"), target=arn).code == "ResourceNotFoundException"


def test_policies_of_the_groups_above(iot: Any, name: Name, certificate: Register) -> None:
    """A group inherits; GetEffectivePolicies answers those of the principal and of the thing's groups."""
    principal = certificate()["certificateArn"]
    iot.create_thing(thingName=name("t"))
    iot.create_thing_group(thingGroupName=name("site"))
    iot.create_thing_group(thingGroupName=name("hall"), parentGroupName=name("site"))
    iot.add_thing_to_thing_group(thingName=name("t"), thingGroupName=name("hall"))
    arn = iot.describe_thing_group(thingGroupName=name("hall"))["thingGroupArn"]
    for policy, target in (("own", principal), ("hall", arn), ("site", arn.replace(name("hall"), name("site")))):
        iot.create_policy(policyName=name(policy), policyDocument=document())
        iot.attach_policy(policyName=name(policy), target=target)

    def listed(answer: dict[str, Any], key: str) -> set[str]:
        return {policy["policyName"] for policy in answer[key]}

    assert {name("hall")} == listed(iot.list_attached_policies(target=arn), "policies")
    assert {name("hall"), name("site")} == listed(iot.list_attached_policies(target=arn, recursive=True), "policies")
    effective = iot.get_effective_policies(principal=principal, thingName=name("t"))
    assert {name("own"), name("hall"), name("site")} == listed(effective, "effectivePolicies")
    assert document() == effective["effectivePolicies"][0]["policyDocument"]
    assert {name("own")} == listed(iot.get_effective_policies(principal=principal), "effectivePolicies")


def test_what_decides_on_a_connection(store: Store) -> None:
    """A group's policies count only for a thing that the certificate is attached to."""
    from tests.local.test_certificates import csr, ec

    request = csr(ec.generate_private_key(ec.SECP256R1()))
    made = create_certificate_from_csr(store, request, setAsActive=True)
    create_thing(store, "t")
    group = create_thing_group(store, "g")["thingGroupArn"]
    add_thing_to_thing_group(store, thingName="t", thingGroupName="g")
    create_policy(store, "own", document("iot:Connect"))
    create_policy(store, "group", document("iot:Publish"))
    create_policy_version(store, "group", document("iot:Receive"), setAsDefault=True)
    attach_policy(store, "own", made["certificateArn"])
    attach_policy(store, "group", group)
    assert [document("iot:Connect")] == policies_of(store, made["certificateId"], "t")
    attach_thing_principal(store, "t", made["certificateArn"])
    assert [document("iot:Connect"), document("iot:Receive")] == policies_of(store, made["certificateId"], "t")
    assert certificate_active(store, made["certificateId"])
    update_certificate(store, made["certificateId"], "REVOKED")
    assert not certificate_active(store, made["certificateId"])
