"""A model file and what comes with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from iotctl.errors import Exit, Integrity, NotFound, Usage
from iotctl.infer import model
from tests.infer import models


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good model."""
    found = tmp_path / "model.onnx"
    found.write_bytes(models.linear())
    return found


def test_a_model_is_its_file_its_labels_and_its_sample(path: Path, tmp_path: Path) -> None:
    """Read whole, with its digest; the labels in the order of the classes."""
    (tmp_path / "labels.txt").write_text("no\nyes \nmaybe\n\n")
    (tmp_path / "one.json").write_text("[1, 2, 3]")
    found = model.read(
        path, name="m", release="1.0.0", labels=str(tmp_path / "labels.txt"), sample=str(tmp_path / "one.json")
    )
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size) == (found.sha256, found.size)
    assert (("no", "yes", "maybe"), b"[1, 2, 3]", "one.json") == (found.labels, found.sample, found.sample_name)
    assert f"m 1.0.0 ({found.sha256[:12]})" == str(found)


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.onnx", b"\x80\x04\x95pickled"), ("external.onnx", models.external()), ("nothing.onnx", b"")],
)
def test_an_unsafe_model_is_exit_9(tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever its name says."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Integrity) as caught:
        model.read(tmp_path / name, name="m", release="1.0.0")
    assert (Exit.INTEGRITY, "UnsafeModel", str(tmp_path / name)) == (
        caught.value.exit,
        caught.value.code,
        caught.value.on,
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "a/b"}, "letters, digits"),
        ({"release": "1"}, "not a semantic version"),
        ({"labels": "a\n\nb\n"}, ":2: the label is empty"),
        ({"labels": "a\x1b[2J\n"}, "control characters"),
        ({"labels": ""}, "0 labels"),
    ],
)
def test_what_does_not_fit_is_told(path: Path, tmp_path: Path, options: dict[str, str], reason: str) -> None:
    """As wrong words, with the line where it is one."""
    if "labels" in options:
        (tmp_path / "labels.txt").write_bytes(options["labels"].encode())
        options = {"labels": str(tmp_path / "labels.txt")}
    with pytest.raises(Usage, match=reason):
        model.read(path, **{"name": "m", "release": "1.0.0", **options})


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """A model, or a sample."""
    with pytest.raises(NotFound):
        model.read(tmp_path / "no.onnx", name="m", release="1.0.0")
