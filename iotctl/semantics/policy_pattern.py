"""Text of a policy with wildcards and variables, matched without backtracking.

A `Template` is the text as written. Bound to a connection's variables it becomes a `Pattern`, in which what a variable
stood for is literal: its `*`, `?`, `+` and `#` match only themselves. Only the policy's own `*` (any text, slashes too)
and `?` (one character) are wildcards; MQTT's `+` and `#` never are.
Sources: the developer guide's iot-policy-variables and pub-sub-policy pages; the IAM guide's policy elements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TOKEN = re.compile(r"\$\{([^{}]*)\}|([*?])")
_WILDCARD_TOKEN = re.compile(r"()([*?])")
_ARN_COLON = re.compile(r":(?![^{}]*\})")
_NAME = re.compile(r"[A-Za-z0-9_.-]+:[^\s{}]+")


class Wildcard(Enum):
    """The two wildcards of a policy."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A policy variable, `${name}`."""

    name: str


Part: TypeAlias = str | Wildcard | Variable


@dataclass(frozen=True, slots=True)
class Template:
    """A text of a policy: what was written, and the parts it is made of."""

    text: str
    parts: tuple[Part, ...]

    @property
    def variables(self) -> frozenset[str]:
        """The names of its variables."""
        return frozenset(part.name for part in self.parts if isinstance(part, Variable))

    def bind(self, resolve: Callable[[str], str | None]) -> Pattern | None:
        """The pattern with the variables' values as literals; None when one of them has no value."""
        chunks: list[list[str | Wildcard]] = [[]]
        for part in self.parts:
            if part is Wildcard.ANY:
                chunks.append([])
            elif isinstance(part, Variable):
                value = resolve(part.name)
                if value is None:
                    return None
                chunks[-1].append(value)
            else:
                chunks[-1].append(part)
        return Pattern(tuple(_chunk(chunk) for chunk in chunks))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A piece between two `*`: plain text, or with `?` in it a regular expression of fixed length."""

    length: int
    plain: str | None
    expression: re.Pattern[str] | None

    def at(self, text: str, start: int) -> bool:
        if self.plain is not None:
            return text.startswith(self.plain, start)
        return self.expression is not None and self.expression.match(text, start) is not None

    def find(self, text: str, start: int, end: int) -> int:
        if self.plain is not None:
            return text.find(self.plain, start, end)
        found = None if self.expression is None else self.expression.search(text, start, end)
        return -1 if found is None else found.start()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A matcher: pieces of text with `*` between them. Its work is bounded by the text times the longest piece."""

    chunks: tuple[_Chunk, ...]

    @property
    def exact(self) -> str | None:
        """The only text that it matches, if there is just one."""
        return self.chunks[0].plain if len(self.chunks) == 1 else None

    @property
    def prefix(self) -> str | None:
        """What the texts begin with, if it is nothing more than such a beginning."""
        head, *rest = self.chunks
        return head.plain if len(rest) == 1 and rest[0].plain == "" else None

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; case counts."""
        head, tail = self.chunks[0], self.chunks[-1]
        if len(self.chunks) == 1:
            return len(text) == head.length and head.at(text, 0)
        start, end = head.length, len(text) - tail.length
        if start > end or not head.at(text, 0) or not tail.at(text, end):
            return False
        # The leftmost place is as good as any: what comes later only has more room.
        for chunk in self.chunks[1:-1]:
            found = chunk.find(text, start, end)
            if found < 0:
                return False
            start = found + chunk.length
        return True


def template(text: str, *, wildcards: bool = True, variables: bool = True) -> Template:
    """Read a text of a policy.

    Args:
        text: as written; `${*}`, `${?}` and `${$}` are those characters themselves.
        wildcards: whether `*` and `?` are wildcards in it.
        variables: whether `${name}` is a variable in it.

    Raises:
        ValueError: when a variable has no end or no name.

    """
    parts: list[Part] = []
    last = 0
    for token in (_TOKEN if variables else _WILDCARD_TOKEN).finditer(text):
        name, wildcard = token.groups()
        if wildcard is None:
            parts += [text[last : token.start()], _variable(name)]
        elif wildcards:
            parts += [text[last : token.start()], Wildcard(wildcard)]
        else:
            continue
        last = token.end()
    parts.append(text[last:])
    if variables and any(isinstance(part, str) and "${" in part for part in parts):
        raise ValueError(f"{text!r} has a variable without an end")
    return Template(text, tuple(part for part in parts if part != ""))


def arn_parts(arn: str) -> list[str]:
    """The parts of an ARN, or of a text of a policy that stands for one: six where it is complete."""
    # The colons of `${iot:ClientId}` are none of the ARN's.
    return _ARN_COLON.split(arn, maxsplit=5)


def _variable(name: str) -> Part:
    if name in {"*", "?", "$"}:
        return name
    if not _NAME.fullmatch(name):
        raise ValueError(f"${{{name}}} is not a policy variable")
    return Variable(name)


def _chunk(parts: Iterable[str | Wildcard]) -> _Chunk:
    pieces = list(parts)
    length = sum(1 if isinstance(piece, Wildcard) else len(piece) for piece in pieces)
    if all(isinstance(piece, str) for piece in pieces):
        return _Chunk(length, "".join(piece for piece in pieces if isinstance(piece, str)), None)
    expression = "".join("." if isinstance(piece, Wildcard) else re.escape(piece) for piece in pieces)
    return _Chunk(length, None, re.compile(expression, re.DOTALL))
