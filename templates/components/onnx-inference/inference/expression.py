"""The conditions of actions: `confidence > 0.9 and label == "anomaly"`.

A path (dots between keys) is compared with a value by == != < <= > >=; `and`, `or`, `not` and parentheses put
comparisons together; a path alone holds where it leads to something else than null, false or nothing. To compare what
is not there, or is of another kind, is false. It is the language of iotctl's own `--where`.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from typing import Any, Callable

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator>==|!=|<=|>=|<|>|\(|\))
      | (?P<text>"(?:[^"\\]|\\.)*"|'[^'\\]*')
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[A-Za-z_$][\w$:-]*(?:\.[\w$:-]+)*)
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_ABSENT = object()
_DEEPEST = 32

Condition = Callable[[Mapping[str, Any]], bool]


class Unreadable(ValueError):
    """Why an expression cannot be read."""


def parse(text: str) -> Condition:
    """A function that says whether the expression holds of a JSON object.

    Raises:
        Unreadable: with the reason.

    """
    tokens: list[tuple[str, str]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise Unreadable(f"{text!r} cannot be read at {text[place : place + 20]!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    condition = _either(tokens, 0)
    if tokens:
        raise Unreadable(f"{text!r}: nothing can follow before {tokens[0][1]!r}")
    return condition


def _either(tokens: list[tuple[str, str]], depth: int) -> Condition:
    parts = [_both(tokens, depth)]
    while _takes(tokens, "or"):
        parts.append(_both(tokens, depth))
    return lambda document: any(part(document) for part in parts)


def _both(tokens: list[tuple[str, str]], depth: int) -> Condition:
    parts = [_one(tokens, depth)]
    while _takes(tokens, "and"):
        parts.append(_one(tokens, depth))
    return lambda document: all(part(document) for part in parts)


def _one(tokens: list[tuple[str, str]], depth: int) -> Condition:
    if depth > _DEEPEST:
        raise Unreadable(f"it is nested more than {_DEEPEST} levels deep")
    if _takes(tokens, "not"):
        negated = _one(tokens, depth + 1)
        return lambda document: not negated(document)
    if _takes(tokens, "("):
        inner = _either(tokens, depth + 1)
        if not _takes(tokens, ")"):
            raise Unreadable("a parenthesis is not closed")
        return inner
    left = _operand(tokens)
    if not tokens or tokens[0][0] != "operator" or tokens[0][1] not in _COMPARE:
        return lambda document: not any(left(document) is none for none in (_ABSENT, None, False))
    compare = _COMPARE[tokens.pop(0)[1]]
    right = _operand(tokens)

    def holds(document: Mapping[str, Any]) -> bool:
        one, other = left(document), right(document)
        return _comparable(one, other, compare) and compare(one, other)

    return holds


def _operand(tokens: list[tuple[str, str]]) -> Callable[[Mapping[str, Any]], Any]:
    if not tokens or tokens[0][0] == "operator" or tokens[0][1] in {"and", "or", "not"}:
        raise Unreadable(f"a path or a value must stand before {tokens[0][1]!r}" if tokens else "it ends too early")
    kind, word = tokens.pop(0)
    if kind == "word" and word not in _CONSTANTS:
        path = word.split(".")
        return lambda document: _at(document, path)
    try:
        value = _CONSTANTS[word] if kind == "word" else word[1:-1] if word[0] == "'" else json.loads(word)
    except ValueError:
        raise Unreadable(f"{word} is not a value") from None
    return lambda _: value


def _takes(tokens: list[tuple[str, str]], word: str) -> bool:
    found = bool(tokens) and tokens[0][1] == word and tokens[0][0] in {"operator", "word"}
    if found:
        tokens.pop(0)
    return found


def _at(document: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return _ABSENT
        document = document[key]
    return document


def _comparable(one: Any, other: Any, compare: Callable[[Any, Any], bool]) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return False
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other)]
    if all(numbers) or (isinstance(one, str) and isinstance(other, str)):
        return True
    return compare in (operator.eq, operator.ne) and (one is None or other is None or type(one) is type(other))
