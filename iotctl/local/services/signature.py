"""Signature Version 4 of a presigned URL: made, and verified.

Sources: AWS General Reference, "Signature Version 4 signing process"; Amazon S3 API reference, "Authenticating
requests: using query parameters".
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LONGEST: Final = 604_800
"""The seconds that a presigned URL may be valid: seven days."""

EMPTY: Final = sha256(b"").hexdigest()
"""The payload of a request without a body."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"
_TOKEN: Final = "X-Amz-Security-Token"  # noqa: S105  the name of a parameter
_SIGNATURE: Final = "X-Amz-Signature"
_SKEW: Final = timedelta(minutes=5)
_SAFE: Final = "-_.~"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a presigned URL is not accepted.

    Attributes:
        reason: in words.
        code: Amazon S3's name of the error.

    """

    reason: str
    code: str = "AccessDenied"


@dataclass(frozen=True, slots=True)
class Presigned:
    """A presigned URL that is right.

    Attributes:
        key_id: the access key of who signed it.
        headers: the names of the headers that were signed, in lower case.

    """

    key_id: str
    headers: tuple[str, ...]


def verify(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    secret_for: Callable[[str], str | None],
    now: datetime,
    *,
    service: str,
    region: str = "",
    payload: str = EMPTY,
) -> Presigned | Refusal:
    """Who presigned this request, if the signature and its time are right.

    Args:
        method: of the request.
        path: as it was sent.
        query: as it was sent.
        headers: those of the request, found whatever their case; `host` and those that are signed must be there.
        secret_for: the secret access key of an access key id, None where there is none.
        now: the time, with its zone.
        service: what it must be signed for.
        region: that it must be signed for; empty: any.
        payload: what stands for the body in the signature.

    AWS's clients of `iotdevicegateway` sign without X-Amz-Security-Token and append it afterwards, others sign it as
    the standard says: both are accepted.

    """
    parameters = parse_qsl(query, keep_blank_values=True)
    given = dict(parameters)
    if len(given) != len(parameters):
        return Refusal("a parameter is there twice", "AuthorizationQueryParametersError")
    scope = given.get("X-Amz-Credential", "").split("/")
    if given.get("X-Amz-Algorithm") != _ALGORITHM or len(scope) != 5:
        return Refusal("not signed with Signature Version 4", "AuthorizationQueryParametersError")
    key_id, date, signed_region, signed_for, end = scope
    signed = tuple(given.get("X-Amz-SignedHeaders", "").split(";"))
    if signed_for != service or end != _END:
        return Refusal(f"not signed for {service}", "AuthorizationQueryParametersError")
    if region and signed_region != region:
        return Refusal(f"signed for the region {signed_region}, not {region}", "AuthorizationQueryParametersError")
    if "host" not in signed or list(signed) != sorted(set(signed)) or not all(name in headers for name in signed):
        return Refusal("the signed headers are not those of the request", "SignatureDoesNotMatch")
    late = _lateness(given, date, now)
    if late:
        return late
    secret = secret_for(key_id)
    if secret is None:
        return Refusal("the access key is unknown", "InvalidAccessKeyId")
    key = _key(secret, (date, signed_region, service))
    for unsigned in ({_SIGNATURE, _TOKEN}, {_SIGNATURE}):
        pairs = ((name, value) for name, value in parameters if name not in unsigned)
        request = _canonical_request(method, path, pairs, signed, headers, payload)
        expected = _signature(key, given["X-Amz-Date"], "/".join(scope[1:]), request)
        if hmac.compare_digest(expected.encode(), given.get(_SIGNATURE, "").encode()):
            return Presigned(key_id, signed)
    return Refusal("the signature does not match", "SignatureDoesNotMatch")


def presign(
    method: str,
    host: str,
    path: str,
    *,
    key_id: str,
    secret: str,
    region: str,
    service: str,
    now: datetime,
    seconds: int,
) -> str:
    """The query of a URL that is valid for some seconds from now, its payload unsigned.

    Args:
        method: the one it is good for.
        host: as the Host header will have it.
        path: percent-encoded.
        key_id: the access key.
        secret: its secret.
        region: of the scope.
        service: of the scope.
        now: the time, with its zone.
        seconds: 1 to 604800.

    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{service}/{_END}"
    parameters = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    request = _canonical_request(method, path, parameters.items(), ("host",), {"host": host}, "UNSIGNED-PAYLOAD")
    key = _key(secret, (moment[:8], region, service))
    return urlencode({**parameters, _SIGNATURE: _signature(key, moment, scope, request)}, safe=_SAFE, quote_via=quote)


def _key(secret: str, scope: Iterable[str]) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, _END):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signature(key: bytes, moment: str, scope: str, request: str) -> str:
    # Headers may be any bytes, which Python's text has as surrogates.
    text = "\n".join((_ALGORITHM, moment, scope, sha256(request.encode(errors="surrogateescape")).hexdigest()))
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _lateness(given: dict[str, str], date: str, now: datetime) -> Refusal | None:
    """Why the time of a signature is wrong; None: it is right."""
    try:
        signed = datetime.strptime(given.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        valid_for = int(given.get("X-Amz-Expires", _SKEW.total_seconds()))
    except ValueError:
        reason = "X-Amz-Date or X-Amz-Expires is not what it should be"
        return Refusal(reason, "AuthorizationQueryParametersError")
    if signed.strftime("%Y%m%d") != date or not 0 < valid_for <= LONGEST:
        reason = "the date of the scope is another, or X-Amz-Expires is not 1 to 604800"
        return Refusal(reason, "AuthorizationQueryParametersError")
    if signed - now > _SKEW:
        return Refusal("signed in the future")
    return Refusal("the signature has expired") if now > signed + timedelta(seconds=valid_for) else None


def _canonical_request(
    method: str,
    path: str,
    parameters: Iterable[tuple[str, str]],
    signed: Sequence[str],
    headers: Mapping[str, str],
    payload: str,
) -> str:
    pairs = sorted((quote(name, safe=_SAFE), quote(value, safe=_SAFE)) for name, value in parameters)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed)
    uri = quote(unquote_to_bytes(path), safe="/" + _SAFE)
    return "\n".join((method, uri, query, lines, ";".join(signed), payload))
