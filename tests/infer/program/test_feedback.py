"""Samples on their way back: a bounded spool, manifest lines, and requests that S3 accepts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from inference.feedback import Spool, manifest_line, suffix
from inference.s3 import Credentials, signed

PREDICTION = {
    "thingName": "core-1",
    "modelName": "digits",
    "modelVersion": "1.0.0",
    "modelSha256": "ab" * 32,
    "bootId": "b",
    "seq": 7,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "predictions": [{"label": "7", "confidence": 0.5}],
}


def test_the_spool_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    """What is in it outlives the program; a sample without its prediction is none."""
    spool = Spool(str(tmp_path), 100)
    for number in range(5):
        spool.add(f"{number}.json", b"x" * 30, b"{}")
    assert (["2.json", "3.json", "4.json"], 2) == (spool.names(), spool.dropped)
    (tmp_path / "9.json").write_bytes(b"cut off before its prediction was written")
    again = Spool(str(tmp_path), 100)
    assert ["2.json", "3.json", "4.json"] == again.names()
    again.remove("3.json")
    assert (["2.json", "4.json"], (b"x" * 30, {})) == (again.names(), again.read("4.json"))


def test_a_manifest_line_is_one_that_ground_truth_reads() -> None:
    """`source-ref`, and beside it what the model made of it."""
    line = json.loads(manifest_line("s3://b/k.json", PREDICTION))
    assert ("s3://b/k.json", PREDICTION["predictions"], "digits") == (
        line["source-ref"],
        line["model-prediction"],
        line["config-id"],
    )
    assert ("2026-01-01T00:00:00.000Z", 7) == (line["metadata"]["publish-ts"], line["metadata"]["seq"])


def test_a_samples_name_tells_its_type() -> None:
    """By its file's, or by its content."""
    assert [".png", ".jpg", ".json", ".npy", ".csv"] == [
        suffix(b"", "a.PNG"),
        suffix(b"\xff\xd8\xff\xe0", ""),
        suffix(b" [1]", "no.type"),
        suffix(b"\x93NUMPY", ""),
        suffix(b"1,2,3", ""),
    ]


def test_the_signature_is_botocores() -> None:
    """The same request, signed at the same moment, has the same signature."""
    now = time.time()
    url = "https://bucket-1.s3.eu-west-1.amazonaws.com/feedback/digits/core%3A1/2026-b-7.json"
    ours = signed("PUT", url, b"[1]", "application/json", Credentials("AKID", "secret", "token", 0), "eu-west-1", now)
    request = botocore.awsrequest.AWSRequest(
        "PUT", url, {"content-type": "application/json", "x-amz-content-sha256": ours["x-amz-content-sha256"]}, b"[1]"
    )
    request.context["timestamp"] = ours["x-amz-date"]
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("AKID", "secret", "token"), "s3", "eu-west-1")
    request.headers["X-Amz-Security-Token"] = "token"
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    text = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, text), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
