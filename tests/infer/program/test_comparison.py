"""How often two releases answer alike."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from inference.comparison import Comparison, alike


def answer(label: str) -> bytes:
    """A prediction of one label."""
    return json.dumps({"predictions": [{"label": label, "confidence": 0.5}]}).encode()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=50), st.randoms())
def test_every_input_counts_once_in_whatever_order_they_answer(pairs: list[tuple[bool, bool]], random: Any) -> None:
    """Both have answered, and alike or not."""
    items = [object() for _ in pairs]
    said = [(items[place], answer("a" if same else "b"), True) for place, (same, _) in enumerate(pairs)]
    said += [(items[place], answer("a"), False) for place, _ in enumerate(pairs)]
    random.shuffle(said)
    found = Comparison()
    for item, text, before in said:
        found.add(item, text, before=before)
    assert (len(pairs), sum(same for same, _ in pairs)) == (found.compared, found.agreed)


def test_what_cannot_be_answered_is_not_alike() -> None:
    """Also where both cannot; what only one was asked does not count."""
    found = Comparison()
    one, two = object(), object()
    found.add(one, None, before=True)
    found.add(one, None, before=False)
    found.add(two, answer("a"), before=False)
    assert (1, 0) == (found.compared, found.agreed)
    found.forget()
    found.add(two, answer("a"), before=True)
    assert 1 == found.compared


def test_numbers_are_alike_when_they_are_near() -> None:
    """Within five percent; labels first."""
    assert alike({"label": "t", "value": 100.0}, {"label": "t", "value": 104.0})
    assert not alike({"label": "t", "value": 100.0}, {"label": "t", "value": 110.0})
    assert not alike({"label": "t", "value": 1.0}, {"label": "u", "value": 1.0})
    assert alike(
        {"label": "anomaly", "confidence": 0.9, "value": 3.0}, {"label": "anomaly", "confidence": 0.6, "value": 9.0}
    )
    assert alike({}, {})


def test_a_prediction_says_so() -> None:
    """The counts until now, at the end of the message."""
    found = Comparison()
    item = object()
    found.add(item, answer("a"), before=True)
    found.add(item, answer("a"), before=False)
    assert {"predictions": [], "compared": 1, "agreed": 1} == json.loads(found.said(b'{"predictions":[]}'))
