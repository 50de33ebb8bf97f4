"""Who of a fleet misbehaves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotctl.errors import Usage
from iotctl.local.devices.roles import OBEDIENT, QUICKEST, SLOWEST, Role, Shares, roles, share

NAMES = [f"pump-{number}" for number in range(200)]


def kind(role: Role) -> str:
    """One word for a role."""
    return "fails" if role.fails else "slow" if role.delay else "offline" if role.offline else "obedient"


def test_shares_are_met_exactly() -> None:
    """5% of 200 things are 10, 10% are 20; nobody plays two parts."""
    found = roles(NAMES, Shares(fail=0.05, slow=0.1, offline=0.05))
    assert {"fails": 10, "slow": 20, "offline": 10, "obedient": 160} == Counter(map(kind, found.values()))


def test_the_same_things_fail_at_every_start() -> None:
    """The order in which a fleet is listed does not matter."""
    shares = Shares(fail=0.2, slow=0.3, offline=0.1)
    assert roles(NAMES, shares) == roles(reversed(NAMES), shares)


def test_who_fails_does_not_depend_on_the_other_shares() -> None:
    """A second run with things offline has the same failing things."""
    alone, together = roles(NAMES, Shares(fail=0.1)), roles(NAMES, Shares(fail=0.1, slow=0.5, offline=0.4))
    assert [name for name in NAMES if alone[name].fails] == [name for name in NAMES if together[name].fails]


@given(st.lists(st.text(max_size=8), unique=True, max_size=30), st.floats(0, 1))
def test_slow_things_take_5_to_20_seconds(names: list[str], part: float) -> None:
    """Each has its own delay within the limits; everyone has a role."""
    found = roles(names, Shares(slow=part))
    assert set(names) == set(found)
    assert all(role == OBEDIENT or QUICKEST <= role.delay <= SLOWEST for role in found.values())


@pytest.mark.parametrize(("written", "expected"), [("5%", 0.05), ("5", 0.05), (" 2.5 %", 0.025), ("100%", 1), ("0", 0)])
def test_share(written: str, expected: float) -> None:
    """With or without the sign."""
    assert share(written) == expected


@pytest.mark.parametrize("written", ["", "%", "5x", "-1", "101%", "1e1", "nan", "\u0665%"])
def test_what_is_no_percentage(written: str) -> None:
    """Refused with an example."""
    with pytest.raises(Usage, match="not a percentage"):
        share(written)


def test_more_than_the_whole_fleet() -> None:
    """The three shares are parts of one whole."""
    with pytest.raises(Usage, match="more than 100%"):
        Shares(fail=0.6, slow=0.3, offline=0.2)
    assert Shares(fail=0.7, slow=0.2, offline=0.1).fail == 0.7
