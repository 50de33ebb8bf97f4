"""Where a model comes from: a file, an object in S3, or what a SageMaker training job made.

What is fetched is kept by its content under IOTCTL_HOME, so that a push that was interrupted goes on from there.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from iotctl import files, text, upload
from iotctl.errors import Integrity, Local, NotFound, Usage
from iotctl.infer.onnx import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iotctl.aws import Aws

_PART: Final = 8 * 1024 * 1024
_LARGEST_TARBALL: Final = 8 * 1024**3
_MOST_BYTES: Final = 16 * 1024**3
"""Of a tarball, unpacked: a bomb is not read to its end."""
_MOST_MEMBERS: Final = 10_000
_SHOWN: Final = 12

_EXPORTS: Final = (
    ((".pt", ".pth"), "PyTorch: torch.onnx.export(model, example, 'model.onnx') where it is trained"),
    ((".joblib", ".pkl", ".pickle"), "scikit-learn: skl2onnx.to_onnx(model, example) where it is trained"),
    (("saved_model.pb", ".h5", ".keras"), "TensorFlow: tf2onnx.convert --saved-model DIR --output model.onnx"),
    (("-symbol.json", ".params"), "MXNet: mxnet.onnx.export_model(symbol, params, shapes, types, 'model.onnx')"),
    (("xgboost-model",), "XGBoost: onnxmltools.convert_xgboost(model, initial_types=…)"),
)
"""Whose files they are, by the ends of their names, and how that framework writes ONNX."""


def model_file(aws: Aws, model: str | None, training_job: str | None, kept: Path) -> Path:
    """The file of the model that was asked for.

    Args:
        aws: where objects and training jobs are.
        model: a path, or `s3://BUCKET/KEY`.
        training_job: the name of one, or the beginning of names with `*`: the newest is taken.
        kept: a directory for what is fetched.

    Raises:
        Usage: none or both are given. NotFound: there is no such object, job, or ONNX file in its tarball.
        Integrity: the tarball is not safe to unpack.

    """
    if (model is None) == (training_job is None):
        raise Usage("give one model: MODEL (a file, or s3://BUCKET/KEY), or --from-training-job NAME")
    if training_job is not None:
        name, place = trained(aws, training_job)
        tarball = fetched(aws, place, kept, most=_LARGEST_TARBALL)
        try:
            return unpacked(tarball, kept, f"the training job {name}")
        finally:
            tarball.unlink(missing_ok=True)
    assert model is not None
    return fetched(aws, model, kept, most=LARGEST) if model.startswith("s3://") else Path(model)


def fetched(aws: Aws, place: str, kept: Path, *, most: int) -> Path:
    """An object of S3 as a file, a piece at a time; it may not change meanwhile.

    Raises:
        NotFound: there is none. Integrity: it is too large, or changed.

    """
    bucket, key = upload.split(place)
    found = aws.call("s3:HeadObject", Bucket=bucket, Key=key)
    size, tag = int(found["ContentLength"]), found["ETag"]
    if size > most:
        raise Integrity(f"{place} has {size:,} bytes, more than {most:,}", on=place)
    files.private_directory(kept)
    digest = hashlib.sha256()
    with files.explained(kept), _new_file(kept) as file:
        for start in range(0, size, _PART):
            end = min(start + _PART, size) - 1
            part = aws.call("s3:GetObject", Bucket=bucket, Key=key, Range=f"bytes={start}-{end}", IfMatch=tag)["Body"]
            digest.update(part)
            file.write(part)
    return _named(Path(file.name), digest.hexdigest(), kept)


def trained(aws: Aws, wanted: str) -> tuple[str, str]:
    """A training job and where its result is.

    Args:
        aws: where.
        wanted: its name, or the beginning of it with `*`: of several the newest that completed.

    Raises:
        NotFound: there is none, or it has no result.

    """
    name = newest(_completed(aws, wanted[:-1]), wanted[:-1]) if wanted.endswith("*") else wanted
    if name is None:
        raise NotFound(f"no completed training job has a name that begins with {wanted[:-1]!r}", on=wanted)
    job = aws.call("sagemaker:DescribeTrainingJob", TrainingJobName=name)
    status = job.get("TrainingJobStatus")
    place = job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if status != "Completed" or not place:
        reason = job.get("FailureReason")
        raise NotFound(
            f"the training job {name} has no model: it is {status}",
            cause=text.sanitize(reason) if reason else "",
            on=name,
        )
    return name, str(place)


def _completed(aws: Aws, prefix: str) -> Iterator[Mapping[str, Any]]:
    """Summaries of the completed jobs whose names hold this: SageMaker knows no search by how a name begins."""
    named = {"NameContains": prefix} if prefix else {}
    op = "sagemaker:ListTrainingJobs"
    for page in aws.pages(op, StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending", **named):
        yield from page["TrainingJobSummaries"]


def newest(jobs: Iterable[Mapping[str, Any]], prefix: str) -> str | None:
    """The name of the newest of these training jobs whose names begin so."""
    found = [job for job in jobs if job["TrainingJobName"].startswith(prefix)]
    return max(found, key=lambda job: job["CreationTime"])["TrainingJobName"] if found else None


def unpacked(tarball: Path, kept: Path, whose: str) -> Path:
    """The one ONNX file of a tarball; nothing else of it is written, and its names lead nowhere.

    Raises:
        NotFound: it holds none, or several; with what it holds, and how its framework writes ONNX.
        Integrity: it is no tarball, or one that does not end.

    """
    files.private_directory(kept)
    names: list[str] = []
    found: list[tuple[str, Path, str]] = []
    with files.explained(kept):
        try:
            with gzip.open(tarball) as content, tarfile.open(fileobj=content, mode="r|") as archive:
                for member in _members(archive, whose):
                    names.append(member.name)
                    if member.isfile() and PurePosixPath(member.name).suffix.lower() == ".onnx":
                        found.append((member.name, *_taken(archive, member, kept)))
                _drained(content, whose)
            if len(found) != 1:
                raise _without_onnx(names, [name for name, *_ in found], whose)
            _, path, digest = found.pop()
            return _named(path, digest, kept)
        except (gzip.BadGzipFile, tarfile.TarError, zlib.error, EOFError, ValueError) as error:
            raise Integrity(f"the result of {whose} is no tarball that can be read: {error}") from error
        finally:
            for _, left, _ in found:
                left.unlink(missing_ok=True)


def _drained(content: gzip.GzipFile, whose: str) -> None:
    """Read on to the end: only there gzip knows whether all of it was right."""
    left = _MOST_BYTES
    while part := content.read(_PART):
        left -= len(part)
        if left < 0:
            raise _too_much(whose)


def _too_much(whose: str) -> Integrity:
    return Integrity(
        f"the result of {whose} unpacks to more than {_MOST_MEMBERS:,} files or {_MOST_BYTES:,} bytes",
        code="UnsafeArchive",
    )


def _members(archive: tarfile.TarFile, whose: str) -> Iterator[tarfile.TarInfo]:
    total = 0
    for number, member in enumerate(archive):
        total += member.size
        if number >= _MOST_MEMBERS or total > _MOST_BYTES:
            raise _too_much(whose)
        yield member


def _taken(archive: tarfile.TarFile, member: tarfile.TarInfo, kept: Path) -> tuple[Path, str]:
    """Write a member under a name of our own; where, and its digest."""
    if member.size > LARGEST:
        raise Integrity(f"{text.sanitize(member.name)} has {member.size:,} bytes, more than {LARGEST:,}")
    source = archive.extractfile(member)
    assert source is not None, "it is a file"
    digest = hashlib.sha256()
    with _new_file(kept) as file:
        while part := source.read(_PART):
            digest.update(part)
            file.write(part)
    return Path(file.name), digest.hexdigest()


def _without_onnx(names: list[str], models: list[str], whose: str) -> NotFound:
    shown = ", ".join(text.sanitize(name) for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    if models:
        return NotFound(
            f"the result of {whose} holds {len(models)} .onnx files: {shown}",
            hint="fetch it, and push the one that is meant: iotctl infer push FILE.onnx …",
        )
    exports = [how for ends, how in _EXPORTS if any(name.endswith(ends) for name in names)]
    return NotFound(
        f"the result of {whose} holds no .onnx file; it holds: {shown or 'nothing'}",
        hint=f"export the model to ONNX first; {exports[0] if exports else 'its framework says how'}",
    )


@contextlib.contextmanager
def _new_file(kept: Path) -> Iterator[IO[bytes]]:
    """A file to write, which goes away where that fails."""
    with tempfile.NamedTemporaryFile(dir=kept, prefix=".fetched-", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise


def _named(path: Path, digest: str, kept: Path) -> Path:
    """The file in its place, by its content."""
    place = kept / f"{digest}.onnx"
    try:
        path.replace(place)
    except OSError as error:
        raise Local(f"{place} cannot be written: {error.strerror}", on=str(place)) from error
    return place
