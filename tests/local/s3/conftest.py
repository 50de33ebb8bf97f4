"""Clients of S3 on the session's platform, and a bucket of one's own."""

from __future__ import annotations

import contextlib
import http.client
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.local.conftest import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.target import Platform


def s3_client(platform: Platform, url: str = "", **options: Any) -> Any:
    """A boto3 client of a platform's S3 that never tries again."""
    settings = {"signature_version": "s3v4", "retries": {"total_max_attempts": 1}, **options}
    return boto3.client(
        "s3",
        endpoint_url=url or platform.http_url,
        region_name=platform.region,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key=platform.secret_access_key,
        config=Config(**settings),
    )


@pytest.fixture(scope="session")
def s3(running: Platform) -> Iterator[Any]:
    """S3 of the session's platform."""
    with contextlib.closing(s3_client(running)) as client:
        yield client


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket that no other test has."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def fetch(
    url: str, method: str = "GET", body: bytes | None = None, *, to: str = "", headers: dict[str, str] | None = None
) -> Raw:
    """Ask for a URL, of an address in place of the one that it names."""
    parts = urlsplit(url)
    host, _, port = (to or parts.netloc).partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port or 80), timeout=10)) as connection:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body, {"Host": parts.netloc, **(headers or {})})
        answer = connection.getresponse()
        return Raw(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())


def code(answer: Raw) -> str:
    """The name of an error of S3."""
    return answer.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()
