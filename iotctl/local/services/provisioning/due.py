"""What happens when a time has come: claims and tokens expire, and a bulk registration goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotctl.local.services.provisioning import claims, tasks

if TYPE_CHECKING:
    from iotctl.local.store import Store


def next_due(store: Store) -> float | None:
    """When there is something to do, in seconds since 1970; None: there is nothing."""
    times = (claims.next_due(store), tasks.next_due(store))
    return min((time for time in times if time is not None), default=None)


def run_due(store: Store) -> None:
    """Do what is due, as much of it as may hold up everything else."""
    with store.transaction():
        claims.expire(store)
        tasks.go_on(store)
