"""Files in S3 under their own digest: sent once, resumed, compared, never replaced."""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from iotctl import upload
from iotctl.aws import Aws
from iotctl.errors import Conflict, Integrity, Interrupted, NotFound, Temporary, Usage
from iotctl.target import Platform
from iotctl.upload import Artifact, Place, Uploader
from tests.local.conftest import client

PART = 5 * 1024 * 1024


class Account(Aws):
    """The platform, with every call written down, and one that fails when told to."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform=platform)
        self.calls: list[str] = []
        self.fails: tuple[str, int] = ("", 0)
        self.lock = threading.Lock()

    def call(self, op: str, **params: Any) -> dict[str, Any]:
        """As it is called."""
        with self.lock:
            self.calls.append(op)
            name, number = self.fails
            if op == name and self.calls.count(op) == number:
                raise Temporary("the network is gone")
        return super().call(op, **params)

    def count(self, op: str) -> int:
        """How often an operation was called since the last count."""
        with self.lock:
            number = self.calls.count(op)
            self.calls = [each for each in self.calls if each != op]
        return number


@pytest.fixture
def account(platform: Platform) -> Account:
    """The session's platform."""
    return Account(platform)


@pytest.fixture
def bucket(account: Account) -> str:
    """A bucket of one's own."""
    made = f"artifacts-{uuid.uuid4().hex}"
    account.call("s3:CreateBucket", Bucket=made)
    return made


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts as small as S3 allows."""
    monkeypatch.setattr(upload, "PART", PART)


def _file(path: Path, size: int) -> Artifact:
    """A file of so many bytes, each block of its own kind."""
    blocks = (f"{number:07d}\n".encode() * (size // 64) for number in range(9))
    path.write_bytes(b"".join(blocks)[:size].ljust(size, b"."))
    return Artifact.of(path)


def _content(platform: Platform, bucket: str, key: str) -> str:
    body: bytes = client(platform, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return hashlib.sha256(body).hexdigest()


def test_the_key_is_the_digest(tmp_path: Path) -> None:
    """A prefix, the SHA-256, the file's name in plain characters; the same content has the same key."""
    artifact = _file(tmp_path / "röhre 1.bin", 10)

    assert f"fw/{artifact.sha256}/r_hre_1.bin" == artifact.key("/fw/")
    assert f"{artifact.sha256}/r_hre_1.bin" == artifact.key("")
    place = Place("b", artifact.key("fw"), "eu-west-1")
    assert f"https://s3.eu-west-1.amazonaws.com/b/fw/{artifact.sha256}/r_hre_1.bin" == place.url
    assert Place("b", "k", "cn-north-1", "aws-cn").url == "https://s3.cn-north-1.amazonaws.com.cn/b/k"


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    """No file, a directory, nothing in it."""
    (tmp_path / "empty").touch()
    for path, error in ((tmp_path / "none", NotFound), (tmp_path, NotFound), (tmp_path / "empty", Usage)):
        with pytest.raises(error):
            Artifact.of(path)


def test_a_small_file_is_sent_once(account: Account, bucket: str, platform: Platform, tmp_path: Path) -> None:
    """As one object that S3 has checked; the second time it is only compared."""
    artifact = _file(tmp_path / "fw.bin", 1000)
    key = artifact.key("fw")

    assert Uploader(account).put(artifact, bucket, key)
    assert not Uploader(account).put(artifact, bucket, key)

    assert account.count("s3:PutObject") == 1
    head = account.call("s3:HeadObject", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert base64.b64decode(head["ChecksumSHA256"]).hex() == artifact.sha256
    assert _content(platform, bucket, key) == artifact.sha256


@pytest.mark.usefixtures("small_parts")
def test_a_large_file_is_sent_in_parts(account: Account, bucket: str, platform: Platform, tmp_path: Path) -> None:
    """And compared by the checksum of its parts afterwards."""
    artifact = _file(tmp_path / "fw.bin", 2 * PART + 3)
    key = artifact.key("fw")

    assert Uploader(account).put(artifact, bucket, key)
    assert not Uploader(account).put(artifact, bucket, key)

    assert account.count("s3:UploadPart") == 3
    assert _content(platform, bucket, key) == artifact.sha256
    assert "Uploads" not in account.call("s3:ListMultipartUploads", Bucket=bucket)


@pytest.mark.usefixtures("small_parts")
def test_an_interrupted_upload_goes_on(account: Account, bucket: str, platform: Platform, tmp_path: Path) -> None:
    """Parts that S3 holds are not sent again, whoever began; and no unfinished upload is left."""
    artifact = _file(tmp_path / "fw.bin", 3 * PART)
    key = artifact.key("fw")
    other = account.call("s3:CreateMultipartUpload", Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")
    account.fails = ("s3:UploadPart", 3)
    with pytest.raises(Temporary):
        Uploader(account).put(artifact, bucket, key)
    account.fails = ("", 0)
    held = sum(
        len(account.call("s3:ListParts", Bucket=bucket, Key=key, UploadId=one["UploadId"]).get("Parts", ()))
        for one in account.call("s3:ListMultipartUploads", Bucket=bucket)["Uploads"]
    )
    account.count("s3:UploadPart")

    assert Uploader(account).put(artifact, bucket, key)

    assert held == 2
    assert account.count("s3:UploadPart") == 1
    assert account.count("s3:CreateMultipartUpload") == 1, f"{other['UploadId']} was begun by another, and served"
    assert _content(platform, bucket, key) == artifact.sha256
    assert "Uploads" not in account.call("s3:ListMultipartUploads", Bucket=bucket)


@pytest.mark.usefixtures("small_parts")
def test_stopped(account: Account, bucket: str, tmp_path: Path) -> None:
    """Ctrl-C ends it between two parts; nothing is published."""
    artifact = _file(tmp_path / "fw.bin", 2 * PART)
    stop = threading.Event()
    stop.set()

    with pytest.raises(Interrupted):
        Uploader(account, stop).put(artifact, bucket, artifact.key(""))

    assert "Contents" not in account.call("s3:ListObjectsV2", Bucket=bucket)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [1000, 2 * PART])
@pytest.mark.parametrize("change", ["other", "shorter", "longer"])
def test_a_file_that_changes(account: Account, bucket: str, tmp_path: Path, size: int, change: str) -> None:
    """It is not published, and leaves nothing behind."""
    artifact = _file(tmp_path / "fw.bin", size)
    content = artifact.path.read_bytes()
    artifact.path.write_bytes({"other": b"x" + content[1:], "shorter": content[1:], "longer": content + b"x"}[change])

    with pytest.raises(Integrity, match="changed"):
        Uploader(account).put(artifact, bucket, artifact.key(""))

    assert "Contents" not in account.call("s3:ListObjectsV2", Bucket=bucket)
    assert "Uploads" not in account.call("s3:ListMultipartUploads", Bucket=bucket)


def test_another_object_is_not_replaced(account: Account, bucket: str, tmp_path: Path) -> None:
    """It is a conflict, with both checksums; also where it comes between the look and the put."""
    artifact = _file(tmp_path / "fw.bin", 1000)
    account.call("s3:PutObject", Bucket=bucket, Key=artifact.key(""), Body=b"y" * 1000)

    with pytest.raises(Conflict) as caught:
        Uploader(account).put(artifact, bucket, artifact.key(""))

    assert artifact.sha256 in caught.value.cause


def test_the_effect_answers_for_each(account: Account, bucket: str, tmp_path: Path) -> None:
    """Where it is and whether it was sent; one that fails is an error of its own."""
    artifact = _file(tmp_path / "fw.bin", 10)
    asked = {"path": str(artifact.path), "size": artifact.size, "sha256": artifact.sha256, "key": artifact.key("")}

    sent, there, none = Uploader(account)([{**asked, "bucket": each} for each in (bucket, bucket, "no-such-bucket-x")])

    assert sent == {"bucket": bucket, "key": artifact.key(""), "state": "sent"}
    assert there == {"bucket": bucket, "key": artifact.key(""), "state": "there"}
    assert isinstance(none, NotFound)


def test_places() -> None:
    """`s3://BUCKET/KEY` and back."""
    assert upload.split("s3://b/a/c.json") == ("b", "a/c.json")
    assert str(Place("b", "a/c.json", "eu-west-1")) == "s3://b/a/c.json"
    for wrong in ("b/a", "s3://b", "s3:///k", "http://b/a"):
        with pytest.raises(Usage):
            upload.split(wrong)
