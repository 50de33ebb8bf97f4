"""Semantic versions, and the version requirements of Greengrass components: npm's ranges.

Sources: semver.org 2.0.0; AWS IoT Greengrass V2 developer guide, component-recipe-reference ("VersionRequirement: the
npm-style semantic version constraint"); npm's own grammar of ranges: `>=1.0.0 <2.0.0`, `^1.2.0`, `~1.2`, `1.x`,
`1.0.0 - 1.9.0`, alternatives with `||`. A pre-release is only matched where a comparator of the same
major.minor.patch names one.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 64
"""Characters of a component's version (service model, ComponentVersionString)."""

_NUMBER: Final = r"(?:0|[1-9]\d{0,15})"
_IDENTIFIER: Final = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_PRE: Final = rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
_BUILD: Final = r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
_VERSION: Final = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER}){_PRE}{_BUILD}", re.ASCII)
_X: Final = rf"(?:{_NUMBER}|[xX*])"
_PARTIAL: Final = rf"[v=]?({_X})(?:\.({_X})(?:\.({_X}){_PRE}{_BUILD})?)?"
_COMPARATOR: Final = re.compile(rf"(<=|>=|<|>|=|\^|~>?)?\s*{_PARTIAL}", re.ASCII)
_HYPHEN: Final = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_SPACED: Final = re.compile(r"(<=|>=|<|>|=|\^|~>?)\s+")


class VersionError(ValueError):
    """A text that is no semantic version, or no requirement."""


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; build metadata does not count.

    Attributes:
        pre: the identifiers of a pre-release, empty for a release.

    """

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version:
        """A version, of at most 64 characters.

        Raises:
            VersionError: it is none.

        """
        found = _VERSION.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            raise VersionError(f"{text[:LONGEST]!r} is not a semantic version, such as 1.0.0")
        return cls(int(found[1]), int(found[2]), int(found[3]), tuple(found[4].split(".")) if found[4] else ())

    @property
    def core(self) -> tuple[int, int, int]:
        """Major, minor and patch."""
        return self.major, self.minor, self.patch

    @property
    def sort_key(self) -> str:
        """A text that orders as versions do; for the columns of a database."""
        core = ".".join(f"{number:016}" for number in self.core)
        if not self.pre:
            return f"{core}~"
        # Numbers go before words, and fewer identifiers before more; "!" is before every character of an identifier.
        return f"{core}-{''.join(_sortable(one) for one in self.pre)}"

    def __lt__(self, other: Version) -> bool:
        return self.sort_key < other.sort_key

    def __str__(self) -> str:
        return ".".join(map(str, self.core)) + (f"-{'.'.join(self.pre)}" if self.pre else "")


@dataclass(frozen=True, slots=True)
class Comparator:
    """`operator version`; the operator is one of < <= > >= =."""

    operator: str
    version: Version

    def matches(self, version: Version) -> bool:
        """Whether a version satisfies it, pre-releases as any other."""
        if self.operator == "=":
            return version == self.version
        below = version < self.version
        return {
            "<": below,
            "<=": below or version == self.version,
            ">": not below and version != self.version,
            ">=": not below,
        }[self.operator]


@dataclass(frozen=True, slots=True)
class Requirement:
    """Alternatives, each of comparators that must all be satisfied; one without comparators is any release."""

    alternatives: tuple[tuple[Comparator, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """An npm range; an empty one is any version.

        Raises:
            VersionError: it is none.

        """
        return cls(tuple(_alternative(part) for part in text.split("||")))

    def matches(self, version: Version) -> bool:
        """Whether a version satisfies one of the alternatives."""
        return any(_satisfied(comparators, version) for comparators in self.alternatives)


def newest(versions: list[Version], requirements: list[Requirement]) -> Version | None:
    """The greatest of the versions that satisfy every requirement; None: none does."""
    fitting = [version for version in versions if all(one.matches(version) for one in requirements)]
    return max(fitting, default=None)


def _satisfied(comparators: tuple[Comparator, ...], version: Version) -> bool:
    if not all(one.matches(version) for one in comparators):
        return False
    return not version.pre or any(one.version.pre and one.version.core == version.core for one in comparators)


def _alternative(text: str) -> tuple[Comparator, ...]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen:
        low, high = _partial(hyphen[1], text), _partial(hyphen[2], text)
        return (*_bounds(">=", *low), *_bounds("<=", *high))
    found: list[Comparator] = []
    for word in _SPACED.sub(r"\1", text).split():
        comparator = _COMPARATOR.fullmatch(word)
        if comparator is None:
            raise VersionError(f"{text.strip()!r} is not a version requirement, such as '>=1.0.0 <2.0.0'")
        found += _bounds(comparator[1] or "", *_numbers(comparator.groups()[1:]))
    return tuple(found)


def _partial(word: str, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    found = _COMPARATOR.fullmatch(word)
    if found is None or found[1]:
        raise VersionError(f"{text.strip()!r} is not a version requirement, such as '1.0.0 - 1.9.0'")
    return _numbers(found.groups()[1:])


def _numbers(parts: tuple[str | None, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """What is given of major, minor and patch, up to the first that is open; and the pre-release."""
    numbers: list[int] = []
    for part in parts[:3]:
        if part is None or part in "xX*":
            return tuple(numbers), ()
        numbers.append(int(part))
    pre = parts[3]
    return tuple(numbers), tuple(pre.split(".")) if pre else ()


def _bounds(operator: str, numbers: tuple[int, ...], pre: tuple[str, ...]) -> tuple[Comparator, ...]:
    """The comparators that an operator and a partial version stand for (npm, "Advanced Range Syntax")."""
    low = _filled(numbers, pre)
    whole = len(numbers) == 3
    if operator in {"^", "~", "~>"} or (operator in {"", "="} and not whole):
        if not numbers:
            return ()
        fixed = _fixed(numbers) if operator == "^" else min(len(numbers), 2)
        return Comparator(">=", low), Comparator("<", _after(numbers[:fixed]))
    if whole:
        return (Comparator(operator or "=", low),)
    if not numbers:
        # Nothing is above or below every version.
        return (Comparator("<", Version(0, 0, 0, ("0",))),) if operator in {"<", ">"} else ()
    return {
        "<": (Comparator("<", Version(*low.core, ("0",))),),
        "<=": (Comparator("<", _after(numbers)),),
        ">": (Comparator(">=", Version(*_after(numbers).core)),),
        ">=": (Comparator(">=", low),),
    }[operator]


def _fixed(numbers: tuple[int, ...]) -> int:
    """How many numbers `^` keeps: up to the first that is not zero."""
    return next((place for place, number in enumerate(numbers, 1) if number), len(numbers))


def _filled(numbers: tuple[int, ...], pre: tuple[str, ...] = ()) -> Version:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return Version(major, minor, patch, pre)


def _after(numbers: tuple[int, ...]) -> Version:
    """The lowest version above every one that begins with these numbers: its pre-release `0`."""
    return _filled((*numbers[:-1], numbers[-1] + 1), ("0",))


def _sortable(identifier: str) -> str:
    if identifier.isdigit():
        return f"!0{len(identifier):04}{identifier}"
    return f"!1{identifier}"
