"""The names that AWS IoT accepts, against botocore's own model of the service."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from iotctl.aws import service_model
from iotctl.semantics import names
from tests import vectors

_RULES = {
    "ThingName": names.THING_NAME,
    "ThingTypeName": names.THING_TYPE_NAME,
    "ThingGroupName": names.THING_GROUP_NAME,
    "BillingGroupName": names.BILLING_GROUP_NAME,
    "PolicyName": names.POLICY_NAME,
    "AttributeName": names.ATTRIBUTE_NAME,
    "AttributeValue": names.ATTRIBUTE_VALUE,
}


@vectors.rows("shape", _RULES)
def test_every_rule_is_the_service_models(shape: str) -> None:
    """Alphabet and lengths are those of botocore's model (which allows an empty attribute name, and we do not)."""
    rule, model = _RULES[shape], service_model("iot").shape_for(shape).metadata
    repeat = "*" if shape == "AttributeValue" else "+"
    assert (model["pattern"], model["max"]) == (f"{rule.alphabet}{repeat}", rule.longest)
    assert (0 if repeat == "*" else 1) == rule.shortest


@vectors.rows("shape", _RULES)
@given(value=st.text(max_size=140) | st.from_regex(r"[a-zA-Z0-9:_.,@/#=-]{0,130}\n?", fullmatch=True))
def test_a_name_is_accepted_when_the_model_accepts_it(shape: str, value: str) -> None:
    """For any text the verdict is the model's, whole and in ASCII; a trailing line feed is never overlooked."""
    rule, model = _RULES[shape], service_model("iot").shape_for(shape).metadata
    fits = re.fullmatch(model["pattern"], value, re.ASCII) is not None and len(value) <= model["max"]
    assert fits == (rule.fault(value) == "")


@vectors.rows(
    ("value", "reason"),
    [
        ("", "the thing name is empty"),
        ("x" * 129, "the thing name has 129 characters, more than 128"),
        ("../../etc/passwd", "the thing name '../../etc/passwd' has '.'; allowed: letters, digits, : _ -"),
        ("ok\n", "the thing name 'ok\\n' has '\\n'; allowed: letters, digits, : _ -"),
        ("é", "the thing name 'é' has 'é'; allowed: letters, digits, : _ -"),
        ("-rf", ""),
        ("a:b", ""),
        ("CON", ""),
    ],
)
def test_a_refused_name_says_why(value: str, reason: str) -> None:
    """The reason names what is wrong and what is allowed."""
    assert reason == names.THING_NAME.fault(value)
