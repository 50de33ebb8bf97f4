"""Inputs that cores sent back, brought down from S3: files for people and for retraining, and a manifest of them.

The layout and the lines are the inference program's: `<prefix>/<model>/<thing>/manifests/*.manifest`, one JSON object a
line with `source-ref`, as Ground Truth reads it (SageMaker developer guide, sms-input-data-input-manifest). A sample
that is here already is not fetched again, so the same command goes on with it.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iotctl import clock, files, text, upload
from iotctl.errors import Exit, NotFound, Usage
from iotctl.result import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotctl.aws import Aws

_AT_ONCE: Final = 8
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")
_MOST_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where samples are: a bucket, a prefix, one model or None for every one."""

    bucket: str
    prefix: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a manifest, of a core's model."""

    line: Mapping[str, Any]
    key: str
    name: str


def fetched(
    aws: Aws, thing_names: Sequence[str], place: Place, out: str, since_seconds: float
) -> tuple[list[dict[str, Any]], tuple[Failure, ...]]:
    """Bring down what these cores sent, into `OUT/MODEL/THING/`, with `OUT/MODEL.manifest`.

    Args:
        aws: where.
        thing_names: of the cores.
        place: in S3.
        out: the directory here.
        since_seconds: only manifests that are no older; 0 takes all.

    Returns:
        A row for each core and model, and what could not be fetched.

    """
    directory = Path(out)
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    oldest = clock.now() - timedelta(seconds=since_seconds) if since_seconds else None
    for model in [place.model] if place.model else list(_models(aws, place)):
        lines: list[str] = []
        for thing_name in thing_names:
            found, faults = _of_core(aws, place, model, thing_name, oldest)
            failures += faults
            if not found and not faults:
                continue
            row, kept, faults = _brought(aws, place.bucket, found, directory / model / thing_name)
            failures += faults
            lines += [json.dumps({**one.line, "file": f"{model}/{thing_name}/{one.name}"}) for one in kept]
            rows.append({"thingName": thing_name, "modelName": model, **row})
        if lines:
            files.replace(directory / f"{model}.manifest", "".join(f"{line}\n" for line in lines).encode(), 0o644)
    return rows, tuple(failures[:_MOST_FAILURES])


def parsed(content: bytes, place: Place, model: str, thing_name: str) -> Iterator[Sample | str]:
    """The samples of a manifest; in place of a line that is none of this core's, why.

    What a device wrote decides neither where a file is read from nor where it is written to.
    """
    beginning = f"{place.prefix}/{model}/{thing_name}/" if place.prefix else f"{model}/{thing_name}/"
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = text.loads(line)
            bucket, key = upload.split(value["source-ref"])
        except (Usage, KeyError, TypeError, AttributeError) as error:
            yield f"line {number} is no line of a manifest ({type(error).__name__})"
            continue
        name = key.removeprefix(beginning)
        if bucket != place.bucket or not key.startswith(beginning) or not _NAME.fullmatch(name):
            yield f"line {number} names an object that is not this core's"
        else:
            yield Sample(value, key, name)


def _models(aws: Aws, place: Place) -> Iterator[str]:
    """The models that anything came back of."""
    beginning = f"{place.prefix}/" if place.prefix else ""
    for page in aws.pages("s3:ListObjectsV2", Bucket=place.bucket, Prefix=beginning, Delimiter="/"):
        for found in page.get("CommonPrefixes", ()):
            name = found["Prefix"].removeprefix(beginning).rstrip("/")
            if _NAME.fullmatch(name):
                yield name


def _of_core(
    aws: Aws,
    place: Place,
    model: str,
    thing_name: str,
    oldest: datetime | None,
) -> tuple[list[Sample], list[Failure]]:
    """The samples that a core's manifests name, each once."""
    beginning = "/".join(part for part in (place.prefix, model, thing_name, "manifests/") if part)
    found: dict[str, Sample] = {}
    faults: list[Failure] = []
    for page in aws.pages("s3:ListObjectsV2", Bucket=place.bucket, Prefix=beginning):
        for entry in page.get("Contents", ()):
            if oldest is not None and entry["LastModified"] < oldest:
                continue
            content = aws.call("s3:GetObject", Bucket=place.bucket, Key=entry["Key"])["Body"]
            for one in parsed(content, place, model, thing_name):
                if isinstance(one, Sample):
                    found[one.name] = one
                else:
                    where = text.sanitize(f"s3://{place.bucket}/{entry['Key']}")
                    faults.append(Failure("BadManifest", f"{where}: {one}", thing_name, exit=Exit.PARTIAL))
    return list(found.values()), faults


def _brought(
    aws: Aws, bucket: str, samples: Sequence[Sample], directory: Path
) -> tuple[dict[str, int], list[Sample], list[Failure]]:
    """Fetch what is not here; how many, those that are here now, and what could not be had."""
    with files.explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
    there: list[Sample] = []
    wanted: list[Sample] = []
    for one in samples:
        (there if (directory / one.name).exists() else wanted).append(one)
    faults: list[Failure] = []
    kept = list(there)

    def fetch(one: Sample) -> NotFound | None:
        try:
            content = aws.call("s3:GetObject", Bucket=bucket, Key=one.key)["Body"]
            files.replace(directory / one.name, content, 0o644)
        except NotFound as error:
            return error
        return None

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="samples") as pool:
        for one, error in zip(wanted, pool.map(fetch, wanted), strict=True):
            if error is None:
                kept.append(one)
            else:
                faults.append(Failure(error.code, error.message, f"s3://{bucket}/{one.key}", exit=Exit.PARTIAL))
    row = {"samples": len(samples), "fetched": len(kept) - len(there), "there": len(there), "missing": len(faults)}
    return row, kept, faults
