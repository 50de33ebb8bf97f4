"""Presigned URLs, and the names that a bucket is reached by."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from iotctl.local.services.s3 import presigned
from iotctl.local.store import Store
from tests.local.conftest import Raw
from tests.local.s3.conftest import code, fetch, s3_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform


def presign(s3: Any, bucket: str, operation: str = "get_object", seconds: int = 60, **parameters: Any) -> str:
    """A URL that boto3 presigned."""
    given = {"Bucket": bucket, "Key": "a b/ä+%", **parameters}
    url: str = s3.generate_presigned_url(operation, Params=given, ExpiresIn=seconds)
    return url


def test_put_and_get(s3: Any, bucket: str) -> None:
    """Who has the URL may put, and who has the other may get; a range too."""
    assert 200 == fetch(presign(s3, bucket, "put_object"), "PUT", b"hello").status
    url = presign(s3, bucket)
    assert (200, b"hello") == ((whole := fetch(url)).status, whole.body)
    assert (206, b"el") == ((part := fetch(url, headers={"Range": "bytes=1-2"})).status, part.body)


def test_signed_headers(s3: Any, bucket: str) -> None:
    """A header that was signed must come as it was, and one of Amazon's must have been signed."""
    url = presign(s3, bucket, "put_object", ContentType="text/plain")
    assert "SignatureDoesNotMatch" == code(fetch(url, "PUT", b"x"))
    assert "SignatureDoesNotMatch" == code(fetch(url, "PUT", b"x", headers={"Content-Type": "text/html"}))
    answer = fetch(url, "PUT", b"x", headers={"Content-Type": "text/plain", "x-amz-meta-a": "b"})
    assert (403, "AccessDenied") == (answer.status, code(answer))
    assert 200 == fetch(url, "PUT", b"x", headers={"Content-Type": "text/plain"}).status


@pytest.mark.parametrize(
    ("old", "new", "status", "expected"),
    [
        ("a%20b", "other", 403, "SignatureDoesNotMatch"),
        ("X-Amz-Expires=60", "X-Amz-Expires=6000", 403, "SignatureDoesNotMatch"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604801", 400, "AuthorizationQueryParametersError"),
        ("X-Amz-Signature=", "X-Amz-Signature=0", 403, "SignatureDoesNotMatch"),
        ("IOTCTLLOCAL", "AKIA", 403, "InvalidAccessKeyId"),
        ("X-Amz-Date=", "X-Amz-Date=0", 400, "AuthorizationQueryParametersError"),
    ],
)
def test_refused(s3: Any, bucket: str, old: str, new: str, status: int, expected: str) -> None:
    """A URL that was changed is refused."""
    answer = fetch(presign(s3, bucket).replace(old, new))
    assert (status, expected) == (answer.status, code(answer))


def test_an_empty_authorization(s3: Any, bucket: str) -> None:
    """An empty Authorization header takes nothing of the check away."""
    url = presign(s3, bucket).replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert "SignatureDoesNotMatch" == code(fetch(url, headers={"Authorization": ""}))


def test_another_method(s3: Any, bucket: str) -> None:
    """A URL to get does not put, and does not delete."""
    url = presign(s3, bucket)
    assert [403, 403] == [fetch(url, method, b"x").status for method in ("PUT", "DELETE")]


def test_old_signatures(running: Platform, bucket: str) -> None:
    """A URL of Signature Version 2 is told what to use in its place, as S3 does for new buckets."""
    with contextlib.closing(s3_client(running, signature_version="s3")) as old:
        answer = fetch(presign(old, bucket))
    assert (400, "InvalidRequest", True) == (answer.status, code(answer), b"AWS4-HMAC-SHA256" in answer.body)


def test_over_tls(running: Platform, s3: Any, bucket: str) -> None:
    """The HTTPS listener takes presigned URLs too."""
    s3.put_object(Bucket=bucket, Key="a b/ä+%", Body=b"hello")
    with contextlib.closing(s3_client(running, f"https://localhost:{running.https_port}")) as client:
        url = urlsplit(presign(client, bucket))
    trusted = ssl.create_default_context(cafile=running.ca_file)
    with contextlib.closing(
        http.client.HTTPSConnection("127.0.0.1", running.https_port, context=trusted, timeout=10)
    ) as connection:
        connection.request("GET", f"{url.path}?{url.query}", headers={"Host": url.netloc})
        assert b"hello" == connection.getresponse().read()


def test_by_the_platform(raw: Callable[..., Raw], running: Platform, bucket: str, tmp_path: Path) -> None:
    """What the platform's own services presign is accepted until it expires, and only for its object."""
    store = Store(tmp_path / "platform.db", ())
    store.access_key_id, store.secret_access_key = running.access_key_id, running.secret_access_key
    presigned.served_at(store, running.http_url)
    raw("PUT", f"/{bucket}/a%20b/%C3%A4%2B%25", b"hello", service="s3")
    url = presigned.presigned_get(store, bucket, "a b/ä+%", 60)
    assert (b"hello", "SignatureDoesNotMatch") == (fetch(url).body, code(fetch(url.replace("a%20b", "b"))))
    assert url.startswith(running.http_url)
    assert "SignatureDoesNotMatch" == code(fetch(presigned.presigned_get(store, bucket, "k", 60)[:-1] + "g"))
    # Nobody names a default port in the header `Host`, which is signed.
    for served, shown in {
        "https://localhost:443": "https://localhost",
        "http://localhost:443": "http://localhost:443",
    }.items():
        presigned.served_at(store, served)
        assert presigned.presigned_get(store, bucket, "k", 60).startswith(f"{shown}/{bucket}/k?")
    store.close()


@pytest.mark.parametrize(
    "domain", ["localhost:{port}", "s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com:{port}"]
)
def test_virtual_hosts(running: Platform, s3: Any, bucket: str, raw: Callable[..., Raw], domain: str) -> None:
    """The bucket may be in the Host header, signed or presigned."""
    address = urlsplit(running.http_url).netloc
    host = f"{bucket}.{domain.format(port=urlsplit(running.http_url).port)}"
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello")
    assert b"hello" == raw("GET", "/a/b", service="s3", headers={"Host": host}).body
    listed = raw("GET", "/?list-type=2", service="s3", headers={"Host": host})
    assert b"<Key>a/b</Key>" in listed.body
    unsigned = fetch(f"http://{host}/a/b", to=address)
    assert 403 == unsigned.status
    endpoint = "http://" + domain.format(port=urlsplit(running.http_url).port)
    with contextlib.closing(s3_client(running, endpoint, s3={"addressing_style": "virtual"})) as client:
        url = presign(client, bucket, Key="a/b")
    assert (host, b"hello") == (urlsplit(url).netloc, fetch(url, to=address).body)


@pytest.mark.parametrize(
    "host",
    [
        "bucket.s3.eu-west-1.amazonaws.com",
        "s3.us-east-1.amazonaws.com.evil.example",
        "evil.example",
        "a_b.s3.us-east-1.amazonaws.com",
        "bucket.s3.us-east-1.amazonaws.com:1",
        "iot.us-east-1.amazonaws.com",
    ],
)
def test_foreign_hosts(raw: Callable[..., Raw], host: str) -> None:
    """No other name is taken, whatever key is sent."""
    answer = raw("GET", "/a/b", service="s3", headers={"Host": host})
    assert (403, "AccessDenied") == (answer.status, code(answer))


def test_who_may_ask(raw: Callable[..., Raw], bucket: str) -> None:
    """Errors are S3's own: a key of AWS is told that this is not AWS; a web page is refused; HEAD has no body."""
    real = raw("GET", f"/{bucket}", service="s3", key="AKIAIOSFODNN7EXAMPLE")
    assert (403, "InvalidAccessKeyId", True) == (real.status, code(real), b"not AWS: nothing was done" in real.body)
    page = raw("PUT", f"/{bucket}/k", b"x", service="s3", headers={"Origin": "http://evil.example"})
    assert (403, "AccessDenied") == (page.status, code(page))
    head = raw("HEAD", f"/{bucket}/k", service="s3")
    assert (404, b"", True) == (head.status, head.body, bool(head.headers["x-amz-request-id"]))
