"""The HTTP server: who may ask, which operation it is, and the answer, sent only after its transaction is committed.

Safety: loopback only; the Host must name this machine, so that no web site's name resolves to here; a request with an
Origin is a browser's, and refused; every request carries the access key of this platform, or comes over TLS from a
device with a certificate of this platform.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from iotctl import clock
from iotctl.aws import service_model
from iotctl.local.gateway import answers, device_api, hindrance, websocket
from iotctl.local.gateway import service_model as models
from iotctl.local.gateway.alpn import Chooser
from iotctl.local.gateway.answers import Answer, Dialect
from iotctl.local.gateway.hindrance import BrokenError, Hindrance, break_off, strike
from iotctl.local.gateway.mqtt.connection import Connection
from iotctl.local.gateway.s3 import gateway as s3
from iotctl.local.gateway.trust import MQTT_ALPN
from iotctl.local.services import OPERATIONS, AwsError, temporary_credentials
from iotctl.local.services.signature import Refusal
from iotctl.text import sanitize

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from iotctl.local.gateway.core_api import CoreApi
    from iotctl.local.gateway.device_api import DeviceApi
    from iotctl.local.gateway.mqtt.broker import Broker
    from iotctl.local.gateway.mqtt.session import Client
    from iotctl.local.services import Operation
    from iotctl.local.store import Store

log = logging.getLogger(__name__)

LARGEST_BODY: Final = 1024 * 1024
_CREDENTIAL: Final = re.compile(
    r"(?:Credential=|X-Amz-Credential=)([^/,&\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request", re.IGNORECASE
)
_REAL_KEY: Final = re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,}")
_ANY_REGION: Final = frozenset({"sts", "s3", "iam"})
_SHUTDOWN_SECONDS: Final = 1.0
_TOPICS: Final = "/topics/"
_TARGET: Final = "X-Amz-Target"
_TOKEN: Final = "X-Amz-Security-Token"  # noqa: S105  the name of a header and of a parameter


@dataclass(frozen=True, slots=True)
class _Caller:
    """What a request's signature names.

    Attributes:
        key_id: the access key.
        service: what the request is signed for.

    """

    key_id: str
    region: str
    service: str


class HttpGateway:
    """AWS's HTTP APIs, on plain sockets and with TLS.

    Args:
        store: what the operations work on.
        operations: those that are built, by name.
        devices: what clients with a certificate may ask for; none: nothing.
        broker: where MQTT over WebSocket leads to; none: there is none.
        cores: what clients with a certificate may ask for that no service model has; none: nothing.
        hindrance: what stands in the way of operations.

    """

    def __init__(
        self,
        store: Store,
        operations: Mapping[str, Operation] = OPERATIONS,
        devices: DeviceApi | None = None,
        broker: Broker | None = None,
        cores: CoreApi | None = None,
        hindrance: Hindrance = Hindrance(),  # noqa: B008  one that hinders nothing
    ) -> None:
        self._store = store
        self._operations = operations
        self._devices = devices
        self._broker = broker
        self._cores = cores
        self._hindrance = hindrance
        self._s3 = s3.S3Gateway(store, operations, self._secret_for_s3, hindrance)
        self._names = ("127.0.0.1", "localhost")
        self._ports: set[str] = {""}
        self._shared: list[asyncio.Server] = []
        self._runner = web.ServerRunner(
            # What is compressed is stored as it came.
            web.Server(self._handle, access_log=None, auto_decompress=False),
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve on a socket that is bound to a loopback address; on any number of them.

        With TLS, a client that asks for MQTT (ALPN) gets the broker, if there is one.
        """
        self._ports.add(str(listener.getsockname()[1]))
        if self._runner.server is None:
            await self._runner.setup()
        serving, broker = self._runner.server, self._broker
        if tls is None or broker is None or serving is None:
            await web.SockSite(self._runner, listener, ssl_context=tls).start()
            return
        asked = {MQTT_ALPN: lambda: Connection(broker)}
        self._shared.append(
            await asyncio.get_running_loop().create_server(lambda: Chooser(asked, serving), sock=listener, ssl=tls)
        )

    async def stop(self) -> None:
        """Stop listening, and finish what is being answered."""
        for server in self._shared:
            server.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._broker is not None and request.secure and request.path == websocket.PATH:
            return await self._upgrade(request, self._broker)
        started = clock.monotonic()
        request_id = str(uuid.uuid4())
        try:
            operation, response = await self._respond(request, request_id)
        except BrokenError as broken:
            operation, response = "", await break_off(request, broken)
        except Exception:
            log.exception("request %s failed", request_id)
            message = "An internal failure of the local platform; its log says more: iotctl local logs"
            failure = answers.error(Dialect.JSON, 500, "InternalFailureException", message, request_id)
            operation, response = "", _response(failure, request_id)
        taken = (clock.monotonic() - started) * 1000
        log.info("%s %s %d %.1f ms", request.method, operation or "-", response.status, taken)
        return response

    async def _respond(self, request: web.BaseRequest, request_id: str) -> tuple[str, web.StreamResponse]:
        caller = _caller(request.headers.get("Authorization", ""), request.raw_path.partition("?")[2])
        host = request.headers.get("Host", "").partition(":")[0]
        if self._s3.is_meant(caller.service if caller else "", host, request.raw_path):
            return await self._s3.answer(s3.Exchange(request, request_id, host), lambda: self._admit(request, caller))
        operation, answer = await self._answer(request, request_id, caller)
        response = _response(answer, request_id)
        if not request.content.is_eof():
            # The rest of the body may come or, after `Expect: 100-continue`, never: no request can follow it.
            response.force_close()
        return operation, response

    def _admit(self, request: web.BaseRequest, caller: _Caller | None) -> Callable[[str, str], bool] | None:
        """Refuse a request of S3 by someone who may not ask; whether they may do what to which key, None: all of it."""
        try:
            self._local(request)
            given = self._temporary(caller.key_id) if caller else None
            if given is not None:
                token = request.headers.get(_TOKEN) or request.query.get(_TOKEN, "")
                temporary_credentials.check(self._store, given, token)
                return temporary_credentials.allows
            self._own(caller, Dialect.S3)
        except AwsError as error:
            code = error.code if error.code in _SAID_AS_IT_IS else "AccessDenied"
            raise AwsError(code, error.message) from error
        return None

    async def _upgrade(self, request: web.BaseRequest, broker: Broker) -> web.StreamResponse:
        """MQTT over WebSocket, for operators: the URL is presigned with this platform's key."""
        try:
            self._local(request)
            who = websocket.verify_presigned(
                request.raw_path.partition("?")[2],
                request.headers,
                self._secret,
                clock.real_now(),
                self._store.region,
            )
        except AwsError as error:
            who = Refusal(error.message)
        if isinstance(who, Refusal):
            log.info("a WebSocket is refused: %s", sanitize(who.reason))
            return web.json_response({"message": f"Forbidden: {who.reason}"}, status=403)
        return await websocket.serve_websocket(request, broker, who)

    def _secret(self, key_id: str) -> str | None:
        return self._store.secret_access_key if key_id == self._store.access_key_id else None

    def _secret_for_s3(self, key_id: str) -> str | None:
        given = self._temporary(key_id)
        return given.secret if given is not None else self._secret(key_id)

    def _temporary(self, key_id: str) -> temporary_credentials.Credentials | None:
        """The temporary credentials of a device with an access key, if it is not the platform's own."""
        return None if key_id == self._store.access_key_id else temporary_credentials.find(self._store, key_id)

    async def _answer(self, request: web.BaseRequest, request_id: str, caller: _Caller | None) -> tuple[str, Answer]:
        """The name of the operation, as far as it is known, and the answer."""
        path, _, query = request.raw_path.partition("?")
        dialect = _dialect(request)
        try:
            self._local(request)
            device = self._devices.client(request.transport) if self._devices is not None and caller is None else None
            if device is not None and self._cores is not None:
                answered = self._cores.answer(device, request.method, path, request.headers)
                if answered is not None:
                    return answered
            service = device_api.service(path) if device is not None else self._own(caller, dialect).service
            await s3.send_continue(request)
            body = await request.read()
        except AwsError as error:
            return "", answers.error(dialect, 403, error.code, error.message, request_id)
        except web.HTTPRequestEntityTooLarge:
            message = f"A request cannot be larger than {LARGEST_BODY} bytes"
            return "", answers.error(dialect, 413, "RequestEntityTooLargeException", message, request_id)
        asked = models.Request(request.method, path, query, request.headers, body)
        if service == "sts":
            return await self._query("sts", asked, request_id)
        if service not in models.SERVICES:
            message = f"The service {service} is not a part of the local platform; nothing was done"
            return "", answers.error(dialect, 400, "NotImplementedException", message, request_id)
        return await self._rest(models.api(models.SERVICES[service]), asked, request_id, device)

    async def _rest(
        self, api: models.Api, asked: models.Request, request_id: str, device: Client | None
    ) -> tuple[str, Answer]:
        name = ""
        try:
            call, labels = api.call(asked.method, _one_label(asked.path), asked.headers.get(_TARGET, ""))
            name = call.name
            parameters = call.parameters(asked, labels)
            if device is not None and self._devices is not None:
                self._devices.permit(device, name, parameters)
            return name, await self._carry_out(name, parameters, call.answer)
        except AwsError as error:
            status = api.status(error.code)
            return name, answers.error(Dialect.JSON, status, error.code, error.message, request_id, **error.members)

    async def _query(self, service: str, asked: models.Request, request_id: str) -> tuple[str, Answer]:
        """An operation of a query-protocol service; those that are built take no parameters and answer with texts."""
        form = dict(parse_qsl(asked.body.decode("utf-8", "replace")))
        operation = form.get("Action", "")
        known = operation in service_model(service).operation_names
        name = f"{service}:{operation}" if known else ""

        def written(result: dict[str, Any]) -> Answer:
            namespace = service_model(service).metadata["xmlNamespace"]
            return answers.query_result(operation, namespace, result, request_id)

        try:
            return name, await self._carry_out(name or f"{service}:{operation[:64]}", {}, written)
        except AwsError as error:
            status = hindrance.STATUSES.get(error.code, 400)
            return name, answers.error(Dialect.QUERY, status, error.code, error.message, request_id)

    async def _carry_out(
        self, name: str, parameters: dict[str, Any], write: Callable[[dict[str, Any]], Answer]
    ) -> Answer:
        operation = self._operations.get(name)
        if operation is None:
            message = f"{name} is not built in the local platform; nothing was done"
            raise AwsError("NotImplementedException", message)
        fault = self._hindrance.before(name)
        if operation.prepare:
            parameters["prepared"] = await asyncio.to_thread(operation.prepare, self._store)
        answer = write(operation(self._store, **parameters))
        strike(fault, answer)
        return answer

    def _local(self, request: web.BaseRequest) -> None:
        """Refuse a request that does not come from a client of this machine."""
        if "Origin" in request.headers:
            raise AwsError("AccessDeniedException", "Requests of web pages are refused: this one has an Origin header")
        name, _, port = request.headers.get("Host", "").partition(":")
        local = name in self._names or name.endswith(".localhost") or self._s3.is_host(name)
        if not local or port not in self._ports:
            message = "The Host header does not name this platform; use http://127.0.0.1 and its port"
            raise AwsError("AccessDeniedException", message)

    def _own(self, caller: _Caller | None, dialect: Dialect) -> _Caller:
        """Refuse a caller without this platform's key, or of another region."""
        if caller is None:
            raise AwsError("MissingAuthenticationTokenException", "The request has no AWS signature (SigV4)")
        if caller.key_id != self._store.access_key_id:
            message = (
                "The security token included in the request is invalid: not the access key of this local platform."
            )
            if _REAL_KEY.fullmatch(caller.key_id):
                message += " It is a key of AWS, and this is the iotctl local platform, not AWS: nothing was done."
            raise AwsError(_INVALID_KEY[dialect], f'{message} eval "$(iotctl local env)" sets the right one.')
        if caller.region != self._store.region and caller.service not in _ANY_REGION:
            region = self._store.region
            message = (
                f"Credential should be scoped to a valid region, not '{caller.region}': this platform is {region}."
            )
            raise AwsError("InvalidSignatureException", message)
        return caller


_INVALID_KEY: Final = {
    Dialect.JSON: "UnrecognizedClientException",
    Dialect.QUERY: "InvalidClientTokenId",
    Dialect.S3: "InvalidAccessKeyId",
}


_SAID_AS_IT_IS: Final = frozenset({*_INVALID_KEY.values(), "InvalidToken", "ExpiredToken"})


def _one_label(path: str) -> str:
    """A path in which a topic that was sent with plain slashes is one label, as devices' own HTTP clients send it."""
    return _TOPICS + path.removeprefix(_TOPICS).replace("/", "%2F") if path.startswith(_TOPICS) else path


def _caller(authorization: str, query: str) -> _Caller | None:
    found = _CREDENTIAL.search(authorization or unquote(query))
    return _Caller(found[1], found[2], found[3]) if found else None


def _dialect(request: web.BaseRequest) -> Dialect:
    form = request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
    return Dialect.QUERY if form else Dialect.JSON


def _response(answer: Answer, request_id: str) -> web.Response:
    headers = {"x-amzn-RequestId": request_id, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers)
