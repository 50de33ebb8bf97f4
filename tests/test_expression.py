"""The comparisons of --where, --until and --gate."""

from __future__ import annotations

import contextlib
import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Usage
from iotctl.expression import parse

DOCUMENT: dict[str, Any] = {
    "confidence": 0.7,
    "label": "anomaly",
    "sample": False,
    "reported": {"fw": "1.4.2", "rate": 5, "on": True, "gone": None, "a-b": 1, "zero": 0},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("confidence<0.8", True),
        ("confidence < 0.6", False),
        ('label == "anomaly"', True),
        ("label == 'anomaly'", True),
        ('label != "anomaly"', False),
        ('confidence>0.5 and label=="anomaly"', True),
        ('confidence>0.9 or label=="anomaly"', True),
        ('confidence>0.9 and label=="anomaly" or reported.on', True),
        ('confidence>0.9 and (label=="anomaly" or reported.on)', False),
        ("not sample", True),
        ("not not sample", False),
        ('reported.fw == "1.4.2"', True),
        ("reported.rate >= 5", True),
        ("5 <= reported.rate", True),
        ("reported.rate == 5.0", True),
        ("reported.rate", True),
        ("reported.zero", True),
        ("reported.a-b == 1", True),
        ("reported.gone", False),
        ("reported.gone == null", True),
        ("reported.rate != null", True),
        ("reported.on == true", True),
        ("reported.on == 1", False),
        ("nothing == null", False),
        ("nothing != 1", False),
        ("not nothing", True),
        ("reported.fw > 1", False),
        ('reported.fw < "1.5"', True),
        ("reported.rate > -1e3", True),
    ],
)
def test_expressions(text: str, holds: bool) -> None:
    """Comparisons, what puts them together, and what is not there."""
    assert holds == parse(text, where="--where").holds(DOCUMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "and",
        "a ==",
        "== 1",
        "(a",
        "a)",
        "a == 1 1",
        "a = 1",
        "a == 'x",
        "1.2.3 == a",
        "a; b",
        "not",
        "(" * 40,
        "x" * 1001,
    ],
)
def test_what_is_no_expression(text: str) -> None:
    """It is refused with the option's name and an example."""
    with pytest.raises(Usage) as caught:
        parse(text, where="--gate")

    assert "--gate" in caught.value.message
    assert "confidence" in caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_one_or_refused(text: str) -> None:
    """Never another error, neither when it is read nor when it is asked."""
    with contextlib.suppress(Usage):
        parse(text, where="--where").holds(DOCUMENT)


@given(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
)
def test_numbers_compare_as_numbers(left: float, right: int, sign: str) -> None:
    """As Python compares them."""
    compare = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}.get(
        sign, operator.ge
    )

    assert compare(left, right) == parse(f"x {sign} {json.dumps(right)}", where="--where").holds({"x": left})
