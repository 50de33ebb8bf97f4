"""The query language of the fleet index: read into a tree, and asked of one thing's fields.

    thingName:press* AND attributes.site:oslo NOT shadow.reported.battery<20

Every leaf of a thing's registry entry, shadows and connectivity is a field with values. AND is what stands between two
terms that have nothing between them; NOT binds closest, then AND, then OR. Field names are case-sensitive, values are
not. Sources: the developer guide's query-syntax, example-queries and managing-index pages; the fleet indexing quotas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_BYTES: Final = 1000
MAX_TERMS: Final = 7
MAX_STARS: Final = 2
MAX_QUESTION_MARKS: Final = 5
_DEEPEST: Final = 32  # parentheses and negations inside each other: AWS names no limit, seven terms need few

Scalar: TypeAlias = str | int | float | bool
Fields: TypeAlias = Mapping[str, Sequence[Scalar]]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<paren>[()])
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<range>[\[{]\s*(?:"(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s+TO\s+(?:"(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s*[\]}])
      | (?P<operator><=|>=|<|>|:)
      | (?P<minus>[-!](?=\S))
      | (?P<word>(?:[^\s()\[\]{}"<>:\\]|\\.)+)
    )""",
    re.VERBOSE,
)
_RANGE = re.compile(r"""([\[{])\s*("(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s+TO\s+("(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s*([\]}])""")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_UNSEARCHABLE = re.compile(r"(?:registry|shadow|shadow\.name\.[^.]+|connectivity|deviceDefender)\.version")
_ALIASES: Final = {"registry.thingTypeName": "thingTypeName", "registry.thingGroupNames": "thingGroupNames"}


class QueryError(ValueError):
    """A query that the fleet index does not take: its InvalidQueryException."""


@dataclass(frozen=True, slots=True)
class Equals:
    """A word, or a phrase: the whole value, or whole words of it one after the other; a number by its value too."""

    text: str

    @property
    def number(self) -> float | None:
        """The number that it is, if it is one."""
        return number_of(self.text)

    def holds(self, value: Scalar) -> bool:
        """Whether a value matches."""
        mine = self.number
        if mine is not None and mine == number_of(value):
            return True
        return f" {self.text} " in f" {' '.join(folded(value).split())} " or folded(value) == self.text


@dataclass(frozen=True, slots=True)
class Like:
    """A word with `*` (any characters) and `?` (one); `*` alone: any value at all."""

    pattern: str

    def holds(self, value: Scalar) -> bool:
        """Whether a value, or a word of it, matches."""
        expression = re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in self.pattern), re.DOTALL)
        return any(expression.fullmatch(text) for text in (folded(value), *folded(value).split()))


@dataclass(frozen=True, slots=True)
class Between:
    """A range of numbers, or of texts; None: no bound on that side."""

    low: float | str | None
    high: float | str | None
    with_low: bool = True
    with_high: bool = True

    def holds(self, value: Scalar) -> bool:
        """Whether a value lies in it; a number is never in a range of texts, nor the other way round."""
        bound = self.low if self.low is not None else self.high
        mine: float | str | None = folded(value) if isinstance(bound, str) else number_of(value)
        return mine is not None and self._above(mine) and self._below(mine)

    def _above(self, value: float | str) -> bool:
        low = self.low
        return low is None or value > low or (self.with_low and value == low)  # type: ignore[operator]  # of one kind

    def _below(self, value: float | str) -> bool:
        high = self.high
        return high is None or value < high or (self.with_high and value == high)  # type: ignore[operator]  # as above


Match: TypeAlias = Equals | Like | Between


@dataclass(frozen=True, slots=True)
class Term:
    """A field that has a value which matches; without a field any of them."""

    field: str | None
    match: Match

    def holds(self, fields: Fields) -> bool:
        """Whether a thing with these fields matches."""
        searched = fields.values() if self.field is None else (fields.get(self.field, ()),)
        return any(self.match.holds(value) for values in searched for value in values)


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that does not match."""

    inner: Node

    def holds(self, fields: Fields) -> bool:
        """Whether a thing with these fields matches."""
        return not self.inner.holds(fields)


@dataclass(frozen=True, slots=True)
class And:
    """What matches all of them."""

    parts: tuple[Node, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether a thing with these fields matches."""
        return all(part.holds(fields) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """What matches one of them."""

    parts: tuple[Node, ...]

    def holds(self, fields: Fields) -> bool:
        """Whether a thing with these fields matches."""
        return any(part.holds(fields) for part in self.parts)


Node: TypeAlias = Term | Not | And | Or


def parse(query: str) -> Node:
    """Read a query.

    Raises:
        QueryError: with the reason.

    """
    if len(query.encode()) > MAX_BYTES:
        raise QueryError(f"Query string exceeds the maximum length of {MAX_BYTES} bytes")
    reading = _Reading(list(_tokens(query)))
    tree = reading.alternatives(None)
    if reading.left:
        raise QueryError(f"Unexpected {reading.left[0][1]!r} in the query string")
    if reading.terms > MAX_TERMS:
        raise QueryError(f"Query string has {reading.terms} terms, more than {MAX_TERMS}")
    return tree


def number_of(value: Scalar) -> float | None:
    """The number that a value is for the index: a JSON number, also one that stands in a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    try:
        return float(value)
    except OverflowError:  # JSON has integers of any length; as a text such a one is infinite too
        return math.inf if value > 0 else -math.inf


def folded(value: Scalar) -> str:
    """A value as it is compared: text, without regard to case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).casefold()


Token = tuple[str, str]


def _tokens(query: str) -> Iterator[Token]:
    place, end = 0, len(query.rstrip())
    while place < end:
        found = _TOKEN.match(query, place)
        if found is None or found.lastgroup is None:
            raise QueryError(f"Query string cannot be read at {query[place : place + 20]!r}")
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()


class _Reading:
    """Goes through the tokens from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self.left = tokens
        self.terms = 0
        self._depth = 0

    def alternatives(self, field: str | None) -> Node:
        parts = [self._conjunction(field)]
        while self._next_is("word", "OR"):
            self.left.pop(0)
            parts.append(self._conjunction(field))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self, field: str | None) -> Node:
        parts = [self._negation(field)]
        while self.left and not self._next_is("word", "OR") and not self._next_is("paren", ")"):
            if self._next_is("word", "AND"):
                self.left.pop(0)
            parts.append(self._negation(field))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self, field: str | None) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QueryError(f"Query string is nested more than {_DEEPEST} levels deep")
        if self._next_is("word", "NOT") or self._next_is("minus"):
            self.left.pop(0)
            found: Node = Not(self._negation(field))
        else:
            found = self._primary(field)
        self._depth -= 1
        return found

    def _primary(self, field: str | None) -> Node:
        kind, text = self._take()
        if (kind, text) == ("paren", "("):
            inner = self.alternatives(field)
            if self._take() != ("paren", ")"):
                raise QueryError("Query string has a parenthesis that is not closed")
            return inner
        if kind == "word" and self._next_is("operator"):
            if field is not None:
                raise QueryError(f"Query string names the field {text!r} inside the field {field!r}")
            return self._of_field(_field(text), self._take()[1])
        return self._term(field, kind, text)

    def _of_field(self, field: str, operator: str) -> Node:
        if operator == ":":
            if self._next_is("paren", "("):
                return self._primary(field)
            return self._negation(field) if self._next_is("minus") else self._term(field, *self._take())
        kind, text = self._take()
        if kind == "minus":
            kind, text = "word", text + self._take()[1]
        bound = _bound(text) if kind in {"word", "quoted"} else None
        if bound is None:
            raise QueryError(f"Query string has no value after {field}{operator}")
        self.terms += 1
        inclusive = operator.endswith("=")
        if operator.startswith(">"):
            return Term(field, Between(bound, None, with_low=inclusive))
        return Term(field, Between(None, bound, with_high=inclusive))

    def _term(self, field: str | None, kind: str, text: str) -> Node:
        self.terms += 1
        if kind == "quoted":
            return Term(field, Equals(_plain(text[1:-1])))
        if kind == "range":
            return Term(field, _range(text))
        if kind != "word" or text in {"AND", "OR", "NOT"}:
            raise QueryError(f"Unexpected {text!r} in the query string")
        if re.search(r"(?<!\\)[*?]", text):
            return Term(field, _like(text))
        return Term(field, Equals(_plain(text)))

    def _next_is(self, kind: str, text: str | None = None) -> bool:
        return bool(self.left) and self.left[0][0] == kind and text in {None, self.left[0][1]}

    def _take(self) -> Token:
        if not self.left:
            raise QueryError("Query string ends too early")
        return self.left.pop(0)


def _field(text: str) -> str:
    name = re.sub(r"\\(.)", r"\1", text)
    if _UNSEARCHABLE.fullmatch(name):
        raise QueryError(f"The field {name} is not searchable")
    return _ALIASES.get(name, name)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\\(.)", r"\1", text).casefold().split())


def _like(text: str) -> Like:
    pattern = text.casefold()
    if pattern == "*":
        return Like("*")
    if pattern[0] in "*?":
        raise QueryError(f"A term cannot begin with a wildcard: {text!r}")
    if pattern.count("*") > MAX_STARS or pattern.count("?") > MAX_QUESTION_MARKS:
        raise QueryError(f"A term has at most {MAX_STARS} * and {MAX_QUESTION_MARKS} ?: {text!r}")
    if "\\" in pattern:
        raise QueryError(f"A term with wildcards cannot have escaped characters: {text!r}")
    return Like(pattern)


def _range(text: str) -> Between:
    found = _RANGE.fullmatch(text)
    assert found is not None, "the token is one"
    opening, low, high, closing = found.groups()
    bounds = _bound(low), _bound(high)
    if isinstance(bounds[0], str) != isinstance(bounds[1], str):
        bounds = (low.casefold().strip('"'), high.casefold().strip('"'))
    return Between(*bounds, with_low=opening == "[", with_high=closing == "]")


def _bound(text: str) -> float | str:
    if text.startswith('"'):
        return _plain(text[1:-1])
    number = number_of(text)
    return _plain(text) if number is None else number
