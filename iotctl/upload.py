"""Put a file into S3 under its own digest: streamed, resumed, compared with what is there, never replaced.

The key of a file is `<prefix>/<sha256>/<file name>`, so sending it twice is harmless and no two files share a key.

- A small file is one PutObject; a larger one a multipart upload, its parts sent a few at a time. S3 checks the SHA-256
  of everything it gets, and `If-None-Match: *` keeps what is there from being replaced.
- An upload that was interrupted is found by its key and goes on: the parts that S3 holds already are not sent again.
  Once the object is there, no unfinished upload of its key is left.
- What is there already is compared (size, checksum), not sent.

Sources: Amazon S3 user guide, checking-object-integrity, mpuoverview, conditional-writes; API reference,
UploadPart, ListParts, CompleteMultipartUpload.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from iotctl import text
from iotctl.errors import Conflict, Denied, Error, Integrity, Interrupted, Local, NotFound, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws

OPERATION: Final = "s3:Upload"
"""The effect of a plan's step that sends a file."""
NEEDS: Final = (
    "s3:AbortMultipartUpload",
    "s3:CompleteMultipartUpload",
    "s3:CreateMultipartUpload",
    "s3:HeadObject",
    "s3:ListMultipartUploads",
    "s3:ListParts",
    "s3:PutObject",
    "s3:UploadPart",
)
"""The operations that it calls."""

PART: Final = 8 * 1024 * 1024
"""Bytes of a part; a file of no more is sent whole. 10,000 parts at most: 78 GiB."""
_MOST_PARTS: Final = 10_000
_AT_ONCE: Final = 4
_CHUNK: Final = 1024 * 1024
_LONGEST_NAME: Final = 200
_NO_UPLOAD: Final = "NoSuchUpload"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to be sent, as it was when it was hashed.

    Attributes:
        path: where it is.
        size: bytes.
        sha256: hex.

    """

    path: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Artifact:
        """Hash a file, a piece at a time.

        Raises:
            NotFound: there is none. Usage: it is not a file that can be read, empty, or too large for S3.

        """
        digest, size = hashlib.sha256(), 0
        with _readable(path) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        if not size:
            raise Usage(f"{path} is empty", on=str(path))
        if size > PART * _MOST_PARTS:
            raise Usage(f"{path} has {size:,} bytes, more than {PART * _MOST_PARTS:,}", on=str(path))
        return cls(path, size, digest.hexdigest())

    def key(self, prefix: str) -> str:
        """Its key in a bucket: `<prefix>/<sha256>/<file name>`, the name in characters that need no care anywhere."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self.path.name)[-_LONGEST_NAME:]
        return "/".join(part for part in (prefix.strip("/"), self.sha256, name) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is: a bucket and a key, and how its URL is made."""

    bucket: str
    key: str
    region: str
    partition: str = "aws"

    @property
    def url(self) -> str:
        """The object's own URL, by path: the one form that AWS IoT's placeholders are documented with.

        Source: AWS IoT developer guide, create-manage-jobs, "Presigned URLs".
        """
        domain = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"https://s3.{self.region}.{domain}/{self.bucket}/{quote(self.key)}"

    def __str__(self) -> str:
        """The object as AWS's tools name it."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(slots=True)
class Uploader:
    """Sends files: the effect `s3:Upload`, its params `path`, `size`, `sha256`, `bucket`, `key`.

    Attributes:
        aws: the account.
        stop: set to end early; what S3 holds by then is not sent again.

    """

    aws: Aws
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | Error]:
        """Send each; where it is, and whether it was `sent` or `there`; or why it is not."""
        answers: list[dict[str, Any] | Error] = []
        for one in asked:
            artifact = Artifact(Path(one["path"]), one["size"], one["sha256"])
            try:
                sent = self.put(artifact, one["bucket"], one["key"])
            except Error as error:
                answers.append(error)
            else:
                answers.append({"bucket": one["bucket"], "key": one["key"], "state": "sent" if sent else "there"})
        return answers

    def put(self, artifact: Artifact, bucket: str, key: str) -> bool:
        """Make the file the object of this key; whether it had to be sent.

        Raises:
            Conflict: another object has the key. Integrity: the file changed. NotFound: there is no such bucket.
            Interrupted: it was stopped; the same command goes on. Error: of S3.

        """
        if self._is_there(artifact, bucket, key):
            return False
        try:
            if artifact.size <= PART:
                self._whole(artifact, bucket, key)
            else:
                self._in_parts(artifact, bucket, key)
        except Error as error:
            if isinstance(error, Interrupted) or not self._was_faster(error, artifact, bucket, key):
                raise
        if artifact.size > PART:
            self._tidy(bucket, key)
        return True

    def _was_faster(self, error: Error, artifact: Artifact, bucket: str, key: str) -> bool:
        """Whether it failed because someone else has sent the same in the meantime."""
        return (isinstance(error, Conflict) or error.code == _NO_UPLOAD) and self._is_there(artifact, bucket, key)

    def _is_there(self, artifact: Artifact, bucket: str, key: str) -> bool:
        """Whether the object is there, and is this file.

        Raises:
            Conflict: it is another. NotFound: there is no such bucket.

        """
        try:
            found = self.aws.call("s3:HeadObject", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except NotFound:
            return False
        except Denied:
            # Without s3:ListBucket a missing object is answered like a forbidden one; If-None-Match decides then.
            return False
        checksum = str(found.get("ChecksumSHA256") or "")
        expected = self._expected(artifact, checksum)
        # Where S3 has no checksum that can be compared (another tool sent it), what that tool noted must do.
        same = checksum == expected if expected else found.get("Metadata", {}).get("sha256") == artifact.sha256
        if not same or found.get("ContentLength") != artifact.size:
            raise Conflict(
                f"s3://{bucket}/{key} is there, and is not {artifact.path}",
                cause=f"it has {found.get('ContentLength'):,} bytes and the checksum {checksum or 'none'}; "
                f"the file has {artifact.size:,} bytes and the SHA-256 {artifact.sha256}",
                hint="someone put another object under this key: delete it, or use another --prefix",
            )
        return True

    def _expected(self, artifact: Artifact, checksum: str) -> str:
        """The checksum that S3 must have, in the form of the one it has: of the whole, or of the parts' checksums.

        Empty: it has none, or one of parts of another size.
        """
        parts = -(-artifact.size // PART)
        if checksum.partition("-")[2] == str(parts):
            digests = b"".join(hashlib.sha256(part).digest() for _, part in _parts(artifact))
            return f"{_base64(hashlib.sha256(digests).digest())}-{parts}"
        return "" if not checksum or "-" in checksum else _base64(bytes.fromhex(artifact.sha256))

    def _whole(self, artifact: Artifact, bucket: str, key: str) -> None:
        content = b"".join(part for _, part in _parts(artifact))
        self.aws.call(
            "s3:PutObject",
            Bucket=bucket,
            Key=key,
            Body=content,
            ChecksumSHA256=_base64(bytes.fromhex(artifact.sha256)),
            IfNoneMatch="*",
            Metadata={"sha256": artifact.sha256},
        )

    def _in_parts(self, artifact: Artifact, bucket: str, key: str) -> None:
        upload, held = self._pending(bucket, key)
        if upload is None:
            begun = self.aws.call(
                "s3:CreateMultipartUpload",
                Bucket=bucket,
                Key=key,
                ChecksumAlgorithm="SHA256",
                Metadata={"sha256": artifact.sha256},
            )
            upload = str(begun["UploadId"])
        place: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": upload}
        try:
            parts = self._send(artifact, place, held)
            self.aws.call("s3:CompleteMultipartUpload", **place, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except Integrity:
            self.aws.call("s3:AbortMultipartUpload", **place)
            raise

    def _send(
        self, artifact: Artifact, place: Mapping[str, Any], held: Mapping[int, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Every part as S3 holds it, those sent that it does not hold yet, a few at a time."""
        done: dict[int, dict[str, Any]] = {}
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
            waiting: dict[concurrent.futures.Future[dict[str, Any]], int] = {}
            for number, part in _parts(artifact):
                checksum = _base64(hashlib.sha256(part).digest())
                known = held.get(number, {})
                if known.get("ChecksumSHA256") == checksum and known.get("Size") == len(part):
                    done[number] = _listed(number, checksum, known)
                    continue
                while len(waiting) >= _AT_ONCE:
                    _collect(waiting, done)
                if self.stop.is_set():
                    raise Interrupted("the upload was stopped", hint="run the same command again; it goes on")
                waiting[pool.submit(self._part, place, number, part, checksum)] = number
            while waiting:
                _collect(waiting, done)
        return [done[number] for number in sorted(done)]

    def _part(self, place: Mapping[str, Any], number: int, part: bytes, checksum: str) -> dict[str, Any]:
        sent = self.aws.call("s3:UploadPart", **place, PartNumber=number, Body=part, ChecksumSHA256=checksum)
        return _listed(number, checksum, sent)

    def _pending(self, bucket: str, key: str) -> tuple[str | None, dict[int, Mapping[str, Any]]]:
        """The upload of this key that holds most, with its parts by number; None: there is none that can go on."""
        best: tuple[str | None, dict[int, Mapping[str, Any]]] = None, {}
        for upload in self._unfinished(bucket, key):
            parts: dict[int, Mapping[str, Any]] = {}
            try:
                for page in self._part_pages(bucket, key, upload):
                    if page.get("ChecksumAlgorithm") != "SHA256":
                        break
                    parts |= {part["PartNumber"]: part for part in page.get("Parts", ())}
                else:
                    if best[0] is None or len(parts) > len(best[1]):
                        best = upload, parts
            except NotFound:
                continue
        return best

    def _part_pages(self, bucket: str, key: str, upload: str) -> Iterator[dict[str, Any]]:
        marker = 0
        while True:
            page = self.aws.call("s3:ListParts", Bucket=bucket, Key=key, UploadId=upload, PartNumberMarker=marker)
            yield page
            if not page.get("IsTruncated"):
                return
            marker = page["NextPartNumberMarker"]

    def _unfinished(self, bucket: str, key: str) -> list[str]:
        """The ids of the unfinished uploads of one key; none where they may not be listed."""
        try:
            page = self.aws.call("s3:ListMultipartUploads", Bucket=bucket, Prefix=key)
        except Denied:
            return []
        return [str(one["UploadId"]) for one in page.get("Uploads", ()) if one["Key"] == key]

    def _tidy(self, bucket: str, key: str) -> None:
        """Give up what others began of this key: the object is there."""
        for upload in self._unfinished(bucket, key):
            with contextlib.suppress(NotFound, Denied):
                self.aws.call("s3:AbortMultipartUpload", Bucket=bucket, Key=key, UploadId=upload)


def split(place: str) -> tuple[str, str]:
    """The bucket and the key of `s3://BUCKET/KEY`.

    Raises:
        Usage: it is not one.

    """
    bucket, slash, key = place.removeprefix("s3://").partition("/")
    if not place.startswith("s3://") or not (bucket and slash and key):
        raise Usage(f"{text.sanitize(place)!r} is not an object of S3", hint="s3://BUCKET/KEY")
    return bucket, key


def _parts(artifact: Artifact) -> Iterator[tuple[int, bytes]]:
    """The file's parts, numbered from 1; the last is only given once the whole is known to be what was hashed.

    Raises:
        Integrity: the file has changed.

    """
    digest, left, count = hashlib.sha256(), artifact.size, -(-artifact.size // PART)
    with _readable(artifact.path) as stream:
        for number in range(1, count + 1):
            part = stream.read(min(PART, left))
            digest.update(part)
            left -= len(part)
            if number == count and (left or stream.read(1) or digest.hexdigest() != artifact.sha256):
                break
            yield number, part
        else:
            return
    raise Integrity(
        f"{artifact.path} has changed since it was hashed; it was not published",
        hint="run the same command again",
        on=str(artifact.path),
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Any]:
    try:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", on=str(path))
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise Local(f"{path} cannot be read: {error.strerror}", on=str(path)) from error


def _collect(waiting: dict[concurrent.futures.Future[dict[str, Any]], int], done: dict[int, dict[str, Any]]) -> None:
    finished, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
    for future in finished:
        done[waiting.pop(future)] = future.result()


def _listed(number: int, checksum: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
