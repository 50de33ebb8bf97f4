"""Whatever arrives, S3 answers with an error of S3's, never with a failure of its own, and lives on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotctl.aws import service_model
from iotctl.local.services import OPERATIONS
from tests.local.conftest import send

if TYPE_CHECKING:
    from iotctl.target import Platform

MODEL = service_model("s3")
BUILT = sorted(name.removeprefix("s3:") for name in OPERATIONS if name.startswith("s3:"))
QUERY = st.text(max_size=8) | st.sampled_from(
    ["-1", "9" * 30, "0", "..", "AAAA", "\x00", "\r\nX: 1", "1", "true", "url"]
)
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=8) | (
    st.sampled_from(
        ["bytes=0-0", "*", "AAAA", "bucket/k", "CRC32", "SHA256", "ENABLED", "1", "Tue, 99 Foo 2023 1:1:1 GMT"]
    )
)
BODY = st.binary(max_size=40) | st.sampled_from(
    [
        b"<Delete><Object><Key>k</Key></Object></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>",
        b"<a><Part/><Object/><Quiet/></a>",
        b"5\r\nhello\r\n0\r\n\r\n",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes, dict[str, str]]:
    """A request of some built operation, whose members may be anything."""
    operation = MODEL.operation_model(draw(st.sampled_from(BUILT)))
    path, _, fixed = operation.http["requestUri"].partition("?")
    bucket = draw(st.sampled_from(["hostile", "none", "..", "A"]))
    key = draw(st.text(min_size=1, max_size=4) | st.sampled_from(["../..", "k"]))
    path = path.replace("{Bucket}", bucket).replace("{Key+}", quote(key.encode("utf-8", "surrogatepass"), safe="/"))
    query, headers = [fixed] if fixed else [], {}
    shape = operation.input_shape
    for member in shape.members.values() if shape else ():
        place, name = member.serialization.get("location"), member.serialization.get("name", "")
        if place and draw(st.integers(0, 5)) == 0:
            if place == "querystring":
                query.append(urlencode({name: draw(QUERY).encode("utf-8", "surrogatepass")}))
            elif name not in {"Content-Length", "Expect"}:
                headers[name] = draw(HEADER)
    return operation.http["method"], path + ("?" + "&".join(query) if query else ""), draw(BODY), headers


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(asked=requests())
def test_no_request_breaks_s3(running: Platform, asked: tuple[str, str, bytes, dict[str, Any]]) -> None:
    """A request with any values is answered with success or with a 4xx that has a name."""
    method, path, body, headers = asked
    send(running, "PUT", "/hostile", service="s3")
    answer = send(running, method, path, body, service="s3", headers=headers)
    assert answer.status < 500, answer.body
    assert answer.status < 400 or method == "HEAD" or b"<Code>" in answer.body
