"""Put an object into S3 with the credentials of Greengrass's token exchange: Signature Version 4, in standard Python.

boto3 is not on every core. Sources: the S3 API reference, "Authenticating Requests: Using the Authorization Header
(Signature Version 4)"; the Greengrass developer guide, interact-with-aws-services (the container credentials provider).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

_TIMEOUT = 30.0
_RENEW_SECONDS = 300
_UNRESERVED = "/-_.~"


class Failed(Exception):
    """Why it did not arrive: AWS's error code where there is one, and its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Credentials(NamedTuple):
    """Temporary credentials."""

    access_key: str
    secret_key: str
    token: str
    expires: float


class Bucket:
    """A bucket that this core may put objects into."""

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._environment = os.environ if environment is None else environment
        self._region = self._environment.get("AWS_REGION", "us-east-1")
        self._credentials: Credentials | None = None

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store an object.

        Raises:
            Failed: it was refused, or there is no connection.

        """
        url = self._url(key)
        headers = signed("PUT", url, content, content_type, self._current(), self._region, time.time())
        request = urllib.request.Request(url, data=content, headers=headers, method="PUT")  # noqa: S310  https, or loopback
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  see above
                answer.read()
        except urllib.error.HTTPError as error:
            body = error.read(4096).decode("utf-8", "replace")
            raise Failed(_between(body, "Code") or str(error.code), _between(body, "Message") or error.reason) from None
        except (OSError, ValueError) as error:
            raise Failed("Unreachable", str(error)) from None

    def _url(self, key: str) -> str:
        path = urllib.parse.quote(key, safe=_UNRESERVED)
        endpoint = self._environment.get("AWS_ENDPOINT_URL_S3") or self._environment.get("AWS_ENDPOINT_URL")
        if endpoint:
            return f"{endpoint.rstrip('/')}/{self.name}/{path}"
        suffix = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
        return f"https://{self.name}.s3.{self._region}.{suffix}/{path}"

    def _current(self) -> Credentials:
        if self._credentials is None or self._credentials.expires - time.time() < _RENEW_SECONDS:
            self._credentials = _fetched(self._environment)
        return self._credentials


def _fetched(environment: Mapping[str, str]) -> Credentials:
    uri = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if urllib.parse.urlsplit(uri).hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise Failed("NoCredentials", "this core has no token exchange service (AWS_CONTAINER_CREDENTIALS_FULL_URI)")
    request = urllib.request.Request(uri)  # noqa: S310  on this machine
    request.add_header("Authorization", environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  see above
            found = json.loads(answer.read())
        expires = dt.datetime.strptime(found["Expiration"][:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"], expires.timestamp())
    except (OSError, ValueError, KeyError) as error:
        raise Failed("NoCredentials", f"the token exchange service gave none: {type(error).__name__}") from None


def signed(
    method: str, url: str, content: bytes, content_type: str, credentials: Credentials, region: str, now: float
) -> dict[str, str]:
    """The headers of a request to S3, with its signature."""
    parts = urllib.parse.urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    digest = hashlib.sha256(content).hexdigest()
    headers = {
        "content-type": content_type,
        "host": parts.netloc,
        "x-amz-content-sha256": digest,
        "x-amz-date": stamp,
        "x-amz-security-token": credentials.token,
    }
    names = ";".join(headers)
    canonical = "\n".join((method, parts.path, "", *(f"{k}:{v}" for k, v in headers.items()), "", names, digest))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"{credentials.access_key}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers


def _between(body: str, tag: str) -> str:
    return body.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
