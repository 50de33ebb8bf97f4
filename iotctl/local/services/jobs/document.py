"""The job document: read from S3, and as devices get it, with presigned URLs made at the moment a device asks.

Source: AWS IoT developer guide, create-manage-jobs ("Presigned URLs"): `${aws:iot:s3-presigned-url:https://…}` and
`${aws:iot:s3-presigned-url-v2:https://…}`, with S3 URLs in path or virtual-host style.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from iotctl.local.services import AwsError, invalid
from iotctl.local.services.s3 import content, objects
from iotctl.local.services.s3.presigned import presigned_get

if TYPE_CHECKING:
    from iotctl.local.services.jobs.tables import Job
    from iotctl.local.store import Store

LARGEST: Final = 32_768
"""Bytes of a job document."""
MOST_PLACEHOLDERS: Final = 10
PRESIGNED_SECONDS: Final = 3600

_PLACEHOLDER: Final = re.compile(r"\$\{aws:iot:s3-presigned-url(?:-v2)?:([^}]*)\}")
_PATH_HOST: Final = re.compile(r"s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?")
_BUCKET_HOST: Final = re.compile(r"(.+)\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?")


def placeholders(document: str) -> list[str]:
    """The URLs of a document's presigned-URL placeholders."""
    return _PLACEHOLDER.findall(document)


def object_of(url: str) -> tuple[str, str] | None:
    """The bucket and the key of an S3 URL; None: it is not one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        return None
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme != "https" or not path:
        return None
    if _PATH_HOST.fullmatch(host):
        bucket, _, key = path.partition("/")
        return (bucket, key) if bucket and key else None
    found = _BUCKET_HOST.fullmatch(host)
    return (found[1], path) if found else None


def fetched(store: Store, url: str) -> str:
    """The document that a documentSource names.

    Raises:
        AwsError: InvalidRequestException: it is not the URL of an object that is here, or that is a document.

    """
    place = object_of(url)
    if place is None:
        raise invalid(f"documentSource is not the URL of an S3 object: {url}")
    try:
        body = objects.get_object(store, Bucket=place[0], Key=place[1])["Body"]
    except AwsError as error:
        raise invalid(f"The job document cannot be read from {url}: {error.message}") from error
    if body.length > LARGEST:
        raise invalid(f"The job document cannot be larger than {LARGEST} bytes")
    try:
        return b"".join(content.blocks(body)).decode()
    except UnicodeDecodeError as error:
        raise invalid("The job document is not UTF-8") from error


def document_of(store: Store, job: Job) -> Any:  # noqa: ANN401  a document is any JSON
    """A job's document with every placeholder resolved now."""
    seconds = job.configuration.get("presignedUrlConfig", {}).get("expiresInSec", PRESIGNED_SECONDS)
    return _resolved(store, json.loads(job.document), seconds)


def _resolved(store: Store, value: Any, seconds: int) -> Any:  # noqa: ANN401  a document is any JSON
    if isinstance(value, dict):
        return {key: _resolved(store, one, seconds) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(store, one, seconds) for one in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: _presigned(store, found[1], seconds), value)
    return value


def _presigned(store: Store, url: str, seconds: int) -> str:
    place = object_of(url)
    return presigned_get(store, *place, seconds) if place else url
