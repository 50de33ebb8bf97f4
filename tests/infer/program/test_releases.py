"""The releases of a model on disk: whole or not there; which one runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from inference.configuration import parse
from inference.releases import Damaged, Releases


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A component's artifacts."""
    place = tmp_path / "artifacts"
    place.mkdir()
    (place / "labels.txt").write_text("a\nb\n")
    return place


def configuration(artifacts: Path, release: str, content: bytes, **more: Any) -> Any:
    """The settings of a release whose model's file is there."""
    (artifacts / "model.onnx").write_bytes(content)
    model = {"name": "m", "release": release, "sha256": hashlib.sha256(content).hexdigest(), "labels": "labels.txt"}
    return parse(json.dumps({"model": model, **more}), "core-1")


def test_a_release_outlives_its_component(tmp_path: Path, artifacts: Path) -> None:
    """The one that runs and the one before are kept, whatever becomes of the artifacts; others go."""
    releases = Releases(str(tmp_path / "kept"), "core-1")
    made = []
    for number in range(3):
        release = releases.keep(configuration(artifacts, f"{number}.0.0", b"model %d" % number), str(artifacts))
        releases.adopt(release)
        made.append(release)
    (artifacts / "model.onnx").unlink()
    again = Releases(str(tmp_path / "kept"), "core-1")
    current, previous = again.current(), again.previous()
    assert current
    assert previous
    assert (made[2].id, made[1].id, ["a", "b"]) == (current.id, previous.id, current.labels())
    assert b"model 1" == Path(previous.model_path).read_bytes()
    assert {made[1].id, made[2].id, "state"} == {path.name for path in (tmp_path / "kept").iterdir()}


def test_the_same_release_is_the_same(tmp_path: Path, artifacts: Path) -> None:
    """By files and settings; another setting is another one."""
    releases = Releases(str(tmp_path / "kept"), "core-1")
    first = releases.keep(configuration(artifacts, "1.0.0", b"x"), str(artifacts))
    assert first.id == releases.keep(configuration(artifacts, "1.0.0", b"x"), str(artifacts)).id
    assert first.id != releases.keep(configuration(artifacts, "1.0.0", b"x", compare=True), str(artifacts)).id


def test_going_back_forgets_the_one_that_was_no_good(tmp_path: Path, artifacts: Path) -> None:
    """There is one step back."""
    releases = Releases(str(tmp_path / "kept"), "core-1")
    good = releases.keep(configuration(artifacts, "1.0.0", b"good"), str(artifacts))
    releases.adopt(good)
    assert releases.give_up() is None
    releases.adopt(releases.keep(configuration(artifacts, "2.0.0", b"bad"), str(artifacts)))
    back = releases.give_up()
    assert back
    assert (good.id, good.id, None) == (back.id, (releases.current() or back).id, releases.previous())
    assert 1 == len([path for path in (tmp_path / "kept").iterdir() if path.is_dir()])


def test_damaged_files_are_no_release(tmp_path: Path, artifacts: Path) -> None:
    """Fault 52: not the bytes that were meant, a missing file, a model that was changed on disk, a bad state."""
    releases = Releases(str(tmp_path / "kept"), "core-1")
    wanted = configuration(artifacts, "1.0.0", b"good")
    for content in (b"gooX", b"goo", b"good and more"):
        (artifacts / "model.onnx").write_bytes(content)
        with pytest.raises(Damaged, match="SHA-256"):
            releases.keep(wanted, str(artifacts))
    (artifacts / "model.onnx").unlink()
    with pytest.raises(Damaged, match="cannot be read"):
        releases.keep(wanted, str(artifacts))
    assert [] == [path for path in (tmp_path / "kept").iterdir() if path.name.startswith("making-")]
    kept = releases.keep(configuration(artifacts, "1.0.0", b"good"), str(artifacts))
    releases.adopt(kept)
    Path(kept.model_path).write_bytes(b"gooX")
    assert releases.current() is None
    (tmp_path / "kept" / "state").write_text("{broken")
    assert (None, None) == (releases.current(), releases.previous())
