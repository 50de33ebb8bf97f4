"""Operations by service and name, AWS errors by ours: the one door to AWS (boto3).

There are no wrapper methods: `call("iot:CreateThing", thingName="pump-7")` works from botocore's own service model.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from iotctl import __version__, clock
from iotctl.aws import refusals
from iotctl.aws.models import exceptions, members, module
from iotctl.aws.models import is_operation as is_operation
from iotctl.aws.models import service_model as service_model
from iotctl.errors import Auth, Temporary, Unsupported, Usage
from iotctl.target import Platform, Target, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from botocore.client import BaseClient
    from botocore.model import OperationModel

log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 6
CONNECT_TIMEOUT: Final = 5
READ_TIMEOUT: Final = 20
CONNECTIONS: Final = 64

# IAM counts the report as a read.
_READS = ("Describe", "Get", "Head", "List", "Search", "GenerateServiceLastAccessedDetails")
_EXACT = 2.0  # seconds: the date of an answer is whole seconds, and it was some time on its way
_STREAMED = ("payload", "Body")
_TOKENS = {
    "nextToken": "nextToken",
    "NextToken": "NextToken",
    "nextMarker": "marker",
    "Marker": "Marker",
    "NextContinuationToken": "ContinuationToken",
}


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
        self._heard: tuple[Mapping[str, str], datetime] = ({}, clock.real_now())

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

    def skew(self) -> float | None:
        """Seconds that this machine's clock is ahead of AWS's, good to one second; None: the answer has no date."""
        before = clock.real_now()
        headers = self._answer("sts:GetCallerIdentity", {}, once=False)["ResponseMetadata"]["HTTPHeaders"]
        # The date is the second in which it answered, somewhere between the two readings of this clock.
        return refusals.ahead(headers, before + (clock.real_now() - before) / 2)

    def now(self) -> datetime:
        """The time as AWS's last answer told it: what AWS notes of jobs is judged by AWS's own clock.

        An answer tells it to the second, so a machine's clock that is as good as that counts as it is. On the local
        platform it is the time of this process, which the platform's clock turns (`Context.platform`).
        """
        headers, moment = self._heard
        ahead = refusals.ahead(headers, moment) if self.kind == "aws" else None
        exact = ahead is None or abs(ahead) < _EXACT
        return clock.now() if exact else clock.now() - timedelta(seconds=ahead or 0.0)

    def members(self, op: str) -> frozenset[str]:
        """The names of an operation's parameters."""
        service, _, operation = op.partition(":")
        return members(service, operation)

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
        """Access key id, secret and session token as they are now; asked again, they are renewed where they expire.

        Raises:
            Auth: there are none, or they cannot be renewed. Temporary: who renews them cannot be reached.

        """
        try:
            found = self._session.get_credentials()
            frozen = found.get_frozen_credentials() if found else None
        except Exception as error:
            raise refusals.translate("iot:Connect", error, self._profile) or error from error
        if frozen is None:
            raise Auth("no AWS credentials were found", code="NoCredentials", hint="aws sso login, or set AWS_PROFILE")
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
        boto3 = module("boto3")
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
        except exceptions().ProfileNotFound as error:
            raise Auth(str(error), hint="aws configure list-profiles") from error

    def _answer(self, op: str, params: Mapping[str, Any], *, once: bool) -> dict[str, Any]:
        started = clock.monotonic()
        try:
            answer: dict[str, Any] = self._method(op, once=once)(**params)
        except Exception as error:
            translated = refusals.translate(op, error, self._profile)
            if translated is None:
                raise
            log.debug("%s failed after %.0f ms: %s", op, (clock.monotonic() - started) * 1000, translated.cause)
            raise translated from error
        self._heard = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}), clock.real_now()
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
        config = module("botocore.config").Config(
            retries={"mode": "standard", "total_max_attempts": 1 if once else READ_ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=CONNECTIONS,
            # Given whole, or botocore would put it together from twenty parts for every request (a tenth of its work).
            user_agent=f"Boto3/{module('boto3').__version__} iotctl/{__version__}",
            # Input is validated before a plan is made, and AWS validates again: a third time is only slower.
            parameter_validation=not once,
            s3={"addressing_style": "path"} if self._platform else {},
            signature_version="s3v4" if service == "s3" else None,
        )
        endpoint = self._platform.http_url if self._platform else None
        client: BaseClient = self._session.client(service, config=config, endpoint_url=endpoint)
        kind_of(credentials.access_key or "", client.meta.endpoint_url)
        client.meta.events.register("before-parse.*.*", refusals.refuse_partial)
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
            xform_name = module("botocore").xform_name
            try:
                method = getattr(self._client(service, once=once), xform_name(operation))
            except (AttributeError, exceptions().UnknownServiceError) as error:
                raise Unsupported(
                    f"the installed botocore does not know {op}", hint="pip install --upgrade boto3"
                ) from error
            self._methods[op, once] = method
        return method
