"""Requests of S3 carried out: known, allowed, streamed to and from files, answered as S3 answers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from iotctl import clock
from iotctl.local.gateway import answers
from iotctl.local.gateway.answers import Dialect
from iotctl.local.gateway.hindrance import S3_CODES, BrokenError, strike
from iotctl.local.gateway.s3 import routes, xml
from iotctl.local.gateway.s3.body import Body
from iotctl.local.services import AwsError
from iotctl.local.services.s3 import checksums, content, names
from iotctl.local.services.s3.content import SOURCES, Content, Slice, Source, Writing
from iotctl.local.services.signature import Refusal, verify

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator, Mapping

    from botocore.model import OperationModel

    from iotctl.local.gateway.hindrance import Hindrance
    from iotctl.local.services import Operation
    from iotctl.local.store import Store

log = logging.getLogger(__name__)

SERVICE: Final = "s3"

_INTERNAL: Final = "An internal failure of the local platform; its log says more: iotctl local logs"
_LARGEST_DOCUMENT: Final = 4 * 1024 * 1024
_SIGNED_AS_SUCH: Final = frozenset({"x-amz-content-sha256"})
_VERSION_2: Final = re.compile(r"[?&]AWSAccessKeyId=")
_SENT: Final = 256 * 1024
_FEW: Final = 32 * 1024
_STATUS: Final = {
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
    "NotModified": 304,
    "AccessDenied": 403,
    "InvalidAccessKeyId": 403,
    "SignatureDoesNotMatch": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "MethodNotAllowed": 405,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "OperationAborted": 409,
    "MissingContentLength": 411,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
}
"""Amazon S3 API reference, "Error responses"; the others are 400."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what is known of it.

    Attributes:
        request: aiohttp's.
        request_id: of the answer.
        host: the Host header without its port.

    """

    request: web.BaseRequest
    request_id: str
    host: str


class S3Gateway:
    """Amazon S3, path style and virtual-hosted, by signed requests and presigned URLs.

    Args:
        store: what the operations work on.
        operations: those that are built, by name.
        secret_for: the secret access key of an access key id, None where there is none.

    """

    def __init__(
        self,
        store: Store,
        operations: Mapping[str, Operation],
        secret_for: Callable[[str], str | None],
        hindrance: Hindrance,
    ) -> None:
        self._store = store
        self._operations = operations
        self._secret_for = secret_for
        self._hindrance = hindrance

    def is_meant(self, service: str, host: str, raw_path: str) -> bool:
        """Whether a request is one of S3.

        Args:
            service: what it is signed for; empty: for nothing.
            host: the Host header, without its port.
            raw_path: as it was sent; a URL that is signed the old way names no service.

        """
        return service == SERVICE if service else self.is_host(host) or _is_version_2(raw_path)

    def is_host(self, host: str) -> bool:
        """Whether a host name, without its port, is one of AWS's for S3 in this platform's region."""
        return host.endswith(".amazonaws.com") and names.host_bucket(host, self._store.region) is not None

    async def answer(
        self, asked: Exchange, allow: Callable[[], Callable[[str, str], bool] | None]
    ) -> tuple[str, web.StreamResponse]:
        """The name of the operation, as far as it is known, and the answer, which may be sent already.

        Args:
            asked: the request.
            allow: refuses, by AwsError, who may not ask; whether they may do an operation to a key, None: every one.

        """
        known: list[str] = []
        try:
            _check_version(asked.request.raw_path)
            allowed = allow()
            self._check_signature(asked.request)
            done = await self._carry_out(asked, known, allowed)
        except AwsError as error:
            response = _refusal(asked, error)
        except BrokenError:
            raise
        except Exception:
            log.exception("request %s failed", asked.request_id)
            response = _refusal(asked, AwsError("InternalError", _INTERNAL))
        else:
            return "".join(known), done
        if not asked.request.content.is_eof():
            # The rest of the body may come or, after `Expect: 100-continue`, never: no request can follow it.
            response.force_close()
        return "".join(known), response

    def _check_signature(self, request: web.BaseRequest) -> None:
        """A presigned URL must be right; of other requests only the access key counts, which was checked before."""
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Authorization"):
            return
        payload = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        now = clock.real_now()
        found = verify(
            request.method, path, query, request.headers, self._secret_for, now, service=SERVICE, payload=payload
        )
        if isinstance(found, Refusal):
            raise AwsError(found.code, f"The presigned URL is refused: {found.reason}")
        amazon = {name.lower() for name in request.headers if name.lower().startswith("x-amz-")}
        unsigned = amazon - set(found.headers) - _SIGNED_AS_SUCH
        if unsigned:
            message = "There were headers present in the request which were not signed"
            raise AwsError("AccessDenied", message, HeadersNotSigned=", ".join(sorted(unsigned)))

    async def _carry_out(
        self, asked: Exchange, known: list[str], allowed: Callable[[str, str], bool] | None
    ) -> web.StreamResponse:
        request = asked.request
        bucket = names.host_bucket(asked.host, self._store.region) or ""
        wanted = routes.Asked.of(request.method, request.raw_path, request.headers, bucket)
        model = routes.operation(wanted)
        name = f"s3:{model.name}"
        known.append(name)
        if allowed is not None and not allowed(name, wanted.key):
            place = f"{wanted.bucket}/{wanted.key}" if wanted.key else wanted.bucket
            raise AwsError("AccessDenied", f"Temporary credentials of a device do not allow {name} on {place} here")
        operation = self._operations.get(name)
        if operation is None:
            raise AwsError("NotImplemented", f"{name} is not built in the local platform; nothing was done")
        parameters = routes.parameters(wanted, model, operation, self._store.account_id)
        await self._read_document(request, model, parameters)
        with _in_its_own_words():
            fault = self._hindrance.before(name)
        result = await self._run(name, operation, parameters, request)
        with _in_its_own_words():
            strike(fault)
        return await _respond(asked, model, result)

    async def _read_document(self, request: web.BaseRequest, model: OperationModel, parameters: dict[str, Any]) -> None:
        """Add the member that is an XML document in the body, where an operation has one."""
        shape = model.input_shape
        payload = shape.serialization.get("payload") if shape else None
        if shape is None or payload is None or shape.members[payload].type_name != "structure":
            return
        given = await _document(request, must_be_checked=model.name == "DeleteObjects")
        if given:
            parameters[payload] = xml.read(shape.members[payload], given)
        elif payload in shape.required_members:
            raise AwsError("MissingRequestBodyError", "Request body is empty.")

    async def _run(
        self, name: str, operation: Operation, parameters: dict[str, Any], request: web.BaseRequest
    ) -> dict[str, Any]:
        before = SOURCES.get(name)
        if before is None:
            return self._commit(operation, parameters, request.method)
        encoding = _stored_encoding(parameters.pop("ContentEncoding", ""))
        if encoding:
            parameters["ContentEncoding"] = encoding
        written = await self._write(before(self._store, **parameters), request)
        try:
            return self._commit(operation, {**parameters, "Body": written}, request.method)
        finally:
            content.settle(self._store, written)

    def _commit(self, operation: Operation, parameters: dict[str, Any], method: str) -> dict[str, Any]:
        if method in {"GET", "HEAD"}:
            return operation(self._store, **parameters)
        with content.durable(self._store):
            return operation(self._store, **parameters)

    async def _write(self, source: Source, request: web.BaseRequest) -> Content:
        """The content of a new object or part, durable on disk."""
        if source.slices is not None:
            return await asyncio.to_thread(content.copied, self._store, source.slices, source.algorithms)
        body = Body.of(request.headers)
        writing = Writing(self._store, body.algorithms)
        try:
            await send_continue(request)
            async for data in body.blocks(request.content):
                await asyncio.to_thread(writing.write, data)
            written = await asyncio.to_thread(writing.finish)
            return body.check(written)
        except BaseException:
            writing.discard()
            raise


@contextlib.contextmanager
def _in_its_own_words() -> Iterator[None]:
    """Say what hinders a request as S3 says it."""
    try:
        yield
    except AwsError as error:
        raise AwsError(S3_CODES[error.code], error.message) from error


async def send_continue(request: web.BaseRequest) -> None:
    """Let a client send its body that waits to hear whether it is wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _document(request: web.BaseRequest, *, must_be_checked: bool) -> bytes:
    """A small body.

    Raises:
        AwsError: it is too large, or not what its checksum says, or has none where S3 wants one.

    """
    if "Content-Length" not in request.headers and not request.body_exists:
        return b""
    headers = request.headers.copy()
    if not must_be_checked:
        # The checksum in the header of CompleteMultipartUpload is the object's, not the document's.
        for name in set(headers):
            if name.lower().startswith((checksums.HEADER, "x-amz-sdk-checksum-")):
                headers.popall(name, None)
    body = Body.of(headers)
    if body.size > _LARGEST_DOCUMENT:
        raise AwsError("MaxMessageLengthExceeded", "Your request was too big.")
    if must_be_checked and not body.is_checked:
        raise AwsError("InvalidRequest", "Missing required header for this request: Content-MD5")
    await send_continue(request)
    data = b"".join([block async for block in body.blocks(request.content)])
    sums = {}
    for algorithm in body.algorithms:
        checksum = checksums.new(algorithm)
        checksum.update(data)
        sums[algorithm] = checksums.text(checksum.digest())
    body.check(Content("", len(data), hashlib.md5(data, usedforsecurity=False).hexdigest(), sums))
    return data


async def _respond(asked: Exchange, model: OperationModel, result: dict[str, Any]) -> web.StreamResponse:
    shape = model.output_shape
    headers = {**_identity(asked), **_headers(shape, result)}
    success = model.http.get("responseCode", 200)
    body = result.get("Body")
    if isinstance(body, Slice):
        return await _send(asked.request, body, 206 if result.get("ContentRange") else success, headers)
    document = xml.write(model.name, shape, result)
    if document:
        headers["Content-Type"] = "application/xml"
    if asked.request.method == "HEAD":
        response = web.StreamResponse(status=206 if result.get("ContentRange") else success, headers=headers)
        response.content_length = result.get("ContentLength", 0)
        return response
    return web.Response(status=success, body=document, headers=headers)


async def _send(request: web.BaseRequest, body: Slice, status: int, headers: dict[str, str]) -> web.StreamResponse:
    """Stream a slice of a file, which is open before anything else can happen to it."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = body.length
    with body.path.open("rb", buffering=0) as file:
        file.seek(body.start)
        left = body.length
        try:
            await response.prepare(request)
            while left and (data := await _read(file, min(left, _SENT))):
                left -= len(data)
                await response.write(data)
            if not left:
                await response.write_eof()
        except OSError as error:
            log.info("an object was not sent to its end: %s", error.strerror or type(error).__name__)
        if left and request.transport is not None:
            # Nothing else may follow what was promised: the client sees that it has not got it all.
            request.transport.abort()
    return response


async def _read(file: io.FileIO, most: int) -> bytes:
    """So many bytes at most; a thread is worth its while only where they are many."""
    return file.read(most) if most <= _FEW else await asyncio.to_thread(file.read, most)


def _headers(shape: Any, result: Mapping[str, Any]) -> dict[str, str]:  # noqa: ANN401  botocore's, or none
    """The members of a result that are headers."""
    found: dict[str, str] = {}
    for name, member in shape.members.items() if shape else ():
        value, place = result.get(name), member.serialization.get("location")
        if value is None or not place:
            continue
        key = member.serialization["name"]
        if place == "headers":
            found |= {key + one: text for one, text in value.items()}
        elif isinstance(value, float):
            found[key] = format_datetime(datetime.fromtimestamp(int(value), UTC), usegmt=True)
        elif name != "ContentLength":
            found[key] = str(value)
    return found


def _refusal(asked: Exchange, error: AwsError) -> web.Response:
    status = _STATUS.get(error.code, 400)
    headers = _identity(asked)
    if status == 304:
        return web.Response(status=status, headers={**headers, **error.members})
    found = answers.error(Dialect.S3, status, error.code, error.message, asked.request_id, **error.members)
    body = b"" if asked.request.method == "HEAD" else found.body
    return web.Response(status=status, body=body, headers={**headers, "Content-Type": "application/xml"})


def _identity(asked: Exchange) -> dict[str, str]:
    return {"x-amz-request-id": asked.request_id, "x-amz-id-2": asked.request_id, "Server": "AmazonS3"}


def _check_version(raw_path: str) -> None:
    if _is_version_2(raw_path):
        message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        raise AwsError("InvalidRequest", message)


def _is_version_2(raw_path: str) -> bool:
    return bool(_VERSION_2.search(raw_path))


def _stored_encoding(value: str) -> str:
    """A Content-Encoding without the framing of this one request."""
    return ",".join(one.strip() for one in value.split(",") if one.strip() != "aws-chunked")
