"""How long an onboarding takes at a quota, against the least that it could: simulated, so the same on every machine."""

from __future__ import annotations

from typing import Any

import pytest

from iotctl import clock
from tests.simulated import Onboarding, onboard

_AWS = {
    "iot:CreateThing": 100.0,
    "iot:RegisterCertificateWithoutCA": 10.0,
    "iot:AttachThingPrincipal": 100.0,
    "iot:AttachPolicy": 15.0,
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Onboard, in simulated time."""

    def onboarded(devices: int, **how: Any) -> Onboarding:
        return onboard(devices, turn=lambda now: monkeypatch.setattr(clock, "monotonic", now), **how)

    return onboarded


@pytest.mark.parametrize("latency", [0.04, 0.12])
@pytest.mark.parametrize(("rates", "devices"), [(10, 500), (100, 2000), (_AWS, 500)])
def test_a_known_quota_is_used_whole(run: Any, rates: Any, devices: int, latency: float) -> None:
    """Within a twentieth of what the quota alone allows, with nothing refused and no device failed."""
    found = run(devices, rates=rates, known=True, latency=latency)
    assert (0, 0.0, True) == (found.failed, found.throttled, found.ratio <= 1.05), found


@pytest.mark.parametrize("latency", [0.04, 0.12])
@pytest.mark.parametrize(("rates", "devices"), [(10, 500), (100, 2000), (_AWS, 500)])
def test_a_quota_that_is_only_guessed_is_used_as_well(run: Any, rates: Any, devices: int, latency: float) -> None:
    """Begun at the guess, which is right: within a twentieth, and at most three calls in a hundred are refused."""
    found = run(devices, rates=rates, known=False, latency=latency)
    assert (0, True, True) == (found.failed, found.throttled <= 0.03, found.ratio <= 1.05), found


@pytest.mark.parametrize("depth", [0.1, 1.0, 3.0])
def test_a_raised_quota_is_found(run: Any, depth: float) -> None:
    """A hundred a second, looked for from ten: within a fifth, however deep the bucket is."""
    found = run(2000, rates=100, known=False, start=10, depth=depth)
    assert (0, True, True) == (found.failed, found.throttled <= 0.03, found.ratio <= 1.2), found


@pytest.mark.parametrize(("known", "start"), [(True, None), (False, 10)])
def test_a_quota_that_is_halved_meanwhile_is_followed(run: Any, known: bool, start: float | None) -> None:
    """Others use it too: at most an eighth longer than is possible, at most one call in ten refused."""
    found = run(400, rates=20, known=known, start=start, changes=[(8.0, 8.0)])
    assert (0, True, True) == (found.failed, found.throttled <= 0.1, found.ratio <= 1.12), found
