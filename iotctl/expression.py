"""The small comparisons of --where, --until and --gate: `confidence < 0.6 and label == "anomaly"`.

A path (dots between keys) is compared with a JSON value by == != < <= > >=; `and`, `or`, `not` and parentheses put
comparisons together; a path alone holds where it leads to something else than null, false or nothing at all. What is
not there, or of another kind (a text and a number), is neither equal nor unequal, smaller nor larger: to compare
it is false.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iotctl.errors import Usage

LONGEST: Final = 1000
"""Characters of an expression."""
DEEPEST: Final = 32
"""Levels of parentheses and `not`."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator>==|!=|<=|>=|<|>|\(|\))
      | (?P<text>"(?:[^"\\]|\\.)*"|'[^'\\]*')
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[A-Za-z_$][\w$:-]*(?:\.[\w$:-]+)*)
    )""",
    re.VERBOSE,
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, ready to be asked; it is as cheap as the comparisons in it."""

    text: str
    _holds: Callable[[Mapping[str, Any]], bool]

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether it holds of a JSON object."""
        return self._holds(document)


def parse(text: str, *, where: str) -> Expression:
    """Read an expression.

    Args:
        text: what was typed.
        where: the option or key it was given for, for the message.

    Raises:
        Usage: with the place where it cannot be read.

    """
    if len(text) > LONGEST:
        raise _unreadable(text, where, f"it has more than {LONGEST} characters")
    reading = _Reading(text, where)
    found = reading.either(0)
    if reading.left:
        raise reading.fault("nothing can follow here")
    return Expression(text, found)


Holds = Callable[[Mapping[str, Any]], bool]


class _Reading:
    """Goes through the tokens from left to right."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self.left: list[tuple[str, str, int]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                rest = text[place : place + 20].lstrip()
                raise _unreadable(
                    text, where, f"a key of a path is empty at {rest!r}" if rest[:1] == "." else f"at {rest!r}"
                )
            self.left.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            place = found.end()

    def either(self, depth: int) -> Holds:
        parts = [self._both(depth)]
        while self._takes("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _both(self, depth: int) -> Holds:
        parts = [self._one(depth)]
        while self._takes("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _one(self, depth: int) -> Holds:
        if depth > DEEPEST:
            raise self.fault(f"it is nested more than {DEEPEST} levels deep")
        if self._takes("not"):
            inner = self._one(depth + 1)
            return lambda document: not inner(document)
        if self._takes("("):
            inner = self.either(depth + 1)
            if not self._takes(")"):
                raise self.fault("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Holds:
        left = self._operand()
        if not self.left or self.left[0][1] not in _COMPARE or self.left[0][0] != "operator":
            return lambda document: not any(left(document) is none for none in (_ABSENT, None, False))
        compare = _COMPARE[self.left.pop(0)[1]]
        right = self._operand()

        def holds(document: Mapping[str, Any]) -> bool:
            one, other = left(document), right(document)
            return _comparable(one, other, compare) and compare(one, other)

        return holds

    def _operand(self) -> Callable[[Mapping[str, Any]], Any]:
        if not self.left:
            raise self.fault("it ends too early")
        kind, text, _ = self.left[0]
        if kind == "operator" or text in {"and", "or", "not"}:
            raise self.fault("a path or a value must stand here")
        self.left.pop(0)
        if kind == "word" and text not in _CONSTANTS:
            path = tuple(text.split("."))
            return lambda document: _at(document, path)
        value = _CONSTANTS[text] if kind == "word" else self._value(kind, text)
        return lambda _: value

    def _value(self, kind: str, text: str) -> Any:  # noqa: ANN401  a JSON value
        try:
            return text[1:-1] if kind == "text" and text.startswith("'") else json.loads(text)
        except ValueError:
            raise _unreadable(self._text, self._where, f"{text} is not a value") from None

    def _takes(self, text: str) -> bool:
        found = bool(self.left) and self.left[0][1] == text and self.left[0][0] in {"operator", "word"}
        if found:
            self.left.pop(0)
        return found

    def fault(self, reason: str) -> Usage:
        place = f"at {self._text[self.left[0][2] :][:20]!r}: " if self.left else ""
        return _unreadable(self._text, self._where, place + reason)


def _at(document: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401  JSON is any value
    for key in path:
        # What was read as JSON is a dict, and asking for that alone is several times as fast.
        if not isinstance(document, dict) and not isinstance(document, Mapping):
            return _ABSENT
        document = document.get(key, _ABSENT)
    return document


def _comparable(one: Any, other: Any, compare: Callable[[Any, Any], bool]) -> bool:  # noqa: ANN401  JSON values
    if isinstance(one, str) and isinstance(other, str):
        return True
    if one is _ABSENT or other is _ABSENT:
        return False
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)):
        return True
    # Everything may be compared for being the same with a value of its own kind; null with all.
    return compare in (operator.eq, operator.ne) and (one is None or other is None or type(one) is type(other))


def _unreadable(text: str, where: str, reason: str) -> Usage:
    return Usage(
        f"{where} {text[:60]!r} cannot be read: {reason}",
        code="BadExpression",
        hint="""for example 'confidence < 0.6 and label == "anomaly"'""",
    )
