"""The words of a push as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotctl.errors import Usage
from iotctl.infer import words
from iotctl.infer.component import ARCHITECTURES, Feedback


def test_strategies_are_those_of_the_connector() -> None:
    """A rate, thresholds, or everything."""
    assert Feedback("b") == words.strategy("all", "b")
    assert Feedback("b", "RANDOM_SAMPLING", 0.05) == words.strategy("random:0.05", "b")
    assert Feedback("b", "ENTROPY", 1.5) == words.strategy("entropy:1.5", "b")


@pytest.mark.parametrize("given", ["", "random", "random:2", "margin:-1", "all:1", "other:0.1", "margin:nan"])
def test_a_strategy_that_is_none_is_told(given: str) -> None:
    """With those that there are."""
    with pytest.raises(Usage, match="least-confidence"):
        words.strategy(given, "b")


def test_a_condition_asks_for_what_is_known() -> None:
    """A misspelt fact would be false for ever."""
    good = "latencyMs < 20 and not (errorRate > 0.01) and agreement >= 0.9"
    assert good == words.condition(good)
    with pytest.raises(Usage, match="knows no agrement"):
        words.condition("agrement > 0.9")
    with pytest.raises(Usage, match="--promote-if"):
        words.condition("agreement >")


def test_conditions_and_actions_are_pairs() -> None:
    """In the order in which they were typed."""
    found = words.pairs(["confidence > 0.9", "error"], ["publish:a=1", "publish:b"])
    assert [("confidence > 0.9", "a"), ("error", "b")] == [(one.on, one.topic) for one in found]
    with pytest.raises(Usage, match="1 --on and 0 --do"):
        words.pairs(["a"], [])
    with pytest.raises(Usage, match="empty key"):
        words.pairs(["a"], ["shadow:desired..a=1"])


def test_a_wheel_is_for_the_machines_of_its_name(tmp_path: Path) -> None:
    """As its last tag says, which may be several in one."""
    both = "manylinux2014_x86_64.manylinux_2_17_x86_64"
    for tag in (both, "manylinux_2_28_aarch64", "linux_armv7l", "any"):
        (tmp_path / f"pkg-1-py3-none-{tag}.whl").write_bytes(b"x")
    assert {("amd64",), ("aarch64",), ("arm",), ARCHITECTURES} == {
        one.architectures for one in words.wheels(str(tmp_path))
    }
    (tmp_path / "pkg-1-py3-none-win_amd64.whl").write_bytes(b"x")
    with pytest.raises(Usage, match="win_amd64, which no core is"):
        words.wheels(str(tmp_path))
    with pytest.raises(Usage, match="holds no wheels"):
        words.wheels(str(tmp_path / "none"))


def test_settings_are_a_json_object(tmp_path: Path) -> None:
    """Or wrong words."""
    (tmp_path / "good.json").write_text('{"batch": {"size": 4}}')
    (tmp_path / "bad.json").write_text("[1]")
    assert {"batch": {"size": 4}} == words.settings(str(tmp_path / "good.json"))
    assert {} == words.settings(None)
    for name in ("bad.json", "none.json"):
        with pytest.raises(Usage):
            words.settings(str(tmp_path / name))
