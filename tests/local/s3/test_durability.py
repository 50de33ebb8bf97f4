"""What was acknowledged stays; what was not leaves nothing; no object is ever in memory as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig

from iotctl.local import process
from iotctl.local.platform import open_store
from iotctl.local.services.s3 import content
from iotctl.local.state import Ports, State
from tests.local.clients import until
from tests.local.conftest import send
from tests.local.s3.conftest import code, s3_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotctl.target import Platform
    from tests.local.conftest import Raw

MEBIBYTE = 1024 * 1024
PIECE = hashlib.shake_256(b"seed").digest(MEBIBYTE)


@contextlib.contextmanager
def half_sent(platform: Platform, path: str, size: int = 20 * MEBIBYTE) -> Iterator[socket.socket]:
    """A PUT of which half was sent."""
    address = urlsplit(platform.http_url)
    scope = f"{platform.access_key_id}/20260101/{platform.region}/s3/aws4_request"
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {size}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + PIECE * (size // MEBIBYTE // 2))
        yield connection


def kept(state: State) -> list[Path]:
    """The files of objects and parts."""
    return sorted((state.directory / "s3").iterdir())


def big(state: State) -> bool:
    """Whether some of an upload is on the disk."""
    return any(file.stat().st_size > 5 * MEBIBYTE for file in kept(state))


def test_killed_amid_an_upload(own_platform: tuple[State, Platform]) -> None:
    """After kill -9 amid uploads every acknowledged object is whole, and the others are not there, nor their files."""
    state, platform = own_platform
    with contextlib.closing(s3_client(platform)) as s3:
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="old", Body=PIECE)
        given = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
        part = s3.upload_part(Bucket="bucket", Key="parts", UploadId=given, PartNumber=1, Body=PIECE)
    done = {name: part[name] for name in ("ETag", "ChecksumCRC32")}
    with half_sent(platform, "/bucket/new"), half_sent(platform, "/bucket/old"):
        until(lambda: big(state))
        os.kill(platform.pid, signal.SIGKILL)
        until(lambda: not state.running())
    assert len(kept(state)) > 2
    again = process.background(state, state.ports() or Ports(0, 0, 0), None)
    assert 2 == len(kept(state))
    with contextlib.closing(s3_client(again)) as s3:
        assert ["old"] == [one["Key"] for one in s3.list_objects_v2(Bucket="bucket")["Contents"]]
        assert PIECE == s3.get_object(Bucket="bucket", Key="old")["Body"].read()
        parts = {"Parts": [{"PartNumber": 1, **done}]}
        s3.complete_multipart_upload(Bucket="bucket", Key="parts", UploadId=given, MultipartUpload=parts)
        assert PIECE == s3.get_object(Bucket="bucket", Key="parts")["Body"].read()
    assert 2 == len(kept(state))


def test_nothing_is_left(own_platform: tuple[State, Platform]) -> None:
    """A client that goes away, a wrong checksum, an overwritten and a deleted object leave no file."""
    state, platform = own_platform
    with contextlib.closing(s3_client(platform)) as s3:
        s3.create_bucket(Bucket="bucket")
        with half_sent(platform, "/bucket/k"):
            until(lambda: big(state))
        until(lambda: not kept(state))
        send(platform, "PUT", "/bucket/k", PIECE, service="s3", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
        assert [] == kept(state)
        for _ in range(2):
            s3.put_object(Bucket="bucket", Key="k", Body=PIECE)
            assert 1 == len(kept(state))
        assert [0o600] == [file.stat().st_mode & 0o777 for file in kept(state)]
        s3.delete_object(Bucket="bucket", Key="k")
        assert [] == kept(state)
        given = s3.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
        s3.upload_part(Bucket="bucket", Key="k", UploadId=given, PartNumber=1, Body=PIECE)
        assert 1 == len(kept(state))
        s3.delete_bucket(Bucket="bucket")
        assert [] == kept(state)


def test_commits_are_synced(tmp_path: Path) -> None:
    """SQLite waits for the disk while S3 commits, and not for everything else."""
    store = open_store(State(tmp_path))

    def synchronous() -> int:
        row = store.row("PRAGMA synchronous")
        return int(row[0]) if row else -1

    found = [synchronous()]
    with content.durable(store):
        found.append(synchronous())
    assert [1, 2, 1] == [*found, synchronous()]
    store.close()


def peak(platform: Platform) -> int:
    """The most memory that a platform ever had, in bytes."""
    status = Path(f"/proc/{platform.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is Linux's")
@pytest.mark.parametrize(("size", "at_once"), [(32, 1), pytest.param(200, 10, marks=pytest.mark.campaign)])
def test_memory(own_platform: tuple[State, Platform], tmp_path: Path, size: int, at_once: int) -> None:
    """An object goes in and out, whole and in parts, with less than half of its size in memory."""
    _, platform = own_platform
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        for _ in range(size):
            file.write(PIECE)
    with contextlib.closing(s3_client(platform)) as s3:
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="small", Body=PIECE)
        before = peak(platform)
        with source.open("rb") as file:
            s3.put_object(Bucket="bucket", Key="whole", Body=file)
        config = TransferConfig(max_concurrency=at_once, use_threads=at_once > 1)
        s3.upload_file(str(source), "bucket", "parts", Config=config)
        for key in ("whole", "parts"):
            with target.open("wb") as file:
                for block in s3.get_object(Bucket="bucket", Key=key)["Body"].iter_chunks(MEBIBYTE):
                    file.write(block)
            assert size * MEBIBYTE == target.stat().st_size
    assert (peak(platform) - before) // MEBIBYTE < size // 2


def test_aws_cli(platform: Platform, bucket: str, tmp_path: Path) -> None:
    """`aws s3 cp` takes a large file there, and back the same."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(PIECE * 20)

    def aws(*words: str) -> str:
        command = [sys.executable, "-m", "awscli", "s3", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    aws("cp", "--no-progress", str(source), f"s3://{bucket}/a/model.onnx")
    assert "20971520 model.onnx" in aws("ls", f"s3://{bucket}/a/")
    aws("cp", "--no-progress", f"s3://{bucket}/a/model.onnx", str(target))
    assert source.read_bytes() == target.read_bytes()


def test_a_refused_upload_ends_its_connection(raw: Callable[..., Raw], bucket: str) -> None:
    """A body that is not wanted is not taken for the next request."""
    answer = raw("PUT", f"/{bucket}/k", PIECE, service="s3", headers={"If-Match": '"x"', "Expect": "100-continue"})
    assert (404, "close") == (answer.status, answer.headers["connection"])


def test_an_upload_refused_at_its_end_does_not(raw: Callable[..., Raw], bucket: str) -> None:
    """Once the whole body has come, the connection is good for another request."""
    answer = raw("PUT", f"/{bucket}/k", PIECE, service="s3", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert (400, None) == (answer.status, answer.headers.get("connection"))


def test_a_lost_file(own_platform: tuple[State, Platform]) -> None:
    """An object whose file someone removed is an internal error, in S3's words, and the platform lives on."""
    state, platform = own_platform
    send(platform, "PUT", "/bucket", service="s3")
    send(platform, "PUT", "/bucket/k", PIECE, service="s3")
    for file in kept(state):
        file.unlink()
    answer = send(platform, "GET", "/bucket/k", service="s3")
    assert (500, "InternalError") == (answer.status, code(answer))
    assert 200 == send(platform, "PUT", "/bucket/k", PIECE, service="s3").status
    assert PIECE == send(platform, "GET", "/bucket/k", service="s3").body
