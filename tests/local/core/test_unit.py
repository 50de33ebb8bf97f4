"""What of a recipe runs here: manifest, lifecycle, steps; and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iotctl.local.devices.core.faults import Failed
from iotctl.local.devices.core.processes import skipped
from iotctl.local.devices.core.resolve import Found
from iotctl.local.devices.core.unit import Step, lifecycle, manifest, unit

LINUX = {"os": "linux", "architecture": "amd64"}


def component(*manifests: dict[str, Any], **more: Any) -> Found:
    """A version with these manifests."""
    return Found("com.example.App", "1.0.0", "arn", {"Manifests": list(manifests), **more})


def steps(**given: Any) -> dict[str, Step]:
    """The steps of a lifecycle."""
    return dict(unit(component(), given, {}).steps)


def test_the_first_manifest_for_the_platform_is_taken() -> None:
    """In the order of the recipe; texts, `*` and regular expressions."""
    arm, regular, any_ = (
        {"Platform": platform, "Name": name}
        for name, platform in {
            "arm": {"os": "linux", "architecture": "aarch64"},
            "regular": {"os": "linux", "architecture": "/amd64|x86/"},
            "any": {"os": "*"},
        }.items()
    )

    assert "regular" == manifest(component(arm, regular, any_), LINUX)["Name"]
    assert "any" == manifest(component(arm, any_, regular), LINUX)["Name"]
    with pytest.raises(Failed, match=r"has no manifest for this core \(os linux, architecture amd64\)"):
        manifest(component(arm), LINUX)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (component({"Artifacts": [{"Uri": "docker:nginx"}]}), r"needs Docker \(docker:nginx\)"),
        (component({}, ComponentType="aws.greengrass.lambda"), "is a aws.greengrass.lambda"),
        (
            component(
                {},
                ComponentConfiguration={
                    "DefaultConfiguration": {
                        "accessControl": {"aws.greengrass.ipc.pubsub": {}, "aws.greengrass.ipc.mqttproxy": {}}
                    }
                },
            ),
            r"needs Greengrass IPC \(aws.greengrass.ipc.pubsub\), which this core has not",
        ),
    ],
)
def test_what_it_cannot_run_it_says(found: Found, reason: str) -> None:
    """Before anything is downloaded or changed."""
    with pytest.raises(Failed, match=reason):
        manifest(found, LINUX)


def test_a_bootstrap_step_is_refused() -> None:
    """It would restart the core."""
    with pytest.raises(Failed, match="lifecycle step bootstrap"):
        steps(BootStrap="reboot")


def test_steps_and_their_defaults() -> None:
    """A script alone or with its members; environment of all and of one; the names in any case."""
    found = steps(
        Setenv={"A": "1", "B": 2},
        Install={"Script": "i", "Timeout": "900", "RequiresPrivilege": "true", "SetEnv": {"B": "3"}},
        RUN="r",
        shutdown={"script": "s", "skipIf": "onpath sh"},
    )

    assert {
        "install": Step("i", 900.0, "", {"A": "1", "B": "3"}, privileged=True),
        "run": Step("r", None, "", {"A": "1", "B": "2"}),
        "shutdown": Step("s", 15.0, "onpath sh", {"A": "1", "B": "2"}),
    } == found


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"run": {"Timeout": 5}}, "has no Script"),
        ({"run": {"Script": "x", "Timeout": "soon"}}, "no number of seconds"),
        ({"run": {"Script": "x", "SkipIf": "maybe"}}, "must be 'onpath PROGRAM' or 'exists FILE'"),
        ({"Setenv": {"A": {}}}, "must be an object of texts"),
        ({"run": 5}, "must be a script"),
    ],
)
def test_steps_that_cannot_be_read(given: dict[str, Any], reason: str) -> None:
    """Each with its reason."""
    with pytest.raises(Failed, match=reason):
        steps(**given)


def test_selections_choose_parts_of_the_recipe_s_own_lifecycle() -> None:
    """The most wanted selection first, then `all`, at every depth; a manifest's own lifecycle is taken whole."""
    chosen = {"Selections": ["debian", "linux"]}
    recipe = {
        "Manifests": [chosen, {"Selections": ["windows"]}],
        "Lifecycle": {
            "install": {"windows": "w", "linux": "l", "debian": "d"},
            "run": {"Script": {"windows": "w", "all": "a"}, "Timeout": 5},
            "shutdown": {"windows": "w"},
        },
    }

    assert {"install": "d", "run": {"Script": "a", "Timeout": 5}, "shutdown": {}} == lifecycle(recipe, chosen)
    assert {"run": "own"} == lifecycle(recipe, {**chosen, "Lifecycle": {"run": "own"}})


def test_skip_if(tmp_path: Path) -> None:
    """`onpath` and `exists`, and their opposite."""
    there = tmp_path / "file"
    there.touch()
    given = {f"exists {there}": True, f"!exists {there}": False, f"exists {there}x": False, "onpath sh": True}
    given |= {"! onpath no-such-program": True, "": False}

    assert given == {text: skipped(Step("x", None, text)) for text in given}


def test_what_changes_decides_what_is_installed_again() -> None:
    """Another version or install script installs; a changed run script only restarts."""
    one = unit(component(), {"install": "i", "run": "a"}, {})
    assert one.installs_as(unit(component(), {"install": "i", "run": "b"}, {}))
    assert not one.installs_as(unit(component(), {"install": "j", "run": "a"}, {}))
    assert not one.installs_as(unit(Found("com.example.App", "1.0.1", "arn", {}), {"install": "i", "run": "a"}, {}))
