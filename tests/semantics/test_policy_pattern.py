"""Wildcards and variables of policies: L5, L7 and L8 of the evaluator's properties."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.policy_pattern import Pattern, Wildcard, arn_parts, template
from tests import vectors

ALPHABET = "ab*?$+#{}/:"
PATTERNS = st.text("ab*?/+#", max_size=10)
TEXTS = st.text("ab/+#*?", max_size=10)


def pattern(text: str, **values: str) -> Pattern:
    """A pattern in which the variable `${iot:name}` has the value `name=...`."""
    bound = template(text).bind(lambda name: values.get(name.removeprefix("iot:")))
    assert bound is not None
    return bound


@given(PATTERNS, TEXTS)
def test_wildcards_match_like_a_regular_expression(text: str, candidate: str) -> None:
    """L7: `*` is any text, `?` one character, everything else itself, case included."""
    model = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in text)
    assert (re.fullmatch(model, candidate, re.DOTALL) is not None) == pattern(text).matches(candidate)


@given(st.text("ab*?", max_size=4), st.text(ALPHABET, min_size=1, max_size=4), st.text("ab*?", max_size=4), TEXTS)
def test_a_value_never_widens_a_pattern(before: str, value: str, after: str, candidate: str) -> None:
    """L5: with its value in it, the pattern matches what it matches with the value spelled out literally."""
    literal = re.escape(value)
    model = "".join({"*": ".*", "?": "."}.get(c, c) for c in before) + literal
    model += "".join({"*": ".*", "?": "."}.get(c, c) for c in after)
    bound = pattern(f"{before}${{iot:v}}{after}", v=value)
    assert (re.fullmatch(model, candidate, re.DOTALL) is not None) == bound.matches(candidate)
    assert bound.matches(before.replace("*", "").replace("?", "a") + value + after.replace("*", "").replace("?", "b"))


@vectors.rows("text", ["*a" * 900 + "b", "*a*a*a*b", "a*" * 1000 + "b", "?*" * 900 + "b", "*?a" * 600 + "b"])
def test_matching_does_not_explode(text: str) -> None:
    """L8: many wildcards against 2 KB that almost match cost no more than the text times the pieces."""
    compiled = pattern(text)
    started = time.process_time()
    assert not compiled.matches("a" * 2048 + "c")
    assert time.process_time() - started < 0.5


@vectors.rows(
    ("text", "candidate", "expected"),
    [
        ("some/+/topic", "some/+/topic", True),
        ("some/+/topic", "some/a/topic", False),
        ("some/*/topic", "some/string1/topic", True),
        ("some/*/topic", "some/a/b/topic", True),
        ("topic/some/?????/topic", "topic/some/abcde/topic", True),
        ("topic/some/?????/topic", "topic/some/abcd/topic", False),
        ("a*a", "a", False),
        ("*", "", True),
        ("", "", True),
        ("a*", "A", False),
        ("${*}", "*", True),
        ("${*}", "a", False),
        ("${?}${$}", "?$", True),
    ],
)
def test_examples_of_the_pages(text: str, candidate: str, expected: bool) -> None:
    """pub-sub-policy's table of wildcards and iot-policy-variables' special characters."""
    assert expected == pattern(text).matches(candidate)


def test_a_pattern_knows_when_it_is_one_text_or_one_prefix() -> None:
    """What lets many resources be looked up at once."""
    found = [(pattern(text).exact, pattern(text).prefix) for text in ("a/b", "a/*", "*", "a/*/b", "a?", "a?*")]
    assert found == [("a/b", None), (None, "a/"), (None, ""), (None, None), (None, None), (None, None)]


def test_a_missing_value_leaves_no_pattern() -> None:
    """L6: a text with a variable that has no value matches nothing."""
    assert template("a/${iot:ClientId}/${iot:Other}").bind({"iot:ClientId": "c"}.get) is None


def test_variables_are_found_by_name() -> None:
    """Names of thing attributes and of other services are variables too."""
    text = "${iot:Connection.Thing.Attributes[envType]}/${cognito-identity.amazonaws.com:sub}"
    names = {"iot:Connection.Thing.Attributes[envType]", "cognito-identity.amazonaws.com:sub"}
    assert names == template(text).variables


@vectors.rows("text", ["${", "${iot:ClientId", "${}", "${ClientId}", "${iot:a b}", "a${iot:${iot:b}}"])
def test_malformed_variables_are_refused(text: str) -> None:
    """A variable has a service, a name and an end."""
    with pytest.raises(ValueError, match="variable"):
        template(text)


def test_wildcards_and_variables_can_be_plain_text() -> None:
    """Condition values of StringEquals have no wildcards, policies of 2008 no variables."""
    assert template("a*", wildcards=False).parts == ("a*",)
    assert template("${iot:ClientId}*", variables=False).parts == ("${iot:ClientId}", Wildcard.ANY)


def test_an_arn_has_six_parts_and_variables_none() -> None:
    """The colons of a resource or of a variable do not divide."""
    arn = "arn:aws:iot:${iot:Region}:123456789012:topic/a:b/${iot:ClientId}"
    assert arn_parts(arn) == ["arn", "aws", "iot", "${iot:Region}", "123456789012", "topic/a:b/${iot:ClientId}"]
