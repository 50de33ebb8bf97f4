"""Topic filters in a trie: which entries match a topic, in time of its levels.

Two rules beyond the MQTT specification's `+` and `#`: a wildcard in the first level does not match a topic that begins
with `$` (MQTT 5.0, section 4.7.2), and `sensor/#` does not match `sensor` (AWS IoT developer guide, "AWS IoT
differences from MQTT specifications").
"""

from __future__ import annotations

from typing import Generic, TypeVar

Entry = TypeVar("Entry")

_TOPICS_REMEMBERED = 16_384


class Trie(Generic[Entry]):
    """Entries under topic filters, one for each key of a filter; what a topic matches is remembered until a change."""

    __slots__ = ("_matches", "_root")

    def __init__(self) -> None:
        self._root: _Node[Entry] = _Node()
        self._matches: dict[str, tuple[Entry, ...]] = {}

    def add(self, topic_filter: str, key: object, entry: Entry) -> None:
        """Put an entry under a filter; one with the same key there before is replaced."""
        node = self._root
        for level in topic_filter.split("/"):
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        if node.entries is None:
            node.entries = {}
        node.entries[key] = entry
        self._matches.clear()

    def remove(self, topic_filter: str, key: object) -> None:
        """Take the entry of a key from a filter, if it is there, and prune what is empty then."""
        path: list[tuple[_Node[Entry], str]] = []
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level) if node.children else None
            if child is None:
                return
            path.append((node, level))
            node = child
        if node.entries is None or node.entries.pop(key, None) is None:
            return
        self._matches.clear()
        node.entries = node.entries or None
        while path and not node.entries and not node.children:
            node, level = path.pop()
            if node.children is not None:
                del node.children[level]
                node.children = node.children or None

    def match(self, topic: str) -> tuple[Entry, ...]:
        """The entries whose filters match a topic, each filter's in the order of their arrival."""
        found = self._matches.get(topic)
        if found is None:
            if len(self._matches) >= _TOPICS_REMEMBERED:
                self._matches.clear()
            found = self._matches[topic] = self._search(topic)
        return found

    def _search(self, topic: str) -> tuple[Entry, ...]:
        levels = topic.split("/")
        nodes = [self._root]
        found: list[Entry] = []
        for depth, level in enumerate(levels):
            wild = depth > 0 or not topic.startswith("$")
            following: list[_Node[Entry]] = []
            for node in nodes:
                children = node.children
                if not children:
                    continue
                if level in children:
                    following.append(children[level])
                if wild and "+" in children:
                    following.append(children["+"])
                if wild and "#" in children:
                    found += (children["#"].entries or {}).values()
            nodes = following
        for node in nodes:
            found += (node.entries or {}).values()
        return tuple(found)


class _Node(Generic[Entry]):
    """One level; both parts are None while empty, as most nodes of a fleet are leaves."""

    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.children: dict[str, _Node[Entry]] | None = None
        self.entries: dict[object, Entry] | None = None
