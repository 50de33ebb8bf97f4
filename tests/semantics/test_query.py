"""The query language of the fleet index: the examples of the developer guide's example-queries page, and its rules."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.semantics.query import Fields, QueryError, parse
from tests import vectors

PRESS: dict[str, Any] = {
    "thingName": ["myThingName"],
    "thingTypeName": ["aa"],
    "thingGroupNames": ["oslo", "all presses"],
    "attributes.myAttribute": ["75"],
    "attributes.serialNumber": ["abce"],
    "attributes.word": ["indent"],
    "attributes.model": ["modern"],
    "shadow.hasDelta": [True],
    "shadow.reported.stats.battery": [78],
    "shadow.reported.myvalues": [1, 2, 3],
    "shadow.reported.location": ["New York"],
    "shadow.reported.fw": ["v2"],
    "shadow.name.config.desired.filament": ["pla"],
    "connectivity.connected": [False],
    "connectivity.timestamp": [1557651600001],
    "connectivity.disconnectReason": ["CLIENT_INITIATED_DISCONNECT"],
}


@vectors.rows(
    ("query", "holds"),
    [
        ("aa", True),
        ("abc", False),
        ("thingName:myThingName", True),
        ("thingName:MYTHINGNAME", True),
        ("thingname:myThingName", False),
        ("thingName:my*", True),
        ("thingName:myThingNam?", True),
        ("thingName:myThing?", False),
        ("thingTypeName:aa", True),
        ("registry.thingTypeName:aa", True),
        ("attributes.myAttribute:75", True),
        ("attributes.myAttribute:75.0", True),
        ("attributes.myAttribute:[75 TO 80]", True),
        ("attributes.myAttribute:{75 TO 80]", False),
        ('attributes.serialNumber:["abcd" TO "abcf"]', True),
        ('attributes.serialNumber:["abcf" TO "abcz"]', False),
        ("attributes.word:i*t", True),
        ("attributes.word:i*x", False),
        ("thingTypeName:aa AND attributes.myAttribute<80 NOT attributes.myAttribute>100", True),
        ("thingTypeName:aa AND attributes.myAttribute<75", False),
        ("attributes.myAttribute>=75 attributes.myAttribute<=75", True),
        ("shadow.hasDelta:true", True),
        ("NOT attributes.model:legacy", True),
        ("shadow.reported.stats.battery:{70 TO 100} (v2 OR v3) NOT attributes.model:legacy", True),
        ("shadow.reported.stats.battery:{70 TO 100} (v4 OR v3) NOT attributes.model:legacy", False),
        ("shadow.reported.myvalues:2", True),
        ("shadow.reported.myvalues:4", False),
        ("shadow.reported.location:* NOT shadow.desired.stats.battery:*", True),
        ("shadow.name.config.desired.filament:*", True),
        ("shadow.name.other.desired.filament:*", False),
        ("connectivity.connected:false AND connectivity.timestamp : [1557651600000 TO 1557867600000]", True),
        ("connectivity.connected:true", False),
        ("connectivity.timestamp > 1557651600000", True),
        ("connectivity.disconnectReason:CLIENT_INITIATED_DISCONNECT", True),
        ("thingName:(my* AND -plasma)", True),
        ("thingName:(tv* AND -plasma)", False),
        ("shadow.reported.location:york", True),
        ('shadow.reported.location:"new york"', True),
        ('shadow.reported.location:"york new"', False),
        ("thingGroupNames:oslo", True),
        ("-thingGroupNames:oslo", False),
        ("a OR aa AND nothing", False),
        ("aa OR a AND nothing", True),
        ("*", True),
    ],
)
def test_examples_of_the_guide(query: str, holds: bool) -> None:
    """Every kind of query that the page shows, and its other outcome."""
    assert holds == parse(query).holds(PRESS)


@vectors.rows(
    "query",
    [
        "thingName:*xyz",
        "thingName:?xyz",
        "thingName:a*b*c*",
        "thingName:a??????",
        "thingName:",
        "thingName:(a",
        "a)",
        "AND a",
        "a OR",
        "NOT",
        'thingName:"a',
        "thingName:[1 TO",
        "shadow.version:3",
        "registry.version>3",
        "shadow.name.config.version:1",
        "a b c d e f g h",
        "thingName:(attributes.a:b)",
        "x" * 1001,
        "a:b:c",
        "(" * 400 + "a" + ")" * 400,
        "-" * 900 + "a",
        "NOT " * 200 + "a",
    ],
)
def test_what_is_refused(query: str) -> None:
    """Leading wildcards, versions, too many terms, wildcards or levels, and what is not a query."""
    with pytest.raises(QueryError):
        parse(query)


def test_special_characters_are_escaped() -> None:
    """A backslash makes a colon, a bracket or a star a part of the term."""
    fields = {"thingName": ["a:b*c"]}

    assert parse(r"thingName:a\:b\*c").holds(fields)
    assert not parse(r"thingName:a\:bxc").holds(fields)


def test_a_number_beyond_what_a_float_holds_is_infinite() -> None:
    """JSON has integers of any length, and a device may report one."""
    assert parse("shadow.reported.x>1").holds({"shadow.reported.x": [10**400]})
    assert not parse("shadow.reported.x>1").holds({"shadow.reported.x": [-(10**400)]})


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(query: str) -> None:
    """Never another error."""
    with contextlib.suppress(QueryError):
        parse(query or "*")


WORDS = st.sampled_from(["oslo", "rome", "75", "7", "true", "x y"])
TERMS = st.builds(
    lambda field, value: f"{field}:{value}",
    st.sampled_from(["a", "b.c", "d"]),
    st.one_of(
        WORDS.map(lambda word: f'"{word}"'),
        st.sampled_from(["os*", "r?me", "*", "[1 TO 80]", '["a" TO "p"]', "{7 TO 75}"]),
    ),
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b.c", "d"]), st.lists(WORDS | st.integers(0, 99) | st.booleans()))


@given(TERMS, TERMS, FIELDS)
def test_operators_are_those_of_logic(left: str, right: str, fields: Fields) -> None:
    """AND, OR, NOT, the hyphen and nothing at all between two terms mean what they say."""
    one, other = parse(left).holds(fields), parse(right).holds(fields)

    assert (one and other) == parse(f"{left} AND {right}").holds(fields)
    assert (one and other) == parse(f"{left} {right}").holds(fields)
    assert (one or other) == parse(f"{left} OR {right}").holds(fields)
    assert (one and not other) == parse(f"{left} NOT {right}").holds(fields)
    assert (not (one or other)) == parse(f"-({left} OR {right})").holds(fields)
