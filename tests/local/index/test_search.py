"""SearchIndex and the rest of the index's operations, on a store of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotctl.local.gateway.data_plane import operations
from iotctl.local.services import AwsError
from iotctl.local.services.index import configuration
from iotctl.semantics.query import parse

if TYPE_CHECKING:
    from iotctl.local.store import Store

Call = Callable[..., dict[str, Any]]
Indexed = Callable[..., None]

STATE = {"desired": {"rate": 5, "led": {"color": "RED"}}, "reported": {"rate": 4, "on": True, "tags": ["a b", "c"]}}


def found(call: Call, query: str) -> list[str]:
    """The names that a query finds."""
    return [thing["thingName"] for thing in call("iot:SearchIndex", queryString=query)["things"]]


def refusal(call: Call, name: str, **parameters: Any) -> str:
    """The code of a call that must be refused."""
    with pytest.raises(AwsError) as caught:
        call(name, **parameters)
    return caught.value.code


def attributes(**values: str) -> dict[str, Any]:
    """An attribute payload."""
    return {"attributes": values}


def test_the_index_is_off_at_first(call: Call) -> None:
    """As on AWS: there is no index then, and a search says so."""
    assert "ResourceNotFoundException" == refusal(call, "iot:SearchIndex", queryString="*")
    assert "ResourceNotFoundException" == refusal(call, "iot:DescribeIndex", indexName="AWS_Things")
    assert {"indexNames": []} == call("iot:ListIndices")
    assert "OFF" == call("iot:GetIndexingConfiguration")["thingIndexingConfiguration"]["thingIndexingMode"]


def test_connectivity_is_known_where_it_is_indexed(store: Store, call: Call) -> None:
    """Whether a thing is connected AWS says only while the index holds it; with nothing indexed there is no index."""
    call("iot:CreateThing", thingName="press")
    ask = operations(None)["iot:GetThingConnectivityData"]  # type: ignore[arg-type]  # it comes to no broker

    def answered(things: dict[str, Any] | None = None) -> tuple[str, str]:
        if things:
            call("iot:UpdateIndexingConfiguration", thingIndexingConfiguration=things)
            configuration.built(store)
        with pytest.raises(AwsError) as caught:
            ask(store, thingName="press")
        return caught.value.code, caught.value.message.split(":")[0]

    assert ("ResourceNotFoundException", "Index AWS_Things does not exist") == answered()
    expected = ("IndexNotReadyException", "Index AWS_Things does not hold connectivity")
    assert expected == answered({"thingIndexingMode": "REGISTRY"})


def test_the_index_is_not_ready_while_it_is_built(call: Call) -> None:
    """BUILDING at first; REBUILDING later, when it can be searched."""
    call("iot:UpdateIndexingConfiguration", thingIndexingConfiguration={"thingIndexingMode": "REGISTRY"})

    assert "BUILDING" == call("iot:DescribeIndex", indexName="AWS_Things")["indexStatus"]
    assert "IndexNotReadyException" == refusal(call, "iot:SearchIndex", queryString="*")


@pytest.mark.parametrize(
    ("configuration", "schema"),
    [
        ({}, "REGISTRY"),
        ({"thingConnectivityIndexingMode": "STATUS"}, "REGISTRY_AND_CONNECTIVITY"),
        ({"thingIndexingMode": "REGISTRY_AND_SHADOW"}, "REGISTRY_AND_SHADOW"),
        (
            {"thingIndexingMode": "REGISTRY_AND_SHADOW", "thingConnectivityIndexingMode": "STATUS"},
            "REGISTRY_AND_SHADOW_AND_CONNECTIVITY_STATUS",
        ),
        ({"namedShadowIndexingMode": "ON", "filter": {"namedShadowNames": ["a"]}}, "MULTI_INDEXING_MODE"),
    ],
)
def test_the_schema_says_what_is_indexed(call: Call, configuration: dict[str, Any], schema: str) -> None:
    """The table of the managing-index page."""
    things = {"thingIndexingMode": "REGISTRY", **configuration}
    call("iot:UpdateIndexingConfiguration", thingIndexingConfiguration=things)

    assert schema == call("iot:DescribeIndex", indexName="AWS_Things")["schema"]
    held = call("iot:GetIndexingConfiguration")["thingIndexingConfiguration"]
    assert things == {key: value for key, value in held.items() if key != "managedFields"}


@pytest.mark.parametrize(
    "things",
    [
        {},
        {"thingIndexingMode": "OFF", "thingConnectivityIndexingMode": "STATUS"},
        {"thingIndexingMode": "REGISTRY", "customFields": [{"name": "shadow.desired.power", "type": "Boolean"}]},
        {"thingIndexingMode": "REGISTRY", "customFields": [{"name": "thingName", "type": "String"}]},
        {
            "thingIndexingMode": "REGISTRY",
            "customFields": [{"name": f"attributes.a{n}", "type": "String"} for n in range(6)],
        },
        {"thingIndexingMode": "REGISTRY", "namedShadowIndexingMode": "ON"},
    ],
)
def test_configurations_that_are_refused(call: Call, things: dict[str, Any]) -> None:
    """Custom fields that are not indexed, too many of them, modes without what they need."""
    assert "InvalidRequestException" == refusal(
        call, "iot:UpdateIndexingConfiguration", thingIndexingConfiguration=things
    )


def test_an_entry_shows_the_registry_the_shadows_and_the_connection(call: Call, indexed: Indexed) -> None:
    """Members and shapes as the managing-index page has them; the shadow is JSON text."""
    call("iot:CreateThingType", thingTypeName="press")
    call("iot:CreateThingGroup", thingGroupName="north")
    call("iot:CreateThingGroup", thingGroupName="oslo", parentGroupName="north")
    made = call("iot:CreateThing", thingName="p1", thingTypeName="press", attributePayload=attributes(site="oslo"))
    call("iot:AddThingToThingGroup", thingName="p1", thingGroupName="oslo")
    call("iot-data:UpdateThingShadow", thingName="p1", payload=json.dumps({"state": STATE}).encode())
    call("iot-data:UpdateThingShadow", thingName="p1", shadowName="config", payload=b'{"state":{"desired":{"a":1}}}')
    call("iot-data:UpdateThingShadow", thingName="p1", shadowName="other", payload=b'{"state":{"desired":{"b":1}}}')
    indexed()

    (entry,) = call("iot:SearchIndex", queryString="thingName:p1")["things"]

    shadow = json.loads(entry.pop("shadow"))
    assert {
        "thingName": "p1",
        "thingId": made["thingId"],
        "thingTypeName": "press",
        "thingGroupNames": ["north", "oslo"],
        "attributes": {"site": "oslo"},
        "connectivity": {"connected": False},
    } == entry
    assert STATE == {key: shadow[key] for key in ("desired", "reported")}
    assert ({"rate": 5, "led": {"color": "RED"}}, True, 1) == (shadow["delta"], shadow["hasDelta"], shadow["version"])
    assert {"desired", "reported"} <= set(shadow["metadata"])
    assert ["config"] == list(shadow["name"])
    assert ({"a": 1}, True) == (shadow["name"]["config"]["desired"], shadow["name"]["config"]["hasDelta"])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("*", ["p1", "p2", "p3"]),
        ("thingName:*", ["p1", "p2", "p3"]),
        ("thingName:p?", ["p1", "p2", "p3"]),
        ("attributes.site:OSLO", ["p1"]),
        ("attributes.rate>=7 AND attributes.rate<70", ["p2"]),
        ("attributes.rate:7.0", ["p2"]),
        ('attributes.site:["a" TO "p"]', ["p1"]),
        ("NOT attributes.site:oslo", ["p2", "p3"]),
        ("thingGroupNames:north", ["p1"]),
        ("shadow.hasDelta:true", ["p1"]),
        ("shadow.hasDelta:false", ["p2"]),
        ("shadow.desired.led.color:red", ["p1"]),
        ("shadow.reported.tags:c", ["p1"]),
        ("shadow.reported.tags:b", ["p1"]),
        ('shadow.reported.tags:"a b"', ["p1"]),
        ("shadow.reported.complex:*", []),
        ("shadow.name.config.hasDelta:true", ["p3"]),
        ("shadow.reported.rate:[1 TO 4]", ["p1"]),
        ("red", ["p1"]),
        ("-(attributes.site:oslo OR attributes.rate:70)", ["p2"]),
        ("attributes.odd:5x*", ["p2"]),
        ("attributes.odd:5_*", []),
    ],
)
def test_queries(call: Call, indexed: Indexed, query: str, names: list[str]) -> None:
    """Registry, shadows classic and named, numbers, words, arrays."""
    call("iot:CreateThingGroup", thingGroupName="north")
    for name, values in (("p1", attributes(site="oslo")), ("p2", attributes(rate="7")), ("p3", attributes(rate="70"))):
        call("iot:CreateThing", thingName=name, attributePayload=values)
    call("iot:UpdateThing", thingName="p2", attributePayload={"attributes": {"odd": "5x0"}, "merge": True})
    call("iot:AddThingToThingGroup", thingName="p1", thingGroupName="north")
    call("iot-data:UpdateThingShadow", thingName="p1", payload=json.dumps({"state": STATE}).encode())
    call("iot-data:UpdateThingShadow", thingName="p2", payload=b'{"state":{"reported":{"complex":[{"a":1}]}}}')
    call("iot-data:UpdateThingShadow", thingName="p3", shadowName="config", payload=b'{"state":{"desired":{"a":1}}}')
    call("iot-data:UpdateThingShadow", thingName="nobody", payload=b'{"state":{"desired":{"led":{"color":"RED"}}}}')
    indexed()

    assert names == found(call, query)


def test_refused_queries(call: Call, indexed: Indexed) -> None:
    """InvalidQueryException, and another version of the language."""
    assert "InvalidQueryException" == refusal(call, "iot:SearchIndex", queryString="thingName:*x")
    assert "InvalidRequestException" == refusal(call, "iot:SearchIndex", queryString="*", queryVersion="2016-01-01")
    assert "ResourceNotFoundException" == refusal(call, "iot:SearchIndex", queryString="*", indexName="AWS_Cars")


def test_pages(call: Call, indexed: Indexed) -> None:
    """All things, each once, in the order of their names; at most 100 a page, whatever was asked for."""
    names = [f"p{number:04}" for number in range(151)]
    for name in names:
        call("iot:CreateThing", thingName=name)
    indexed()

    first = call("iot:SearchIndex", queryString="thingName:p*", maxResults=1000)
    second = call("iot:SearchIndex", queryString="thingName:p*", maxResults=1000, nextToken=first["nextToken"])

    assert (100, None) == (len(first["things"]), second["nextToken"])
    assert names == [thing["thingName"] for thing in (*first["things"], *second["things"])]
    assert "InvalidRequestException" == refusal(call, "iot:SearchIndex", queryString="*", nextToken=first["nextToken"])


VALUES = st.sampled_from(["oslo", "rome", "75", "7", "true", "osl", "r.me"])
TERMS = st.builds(
    lambda field, value: f"{field}{value}",
    st.sampled_from(["attributes.a:", "attributes.b:", ""]),
    VALUES | st.sampled_from(["os*", "r?me", "*", "[1 TO 80]", '["a" TO "p"]', "{7 TO 75}"]),
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: (
        st.builds("NOT ({})".format, inner)
        | st.builds("({} {})".format, inner, inner)
        | st.builds("({} OR {})".format, inner, inner)
    ),
    max_leaves=5,
)
THINGS = st.lists(st.dictionaries(st.sampled_from(["a", "b"]), VALUES), min_size=1, max_size=5)


@given(THINGS, QUERIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_tables_answer_as_the_language_says(
    store: Store, call: Call, indexed: Indexed, things: list[dict[str, str]], query: str
) -> None:
    """Whatever the query, SQL finds those things of which it holds."""
    for row in store.rows("SELECT name FROM thing"):
        call("iot:DeleteThing", thingName=row["name"])
    fields: dict[str, dict[str, list[Any]]] = {}
    for number, values in enumerate(things):
        made = call("iot:CreateThing", thingName=f"t{number}", attributePayload={"attributes": values})
        fields[f"t{number}"] = {"thingName": [f"t{number}"], "thingId": [made["thingId"]]} | {
            f"attributes.{key}": [value] for key, value in values.items()
        }
    indexed()

    assert [name for name, mine in fields.items() if parse(query).holds(mine)] == found(call, query)


def test_statistics(call: Call, indexed: Indexed) -> None:
    """The example of the index-aggregate page: count, average, spread; texts are counted, booleans are 0 and 1."""
    for name, rate in (("p1", "-125"), ("p2", "150"), ("p3", "75"), ("p4", "fast")):
        call("iot:CreateThing", thingName=name, attributePayload=attributes(rate=rate, site="oslo"))
    call("iot-data:UpdateThingShadow", thingName="p1", payload=b'{"state":{"reported":{"on":true}}}')
    call("iot-data:UpdateThingShadow", thingName="p2", payload=b'{"state":{"reported":{"on":false}}}')
    indexed()

    of_rate = call("iot:GetStatistics", queryString="*", aggregationField="attributes.rate")["statistics"]
    assert (3, 100.0, -125.0, 150.0, 43750.0) == tuple(
        of_rate[key] for key in ("count", "sum", "minimum", "maximum", "sumOfSquares")
    )
    assert (33.333333333333336, 13472.222222222222, 116.06990230986766) == pytest.approx(
        tuple(of_rate[key] for key in ("average", "variance", "stdDeviation"))
    )
    assert {"count": 4} == call("iot:GetStatistics", queryString="*", aggregationField="attributes.site")["statistics"]
    of_on = call("iot:GetStatistics", queryString="*", aggregationField="shadow.reported.on")["statistics"]
    assert (2, 0.5, 0, 1) == tuple(of_on[key] for key in ("count", "average", "minimum", "maximum"))
    assert 4 == call("iot:GetStatistics", queryString="*")["statistics"]["count"]
    assert {"count": 0} == call("iot:GetStatistics", queryString="thingName:x", aggregationField="attributes.rate")[
        "statistics"
    ]
    assert "InvalidAggregationException" == refusal(
        call, "iot:GetStatistics", queryString="*", aggregationField="attributes.other"
    )


def test_cardinality_percentiles_and_buckets(call: Call, indexed: Indexed) -> None:
    """Different values, what part lies below which, and the most frequent ones."""
    for number, rate in enumerate(["1", "1", "2", "3"]):
        values = attributes(rate=rate, site="oslo" if number else "rome")
        call("iot:CreateThing", thingName=f"p{number}", attributePayload=values)
    indexed()

    field = {"queryString": "thingName:p*", "aggregationField": "attributes.rate"}
    assert {"cardinality": 3} == call("iot:GetCardinality", **field)
    assert {"percentiles": [{"percent": 50, "value": 1.5}, {"percent": 99, "value": pytest.approx(2.97)}]} == call(
        "iot:GetPercentiles", **field, percents=[50, 99]
    )
    assert {"percentiles": []} == call("iot:GetPercentiles", **{**field, "queryString": "thingName:none"})
    assert "InvalidAggregationException" == refusal(
        call, "iot:GetPercentiles", queryString="*", aggregationField="attributes.site"
    )
    buckets = call(
        "iot:GetBucketsAggregation",
        queryString="*",
        aggregationField="attributes.site",
        bucketsAggregationType={"termsAggregation": {"maxBuckets": 1}},
    )
    assert {"totalCount": 4, "buckets": [{"keyValue": "oslo", "count": 3}]} == buckets
