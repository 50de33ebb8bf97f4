"""What a baseline declares, and what a thing in several groups must therefore be.

A section of the baseline is about the whole fleet, about a thing group and everything below it, or about one thing. Of
what two sections say about the same, the one about the smaller circle counts; where neither circle lies in the other,
both must hold.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from iotctl.semantics.state import ABSENT, same

if TYPE_CHECKING:
    import re
    from datetime import date

    from iotctl.semantics.checks.fleet import Thing

FIRMWARE: Final = ("", ("reported", "fw"))
"""The shadow and the path where a device reports its firmware's release: `ota create` and our agents keep to it."""

OTHERS: Final = "*"
"""As the name of a policy that a thing must not have: every one that is not declared for it."""

MODELS: Final = "iotctl-models"
"""The named shadow where a core reports the models that it runs."""


@dataclass(frozen=True, slots=True)
class Want:
    """What one value must be: equal to one of some, within bounds, of a pattern; or not be there.

    Attributes:
        values: one of these; empty: any.
        least: the smallest number that is good.
        most: the largest one.
        pattern: a regular expression that the whole text matches.
        absent: it must not be there.

    """

    values: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    pattern: re.Pattern[str] | None = None
    absent: bool = False

    def holds(self, value: Any) -> bool:  # noqa: ANN401  JSON is any value
        """Whether a value is as wanted; ABSENT is one that is not there."""
        if self.absent or value is ABSENT:
            return self.absent and value is ABSENT
        for wanted in self.values:
            if same(wanted, value):
                break
        else:
            if self.values:
                return False
        if self.pattern is not None and not (isinstance(value, str) and self.pattern.fullmatch(value)):
            return False
        if self.least is None and self.most is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        """The want in words."""
        if self.absent:
            return "absent"
        parts = [" or ".join(json.dumps(value, ensure_ascii=False) for value in self.values)] if self.values else []
        parts += [f"at least {self.least:g}"] if self.least is not None else []
        parts += [f"at most {self.most:g}"] if self.most is not None else []
        parts += [f"matching {self.pattern.pattern}"] if self.pattern is not None else []
        return ", ".join(parts) or "anything"


Key = tuple[str, ...]
"""What a want is about: ("type",), ("group", "oslo"), ("attribute", "site"), ("shadow", "", "desired", "rate")."""

Wants = Mapping[str, tuple[tuple[Key, Want], ...]]
"""What one thing must be, by the first word of the keys."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """A deviation that is known and allowed for a while.

    Attributes:
        until: the last day on which it holds.
        reason: why.
        check: only findings of this check; empty: of every one.
        thing: only about this thing; empty: about any.
        group: only about things in this group or below it.
        path: only about this key of a check; empty: about any.
        finding: only the finding with this id.

    """

    until: date
    reason: str
    check: str = ""
    thing: str = ""
    group: str = ""
    path: str = ""
    finding: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """Which things belong in a group: those of which a condition holds, and only those where it is exact."""

    group: str
    where: str
    exact: bool = False


@dataclass(frozen=True)
class Baseline:
    """A declared configuration.

    Attributes:
        fleet: what every thing must be.
        groups: what the things of a group, and of the groups below it, must be.
        things: what single things must be.
        policies: documents by name, parsed.
        memberships: which things belong where.
        exemptions: what may deviate, and until when.

    """

    fleet: Mapping[Key, Want] = field(default_factory=dict)
    groups: Mapping[str, Mapping[Key, Want]] = field(default_factory=dict)
    things: Mapping[str, Mapping[Key, Want]] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=dict)
    memberships: tuple[Membership, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    _known: dict[tuple[str, ...], Wants] = field(default_factory=dict, compare=False)
    _inside: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict, compare=False)

    def wants(self, thing: Thing, parents: Mapping[str, str]) -> Wants:
        """What a thing must be, by the first word of the keys; things of the same groups share one answer."""
        own = self.things.get(thing.name)
        if own is not None:
            return self._combined(thing.groups, parents, own)
        known = self._known.get(thing.groups)
        if known is None:
            known = self._known[thing.groups] = self._combined(thing.groups, parents, {})
        return known

    def inside(self, groups: tuple[str, ...], parents: Mapping[str, str]) -> frozenset[str]:
        """The groups that a thing of these groups is in, and those above them."""
        known = self._inside.get(groups)
        if known is None:
            known = self._inside[groups] = frozenset(outer for group in groups for outer in ancestry(group, parents))
        return known

    def keys(self, kind: str) -> frozenset[Key]:
        """The keys of one kind that it says anything about."""
        sections = (self.fleet, *self.groups.values(), *self.things.values())
        return frozenset(key for section in sections for key in section if key[0] == kind)

    def _combined(self, groups: tuple[str, ...], parents: Mapping[str, str], own: Mapping[Key, Want]) -> Wants:
        outside: dict[str, tuple[str, ...]] = {}
        for line in (ancestry(group, parents) for group in groups):
            outside |= {group: line[:depth] for depth, group in enumerate(line)}
        said: dict[Key, list[str]] = {}
        for group in outside:
            for key in self.groups.get(group, ()):
                said.setdefault(key, []).append(group)
        found = [(key, want) for key, want in self.fleet.items() if key not in said and key not in own]
        for key, sources in said.items():
            if key not in own:
                wider = {outer for group in sources for outer in outside[group]}
                found += [(key, self.groups[group][key]) for group in sources if group not in wider]
        found += own.items()
        found.sort(key=lambda pair: (pair[0], str(pair[1])))
        return {kind: tuple(pairs) for kind, pairs in itertools.groupby(found, lambda pair: pair[0][0])}


def ancestry(group: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """A group and those that it lies in, the outermost first."""
    line = [group]
    while (parent := parents.get(line[-1])) and parent not in line:
        line.append(parent)
    return tuple(reversed(line))
