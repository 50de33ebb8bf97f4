"""Which things: the four ways to name them."""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest

from iotctl import scope
from iotctl.aws import Aws
from iotctl.errors import BadInput, NoIndex, NotFound, Refused, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from iotctl.target import Platform


@pytest.mark.parametrize("given", [{}, {"thing": "a", "thing_group": "b"}, {"search": "x", "things": "y"}])
def test_exactly_one_way(given: dict[str, str]) -> None:
    """None and several are refused, with what to give."""
    with pytest.raises(Usage, match=r"no things are named|more than one way"):
        scope.Scope(**given)


def test_a_list_of_names(tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or standard input names things, one a line, in its order, each once; blank lines do not count."""
    (tmp_path / "names").write_bytes(b"\xef\xbb\xbfb-1\r\n\r\na-1\r\nb-1\r\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("c-1\n"))

    assert ["b-1", "a-1"] == scope.resolve(Aws(), scope.Scope(things=str(tmp_path / "names"))).names
    assert ["c-1"] == scope.resolve(Aws(), scope.Scope(things="-")).names


def test_bad_names_are_told_with_their_lines(tmp_path: Path, platform: Platform) -> None:
    """Every bad line is named, before anything is called."""
    (tmp_path / "names").write_text("good\n../x\nalso good\n")

    with pytest.raises(BadInput) as raised:
        scope.resolve(Aws(), scope.Scope(things=str(tmp_path / "names")))
    assert [":2", ":3"] == [error.on[-2:] for error in raised.value.lines]


def test_a_group_means_the_groups_below_it_too(platform: Platform) -> None:
    """The members of a group and of its children, sorted; an unknown or an empty group is not found."""
    iot, name = boto3.client("iot"), f"s-{uuid.uuid4().hex[:8]}"
    iot.create_thing_group(thingGroupName=name)
    iot.create_thing_group(thingGroupName=f"{name}-child", parentGroupName=name)
    with pytest.raises(NotFound, match="holds no things"):
        scope.resolve(Aws(), scope.Scope(thing_group=name))
    for number, group in enumerate((f"{name}-child", name)):
        iot.create_thing(thingName=f"{name}-{number}")
        iot.add_thing_to_thing_group(thingName=f"{name}-{number}", thingGroupName=group)

    assert [f"{name}-0", f"{name}-1"] == scope.resolve(Aws(), scope.Scope(thing_group=name)).names
    with pytest.raises(NotFound):
        scope.resolve(Aws(), scope.Scope(thing_group="nobody-knows-it"))


def test_a_search_without_an_index_says_how_to_have_one(platform: Platform) -> None:
    """Where the fleet index cannot be asked, the words say what to do instead."""
    with pytest.raises(Usage, match="fleet index") as raised:
        scope.resolve(Aws(), scope.Scope(search="attributes.site:oslo"))
    assert "--thing-group" in raised.value.hint
    assert ("ResourceNotFoundException", 2) == (raised.value.code, raised.value.exit)


def test_a_search_that_is_none_is_told_as_that() -> None:
    """Whatever AWS refuses of a query is about the query; only where there is no index it is about the index."""
    for error, word in (
        (Refused("no", code="InvalidQueryException"), "not a fleet index query"),
        (NoIndex("off"), "asked"),
    ):
        assert word in scope.not_searched("((", error).message
