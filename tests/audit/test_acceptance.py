"""A fleet with forty planted faults: exactly those are found; without them, nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from iotctl import clock
from iotctl.local import process
from iotctl.local.state import Ports, State
from iotctl.semantics.checks import load
from tests.audit import planting
from tests.local.clients import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ran

    Iotctl = Callable[..., Ran]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[planting.Planting]:
    """A platform of this test's own: an audit is about the whole account."""
    home = tmp_path / "home"
    state = State(home / "local")
    home.mkdir(mode=0o700)
    state.directory.mkdir(mode=0o700)
    platform = process.background(state, Ports(0, 0, 0), None)
    monkeypatch.setenv("IOTCTL_HOME", str(home))
    monkeypatch.setenv("IOTCTL_TARGET", "local")
    yield planting.Planting(platform)
    process.stop(state)


@pytest.mark.parametrize("good", [20, pytest.param(1950, marks=pytest.mark.campaign)])
def test_exactly_the_planted_faults_are_found(
    iotctl: Iotctl, own: planting.Planting, tmp_path: Path, good: int
) -> None:
    """Of every kind that can be planted; before they were, the fleet was clean."""
    planting.fleet(own, good)
    own.iot.set_v2_logging_options(roleArn=f"arn:aws:iam::{own.platform.account_id}:role/logs", defaultLogLevel="ERROR")
    (tmp_path / "clean.toml").write_text(planting.BASELINE)
    clean = iotctl("audit", "run", "--baseline", str(tmp_path / "clean.toml"))
    assert (0, "") == (clean.code, clean.stdout), clean.stdout
    clean = iotctl("audit", "run", "--engine", "defender", "--configure", "--baseline", str(tmp_path / "clean.toml"))
    assert (0, "") == (clean.code, clean.stdout), clean.stdout

    own.iot.set_v2_logging_options(disableAllLogs=True)
    planting.faults(own, tmp_path)
    planted = clock.monotonic()
    until(lambda: clock.monotonic() - planted > 2)  # stuck for longer than the second that the baseline allows
    words = ("--baseline", str(tmp_path / "baseline.toml"), "--crl", str(tmp_path / "root.crl"))
    ran = iotctl("audit", "run", *words, "-o", "json")
    found = Counter((one["checkName"], one["resource"]) for one in ran.envelope["data"]["findings"])

    assert 4 == ran.code, ran.stderr
    assert Counter(own.faults) == found
    states = {one["checkName"]: one["state"] for one in ran.envelope["data"]["checks"]}
    assert "unknown" not in states.values(), json.dumps(states)

    # By Device Defender, which finds the revocation list in the platform's state directory: the same, of its checks.
    crls = tmp_path / "home" / "local" / "crl"
    crls.mkdir()
    (crls / "root.crl").write_bytes((tmp_path / "root.crl").read_bytes())
    words = ("--engine", "defender", "--configure", "--baseline", str(tmp_path / "baseline.toml"))
    ran = iotctl("audit", "run", *words, "-o", "json")
    theirs = {name for name, one in load().items() if not one.ours}
    found = {(one["checkName"], one["resource"]) for one in ran.envelope["data"]["findings"]}
    assert (4, {one for one in own.faults if one[0] in theirs}) == (ran.code, found), ran.stderr
    states = {one["checkName"]: one["state"] for one in ran.envelope["data"]["checks"]}
    assert "unknown" not in states.values(), json.dumps(states)
