"""GetStatistics, GetCardinality, GetPercentiles, GetBucketsAggregation: numbers about what a query finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from iotctl.local.services import AwsError, operation
from iotctl.local.services.index.configuration import THINGS, Configuration, ready
from iotctl.local.services.index.search import QUERY_VERSION, condition

if TYPE_CHECKING:
    from iotctl.local.store import Store

_PERCENTS: Final = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
_VERSION: Final = "registry.version"
_DEFAULT_BUCKETS: Final = 10


@operation("iot:GetStatistics")
def get_statistics(
    store: Store,
    queryString: str,
    indexName: str = THINGS,
    aggregationField: str = _VERSION,
    queryVersion: str = QUERY_VERSION,
) -> dict[str, Any]:
    """Count, average, sum, extremes and spread of a numeric field; of a text only the count of things that have it."""
    kind = _kind(ready(store, indexName), aggregationField)
    if kind == "String":
        texts = {name for name, _ in _values(store, aggregationField, queryString, queryVersion, kind)}
        return {"statistics": {"count": len(texts)}}
    numbers = [float(value) for _, value in _values(store, aggregationField, queryString, queryVersion, kind)]
    if not numbers:
        return {"statistics": {"count": 0}}
    count, total = len(numbers), math.fsum(numbers)
    average = total / count
    variance = math.fsum((number - average) ** 2 for number in numbers) / count
    return {
        "statistics": {
            "count": count,
            "average": average,
            "sum": total,
            "minimum": min(numbers),
            "maximum": max(numbers),
            "sumOfSquares": math.fsum(number * number for number in numbers),
            "variance": variance,
            "stdDeviation": math.sqrt(variance),
        }
    }


@operation("iot:GetCardinality")
def get_cardinality(
    store: Store,
    queryString: str,
    indexName: str = THINGS,
    aggregationField: str = _VERSION,
    queryVersion: str = QUERY_VERSION,
) -> dict[str, Any]:
    """How many different values a field has."""
    kind = _kind(ready(store, indexName), aggregationField)
    return {"cardinality": len({v for _, v in _values(store, aggregationField, queryString, queryVersion, kind)})}


@operation("iot:GetPercentiles")
def get_percentiles(
    store: Store,
    *,
    queryString: str,
    indexName: str = THINGS,
    aggregationField: str = _VERSION,
    queryVersion: str = QUERY_VERSION,
    percents: list[float] | None = None,
) -> dict[str, Any]:
    """Below which value that part of a numeric field's values lies, interpolated between two of them."""
    kind = _kind(ready(store, indexName), aggregationField)
    if kind != "Number":
        raise AwsError("InvalidAggregationException", f"The field {aggregationField} is not a Number")
    numbers = sorted(float(v) for _, v in _values(store, aggregationField, queryString, queryVersion, kind))
    wanted = percents or _PERCENTS
    found = [{"percent": percent, "value": _percentile(numbers, percent)} for percent in wanted] if numbers else []
    return {"percentiles": found}


@operation("iot:GetBucketsAggregation")
def get_buckets_aggregation(
    store: Store,
    *,
    queryString: str,
    aggregationField: str,
    bucketsAggregationType: dict[str, Any],
    indexName: str = THINGS,
    queryVersion: str = QUERY_VERSION,
) -> dict[str, Any]:
    """The most frequent values of a field, and how many things have each."""
    kind = _kind(ready(store, indexName), aggregationField)
    counts: dict[str, int] = {}
    values = _values(store, aggregationField, queryString, queryVersion, kind, shown=True)
    for _, value in values:
        counts[str(value)] = counts.get(str(value), 0) + 1
    most = bucketsAggregationType.get("termsAggregation", {}).get("maxBuckets", _DEFAULT_BUCKETS)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    total = len({name for name, _ in values})
    return {"totalCount": total, "buckets": [{"keyValue": value, "count": count} for value, count in ordered]}


def _kind(configuration: Configuration, field: str) -> str:
    """The type of a field that can be aggregated.

    Raises:
        AwsError: InvalidAggregationException: it is neither a managed nor a custom field.

    """
    parts = field.split(".")
    of_named = len(parts) == 4 and parts[:2] == ["shadow", "name"] and parts[2] in configuration.named
    known: dict[str, str] = configuration.managed | configuration.custom
    kind = known.get(f"shadow.name.*.{parts[3]}" if of_named else field)
    if kind is None:
        raise AwsError("InvalidAggregationException", f"The field {field} is neither a managed nor a custom field")
    return kind


def _values(
    store: Store, field: str, query: str, version: str, kind: str, *, shown: bool = False
) -> list[tuple[str, str | float]]:
    """(thing name, value) of a field of the things that a query finds; values of another type are passed over."""
    where, parameters = condition(query, version)
    if field == _VERSION:
        sql = f"SELECT name, version AS value FROM thing WHERE name IN (SELECT name FROM index_thing WHERE {where})"  # noqa: S608  made of constants
        return [(row["name"], row["value"]) for row in store.rows(sql, *parameters)]
    value = {"Number": "number", "Boolean": "value = 'true'"}.get(kind, "value")
    only = {"Number": "number IS NOT NULL", "Boolean": "value IN ('true', 'false')"}.get(kind, "1")
    sql = (
        f"SELECT thing_name AS name, {'value' if shown else value} AS value FROM index_value"  # noqa: S608  as above
        f" WHERE field = ? AND {only} AND thing_name IN (SELECT name FROM index_thing WHERE {where})"
    )
    field = {"registry.thingTypeName": "thingTypeName", "registry.thingGroupNames": "thingGroupNames"}.get(field, field)
    return [(row["name"], row["value"]) for row in store.rows(sql, field, *parameters)]


def _percentile(numbers: list[float], percent: float) -> float:
    place = (len(numbers) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)
