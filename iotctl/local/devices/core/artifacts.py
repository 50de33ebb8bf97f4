"""Artifacts of components: downloaded, resumed where they were cut off, checked. It blocks.

An artifact is in its place only if its bytes are those that the recipe names. Sources: the nucleus' ArtifactDownloader,
S3Downloader and GreengrassRepositoryDownloader.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from iotctl import clock, files
from iotctl.local.devices import download
from iotctl.local.devices.core import archive
from iotctl.local.devices.core.archive import MOST_BYTES
from iotctl.local.devices.core.cloud import patiently
from iotctl.local.devices.core.faults import Code, Failed, Offline
from iotctl.local.devices.core.presign import object_url, presigned
from iotctl.manifest import Reason, Rejected
from iotctl.semantics.recipe import s3_place

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iotctl.local.devices.core.cloud import Cloud
    from iotctl.local.devices.core.place import Settings
    from iotctl.local.devices.core.resolve import Found

_SPARE_BYTES: Final = 20 * 1024 * 1024  # of the disk stay free, as the nucleus has it
_SILENCE_SECONDS: Final = 30.0
_RENEWALS: Final = 3
_T = TypeVar("_T")
_GREENGRASS: Final = "greengrass:"
_TOTAL: Final = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_CODES: Final = {
    Reason.DIGEST_MISMATCH: Code.CHECKSUM,
    Reason.ENDLESS_DATA: Code.CHECKSUM,
    Reason.TRUNCATED: Code.CHECKSUM,
}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a component.

    Attributes:
        uri: s3://BUCKET/KEY or greengrass:NAME.
        name: of the file.
        sha256: hex.
        unarchive: it is a ZIP to be unpacked.
        mode: of the file, and of the files in it.

    """

    uri: str
    name: str
    sha256: str
    unarchive: bool = False
    mode: int = 0o600


def of(found: Found, chosen: Mapping[str, Any]) -> list[Artifact]:
    """The artifacts of a manifest.

    Raises:
        Failed: one has no digest, no name, or a place that this core gets nothing from.

    """
    return [_artifact(found, one) for one in chosen.get("Artifacts") or ()]


class Fetcher:
    """Gets the artifacts of one deployment.

    Args:
        settings: where they go, and where S3 is.
        cloud: gives URLs and credentials.
        stop: ends it.
        told: called with what a person may want to know.
        first_wait: seconds before the second try.

    """

    def __init__(
        self,
        settings: Settings,
        cloud: Cloud,
        stop: threading.Event,
        told: Callable[[str], None],
        first_wait: float = download.FIRST_WAIT,
    ) -> None:
        self._settings = settings
        self._cloud = cloud
        self._stop = stop
        self._told = told
        self._first_wait = first_wait
        loopback = download.is_loopback(settings.identity.endpoint)
        self._hosts = (*download.AWS_HOSTS, *_LOOPBACK) if loopback else download.AWS_HOSTS

    def fetch(self, found: Found, wanted: list[Artifact]) -> None:
        """Have all artifacts of a component in place, unpacked.

        Raises:
            Failed: one cannot be had, or is not what the recipe names. Interrupted: it was stopped.

        """
        directory = self._settings.artifacts(found.name, found.version)
        unpacked = self._settings.unarchived(found.name, found.version)
        for place in (directory, unpacked):
            place.mkdir(files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        for artifact in wanted:
            place = directory / artifact.name
            if not (place.is_file() and download.digest(place) == artifact.sha256):
                self._get(found, artifact, place)
            place.chmod(artifact.mode)
            if artifact.unarchive:
                archive.unpack(place, unpacked / PurePosixPath(artifact.name).stem, artifact.mode)

    def _get(self, found: Found, artifact: Artifact, place: Path) -> None:
        refused, there = 0, 0
        while True:
            try:
                url, size = self._patiently(partial(self._located, found, artifact))
                _check_room(artifact, size, place.parent)
                source = download.Source(url, size, artifact.sha256, self._hosts)
                self._patiently(partial(self._download, source, place))
            except download.Refused as error:
                # The URL has run out, or the credentials that signed it: what came meanwhile is kept.
                before, there = there, download.size(download.partial(place))
                refused = 1 if there > before else refused + 1
                if error.status != 403 or refused > _RENEWALS:
                    raise Failed(f"{artifact.uri}: {error.message}", Code.DOWNLOAD) from error
            except Rejected as error:
                code = _CODES.get(error.reason)
                said = f"{artifact.uri} of {found.name} {found.version}: {error.message}"
                raise Failed(said, Code.DOWNLOAD, *([code] if code else [])) from error
            else:
                return

    def _patiently(self, act: Callable[[], _T]) -> _T:
        return patiently(act, self._stop, self._told, self._first_wait)

    def _download(self, source: download.Source, place: Path) -> None:
        try:
            download.fetch(source, place, stop=self._stop, first_wait=self._first_wait)
        except download.Refused:
            raise
        except Rejected as error:
            if error.reason is Reason.DOWNLOAD_FAILED:  # what came is kept
                raise Offline(error.message) from error
            raise

    def _located(self, found: Found, artifact: Artifact) -> tuple[str, int]:
        """A URL of an artifact, and its size.

        Raises:
            Offline, Failed. Rejected: the cloud names a host that this core does not download from.

        """
        if artifact.uri.startswith(_GREENGRASS):
            url = self._cloud.artifact_url(found.arn, artifact.uri.removeprefix(_GREENGRASS))
            download.checked(download.Source(url, 0, artifact.sha256, self._hosts))
            return url, size_of(artifact, "GET", url)[1]
        bucket, key = s3_place(artifact.uri) or ("", "")
        region = self._settings.target.region
        for _ in range(2):
            address = object_url(self._settings.s3, bucket, key, region)
            credentials = self._cloud.credentials()
            head = presigned("HEAD", address, region, credentials, clock.real_now())
            other, size = size_of(artifact, "HEAD", head)
            if not other or other == region:
                return presigned("GET", address, region, credentials, clock.real_now()), size
            region = other  # the bucket is elsewhere
        raise Failed(f"{artifact.uri}: S3 does not say in which region its bucket is", Code.DOWNLOAD)


def _artifact(found: Found, given: Mapping[str, Any]) -> Artifact:
    uri = str(given.get("Uri", given.get("URI")))
    name = uri.rpartition("/")[2] if "/" in uri else uri.partition(":")[2]
    if not (s3_place(uri) or uri.startswith(_GREENGRASS)):
        raise Failed(f"{found.name} has the artifact {uri}, which is neither in S3 nor Greengrass'", Code.ARTIFACT_URI)
    # The stem is the directory that an archive is unpacked to.
    if {name, PurePosixPath(name).stem} & {"", ".", ".."} or "\0" in name or "\\" in name:
        raise Failed(f"{found.name} has the artifact {uri}, which has no file name", Code.ARTIFACT_URI)
    try:
        digest = base64.b64decode(given["Digest"], validate=True)
    except (KeyError, TypeError, ValueError):
        digest = b""
    if given.get("Algorithm") != "SHA-256" or len(digest) != 32:
        raise Failed(f"{found.name} has the artifact {uri} without a SHA-256 digest", Code.RECIPE)
    permission = given.get("Permission") or {}
    mode = {"NONE": 0o600, "OWNER": 0o600, "ALL": 0o644}.get(permission.get("Read", "OWNER"), 0o600)
    mode |= {"OWNER": 0o100, "ALL": 0o111}.get(permission.get("Execute", "NONE"), 0)
    return Artifact(uri, name, digest.hex(), given.get("Unarchive", "NONE") == "ZIP", mode)


def _check_room(artifact: Artifact, size: int, directory: Path) -> None:
    if size > MOST_BYTES:
        raise Failed(f"{artifact.uri} has {size:,} bytes, more than this core keeps", Code.DOWNLOAD)
    free = shutil.disk_usage(directory).free
    if size + _SPARE_BYTES > free:
        raise Failed(f"{artifact.uri} has {size:,} bytes, and {free:,} are free on this core's disk", Code.DISK)


def size_of(artifact: Artifact, method: str, url: str) -> tuple[str, int]:
    """The region of the bucket where the answer names another one, and the size.

    Args:
        artifact: which, for words.
        method: HEAD, or GET of its first byte.
        url: signed; of a host that was checked.

    Raises:
        Offline: it must be asked again. Failed: it cannot be had.

    """
    address = urlsplit(url)
    host = str(address.hostname)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    try:
        with contextlib.closing(kind(host, address.port, timeout=_SILENCE_SECONDS)) as connection:
            headers = {"Range": "bytes=0-0"} if method == "GET" else {}
            connection.request(method, f"{address.path}?{address.query}", headers=headers)
            with connection.getresponse() as response:
                status, found = response.status, dict(response.headers.items())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Offline(f"{host} cannot be reached: {type(error).__name__}") from error
    named = {key.lower(): value for key, value in found.items()}
    region = named.get("x-amz-bucket-region", "")
    total = _TOTAL.fullmatch(named.get("content-range", ""))
    if total and status in {206, 416}:
        return "", int(total[1])
    if status == 200:
        return "", int(named.get("content-length", 0))
    if status in {301, 307, 400} and region:
        return region, 0
    if status == 403:
        raise Failed(f"this core may not read {artifact.uri}", Code.DOWNLOAD, Code.FORBIDDEN)
    if status == 404:
        raise Failed(f"{artifact.uri} is not there", Code.DOWNLOAD, Code.NOT_FOUND)
    if status == 429 or status >= 500:
        raise Offline(f"{host} answered {status}")
    raise Failed(f"{artifact.uri}: {host} answered {status}", Code.DOWNLOAD)


def remove_others(settings: Settings, kept: set[tuple[str, str]]) -> None:
    """Remove the artifacts of every component version that is not kept."""
    for kind in ("artifacts", "artifacts-unarchived"):
        for directory in (settings.root / "packages" / kind).glob("*/*"):
            if (directory.parent.name, directory.name) not in kept:
                shutil.rmtree(directory, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.rmdir(directory.parent)  # noqa: PTH106  empty, or it stays
