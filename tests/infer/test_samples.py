"""Inputs that cores sent back: brought down, with a manifest of them."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from iotctl.aws import Aws
from iotctl.infer.samples import Place, Sample, parsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform
    from tests.conftest import Ran

PLACE = Place("b", "feedback")


def line(reference: str, **more: Any) -> str:
    """A line as the inference program writes it."""
    return json.dumps({"source-ref": reference, "model-prediction": [], "config-id": "digits", **more})


@pytest.mark.parametrize(
    "reference",
    [
        "s3://other/feedback/digits/core-1/a.json",
        "s3://b/feedback/digits/core-2/a.json",
        "s3://b/feedback/digits/core-1/../core-2/a.json",
        "s3://b/feedback/digits/core-1/.ssh",
        "s3://b/feedback/digits/core-1/a\x1bb.json",
        "/etc/passwd",
    ],
)
def test_a_device_cannot_say_what_is_read_or_where_it_is_written(reference: str) -> None:
    """Only its own objects, under a plain name."""
    (found,) = parsed(line(reference).encode(), PLACE, "digits", "core-1")
    assert isinstance(found, str)


def test_lines_that_are_none_are_told_and_the_others_kept() -> None:
    """By number."""
    good = line("s3://b/feedback/digits/core-1/2026-01-01T000000.000Z-ab-1.json", extra=1)
    found = list(parsed(f"{good}\n\n{{\n[]\n{{}}".encode(), PLACE, "digits", "core-1"))
    assert isinstance(found[0], Sample)
    assert ("2026-01-01T000000.000Z-ab-1.json", 1) == (found[0].name, found[0].line["extra"])
    assert ["line 3", "line 4", "line 5"] == [str(one)[:6] for one in found[1:]]


def test_samples_come_down_with_their_manifest(iotctl: Callable[..., Ran], platform: Platform, tmp_path: Path) -> None:
    """What is here is not fetched again; what is gone is told (exit 3); of the models all, or the one that is named."""
    aws, thing = Aws(platform=platform), f"core-{uuid.uuid4().hex[:8]}"
    bucket = f"iotctl-{platform.account_id}-{platform.region}"
    model = f"digits-{thing}"
    beginning = f"feedback/{model}/{thing}"
    keys = [f"{beginning}/2026-{number}.json" for number in range(3)]
    for key in keys[:2]:
        aws.call("s3:PutObject", Bucket=bucket, Key=key, Body=b"[1]")
    manifest = "".join(line(f"s3://{bucket}/{key}") + "\n" for key in keys).encode()
    aws.call("s3:PutObject", Bucket=bucket, Key=f"{beginning}/manifests/1.manifest", Body=manifest)
    aws.call("iot:CreateThing", thingName=thing)

    ran = iotctl("infer", "feedback", thing, "--out", str(tmp_path), "-o", "json")
    row = {"thingName": thing, "modelName": model, "samples": 3, "fetched": 2, "there": 0, "missing": 1}
    assert (3, [row]) == (ran.code, ran.envelope["data"]["models"])
    assert b"[1]" == (tmp_path / model / thing / "2026-0.json").read_bytes()
    lines = [json.loads(each) for each in (tmp_path / f"{model}.manifest").read_text().splitlines()]
    assert [(f"s3://{bucket}/{keys[0]}", f"{model}/{thing}/2026-0.json")] == [
        (each["source-ref"], each["file"]) for each in lines if each["source-ref"].endswith("0.json")
    ]
    aws.call("s3:PutObject", Bucket=bucket, Key=keys[2], Body=b"[2]")
    again = iotctl("infer", "feedback", thing, "--model", model, "--out", str(tmp_path), "-o", "json")
    assert (0, 2, 1) == (
        again.code,
        again.envelope["data"]["models"][0]["there"],
        again.envelope["data"]["models"][0]["fetched"],
    )
    none = iotctl("infer", "feedback", thing, "--model", "other", "--out", str(tmp_path))
    assert (0, True) == (none.code, "nothing came back yet" in none.stderr)
