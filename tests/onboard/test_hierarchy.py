"""Thing groups below others: compared with what is there, made from the top, undone from below."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from iotctl import pki
from iotctl.errors import BadInput, Conflict
from iotctl.onboard import declared, fleet, observe, row
from iotctl.onboard.fleet import Fleet
from iotctl.onboard.hierarchy import Hierarchy

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.target import Platform
    from tests.conftest import Ran

SEVEN = "/".join("abcdefg")


def read(directory: Path, *cells: str) -> Fleet:
    """A fleet whose rows have these groups."""
    path = directory / "fleet.csv"
    path.write_text("thing_name,thing_groups\n" + "".join(f"t{number},{cell}\n" for number, cell in enumerate(cells)))
    return fleet.read(str(path), row.Reading("thing", observe.policy_name, pki.check_csr))


def test_a_path_names_its_lowest_group(tmp_path: Path) -> None:
    """The thing is in that one only; what is above it is made first, and a bare name is the same group."""
    rows = read(tmp_path, "site/line/press", "press", "site/line/ saw ; other", SEVEN)
    assert {"press": 2, "saw": 1, "other": 1, "g": 1} == rows.thing_groups
    assert [["press"], ["press"], ["other", "saw"], ["g"]] == [one["thingGroups"] for one in rows]
    wanted = rows.hierarchy.downwards({*rows.thing_groups, *rows.hierarchy.groups()})
    assert ["a", "other", "site", "b", "line", "c", "press", "saw", "d", "e", "f", "g"] == wanted
    assert rows.digest != read(tmp_path, "line/press", "press", "line/saw;other", SEVEN).digest


@pytest.mark.parametrize(
    ("cells", "line", "words"),
    [
        (("x/press", "y/press"), 3, "the thing group press is below y here, and below x on line 2"),
        (("a/b", "b/c", "c/a"), 2, "the thing group b is below a, which is below b"),
        (("a/b/a",), 2, "which is below"),
        ((f"{SEVEN}/h",), 2, "the thing group h is on level 8; AWS has 7"),
        (("g/h", SEVEN), 2, "the thing group h is on level 8; AWS has 7"),
        (("site/x;site/y",), 2, "the thing groups x and y are in one hierarchy (of site)"),
        (("site/x;y", "site/y"), 2, "in one hierarchy (of site)"),
        (("a//b",), 2, "the thing group name is empty"),
        (("a/é",), 2, "has 'é'"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, cells: tuple[str, ...], line: int, words: str) -> None:
    """Told with its line, before anything is called."""
    with pytest.raises(BadInput) as caught:
        read(tmp_path, *cells)
    told = [error.message for error in caught.value.lines]
    assert any(f"fleet.csv:{line}:" in one and words in one for one in told), told


def group(*above: str, **more: Any) -> dict[str, Any]:
    """A thing group as AWS describes it, below these, from the root down."""
    roots = [{"groupName": name, "groupArn": name} for name in above]
    metadata = {"parentGroupName": above[-1], "rootToParentThingGroups": roots} if above else {}
    return {"thingGroupName": "x", "thingGroupMetadata": metadata, **more}


@pytest.mark.parametrize(
    ("cell", "found", "words"),
    [
        ("site/press", {"press": group("site"), "site": group()}, ""),
        ("press", {"press": group("anywhere")}, ""),
        ("line/press", {"line": group("site")}, ""),
        (
            "site/press",
            {"press": group("other"), "site": group()},
            "press is below other, and line 2 puts it below site",
        ),
        ("site/press", {"press": group()}, "press is at the top, and line 2 puts it below site"),
        ("site/press", {"press": group(queryString="*")}, "the thing group press is dynamic"),
        ("line/press", {"line": group(*"abcdef")}, "the thing group press would be on level 8"),
    ],
)
def test_what_is_there_is_compared_and_never_changed(
    tmp_path: Path, cell: str, found: dict[str, Any], words: str
) -> None:
    """A group that is elsewhere, or that takes its things by itself, is a conflict."""
    rows = read(tmp_path, cell)
    groups = {name: found.get(name, {}) for name in {*rows.thing_groups, *rows.hierarchy.groups()}}
    if not words:
        declared.refuse_others("here", rows, {}, groups)
        return
    with pytest.raises(Conflict, match=words):
        declared.refuse_others("here", rows, {}, groups)


def test_a_deprecated_thing_type(tmp_path: Path) -> None:
    """It takes no things: told before the first is made, with all else that differs."""
    rows = read(tmp_path, "site/press")
    types = {"t": {"thingTypeMetadata": {"deprecated": True}}, "u": {}}
    with pytest.raises(Conflict, match=r"thing type t is deprecated.*; the thing group press is at the top"):
        declared.refuse_others("here", rows, types, {"press": group(), "site": {}})


def test_two_hierarchies_that_the_account_joins(tmp_path: Path) -> None:
    """Groups that the file knows nothing of may have one root in the account."""
    groups = {"x": group("root"), "new": {}, "line": group("root", "site")}
    with pytest.raises(BadInput) as caught:
        declared.refuse_two_of_a_hierarchy(read(tmp_path, "x;line/new"), groups)
    assert ["new and x are in one hierarchy (of root)"] == [
        error.message.partition("the thing groups ")[2] for error in caught.value.lines
    ]


def test_nothing_said(tmp_path: Path) -> None:
    """Without a path there is no hierarchy."""
    rows = read(tmp_path, "b", "a")
    assert (set(), ["a", "b"]) == (rows.hierarchy.groups(), rows.hierarchy.downwards(["b", "a"]))
    assert ("", []) == (Hierarchy().parent("a"), Hierarchy().above("a"))


def test_made_from_the_top_and_undone_from_below(
    platform: Platform, iotctl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that was there stays, where it is; one that is elsewhere ends the run before anything is made."""
    iot, tag = boto3.client("iot"), uuid.uuid4().hex[:6]
    site, line, press = (f"{name}-{tag}" for name in ("site", "line", "press"))
    iot.create_thing_group(thingGroupName=site)
    monkeypatch.chdir(tmp_path)
    Path("fleet.csv").write_text(f"thing_name,thing_groups\nt-{tag},{site}/{line}/{press}\n")
    made = iotctl("onboard", "apply", "fleet.csv", "-y")
    above = iot.describe_thing_group(thingGroupName=press)["thingGroupMetadata"]["rootToParentThingGroups"]
    assert (0, [site, line]) == (made.code, [one["groupName"] for one in above]), made.stderr
    members = [iot.list_things_in_thing_group(thingGroupName=name)["things"] for name in (site, line, press)]
    assert [[], [], [f"t-{tag}"]] == members

    Path("moved.csv").write_text(f"thing_name,thing_groups\nu-{tag},{site}/{press}\n")
    moved = iotctl("onboard", "apply", "moved.csv", "-y", "-o", "json")
    (error,) = moved.envelope["errors"]
    assert (6, f"{press} is below {line}, and line 2 puts it below {site}") == (
        moved.code,
        error["message"].partition("the thing group ")[2].partition(";")[0],
    )

    run_id = made.stderr.partition("(run ")[2].partition(")")[0]
    undone = iotctl("onboard", "undo", run_id, "--bundles", "fleet-fleet", "-y")
    left = [one["groupName"] for one in iot.list_thing_groups(parentGroup=site)["thingGroups"]]
    assert (0, []) == (undone.code, left), undone.stderr
    assert site == iot.describe_thing_group(thingGroupName=site)["thingGroupName"]
