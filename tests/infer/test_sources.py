"""Where a model comes from: a tarball of a training job is unpacked safely, an object of S3 is fetched whole."""

from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import botocore.session
import botocore.validate
import pytest

from iotctl.aws import Aws
from iotctl.errors import Integrity, NotFound, Unsupported, Usage
from iotctl.infer import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotctl.target import Platform


def tarball(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w:gz") -> Path:
    """A tarball of files, or of members as they are."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, to
    return found


@pytest.mark.parametrize("name", ["model.onnx", "./export/model.onnx", "../../../etc/model.onnx", "/etc/MODEL.ONNX"])
def test_the_one_onnx_file_is_taken_wherever_it_is(tmp_path: Path, name: str) -> None:
    """Under a name of our own, in our own directory; nothing else is written, wherever its name leads."""
    given = tarball(tmp_path / "model.tar.gz", ("code/inference.py", b"import os"), (name, b"the model"))
    kept = tmp_path / "a" / "kept"
    found = sources.unpacked(given, kept, "the training job x")
    assert (kept, b"the model") == (found.parent, found.read_bytes())
    assert [found] == [path for path in (tmp_path / "a").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ([("model.pth", b"x")], "torch.onnx.export"),
        ([("model.joblib", b"x")], "skl2onnx"),
        ([("1/saved_model.pb", b"x")], "tf2onnx"),
        ([("model-symbol.json", b"{}"), ("model-0000.params", b"x")], "mxnet.onnx"),
        ([("xgboost-model", b"x")], "onnxmltools"),
        ([link("model.onnx", "/etc/passwd")], "its framework says how"),
        ([link("model.onnx", "other", tarfile.LNKTYPE)], "its framework says how"),
        ([("a.onnx", b"1"), ("b.onnx", b"2")], "push the one that is meant"),
        ([], "its framework says how"),
    ],
)
def test_without_a_single_onnx_file_the_contents_are_named(tmp_path: Path, members: list[Any], hint: str) -> None:
    """And how its framework writes ONNX; a link is no file. Nothing is left of it."""
    given = tarball(tmp_path / "model.tar.gz", *members)
    with pytest.raises(NotFound) as caught:
        sources.unpacked(given, tmp_path / "kept", "the training job x")
    assert hint in caught.value.hint
    assert all(
        (member.name if isinstance(member, tarfile.TarInfo) else member[0]) in caught.value.message
        for member in members
    )
    assert [] == list((tmp_path / "kept").iterdir())


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its files or by its bytes, before they are written."""
    given = tarball(tmp_path / "model.tar.gz", ("zeros", b"\0" * 1_000_000), ("model.onnx", b"x"))
    monkeypatch.setattr(sources, "_MOST_BYTES", 100_000)
    with pytest.raises(Integrity, match="unpacks to more"):
        sources.unpacked(given, tmp_path / "kept", "x")
    monkeypatch.setattr(sources, "_MOST_BYTES", 10_000_000)
    monkeypatch.setattr(sources, "_MOST_MEMBERS", 1)
    with pytest.raises(Integrity, match="unpacks to more"):
        sources.unpacked(given, tmp_path / "kept", "x")


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_a_damaged_tarball_is_told(tmp_path: Path, damage: str) -> None:
    """Cut short, no tarball at all, or with a byte turned."""
    content = bytearray(tarball(tmp_path / "good.tar.gz", ("model.onnx", bytes(range(256)) * 4000)).read_bytes())
    content = {"cut": content[: len(content) // 2], "text": bytearray(b"hello"), "flipped": content}[damage]
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    (tmp_path / "bad").write_bytes(bytes(content))
    with pytest.raises(Integrity, match="no tarball"):
        sources.unpacked(tmp_path / "bad", tmp_path / "kept", "x")
    assert [] == list((tmp_path / "kept").iterdir())


def test_of_several_training_jobs_the_newest_is_meant() -> None:
    """By its name's beginning: SageMaker finds names that hold a word anywhere."""
    jobs = [
        {"TrainingJobName": name, "CreationTime": datetime(2026, 1, day, tzinfo=UTC)}
        for name, day in (("digits-1", 1), ("digits-2", 3), ("my-digits-3", 9), ("digits-10", 2))
    ]
    assert "digits-2" == sources.newest(jobs, "digits-")
    assert sources.newest(jobs, "other-") is None


class SageMaker(http.server.BaseHTTPRequestHandler):
    """SageMaker's two operations, by botocore's own model of it: what it would not take is refused, and failed on."""

    model = botocore.session.get_session().get_service_model("sagemaker")
    jobs: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        """One request (AWS JSON 1.1)."""
        name = self.headers["X-Amz-Target"].removeprefix("SageMaker.")
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.model.operation_model(name)
        report = botocore.validate.ParamValidator().validate(given, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        self.asked.append((name, given))
        code, answer = {"ListTrainingJobs": self._listed, "DescribeTrainingJob": self._described}[name](given)
        assert code != 200 or set(answer) <= set(operation.output_shape.members)
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _listed(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Pages of four."""
        found = [
            job
            for job in sorted(self.jobs, key=lambda job: -job["CreationTime"])
            if given["NameContains"] in job["TrainingJobName"] and job["TrainingJobStatus"] == given["StatusEquals"]
        ]
        assert ("CreationTime", "Descending") == (given["SortBy"], given["SortOrder"])
        start = int(given.get("NextToken", "0"))
        kept = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingJobStatus")
        page = [{key: job[key] for key in kept} for job in found[start : start + 4]]
        more = {"NextToken": str(start + 4)} if len(found) > start + 4 else {}
        return 200, {"TrainingJobSummaries": page, **more}

    def _described(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for job in self.jobs:
            if job["TrainingJobName"] == given["TrainingJobName"]:
                return 200, job
        return 400, {"__type": "ResourceNotFound", "message": "Requested resource not found."}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sagemaker(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SageMaker]]:
    """SageMaker on this machine; all else is the platform."""

    class Own(SageMaker):
        jobs: ClassVar[list[dict[str, Any]]] = []
        asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://127.0.0.1:{server.server_port}")
        yield Own
        server.shutdown()
        thread.join()


def job(number: int, name: str, status: str = "Completed", **more: Any) -> dict[str, Any]:
    """A training job as SageMaker describes it."""
    arn = f"arn:aws:sagemaker:us-east-1:111122223333:training-job/{name}"
    facts = {"TrainingJobName": name, "TrainingJobArn": arn, "TrainingJobStatus": status}
    return {**facts, "CreationTime": 1_767_000_000 + number, **more}


def test_the_newest_training_job_of_many_gives_its_model(
    platform: Platform, sagemaker: type[SageMaker], tmp_path: Path
) -> None:
    """Over several pages, by SageMaker's own model; what failed, has another name or is not there is told."""
    aws, bucket = Aws(), f"iotctl-{platform.account_id}-{platform.region}"
    content = tarball(tmp_path / "model.tar.gz", ("export/digits.onnx", b"the newest model")).read_bytes()
    aws.call("s3:PutObject", Bucket=bucket, Key="digits-9/output/model.tar.gz", Body=content)
    made = {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{bucket}/digits-9/output/model.tar.gz"}}
    sagemaker.jobs += [
        *(job(number, f"my-digits-{number}") for number in range(100, 106)),
        *(job(number, f"digits-{number}", **(made if number == 9 else {})) for number in range(10)),
        job(200, "digits-200", "Failed", FailureReason="AlgorithmError: \x1b[31mno memory"),
    ]
    found = sources.model_file(aws, None, "digits-*", tmp_path / "kept")
    assert b"the newest model" == found.read_bytes()
    assert [found] == list((tmp_path / "kept").iterdir())
    assert [*["ListTrainingJobs"] * 4, "DescribeTrainingJob"] == [name for name, _ in sagemaker.asked]

    assert found == sources.model_file(aws, None, "digits-9", tmp_path / "kept")
    with pytest.raises(NotFound, match="digits-200 has no model: it is Failed") as caught:
        sources.model_file(aws, None, "digits-200", tmp_path / "kept")
    assert "AlgorithmError" in caught.value.cause
    assert "\x1b" not in caught.value.cause
    for wanted in ("digits-77", "other-*"):
        with pytest.raises(NotFound):
            sources.model_file(aws, None, wanted, tmp_path / "kept")


def test_an_object_of_s3_is_fetched_in_pieces(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its content, whole; the local platform has no SageMaker, and says so."""
    aws, bucket = Aws(platform=platform), f"iotctl-{platform.account_id}-{platform.region}"
    content = bytes(range(256)) * 10
    aws.call("s3:PutObject", Bucket=bucket, Key="from/model.onnx", Body=content)
    monkeypatch.setattr(sources, "_PART", 1000)
    found = sources.model_file(aws, f"s3://{bucket}/from/model.onnx", None, tmp_path / "kept")
    assert content == found.read_bytes()
    with pytest.raises(NotFound):
        sources.model_file(aws, f"s3://{bucket}/none.onnx", None, tmp_path / "kept")
    with pytest.raises(Integrity, match="more than 5"):
        sources.fetched(aws, f"s3://{bucket}/from/model.onnx", tmp_path / "kept", most=5)
    with pytest.raises(Unsupported):
        sources.model_file(aws, None, "digits-*", tmp_path / "kept")
    for model, job in ((None, None), ("a", "b")):
        with pytest.raises(Usage, match="give one model"):
            sources.model_file(aws, model, job, tmp_path)
    assert [found] == list((tmp_path / "kept").iterdir())
