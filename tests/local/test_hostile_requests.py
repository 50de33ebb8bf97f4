"""Whatever arrives, the platform answers with an error of AWS's, never with a failure of its own, and lives on."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotctl.aws import service_model
from iotctl.local.services import OPERATIONS, AwsError, Message
from iotctl.local.services.greengrass.health import on_health
from tests import vectors
from tests.local.conftest import send
from tests.local.greengrass.conftest import health
from tests.local.test_service_model import BUILT, SIGNED_FOR, valid

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import Shape

    from iotctl.local.store import Store
    from iotctl.target import Platform
    from tests.local.conftest import Raw

TEXT = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "9" * 400, "-1", "1e400", "nan", "a" * 900, "..", "%00", "'; --"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


def like(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape's form, good and bad, and values of no such form."""
    if shape.type_name == "structure":
        members = {name: like(member) for name, member in shape.members.items()}
        formed: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=members)
    elif shape.type_name == "list":
        formed = st.lists(like(shape.member), max_size=3)
    elif shape.type_name == "map":
        formed = st.dictionaries(st.just(valid(shape.key)) | TEXT, like(shape.value), max_size=3)
    else:
        formed = st.just(valid(shape))
    return formed | JSON


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, str, bytes, dict[str, str]]:
    """A request of some built operation, with members that may be anything."""
    name = draw(st.sampled_from(BUILT))
    service, _, operation = name.partition(":")
    model = service_model(service).operation_model(operation)
    path, query, headers, body = model.http["requestUri"], [], {}, {}
    for member, shape in (model.input_shape.members if model.input_shape else {}).items():
        place, wire = shape.serialization.get("location"), shape.serialization.get("name", member)
        if place == "uri":
            text = str(draw(st.just(valid(shape)) | TEXT))
            path = path.replace(f"{{{wire}}}", quote(text.encode("utf-8", "surrogatepass"), safe=""))
        elif not draw(st.booleans()):
            continue
        elif place == "querystring":
            query.append((wire, str(draw(st.just(valid(shape)) | TEXT)).encode("utf-8", "surrogatepass")))
        elif place == "header":
            text = draw(st.just(valid(shape)) | st.text(st.characters(min_codepoint=32, max_codepoint=126)))
            headers[wire] = text
        elif member == (model.input_shape.serialization.get("payload") if model.input_shape else None):
            body = draw(JSON)
        else:
            body[wire] = draw(like(shape))
    content = json.dumps(body).encode() if body else b""
    return SIGNED_FOR[service], model.http["method"], path + ("?" + urlencode(query) if query else ""), content, headers


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=requests())
def test_no_request_breaks_the_platform(running: Platform, asked: tuple[str, str, str, bytes, dict[str, str]]) -> None:
    """A request with any values is answered with success or with a 4xx that has a name."""
    service, method, path, body, headers = asked
    answer = send(running, method, path, body, service=service, headers=headers)
    assert answer.status < 500, answer.body
    assert answer.status == 200 or answer.error


DEEP = '{"a":' * 3000 + "1" + "}" * 3000
UNPARSABLE = "https://[bucket/key"
JOB = {"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t"]}
TEMPLATE = {"templateName": "t", "provisioningRoleArn": "arn:aws:iam::123456789012:role/r"}


def recipe(artifact: dict[str, Any] | None = None, **more: Any) -> dict[str, bytes]:
    """The parameters of CreateComponentVersion."""
    manifests = [{"Artifacts": [{"Uri": "s3://b/k", **(artifact or {})}]}]
    named = {"RecipeFormatVersion": "2020-01-25", "ComponentName": "c", "ComponentVersion": "1.0.0"}
    return {"inlineRecipe": json.dumps({**named, "Manifests": manifests, **more}).encode()}


@vectors.rows(
    ("operation", "parameters"),
    [
        ("iot:CreateJob", {**JOB, "document": DEEP}),
        ("iot:CreateJob", {**JOB, "documentSource": UNPARSABLE}),
        ("iot:CreateJob", {**JOB, "document": f'{{"a":"${{aws:iot:s3-presigned-url:{UNPARSABLE}}}"}}'}),
        ("iot:CreatePolicy", {"policyName": "p", "policyDocument": DEEP}),
        ("iot:CreateProvisioningTemplate", {**TEMPLATE, "templateBody": DEEP}),
        ("greengrassv2:CreateComponentVersion", {"inlineRecipe": DEEP.encode()}),
        ("greengrassv2:CreateComponentVersion", recipe(ComponentDependencies={"x": {"DependencyType": []}})),
        ("greengrassv2:CreateComponentVersion", recipe(ComponentName="..")),
        ("greengrassv2:CreateComponentVersion", recipe({"Unarchive": []})),
        ("greengrassv2:CreateComponentVersion", recipe({"Permission": {"Read": []}})),
    ],
)
def test_a_document_that_is_none_is_the_caller_s_error(
    store: Store, operation: str, parameters: dict[str, Any]
) -> None:
    """JSON too deep for a parser, values of another type, a URL that is none."""
    with pytest.raises(AwsError):
        OPERATIONS[operation](store, **parameters)


def test_a_report_that_is_none_is_ignored(store: Store) -> None:
    """A core cannot make the listener of health reports fail."""
    OPERATIONS["iot:CreateThing"](store, thingName="core")
    for wrong in (
        {"overallDeviceStatus": []},
        {"sequenceNumber": 10**30},
        {"timestamp": 10**400},
        {"components": [{"componentName": []}]},
        {"components": [{"componentName": "c", "status": []}]},
        {"components": [{"componentName": "c", "status": "RUNNING", "componentStatusDetails": 1}]},
        {"deploymentInformation": "d"},
    ):
        report = json.dumps({**health("core"), **wrong}).encode()
        on_health(store, Message("$aws/things/core/greengrassv2/health/json", report, "core"))


@pytest.mark.parametrize("name", ["contentType=%00", "responseTopic=a/%2B", "responseTopic=%00"])
def test_what_no_client_may_send_is_not_published(raw: Callable[..., Raw], name: str) -> None:
    """MQTT has no U+0000 in a text, nor a wildcard in a topic: a client that got one would hang up."""
    assert "InvalidRequestException" == raw("POST", f"/topics/a?qos=1&{name}", b"", service="iotdata").error


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-mqtt5-user-properties", r'[{"a":"\ud800"}]'),
        ("x-amz-mqtt5-user-properties", r'[{"\u0000":"a"}]'),
        ("x-amz-mqtt5-user-properties", "[" * 5000),
        ("x-amz-mqtt5-correlation-data", "é"),
    ],
)
def test_what_no_client_may_send_in_a_header(raw: Callable[..., Raw], header: str, value: str) -> None:
    """The same in user properties, which are base64 in a header, and in correlation data."""
    sent = base64.b64encode(value.encode()).decode() if "user" in header else value.encode()
    assert "InvalidRequestException" == raw("POST", "/topics/a", b"", service="iotdata", headers={header: sent}).error


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET http://evil.example/things HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /things/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /things/x HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET /things HTTP/1.1\r\n\r\n",
    ],
)
def test_no_bytes_break_the_platform(running: Platform, sent: bytes) -> None:
    """What is no HTTP, or twisted HTTP, is refused, and the next client is served."""
    address = urlsplit(running.http_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert send(running, "GET", "/endpoint").status == 200


@pytest.mark.parametrize("welcome", [True, False])
def test_a_client_that_waits_to_be_asked_for_its_body(running: Platform, welcome: bool) -> None:
    """curl, and botocore where the payload is a file, send it after `100 Continue` only; never after a refusal."""
    address = urlsplit(running.http_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as client:
        scope = f"{running.access_key_id if welcome else 'AKIA'}/20260101/{running.region}/iotdata/aws4_request"
        client.sendall(
            f"POST /topics/a HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\r\n".encode()
        )
        answer = client.recv(65536)
        if welcome:
            assert b"HTTP/1.1 100 Continue\r\n\r\n" == answer
            client.sendall(b"{}")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        else:
            assert answer.startswith(b"HTTP/1.1 403")
            assert b"\r\nConnection: close\r\n" in answer


def test_a_client_that_stops_in_the_middle(running: Platform) -> None:
    """A half-sent request harms nobody else."""
    address = urlsplit(running.http_url)
    slow = http.client.HTTPConnection(address.hostname or "", address.port)
    slow.putrequest("POST", "/things/half")
    slow.putheader("Content-Length", "1000")
    slow.endheaders()
    slow.send(b'{"attri')
    assert send(running, "GET", "/endpoint").status == 200
    slow.close()
    assert send(running, "GET", "/endpoint").status == 200
