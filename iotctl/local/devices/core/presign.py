"""A URL of S3 that is signed for a moment: Signature Version 4 in the query. Pure.

Source: the S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from datetime import datetime

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials; only the key id is in their repr.

    Attributes:
        expiration: when they end, ISO 8601 as it was answered.
        expires: the same.

    """

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expiration: str
    expires: datetime


def presigned(method: str, url: str, region: str, credentials: Credentials, now: datetime, seconds: int = 900) -> str:
    """A URL that is good for one method and so many seconds.

    Args:
        method: GET or HEAD.
        url: without a query, its path quoted.
        region: of the bucket.
        credentials: whose rights it has.
        now: in UTC.
        seconds: how long.

    """
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    query = "&".join(
        f"{name}={quote(value, safe='-_.~')}"
        for name, value in (
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{credentials.key_id}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-Security-Token", credentials.token),
            ("X-Amz-SignedHeaders", "host"),
        )
    )
    canonical = f"{method}\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return f"{url}?{query}&X-Amz-Signature={key.hex()}"


def object_url(s3: str, bucket: str, key: str, region: str) -> str:
    """The URL of an object.

    Args:
        s3: where S3 is, when it is not AWS's.
        bucket: its name.
        key: of the object.
        region: of the bucket.

    """
    path = quote(key, safe="/-_.~")
    if s3:
        return f"{s3.rstrip('/')}/{bucket}/{path}"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    if "." in bucket:  # its name does not fit the certificate of *.s3
        return f"https://s3.{region}.{suffix}/{bucket}/{path}"
    return f"https://{bucket}.s3.{region}.{suffix}/{path}"
