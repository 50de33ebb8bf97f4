"""SearchIndex: a query answered from the index's tables, a page at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, invalid, operation
from iotctl.local.services.index.configuration import THINGS, ready
from iotctl.local.services.paging import page
from iotctl.semantics.query import And, Between, Equals, Like, Node, Not, Or, QueryError, Term, parse

if TYPE_CHECKING:
    from iotctl.local.store import Store

QUERY_VERSION: Final = "2017-09-30"

_MOST_RESULTS: Final = 100
"""On a page. The service model: "This maximum number cannot exceed 100. The response might contain fewer results but
will never contain more"; whoever asks for more gets so many."""

_AFTER_EVERY_TEXT: Final = "\U0010ffff"

Condition = tuple[str, list[Any]]
"""A condition on `name`, a thing's name, in SQL; and its parameters."""


@operation("iot:SearchIndex")
def search_index(
    store: Store,
    queryString: str,
    indexName: str = THINGS,
    nextToken: str | None = None,
    maxResults: int | None = None,
    queryVersion: str = QUERY_VERSION,
) -> dict[str, Any]:
    """The things that a query finds, by name."""
    ready(store, indexName)
    where, parameters = condition(queryString, queryVersion)
    rows, token = page(
        store,
        f"SELECT name, entry FROM index_thing WHERE {where}",  # noqa: S608  made of constants, with marks for the values
        parameters,
        by=("name",),
        size=min(maxResults or _MOST_RESULTS, _MOST_RESULTS),
        token=nextToken,
    )
    return {"things": [json.loads(row["entry"]) for row in rows], "nextToken": token}


def condition(query: str, version: str = QUERY_VERSION) -> Condition:
    """The condition that a query is.

    Raises:
        AwsError: InvalidQueryException.

    """
    if version != QUERY_VERSION:
        raise invalid(f"Query version {version} is not supported: it is {QUERY_VERSION}")
    if query.strip() == "*":
        return "1", []
    try:
        return _sql(parse(query))
    except QueryError as error:
        raise AwsError("InvalidQueryException", str(error)) from error


def _sql(node: Node) -> Condition:
    if isinstance(node, Term):
        return _term(node)
    if isinstance(node, Not):
        inner, parameters = _sql(node.inner)
        return f"NOT ({inner})", parameters
    assert isinstance(node, And | Or), "there is nothing else"
    parts = [_sql(part) for part in node.parts]
    word = " AND " if isinstance(node, And) else " OR "
    return word.join(f"({part})" for part, _ in parts), [each for _, parameters in parts for each in parameters]


def _term(term: Term) -> Condition:
    where, parameters = _match(term.match)
    if term.field is not None:
        where, parameters = f"field = ? AND ({where})", [term.field, *parameters]
    return f"name IN (SELECT thing_name FROM index_value WHERE {where})", parameters  # noqa: S608  as above


def _match(match: Equals | Like | Between) -> Condition:
    if isinstance(match, Equals):
        where = "value = ? OR (words AND ' ' || value || ' ' LIKE ? ESCAPE '\\')"
        parameters: list[Any] = [match.text, f"% {_escaped(match.text)} %"]
        if match.number is not None:
            return f"{where} OR number = ?", [*parameters, match.number]
        return where, parameters
    if isinstance(match, Like):
        return _like(match.pattern)
    bounds = (("low", ">", match.low, match.with_low), ("high", "<", match.high, match.with_high))
    found = [(sign + "=" * inclusive, bound) for _, sign, bound, inclusive in bounds if bound is not None]
    column = "value" if isinstance(found[0][1], str) else "number"
    return " AND ".join(f"{column} {sign} ?" for sign, _ in found), [bound for _, bound in found]


def _like(pattern: str) -> Condition:
    if pattern == "*":
        return "1", []
    text = _escaped(pattern).replace("*", "%").replace("?", "_")
    prefix = pattern[: min(place for place in (pattern.find("*"), pattern.find("?")) if place >= 0)]
    words = "words AND ' ' || value || ' ' LIKE ? ESCAPE '\\'"
    whole = "value >= ? AND value < ? AND value LIKE ? ESCAPE '\\'"
    # The beginning of a value is found by the index; only values of several words are looked through for one of them.
    return f"({whole}) OR ({words})", [prefix, prefix + _AFTER_EVERY_TEXT, text, f"% {text} %"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
