"""Which operation a request is: every one of the model's, and which parameters it takes."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from iotctl.aws import service_model
from iotctl.local.gateway.s3 import routes
from iotctl.local.services import OPERATIONS, AwsError
from iotctl.local.services.s3.content import SOURCES
from iotctl.local.services.s3.objects import SEVERAL

MODEL = service_model("s3")
BUILT = sorted(name.removeprefix("s3:") for name in OPERATIONS if name.startswith("s3:"))
NEVER_MEANT = {
    "ListDirectoryBuckets",  # the same request as ListBuckets, to another kind of endpoint
    "WriteGetObjectResponse",  # to an endpoint of its own
}
MEANT = [
    name
    for name in MODEL.operation_names
    # A deprecated operation has the route of the one that came in its place.
    if name not in NEVER_MEANT and not MODEL.operation_model(name).deprecated
]


@pytest.mark.parametrize("name", MEANT)
def test_every_operation(name: str) -> None:
    """A request that is built from an operation's model is that operation, in both styles of address."""
    model = MODEL.operation_model(name)
    path, _, fixed = model.http["requestUri"].partition("?")
    query, headers = dict(parse_qsl(fixed, keep_blank_values=True)), {}
    for member in model.input_shape.required_members if model.input_shape else ():
        at = model.input_shape.members[member].serialization
        places: dict[str, dict[str, Any]] = {"querystring": query, "header": headers}
        if at.get("location") in places:
            places[at["location"]][at["name"]] = "1"
    whole = path.replace("{Bucket}", "bucket").replace("{Key+}", "a/b%20c") + "?" + urlencode(query)
    asked = routes.Asked.of(model.http["method"], whole, headers, "")
    assert name == routes.operation(asked).name
    if asked.bucket:
        hosted = routes.Asked.of(model.http["method"], whole.replace("/bucket", "", 1) or "/", headers, "bucket")
        assert asked == hosted


def test_no_operation() -> None:
    """A method that S3 has not is refused."""
    with pytest.raises(AwsError, match="not allowed"):
        routes.operation(routes.Asked.of("PATCH", "/bucket/k", {}, ""))


@pytest.mark.parametrize("name", BUILT)
def test_parameters(name: str) -> None:
    """A function takes members of the model alone, and what is asked before it takes the same."""
    shape = MODEL.operation_model(name).input_shape
    members = set(shape.members if shape else ())
    taken = set(inspect.signature(OPERATIONS[f"s3:{name}"].function).parameters) - {"store"}
    several = {member for group in taken & set(SEVERAL) for member in SEVERAL[group]}
    assert set() == (taken - set(SEVERAL) | several) - members - {"Body"}
    if f"s3:{name}" in SOURCES:
        assert taken - {"Body"} == set(inspect.signature(SOURCES[f"s3:{name}"]).parameters) - {"store"}
