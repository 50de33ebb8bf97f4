"""Artifacts: what of a recipe is one, and archives that must not be unpacked."""

from __future__ import annotations

import io
import stat
import threading
import zipfile
from typing import TYPE_CHECKING, Any, cast

import pytest

from iotctl.local.devices.core import archive, artifacts
from iotctl.local.devices.core.artifacts import Artifact
from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.place import Settings
from iotctl.local.devices.core.resolve import Found
from iotctl.local.devices.session import Identity
from iotctl.target import Target

if TYPE_CHECKING:
    from pathlib import Path

FOUND = Found("com.example.App", "1.0.0", "arn", {})
DIGEST = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def artifact(uri: str, **more: Any) -> dict[str, Any]:
    """One of a recipe."""
    return {"Uri": uri, "Digest": DIGEST, "Algorithm": "SHA-256", **more}


def test_artifacts_of_a_manifest() -> None:
    """Their names, digests and modes."""
    permission = {"Read": "ALL", "Execute": "OWNER"}
    given = [
        artifact("s3://bucket/a/b/run.py"),
        artifact("greengrass:bucket/x.zip", Unarchive="ZIP", Permission=permission),
    ]
    assert [
        Artifact("s3://bucket/a/b/run.py", "run.py", HEX),
        Artifact("greengrass:bucket/x.zip", "x.zip", HEX, unarchive=True, mode=0o744),
    ] == artifacts.of(FOUND, {"Artifacts": given})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (artifact("https://example.com/x"), "neither in S3 nor Greengrass'"),
        (artifact("s3://bucket/.."), "no file name"),
        (artifact("s3://bucket/a/"), "no file name"),
        (artifact("s3://bucket/...zip", Unarchive="ZIP"), "no file name"),
        (artifact("s3://bucket/x", Digest="c2hvcnQ="), "without a SHA-256 digest"),
        (artifact("s3://bucket/x", Algorithm="MD5"), "without a SHA-256 digest"),
        ({"Uri": "s3://bucket/x"}, "without a SHA-256 digest"),
    ],
)
def test_what_is_no_artifact(given: dict[str, Any], reason: str) -> None:
    """Nothing is downloaded that could not be checked, or would go elsewhere."""
    with pytest.raises(Failed, match=reason):
        artifacts.of(FOUND, {"Artifacts": [given]})


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    """A ZIP."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def test_an_archive_is_unpacked_whole(tmp_path: Path) -> None:
    """With the mode of its artifact, in place of what was there."""
    place = tmp_path / "unpacked"
    place.mkdir()
    (place / "old").touch()
    archive.unpack(zipped(tmp_path / "a.zip", ("dir/run.sh", b"echo"), ("empty/", b"")), place, 0o700)

    assert ["dir", "dir/run.sh", "empty"] == sorted(str(one.relative_to(place)) for one in place.rglob("*"))
    assert 0o700 == stat.S_IMODE((place / "dir/run.sh").stat().st_mode)


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "member", [("../out", b"x"), ("/abs", b"x"), ("a/../../out", b"x"), ("..\\out", b"x"), (_link(), b"/etc")]
)
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, member: tuple[Any, bytes]) -> None:
    """Nothing of it is unpacked."""
    with pytest.raises(Failed, match="no plain file in it"):
        archive.unpack(zipped(tmp_path / "a.zip", ("good", b"x"), member), tmp_path / "unpacked", 0o600)
    assert ["a.zip"] == sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith("."))


def test_a_bomb_and_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says too much, one that says too little, one that is none."""
    bomb = zipped(tmp_path / "a.zip", ("zeroes", bytes(100_000)))
    with monkeypatch.context() as patched:
        patched.setattr(archive, "MOST_BYTES", 99_999)
        with pytest.raises(Failed, match="too many files or bytes"):
            archive.unpack(bomb, tmp_path / "x", 0o600)
    lies = bytearray(bomb.read_bytes())
    at = lies.rindex(b"PK\x01\x02")
    lies[at + 24 : at + 28] = (10).to_bytes(4, "little")  # its size, in the directory
    (tmp_path / "lies.zip").write_bytes(lies)
    (tmp_path / "none.zip").write_bytes(io.BytesIO(b"PK no").getvalue())
    for name in ("lies.zip", "none.zip"):
        with pytest.raises(Failed, match=r"cannot be unpacked|more bytes than it says"):
            archive.unpack(tmp_path / name, tmp_path / "x", 0o600)
    assert not (tmp_path / "x").exists()


class _Cloud:
    """A cloud that names one URL, whatever is asked for."""

    def __init__(self, url: str) -> None:
        self._url = url

    def artifact_url(self, arn: str, name: str) -> str:
        return self._url


@pytest.mark.parametrize("url", ["http://bucket.s3.amazonaws.com/x", "https://example.com/x", "file:///etc/passwd"])
def test_a_core_does_not_download_from_anywhere(tmp_path: Path, url: str) -> None:
    """Only from AWS, with TLS: nothing is even asked elsewhere."""
    nowhere = Identity("cam", "data.iot.eu-west-1.amazonaws.com", 8883, tmp_path, tmp_path, tmp_path)
    settings = Settings(nowhere, Target("aws", "1", "eu-west-1"), 8443, ("", 443), "", "", tmp_path)
    fetcher = artifacts.Fetcher(settings, cast("Any", _Cloud(url)), threading.Event(), lambda _: None)

    with pytest.raises(Failed, match="this device does not download from"):
        fetcher.fetch(FOUND, [Artifact("greengrass:x", "x", HEX)])
