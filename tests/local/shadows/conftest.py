"""What the tests of shadows share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotctl.local import process

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotctl.local.state import State
    from iotctl.target import Platform


@pytest.fixture
def restarted() -> Callable[[State], Platform]:
    """Stop the platform of a state directory, and start it again on its ports."""

    def restart(state: State) -> Platform:
        process.stop(state)
        ports = state.ports()
        assert ports is not None
        return process.background(state, ports, None)

    return restart
