"""The trie finds what a plain comparison of levels finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.local.gateway.mqtt.trie import Trie

level = st.sampled_from(["a", "b", "$x", ""])
topics = st.lists(level, min_size=1, max_size=4).map("/".join)
filters = st.tuples(st.lists(level | st.just("+"), min_size=1, max_size=4), st.booleans()).map(
    lambda parts: "/".join([*parts[0], "#"] if parts[1] else parts[0])
)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches a topic, level by level."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        if len(levels) <= len(wanted):
            return False
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(w in {"+", each} for w, each in zip(wanted, levels, strict=True))


@given(st.lists(filters, max_size=8, unique=True), st.lists(filters, max_size=4), topics)
def test_matches(added: list[str], removed: list[str], topic: str) -> None:
    """After any additions and removals exactly the filters that match are found."""
    trie: Trie[str] = Trie()
    for each in added:
        trie.add(each, 1, each)
    trie.match(topic)
    for each in removed:
        trie.remove(each, 1)
    assert sorted(each for each in added if each not in removed and matches(each, topic)) == sorted(trie.match(topic))


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sensor/#", "sensor/", True),
        ("sensor/#", "sensor/temperature/room1", True),
        ("sensor/#", "sensor", False),
        ("sensor/#", "Sensor/a", False),
        ("sensor/+/room1", "sensor/temperature/room1", True),
        ("#", "$aws/events/presence/connected/a", False),
        ("+/events/#", "$aws/events/presence", False),
        ("$aws/events/#", "$aws/events/presence/connected/a", True),
    ],
)
def test_aws_examples(topic_filter: str, topic: str, expected: bool) -> None:
    """The examples of the developer guide hold: `sensor/#` does not match `sensor`."""
    trie: Trie[str] = Trie()
    trie.add(topic_filter, 1, topic_filter)
    assert expected == bool(trie.match(topic))


def test_empty_after_removal() -> None:
    """Nothing of a removed filter stays."""
    trie: Trie[str] = Trie()
    trie.add("a/b/c", 1, "x")
    trie.remove("a/b/c", 1)
    assert trie._root.children is None
