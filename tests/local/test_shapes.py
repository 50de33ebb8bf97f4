"""Values of the models' shapes, read and written; the models' patterns."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any

import pytest
from botocore.model import ShapeResolver
from hypothesis import given
from hypothesis import strategies as st

from iotctl.aws import service_model
from iotctl.local.gateway.patterns import compiled
from iotctl.local.gateway.service_model import SERVICES
from iotctl.local.gateway.shapes import reader, timestamp, writer

SHAPES = {
    "Text": {"type": "string", "min": 1, "max": 3},
    "Secret": {"type": "string", "max": 3, "sensitive": True},
    "Number": {"type": "integer", "min": 1, "max": 9},
    "Moment": {"type": "timestamp"},
    "Data": {"type": "blob", "max": 3},
    "Tree": {"type": "structure", "members": {"name": {"shape": "Text"}, "below": {"shape": "Trees"}}},
    "Trees": {"type": "list", "member": {"shape": "Tree"}, "max": 2},
    "All": {
        "type": "structure",
        "required": ["tree"],
        "members": {
            "tree": {"shape": "Tree"},
            "number": {"shape": "Number"},
            "secret": {"shape": "Secret"},
            "moment": {"shape": "Moment"},
            "data": {"shape": "Data"},
        },
    },
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def shape(name: str) -> Any:
    """A shape of the small model above."""
    return ShapeResolver(SHAPES).get_shape_by_name(name)


def read(name: str, value: Any) -> tuple[Any, list[str]]:
    """What is read of a value, and the problems it has."""
    problems: list[str] = []
    return reader(shape(name))(value, "", problems), problems


def test_a_good_value_is_read() -> None:
    """Blobs become bytes, moments seconds, and what the model does not know is left out."""
    given_value = {
        "tree": {"name": "a", "below": [{"name": "b"}]},
        "moment": "1970-01-01T00:01:00Z",
        "data": "AQI=",
        "number": None,
        "new": 1,
    }
    expected = {"tree": {"name": "a", "below": [{"name": "b"}]}, "moment": 60.0, "data": b"\x01\x02"}
    assert (expected, []) == read("All", given_value)


def test_every_problem_is_told_with_its_path() -> None:
    """All of them at once, in AWS's words."""
    _, problems = read("All", {"tree": {"below": [{"name": ""}, {"name": "long"}, {}]}, "number": 10})
    whole = "[{'name': ''}, {'name': 'long'}, {}]"
    expected = [
        ("tree.below", whole, "Member must have length less than or equal to 2"),
        ("tree.below.1.member.name", "", "Member must have length greater than or equal to 1"),
        ("tree.below.2.member.name", "long", "Member must have length less than or equal to 3"),
        ("number", "10", "Member must have value less than or equal to 9"),
    ]
    told = [f"Value '{value}' at '{path}' failed to satisfy constraint: {wrong}" for path, value, wrong in expected]
    assert told == problems


def test_a_secret_is_not_repeated() -> None:
    """A value that the model calls sensitive is not in the error."""
    _, problems = read("All", {"tree": {}, "secret": "hunter2"})
    assert (problems) == [
        "Value '***' at 'secret' failed to satisfy constraint: Member must have length less than or equal to 3"
    ]


@given(JSON)
def test_no_value_breaks_a_reader(value: Any) -> None:
    """Whatever JSON arrives, a reader answers, with problems or without."""
    result, problems = read("All", value)
    assert problems or isinstance(result, dict)


def test_an_answer_is_written() -> None:
    """Absent members are left out, bytes are base64, moments numbers; an unknown member is a bug."""
    write = writer(shape("All"))
    value = {"tree": {"name": None, "below": [{"name": "b"}]}, "data": b"\x01\x02", "moment": 1.23456}
    assert write(value) == {"tree": {"below": [{"name": "b"}]}, "data": "AQI=", "moment": 1.235}
    with pytest.raises(KeyError):
        write({"unknown": 1})


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.5, 1.5), (60, 60.0), ("1970-01-01T00:01:00", 60.0), ("nonsense", None), (True, None), ([], None)],
)
def test_timestamps(value: Any, expected: float | None) -> None:
    """Numbers and ISO 8601 texts are moments; the rest is not."""
    assert expected == timestamp(value)


def test_timestamps_that_are_not_finite() -> None:
    """Infinity is no moment."""
    assert timestamp(float("inf")) is None


@pytest.mark.parametrize("service", sorted(set(SERVICES.values())))
def test_every_pattern_of_the_models_is_understood(service: str) -> None:
    """None of AWS's patterns is unknown to Python."""
    model = service_model(service)
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names} - {None}
    assert all(isinstance(compiled(pattern), re.Pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{Graph}\x20]*", "a description ~", "tab\there"),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", "größe 数 1", "semi;colon"),
        (r"[^\p{C}]*", "fine 🚰", "\x00"),
        (r"[\p{Upper}\p{Digit}_]+", "A_1", "a"),
        (r"[\w+=,.@-]+", "name", "größe"),
        (r"[a-z]+$", "abc", "abc\n"),
    ],
)
def test_java_patterns(pattern: str, good: str, bad: str) -> None:
    """Classes mean what they mean in Java: POSIX ones are ASCII, categories Unicode, and the whole text must match."""
    assert compiled(pattern).fullmatch(good)
    assert not compiled(pattern).fullmatch(bad)


@pytest.mark.parametrize("name", ["C", "L", "N", "Z"])
def test_a_unicode_category_is_that_of_every_code_point(name: str) -> None:
    """Also where nobody looks them up one by one."""
    pattern = compiled(rf"[\p{{{name}}}]+")
    edges = (0x3FFFF, 0x40000, 0xDFFFF, 0xE0000, 0xE0001, 0xE0FFF, 0xE1000, sys.maxunicode)
    points = [*range(0x3000), *range(0x3000, sys.maxunicode, 97), *edges]
    wrong = [
        hex(point)
        for point in points
        if bool(pattern.fullmatch(chr(point))) != unicodedata.category(chr(point)).startswith(name)
    ]
    assert [] == wrong
