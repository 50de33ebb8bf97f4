"""A model tried here as a core will try it: in a child process, with limits (faults 52 to 55)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from iotctl.errors import Exit, Integrity, Local, Usage
from iotctl.infer import model, trial
from iotctl.infer.component import Options, component
from tests.infer import models
from tests.local.clients import until

SHIPPED = Path(trial.__file__).parents[1] / "local"


def tried(path: Path, labels: str | None = None, sample: str | None = None, **settings: Any) -> trial.Tried:
    """Try a file with some settings."""
    found = model.read(path, name="m", release="1.0.0", labels=labels, sample=sample)
    return trial.run(component(found, Options(settings=settings)))


def test_the_digits_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is a zero, and the model says so; nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    labels, sample = str(SHIPPED / "digits-labels.txt"), str(SHIPPED / "digits-sample.json")
    found = tried(SHIPPED / "digits.onnx", labels, sample)
    assert ("classification", "0") == (found.kind, found.prediction["predictions"][0]["label"])
    assert found.shown.startswith("0 ")
    assert [] == list(tmp_path.iterdir())


def test_who_does_not_wait_for_a_trial_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program and its worker, however far they are; nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = component(model.read(SHIPPED / "digits.onnx", name="m", release="1.0.0"), Options())
    with trial.begun(found):
        (place,) = tmp_path.iterdir()
        until(lambda: any(place.glob("work/*/tmp*")))  # its worker begins
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "settings", "reason"),
    [
        (models.nan(), {}, "not finite"),
        (models.wrong_shape(), {}, "the model declares"),
        (models.bomb(), {}, "llocat|memory"),
        (models.loop(), {"limits": {"cpuSeconds": 1}}, "more CPU time than limits.cpuSeconds"),
        (models.of_domain(""), {}, "Mine"),
    ],
    ids=["nan", "shape", "bomb", "loop", "operator"],
)
def test_a_model_that_is_no_good_is_exit_9(
    tmp_path: Path, content: bytes, settings: dict[str, Any], reason: str
) -> None:
    """It dies in a process of its own, with the reason; this one goes on."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(Integrity, match=reason) as caught:
        tried(path, **settings)
    assert (Exit.INTEGRITY, "UnsafeModel") == (caught.value.exit, caught.value.code)


def test_settings_that_do_not_fit_are_wrong_words(tmp_path: Path) -> None:
    """A misspelt one is named, with those that there are."""
    (tmp_path / "model.onnx").write_bytes(models.linear())
    with pytest.raises(Usage, match=r"input\.rezise is not a setting"):
        tried(tmp_path / "model.onnx", input={"rezise": [8, 8]})


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    (tmp_path / "model.onnx").write_bytes(models.linear())
    monkeypatch.setattr(trial, "_PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(Local, match="no_such_package is not installed") as caught:
        tried(tmp_path / "model.onnx")
    assert "iotctl[ml]" in caught.value.hint
