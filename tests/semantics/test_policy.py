"""The policy evaluator: what is malformed, and the properties L1 to L6 and L10."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics import topics
from iotctl.semantics.policy import Decision, Policy, PolicyError, Request, evaluate, grants, parse
from tests import vectors

ARN = "arn:aws:iot:us-east-1:123456789012:"
ACTIONS = ["iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive"]
RESOURCES = ["topic/a", "topic/b", "topic/a/b", "client/a"]
VALUES = {"iot:ClientId": "a", "iot:Connection.Thing.ThingName": "b"}


def statement(effect: str, action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    """A statement of a policy document; resources are given without the beginning of their ARN."""
    each = [resource] if isinstance(resource, str) else resource
    return {"Effect": effect, "Action": action, "Resource": [r if r == "*" else ARN + r for r in each], **more}


def policy(*statements: dict[str, Any]) -> Policy:
    """A policy of these statements."""
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


STATEMENTS = st.builds(
    statement,
    st.sampled_from(["Allow", "Deny"]),
    st.lists(st.sampled_from([*ACTIONS, "iot:*", "*", "iot:Pub*"]), min_size=1, max_size=2),
    st.lists(
        st.sampled_from([*RESOURCES, "topic/*", "*", "topic/${iot:ClientId}", "topic/?/b", "topic/${iot:Missing}"]),
        min_size=1,
        max_size=2,
    ),
)
MANY = st.lists(STATEMENTS, max_size=5)
REQUESTS = st.builds(lambda a, r: Request(a, ARN + r, VALUES), st.sampled_from(ACTIONS), st.sampled_from(RESOURCES))


@given(MANY, REQUESTS)
def test_an_explicit_deny_wins(statements: list[dict[str, Any]], request: Request) -> None:
    """L1: where any statement denies, nothing else counts."""
    denials = [one for one in statements if one["Effect"] == "Deny"]
    denied = evaluate([policy(*denials)], request) is Decision.EXPLICIT_DENY
    assert denied == (evaluate([policy(*statements)], request) is Decision.EXPLICIT_DENY)


@given(MANY, STATEMENTS, REQUESTS)
def test_statements_only_add_what_they_say(
    statements: list[dict[str, Any]], more: dict[str, Any], request: Request
) -> None:
    """L2: one more Allow takes nothing away, one more Deny gives nothing."""
    before = evaluate([policy(*statements)], request) is Decision.ALLOWED
    after = evaluate([policy(*statements, more)], request) is Decision.ALLOWED
    assert (after or not before) if more["Effect"] == "Allow" else (before or not after)


@given(MANY, REQUESTS, st.randoms(use_true_random=False))
def test_order_and_division_do_not_count(statements: list[dict[str, Any]], request: Request, random: Any) -> None:
    """L3: statements may stand in any order, in one policy or in several."""
    shuffled = random.sample(statements, len(statements))
    several = [policy(one) for one in shuffled]
    assert evaluate([policy(*statements)], request) is evaluate(several, request)


@given(REQUESTS)
def test_nothing_is_allowed_by_default(request: Request) -> None:
    """L4: no policy, and a blank one as REPLACE_DEFAULT_POLICY_VERSION makes it."""
    assert evaluate([], request) is evaluate([policy()], request) is Decision.IMPLICIT_DENY


@given(st.text("ab*?$+#{}/", min_size=1, max_size=6), st.text("ab*?$+#{}/", max_size=8))
def test_a_variable_allows_its_value_and_nothing_else(value: str, topic: str) -> None:
    """L5: whatever a client calls itself, `topic/${iot:ClientId}` is one topic."""
    own = policy(statement("Allow", "iot:Publish", "topic/${iot:ClientId}"))
    bound = grants([own], {"iot:ClientId": value})
    assert (topic == value) == bound.allows("iot:Publish", f"{ARN}topic/{topic}")
    assert bound.allows("iot:Publish", f"{ARN}topic/{value}")


@vectors.rows("effect", ["Allow", "Deny"])
def test_a_missing_variable_matches_nothing(effect: str) -> None:
    """L6: a resource whose variable has no value is not there; the statement's other resources are."""
    one = policy(statement(effect, "iot:Publish", ["topic/${iot:Connection.Thing.ThingName}/*", "topic/b"]))
    bound = grants([one], {"iot:ClientId": "t"})
    assert bound.decide("iot:Publish", f"{ARN}topic/t/a") is Decision.IMPLICIT_DENY
    assert bound.decide("iot:Publish", f"{ARN}topic/b") is not Decision.IMPLICIT_DENY


@vectors.rows(("effect", "expected"), [("Allow", Decision.IMPLICIT_DENY), ("Deny", Decision.EXPLICIT_DENY)])
def test_a_missing_variable_in_not_resource_gives_nothing(effect: str, expected: Decision) -> None:
    """L6: "everything but what has no value" allows nothing and denies everything."""
    one = {"Effect": effect, "Action": "iot:Publish", "NotResource": f"{ARN}topic/${{iot:Missing}}"}
    everything = statement("Allow", "iot:Publish", "*") if effect == "Deny" else statement("Allow", "iot:Connect", "*")
    assert expected is evaluate([policy(one, everything)], Request("iot:Publish", f"{ARN}topic/a", {}))


FILTERS = st.lists(st.sampled_from(["a", "b", "restricted", "+"]), min_size=1, max_size=3).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"])])
)


@given(FILTERS, st.lists(st.sampled_from(["a", "b", "restricted"]), min_size=1, max_size=3).map("/".join))
def test_a_denied_topic_is_not_received_through_any_filter(topic_filter: str, topic: str) -> None:
    """L10: whatever was subscribed to, each message asks for iot:Receive on its own topic."""
    bound = grants(
        [
            policy(
                statement("Allow", "iot:Subscribe", "topicfilter/*"),
                statement("Allow", "iot:Receive", "topic/*"),
                statement("Deny", "iot:Receive", "topic/a/restricted*"),
            )
        ],
        {},
    )
    subscribed = bound.allows("iot:Subscribe", f"{ARN}topicfilter/{topic_filter}")
    delivered = (
        subscribed and topics.matches(topic_filter, topic) and bound.allows("iot:Receive", f"{ARN}topic/{topic}")
    )
    assert not (delivered and topic.startswith("a/restricted"))


@vectors.rows(
    ("pattern", "action", "expected"),
    [
        ("iot:*", "iot:Publish", True),
        ("*", "iot:Publish", True),
        ("iot:Get*", "iot:GetThingShadow", True),
        ("iot:Get*", "iot:UpdateThingShadow", False),
        ("iot:publish", "iot:Publish", True),
        ("greengrass:*", "greengrass:Discover", True),
        ("greengrass:*", "iot:Publish", False),
        ("iotjobsdata:DescribeJobExecution", "iot:DescribeJobExecution", True),
        ("iot:DescribeJobExecution", "iotjobsdata:DescribeJobExecution", True),
        ("iotjobsdata:*", "iot:UpdateJobExecution", True),
        ("iotjobsdata:*", "iot:Publish", False),
    ],
)
def test_actions_have_wildcards_and_no_case(pattern: str, action: str, expected: bool) -> None:
    """Actions follow IAM's conventions; those of job executions have two prefixes."""
    assert expected == policy(statement("Allow", pattern, "*")).statements[0].is_about(action)


def test_not_action_is_every_other_action() -> None:
    """NotAction follows IAM's conventions."""
    one = policy({"Effect": "Allow", "NotAction": ["iot:Publish", "iot:Re*"], "Resource": "*"}).statements[0]
    assert [one.is_about(a) for a in ("iot:Connect", "iot:Publish", "iot:Receive")] == [True, False, False]


def test_a_policy_names_the_values_it_asks_for() -> None:
    """TestAuthorization reports those that are missing."""
    condition = {"StringEquals": {"iot:DomainName": "${iot:ClientId}.example.com"}}
    one = policy(statement("Allow", "iot:Publish", "topic/${iot:Thing}/*", Condition=condition))
    assert {"iot:Thing", "iot:DomainName", "iot:ClientId"} == one.variables


def test_policies_of_2008_have_no_variables() -> None:
    """The IAM guide's "Version": in the first version of the language a variable is plain text."""
    document = {"Version": "2008-10-17", "Statement": statement("Allow", "iot:Publish", "topic/${iot:ClientId}")}
    bound = grants([parse(json.dumps(document))], {"iot:ClientId": "c"})
    assert [bound.allows("iot:Publish", ARN + t) for t in ("topic/c", "topic/${iot:ClientId}")] == [False, True]


@vectors.rows("value", ["a*", "a?", "a+b", "a#", "$a", "x" * 1025])
def test_certificate_values_with_wildcards_are_not_replaced(value: str) -> None:
    """cert-policy-variables, "limitations": the variable stays and authorization fails."""
    one = policy(statement("Allow", "iot:Publish", "topic/${iot:Certificate.Subject.CommonName}"))
    bound = grants([one], {"iot:Certificate.Subject.CommonName": value})
    assert not bound.allows("iot:Publish", f"{ARN}topic/{value}")


def broken(**changes: Any) -> str:
    """A good policy with other keys in its only statement; None takes a key away."""
    one = statement("Allow", "iot:Publish", "topic/a") | changes
    return json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in one.items() if v is not None}]})


@vectors.rows(
    ("document", "reason"),
    [
        ("", "not usable JSON"),
        ("{", "not usable JSON"),
        ("[]", "Invalid policy syntax"),
        ('{"Version":"2012-10-17"}', "no Statement"),
        ('{"Statement":[]}', "Version"),
        ('{"Version":"2020-01-01","Statement":[]}', "Version"),
        ('{"Version":"2012-10-17","Statement":[],"Extra":1}', "Invalid policy syntax"),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "twice"),
        ('{"Version":"2012-10-17","Statement":[[]]}', "Invalid policy syntax"),
        ('{"Version":["2012-10-17"],"Statement":[]}', "Version"),
        (broken(Effect=None), "Effect"),
        (broken(Effect="allow"), "Effect"),
        (broken(Effect=["Allow"]), "Effect"),
        (broken(Action=None), "either Action or NotAction"),
        (broken(NotAction="iot:Connect"), "either Action or NotAction"),
        (broken(Action=[]), "Action is not text"),
        (broken(Action=["iot:Connect", 1]), "Action is not text"),
        (broken(Action="Connect"), "actions are invalid : Connect"),
        (broken(Resource=None), "either Resource or NotResource"),
        (broken(Resource="topic/a"), "resources are invalid : topic/a"),
        (broken(Resource=""), "Resource is not text"),
        (broken(Resource=f"{ARN}topic/${{iot:ClientId"), "without an end"),
        (broken(Resource=f"{ARN}topic/${{}}"), "not a policy variable"),
        (broken(Principal="*"), "Invalid policy syntax"),
        (broken(Sid=1), "Sid"),
        (broken(Condition=[]), "Condition is not an object"),
        (broken(Condition={"Bool": True}), "Bool is not an object"),
        (broken(Condition={"StringLooksLike": {"a:b": "c"}}), "StringLooksLike is not a condition operator"),
        (broken(Condition={"IpAddress": {"aws:SourceIp": "300.0.0.1"}}), "300.0.0.1"),
        (broken(Condition={"Bool": {"iot:Connection.Thing.IsAttached": None}}), "condition value"),
        (json.dumps({"Version": "2012-10-17", "Statement": [], "Id": "x" * 2048}), "2048 characters"),
    ],
)
def test_malformed_documents_are_refused(document: str, reason: str) -> None:
    """Each in the words that begin AWS's MalformedPolicyException, with its reason."""
    with pytest.raises(PolicyError, match=f"^Policy document is Malformed: .*{reason}"):
        parse(document)


def test_white_space_does_not_count_for_the_size() -> None:
    """2048 characters without white space; a Statement may be one object, Id and Sid are allowed."""
    document = {"Version": "2012-10-17", "Id": "i", "Statement": statement("Allow", "iot:Publish", "topic/a", Sid="s")}
    assert parse(json.dumps(document, indent=900)).statements[0].sid == "s"


@given(st.text(max_size=40))
def test_any_text_is_a_policy_or_malformed(document: str) -> None:
    """No text raises anything but a PolicyError."""
    try:
        parse(document)
    except PolicyError as error:
        message = str(error)
    else:
        message = "Policy document is Malformed"
    assert message.startswith("Policy document is Malformed")
