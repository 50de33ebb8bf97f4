"""The models' constraints, walked for every built operation; routes; what is not built; malformed requests."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from iotctl.aws import service_model
from iotctl.local.gateway.service_model import SERVICES, api
from iotctl.local.platform import SERVICES as MODULES
from iotctl.local.services import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import Shape

    from tests.local.conftest import Raw

SIGNED_FOR = {service: name for name, service in reversed(SERVICES.items())}
BUILT = sorted(name for name in OPERATIONS if name.partition(":")[0] in SIGNED_FOR)
TEXTS = (
    *("name-1", "1", "a" * 64, "arn:aws:iot:us-east-1:123456789012:x/y", "AAAA", "NAME", "1.0.0", "2026-01-01", "10"),
    *("123456789012", "p50"),
    "arn:aws:iot:us-east-1:123456789012:thinggroup/g",
    "arn:aws:greengrass:us-east-1:123456789012:components:c",
    "arn:aws:greengrass:us-east-1:123456789012:components:c:versions:1.0.0",
)


def valid(shape: Shape, seen: tuple[str, ...] = ()) -> Any:
    """A value that satisfies a shape."""
    least = shape.metadata.get("min", 0)
    if shape.type_name == "structure":
        names = [name for name in shape.members if name in shape.required_members and name not in seen]
        return {name: valid(shape.members[name], (*seen, name)) for name in names}
    if shape.type_name == "list":
        return [valid(shape.member, seen)] * max(least, 1)
    if shape.type_name == "map":
        return {valid(shape.key, seen): valid(shape.value, seen)}
    if shape.type_name in {"integer", "long", "float", "double"}:
        return max(least, 1)
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "timestamp":
        return 1700000000
    if shape.type_name == "blob":
        return "AAAA"
    return text(shape)


def text(shape: Shape) -> str:
    """A text that satisfies a string shape."""
    from iotctl.local.gateway.patterns import compiled

    if enum := shape.metadata.get("enum"):
        return str(enum[0])
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
    pattern = compiled(shape.metadata.get("pattern", r"[\s\S]*"))
    return next(one for one in TEXTS if least <= len(one) <= most and pattern.fullmatch(one))


def violations(shape: Shape) -> Iterator[tuple[str, Any]]:  # noqa: PLR0912  a branch for each kind of shape
    """Values that break one constraint of a shape each, with the words that AWS has for it."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if enum:
            yield "Member must satisfy enum value set", "NO-SUCH-VALUE"
        if pattern and not enum and not _anything(pattern):
            yield "Member must satisfy regular expression pattern", "\x01 \x02"
        if most and not enum and most <= 100_000:
            yield "Member must have length less than or equal to", "a" * (most + 1)
    elif shape.type_name in {"integer", "long"}:
        if least is not None:
            yield "Member must have value greater than or equal to", least - 1
        if most is not None:
            yield "Member must have value less than or equal to", most + 1
    elif shape.type_name == "list":
        if most is not None:
            yield "Member must have length less than or equal to", [valid(shape.member)] * (most + 1)
        for words, value in violations(shape.member):
            yield words, [value]
    elif shape.type_name == "map":
        for words, value in violations(shape.value):
            yield words, {valid(shape.key): value}
        for words, key in violations(shape.key):
            yield words, {key: valid(shape.value)}
    elif shape.type_name == "structure":
        for name in shape.required_members:
            without = {key: value for key, value in valid(shape).items() if key != name}
            yield "Member must not be null", without
        for name, member in shape.members.items():
            for words, value in violations(member):
                yield words, {**valid(shape), name: value}


def _anything(pattern: str) -> bool:
    from iotctl.local.gateway.patterns import compiled

    return compiled(pattern).fullmatch("\x01 \x02") is not None


def wired(shape: Shape, value: Any) -> Any:
    """A value with its members called as the wire has them."""
    if shape.type_name == "list" and isinstance(value, list):
        return [wired(shape.member, one) for one in value]
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {
            members[key].serialization.get("name", key) if key in members else key: one for key, one in value.items()
        }
    return value


def request_of(name: str, parameters: dict[str, Any]) -> tuple[str, str, bytes, dict[str, str]]:
    """A request with these parameters, whatever they are: method, path, body, headers."""
    model = service_model(name.partition(":")[0]).operation_model(name.partition(":")[2])
    path = model.http["requestUri"]
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    members = model.input_shape.members if model.input_shape else {}
    for key, value in parameters.items():
        place = members[key].serialization.get("location")
        wire = members[key].serialization.get("name", key)
        if place == "uri":
            path = path.replace(f"{{{wire}}}", quote(str(value), safe="")).replace(f"{{{wire}+}}", quote(str(value)))
        elif place == "querystring":
            query.append((wire, str(value).lower() if isinstance(value, bool) else str(value)))
        elif place == "header":
            headers[wire] = str(value)
        elif key == model.input_shape.serialization.get("payload"):
            body = wired(members[key], value)
        else:
            body[wire] = wired(members[key], value)
    content = json.dumps(body).encode() if body else b""
    return model.http["method"], path + ("?" + urlencode(query) if query else ""), content, headers


@pytest.mark.parametrize("name", BUILT)
def test_every_constraint_of_the_model_is_checked(name: str, raw: Callable[..., Raw]) -> None:
    """What the model forbids is refused with the operation's own error and AWS's words, and nothing is done."""
    service, _, operation = name.partition(":")
    shape = service_model(service).operation_model(operation).input_shape
    refusal = api(service).operation(operation).refusal
    base = valid(shape) if shape else {}
    for member, part in (shape.members if shape else {}).items():
        place = part.serialization.get("location")
        for words, value in violations(part):
            if place == "header" and not str(value).isprintable():
                continue  # HTTP itself forbids it
            method, path, body, headers = request_of(name, {**base, member: value})
            answer = raw(method, path, body, service=SIGNED_FOR[service], headers=headers)
            assert (400, refusal) == (answer.status, answer.error), f"{member}={str(value)[:60]!r}: {answer.body!r}"
            assert words in answer.json["message"], f"{member}={str(value)[:60]!r}: {answer.body!r}"


@pytest.mark.parametrize("name", BUILT)
def test_every_required_member_is_required(name: str, raw: Callable[..., Raw]) -> None:
    """A request without a required member is refused with its name."""
    service, _, operation = name.partition(":")
    shape = service_model(service).operation_model(operation).input_shape
    for member in shape.required_members if shape else ():
        if shape.members[member].serialization.get("location") == "uri":
            continue  # without it, it is another path
        parameters = {key: value for key, value in valid(shape).items() if key != member}
        method, path, body, headers = request_of(name, parameters)
        answer = raw(method, path, body, service=SIGNED_FOR[service], headers=headers)
        assert f"Value null at '{member}' failed to satisfy constraint" in answer.json["message"]


@pytest.mark.parametrize("name", BUILT)
def test_every_operation_takes_what_its_model_has(name: str) -> None:
    """A function's parameters are the model's input members, none missing and none invented."""
    service, _, operation = name.partition(":")
    shape = service_model(service).operation_model(operation).input_shape
    taken = set(inspect.signature(OPERATIONS[name].function).parameters) - {"store", "prepared"}
    assert set(shape.members if shape else ()) == taken


def test_every_service_is_started() -> None:
    """Every module that registers operations is one that the platform starts."""
    modules = {OPERATIONS[name].function.__module__ for name in OPERATIONS}
    assert modules <= {module.__name__ for module in MODULES}


@pytest.mark.parametrize("service", sorted(SIGNED_FOR))
def test_every_route_of_a_model_leads_to_its_operation(service: str) -> None:
    """No operation hides another, and labels come back decoded."""
    model = service_model(service)
    for operation in model.operation_names:
        http = model.operation_model(operation).http
        path = http["requestUri"].partition("?")[0]
        labels = [part.strip("{}+") for part in path.split("/") if part.startswith("{")]
        concrete = path
        for label in labels:
            concrete = concrete.replace(f"{{{label}}}", "a%2Fb%20c").replace(f"{{{label}+}}", "a%2Fb%20c")
        target = f"{model.metadata.get('targetPrefix', '')}.{operation}"
        call, found = api(service).call(http["method"], concrete, target)
        assert f"{service}:{operation}" == call.name
        assert dict.fromkeys(labels, "a/b c") == found


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", b"1" * 10_000])
def test_malformed_bodies(raw: Callable[..., Raw], body: bytes) -> None:
    """What is no JSON object is a clean 400."""
    answer = raw("POST", "/things/malformed", body)
    assert (answer.status, answer.error in {"SerializationException", "InvalidRequestException"}) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        {"thingTypeName": 5},
        {"attributePayload": []},
        {"attributePayload": {"attributes": {"a": 1}}},
        {"attributePayload": {"attributes": [1]}},
        {"attributePayload": {"merge": "yes"}},
        {"thingTypeName": {"deep": [1] * 100}},
    ],
)
def test_wrong_types(raw: Callable[..., Raw], body: Any) -> None:
    """A value of the wrong type is InvalidRequestException that names the member."""
    answer = raw("POST", "/things/wrong-type", json.dumps(body).encode())
    assert (answer.status, answer.error) == (400, "InvalidRequestException")
    assert next(iter(body)) in answer.json["message"]


def test_null_members_and_unknown_ones_are_left_out(raw: Callable[..., Raw]) -> None:
    """As AWS does it: null is absent, and what the model does not know is ignored."""
    answer = raw(
        "POST", "/things/nulls", b'{"thingTypeName": null, "attributePayload": {"attributes": null}, "new": 1}'
    )
    assert answer.status == 200


def test_a_body_that_is_too_large(raw: Callable[..., Raw]) -> None:
    """More than a megabyte is 413."""
    assert raw("POST", "/things/large", b"x" * 1_100_000).status == 413


@pytest.mark.parametrize(
    ("service", "method", "path", "named"),
    [
        ("iot", "GET", "/streams/s", "iot:DescribeStream"),
        ("greengrass", "POST", "/greengrass/v2/never", "POST"),
        ("iot", "PATCH", "/nowhere/at/all", "PATCH /nowhere/at/all"),
        ("dynamodb", "POST", "/", "dynamodb"),
    ],
)
def test_what_is_not_there_is_named(raw: Callable[..., Raw], service: str, method: str, path: str, named: str) -> None:
    """Operations that are not built, unknown routes and unknown services are a 4xx, which SDKs do not retry."""
    answer = raw(method, path, service=service)
    assert 400 <= answer.status < 500
    assert named in answer.json["message"]


def test_an_unknown_query_service_answers_xml(raw: Callable[..., Raw]) -> None:
    """Clients of the query protocol and of S3 get errors that they can read."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = raw("POST", "/", b"Action=ListUsers", service="iam", headers=form)
    assert (answer.status, b"<Code>NotImplementedException</Code>" in answer.body) == (400, True)
    answer = raw("POST", "/", b"Action=AssumeRole", service="sts", headers=form)
    assert (answer.status, b"sts:AssumeRole is not built" in answer.body) == (400, True)


def test_every_answer_has_a_request_id(raw: Callable[..., Raw]) -> None:
    """Successes and refusals carry x-amzn-requestid."""
    for answer in (raw("GET", "/endpoint"), raw("GET", "/things/none"), raw("GET", "/", service="nothing")):
        assert len(answer.headers["x-amzn-requestid"]) == 36
