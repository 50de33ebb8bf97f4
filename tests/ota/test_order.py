"""What was typed, read: bounds, and words that do not go together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from iotctl.errors import Usage
from iotctl.manifest import Targets
from tests.ota.orders import ordered, words


def test_what_is_typed_is_what_is_meant() -> None:
    """Shares, durations, times and lists, each as a value."""
    found = ordered(
        canary="2%",
        soak="30m",
        passing="97.5%",
        deadline="24h",
        abort_at="5%",
        rate_factor="1.5",
        device_timeout="2h",
        start="2030-01-31T02:00Z",
        end="2030-02-01T02:00+01:00",
        end_behavior="force-cancel",
        windows=["0 2 ? * SUN * for 4h"],
        intended=["type=press", "group=oslo", "thing=pump-*"],
        parameters=["path=/opt/app"],
    )
    assert (1800, 86400, Decimal("97.5")) == (found.goal.soak, found.goal.deadline, found.goal.passing)
    assert (Decimal(5), Decimal("1.5"), 120) == (found.brakes.abort_at, found.brakes.factor, found.brakes.minutes)
    assert ("FORCE_CANCEL", (("0 2 ? * SUN *", 240),)) == (found.times.end_behavior, found.times.windows)
    assert found.times.end is not None
    assert "2030-02-01T01:00:00+00:00" == found.times.end.isoformat()
    assert Targets(("pump-*",), ("press",), ("oslo",)) == found.intended
    assert {"path": "/opt/app"} == found.parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"artifact": ""}, "no artifact"),
        ({"release": ""}, "--release"),
        ({"release": "new"}, "--release"),
        ({"thing_group": None}, "no things are named"),
        ({"thing": "pump-1"}, "more than one way"),
        ({"thing_group": None, "things": "-"}, "--things needs a file"),
        ({"soak": "30m"}, "--soak is about what comes after a canary"),
        ({"approve": True}, "--approve"),
        ({"canary": "5", "gate": "reported.fw =="}, "--gate"),
        ({"no_abort": True, "abort_at": "5%"}, "--no-abort"),
        ({"rate_factor": "7"}, "--rate-factor"),
        ({"rate_factor": "1.55"}, "--rate-factor"),
        ({"device_timeout": "90s"}, "--device-timeout"),
        ({"device_timeout": "8d"}, "--device-timeout"),
        ({"url_time": "2h"}, "--url-time"),
        ({"start": "tomorrow"}, "--start"),
        ({"end_behavior": "explode"}, "--end-behavior"),
        ({"intended": ["pump-1"]}, "--for"),
        ({"parameters": ["path"]}, "--parameter"),
        ({"name": "pump fw"}, "--name"),
        ({"prefix": "../x"}, "--prefix"),
        ({"continuous": True, "thing_group": None, "thing": "pump-1"}, "--continuous"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    """Before anything is read or called, naming the option."""
    with pytest.raises(Usage, match=said):
        ordered(**changes)


def test_the_brakes_come_off_by_name_only() -> None:
    """The abort is there unless --no-abort is typed."""
    assert Decimal(10) == ordered().brakes.abort_at
    assert ordered(no_abort=True).brakes.abort_at is None


def test_what_is_said_twice_in_other_words_is_the_same() -> None:
    """A default that is typed, a duration in other units, and a share without its sign change nothing."""
    one = ordered(canary="20", soak="60m", passing="97%")
    other = ordered(canary="20", soak="1h", passing="97", rate=50, rate_factor="2")
    assert one.identity(["a"]) == other.identity(["b"])
    assert one.identity([]) != ordered(canary="20", soak="61m", passing="97%").identity([])


def test_a_list_of_things_is_what_is_in_it() -> None:
    """The file's name does not matter, nor the order of its lines."""
    one, other = (ordered(thing_group=None, things=name) for name in ("a.txt", "b.txt"))
    assert one.identity(["x", "y"]) == other.identity(["y", "x"])
    assert one.identity(["x", "y"]) != one.identity(["x"])


def test_every_word_is_one_that_a_saved_plan_can_hold() -> None:
    """Text, numbers, booleans and lists of text."""
    assert {str, int, bool, type(None)} >= {type(value) for value in words().values()}
