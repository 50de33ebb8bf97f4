"""Operations by service and name, AWS errors by ours: the one door to AWS (boto3).

There are no wrapper methods: `call("iot:CreateThing", thingName="pump-7")` works from botocore's own service model.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import threading
import traceback
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import __version__, clock
from iotctl.errors import (
    Auth,
    Conflict,
    Denied,
    Error,
    Exists,
    NotFound,
    Refused,
    Temporary,
    Throttled,
    Unsupported,
    Usage,
)
from iotctl.target import Platform, Target, kind_of
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from botocore.client import BaseClient
    from botocore.model import OperationModel, ServiceModel

log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 6
CONNECT_TIMEOUT: Final = 5
READ_TIMEOUT: Final = 20
CONNECTIONS: Final = 64

_THROTTLED = ("Throttling", "TooManyRequests", "RequestLimitExceeded", "SlowDown", "ProvisionedThroughputExceeded")
_TEMPORARY = ("ServiceUnavailable", "InternalFailure", "InternalServer", "InternalError", "RequestTimeout")
_CREDENTIALS = (
    "ExpiredToken",
    "InvalidClientTokenId",
    "UnrecognizedClient",
    "InvalidAccessKeyId",
    "MissingAuthentication",
)
_CLOCK = ("InvalidSignature", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "RequestExpired")
_DENIED = ("AccessDenied", "Unauthorized", "Forbidden", "NotAuthorized")
_EXISTS = ("ResourceAlreadyExists", "EntityAlreadyExists", "BucketAlreadyOwnedByYou")
_CONFLICT = (
    "Conflict",
    "RequestEntityTooLarge",
    "VersionConflict",
    "PreconditionFailed",
    "ResourceInUse",
    "CertificateState",
    "DeleteConflict",
)
_NOT_FOUND = ("ResourceNotFound", "NoSuch", "NotFound")
# IAM counts the report as a read.
_READS = ("Describe", "Get", "Head", "List", "Search", "GenerateServiceLastAccessedDetails")
_OK = 200
_STREAMED = ("payload", "Body")
_TOKENS = {
    "nextToken": "nextToken",
    "NextToken": "NextToken",
    "nextMarker": "marker",
    "Marker": "Marker",
    "NextContinuationToken": "ContinuationToken",
}
_REQUEST_IDS = ("x-amzn-requestid", "x-amz-request-id")


class Aws:
    """One account and region, or the local platform; clients are made when first needed, and shared by threads.

    Attributes:
        read_only: refuse everything that is not a read, whoever asks for it.
        besides: the operations, without their service, that are allowed nevertheless.

    """

    def __init__(
        self, *, profile: str | None = None, region: str | None = None, platform: Platform | None = None
    ) -> None:
        self._profile = profile
        self._region = region
        self._platform = platform
        self.read_only = False
        self.besides: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, bool], BaseClient] = {}
        self._methods: dict[tuple[str, bool], Any] = {}

    def call(self, op: str, *, once: bool = False, **params: Any) -> dict[str, Any]:  # noqa: ANN401  AWS's own shapes
        """The answer of one operation, without its metadata; what botocore would stream (`payload`, `Body`) is read.

        Args:
            op: `service:Operation`, e.g. "iot:CreateThing".
            once: one attempt only; for callers that pace and retry themselves.
            params: AWS's own parameter names.

        Raises:
            Error: AWS's refusal as one of ours, with its code and request id; nothing of botocore gets past here.

        """
        answer = self._answer(op, params, once=once)
        answer.pop("ResponseMetadata", None)
        for streamed in _STREAMED:
            if hasattr(answer.get(streamed), "read"):
                answer[streamed] = answer[streamed].read()
        return answer

    def pages(self, op: str, **params: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  AWS's own shapes
        """Every page of a listing, by whichever token its service has."""
        while True:
            page = self.call(op, **params)
            yield page
            more = {parameter: page[token] for token, parameter in _TOKENS.items() if page.get(token)}
            if not more:
                return
            params |= more

    def download(self, url: str) -> bytes:
        """What is at a presigned URL of AWS's; the URL itself is a secret, and never told.

        Raises:
            Temporary: it cannot be had now. Refused: it is no longer valid.

        """
        request = _module("botocore.awsrequest").AWSRequest("GET", url).prepare()
        verify = os.environ.get("AWS_CA_BUNDLE") or True
        try:
            answer = _module("botocore.httpsession").URLLib3Session(verify=verify).send(request)
        except _exceptions().HTTPClientError as error:
            raise Temporary("a report of AWS cannot be downloaded", code=type(error).__name__) from None
        if answer.status_code != _OK:
            raise Refused("a report of AWS cannot be downloaded", code=f"HTTP{answer.status_code}")
        return bytes(answer.content)

    def skew(self) -> float | None:
        """Seconds that this machine's clock is ahead of AWS's, good to one second; None: the answer has no date."""
        before = clock.real_now()
        headers = self._answer("sts:GetCallerIdentity", {}, once=False)["ResponseMetadata"]["HTTPHeaders"]
        # The date is the second in which it answered, somewhere between the two readings of this clock.
        return _ahead(headers, before + (clock.real_now() - before) / 2)

    def members(self, op: str) -> frozenset[str]:
        """The names of an operation's parameters."""
        service, _, operation = op.partition(":")
        return _members(service, operation)

    @functools.cached_property
    def target(self) -> Target:
        """Who and where these credentials are: one call of sts:GetCallerIdentity, made once."""
        identity = self.call("sts:GetCallerIdentity")
        arn, account = identity.get("Arn", ""), identity.get("Account")
        if not account:
            raise Temporary("sts:GetCallerIdentity did not name an account", hint="is a proxy answering in its place?")
        client = self._client("sts", once=False)
        return Target(self.kind, account, client.meta.region_name, arn.split(":")[1] if arn.count(":") > 1 else "aws")

    @functools.cached_property
    def identity(self) -> str:
        """The ARN of the caller."""
        return str(self.call("sts:GetCallerIdentity").get("Arn", ""))

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key id, secret and session token as they are now; asked again, they are renewed where they expire."""
        found = self._session.get_credentials()
        if found is None:
            raise Auth("no AWS credentials were found", code="NoCredentials", hint="aws sso login, or set AWS_PROFILE")
        frozen = found.get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token

    @property
    def kind(self) -> str:
        """Whether this is "aws" or "local"."""
        credentials = self._session.get_credentials()
        return (
            kind_of(credentials.access_key or "", self._client("sts", once=False).meta.endpoint_url)
            if credentials
            else "aws"
        )

    @functools.cached_property
    def _session(self) -> Any:  # noqa: ANN401  boto3.Session, without importing it for the annotation
        boto3 = _module("boto3")
        exceptions = _exceptions()
        try:
            if self._platform:
                return boto3.Session(
                    aws_access_key_id=self._platform.access_key_id,
                    aws_secret_access_key=self._platform.secret_access_key,
                    region_name=self._platform.region,
                )
            # boto3 reads AWS_DEFAULT_REGION only; every other AWS SDK reads AWS_REGION.
            region = self._region or os.environ.get("AWS_REGION") or None
            return boto3.Session(profile_name=self._profile, region_name=region)
        except exceptions.ProfileNotFound as error:
            raise Auth(str(error), hint="aws configure list-profiles") from error

    def _answer(self, op: str, params: Mapping[str, Any], *, once: bool) -> dict[str, Any]:
        started = clock.monotonic()
        try:
            answer: dict[str, Any] = self._method(op, once=once)(**params)
        except Exception as error:
            translated = _translate(op, error)
            if translated is None:
                raise
            log.debug("%s failed after %.0f ms: %s", op, (clock.monotonic() - started) * 1000, translated.cause)
            raise translated from error
        if log.isEnabledFor(logging.DEBUG):
            taken = (clock.monotonic() - started) * 1000
            request_id = answer.get("ResponseMetadata", {}).get("RequestId", "-")
            log.debug("%s answered in %.0f ms, request id %s", op, taken, request_id)
        return answer

    def _client(self, service: str, *, once: bool) -> BaseClient:
        with self._lock:
            found = self._clients.get((service, once))
            if found is None:
                found = self._clients[service, once] = self._make(service, once=once)
            return found

    def _make(self, service: str, *, once: bool) -> BaseClient:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise Auth(
                "no AWS credentials were found",
                code="NoCredentials",
                hint="aws sso login, or set AWS_PROFILE; or add --local to act on the local platform",
            )
        if not self._session.region_name:
            raise Usage("no AWS region is set", hint="add --region us-east-1, or set AWS_REGION")
        config = _module("botocore.config").Config(
            retries={"mode": "standard", "total_max_attempts": 1 if once else READ_ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=CONNECTIONS,
            # Given whole, or botocore would put it together from twenty parts for every request (a tenth of its work).
            user_agent=f"Boto3/{_module('boto3').__version__} iotctl/{__version__}",
            # Input is validated before a plan is made, and AWS validates again: a third time is only slower.
            parameter_validation=not once,
            s3={"addressing_style": "path"} if self._platform else {},
            signature_version="s3v4" if service == "s3" else None,
        )
        endpoint = self._platform.http_url if self._platform else None
        client: BaseClient = self._session.client(service, config=config, endpoint_url=endpoint)
        kind_of(credentials.access_key or "", client.meta.endpoint_url)
        client.meta.events.register("before-parse.*.*", _refuse_partial)
        client.meta.events.register("before-call.*.*", self._refuse_changes)
        return client

    def _refuse_changes(self, model: OperationModel, **_: object) -> None:
        """Refuse what is no read, right before it would be sent.

        Raises:
            PermissionError: it is none, and only reads are allowed.

        """
        if self.read_only and not model.name.startswith(_READS) and model.name not in self.besides:
            raise PermissionError(f"{model.name} would change something, and this command only reads")

    def _method(self, op: str, *, once: bool) -> Any:  # noqa: ANN401  botocore makes it at run time
        method = self._methods.get((op, once))
        if method is None:
            service, _, operation = op.partition(":")
            xform_name = _module("botocore").xform_name
            try:
                method = getattr(self._client(service, once=once), xform_name(operation))
            except (AttributeError, _exceptions().UnknownServiceError) as error:
                raise Unsupported(
                    f"the installed botocore does not know {op}", hint="pip install --upgrade boto3"
                ) from error
            self._methods[op, once] = method
        return method


def _refuse_partial(response_dict: Mapping[str, Any], operation_model: OperationModel, **_: object) -> None:
    """Refuse a success that is cut short, or not AWS's (a captive portal's page): botocore takes it for an empty one.

    Raises:
        Temporary: whether the call was applied is unknown.

    """
    headers, body = response_dict["headers"], response_dict["body"]
    if response_dict["status_code"] >= 300:
        return
    if not any(name in headers for name in _REQUEST_IDS):
        raise Temporary(
            f"{operation_model.name}: something else than AWS answered",
            code="NoUsableAnswer",
            hint="is a proxy between?",
        )
    whole = isinstance(body, bytes) and operation_model.http["method"] != "HEAD" and "content-encoding" not in headers
    if whole and headers.get("content-length", str(len(body))) != str(len(body)):
        raise Temporary(f"{operation_model.name}: the answer was cut short", code="NoUsableAnswer")


@functools.cache
def service_model(service: str) -> ServiceModel:
    """The botocore model of a service: operations, routes, shapes, constraints, errors.

    Raises:
        botocore.exceptions.UnknownServiceError: there is no such service.

    """
    loader = _module("botocore.loaders").create_loader()
    model = _module("botocore.model")
    found: ServiceModel = model.ServiceModel(loader.load_service_model(service, "service-2"), service)
    return found


def is_operation(name: str) -> bool:
    """Whether AWS has an operation `service:Operation`, services as botocore calls them."""
    service, _, operation = name.partition(":")
    try:
        return operation in service_model(service).operation_names
    except _exceptions().UnknownServiceError:
        return False


@functools.cache
def _members(service: str, operation: str) -> frozenset[str]:
    shape = service_model(service).operation_model(operation).input_shape
    return frozenset(shape.members) if shape is not None else frozenset()


def _module(name: str) -> Any:  # noqa: ANN401  a module
    """Import boto3 or botocore without awscrt: botocore would load it at every start (40 ms) and sign no faster."""
    if "awscrt" in sys.modules or "botocore" in sys.modules:
        return importlib.import_module(name)
    sys.modules["awscrt"] = None  # type: ignore[assignment]  # None makes the import fail, as documented
    try:
        importlib.import_module("botocore.session")
    finally:
        del sys.modules["awscrt"]
    return importlib.import_module(name)


def _exceptions() -> Any:  # noqa: ANN401  a module
    return _module("botocore.exceptions")


def _translate(op: str, error: Exception) -> Error | None:
    exceptions = _exceptions()
    if isinstance(error, exceptions.ClientError):
        return _of_answer(op, error.response)
    cause = sanitize(str(error))
    if isinstance(error, exceptions.ParamValidationError):
        return Refused(f"{op} would be refused", code="ParamValidation", cause=cause)
    if isinstance(
        error,
        exceptions.NoCredentialsError | exceptions.PartialCredentialsError | exceptions.CredentialRetrievalError,
    ):
        return Auth(f"{op}: no usable AWS credentials", code="NoCredentials", cause=cause, hint="aws sso login")
    if isinstance(error, exceptions.TokenRetrievalError | exceptions.SSOError):
        return Auth(f"{op}: the sign-in has expired", code="ExpiredToken", cause=cause, hint="aws sso login")
    if isinstance(error, exceptions.SSLError):
        return Auth(
            f"{op}: the server's certificate is not trusted", code="Tls", cause=cause, hint="check AWS_CA_BUNDLE"
        )
    if isinstance(error, exceptions.EndpointConnectionError | exceptions.ConnectTimeoutError):
        return Temporary(
            f"{op}: the endpoint cannot be reached", code="Unreachable", cause=cause, hint="is the network up?"
        )
    if isinstance(error, exceptions.NoRegionError):
        return Usage("no AWS region is set", hint="add --region us-east-1, or set AWS_REGION")
    if isinstance(error, exceptions.InvalidRegionError):
        return Usage("the AWS region is not one", cause=cause, hint="for example --region us-east-1")
    if isinstance(error, exceptions.ConfigParseError | exceptions.ConfigNotFound):
        return Usage("the AWS configuration file cannot be read", cause=cause, hint="check AWS_CONFIG_FILE")
    if isinstance(error, exceptions.BotoCoreError):
        return Temporary(f"{op}: no usable answer", code=type(error).__name__, cause=cause)
    # The parser falls over a well-formed answer that is not AWS's (a captive portal's page) with errors of any class.
    if any(frame.f_globals["__name__"] == "botocore.parsers" for frame, _ in traceback.walk_tb(error.__traceback__)):
        return Temporary(f"{op}: no usable answer", code="NoUsableAnswer", cause=cause, hint="is a proxy in between?")
    return None


def _of_answer(op: str, response: Mapping[str, Any]) -> Error:
    code = str(response.get("Error", {}).get("Code") or "Unknown")
    message = sanitize(str(response.get("Error", {}).get("Message") or ""))
    metadata = response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    request_id = sanitize(str(metadata.get("RequestId", "-")))
    said = {"code": sanitize(code), "cause": f"{op}: {message} ({sanitize(code)}, request id {request_id})"}
    if code.startswith(_THROTTLED) or status == 429:
        return Throttled(f"{op} was throttled", **said)
    if code.startswith("NotImplemented"):
        return Unsupported(f"{op} is not there", **said)
    if code.startswith(_CLOCK):
        return Auth(f"{op}: the signature was refused", **said, hint=_skew(metadata.get("HTTPHeaders", {})))
    if code.startswith(_CREDENTIALS):
        return Auth(f"{op}: the credentials were refused", **said, hint="aws sso login, or check AWS_PROFILE")
    if code.startswith(_DENIED) or status in {401, 403}:
        return Denied(f"{op} is not allowed", **said, hint=f"allow it: iotctl account iam {op}")
    if code.startswith(_EXISTS):
        return Exists(f"{op}: it exists already", **said)
    if code.startswith(_CONFLICT) or status in {409, 412}:
        return Conflict(f"{op}: conflict", **said)
    if code.startswith(_NOT_FOUND) or status == 404:
        return NotFound(f"{op}: not found", **said)
    if code.startswith(_TEMPORARY) or status >= 500:
        return Temporary(f"{op}: the service failed", **said)
    return Refused(f"{op} was refused", **said)


def _skew(headers: Mapping[str, str]) -> str:
    """What a refused signature most often means: this machine's clock is off, by so much."""
    seconds = _ahead(headers, clock.real_now())
    if seconds is None:
        return "check the clock of this machine and the secret key"
    if abs(seconds) < 240:
        return "the clock is right: check the secret key"
    return f"the clock of this machine is {seconds:+.0f} s off AWS's: set it"


def _ahead(headers: Mapping[str, str], now: datetime) -> float | None:
    try:
        return (now - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
