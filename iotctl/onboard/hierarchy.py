"""Which thing group is below which, as a fleet file says it: `site/line/press` is the group press, below line. Pure.

The first group of a path is not said to be at the top: one that is new is made there, one that is there stays where it
is. AWS fixes a group's parent when it is made, and knows groups by their names alone.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from iotctl.errors import Usage
from iotctl.semantics import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Hierarchy:
    """Parents by group, each with the line that says so first."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, int]] = {}

    def add(self, path: Sequence[str], line: int) -> None:
        """Take in a path, from the top down.

        Raises:
            Usage: another line puts one of its groups elsewhere.

        """
        for parent, child in itertools.pairwise(path):
            known, first = self._parents.setdefault(child, (parent, line))
            if known != parent:
                raise Usage(
                    f"the thing group {child} is below {parent} here, and below {known} on line {first}",
                    code="Hierarchy",
                )

    def parent(self, group: str) -> str:
        """The group that it is said to be below; empty where nothing is said."""
        return self._parents.get(group, ("", 0))[0]

    def line(self, group: str) -> int:
        """The line that says so."""
        return self._parents.get(group, ("", 0))[1]

    def above(self, group: str) -> list[str]:
        """The groups that it is below, the nearest first; those of a ring once."""
        found: list[str] = []
        parent = self.parent(group)
        while parent and parent not in found:
            found.append(parent)
            parent = self.parent(parent)
        return found

    def groups(self) -> set[str]:
        """All groups that a path names."""
        return {*self._parents, *(parent for parent, _ in self._parents.values())}

    def downwards(self, groups: Iterable[str]) -> list[str]:
        """These groups, each after those that it is below."""
        return sorted(groups, key=lambda group: (len(self.above(group)), group))

    def faults(self) -> Iterator[tuple[int, str]]:
        """What only shows once all lines are in: rings, and depths that AWS does not take; with the line.

        Yields:
            One for each group that is the lowest of a path that is too long, or in a ring.

        """
        for group, (parent, line) in self._parents.items():
            above = self.above(group)
            if group in above:
                yield line, f"the thing group {group} is below {parent}, which is below {group}"
            elif len(above) + 1 > names.GROUP_DEPTH:
                yield line, f"the thing group {group} is on level {len(above) + 1}; AWS has {names.GROUP_DEPTH}"
