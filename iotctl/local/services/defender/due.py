"""When something of Device Defender is due, and doing it: audits, their schedules, mitigation, silent devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.local.services.defender import mitigating, running, scheduled
from iotctl.local.services.defender.detect import mitigation, violations

if TYPE_CHECKING:
    from iotctl.local.store import Store


def next_due(store: Store) -> float | None:
    """When there is something to do, in seconds since 1970; None: there is nothing."""
    parts = (scheduled, running, mitigating, mitigation, violations)
    found = (one.next_due(store) for one in parts)
    return min((due for due in found if due is not None), default=None)


def run_due(store: Store) -> None:
    """Do what is due, as much of it as may hold up everything else."""
    with store.transaction():
        scheduled.begin_due(store)
        running.go_on(store)
        mitigating.go_on(store)
        mitigation.go_on(store)
        violations.invalidate_due(store)
