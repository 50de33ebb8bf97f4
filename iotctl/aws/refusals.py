"""AWS's errors by ours: what it refused, what it could not do, and what was no answer of AWS's at all."""

from __future__ import annotations

import re
import shlex
import traceback
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock
from iotctl.aws import models
from iotctl.errors import (
    Auth,
    Conflict,
    Denied,
    Error,
    Exists,
    Local,
    NoIndex,
    NotFound,
    Refused,
    Temporary,
    Throttled,
    Unsupported,
    Usage,
)
from iotctl.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botocore.model import OperationModel

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
# What AWS says where the index is off, to SearchIndex and its like: "Index AWS_Things does not exist". It says so under
# the code for a resource that is not there; to GetThingConnectivityData too (its words there are not documented).
_INDEX_IS_OFF: Final = re.compile(r"index\W+AWS_Thing|AWS_Thing\w*\W+index", re.IGNORECASE)
_REQUEST_IDS = ("x-amzn-requestid", "x-amz-request-id")


def refuse_partial(response_dict: Mapping[str, Any], operation_model: OperationModel, **_: object) -> None:
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


def translate(op: str, error: Exception, profile: str | None = None) -> Error | None:
    """An error of botocore's as ours; None for one that is neither (a bug).

    Args:
        op: the operation.
        error: that ended it.
        profile: of the credentials, for what is to be typed next.

    """
    exceptions = models.exceptions()
    if isinstance(error, exceptions.ClientError):
        return _of_answer(op, error.response)
    cause = sanitize(str(error))
    if found := _of_credentials(op, error, cause, profile) or _of_configuration(op, error, cause):
        return found
    if isinstance(error, exceptions.ParamValidationError):
        return Refused(f"{op} would be refused", code="ParamValidation", cause=cause)
    if isinstance(error, exceptions.SSLError):
        return Auth(
            f"{op}: the server's certificate is not trusted", code="Tls", cause=cause, hint="check AWS_CA_BUNDLE"
        )
    if isinstance(error, exceptions.EndpointConnectionError | exceptions.ConnectTimeoutError):
        return Temporary(
            f"{op}: the endpoint cannot be reached", code="Unreachable", cause=cause, hint="is the network up?"
        )
    if isinstance(error, exceptions.BotoCoreError):
        return Temporary(f"{op}: no usable answer", code=type(error).__name__, cause=cause)
    # The parser falls over a well-formed answer that is not AWS's (a captive portal's page) with errors of any class.
    if any(frame.f_globals["__name__"] == "botocore.parsers" for frame, _ in traceback.walk_tb(error.__traceback__)):
        return Temporary(f"{op}: no usable answer", code="NoUsableAnswer", cause=cause, hint="is a proxy in between?")
    return None


def _of_credentials(op: str, error: Exception, cause: str, profile: str | None) -> Auth | None:
    """What is wrong with the credentials, or with what renews them."""
    exceptions = models.exceptions()
    named = f" --profile {shlex.quote(profile)}" if profile else ""
    if isinstance(
        error,
        exceptions.NoCredentialsError | exceptions.PartialCredentialsError | exceptions.CredentialRetrievalError,
    ):
        hint = f"aws configure list{named} shows where they are from; aws sso login{named}"
        return Auth(f"{op}: no usable AWS credentials", code="NoCredentials", cause=cause, hint=hint)
    if isinstance(error, exceptions.TokenRetrievalError | exceptions.SSOError):
        return Auth(f"{op}: the sign-in has expired", code="ExpiredToken", cause=cause, hint=f"aws sso login{named}")
    if isinstance(error, exceptions.LoginError):
        return Auth(f"{op}: the sign-in has expired", code="ExpiredToken", cause=cause, hint=f"aws login{named}")
    if isinstance(error, EOFError | exceptions.RefreshWithMFAUnsupportedError):
        return Auth(
            f"{op}: the profile's role asks for an MFA code, and nobody is there to type one",
            code="MfaRequired",
            hint="aws sts assume-role … --token-code CODE, and its credentials as AWS_ACCESS_KEY_ID and the others",
        )
    return None


def _of_configuration(op: str, error: Exception, cause: str) -> Error | None:
    """What is wrong with this machine's configuration of the AWS SDK."""
    exceptions = models.exceptions()
    if isinstance(error, exceptions.NoRegionError):
        return Usage("no AWS region is set", hint="add --region us-east-1, or set AWS_REGION")
    if isinstance(error, exceptions.InvalidRegionError):
        return Usage("the AWS region is not one", cause=cause, hint="for example --region us-east-1")
    if isinstance(
        error,
        exceptions.ConfigParseError
        | exceptions.ConfigNotFound
        | exceptions.InvalidConfigError
        | exceptions.UnknownCredentialError,
    ):
        return Usage(
            "the AWS configuration file cannot be used", cause=cause, hint="check AWS_CONFIG_FILE (~/.aws/config)"
        )
    if isinstance(error, exceptions.MissingDependencyException):
        return Local(f"{op}: a package is missing", code="MissingDependency", cause=cause)
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
    if code.startswith("IndexNotReady") or (code.startswith(_NOT_FOUND) and _INDEX_IS_OFF.search(message)):
        return NoIndex(f"{op}: the fleet index does not hold it", **said)
    if code.startswith(_CLOCK):
        return Auth(f"{op}: the signature was refused", **said, hint=_hint(metadata.get("HTTPHeaders", {})))
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
    if "LimitExceeded" in code:
        hint = (
            f"a limit that no waiting lifts: remove what is not needed, or have {op.partition(':')[0]}'s quota raised"
        )
        return Refused(f"{op}: a hard limit of the account is reached", **said, hint=hint)
    return Refused(f"{op} was refused", **said)


def _hint(headers: Mapping[str, str]) -> str:
    """What a refused signature most often means: this machine's clock is off, by so much."""
    seconds = ahead(headers, clock.real_now())
    if seconds is None:
        return "check the clock of this machine and the secret key"
    if abs(seconds) < 240:
        return "the clock is right: check the secret key"
    return f"the clock of this machine is {seconds:+.0f} s off AWS's: set it"


def ahead(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that this time is ahead of the one at which AWS answered; None: the answer has no date."""
    try:
        return (now - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
