"""What the tests of rollouts start from."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from tests.ota.pumps import onboarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotctl.target import Platform
    from tests.ota.pumps import Pumps


@pytest.fixture
def make(platform: Platform, tmp_path: Path) -> Callable[..., Pumps]:
    """Make a fleet that an artifact can be rolled out to: `make(4)`."""
    return functools.partial(onboarded, platform, tmp_path)
